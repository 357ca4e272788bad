//! `cargo xtask bench broker`: what a delivered message costs a broker, beside other brokers.
//!
//! The load and the broker each have a core of their own. Every run has a fresh broker process;
//! the brokers take turns row by row, and a figure is the median of the rounds.

mod dial;
mod flow;
mod latency;
mod ledger;
mod link;
mod memory;
mod meter;
mod peers;
mod process;
mod relay;
mod report;
mod ring;
mod rows;

use std::fs;

use serde_json::json;

use self::{
    meter::Cores,
    peers::{Need, PEERS, Peer, Program},
    process::Broker,
    report::{Outcome, Runs},
    rows::{ROWS, Row},
};
use super::options::{self, Choice};
use crate::{
    args::Args,
    bench,
    error::Error,
    process::{output, program},
};

const USAGE: &str = "usage: cargo xtask bench broker [--row NAME,..] [--broker NAME,..] \
                     [--rounds N] [--quick] [--json FILE] [--cores LOAD,BROKER] [--list] [--install]";

type Options = options::Options<Row, Peer>;

/// What the arguments choose, and whether to install instead.
fn parse(args: &[String]) -> Result<(Options, bool), Error> {
    let mut args = Args::new(args);
    let rows = Choice { what: "row", all: ROWS, name: |row: &Row| row.name };
    let peers = Choice { what: "broker", all: PEERS, name: |peer: &Peer| peer.name };
    let options = Options::take(&mut args, &rows, &peers)?;
    let install = args.flag("--install");
    args.finish().map(|()| (options, install))
}

/// More than the connections of any row.
const OPEN_FILES: u64 = 12_000;

/// The relay that serves as floor; this command starts itself as `bench relay`.
pub(super) fn relay(args: &[String]) -> Result<(), Error> {
    if args.first().is_some_and(|arg| arg == "--version") {
        println!("relay of xtask {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    relay::run()
}

/// Runs the rows that the arguments choose.
pub(super) fn run(args: &[String]) -> Result<(), Error> {
    let (options, install) =
        parse(args).map_err(|error| Error::new(format!("{error}\n{USAGE}")))?;
    if options.list {
        for row in ROWS {
            println!("{:<15} {}", row.name, row.title);
        }
        for peer in PEERS {
            let installed = process::is_installed(peer);
            println!("{:<17} {}", peer.name, if installed { "" } else { "not installed" });
        }
        return Ok(());
    }
    if install {
        return options.peers.iter().try_for_each(|peer| process::install(peer));
    }
    if bench::is_debug_build() {
        // A load that is slower than the broker measures itself.
        return bench::again_in_release("broker", args);
    }
    if options.peers.iter().any(|peer| matches!(peer.program, Program::Workspace(_))) {
        bench::build_release("mqtt-broker-lite")?;
    }
    if options.rows.iter().any(|row| row.need.is_some_and(Need::is_transport)) {
        bench::build_peers("front")?;
    }
    let (load, broker) = options.cores;
    bench::settle_on(load)?;
    open_enough_files()?;

    let mut json = Vec::new();
    let mut versions = serde_json::Map::new();
    for peer in &options.peers {
        if process::is_installed(peer) {
            let version = process::version(peer)?;
            println!("{:<17} {version}", peer.name);
            versions.insert(peer.name.to_owned(), version.into());
        }
    }
    println!("{} round(s), load on core {load}, broker on core {broker}\n", options.rounds);
    print!("{}", report::heading());
    for row in &options.rows {
        let runs = measure(row, &options, Cores { load, broker });
        print!("{}", report::table(&runs));
        json.extend(report::json(&runs));
    }
    if let Some(path) = &options.json {
        let all = json!({
            "rounds": options.rounds,
            "quick": options.quick,
            "brokers": versions,
            "figures": json,
        });
        fs::write(path, format!("{all:#}\n")).map_err(|e| Error::from(e).context(path))?;
    }
    Ok(())
}

/// All rounds of one row, the brokers in turn.
fn measure(row: &'static Row, options: &Options, cores: Cores) -> Vec<Runs> {
    let mut all: Vec<_> = options
        .peers
        .iter()
        .map(|&peer| {
            let outcome = match peer.skips.iter().find(|(skipped, _)| *skipped == row.name) {
                Some((_, reason)) => Outcome::Without((*reason).to_owned()),
                None if !process::is_installed(peer) => Outcome::Without("not installed".into()),
                None if row.need.is_some_and(Need::is_transport)
                    && peer.config_for(row.need).is_none() =>
                {
                    Outcome::Without("not compared over this transport".into())
                }
                None => Outcome::Measured(Vec::new()),
            };
            Runs { row, peer, outcome }
        })
        .collect();
    for _ in 0..options.rounds {
        for runs in &mut all {
            let Outcome::Measured(measured) = &mut runs.outcome else { continue };
            let named = runs.peer.config_for(row.need);
            let result = Broker::start(runs.peer, cores, named)
                .and_then(|broker| row.measure(runs.peer, &broker, cores, options.quick));
            match result {
                Ok(one) => measured.push(one),
                // One failure is the broker's answer to this row; the others go on.
                Err(error) => {
                    runs.outcome = Outcome::Without(format!("failed: {error}").replace('\n', " "))
                }
            }
        }
    }
    all
}

/// Lets this process and its children open enough sockets.
fn open_enough_files() -> Result<(), Error> {
    let limit = format!("--nofile={OPEN_FILES}:");
    let limits = fs::read_to_string("/proc/self/limits")?;
    let open_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    if open_files.is_some_and(|files| files < OPEN_FILES) {
        let pid = std::process::id().to_string();
        output(program("prlimit").args(["--pid", &pid, &limit]))?;
    }
    Ok(())
}
