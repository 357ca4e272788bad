//! Every setting of the configuration file, as data: what it is called, what it takes, what it
//! means, and where it stands in [`Config`](crate::Config).
//!
//! The file's parser, the printed default configuration and the book's reference page are made
//! from this one table, so that none of them can say what another does not.

mod file;
mod print;
mod table;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use mqtt_codec::QoS;

use crate::config::Config;
use crate::listen::Listen;

/// One setting of a `T`: of the whole configuration, or of one listener.
#[derive(Debug)]
struct Setting<T> {
    /// The table that it stands in; empty for the top of the file.
    table: &'static str,
    /// Its key in that table.
    key: &'static str,
    form: Form,
    /// What it means, in whole sentences.
    doc: &'static str,
    read: fn(&T) -> Value,
    write: fn(&mut T, Value) -> Result<(), String>,
}

impl<T> Setting<T> {
    /// The key with its table.
    fn path(&self) -> String {
        if self.table.is_empty() {
            self.key.to_owned()
        } else {
            format!("{}.{}", self.table, self.key)
        }
    }
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `true` or `false`.
    Switch,
    /// `false`: what the setting stands for is not there.
    Off,
    /// A whole number within these bounds.
    Number(u64, u64),
    /// A number of bytes within these bounds: a whole number, or a text such as `"64 KiB"`.
    Bytes(u64, u64),
    /// A length of time within these bounds: a text such as `"1m 30s"`.
    Duration(Duration, Duration),
    /// A length of time in whole seconds within these bounds, which is a number in between.
    Seconds(u64, u64),
    /// A text; what it may say is in its own words.
    Text(&'static str),
    /// A mode of a file: a text such as `"0660"`, which is a number in between.
    Mode,
    /// A list of texts; what each may say is in these words.
    Texts(&'static str),
    /// A path. One that is relative starts at the folder of the configuration file.
    Path,
}

/// A value of a setting, between the file and the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// The setting is left out.
    Unset,
    Switch(bool),
    Number(u64),
    Duration(Duration),
    Text(String),
    Texts(Vec<String>),
    Path(PathBuf),
}

/// A place in a configuration that a value can be read from and written to. The form of the
/// setting has been checked before a value is written.
trait Place {
    fn read(&self) -> Value;
    fn write(&mut self, value: Value) -> Result<(), String>;
}

/// The form and the place of a setting do not fit. A test writes to every place.
fn misfit<T>(value: &Value) -> Result<T, String> {
    Err(format!("{value:?} is of the wrong kind"))
}

impl Place for bool {
    fn read(&self) -> Value {
        Value::Switch(*self)
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let Value::Switch(value) = value else { return misfit(&value) };
        *self = value;
        Ok(())
    }
}

macro_rules! number_places {
    ($($number:ty),*) => { $(
        impl Place for $number {
            fn read(&self) -> Value {
                u64::try_from(*self).map_or(Value::Unset, Value::Number)
            }

            fn write(&mut self, value: Value) -> Result<(), String> {
                let Value::Number(number) = value else { return misfit(&value) };
                match Self::try_from(number) {
                    Ok(number) => *self = number,
                    Err(_) => return Err(format!("{number} is too large")),
                }
                Ok(())
            }
        }
    )* };
}

number_places!(u16, u32, usize);

impl Place for NonZeroU16 {
    fn read(&self) -> Value {
        Value::Number(u64::from(self.get()))
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let mut number = self.get();
        number.write(value)?;
        *self = Self::new(number).ok_or("0 is too small")?;
        Ok(())
    }
}

impl Place for Duration {
    fn read(&self) -> Value {
        Value::Duration(*self)
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let Value::Duration(value) = value else { return misfit(&value) };
        *self = value;
        Ok(())
    }
}

impl Place for Option<Box<str>> {
    fn read(&self) -> Value {
        self.as_deref().map_or(Value::Unset, |text| Value::Text(text.to_owned()))
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let Value::Text(text) = value else { return misfit(&value) };
        *self = Some(text.into());
        Ok(())
    }
}

impl Place for Option<SocketAddr> {
    fn read(&self) -> Value {
        self.map_or(Value::Unset, |address| Value::Text(address.to_string()))
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let Value::Text(text) = value else { return misfit(&value) };
        let wrong = |_| format!("{text:?} is no address with a port");
        *self = Some(text.parse().map_err(wrong)?);
        Ok(())
    }
}

impl Place for Option<PathBuf> {
    fn read(&self) -> Value {
        self.clone().map_or(Value::Unset, Value::Path)
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let Value::Path(path) = value else { return misfit(&value) };
        *self = Some(path);
        Ok(())
    }
}

impl Place for Listen {
    fn read(&self) -> Value {
        Value::Text(self.to_string())
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let Value::Text(text) = value else { return misfit(&value) };
        *self = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        Ok(())
    }
}

impl<T: FromStr<Err: Display> + Display> Place for Vec<T> {
    fn read(&self) -> Value {
        Value::Texts(self.iter().map(T::to_string).collect())
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let Value::Texts(texts) = value else { return misfit(&value) };
        let parsed = texts
            .iter()
            .map(|text| text.parse().map_err(|error| format!("{text:?}: {error}")))
            .collect::<Result<_, String>>();
        *self = parsed?;
        Ok(())
    }
}

impl Place for Option<NonZeroU16> {
    fn read(&self) -> Value {
        self.map_or(Value::Unset, |number| number.read())
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let mut number = NonZeroU16::MIN;
        number.write(value)?;
        *self = Some(number);
        Ok(())
    }
}

impl Place for QoS {
    fn read(&self) -> Value {
        Value::Number(u64::from(u8::from(*self)))
    }

