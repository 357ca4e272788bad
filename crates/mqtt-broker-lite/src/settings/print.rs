//! The settings as text: the default configuration with comments, and the book's reference page.

use std::fmt::Write as _;

use super::table::{LISTENER, LISTENER_SETTINGS, SETTINGS, TABLES};
use super::{Setting, Value};
use crate::config::Config;

/// The length of a line of comments.
const WIDTH: usize = 92;

impl Config {
    /// This configuration as the text of a TOML file, with a comment at every setting. Reading
    /// it brings the same configuration back, apart from what no file can say: hooks, and keys
    /// and certificates that were handed over ready-made.
    pub fn commented(&self) -> String {
        let mut text = String::new();
        for (table, doc) in TABLES {
            if !table.is_empty() {
                let _ = writeln!(text);
            }
            comment(&mut text, doc);
            if !table.is_empty() {
                let _ = writeln!(text, "[{table}]");
            }
            for setting in SETTINGS.iter().filter(|setting| setting.table == *table) {
                write_setting(&mut text, setting, self);
            }
        }
        for listener in &self.listeners {
            let _ = writeln!(text);
            comment(&mut text, LISTENER);
            let _ = writeln!(text, "[[listener]]");
            for setting in LISTENER_SETTINGS {
                write_setting(&mut text, setting, listener);
            }
        }
        text
    }
}

fn write_setting<T>(text: &mut String, setting: &Setting<T>, of: &T) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text);
    comment(text, setting.doc);
    let value = (setting.read)(of);
    let _ = if value == Value::Unset {
        writeln!(text, "# {} =", setting.key)
    } else {
        writeln!(text, "{} = {}", setting.key, setting.form.write(&value))
    };
}

fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// The book's reference page.
#[cfg(test)]
fn reference() -> String {
    let mut text = String::from(
        "# Configuration of the broker\n\n\
         <!-- Made from the table of settings in crates/mqtt-broker-lite/src/settings/table.rs by \
         a test of that crate;\n     run it with UPDATE_REFERENCE=1 after a change there. -->\n\n\
         `mqtt-broker-lite --config FILE` reads a TOML file with the settings below. What a file \
         leaves out has\nits default, flags of the command line stand above the file, and a key \
         that is not known is an error.\n`mqtt-broker-lite --print-default-config` prints the \
         defaults as a file with comments, and\n`mqtt-broker-lite --config FILE --check` checks a \
         file and everything that it names without serving.\n",
    );
    let config = Config::default();
    for (table, doc) in TABLES {
        let title =
            if table.is_empty() { "Top of the file".to_owned() } else { format!("`[{table}]`") };
        let _ = write!(text, "\n## {title}\n\n{doc}\n");
        for setting in SETTINGS.iter().filter(|setting| setting.table == *table) {
            describe(&mut text, setting, Some(&(setting.read)(&config)));
        }
    }
    let _ = write!(text, "\n## `[[listener]]`\n\n{LISTENER}\n");
    let listener = crate::config::Listener::default();
    for setting in LISTENER_SETTINGS {
        let default = (setting.read)(&listener);
        describe(&mut text, setting, Some(&default).filter(|_| setting.key != "url"));
    }
    text
}

#[cfg(test)]
fn describe<T>(text: &mut String, setting: &Setting<T>, default: Option<&Value>) {
    let _ =
        write!(text, "\n### `{}`\n\n{}\n\nTakes {}. ", setting.path(), setting.doc, setting.form);
    let _ = match default {
        Some(Value::Unset) => writeln!(text, "Not set by default."),
        Some(value) => writeln!(text, "Default: `{}`.", setting.form.write(value)),
        None => writeln!(text, "Required."),
    };
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_printed_default_is_the_default() {
        let config = Config::default();
        let read = Config::from_toml(&config.commented(), "").unwrap();
        assert_eq!(format!("{read:?}"), format!("{config:?}"));
    }

    #[test]
    fn the_books_reference_is_fresh() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/broker-configuration.md");
        let expected = reference();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            fs::write(page, &expected).unwrap();
        }
        let found = fs::read_to_string(page).unwrap_or_default();
        assert!(
            found == expected,
            "docs/src/broker-configuration.md is not what the table of settings says: run this \
             test with UPDATE_REFERENCE=1"
        );
    }
}
