//! Every statement of the standard that a text cites exists.

use std::collections::BTreeSet;

use super::{File, Finding};

/// The list of statements.
pub(crate) const STATEMENTS: &str = "tests/conformance/statements.toml";

/// How the standard's own ids begin, and how those of this project do.
const PREFIXES: &[&str] = &["MQTT-", "MQTT5-U-"];

/// The ids in the list of statements, and what is wrong with the list.
pub(crate) fn known_ids(files: &[File], findings: &mut Vec<Finding>) -> BTreeSet<String> {
    let Some(file) = files.iter().find(|file| file.path == STATEMENTS) else {
        findings.push(Finding {
            path: STATEMENTS.to_owned(),
            line: 1,
            what: "the list of statements is missing".to_owned(),
            fix: "restore it: citations are checked against it".to_owned(),
        });
        return BTreeSet::new();
    };
    let mut ids = BTreeSet::new();
    for statement in statements(file) {
        let Some(id) = statement.value("id") else {
            findings.push(file.finding(statement.line, "a statement without an id", "add one"));
            continue;
        };
        if citations(id) != [Citation { id: id.to_owned(), is_bracketed: true }] {
            findings.push(file.finding(
                statement.line,
                format!("{id} has not the form of an id"),
                "the head of the file describes the two forms",
            ));
        }
        if !ids.insert(id.to_owned()) {
            findings.push(file.finding(
                statement.line,
                format!("{id} is there twice"),
                "take the next free number",
            ));
        }
        if !matches!(statement.value("role"), Some("client" | "server" | "both")) {
            findings.push(file.finding(
                statement.line,
                format!("{id} has no role"),
                "say who acts on it: client, server or both",
            ));
        }
        if statement.value("text").is_none_or(str::is_empty) {
            findings.push(file.finding(
                statement.line,
                format!("{id} has no text"),
                "say in a sentence what must hold",
            ));
        }
    }
    ids
}

/// Reports each id in a text that is not in `ids`.
pub(crate) fn check(file: &File, ids: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    if file.path == STATEMENTS {
        return;
    }
    for (line, text) in file.lines() {
        for citation in citations(text) {
            if !ids.contains(&citation.id) {
                findings.push(file.finding(
                    line,
                    format!("there is no statement {}", citation.id),
                    format!("look the id up in {STATEMENTS}"),
                ));
            } else if !citation.is_bracketed {
                findings.push(file.finding(
                    line,
                    format!("{} is cited without its brackets", citation.id),
                    "write the brackets: searches and reports go by them",
                ));
            }
        }
    }
}

/// An id that stands in a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    /// With brackets, whether or not the text has them.
    pub(crate) id: String,
    is_bracketed: bool,
}

/// What a line cites. Without brackets only what can be nothing else counts: `MQTT-3.1.1` alone
/// may be a version of the protocol.
pub(crate) fn citations(line: &str) -> Vec<Citation> {
    let mut found = Vec::new();
    for prefix in PREFIXES {
        for (at, _) in line.match_indices(prefix) {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            let after = line.get(at + prefix.len()..).unwrap_or_default();
            let number = after
                .split(|character: char| !character.is_ascii_digit() && !".-".contains(character))
                .next()
                .unwrap_or_default();
            if !number.starts_with(|character: char| character.is_ascii_digit()) {
                continue;
            }
            let closes = after.get(number.len()..).is_some_and(|rest| rest.starts_with(']'));
            let is_bracketed = before == Some('[') && closes;
            let number = number.trim_end_matches(['.', '-']);
            if before == Some('[') || (number.contains('.') && number.contains('-')) {
                found.push(Citation { id: format!("[{prefix}{number}]"), is_bracketed });
            }
        }
    }
    found
}

/// An entry of the list, as far as it is text: `key = "value"` lines behind `[[statement]]`.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    line: usize,
    pairs: Vec<(&'a str, &'a str)>,
}

impl Statement<'_> {
    /// The value of a key, as the file spells it.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| *own == key).map(|(_, value)| *value)
    }
}

/// The entries of the list.
pub(crate) fn statements(file: &File) -> Vec<Statement<'_>> {
    let mut statements: Vec<Statement<'_>> = Vec::new();
    for (line, text) in file.lines() {
        if text == "[[statement]]" {
            statements.push(Statement { line, pairs: Vec::new() });
        } else if let Some((key, value)) = text.split_once(" = ")
            && let Some(statement) = statements.last_mut()
        {
            statement.pairs.push((key, value.trim_matches('"')));
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file, *};

    /// An id that is checked nowhere but here.
    fn id(number: &str) -> String {
        format!("[MQTT-{number}]")
    }

    fn list(text: &str) -> (BTreeSet<String>, Vec<Finding>) {
        let mut findings = Vec::new();
        let ids = known_ids(&[file(STATEMENTS, text)], &mut findings);
        (ids, findings)
    }

    fn statement(id: &str) -> String {
        format!("[[statement]]\nid = \"{id}\"\nrole = \"both\"\ntext = \"A rule.\"\n")
    }

    #[test]
    fn the_list_gives_the_ids() {
        let (ids, findings) = list(&format!("# Head.\n{}{}", statement(&id("9.1-1")), {
            statement(&format!("[MQTT5-U-{}]", "9.1-1"))
        }));
        assert_eq!(findings, []);
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn a_fault_in_the_list_is_found() {
        let twice = statement(&id("9.1-1")).repeat(2);
        assert_eq!(list(&twice).1.len(), 1);
        assert_eq!(list("[[statement]]\nrole = \"both\"\ntext = \"A rule.\"\n").1.len(), 1);
        let nobody = statement(&id("9.1-1")).replace("both", "nobody");
        assert_eq!(list(&nobody).1.len(), 1);
        let silent = statement(&id("9.1-1")).replace("A rule.", "");
        assert_eq!(list(&silent).1.len(), 1);
        assert_eq!(list(&statement("9.1-1")).1.len(), 1);
    }

    #[test]
    fn a_missing_list_is_found() {
        let mut findings = Vec::new();
        known_ids(&[], &mut findings);
        assert_eq!(findings.len(), 1);
    }

    fn check_line(line: &str) -> Vec<String> {
        let ids = BTreeSet::from([id("9.1-1"), format!("[MQTT5-U-{}]", "9.1-2")]);
        let mut findings = Vec::new();
        check(&file("a.rs", &format!("{line}\n")), &ids, &mut findings);
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_cited_id_exists() {
        assert!(check_line(&format!("// {}, {}", id("9.1-1"), id("9.1-1"))).is_empty());
        assert!(check_line(&format!("// [MQTT5-U-{}]", "9.1-2")).is_empty());
        assert_eq!(check_line(&format!("// {}", id("9.1-3"))).len(), 1);
        assert_eq!(check_line(&format!("// {}", id("9.1"))).len(), 1);
        assert_eq!(check_line(&format!("// {}", id("9.1-1, 9.1-2"))).len(), 1);
    }

    #[test]
    fn a_cited_id_has_brackets() {
        assert_eq!(check_line(&format!("// see MQTT-{}.", "9.1-1")).len(), 1);
    }

    #[test]
    fn other_words_are_no_citations() {
        assert!(check_line("[MQTT-x.y.z-n] stands for an id; MQTT-3.1.1 is a version").is_empty());
    }
}
