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
use super::{count, named};
use crate::{bench, error::Error};

const USAGE: &str = "usage: cargo xtask bench client [--row NAME,..] [--client NAME,..] \
                     [--rounds N] [--quick] [--json FILE] [--cores SERVER,CLIENT] [--list]";

/// The cores of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cores {
    server: usize,
    client: usize,
}

/// All runs of one client in one row, or why there are none.
type Runs = Result<Vec<Measured>, String>;

/// Runs the rows that the arguments choose.
pub(super) fn run(args: &[String]) -> Result<(), Error> {
    let options = Options::parse(args)?;
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
    let programs = build(&options.libraries);
    bench::settle_on(options.cores.server)?;
    println!(
        "{} round(s), far end on core {}, client on core {}\n",
        options.rounds, options.cores.server, options.cores.client
    );
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
        options.libraries.iter().map(|library| (*library, Ok(Vec::new()))).collect();
    for _ in 0..options.rounds {
        for (library, runs) in &mut all {
            let Ok(measured) = runs else { continue };
            let one = match programs.get(library.workspace) {
                Some(Ok(programs)) => {
                    process::measure(row, library, programs, count, options.cores)
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

#[derive(Debug)]
struct Options {
    rows: Vec<&'static Row>,
    libraries: Vec<&'static Library>,
    rounds: usize,
    quick: bool,
    json: Option<String>,
    cores: Cores,
    list: bool,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Error> {
        let mut options = Self {
            rows: ROWS.iter().collect(),
            libraries: LIBRARIES.iter().collect(),
            rounds: 0,
            quick: false,
            json: None,
            cores: Cores { server: 0, client: 1 },
            list: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value =
                || args.next().ok_or_else(|| Error::new(format!("{arg} needs a value\n{USAGE}")));
            match arg.as_str() {
                "--row" => options.rows = named(value()?, "row", ROWS, |row| row.name)?,
                "--client" => {
                    options.libraries =
                        named(value()?, "client", LIBRARIES, |library| library.name)?;
                }
                "--rounds" => options.rounds = count(value()?)?,
                "--json" => options.json = Some(value()?.clone()),
                "--cores" => {
                    let (server, client) = value()?
                        .split_once(',')
                        .ok_or_else(|| Error::new("--cores takes two numbers: SERVER,CLIENT"))?;
                    options.cores = Cores { server: count(server)?, client: count(client)? };
                }
                "--quick" => options.quick = true,
                "--list" => options.list = true,
                _ => return Err(Error::new(format!("there is no option {arg}\n{USAGE}"))),
            }
        }
        if options.rounds == 0 {
            options.rounds = if options.quick { 1 } else { 3 };
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Error> {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args)
    }

    #[test]
    fn without_options_every_client_runs_every_row_in_three_rounds() {
        let options = parse("").unwrap();
        assert_eq!((options.rows.len(), options.libraries.len()), (ROWS.len(), LIBRARIES.len()));
        assert_eq!((options.rounds, options.quick), (3, false));
    }

    #[test]
    fn a_list_chooses_rows_and_clients_in_the_order_of_the_table() {
        let options = parse("--row receive-q1-64,publish-q0-64 --client rumqttc --quick").unwrap();
        let rows: Vec<_> = options.rows.iter().map(|row| row.name).collect();
        assert_eq!(rows, ["publish-q0-64", "receive-q1-64"]);
        assert_eq!(options.rounds, 1);
        assert!(parse("--client nobody").unwrap_err().to_string().contains("rumqttc"));
    }
}
