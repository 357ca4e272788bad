//! The wire suite as a program; `cargo xtask conformance` starts it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks on standard output and standard error"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use mqtt_conformance::{
    Expected, Profile, Report, Target, broker,
    client::{self, Subject},
    report,
};

/// Judges a broker or a client by every statement of the MQTT 5 standard that shows on the wire.
#[derive(Debug, Parser)]
struct Arguments {
    /// The broker, such as mqtt://127.0.0.1:1883
    #[arg(long, value_name = "URL", required_unless_present = "client")]
    broker: Option<String>,

    /// The client: a command with {port} and {scenario} in it
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["broker", "profile"])]
    client: Option<String>,

    /// What the broker's owner says of it, as TOML
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,

    /// Differences that are known and explained, as TOML; then these and no others have to show
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,

    /// Where to write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Where to write the report as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the suite; whether everything came out as it should.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let report = judge(arguments)?;
    print!("{}", report::text(&report));
    if let Some(path) = &arguments.json {
        write(path, &report::json(&report))?;
    }
    if let Some(path) = &arguments.junit {
        write(path, &report::junit(&report))?;
    }
    compare(arguments.expected.as_deref(), &report)
}

fn judge(arguments: &Arguments) -> Result<Report, String> {
    if let Some(command) = &arguments.client {
        if !command.contains("{port}") || !command.contains("{scenario}") {
            return Err("--client: the command has {port} and {scenario} in it".to_owned());
        }
        return Ok(client::judge(&Subject::new(command)));
    }
    let profile = match &arguments.profile {
        Some(path) => Profile::parse(&read(path)?).map_err(|error| named(path, error))?,
        None => Profile::default(),
    };
    let address = arguments.broker.as_deref().unwrap_or_default();
    Ok(broker::judge(&Target::reach(address, profile, &run_name())?))
}

/// Whether nothing failed, or only what is expected to.
fn compare(expected: Option<&Path>, report: &Report) -> Result<bool, String> {
    let Some(path) = expected else { return Ok(report.count("fail") == 0) };
    let expected = Expected::parse(&read(path)?).map_err(|error| named(path, error))?;
    let surprises = expected.surprises(report);
    for surprise in &surprises {
        println!("{surprise}");
    }
    Ok(surprises.is_empty())
}

/// A word that no other run uses: what an earlier one left is not met.
fn run_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut number = now.as_millis() + u128::from(std::process::id());
    let mut name = String::new();
    for _ in 0..6 {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        name.extend(char::from_digit(digit, 36));
        number /= 36;
    }
    name
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| named(path, error.to_string()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| named(path, error.to_string()))
}

fn named(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
