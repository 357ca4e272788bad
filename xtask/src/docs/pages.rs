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
    for line in lines(text).into_iter().filter(|line| line.language.is_none()) {
        for (at, mark) in line.text.match_indices("](") {
            let target = line.text.get(at + mark.len()..).and_then(|rest| rest.split(')').next());
            let Some(target) = target.and_then(|target| target.split('#').next()) else { continue };
            let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !target.is_empty() && !is_elsewhere {
                found.push((line.number, target));
            }
        }
    }
    found
}

/// Lines of Rust in a page that are not included from a file: no compiler reads them.
fn sample_faults(text: &str) -> Vec<(usize, &'static str)> {
    lines(text)
        .into_iter()
        .filter(|line| matches!(line.language, Some("rust" | "rs")))
        .filter(|line| !line.text.trim().is_empty() && !line.text.trim().starts_with("{{#"))
        .map(|line| (line.number, "a sample of Rust that no compiler reads"))
        .collect()
}

/// Includes of a part of a file: line, path and the part's name.
fn anchored_includes(text: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for line in lines(text) {
        // A backslash in front shows the include instead of following it.
        if line.text.contains("\\{{") {
            continue;
        }
        let Some((_, include)) = line.text.split_once("include ") else { continue };
        let Some((include, _)) = include.split_once("}}") else { continue };
        let Some((path, anchor)) = include.trim().split_once(':') else { continue };
        if anchor.starts_with(|first: char| first.is_alphabetic()) {
            found.push((line.number, path, anchor));
        }
    }
    found
}

/// A line of a page that is no fence around a block of code.
#[derive(Debug)]
struct Line<'a> {
    /// Counted from 1.
    number: usize,
    text: &'a str,
    /// Inside a block, its language; it may be empty.
    language: Option<&'a str>,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    // The marks that the block began with, and its language.
    let mut block: Option<(usize, &str)> = None;
    for (index, text) in text.lines().enumerate() {
        let trimmed = text.trim();
        let after = trimmed.trim_start_matches('`');
        let marks = trimmed.len() - after.len();
        block = match block {
            Some((open, _)) if marks >= open && after.is_empty() => None,
            None if marks >= 3 => {
                let language = after.split(|c: char| !c.is_alphanumeric()).next();
                Some((marks, language.unwrap_or_default()))
            }
            _ => {
                let language = block.map(|(_, language)| language);
                lines.push(Line { number: index + 1, text, language });
                block
            }
        };
    }
    lines
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
        assert_eq!(sample_faults("````text\n```rust\nfn main() {}\n```\n````\n"), []);
    }

    #[test]
    fn the_part_of_an_include_is_found() {
        let text = "{{#include a.rs:loop}}\n{{#include a.rs:3:5}}\n{{#include a.rs}}\n";
        assert_eq!(anchored_includes(text), [(1, "a.rs", "loop")]);
        assert_eq!(anchored_includes(r"\{{#include a.rs:shown}}"), []);
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
