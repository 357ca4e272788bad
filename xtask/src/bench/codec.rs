//! `cargo xtask bench codec`: instructions a packet, under callgrind, beside other codecs.

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use super::callgrind;
use crate::error::Error;

const USAGE: &str =
    "usage: cargo xtask bench codec [--library NAME,..] [--case NAME,..] [--json FILE]";

/// A column: packets to decode or to encode, and the figure to stay at or below.
#[derive(Debug)]
struct Column {
    job: &'static str,
    case: &'static str,
    to_reach: f64,
}

impl Column {
    fn is_decoded_stream(&self) -> bool {
        self.job == "decode" && self.case == "stream"
    }
}

const fn decode(case: &'static str, to_reach: f64) -> Column {
    Column { job: "decode", case, to_reach }
}

const fn encode(case: &'static str, to_reach: f64) -> Column {
    Column { job: "encode", case, to_reach }
}

const COLUMNS: [Column; 9] = [
    decode("pub0", 400.0),
    decode("pub1", 1650.0),
    decode("connect", 2400.0),
    decode("subscribe10", 3400.0),
    decode("puback", 135.0),
    decode("stream", 370.0),
    encode("pub0", 190.0),
    encode("pub1", 400.0),
    encode("stream", 205.0),
];

/// Allocations for each packet of the stream, when decoding.
const ALLOCATIONS_TO_REACH: f64 = 0.0;

/// A row: a codec, and what it showed when the figures to reach were set.
#[derive(Debug)]
struct Library {
    name: &'static str,
    /// In the order of [`COLUMNS`]; 0 where there is none.
    published: [f64; 9],
    /// Why decoding the stream tells nothing about this library.
    stream_skip: Option<&'static str>,
}

const OURS: &str = "mqtt-codec";

const LIBRARIES: &[Library] = &[
    Library {
        name: "floor",
        published: [191.0, 200.0, 0.0, 0.0, 0.0, 152.0, 48.0, 163.0, 44.0],
        stream_skip: None,
    },
    Library { name: OURS, published: [0.0; 9], stream_skip: None },
    Library {
        name: "rumqttc",
        published: [640.0, 2731.0, 4931.0, 5594.0, 424.0, 686.0, 212.0, 900.0, 230.0],
        stream_skip: None,
    },
    Library {
        name: "mqttbytes",
        published: [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 192.0, 846.0, 208.0],
        // A forgotten dbg! in its UNSUBSCRIBE.
        stream_skip: Some("it prints a line for every UNSUBSCRIBE"),
    },
    Library {
        name: "rmqtt-codec",
        published: [929.0, 1909.0, 2903.0, 3434.0, 436.0, 866.0, 0.0, 0.0, 0.0],
        stream_skip: None,
    },
];

/// What one library showed.
#[derive(Debug)]
struct Row {
    library: &'static Library,
    /// In the order of [`COLUMNS`]; an error where the library refused the packets.
    counts: Vec<Option<Result<f64, String>>>,
    allocations: Option<Result<f64, String>>,
}

/// Builds the programs, measures, prints the tables.
pub(super) fn run(args: &[String]) -> Result<(), Error> {
    let options = Options::parse(args)?;
    let programs = Programs::build()?;
    let mut rows = Vec::new();
    for library in LIBRARIES {
        if options.libraries.as_ref().is_none_or(|names| names.iter().any(|n| n == library.name)) {
            eprintln!("measuring {}", library.name);
            rows.push(programs.measure(library, &options)?);
        }
    }
    print_table("decode", &rows);
    print_table("encode", &rows);
    if let Some(path) = &options.json {
        let all = json!({ "unit": "instructions a packet", "libraries": json_of(&rows) });
        fs::write(path, format!("{all:#}\n")).map_err(|e| Error::from(e).context(path))?;
    }
    Ok(())
}

