//! Medians of the rounds: a table for people, JSON for programs.

use serde_json::{Value, json};

use super::{
    Runs,
    rows::{FLOOR, Library, OURS, REFERENCE, Row},
};
use crate::bench::median;

/// What one client showed in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    /// Median microseconds for each message.
    micros: f64,
    /// The most memory of all rounds, in MiB.
    memory: f64,
}

fn figures(runs: &Runs) -> Option<Figures> {
    let runs = runs.as_ref().ok().filter(|runs| !runs.is_empty())?;
    let memory = runs.iter().map(|run| run.memory).max().unwrap_or(0);
    Some(Figures {
        micros: median(runs.iter().map(|run| run.micros)),
        memory: memory as f64 / f64::from(1 << 20),
    })
}

/// The time of the library with this name.
fn micros_of(name: &str, all: &[(&Library, Runs)]) -> Option<f64> {
    let (_, runs) = all.iter().find(|(library, _)| library.name == name)?;
    figures(runs).map(|figures| figures.micros)
}

/// The line above the table.
pub(super) fn heading() -> String {
    format!(
        "{:<15} {:<18} {:>10} {:>11} {:>9} {:>12}  {}\n",
        "row", "client", "us/message", "to rumqttc", "to floor", "most memory", "to reach"
    )
}

/// The lines of one row, with a newline behind each.
pub(super) fn table(row: &Row, all: &[(&'static Library, Runs)]) -> String {
    let mut text = String::new();
    for (library, runs) in all {
        let start = format!("{:<15} {:<18}", row.name, library.name);
        let Some(figures) = figures(runs) else {
            let reason = runs.as_ref().err().map_or("no rounds", String::as_str);
            text.push_str(&format!("{start} - {reason}\n"));
            continue;
        };
        let Figures { micros, memory } = figures;
        let ratio = |to: &str| {
            let other = micros_of(to, all).filter(|other| *other > 0.0);
            other.map_or_else(|| "-".to_owned(), |other| format!("{:.2}x", micros / other))
        };
        let goal = goal(row, library.name, micros);
        let line = format!(
            "{start} {micros:>10.2} {:>11} {:>9} {:>8.1} MiB  {goal}",
            ratio(REFERENCE),
            ratio(FLOOR),
            memory
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Ours have a mark whether they reach their goal.
fn goal(row: &Row, library: &str, micros: f64) -> String {
    if library != OURS || row.to_reach == 0.0 {
        return String::new();
    }
    format!("{:.2} {}", row.to_reach, if micros <= row.to_reach { "yes" } else { "no" })
}

/// The same for programs.
pub(super) fn json(row: &Row, all: &[(&'static Library, Runs)]) -> Vec<Value> {
    all.iter()
        .map(|(library, runs)| {
            let figures = figures(runs);
            json!({
                "row": row.name,
                "client": library.name,
                "microseconds": figures.map(|figures| figures.micros),
                "most_memory_mib": figures.map(|figures| figures.memory),
                "to_reach": (row.to_reach > 0.0).then_some(row.to_reach),
                "failure": runs.as_ref().err(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{
        Measured,
        rows::{LIBRARIES, ROWS},
    };
    use super::*;

    #[test]
    fn a_client_is_held_against_the_others_and_ours_against_its_goal() {
        let run = |micros| Measured { micros, memory: 3 << 20 };
        let all: Vec<_> = LIBRARIES
            .iter()
            .map(|library| match library.name {
                FLOOR => (library, Ok(vec![run(0.1)])),
                OURS => (library, Ok(vec![run(9.0), run(0.2), run(0.1)])),
                REFERENCE => (library, Ok(vec![run(2.0)])),
                _ => (library, Err("not built".to_owned())),
            })
            .collect();
        let text = table(&ROWS[0], &all);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].contains("0.10x     2.00x      3.0 MiB  0.30 yes"), "{}", lines[1]);
        assert!(lines[2].ends_with("1.00x    20.00x      3.0 MiB"), "{}", lines[2]);
        assert!(lines[3].ends_with("- not built"), "{}", lines[3]);
        assert_eq!(json(&ROWS[0], &all)[1]["microseconds"], 0.2);
    }
}