    fn write(&mut self, value: Value) -> Result<(), String> {
        let mut number = 0u16;
        number.write(value)?;
        let number = u8::try_from(number).map_err(|error| error.to_string())?;
        *self = Self::try_from(number).map_err(|error| error.to_string())?;
        Ok(())
    }
}

fn time_within(f: &mut fmt::Formatter<'_>, least: Duration, most: Duration) -> fmt::Result {
    f.write_str("a length of time, such as `\"1m 30s\"`")?;
    if !least.is_zero() {
        write!(f, ", from `\"{}\"`", humantime::format_duration(least))?;
    }
    write!(f, ", at most `\"{}\"`", humantime::format_duration(most))
}

impl Display for Form {
    /// What a setting takes, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Switch => f.write_str("`true` or `false`"),
            Self::Off => f.write_str("`false`"),
            Self::Number(0, u64::MAX) => f.write_str("a whole number"),
            Self::Number(least, u64::MAX) => write!(f, "a whole number from {least}"),
            Self::Number(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Bytes(0, u64::MAX) => f.write_str("bytes, such as `65536` or `\"64 KiB\"`"),
            Self::Bytes(least, u64::MAX) => {
                write!(f, "bytes, such as `65536` or `\"64 KiB\"`, from {least}")
            }
            Self::Bytes(least, most) => {
                write!(f, "bytes, such as `65536` or `\"64 KiB\"`, from {least} to {most}")
            }
            Self::Duration(least, most) => time_within(f, least, most),
            Self::Seconds(least, most) => {
                time_within(f, Duration::from_secs(least), Duration::from_secs(most))
            }
            Self::Text(what) => f.write_str(what),
            Self::Mode => f.write_str("an octal number in quotes, such as `\"0660\"`"),
            Self::Texts(what) => write!(f, "a list of texts, each {what}"),
            Self::Path => f.write_str(
                "a path; one that is relative starts at the folder of the configuration file",
            ),
        }
    }
}

impl Form {
    /// Checks a value that the file gives. `folder` is where relative paths start.
    fn check(self, value: &toml::de::DeValue<'_>, folder: &Path) -> Result<Value, String> {
        use toml::de::DeValue;
        let value = match (self, value) {
            (Self::Switch, DeValue::Boolean(value)) => Value::Switch(*value),
            (Self::Off, DeValue::Boolean(false)) => Value::Switch(false),
            (Self::Number(least, most) | Self::Bytes(least, most), DeValue::Integer(number)) => {
                number_within(integer(number)?, least, most)?
            }
            (Self::Bytes(least, most), DeValue::String(text)) => {
                number_within(bytes(text)?, least, most)?
            }
            (Self::Duration(least, most), DeValue::String(text)) => {
                Value::Duration(self.time(text, least, most)?)
            }
            (Self::Seconds(least, most), DeValue::String(text)) => {
                let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
                let time = self.time(text, least, most)?;
                if time.subsec_nanos() > 0 {
                    return Err(format!("{text:?} is not in whole seconds"));
                }
                Value::Number(time.as_secs())
            }
            (Self::Text(_), DeValue::String(text)) => Value::Text(text.clone().into_owned()),
            (Self::Mode, DeValue::String(text)) => match u32::from_str_radix(text, 8) {
                Ok(mode @ ..=0o777) => Value::Number(mode.into()),
                _ => return Err(format!("{text:?} is no mode: expected {self}")),
            },
            (Self::Texts(_), DeValue::Array(array)) => {
                let texts = array.iter().map(|each| each.get_ref().as_str().map(str::to_owned));
                Value::Texts(texts.collect::<Option<_>>().ok_or_else(|| {
                    format!("expected {self}; this list has something else in it")
                })?)
            }
            (Self::Path, DeValue::String(text)) if text.is_empty() => {
                return Err("a path is not empty".to_owned());
            }
            (Self::Path, DeValue::String(text)) => Value::Path(folder.join(&**text)),
            (_, other) => return Err(format!("expected {self}, not {}", other.type_str())),
        };
        Ok(value)
    }

