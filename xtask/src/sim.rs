//! `cargo xtask sim`: worlds of clients and a broker in which everything fails that can, one
//! process for each core.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::thread::available_parallelism;

use crate::{
    args::Args,
    error::Error,
    notice::Notice,
    process::{cargo, program, run as run_program, target},
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

/// What `cargo xtask ci` runs: some schedules, the whole exhaustive set, and every sabotage.
pub(crate) fn check() -> Result<Vec<Notice>, Error> {
    swarm(0, None, Some(CI_SCHEDULES))?;
    exhaustive()?;
    sabotage()?;
    Ok(Vec::new())
}

/// Every part of the exhaustive set, a share of each on each core.
fn exhaustive() -> Result<(), Error> {
    let cores = cores();
    let shares = (0..cores).map(|core| {
        let share = format!("--exhaustive --seed {core} --step {cores}");
        share.split(' ').map(str::to_owned).collect()
    });
    let run = start(&shares.collect::<Vec<Vec<String>>>())?;
    for (part, totals) in &run.parts {
        println!("{part}: {}", totals.line());
    }
    println!("{}", run.totals.line());
    run.totals.verdict()
}

fn cores() -> u64 {
    available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Builds the state machines with every fault that can be made on purpose, in a folder of their
/// own, and shows that each is found.
fn sabotage() -> Result<(), Error> {
    let folder = target()?.join("sabotage");
    let flags = "--cfg mqtt_sabotage";
    run_program(
        cargo()
            .args(["run", "--release", "--quiet", "-p", "mqtt-tests", "--bin", "sim", "--"])
            .args(["--sabotage", SABOTAGE_SCHEDULES])
            .env("CARGO_TARGET_DIR", folder)
            .env("RUSTFLAGS", flags),
    )
}

/// Runs schedules with the seeds from `seed` on, until the time or their number is over.
fn swarm(seed: u64, seconds: Option<u64>, schedules: Option<u64>) -> Result<(), Error> {
    let cores = cores();
    let processes = (0..cores).map(|core| {
        let mut options = vec![("--seed", seed.wrapping_add(core)), ("--step", cores)];
        options.extend(seconds.map(|seconds| ("--seconds", seconds)));
        let share = |all: u64| all / cores + u64::from(core < all % cores);
        options.extend(schedules.map(|all| ("--schedules", share(all))));
        options.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect()
    });
    let totals = start(&processes.collect::<Vec<Vec<String>>>())?.totals;
    println!("{}", totals.line());
    totals.verdict()
}

/// Starts the simulator once with each list of arguments and adds up what they say.
fn start(processes: &[Vec<String>]) -> Result<Run, Error> {
    run_program(cargo().args([
        "build",
        "--release",
        "--quiet",
        "-p",
        "mqtt-tests",
        "--bin",
        "sim",
    ]))?;
    let binary = target()?.join("release/sim");
    let began = std::time::Instant::now();
    let mut children = Vec::new();
    for arguments in processes {
        let child = program(&binary).args(arguments).stdout(Stdio::piped()).spawn();
        children.push(child.map_err(|error| Error::from(error).context("sim"))?);
    }
    let mut run = Run::default();
    for mut child in children {
        let output = child.stdout.take().ok_or_else(|| Error::new("sim has no output"))?;
        let lines: Vec<String> = BufReader::new(output).lines().collect::<Result<_, _>>()?;
        child.wait()?;
        run.add(&lines)?;
    }
    run.totals.seconds = began.elapsed().as_secs_f64();
    Ok(run)
}

/// What all processes did, part by part if they named parts, and together.
#[derive(Debug, Default)]
struct Run {
    parts: Vec<(String, Totals)>,
    totals: Totals,
}

impl Run {
    /// Adds what one process has said: a line for each part behind its name, then one without.
    fn add(&mut self, lines: &[String]) -> Result<(), Error> {
        let Some((last, parts)) = lines.split_last() else {
            return Err(Error::new("the simulator ended without a word"));
        };
        for line in parts {
            let Some((name, rest)) = line.split_once(": ") else { continue };
            let Some(totals) = Totals::parse(rest) else { continue };
            match self.parts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => sum.add(totals),
                None => self.parts.push((name.to_owned(), totals)),
            }
        }
        self.totals.add(Totals::parse(last).ok_or_else(|| {
            Error::new(format!("the simulator ended without its totals; its last line: {last}"))
        })?);
        Ok(())
    }
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
    /// Reads the sums of one process.
    fn parse(line: &str) -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let schedules = number("schedules:")?;
        Some(Self {
            schedules,
            events: number("events:")?,
            violations: number("violations:")?,
            seconds: schedules as f64 / number("per second:")?.max(1) as f64,
        })
    }

    /// Adds what ran at the same time.
    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.events += other.events;
        self.violations += other.violations;
        self.seconds = self.seconds.max(other.seconds);
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
    fn what_processes_say_is_added_up_part_by_part_and_written_in_their_form() {
        let said = [
            "cuts: schedules: 10  events: 3000  per second: 5  violations: 1",
            "wills: schedules: 2  events: 600  per second: 2  violations: 0",
            "schedules: 12  events: 3600  per second: 4  violations: 1",
        ]
        .map(str::to_owned);
        let mut run = Run::default();
        run.add(&said).unwrap();
        run.add(&said).unwrap();
        let lines: Vec<_> =
            run.parts.iter().map(|(name, totals)| format!("{name}: {}", totals.line())).collect();
        assert_eq!(
            lines,
            [
                "cuts: schedules: 20  events: 6000  per second: 10  violations: 2",
                "wills: schedules: 4  events: 1200  per second: 4  violations: 0",
            ]
        );
        run.totals.seconds = 2.0;
        let sum = "schedules: 24  events: 7200  per second: 12  violations: 2";
        assert_eq!(run.totals.line(), sum);
    }

    #[test]
    fn a_process_that_ends_without_its_sums_is_an_error() {
        assert!(Run::default().add(&[]).is_err());
        assert!(Run::default().add(&["panicked".to_owned()]).is_err());
    }
}
