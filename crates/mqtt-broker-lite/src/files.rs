//! What is wrong with a file that an operator wrote: told whole, with its lines.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file is not taken. None of what stands in it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What stands in the file is not what it should be.
    #[error("{}", listed(path.as_deref(), problems))]
    Content {
        /// The file, if the text came from one.
        path: Option<PathBuf>,
        /// Everything that is wrong with it, in the order of the lines.
        problems: Vec<Problem>,
    },
}

impl FileError {
    /// Something that is wrong with a file as a whole.
    #[cfg(feature = "tls")]
    pub(crate) fn whole(path: &Path, reason: &str) -> Self {
        let problems = vec![Problem { line: 1, reason: reason.to_owned() }];
        Self::Content { path: Some(path.to_owned()), problems }
    }

    /// Reads `path` and gives its text to `parse`.
    pub(crate) fn parsed<T>(
        path: &Path,
        parse: impl FnOnce(&str) -> Result<T, Vec<Problem>>,
    ) -> Result<T, Self> {
        let text = fs::read_to_string(path)
            .map_err(|source| Self::Read { path: path.to_owned(), source })?;
        parse(&text).map_err(|problems| Self::Content { path: Some(path.to_owned()), problems })
    }
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do about it where that is known.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

fn listed(path: Option<&Path>, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| match path {
            Some(path) => format!("{}:{}: {}", path.display(), problem.line, problem.reason),
            None => problem.to_string(),
        })
        .collect();
    lines.join("\n")
}

/// The lines of a file that say something, each with its number: no empty ones, no comments.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Reads each line with `read`, and gives everything that is wrong at the end.
pub(crate) fn each_line(
    text: &str,
    mut read: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), Vec<Problem>> {
    let problems: Vec<_> = lines(text)
        .filter_map(|(number, line)| {
            read(line).err().map(|reason| Problem { line: number, reason })
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
