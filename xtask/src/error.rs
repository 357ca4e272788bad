//! The one error of this program: a text for the person who ran the command.

use std::{fmt, io};

/// Why a command failed. The text says what is wrong and what to do about it.
#[derive(Debug)]
pub(crate) struct Error(String);

impl Error {
    /// An error with this text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same error, with what was being done in front of it.
    pub(crate) fn context(self, doing: impl fmt::Display) -> Self {
        Self(format!("{doing}: {}", self.0))
    }

    /// One error out of several findings, or none.
    pub(crate) fn from_findings(findings: &[String], what: &str) -> Result<(), Self> {
        if findings.is_empty() {
            return Ok(());
        }
        Err(Self(format!("{what}: {}\n{}", findings.len(), findings.join("\n"))))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}
