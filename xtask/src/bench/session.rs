//! `cargo xtask bench session`: what an exchange of packets costs the state machines of both ends,
//! and what the subscription index costs.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{callgrind, median};
use crate::{
    error::Error,
    process::{output, program},
};

const USAGE: &str = "usage: cargo xtask bench session [--rounds N] [--json FILE]";

/// A row of the first table: client and server in memory, their codec included.
#[derive(Debug)]
struct Library {
    name: &'static str,
    /// Instructions a QoS 1 exchange, and allocations, when the goals were set; 0 for none.
    published: [f64; 2],
}

const OURS: &str = "mqtt-session";

const LIBRARIES: [Library; 3] = [
    Library { name: "floor", published: [736.0, 0.0] },
    Library { name: OURS, published: [0.0, 0.0] },
    Library { name: "mqtt-protocol-core", published: [10_139.0, 22.0] },
];

/// Instructions and allocations of a QoS 1 exchange.
const TO_REACH: [f64; 2] = [1500.0, 0.0];

/// The second table: how many filters an index holds.
const FILTERS: [usize; 3] = [1000, 100_000, 1_000_000];

/// What [`FILTERS`] is measured in, as `index-bench` prints it.
const INDEX_COLUMNS: [&str; 5] = ["add, ns", "match, ns", "no match, ns", "remove, ns", "bytes"];

/// What one library showed.
#[derive(Debug)]
struct Exchanges {
    library: &'static Library,
    /// Instructions by QoS.
    instructions: [f64; 3],
    /// Allocations of a QoS 1 exchange.
    allocations: f64,
}

/// What an index of one size showed.
#[derive(Debug)]
struct Index {
    filters: usize,
    /// Medians, in the order of [`INDEX_COLUMNS`].
    figures: [f64; 5],
    /// Bytes a filter that the allocator gave out.
    allocated: f64,
}

/// Builds the programs, measures, prints the tables.
pub(super) fn run(args: &[String]) -> Result<(), Error> {
    let options = Options::parse(args)?;
    let programs = callgrind::build_peers("session")?;
    let mut exchanges = Vec::new();
    for library in &LIBRARIES {
        eprintln!("measuring {}", library.name);
        exchanges.push(exchanges_of(library, &programs)?);
    }
    print_exchanges(&exchanges);
    let mut indexes = Vec::new();
    for filters in FILTERS {
        indexes.push(index(filters, options.rounds, &programs)?);
    }
    print_indexes(&indexes);
    if let Some(path) = &options.json {
        let all = json!({ "exchanges": json_of(&exchanges), "index": json_of_indexes(&indexes) });
        fs::write(path, format!("{all:#}\n")).map_err(|e| Error::from(e).context(path))?;
    }
    Ok(())
}

fn exchanges_of(library: &'static Library, programs: &Path) -> Result<Exchanges, Error> {
    let bench = programs.join("session-bench");
    let mut instructions = [0.0; 3];
    for (figure, qos) in instructions.iter_mut().zip(["0", "1", "2"]) {
        *figure = callgrind::instructions(&bench, &[library.name, qos])?;
    }
    let allocations =
        callgrind::printed(&programs.join("session-allocations"), &[library.name, "1"])?;
    Ok(Exchanges { library, instructions, allocations })
}

fn index(filters: usize, rounds: usize, programs: &Path) -> Result<Index, Error> {
    let count = filters.to_string();
    let mut all: [Vec<f64>; 5] = Default::default();
    for _ in 0..rounds {
        let text = output(program(programs.join("index-bench")).arg(&count))?;
        let printed: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        if printed.len() != all.len() {
            return Err(Error::new(format!("{text} is not {} numbers", all.len())));
        }
        for (column, figure) in all.iter_mut().zip(printed) {
            column.push(figure);
        }
    }
    let mut command = program(programs.join("session-allocations"));
    let text = output(command.args(["index", &count]))?;
    let bytes: f64 =
        text.trim().parse().map_err(|_| Error::new(format!("{text} is not a number")))?;
    Ok(Index { filters, figures: all.map(median), allocated: bytes / filters as f64 })
}

