//! Rules for snapshots: each belongs to a test, and none waits for a review.

use super::{File, Finding};

pub(super) fn check(file: &File, files: &[File], findings: &mut Vec<Finding>) {
    if file.path.ends_with(".snap.new") {
        findings.push(file.finding(
            1,
            "a snapshot that nobody has reviewed",
            "if the change is right rename it to .snap, else mend the code and delete it",
        ));
    }
    if !file.path.ends_with(".snap") {
        return;
    }
    let source = file.lines().find_map(|(_, line)| line.strip_prefix("source: "));
    let Some(source) = source.map(|source| source.trim_matches('"')) else {
        findings.push(file.finding(
            1,
            "the snapshot does not name its test",
            "let the test write it anew",
        ));
        return;
    };
    if !files.iter().any(|other| other.path == source) {
        findings.push(file.finding(
            1,
            format!("the snapshot belongs to {source}, which is gone"),
            "delete it",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file, *};

    fn findings(path: &str, text: &str) -> usize {
        let mut findings = Vec::new();
        let files = [file("tests/tests/qos.rs", "")];
        check(&file(path, text), &files, &mut findings);
        findings.len()
    }

    #[test]
    fn a_snapshot_that_waits_for_a_review_is_found() {
        assert_eq!(findings("tests/tests/snapshots/qos__a.snap.new", ""), 1);
    }

    #[test]
    fn a_snapshot_belongs_to_a_test_that_is_there() {
        let path = "tests/tests/snapshots/qos__a.snap";
        assert_eq!(findings(path, "---\nsource: tests/tests/qos.rs\n---\nCONNECT\n"), 0);
        assert_eq!(findings(path, "---\nsource: tests/tests/gone.rs\n---\nCONNECT\n"), 1);
        assert_eq!(findings(path, "---\n---\nCONNECT\n"), 1);
    }
}
