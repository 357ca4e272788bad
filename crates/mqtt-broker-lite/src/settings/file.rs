//! A configuration from a TOML file: what stands in it is checked whole, and every problem is
//! told with its line.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Setting;
use super::table::{LISTENER_SETTINGS, SETTINGS, TABLES};
use crate::config::{Config, Listener};
use crate::files::{FileError, Problem};

impl Config {
    /// Reads the configuration that a TOML file has. What the file leaves out has its default.
    ///
    /// # Errors
    ///
    /// [`FileError`] when the file cannot be read, or with everything that is wrong with
    /// it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        FileError::parsed(path, |text| parse(text, folder))
    }

    /// Reads a configuration from the text of a TOML file. Relative paths in it start at
    /// `folder`.
    ///
    /// ```
    /// use mqtt_broker_lite::Config;
    ///
    /// let config = Config::from_toml("[limits]\nconnections = 50\n", "/etc/mqtt")?;
    /// assert_eq!(config.broker.limits.connections, 50);
    ///
    /// let error = Config::from_toml("[limits]\nconections = 50\n", "/etc/mqtt").unwrap_err();
    /// assert!(error.to_string().contains("did you mean `limits.connections`"));
    /// # Ok::<(), mqtt_broker_lite::FileError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FileError::Content`] with everything that is wrong with the text.
    pub fn from_toml(text: &str, folder: impl AsRef<Path>) -> Result<Self, FileError> {
        parse(text, folder.as_ref()).map_err(|problems| FileError::Content { path: None, problems })
    }
}

fn parse(text: &str, folder: &Path) -> Result<Config, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, folder, problems: Vec::new() };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.problem(at..at, error.message().to_owned());
    }
    let mut config = Config::default();
    if reader.problems.is_empty() {
        reader.read_root(root.get_ref(), &mut config);
    }
    if reader.problems.is_empty() {
        Ok(config)
    } else {
        reader.problems.sort_by_key(|problem| problem.line);
        Err(reader.problems)
    }
}

struct Reader<'a> {
    text: &'a str,
    folder: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: Range<usize>, reason: String) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        self.problems.push(Problem { line, reason });
    }

    fn read_root(&mut self, root: &DeTable<'_>, config: &mut Config) {
        for (name, value) in root {
            let key: &str = name.get_ref();
            if key == "listener" {
                match value.get_ref().as_array() {
                    Some(array) => self.read_listeners(array, config),
                    None => self.problem(
                        name.span(),
                        "listeners are a list: write [[listener]] above each".to_owned(),
                    ),
                }
            } else if is_table(key) {
                match value.get_ref().as_table() {
                    Some(table) => self.read_table(key, table, SETTINGS, config),
                    None => self.problem(
                        name.span(),
                        format!("{key} is a table: write [{key}] above its settings"),
                    ),
                }
            } else {
                self.read_one("", name, value, SETTINGS, config);
            }
        }
    }

    fn read_table<T>(
        &mut self,
        table: &str,
        content: &DeTable<'_>,
        settings: &[Setting<T>],
        target: &mut T,
    ) {
        for (key, value) in content {
            self.read_one(table, key, value, settings, target);
        }
    }

    fn read_listeners(&mut self, array: &[Spanned<DeValue<'_>>], config: &mut Config) {
        config.listeners.clear();
        for each in array {
            let Some(table) = each.get_ref().as_table() else {
                self.problem(each.span(), "a listener is a table: write [[listener]]".to_owned());
                continue;
            };
            if table.get("url").is_none() {
                self.problem(each.span(), "this listener has no `url`".to_owned());
            }
            let mut listener = Listener::default();
            self.read_table("", table, LISTENER_SETTINGS, &mut listener);
            config.listeners.push(listener);
        }
    }

    fn read_one<T>(
        &mut self,
        table: &str,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        settings: &[Setting<T>],
        target: &mut T,
    ) {
        let name: &str = key.get_ref();
        let known = settings.iter().find(|setting| setting.table == table && setting.key == name);
        let Some(setting) = known else {
            self.problem(key.span(), unknown(table, name, settings));
            return;
        };
        let result = setting
            .form
            .check(value.get_ref(), self.folder)
            .and_then(|value| (setting.write)(target, value));
        if let Err(reason) = result {
            self.problem(value.span(), format!("`{}`: {reason}", setting.path()));
        }
    }
}

fn is_table(name: &str) -> bool {
    !name.is_empty() && TABLES.iter().any(|(table, _)| *table == name)
}

/// How alike two names have to be for one to be a likely slip for the other.
const ALIKE: f64 = 0.75;