    fn time(self, text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
        let time = humantime::parse_duration(text)
            .map_err(|error| format!("{text:?} is no length of time: {error}"))?;
        if time < least || time > most {
            return Err(format!("{text:?} is out of bounds: expected {self}"));
        }
        Ok(time)
    }
}

fn integer(number: &toml::de::DeInteger<'_>) -> Result<u64, String> {
    u64::from_str_radix(number.as_str(), number.radix())
        .map_err(|_| format!("{number} is not a number from 0 to {}", u64::MAX))
}

fn number_within(number: u64, least: u64, most: u64) -> Result<Value, String> {
    if number < least {
        return Err(format!("{number} is too small: the least is {least}"));
    }
    if number > most {
        return Err(format!("{number} is too large: the most is {most}"));
    }
    Ok(Value::Number(number))
}

/// The units in which bytes are written, the largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of bytes: write 65536, \"64 KiB\" or \"4 MiB\"");
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), *unit)))
        .ok_or_else(wrong)?;
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

impl Form {
    /// A value as the file writes it.
    fn write(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Unset) => String::new(),
            (_, Value::Switch(value)) => value.to_string(),
            (Self::Bytes(..), Value::Number(number)) => {
                match UNITS.iter().find(|(_, unit)| *number >= *unit && number % unit == 0) {
                    Some((name, unit)) if *unit > 1 => format!("\"{} {name}\"", number / unit),
                    _ => grouped(*number),
                }
            }
            (Self::Seconds(..), Value::Number(seconds)) => {
                quoted(&humantime::format_duration(Duration::from_secs(*seconds)).to_string())
            }
            (Self::Mode, Value::Number(mode)) => format!("\"{mode:04o}\""),
            (_, Value::Number(number)) => grouped(*number),
            (_, Value::Duration(duration)) => {
                format!("\"{}\"", humantime::format_duration(*duration))
            }
            (_, Value::Text(text)) => quoted(text),
            (_, Value::Texts(texts)) => {
                let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            (_, Value::Path(path)) => quoted(&path.to_string_lossy()),
        }
    }
}

/// A text as TOML quotes it.
fn quoted(text: &str) -> String {
    // TOML's basic strings and JSON's escape alike what a path or a URL may hold; Rust's debug
    // form writes other characters differently.
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A number with underscores between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

/// The settings that may change while a broker runs.
const RELOADED: [&str; 3] = ["access.allow_anonymous", "access.password_file", "access.acl_file"];
/// The settings of a listener that may.
const RELOADED_OF_LISTENER: [&str; 8] = [
    "certificate",
    "key",
    "client_ca",
    "client_crl",
    "client_certificate_optional",
    "identity_from_certificate",
    "proxy_protocol",
    "origins",
];

/// What differs between two configurations and cannot change while a broker runs.
pub(crate) fn that_need_a_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut found: Vec<String> = table::SETTINGS
        .iter()
        .filter(|setting| !RELOADED.contains(&&*setting.path()))
        .filter(|setting| (setting.read)(old) != (setting.read)(new))
        .map(Setting::path)
        .collect();
    if old.listeners.len() != new.listeners.len() {
        found.push("the number of listeners".to_owned());
    }
    for (number, (old, new)) in old.listeners.iter().zip(&new.listeners).enumerate() {
        let differ = table::LISTENER_SETTINGS
            .iter()
            .filter(|setting| !RELOADED_OF_LISTENER.contains(&setting.key))
            .filter(|setting| (setting.read)(old) != (setting.read)(new));
        found.extend(differ.map(|setting| format!("`{}` of listener {}", setting.key, number + 1)));
        if old.proxy_protocol.is_empty() != new.proxy_protocol.is_empty() {
            found.push(format!("whether listener {} has `proxy_protocol`", number + 1));
        }
    }
    if old.authenticates() != new.authenticates() {
        found.push("whether clients are asked who they are".to_owned());
    }
    if old.authorizes() != new.authorizes() {
        found.push("whether clients are asked about what they may do".to_owned());
    }
    found
}
