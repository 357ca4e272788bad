//! Rules for the manifests of the workspace's crates.

use super::{File, Finding};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    // The root has the tables that the members refer to, and a crate that wants other tools or
    // other people's dependencies is a workspace of its own.
    let is_root = file.lines().any(|(_, line)| line == "[workspace]");
    if !file.path.ends_with("Cargo.toml") || is_root {
        return;
    }
    if !file.text.contains("[lints]\nworkspace = true\n") {
        findings.push(file.finding(
            1,
            "the crate does not take the lints of the workspace",
            "add a table [lints] with the line `workspace = true`",
        ));
    }
    for key in ["version", "edition", "rust-version", "license"] {
        if !file.lines().any(|(_, line)| line == format!("{key}.workspace = true")) {
            findings.push(file.finding(
                1,
                format!("the crate does not take its {key} from the workspace"),
                format!("write `{key}.workspace = true`"),
            ));
        }
    }
    let mut in_dependencies = false;
    for (line, text) in file.lines() {
        if text.starts_with('[') {
            in_dependencies = text.trim_end_matches(']').ends_with("dependencies");
        } else if in_dependencies && text.contains('=') && !text.contains("workspace = true") {
            findings.push(file.finding(
                line,
                "a version is written in a member",
                "write it in the root's [workspace.dependencies], and `workspace = true` here",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file, *};

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\n\
        [dependencies]\nbytes.workspace = true\n\
        tokio = { workspace = true, features = [\"net\"] }\n\n\
        [lints]\nworkspace = true\n";

    fn findings(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut findings = Vec::new();
        check(&file(path, text), &mut findings);
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn a_member_takes_everything_from_the_workspace() {
        assert_eq!(findings("crates/a/Cargo.toml", GOOD), []);
    }

    #[test]
    fn a_member_without_the_lints_is_found() {
        let text = GOOD.replace("[lints]", "[lint]");
        assert_eq!(findings("crates/a/Cargo.toml", &text).len(), 1);
    }

    #[test]
    fn an_edition_of_its_own_is_found() {
        let text = GOOD.replace("edition.workspace = true", "edition = \"2021\"");
        assert_eq!(findings("crates/a/Cargo.toml", &text).len(), 1);
    }

    #[test]
    fn a_version_in_a_member_is_found() {
        let text = GOOD.replace("bytes.workspace = true", "bytes = \"1\"");
        let found = findings("crates/a/Cargo.toml", &text);
        assert_eq!(found, [(9, "a version is written in a member".to_owned())]);
        let text = GOOD.replace("[dependencies]", "[target.'cfg(unix)'.dev-dependencies]");
        assert_eq!(findings("crates/a/Cargo.toml", &text), []);
    }

    #[test]
    fn a_workspace_of_its_own_is_no_member() {
        assert_eq!(
            findings("crates/a/fuzz/Cargo.toml", "[package]\nversion = \"0\"\n[workspace]\n"),
            []
        );
    }
}
