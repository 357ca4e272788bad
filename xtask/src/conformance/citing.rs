//! Where code says that it obeys a statement.

use crate::tidy::{File, citations::citations, source::Source};

/// The ids that the code of a file cites, tests aside; each once, in the order of the file.
pub(super) fn cited(file: &File) -> Vec<String> {
    if !is_code(&file.path) {
        return Vec::new();
    }
    let text = file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut ids = Vec::new();
    for line in Source::split(text).comments.lines() {
        for citation in citations(line) {
            if !ids.contains(&citation.id) {
                ids.push(citation.id);
            }
        }
    }
    ids
}

/// Whether a file is a part of a crate that others use, and no test.
fn is_code(path: &str) -> bool {
    let mut parts = path.split('/');
    path.ends_with(".rs")
        && parts.next() == Some("crates")
        && parts.nth(1) == Some("src")
        && parts.all(|part| part != "tests" && part != "tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    fn id(number: &str) -> String {
        format!("[MQTT-{number}]")
    }

    #[test]
    fn comments_and_docs_of_code_cite() {
        let (first, second) = (id("9.1-1"), id("9.1-2"));
        let text =
            format!("//! Docs {first}.\n// {second} {first}\nlet a = \"{}\";\n", id("9.1-3"));
        assert_eq!(cited(&file("crates/a/src/b.rs", &text)), [first, second]);
    }

    #[test]
    fn tests_do_not_cite() {
        let text = format!("#[cfg(test)]\nmod tests {{\n    // {}\n}}\n", id("9.1-1"));
        assert!(cited(&file("crates/a/src/b.rs", &text)).is_empty());
        let text = format!("// {}\n", id("9.1-1"));
        assert!(cited(&file("crates/a/src/b/tests.rs", &text)).is_empty());
        assert!(cited(&file("crates/a/src/tests/b.rs", &text)).is_empty());
        assert!(cited(&file("crates/a/tests/b.rs", &text)).is_empty());
        assert!(cited(&file("xtask/src/b.rs", &text)).is_empty());
    }
}
