//! Counting with programs that live outside the workspace, beside the peers they measure.
//!
//! Instruction counts repeat exactly, so two runs of a program with different amounts of work tell
//! what a piece of it costs: start-up and preparation are in both and drop out.

use std::path::{Path, PathBuf};

use crate::{
    error::Error,
    process::{output, program, succeeds},
};

/// The two runs of every measurement, in pieces of work.
const FEWER: usize = 1000;
const MORE: usize = 3000;

/// Builds the workspace in `xtask/peers/NAME` and returns the folder with its programs.
pub(super) fn build_peers(name: &str) -> Result<PathBuf, Error> {
    if !succeeds(program("valgrind").arg("--version")) {
        return Err(Error::new("valgrind is not installed: its callgrind counts the instructions"));
    }
    super::build_peers(name)
}

/// Instructions for a piece of work of a program that takes the number of pieces as last argument.
pub(super) fn instructions(path: &Path, args: &[&str]) -> Result<f64, Error> {
    each(|count| {
        let mut command = program("valgrind");
        command
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(path)
            .args(args)
            .arg(count.to_string());
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        text.lines()
            .filter(|_| output.status.success())
            .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
            .ok_or_else(|| Error::new(format!("{}: {text}", args.join(" "))))
    })
}

/// The same for a program that prints what it counted.
pub(super) fn printed(path: &Path, args: &[&str]) -> Result<f64, Error> {
    each(|count| {
        let text = output(program(path).args(args).arg(count.to_string()))?;
        text.trim().parse().map_err(|_| Error::new(format!("{text} is not a number")))
    })
}

fn each(mut count: impl FnMut(usize) -> Result<u64, Error>) -> Result<f64, Error> {
    let (more, fewer) = (count(MORE)?, count(FEWER)?);
    Ok((more as f64 - fewer as f64) / (MORE - FEWER) as f64)
}
