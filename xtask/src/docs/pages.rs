//! What mdbook does not check of the book's pages: that each is linked, that links lead
//! somewhere, and that every sample of Rust is a file that the compiler sees.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::error::Error;

const SUMMARY: &str = "SUMMARY.md";

/// Checks the pages in the folder and returns what is wrong.
pub(super) fn check(folder: &Path) -> Result<Vec<String>, Error> {
    let mut pages = BTreeSet::new();
    collect(folder, Path::new(""), &mut pages)?;
    let mut findings = Vec::new();
    let mut linked = BTreeSet::new();
    for page in &pages {
        let text = fs::read_to_string(folder.join(page))?;
        for (line, target) in links(&text) {
            let target = resolve(page, target);
            if !folder.join(&target).exists() {
                findings.push(format!(
                    "docs/src/{}:{line}: the link to {} leads nowhere\n    \
                     fix: name a file, from the folder of the page",
                    page.display(),
                    target.display()
                ));
            }
            if page == Path::new(SUMMARY) {
                linked.insert(target);
            }
        }
        for (line, what) in sample_faults(&text) {
            findings.push(format!(
                "docs/src/{}:{line}: {what}\n    \
                 fix: make it a file in docs/examples and include that",
                page.display()
            ));
        }
        for (line, path, anchor) in anchored_includes(&text) {
            let included = fs::read_to_string(folder.join(resolve(page, path))).unwrap_or_default();
            if !included.contains(&format!("ANCHOR: {anchor}")) {
                findings.push(format!(
                    "docs/src/{}:{line}: {path} has no anchor {anchor}\n    \
                     fix: mark the lines with `// ANCHOR: {anchor}` and `// ANCHOR_END: {anchor}`",
                    page.display()
                ));
            }
        }
    }
    for page in pages.iter().filter(|page| *page != Path::new(SUMMARY) && !linked.contains(*page)) {
        findings.push(format!(
            "docs/src/{}: no chapter of the book\n    fix: link it in docs/src/{SUMMARY}",
            page.display()
        ));
    }
    Ok(findings)
}

fn collect(root: &Path, folder: &Path, pages: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.insert(path);
        }
    }
    Ok(())
}

/// A path that a page names, from the folder of all pages.
fn resolve(page: &Path, target: &str) -> PathBuf {
    let mut path = page.parent().map(Path::to_path_buf).unwrap_or_default();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." if path.file_name().is_some_and(|name| name != "..") => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}

/// The links to files, with their lines, outside blocks of code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in outside_code(text) {
        for (at, mark) in line.match_indices("](") {
            let target = line.get(at + mark.len()..).and_then(|rest| rest.split(')').next());
            let Some(target) = target.and_then(|target| target.split('#').next()) else { continue };
            let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !target.is_empty() && !is_elsewhere {
                found.push((number, target));
            }
        }
    }
    found
}

/// Blocks of Rust with code of their own: no compiler reads it.
fn sample_faults(text: &str) -> Vec<(usize, &'static str)> {
    let mut faults = Vec::new();
    let mut in_rust = false;
    let mut in_block = false;
    for (number, line) in numbered(text) {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            in_block = !in_block;
            let language = info.split(|c: char| !c.is_alphanumeric()).next();
            in_rust = in_block && matches!(language, Some("rust" | "rs"));
        } else if in_rust && !line.trim().is_empty() && !line.trim_start().starts_with("{{#") {
            faults.push((number, "a sample of Rust that no compiler reads"));
            in_rust = false;
        }
    }
    faults
}

/// Includes of a part of a file: line, path and the part's name.
fn anchored_includes(text: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for (number, line) in numbered(text) {
        let Some((_, include)) = line.split_once("include ") else { continue };
        let Some((include, _)) = include.split_once("}}") else { continue };
        let mut parts = include.trim().splitn(2, ':');
        let (Some(path), Some(anchor)) = (parts.next(), parts.next()) else { continue };
        if anchor.starts_with(|first: char| first.is_alphabetic()) {
            found.push((number, path, anchor));
        }
    }
    found
}

fn outside_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    numbered(text).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](a.md), [b](b/c.md#d) [e](https://f.g) [h](#h)\n```text\n[i](i.md)\n```\n";
        assert_eq!(links(text), [(1, "a.md"), (1, "b/c.md")]);
    }

    #[test]
    fn a_target_is_seen_from_its_page() {
        let page = Path::new("client/async.md");
        assert_eq!(resolve(page, "tls.md"), Path::new("client/tls.md"));
        assert_eq!(resolve(page, "../broker.md"), Path::new("broker.md"));
        assert_eq!(resolve(page, "../../examples/a.rs"), Path::new("../examples/a.rs"));
        assert_eq!(resolve(Path::new("a.md"), "../../x.rs"), Path::new("../../x.rs"));
    }

    #[test]
    fn rust_is_included_and_not_typed() {
        let typed = "text\n\n```rust,no_run\nfn main() {}\n```\n";
        assert_eq!(sample_faults(typed), [(4, "a sample of Rust that no compiler reads")]);
        let included = "```rust\n{{#rustdoc_include ../examples/a.rs}}\n```\n";
        assert_eq!(sample_faults(included), []);
        assert_eq!(sample_faults("```toml\na = 1\n```\nfn main() {}\n"), []);
    }

    #[test]
    fn the_part_of_an_include_is_found() {
        let text = "{{#include a.rs:loop}}\n{{#include a.rs:3:5}}\n{{#include a.rs}}\n";
        assert_eq!(anchored_includes(text), [(1, "a.rs", "loop")]);
    }

    #[test]
    fn the_pages_of_this_book_are_in_order() {
        let folder = crate::process::root().join("docs/src");
        assert_eq!(check(&folder).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_page_without_a_link_and_a_link_without_a_page_are_found() {
        let folder = std::env::temp_dir().join(format!("mqtt-pages-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(SUMMARY), "- [A](a.md)\n- [B](b.md)\n").unwrap();
        fs::write(folder.join("a.md"), "{{#include a.rs:part}}\n").unwrap();
        fs::write(folder.join("c.md"), "").unwrap();
        let findings = check(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let findings = findings.unwrap();
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings[0].starts_with("docs/src/SUMMARY.md:2: the link to b.md"));
        assert!(findings[1].starts_with("docs/src/a.md:1: a.rs has no anchor part"));
        assert!(findings[2].starts_with("docs/src/c.md: no chapter"));
    }
}
