//! Rules for Rust sources.

use super::{File, Finding, attributes::attributes, has_word, numbered, source::Source};

/// A file that is longer than this answers more than one question.
const MOST_LINES: usize = 800;

/// Macros that say that something is not there yet.
const UNFINISHED_MACROS: &[&str] = &["todo!", "unimplemented!", "dbg!"];

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    check_head(file, findings);
    check_length(file, findings);
    let source = Source::split(&file.text);
    check_unfinished(file, &source, findings);
    check_attributes(file, &source, findings);
    check_doc_samples(file, &source, findings);
}

fn check_head(file: &File, findings: &mut Vec<Finding>) {
    if !file.text.starts_with("//!") {
        findings.push(file.finding(
            1,
            "the file does not begin with module docs",
            "say in a line or two, after `//!`, which question this file answers",
        ));
    }
}

fn check_length(file: &File, findings: &mut Vec<Finding>) {
    let lines = file.lines().count();
    if lines > MOST_LINES {
        findings.push(file.finding(
            MOST_LINES + 1,
            format!("{lines} lines, at most {MOST_LINES} are allowed"),
            "split it by question; unit tests can move to a tests.rs beside it",
        ));
    }
}

fn check_unfinished(file: &File, source: &Source, findings: &mut Vec<Finding>) {
    for (line, text) in numbered(&source.code) {
        for name in UNFINISHED_MACROS.iter().filter(|name| has_word(text, name)) {
            findings.push(file.finding(
                line,
                format!("`{name}`"),
                "write what is missing, or take the unfinished part out",
            ));
        }
    }
    // A sample in the docs is code as well.
    for (line, text) in numbered(&source.comments) {
        for name in UNFINISHED_MACROS.iter().filter(|name| has_word(text, &format!("{name}("))) {
            findings.push(file.finding(
                line,
                format!("`{name}` in a sample"),
                "write the sample to its end",
            ));
        }
    }
    for marker in [["FIX", "ME"].concat(), "X".repeat(3)] {
        let lines = numbered(&source.code).zip(numbered(&source.comments));
        for ((line, code), (_, comment)) in lines {
            if has_word(code, &marker) || has_word(comment, &marker) {
                findings.push(file.finding(
                    line,
                    format!("`{marker}`"),
                    "mend it, or write an issue about it and take the marker out",
                ));
            }
        }
    }
}

fn check_attributes(file: &File, source: &Source, findings: &mut Vec<Finding>) {
    for attribute in attributes(&source.code) {
        if attribute.switches_off_a_test() {
            findings.push(file.finding(
                attribute.line,
                "a test is switched off",
                "mend the test, or assert what happens today",
            ));
        }
        if attribute.silences_without_a_reason() {
            findings.push(file.finding(
                attribute.line,
                "a lint is silenced without a reason",
                "mend the code, or add `reason = \"...\"`",
            ));
        }
    }
}

/// A sample that is not compiled is a sample that is wrong before long.
fn check_doc_samples(file: &File, source: &Source, findings: &mut Vec<Finding>) {
    for (line, text) in numbered(&source.comments) {
        let text = text.trim_start().trim_start_matches(['/', '!', '*']).trim_start();
        let Some(info) = text.strip_prefix("```") else { continue };
        if has_word(info, "ignore") {
            findings.push(file.finding(
                line,
                "a sample that is not compiled",
                "let it compile (`no_run` if it can't run), or call it `text`",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file, *};

    /// What the rules say to a source whose head is in order.
    fn findings(body: &str) -> Vec<(usize, String)> {
        let mut findings = Vec::new();
        check(&file("a.rs", &format!("//! Docs.\n{body}")), &mut findings);
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn a_file_begins_with_module_docs() {
        let mut found = Vec::new();
        check(&file("a.rs", "// Docs?\n"), &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(findings("fn f() {}\n"), []);
    }

    #[test]
    fn a_file_has_at_most_800_lines() {
        assert_eq!(findings(&"\n".repeat(799)), []);
        let found = findings(&"\n".repeat(800));
        assert_eq!(found, [(801, "801 lines, at most 800 are allowed".to_owned())]);
    }

    #[test]
    fn unfinished_code_is_found_in_code_and_in_samples() {
        assert_eq!(findings("fn f() { todo!() }\n"), [(2, "`todo!`".to_owned())]);
        assert_eq!(findings("fn f() { dbg!(1); }\n"), [(2, "`dbg!`".to_owned())]);
        assert_eq!(findings("/// unimplemented!()\n").len(), 1);
        assert_eq!(findings("/// Not even `todo!` is allowed.\n"), []);
        assert_eq!(findings("let a = \"todo!()\";\n"), []);
    }

    #[test]
    fn markers_are_found_in_comments() {
        for marker in [["FIX", "ME"].concat(), "X".repeat(3)] {
            assert_eq!(findings(&format!("// {marker}: later\n")).len(), 1, "{marker}");
            assert_eq!(findings(&format!("let a = \"{marker}\";\n")), []);
        }
    }

    #[test]
    fn a_silenced_lint_needs_a_reason() {
        assert_eq!(findings("#[allow(dead_code)]\nfn f() {}\n").len(), 1);
        assert_eq!(findings("#[expect(dead_code, reason = \"b\")]\nfn f() {}\n"), []);
    }

    #[test]
    fn no_test_and_no_sample_is_switched_off() {
        assert_eq!(findings("#[test]\n#[ignore]\nfn f() {}\n").len(), 1);
        assert_eq!(findings("/// ```ignore\n/// ```\nfn f() {}\n").len(), 1);
        assert_eq!(findings("/// ```no_run\n/// ```\nfn f() {}\n"), []);
    }
}
