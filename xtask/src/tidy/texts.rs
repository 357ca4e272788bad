//! Rules for every text: what a machine or an editor left behind.

use super::{File, Finding, is_word};

/// Folders of one person's or one machine's, at the root of a file system.
const MACHINE_FOLDERS: &[&str] = &["work", "root", "home", "Users", "tmp/target"];

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    if file.has_extension("snap") || file.has_extension("new") {
        // A snapshot shows what a program wrote, blanks included.
        return;
    }
    for (line, text) in file.lines() {
        if text.ends_with([' ', '\t', '\r']) {
            findings.push(file.finding(
                line,
                "white space at the end of the line",
                "take it out (`cargo fmt` does it in Rust sources)",
            ));
        }
        if let Some(folder) = machine_folder(text) {
            findings.push(file.finding(
                line,
                format!("the path `/{folder}` exists on one machine only"),
                "name the file from the root of the workspace, or use a temporary folder",
            ));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        let last = file.lines().count();
        findings.push(file.finding(last, "the last line does not end", "end it with a newline"));
    }
}

/// The first path that begins with a folder of one machine's.
fn machine_folder(line: &str) -> Option<&'static str> {
    line.match_indices('/').find_map(|(at, _)| {
        let before = line.get(..at)?.chars().next_back();
        let begins = before.is_none_or(|before| {
            before.is_whitespace()
                || matches!(before, '"' | '\'' | '`' | '(' | '<' | '=' | ':' | ',')
        });
        let path = line.get(at + 1..)?;
        MACHINE_FOLDERS.iter().copied().find(|folder| {
            begins
                && path
                    .strip_prefix(folder)
                    .is_some_and(|after| !after.chars().next().is_some_and(is_word))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file, *};

    fn findings(text: &str) -> Vec<(usize, String)> {
        let mut findings = Vec::new();
        check(&file("a.md", text), &mut findings);
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn white_space_at_the_end_of_a_line_is_found() {
        assert_eq!(findings("a\nb \n").len(), 1);
        assert_eq!(findings("a\t\n").len(), 1);
        assert_eq!(findings("a\n\nb\n"), []);
    }

    #[test]
    fn the_last_line_ends() {
        assert_eq!(findings("a"), [(1, "the last line does not end".to_owned())]);
        assert_eq!(findings(""), []);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(findings(&format!("see /{folder}/a\n")).len(), 1, "{folder}");
            assert_eq!(findings(&format!("DIR=/{folder}\n")).len(), 1, "{folder}");
            assert_eq!(findings(&format!("a/{folder}/b\n")), [], "{folder}");
            assert_eq!(findings(&format!("/{folder}space\n")), [], "{folder}");
        }
    }
}