fn print_exchanges(rows: &[Exchanges]) {
    println!(
        "\n{:<26}{:>12}{:>12}{:>12}{:>22}",
        "instructions an exchange", "QoS 0", "QoS 1", "QoS 2", "allocations, QoS 1"
    );
    let [instructions_to_reach, allocations_to_reach] = TO_REACH;
    for row in rows {
        let name = row.library.name;
        let [qos0, qos1, qos2] = row.instructions;
        let qos1 = format!("{qos1:.0}{}", mark(name, qos1, instructions_to_reach));
        let allocations = row.allocations;
        let allocations =
            format!("{allocations:.1}{}", mark(name, allocations, allocations_to_reach));
        println!("{name:<26}{qos0:>12.0}{qos1:>12}{qos2:>12.0}{allocations:>22}");
        let [instructions, allocations] = row.library.published;
        if instructions > 0.0 {
            println!(
                "{:<26}{:>12}{instructions:>12.0}{:>12}{allocations:>22.1}",
                "  when goals were set", "", ""
            );
        }
    }
    println!(
        "{:<26}{:>12}{instructions_to_reach:>12.0}{:>12}{allocations_to_reach:>22.0}",
        "to reach", "", ""
    );
}

/// Ours have a mark whether they reach their goal.
fn mark(library: &str, figure: f64, to_reach: f64) -> &'static str {
    match (library == OURS, figure <= to_reach) {
        (false, _) => "",
        (true, true) => " yes",
        (true, false) => " no",
    }
}

fn print_indexes(rows: &[Index]) {
    let mut heading = format!("\n{:<26}", "index, each of its filters");
    for column in INDEX_COLUMNS {
        heading.push_str(&format!("{column:>14}"));
    }
    println!("{heading}{:>18}", "bytes allocated");
    for row in rows {
        let mut line = format!("{:<26}", format!("{} filters", row.filters));
        for figure in row.figures {
            line.push_str(&format!("{figure:>14.0}"));
        }
        println!("{line}{:>18.0}", row.allocated);
    }
}

fn json_of(rows: &[Exchanges]) -> Vec<Value> {
    let [instructions_to_reach, allocations_to_reach] = TO_REACH;
    rows.iter()
        .map(|row| {
            let [qos0, qos1, qos2] = row.instructions;
            json!({
                "library": row.library.name,
                "instructions_qos0": qos0,
                "instructions_qos1": qos1,
                "instructions_qos2": qos2,
                "instructions_qos1_to_reach": instructions_to_reach,
                "allocations_qos1": row.allocations,
                "allocations_qos1_to_reach": allocations_to_reach,
            })
        })
        .collect()
}

fn json_of_indexes(rows: &[Index]) -> Vec<Value> {
    rows.iter()
        .map(|row| {
            let [add, hit, miss, remove, accounted] = row.figures;
            json!({
                "filters": row.filters,
                "add_ns": add,
                "match_ns": hit,
                "no_match_ns": miss,
                "remove_ns": remove,
                "bytes_accounted": accounted,
                "bytes_allocated": row.allocated,
            })
        })
        .collect()
}

#[derive(Debug)]
struct Options {
    rounds: usize,
    json: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Error> {
        let mut options = Self { rounds: 3, json: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value =
                args.next().ok_or_else(|| Error::new(format!("{arg} needs a value\n{USAGE}")))?;
            match arg.as_str() {
                "--rounds" => {
                    options.rounds = value
                        .parse()
                        .ok()
                        .filter(|rounds| *rounds > 0)
                        .ok_or_else(|| Error::new(format!("{value} is no number of rounds")))?;
                }
                "--json" => options.json = Some(value.clone()),
                _ => return Err(Error::new(format!("there is no option {arg}\n{USAGE}"))),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_a_number_above_zero() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            Options::parse(&args)
        };
        assert_eq!(parse("").unwrap().rounds, 3);
        assert_eq!(parse("--rounds 5").unwrap().rounds, 5);
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--rounds").is_err());
        assert!(parse("--quick yes").is_err());
    }

    #[test]
    fn only_our_own_figures_are_marked() {
        assert_eq!(mark(OURS, 1500.0, 1500.0), " yes");
        assert_eq!(mark(OURS, 1501.0, 1500.0), " no");
        assert_eq!(mark("floor", 1.0, 1500.0), "");
    }
}
