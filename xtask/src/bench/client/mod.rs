//! `cargo xtask bench client`: what a message costs a client, beside other clients.
//!
//! The client and the far end each have a core of their own. Every run has a fresh process; the
//! clients take turns row by row, and a figure is the median of the rounds.

mod process;
mod report;
mod rows;
mod server;

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::json;

use self::{
    process::Measured,
    rows::{LIBRARIES, Library, ROWS, Row},
};
use super::options::{self, Choice};
use crate::{args::Args, bench, error::Error};

const USAGE: &str = "usage: cargo xtask bench client [--row NAME,..] [--client NAME,..] \
                     [--rounds N] [--quick] [--json FILE] [--cores SERVER,CLIENT] [--list]";

type Options = options::Options<Row, Library>;

fn parse(args: &[String]) -> Result<Options, Error> {
    let mut args = Args::new(args);
    let rows = Choice { what: "row", all: ROWS, name: |row: &Row| row.name };
    let clients = Choice { what: "client", all: LIBRARIES, name: |library: &Library| library.name };
    let options = Options::take(&mut args, &rows, &clients)?;
    args.finish().map(|()| options)
}

/// All runs of one client in one row, or why there are none.
type Runs = Result<Vec<Measured>, String>;

/// Runs the rows that the arguments choose.
pub(super) fn run(args: &[String]) -> Result<(), Error> {
    let options = parse(args).map_err(|error| Error::new(format!("{error}\n{USAGE}")))?;
    if options.list {
        for row in ROWS {
            println!("{}", row.name);
        }
        for library in LIBRARIES {
            println!("{}", library.name);
        }
        return Ok(());
    }
    if bench::is_debug_build() {
        // A far end that is slower than the client would make it write more often.
        return bench::again_in_release("client", args);
    }
    let programs = build(&options.peers);
    let (server, client) = options.cores;
    bench::settle_on(server)?;
    println!("{} round(s), far end on core {server}, client on core {client}\n", options.rounds);
    print!("{}", report::heading());
    let mut json = Vec::new();
    for row in &options.rows {
        let runs = measure(row, &options, &programs);
        print!("{}", report::table(row, &runs));
        json.extend(report::json(row, &runs));
    }
    if let Some(path) = &options.json {
        let all = json!({ "rounds": options.rounds, "quick": options.quick, "figures": json });
        fs::write(path, format!("{all:#}\n")).map_err(|e| Error::from(e).context(path))?;
    }
    Ok(())
}

/// Builds the workspaces of these libraries: where their programs are, or why there are none. One
/// that does not build here does not keep the others from their rows.
fn build(libraries: &[&Library]) -> BTreeMap<&'static str, Result<PathBuf, String>> {
    let mut programs = BTreeMap::new();
    for library in libraries {
        programs.entry(library.workspace).or_insert_with(|| {
            eprintln!("building xtask/peers/{}", library.workspace);
            bench::build_peers(library.workspace).map_err(|error| error.to_string())
        });
    }
    programs
}

/// All rounds of one row, the clients in turn.
fn measure(
    row: &Row,
    options: &Options,
    programs: &BTreeMap<&'static str, Result<PathBuf, String>>,
) -> Vec<(&'static Library, Runs)> {
    let count = if options.quick { row.count / 10 } else { row.count };
    let mut all: Vec<(_, Runs)> =
        options.peers.iter().map(|library| (*library, Ok(Vec::new()))).collect();
    for _ in 0..options.rounds {
        for (library, runs) in &mut all {
            let Ok(measured) = runs else { continue };
            let one = match programs.get(library.workspace) {
                Some(Ok(programs)) => {
                    process::measure(row, library, programs, count, options.cores.1)
                        .map_err(|error| format!("failed: {error}"))
                }
                Some(Err(error)) => Err(format!("not built: {error}")),
                None => Err("not built".to_owned()),
            };
            match one {
                Ok(one) => measured.push(one),
                // One failure is the client's answer to this row; the others go on.
                Err(error) => *runs = Err(error.replace('\n', " ")),
            }
        }
    }
    all
}