/// The programs that do the work, outside the workspace.
#[derive(Debug)]
struct Programs {
    bench: PathBuf,
    allocations: PathBuf,
}

impl Programs {
    fn build() -> Result<Self, Error> {
        let folder = callgrind::build_peers("codec")?;
        Ok(Self {
            bench: folder.join("codec-bench"),
            allocations: folder.join("codec-allocations"),
        })
    }

    fn measure(&self, library: &'static Library, options: &Options) -> Result<Row, Error> {
        let counts = COLUMNS
            .iter()
            .map(|column| {
                if !options.wants(column.case) {
                    return Ok(None);
                }
                if let Some(reason) = library.stream_skip.filter(|_| column.is_decoded_stream()) {
                    return Ok(Some(Err(reason.to_owned())));
                }
                if let Err(refusal) = self.check(library, column.case) {
                    // Another codec may write the same packet otherwise; ours may not.
                    if library.name == OURS {
                        return Err(Error::new(format!("{} is wrong: {refusal}", column.case)));
                    }
                    if column.job == "decode" && !refusal.contains("other bytes") {
                        return Ok(Some(Err(refusal)));
                    }
                }
                let args = [library.name, column.case, column.job];
                callgrind::instructions(&self.bench, &args).map(|count| Some(Ok(count)))
            })
            .collect::<Result<_, Error>>()?;
        let allocations = match library.stream_skip {
            _ if !options.wants("stream") => None,
            Some(reason) => Some(Err(reason.to_owned())),
            None => {
                let args = [library.name, "stream", "decode"];
                Some(Ok(callgrind::printed(&self.allocations, &args)?))
            }
        };
        Ok(Row { library, counts, allocations })
    }

