//! `cargo xtask conformance`: for each statement of the standard, where it is obeyed and by which
//! tests that is proved; and the wire suite that judges any broker or client by the same list.

use std::fs;

use crate::{
    args::Args,
    error::Error,
    process::{cargo, root, run as run_program},
    tidy::{self, citations},
};

mod citing;
mod matrix;
mod page;
mod proofs;
mod runner;

use matrix::Matrix;

/// The page of the book that is written from the matrix.
const PAGE: &str = "docs/src/conformance-matrix.md";

/// Flags that ask for the wire suite.
const WIRE: &[&str] = &["--broker", "--client"];

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    let is_wire = |arg: &String| {
        let name = arg.split('=').next().unwrap_or_default();
        WIRE.contains(&name)
    };
    if args.iter().any(is_wire) {
        // A crate of its own, so that whoever runs any other check does not build the codec first.
        return run_program(
            cargo().args(["run", "--quiet", "--package", "mqtt-conformance", "--"]).args(args),
        );
    }
    let mut args = Args::new(args);
    let only_checks = args.flag("--fresh");
    args.finish()?;
    if only_checks {
        return check();
    }
    prove()
}

/// Checks without running a test that each statement is cited in code and named by a test, and
/// that the page of the book says so.
pub(crate) fn check() -> Result<(), Error> {
    let matrix = collect()?;
    let mut findings = matrix.gaps();
    let written = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    if written != page::write(&matrix) {
        findings.push(format!(
            "{PAGE}: the page is older than the sources\n    fix: run `cargo xtask conformance`"
        ));
    }
    Error::from_findings(&findings, "gaps in the conformance matrix")
}

/// Runs the tests that prove statements, prints the matrix and writes the page.
fn prove() -> Result<(), Error> {
    let mut matrix = collect()?;
    let results = runner::run(&matrix.targets())?;
    matrix.enter(&results);
    println!("{}", page::text(&matrix));
    let page = page::write(&matrix);
    fs::write(root().join(PAGE), page).map_err(|error| Error::from(error).context(PAGE))?;
    let mut findings = matrix.gaps();
    findings.extend(matrix.failures());
    Error::from_findings(&findings, "statements without a proof that holds")
}

/// The matrix without results; an id that does not exist is an error.
fn collect() -> Result<Matrix, Error> {
    let files = tidy::files_of_the_workspace()?;
    let mut findings = Vec::new();
    let ids = citations::known_ids(&files, &mut findings);
    // The page is written anew; what it said before is no matter.
    for file in files.iter().filter(|file| file.path != PAGE) {
        citations::check(file, &ids, &mut findings);
    }
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Error::from_findings(&findings, "citations of what does not exist")?;
    let targets = runner::targets()?;
    Matrix::collect(&files, &targets)
}
