//! `cargo xtask docs`: the API documentation and the book, with every warning an error.

use std::path::{Path, PathBuf};

use crate::{
    args::Args,
    cargo_tool::MDBOOK,
    error::Error,
    notice::{self, Notice},
    process::{cargo, program, root, run as run_program, target},
};

mod pages;

/// The folder of the book, with its `book.toml`.
const BOOK: &str = "docs";

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    Args::new(args).finish()?;
    let notices = check(&MDBOOK.ensure())?;
    println!("the documentation is in {}", target()?.join("doc").display());
    if notices.is_empty() {
        println!("the book is in {}", book_folder()?.display());
    }
    notice::settle(&notices)
}

/// Builds both; without mdbook the book's pages are checked and not built.
pub(crate) fn check(mdbook: &Result<PathBuf, Notice>) -> Result<Vec<Notice>, Error> {
    run_program(
        cargo()
            .args(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )?;
    let findings = pages::check(&root().join(BOOK).join("src"))?;
    Error::from_findings(&findings, "faults in the book")?;
    match mdbook {
        Ok(mdbook) => build_book(mdbook).map(|()| Vec::new()),
        Err(notice) => Ok(vec![notice.clone()]),
    }
}

fn build_book(mdbook: &Path) -> Result<(), Error> {
    let mut build = program(mdbook);
    build.arg("build").arg("--dest-dir").arg(book_folder()?).arg(BOOK);
    // At this level it speaks of warnings and errors only, and it ends with success after both.
    let output = build.env("MDBOOK_LOG", "warn").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.trim().is_empty() {
        return Ok(());
    }
    Err(Error::new(format!("mdbook ended with {}\n{}", output.status, said.trim_end())))
}

fn book_folder() -> Result<PathBuf, Error> {
    Ok(target()?.join("book"))
}