    /// Whether the library takes the packets and gives the same bytes back.
    fn check(&self, library: &Library, case: &str) -> Result<(), String> {
        let count = if case == "stream" { "1000" } else { "1" };
        let mut command = Command::new(&self.bench);
        let output = command
            .args([library.name, case, "check", count])
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn print_table(job: &str, rows: &[Row]) {
    let columns: Vec<_> = COLUMNS.iter().enumerate().filter(|(_, c)| c.job == job).collect();
    let with_allocations = job == "decode";

    let mut heading = format!("\n{:<26}", format!("{job}, instructions"));
    for (_, column) in &columns {
        heading.push_str(&format!("{:>14}", column.case));
    }
    if with_allocations {
        heading.push_str(&format!("{:>14}", "allocations"));
    }
    println!("{heading}");

    let mut notes = Vec::new();
    for row in rows {
        let name = row.library.name;
        let mut line = format!("{name:<26}");
        for (at, column) in &columns {
            let count = row.counts.get(*at).and_then(Option::as_ref);
            line.push_str(&cell(count, name, column.to_reach));
            if let Some(Err(reason)) = count {
                notes.push(format!("{name}, {}: {reason}", column.case));
            }
        }
        if with_allocations {
            line.push_str(&cell(row.allocations.as_ref(), name, ALLOCATIONS_TO_REACH));
        }
        println!("{line}");
        if columns.iter().any(|(at, _)| published(row, *at).is_some()) {
            let mut line = format!("{:<26}", "  when goals were set");
            for (at, _) in &columns {
                let figure = published(row, *at).map_or_else(String::new, |f| format!("{f:.0}"));
                line.push_str(&format!("{figure:>14}"));
            }
            println!("{line}");
        }
    }
    let mut line = format!("{:<26}", "to reach");
    for (_, column) in &columns {
        line.push_str(&format!("{:>14.0}", column.to_reach));
    }
    if with_allocations {
        line.push_str(&format!("{ALLOCATIONS_TO_REACH:>14.0}"));
    }
    println!("{line}");
    for note in notes {
        println!("  {note}");
    }
}

fn published(row: &Row, at: usize) -> Option<f64> {
    row.library.published.get(at).copied().filter(|figure| *figure > 0.0)
}

/// A figure; ours with a mark whether it reaches its goal.
fn cell(count: Option<&Result<f64, String>>, library: &str, to_reach: f64) -> String {
    match count {
        None => format!("{:>14}", ""),
        Some(Err(_)) => format!("{:>14}", "-"),
        Some(Ok(count)) => {
            let decimals = usize::from(*count < 10.0 && *count > 0.0);
            let mark = match (library == OURS, *count <= to_reach) {
                (false, _) => "",
                (true, true) => " yes",
                (true, false) => " no",
            };
            format!("{:>14}", format!("{count:.decimals$}{mark}"))
        }
    }
}

fn json_of(rows: &[Row]) -> Vec<Value> {
    let figure = |count: Option<&Result<f64, String>>| match count {
        Some(Ok(count)) => json!(count),
        Some(Err(reason)) => json!({ "without": reason }),
        None => Value::Null,
    };
    rows.iter()
        .map(|row| {
            let figures: Vec<_> = COLUMNS
                .iter()
                .zip(&row.counts)
                .map(|(column, count)| {
                    json!({
                        "job": column.job,
                        "case": column.case,
                        "to_reach": column.to_reach,
                        "instructions": figure(count.as_ref()),
                    })
                })
                .collect();
            json!({
                "library": row.library.name,
                "figures": figures,
                "allocations_in_stream": figure(row.allocations.as_ref()),
            })
        })
        .collect()
}

#[derive(Debug, Default)]
struct Options {
    libraries: Option<Vec<String>>,
    cases: Option<Vec<String>>,
    json: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value =
                args.next().ok_or_else(|| Error::new(format!("{arg} needs a value\n{USAGE}")))?;
            let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
            match arg.as_str() {
                "--library" => options.libraries = Some(list()),
                "--case" => options.cases = Some(list()),
                "--json" => options.json = Some(value.clone()),
                _ => return Err(Error::new(format!("there is no option {arg}\n{USAGE}"))),
            }
        }
        let known = |name: &String| LIBRARIES.iter().any(|library| library.name == *name);
        if let Some(name) = options.libraries.iter().flatten().find(|name| !known(name)) {
            let names: Vec<_> = LIBRARIES.iter().map(|library| library.name).collect();
            let names = names.join(", ");
            return Err(Error::new(format!("there is no library {name}; there are {names}")));
        }
        let known = |name: &String| COLUMNS.iter().any(|column| column.case == *name);
        if let Some(name) = options.cases.iter().flatten().find(|name| !known(name)) {
            return Err(Error::new(format!("there is no case {name}")));
        }
        Ok(options)
    }

    fn wants(&self, case: &str) -> bool {
        self.cases.as_ref().is_none_or(|cases| cases.iter().any(|wanted| wanted == case))
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
    fn the_measured_packets_are_in_the_project() {
        let cases = crate::process::read("xtask/peers/codec/codec.hex").unwrap();
        for column in COLUMNS {
            assert!(cases.lines().any(|line| line.split(' ').next() == Some(column.case)));
        }
    }

    #[test]
    fn only_what_was_asked_for_is_measured() {
        let options = parse("--case pub0,stream --library mqtt-codec").unwrap();
        assert!(options.wants("stream") && !options.wants("pub1"));
        assert_eq!(options.libraries.as_deref(), Some(["mqtt-codec".to_owned()].as_slice()));
        assert!(parse("--case nothing").is_err());
        assert!(parse("--library nothing").is_err());
    }

    #[test]
    fn only_our_own_figures_are_marked() {
        assert_eq!(cell(Some(&Ok(395.2)), OURS, 400.0).trim(), "395 yes");
        assert_eq!(cell(Some(&Ok(400.6)), OURS, 400.0).trim(), "401 no");
        assert_eq!(cell(Some(&Ok(0.3)), "rumqttc", 0.0).trim(), "0.3");
    }
}
