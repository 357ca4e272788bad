//! `cargo xtask deny`: which crates we depend on, under which licences, and from where. The rules
//! are in `deny.toml`.

use std::path::PathBuf;

use crate::{
    args::Args,
    cargo_tool::CARGO_DENY,
    error::Error,
    notice::{self, Notice},
    process::{program, run as run_program},
};

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    Args::new(args).finish()?;
    notice::settle(&check(&CARGO_DENY.ensure())?)
}

/// Checks everything that needs no network: advisories are in a database that has to be fetched.
pub(crate) fn check(cargo_deny: &Result<PathBuf, Notice>) -> Result<Vec<Notice>, Error> {
    match cargo_deny {
        Ok(cargo_deny) => {
            run_program(program(cargo_deny).args([
                "--workspace",
                "--all-features",
                "--locked",
                "check",
                "--hide-inclusion-graph",
                "--deny",
                "warnings",
                "bans",
                "licenses",
                "sources",
            ]))?;
            Ok(Vec::new())
        }
        Err(notice) => Ok(vec![notice.clone()]),
    }
}
