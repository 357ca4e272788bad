//! `cargo xtask sim`: worlds of clients and a broker in which everything fails that can, one
//! process for each core.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::available_parallelism;

use crate::{
    args::Args,
    error::Error,
    notice::Notice,
    process::{cargo, program, root, run as run_program},
};

const USAGE: &str = "usage: sim --seconds N | --schedules N | --exhaustive | --sabotage [--seed S]";

/// Schedules in which each fault that is made on purpose has to be found.
const SABOTAGE_SCHEDULES: &str = "3000";

/// How many random schedules `cargo xtask ci` runs: the same on every machine, so that a change is
/// judged and not the speed of a machine.
const CI_SCHEDULES: u64 = 40_000;

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    let mut args = Args::new(args);
    let seconds: Option<u64> = args.value("--seconds")?;
    let schedules: Option<u64> = args.value("--schedules")?;
    let seed: u64 = args.value("--seed")?.unwrap_or(0);
    let is_sabotage = args.flag("--sabotage");
    let is_exhaustive = args.flag("--exhaustive");
    args.finish()?;
    if is_sabotage {
        return sabotage();
    }
    if is_exhaustive {
        return exhaustive();
    }
    if seconds.is_none() && schedules.is_none() {
        return Err(Error::new(USAGE));
    }
    swarm(seed, seconds, schedules)
}

/// What `cargo xtask ci` runs: some schedules, every cut of the scripts, and every sabotage.
pub(crate) fn check() -> Result<Vec<Notice>, Error> {
    swarm(0, None, Some(CI_SCHEDULES))?;
    exhaustive()?;
    sabotage()?;
    Ok(Vec::new())
}

/// Every scripted session, cut behind every byte.
fn exhaustive() -> Result<(), Error> {
    let totals = start(&[vec!["--exhaustive".to_owned()]])?;
    println!("{}", totals.line());
    totals.verdict()
}

/// Builds the state machines with every fault that can be made on purpose, in a folder of their
/// own, and shows that each is found.
fn sabotage() -> Result<(), Error> {
    let folder = target().join("sabotage");
    let flags = "--cfg mqtt_sabotage";
    run_program(
        cargo()
            .args(["run", "--release", "--quiet", "-p", "mqtt-tests", "--bin", "sim", "--"])
            .args(["--sabotage", SABOTAGE_SCHEDULES])
            .env("CARGO_TARGET_DIR", folder)
            .env("RUSTFLAGS", flags),
    )
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Runs schedules with the seeds from `seed` on, until the time or their number is over.
fn swarm(seed: u64, seconds: Option<u64>, schedules: Option<u64>) -> Result<(), Error> {
    let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
    let processes = (0..cores).map(|core| {
        let mut options = vec![("--seed", seed.wrapping_add(core)), ("--step", cores)];
        options.extend(seconds.map(|seconds| ("--seconds", seconds)));
        let share = |all: u64| all / cores + u64::from(core < all % cores);
        options.extend(schedules.map(|all| ("--schedules", share(all))));
        options.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect()
    });
    let totals = start(&processes.collect::<Vec<Vec<String>>>())?;
    println!("{}", totals.line());
    totals.verdict()
}

/// Starts the simulator once with each list of arguments and adds up what they say last.
fn start(processes: &[Vec<String>]) -> Result<Totals, Error> {
    run_program(cargo().args([
        "build",
        "--release",
        "--quiet",
        "-p",
        "mqtt-tests",
        "--bin",
        "sim",
    ]))?;
    let binary = target().join("release/sim");
    let began = std::time::Instant::now();
    let mut children = Vec::new();
    for arguments in processes {
        let child = program(&binary).args(arguments).stdout(Stdio::piped()).spawn();
        children.push(child.map_err(|error| Error::from(error).context("sim"))?);
    }
    let mut totals = Totals::default();
    for mut child in children {
        let output = child.stdout.take().ok_or_else(|| Error::new("sim has no output"))?;
        let lines: Vec<String> = BufReader::new(output).lines().collect::<Result<_, _>>()?;
        child.wait()?;
        let last = lines.last().map(String::as_str).unwrap_or_default();
        totals.add(Totals::parse(last).ok_or_else(|| {
            Error::new(format!("the simulator ended without its totals; its last line: {last}"))
        })?);
    }
    totals.seconds = began.elapsed().as_secs_f64();
    Ok(totals)
}

/// What all processes did together.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Totals {
    schedules: u64,
    events: u64,
    violations: u64,
    seconds: f64,
}

impl Totals {
    /// Reads the last line of one process.
    fn parse(line: &str) -> Option<Self> {
        let number = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            schedules: number("schedules:")?,
            events: number("events:")?,
            violations: number("violations:")?,
            seconds: 0.0,
        })
    }

    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.events += other.events;
        self.violations += other.violations;
    }

    fn line(&self) -> String {
        let rate = (self.schedules as f64 / self.seconds.max(0.001)) as u64;
        let Self { schedules, events, violations, .. } = self;
        format!(
            "schedules: {schedules}  events: {events}  per second: {rate}  violations: {violations}"
        )
    }

    fn verdict(&self) -> Result<(), Error> {
        if self.violations == 0 {
            return Ok(());
        }
        // Not an error with a text: the totals stay the last line.
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_of_processes_are_added_up_and_written_in_their_form() {
        let line = "schedules: 12  events: 3600  per second: 2000  violations: 1";
        let mut totals = Totals::parse(line).unwrap();
        totals.add(Totals::parse(line).unwrap());
        totals.seconds = 2.0;
        let sum = "schedules: 24  events: 7200  per second: 12  violations: 2";
        assert_eq!(totals.line(), sum);
        assert_eq!(Totals::parse("panicked"), None);
    }
}
