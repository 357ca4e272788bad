//! Every command of this program and every flag of the broker stands in the book.

use std::{collections::BTreeSet, iter};

use super::{File, Finding, attributes::attributes, has_word, source::Source};
use crate::COMMANDS;

const BOOK: &str = "docs/src/";
const BROKER: &str = "crates/mqtt-broker-lite/src/";

pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let book: Vec<&File> = files
        .iter()
        .filter(|file| file.path.starts_with(BOOK) && file.has_extension("md"))
        .collect();
    let is_in_book =
        |words: &str| book.iter().any(|file| file.lines().any(|(_, line)| has_flag(line, words)));
    for command in COMMANDS {
        let own = iter::once(format!("cargo xtask {}", command.name));
        for words in own.chain(spoken_flags(command.args)).filter(|words| !is_in_book(words)) {
            findings.push(Finding {
                path: "xtask/src/main.rs".to_owned(),
                line: 1,
                what: format!("the book does not name `{words}`"),
                fix: "describe it in docs/src/development.md".to_owned(),
            });
        }
    }
    for file in files.iter().filter(|file| file.path.starts_with(BROKER)) {
        for (line, flag) in flags(file) {
            if !is_in_book(&flag) {
                findings.push(file.finding(
                    line,
                    format!("the book does not name {flag}"),
                    "describe the flag in the broker's chapter, under docs/src",
                ));
            }
        }
    }
}

/// Whether `words` stand in `line` and end there: `--log` is not in `--log-file`.
fn has_flag(line: &str, words: &str) -> bool {
    line.match_indices(words).any(|(at, _)| {
        let after = line.get(at + words.len()..).and_then(|after| after.chars().next());
        !after.is_some_and(|after| after == '-' || super::is_word(after))
    })
}

/// The flags that a source of the broker declares or speaks of, tests aside.
fn flags(file: &File) -> Vec<(usize, String)> {
    if !file.has_extension("rs") || file.path.ends_with("tests.rs") {
        return Vec::new();
    }
    let text = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let source = Source::split(text);
    let mut found = declared_flags(text, &source.code);
    let lines = text.lines().zip(source.comments.lines());
    for (index, (line, comment)) in lines.enumerate() {
        if comment.trim().is_empty() {
            found.extend(spoken_flags(line).map(|flag| (index + 1, flag)));
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|(_, flag)| seen.insert(flag.clone()));
    found
}

/// Flags that are declared on a field: `#[arg(long)]` takes the field's name.
fn declared_flags(text: &str, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for attribute in attributes(code) {
        if !attribute.text.starts_with("arg(") || !has_word(attribute.text, "long") {
            continue;
        }
        let length = attribute.text.lines().count();
        let written = text.lines().skip(attribute.line - 1).take(length);
        let name = written
            .filter_map(|line| line.split_once("long = \""))
            .find_map(|(_, name)| name.split('"').next())
            .map(str::to_owned)
            .or_else(|| field_after(code, attribute.line - 1 + length));
        if let Some(name) = name {
            found.push((attribute.line, format!("--{}", name.replace('_', "-"))));
        }
    }
    found
}

/// The name of the first field behind so many lines.
fn field_after(code: &str, lines: usize) -> Option<String> {
    let field = code
        .lines()
        .skip(lines)
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let (declaration, _) = field.split_once(':')?;
    declaration.split_whitespace().next_back().map(str::to_owned)
}

/// Flags that a line spells out.
fn spoken_flags(line: &str) -> impl Iterator<Item = String> {
    line.match_indices("--").filter_map(|(at, _)| {
        let before = line.get(..at)?.chars().next_back();
        if before.is_some_and(|before| before == '-' || super::is_word(before)) {
            return None;
        }
        let name: String = line
            .get(at + 2..)?
            .chars()
            .take_while(|&character| character.is_ascii_lowercase() || character == '-')
            .collect();
        name.starts_with(|first: char| first.is_ascii_lowercase()).then(|| format!("--{name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file, *};

    fn flags_of(text: &str) -> Vec<(usize, String)> {
        flags(&file("crates/mqtt-broker-lite/src/main.rs", text))
    }

    #[test]
    fn a_flag_is_named_by_its_field_or_by_itself() {
        let text = "struct A {\n    /// Docs.\n    #[arg(long, value_name = \"URL\")]\n    \
                    pub listen_on: Vec<Url>,\n    #[arg(\n        long = \"check\",\n    )]\n    \
                    c: bool,\n    #[arg(short)]\n    v: bool,\n}\n";
        assert_eq!(flags_of(text), [(3, "--listen-on".to_owned()), (5, "--check".to_owned())]);
    }

    #[test]
    fn a_flag_that_a_message_speaks_of_counts() {
        let text = "fn f() {\n    print(\"pass --allow-anonymous or\");\n    i--;\n}\n";
        assert_eq!(flags_of(text), [(2, "--allow-anonymous".to_owned())]);
    }

    #[test]
    fn a_comment_declares_nothing() {
        assert_eq!(flags_of("// once there was --old\nfn f() {}\n"), []);
    }

    #[test]
    fn a_longer_flag_is_not_a_shorter_one() {
        assert!(has_flag("pass `--log` to it", "--log"));
        assert!(!has_flag("pass --log-file", "--log"));
        assert!(has_flag("cargo xtask ci", "cargo xtask ci"));
    }

    fn findings(book: &str) -> Vec<String> {
        let files = [
            file("docs/src/broker.md", book),
            file("crates/mqtt-broker-lite/src/main.rs", "const HELP: &str = \"--check\";\n"),
        ];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn commands_and_flags_stand_in_the_book() {
        let commands: Vec<String> = COMMANDS
            .iter()
            .map(|command| format!("cargo xtask {} {}", command.name, command.args))
            .collect();
        let complete = format!("{}\n`--check` checks.\n", commands.join("\n"));
        assert_eq!(findings(&complete), Vec::<String>::new());
        assert_eq!(findings(&complete.replace("--check", "")), ["the book does not name --check"]);
        let without = complete.replace("cargo xtask tidy", "");
        assert_eq!(findings(&without), ["the book does not name `cargo xtask tidy`"]);
        let without = complete.replace("--exhaustive", "");
        assert_eq!(findings(&without), ["the book does not name `--exhaustive`"]);
    }
}
