//! The outage run: clients that publish and receive through a network that cuts, stalls, delays and
//! trickles, at a broker that is killed and started again. At the end everything is counted.
//!
//! `outages --seconds N [--seed S]`; `cargo xtask outages` builds and starts it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command does")]

mod broker;
mod ledger;
mod network;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use crate::broker::Broker;
use crate::world::World;

const USAGE: &str = "usage: outages --seconds N [--seed S]";

/// What an error of the run is, as opposed to a violation that it found.
type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    seconds: u64,
    seed: u64,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut seconds, mut seed) = (None, 1);
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().ok_or_else(|| format!("{arg} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{arg}: {value} is no number"))
        };
        match arg.as_str() {
            "--seconds" => seconds = Some(number()?),
            "--seed" => seed = number()?,
            _ => return Err(format!("{arg} is not known")),
        }
    }
    let seconds = seconds.ok_or_else(|| "--seconds is needed".to_owned())?;
    Ok(Options { seconds, seed })
}

/// Runs one broker after the other; true without a violation.
async fn run(options: &Options) -> Result<bool, Failure> {
    let time = Duration::from_secs(options.seconds);
    let mut brokers = vec![Broker::ours().await?];
    match Broker::mosquitto()? {
        Some(mosquitto) => brokers.push(mosquitto),
        None => println!("mosquitto is not installed: only our own broker is run"),
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut worlds = Vec::new();
    for broker in brokers {
        worlds.push(World::begin(broker, options.seed).await?);
    }
    let runs = worlds.into_iter().map(|world| world.run(time));
    let mut violations = 0;
    for account in futures_util::future::try_join_all(runs).await? {
        print!("{account}");
        violations += account.violations();
    }
    let left = world::tasks_left(tasks).await;
    println!("tasks left: {left}");
    violations += u64::try_from(left)?;
    println!("seconds: {}  seed: {}  violations: {violations}", options.seconds, options.seed);
    Ok(violations == 0)
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
