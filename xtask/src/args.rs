//! Arguments of a command: flags with a value, flags without, nothing else.

use std::str::FromStr;

use crate::error::Error;

/// The arguments that no one has taken yet.
#[derive(Debug)]
pub(crate) struct Args {
    left: Vec<String>,
}

impl Args {
    /// All arguments of a command.
    pub(crate) fn new(args: &[String]) -> Self {
        Self { left: args.to_vec() }
    }

    /// Takes `--name value` or `--name=value`, if it is there.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Error> {
        let with_equals = format!("{name}=");
        let Some(at) =
            self.left.iter().position(|arg| arg == name || arg.starts_with(&with_equals))
        else {
            return Ok(None);
        };
        let arg = self.left.remove(at);
        let value = match arg.strip_prefix(&with_equals) {
            Some(value) => value.to_owned(),
            None if at < self.left.len() => self.left.remove(at),
            None => return Err(Error::new(format!("{name} needs a value"))),
        };
        let value = value
            .parse()
            .map_err(|_| Error::new(format!("{name} {value}: that is not a value for {name}")))?;
        Ok(Some(value))
    }

    /// Takes `--name`, and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.left.iter().position(|arg| arg == name);
        at.map(|at| self.left.remove(at)).is_some()
    }

    /// Ends the reading: an argument that is left was a mistake.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.left.first() {
            None => Ok(()),
            Some(arg) => Err(Error::new(format!("unknown argument {arg}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Args {
        Args { left: words.iter().map(|&word| word.to_owned()).collect() }
    }

    #[test]
    fn a_value_stands_behind_its_flag_or_behind_an_equals_sign() {
        let mut both = args(&["--target", "packet", "--seconds=30"]);
        assert_eq!(both.value::<u64>("--seconds").unwrap(), Some(30));
        assert_eq!(both.value::<String>("--target").unwrap().as_deref(), Some("packet"));
        assert!(both.finish().is_ok());
    }

    #[test]
    fn an_absent_flag_has_no_value() {
        assert_eq!(args(&[]).value::<u64>("--seconds").unwrap(), None);
    }

    #[test]
    fn a_flag_without_a_value_or_with_a_wrong_one_is_refused() {
        assert!(args(&["--seconds"]).value::<u64>("--seconds").is_err());
        let error = args(&["--seconds", "soon"]).value::<u64>("--seconds").unwrap_err();
        assert!(error.to_string().contains("soon"), "{error}");
    }

    #[test]
    fn what_nobody_asked_for_is_refused() {
        let error = args(&["--sconds", "3"]).finish().unwrap_err().to_string();
        assert!(error.contains("--sconds"), "{error}");
    }
}
