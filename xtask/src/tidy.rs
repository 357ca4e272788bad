//! `cargo xtask tidy`: the rules for files and texts that no compiler checks. It is a test too.

use std::{fmt, fs, io, path::Path};

use crate::{args::Args, error::Error, process::root};

mod attributes;
mod book;
pub(crate) mod citations;
mod manifests;
mod rust;
mod snapshots;
pub(crate) mod source;
mod texts;

/// Folders that hold nothing written by hand.
const SKIPPED_FOLDERS: &[&str] =
    &[".git", "target", "docs/book", "fuzz/corpus", "fuzz/artifacts", "fuzz/coverage"];

/// What the rules are about.
const EXTENSIONS: &[&str] = &["rs", "md", "toml", "yml", "yaml", "sh", "snap", "new"];

/// A text file of the workspace.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root of the workspace, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }

    /// The lines of the text, counted from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.text)
    }

    fn finding(&self, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into(), fix: fix.into() }
    }
}

/// A rule that a line breaks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
    fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    fix: {}", self.path, self.line, self.what, self.fix)
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    Args::new(args).finish()?;
    check()
}

/// Checks every rule on every file.
pub(crate) fn check() -> Result<(), Error> {
    let files = files_of_the_workspace()?;
    let mut findings = Vec::new();
    let ids = citations::known_ids(&files, &mut findings);
    for file in &files {
        texts::check(file, &mut findings);
        citations::check(file, &ids, &mut findings);
        if file.has_extension("rs") {
            rust::check(file, &mut findings);
        }
        manifests::check(file, &mut findings);
        snapshots::check(file, &files, &mut findings);
    }
    book::check(&files, &mut findings);
    findings.sort();
    let findings: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Error::from_findings(&findings, "lines that are not tidy")
}

/// Every text file that is written by hand.
pub(crate) fn files_of_the_workspace() -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(root: &Path, folder: &str, files: &mut Vec<File>) -> Result<(), Error> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(Error::new(format!("{}: the name is not UTF-8", entry.path().display())));
        };
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !is_skipped(&path) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() && is_read(&path) {
            match fs::read_to_string(entry.path()) {
                Ok(text) => files.push(File { path, text }),
                // An editor's temporary file, gone since the folder was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::from(error).context(&path)),
            }
        }
    }
    Ok(())
}

fn is_skipped(folder: &str) -> bool {
    SKIPPED_FOLDERS
        .iter()
        .any(|skipped| folder == *skipped || folder.ends_with(&format!("/{skipped}")))
}

fn is_read(path: &str) -> bool {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    path.starts_with(".ci/") || extension.is_some_and(|own| EXTENSIONS.contains(&own))
}

/// Lines with their numbers, counted from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether a character may be part of an identifier.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether `word` stands in `line` with no identifier running on at either end.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|after| after.chars().next());
        let ends_in_word = word.chars().next_back().is_some_and(is_word);
        !(before.is_some_and(is_word) || ends_in_word && after.is_some_and(is_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file for the tests of a rule.
    pub(super) fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn this_workspace_is_tidy() {
        if let Err(error) = check() {
            panic!("{error}");
        }
    }

    #[test]
    fn a_finding_names_file_and_line_and_what_to_do() {
        let finding = file("a.rs", "").finding(3, "too long", "split it");
        assert_eq!(finding.to_string(), "a.rs:3: too long\n    fix: split it");
    }

    #[test]
    fn what_tools_write_is_not_read() {
        assert!(is_skipped("target"));
        assert!(is_skipped("crates/mqtt-codec/fuzz/target"));
        assert!(is_skipped("crates/mqtt-codec/fuzz/corpus"));
        assert!(!is_skipped("docs/src"));
        assert!(is_read(".ci/run"));
        assert!(is_read(".github/workflows/ci.yml"));
        assert!(!is_read("tests/vectors/connect.hex"));
    }

    #[test]
    fn a_word_has_no_identifier_running_on() {
        assert!(has_word("// word: later", "word"));
        assert!(!has_word("// sword", "word"));
        assert!(!has_word("words", "word"));
        assert!(has_word("word!(x)", "word!("));
        assert!(!has_word("my_word!(x)", "word!("));
    }
}
