//! The matrix as text for the terminal, and as a page of the book.

use std::{collections::BTreeMap, fmt::Write as _};

use super::matrix::{Matrix, Row};

/// What the page begins with.
const HEAD: &str = "\
# The conformance matrix

<!-- Written by `cargo xtask conformance`; an edit by hand is lost. -->

Every normative statement of MQTT 5.0, numbered by the standard, and every rule that it states
without a number (MQTT5-U), in this project's own words: who has to act on it, which files obey
it, and which tests prove that. `cargo xtask conformance` runs those tests and fails if one does not
pass, and if a statement has neither proof nor exception. [Conformance](conformance.md) tells how to
hold any other broker or client against the same list.
";

/// The matrix for the terminal.
pub(super) fn text(matrix: &Matrix) -> String {
    let mut out = String::new();
    for row in &matrix.rows {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:26} {:6} {:9} {}", row.id, row.role, row.result(), row.text);
        if let Some(exception) = &row.exception {
            let _ = writeln!(out, "    exception: {exception}");
        }
        for file in &row.code {
            let _ = writeln!(out, "    code: {file}");
        }
        for proved in &row.tests {
            let _ = writeln!(out, "    test: {}", proved.name());
        }
    }
    let _ = write!(out, "\n{}", summary(matrix));
    out
}

/// How many statements there are, and how many have what.
fn summary(matrix: &Matrix) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &matrix.rows {
        *counts.entry(row.result()).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|(result, count)| format!("{count} {result}")).collect();
    format!("{} statements: {}", matrix.rows.len(), parts.join(", "))
}

/// The page of the book. It says nothing that changes from run to run or with the place of a line
/// in its file.
pub(super) fn write(matrix: &Matrix) -> String {
    let mut out = HEAD.to_owned();
    let excused = matrix.rows.iter().filter(|row| row.exception.is_some()).count();
    let numbered = matrix.rows.iter().filter(|row| row.id.starts_with("[MQTT-")).count();
    let _ = write!(
        out,
        "\n{} statements: {numbered} with a number, {} without; {excused} exceptions.\n",
        matrix.rows.len(),
        matrix.rows.len() - numbered,
    );
    let mut section = String::new();
    for row in &matrix.rows {
        let own = chapter(&row.id);
        if own != section {
            let _ = write!(
                out,
                "\n## {own}\n\n| statement | for | what must hold | obeyed in | proved by |\n\
                 |---|---|---|---|---|\n"
            );
            section = own;
        }
        line(&mut out, row);
    }
    out
}

fn line(out: &mut String, row: &Row) {
    let (code, tests) = match &row.exception {
        Some(exception) => (format!("exception: {}", escaped(exception)), String::new()),
        None => (files(row), tests(row)),
    };
    let _ =
        writeln!(out, "| {} | {} | {} | {code} | {tests} |", row.id, row.role, escaped(&row.text));
}

fn files(row: &Row) -> String {
    if row.code.is_empty() {
        return "**open**".to_owned();
    }
    let files = row.code.iter().map(|file| {
        let short = file.strip_prefix("crates/").unwrap_or(file).replace("/src/", "/");
        format!("`{short}`")
    });
    files.collect::<Vec<_>>().join(", ")
}

fn tests(row: &Row) -> String {
    if row.tests.is_empty() {
        return "**open**".to_owned();
    }
    let mut tests: Vec<String> =
        row.tests.iter().map(|proved| format!("`{}`", proved.name())).collect();
    tests.sort();
    tests.join(", ")
}

/// The chapter of the standard that an id stands in.
fn chapter(id: &str) -> String {
    let (prefix, rest) = match id.strip_prefix("[MQTT5-U-") {
        Some(rest) => ("Without a number: chapter", rest),
        None => ("Chapter", id.strip_prefix("[MQTT-").unwrap_or(id)),
    };
    let mut numbers = rest.split(['.', '-']);
    let (first, second) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    format!("{prefix} {first}.{second}").trim_end_matches(".0").to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_is_the_first_two_numbers() {
        assert_eq!(chapter(&format!("[MQTT-{}]", "3.1.2-4")), "Chapter 3.1");
        assert_eq!(chapter(&format!("[MQTT-{}]", "6.0.0-1")), "Chapter 6");
        assert_eq!(chapter(&format!("[MQTT5-U-{}]", "3.15-1")), "Without a number: chapter 3.15");
    }
}