/// What to say about a key that is not known.
fn unknown<T>(table: &str, name: &str, settings: &[Setting<T>]) -> String {
    let path = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
    let known = settings
        .iter()
        .map(|setting| (setting.path(), setting.key))
        // A key under the wrong table is found too.
        .map(|(path, key)| (strsim::jaro_winkler(name, key), path));
    let tables = TABLES
        .iter()
        .map(|(table, _)| *table)
        .chain(["listener"])
        .filter(|_| table.is_empty())
        .map(|table| (strsim::jaro_winkler(name, table), format!("[{table}]")));
    let nearest = known
        .chain(tables)
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, nearest)) => format!("unknown key `{path}`; did you mean `{nearest}`?"),
        None => format!("unknown key `{path}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match Config::from_toml(text, "/etc/mqtt") {
            Ok(_) => Vec::new(),
            Err(FileError::Content { problems, .. }) => {
                problems.iter().map(Problem::to_string).collect()
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = Config::from_toml("", "").unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn every_kind_of_value_reaches_its_place() {
        let config = Config::from_toml(
            "linger_timeout = '1m 2s'\n\
             [protocol]\nmaximum_qos = 1\nretain_available = false\nkeep_alive_ceiling = '5m'\n\
             response_information = 'here'\n\
             [limits]\nsubscriptions = 10_000\npacket_size = '1 MiB'\nqueued_bytes = 0x100\n\
             [[listener]]\nurl = 'mqtt://[::1]:1'\n[[listener]]\nurl = 'mqtt://localhost'\n\
             [access]\npassword_file = 'passwords'\nacl_file = '/acl'\n",
            "/etc/mqtt",
        )
        .unwrap();
        assert_eq!(config.password_file.unwrap(), Path::new("/etc/mqtt/passwords"));
        assert_eq!(config.acl_file.unwrap(), Path::new("/acl"));
        assert_eq!(config.linger_timeout.as_secs(), 62);
        assert_eq!(u8::from(config.broker.maximum_qos), 1);
        assert!(!config.broker.retain_available);
        assert_eq!(config.broker.keep_alive_ceiling.unwrap().get(), 300);
        assert_eq!(config.broker.response_information.as_deref(), Some("here"));
        assert_eq!(config.broker.limits.subscriptions, 10_000);
        assert_eq!(config.broker.limits.packet_size, 1024 * 1024);
        assert_eq!(config.broker.limits.queued_bytes, 256);
        let urls: Vec<_> = config.listeners.iter().map(|each| each.url.to_string()).collect();
        assert_eq!(urls, ["mqtt://[::1]:1", "mqtt://localhost:1883"]);
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_name() {
        for (text, expected) in [
            (
                "\n[limits]\nsubscription = 1",
                "line 3: unknown key `limits.subscription`; did you mean `limits.subscriptions`?",
            ),
            ("[limit]\n", "line 1: unknown key `limit`; did you mean `[limits]`?"),
            (
                "packet_size = 5",
                "line 1: unknown key `packet_size`; did you mean `limits.packet_size`?",
            ),
            (
                "[[listener]]\nurl = 'mqtt://[::1]'\nuri = ''",
                "line 3: unknown key `uri`; did you mean `url`?",
            ),
            ("[protocol]\nbanana = 1", "line 2: unknown key `protocol.banana`"),
        ] {
            assert_eq!(problems(text), [expected], "{text}");
        }
    }

    #[test]
    fn every_problem_is_told_in_the_order_of_the_lines() {
        let text = "[limits]\nsubscriptions = -1\npacket_size = '4 MB'\nconnections = 0\n\
                    receive_maximum = 65_536\nwrite_stall = 30\nconnect_timeout = '1 fortnight'\n\
                    [store]\ndurable = true\n[[listener]]\nurl = 'amqp://[::1]'\n[[listener]]\n";
        let problems = problems(text);
        let starts = [
            "line 2: `limits.subscriptions`: -1 is not a number from 0",
            "line 3: `limits.packet_size`: \"4 MB\" is no number of bytes",
            "line 4: `limits.connections`: 0 is too small: the least is 1",
            "line 5: `limits.receive_maximum`: 65536 is too large: the most is 65535",
            "line 6: `limits.write_stall`: expected a length of time",
            "line 7: `limits.connect_timeout`: \"1 fortnight\" is no length of time",
            "line 9: `store.durable`: expected `false`",
            "line 11: `url`: \"amqp://[::1]\": the scheme \"amqp\" is not supported",
            "line 12: this listener has no `url`",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem} / {start}");
        }
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_line() {
        let first = problems("[limits]\nconnections 5\n").remove(0);
        assert!(first.starts_with("line 2: "), "{first}");
        assert_eq!(
            problems("limits = 5\nlistener = 'x'"),
            [
                "line 1: limits is a table: write [limits] above its settings",
                "line 2: listeners are a list: write [[listener]] above each",
            ]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Config::from_file("/nonexistent/broker.toml").unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nonexistent/broker.toml: "));
    }
}
