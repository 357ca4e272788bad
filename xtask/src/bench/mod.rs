//! `cargo xtask bench`: measures the crates, with the peers that are installed beside them.

use crate::error::Error;

const USAGE: &str = "usage: cargo xtask bench [codec|session|broker]";

/// Runs the benchmark that the first argument names.
pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    match args.first() {
        None => Err(Error::new(USAGE)),
        Some(name) => Err(Error::new(format!("there is no benchmark {name}\n{USAGE}"))),
    }
}
