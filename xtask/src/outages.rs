//! `cargo xtask outages`: clients in a network that cuts, stalls, delays and trickles, at brokers of
//! which one is killed again and again; everything is counted at the end.

use crate::{
    args::Args,
    error::Error,
    notice::Notice,
    process::{cargo, run as run_program},
};

/// How long a run takes that nobody says anything else of.
const SECONDS: u64 = 120;

/// How long the one of `cargo xtask ci` takes.
const CI_SECONDS: u64 = 10;

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    let mut args = Args::new(args);
    let seconds: u64 = args.value("--seconds")?.unwrap_or(SECONDS);
    let seed: u64 = args.value("--seed")?.unwrap_or(1);
    args.finish()?;
    start(seconds, seed)
}

/// What `cargo xtask ci` runs.
pub(crate) fn check() -> Result<Vec<Notice>, Error> {
    start(CI_SECONDS, 1)?;
    Ok(Vec::new())
}

fn start(seconds: u64, seed: u64) -> Result<(), Error> {
    let mut command = cargo();
    command.args(["run", "--quiet", "-p", "mqtt-tests", "--example", "outages", "--"]);
    command.args(["--seconds", &seconds.to_string(), "--seed", &seed.to_string()]);
    run_program(&mut command)
}
