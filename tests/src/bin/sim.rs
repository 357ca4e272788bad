//! Runs simulated schedules in one thread: `sim --seed S --schedules N | --seconds N`.
//!
//! `cargo xtask sim` builds this program and starts one for each core. Each schedule has a seed of
//! its own, counted up from the first in steps of `--step`. The last line on standard output has
//! the totals; failures are written to standard error, shortened, as tests.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks on standard output and standard error"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "the program is a test: what it cannot go on with it says by panicking"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use mqtt_tests::sim::exhaustive::{self, Share};
use mqtt_tests::sim::swarm::{Failure, run};
use mqtt_tests::sim::{Totals, shrink};

/// Failures that are shortened and written down; the others are counted.
const SHOWN: u64 = 5;

/// Schedules between two looks at the clock.
const STRIDE: u64 = 64;

/// With a sabotage a share of the exhaustive set is run, one of so many.
#[cfg(mqtt_sabotage)]
const SABOTAGED_SHARE: u64 = 64;

fn main() -> ExitCode {
    let options = Options::read();
    // Panics become failures, which tell the text.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(seed) = options.show {
        return show(seed);
    }
    #[cfg(mqtt_sabotage)]
    if let Some(most) = options.sabotage {
        return sabotage(most);
    }
    let totals = if options.is_exhaustive { exhaustive(&options) } else { swarm(&options) };
    println!("{totals}");
    if totals.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug)]
struct Options {
    /// The first seed, and the way from each to the next.
    seed: u64,
    step: u64,
    schedules: Option<u64>,
    seconds: Option<u64>,
    /// Runs every part of the exhaustive set instead, or the share of it that `--seed` names of
    /// `--step`.
    is_exhaustive: bool,
    /// Tells the story of the schedule of this seed.
    show: Option<u64>,
    /// Tries out every sabotage, each in so many schedules at most.
    #[cfg(mqtt_sabotage)]
    sabotage: Option<u64>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            seed: 0,
            step: 1,
            schedules: None,
            seconds: None,
            is_exhaustive: false,
            show: None,
            #[cfg(mqtt_sabotage)]
            sabotage: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            if name == "--exhaustive" {
                options.is_exhaustive = true;
                continue;
            }
            let value = args.next().and_then(|value| value.parse().ok());
            let value: u64 = value.unwrap_or_else(|| panic!("{name} needs a number"));
            match name.as_str() {
                "--seed" => options.seed = value,
                "--step" => options.step = value,
                "--schedules" => options.schedules = Some(value),
                "--seconds" => options.seconds = Some(value),
                "--show" => options.show = Some(value),
                #[cfg(mqtt_sabotage)]
                "--sabotage" => options.sabotage = Some(value),
                _ => panic!("{name}: unknown"),
            }
        }
        options
    }
}

fn swarm(options: &Options) -> Totals {
    let began = Instant::now();
    let end = options.seconds.map(Duration::from_secs);
    let mut totals = Totals::default();
    let mut seed = options.seed;
    while options.schedules.is_none_or(|count| totals.schedules < count) {
        if totals.schedules.is_multiple_of(STRIDE) && end.is_some_and(|end| began.elapsed() >= end)
        {
            break;
        }
        totals.schedules += 1;
        match run(seed) {
            Ok(events) => totals.events += events as u64,
            Err(failure) => {
                totals.events += failure.events.len() as u64;
                totals.violations += 1;
                if totals.violations <= SHOWN {
                    tell(seed, &failure);
                }
            }
        }
        seed = seed.wrapping_add(options.step);
    }
    totals.seconds = began.elapsed().as_secs_f64();
    totals
}

/// Each part has a line of its own, in front of the last one.
fn exhaustive(options: &Options) -> Totals {
    let mut shown = 0;
    let share = Share { number: options.seed, of: options.step };
    exhaustive::run(
        share,
        |schedule, fault| {
            shown += 1;
            if shown <= SHOWN {
                eprintln!("{schedule}: {fault}");
            }
        },
        |part, totals| println!("{part}: {totals}"),
    )
}

/// Writes a failure down, shortened, as a test.
fn tell(seed: u64, failure: &Failure) {
    eprintln!("seed {seed}: {}", failure.fault);
    let short = shrink::shorten(failure);
    eprintln!("{}", shrink::as_test(&format!("seed_{seed}"), &short));
}

/// Tells what happens in the schedule of a seed, and then in the shortened one.
fn show(seed: u64) -> ExitCode {
    match run(seed) {
        Ok(events) => {
            println!("seed {seed}: {events} events, and every invariant holds");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let short = shrink::shorten(&failure);
            println!("{:#?}\n{}", short.setup, shrink::narrate(&short));
            println!("{}", shrink::as_test(&format!("seed_{seed}"), &short));
            ExitCode::FAILURE
        }
    }
}

/// Writes a table of all sabotages: the invariant that each breaks, the first schedule that showed
/// it and the first that showed anything.
#[cfg(mqtt_sabotage)]
fn sabotage(most: u64) -> ExitCode {
    let mut missed = 0;
    for finding in mqtt_tests::sim::sabotage::find_all(most) {
        let name = format!("{:?}", finding.sabotage);
        let text = |schedule: Option<u64>| schedule.map_or("none".to_owned(), |n| n.to_string());
        let (found, first) = (text(finding.found), text(finding.first));
        let (what, expected) = (finding.sabotage.what(), finding.expected);
        println!("| {expected:?} | {name}: {what} | {found} | {first} |");
        missed += u64::from(finding.found.is_none());
    }
    println!();
    let blind = sabotage_exhaustively();
    println!("sabotages: {}  not found: {missed}", mqtt_session::Sabotage::ALL.len());
    if missed + blind == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes a table of how many schedules of a share of each part of the exhaustive set find each
/// sabotage. Returns how many parts find none at all.
#[cfg(mqtt_sabotage)]
fn sabotage_exhaustively() -> u64 {
    use std::collections::BTreeMap;
    let share = Share { number: 0, of: SABOTAGED_SHARE };
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, (sabotage, parts)) in mqtt_tests::sim::sabotage::find_in_parts(share).enumerate() {
        let row = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
        if number == 0 {
            let names = parts.iter().map(|(name, _)| (*name).to_owned());
            row(std::iter::once("fault".to_owned()).chain(names).collect());
            let counts = parts.iter().map(|(_, totals)| format!("of {}", totals.schedules));
            row(std::iter::once("-".to_owned()).chain(counts).collect());
        }
        let mut cells = vec![format!("{sabotage:?}")];
        for (name, totals) in parts {
            *found.entry(name).or_default() += totals.violations;
            cells.push(totals.violations.to_string());
        }
        row(cells);
    }
    for (part, _) in found.iter().filter(|(_, count)| **count == 0) {
        println!("{part}: finds no sabotage at all");
    }
    found.values().filter(|count| **count == 0).count() as u64
}
