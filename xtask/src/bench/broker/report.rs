//! Medians of the rounds: a table for people, JSON for programs.

use serde_json::{Value, json};

use super::{
    ledger::Faults,
    peers::Peer,
    rows::{Figure, Measured, Row, Unit},
};
use crate::bench::median;

/// The peer that ratios are taken to.
const REFERENCE: &str = "mosquitto";

/// All runs of one broker in one row.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) row: &'static Row,
    pub(super) peer: &'static Peer,
    pub(super) outcome: Outcome,
}

/// What came of them.
#[derive(Debug)]
pub(super) enum Outcome {
    /// One measurement a round.
    Measured(Vec<Measured>),
    /// The broker cannot run the row, and why; or it failed.
    Without(String),
}

/// One figure of one broker, as both reports show it.
struct Line<'a> {
    runs: &'a Runs,
    figure: &'static Figure,
    measured: &'a [Measured],
    value: f64,
    to_reference: Option<f64>,
}

/// The lines of one row for the table, with a newline behind each.
pub(super) fn table(runs: &[Runs]) -> String {
    let mut text = String::new();
    for line in lines(runs) {
        text.push_str(&line.text());
    }
    for without in runs {
        if let Outcome::Without(reason) = &without.outcome {
            let name = without.peer.name;
            text.push_str(&format!("{:<44} {name:<17} - {reason}\n", without.row.title));
        }
    }
    text
}

/// The line above the table.
pub(super) fn heading() -> String {
    format!(
        "{:<44} {:<17} {:>10} {:>5}  {:>11} {:>9} {:>7}  {:>9} {:>6}  {:>6} {:>6} {:>6}  {}\n",
        "row",
        "broker",
        "median",
        "",
        "x mosquitto",
        "to reach",
        "reached",
        "msg/s",
        "faults",
        "broker",
        "load",
        "others",
        "configuration"
    )
}

/// The same for programs.
pub(super) fn json(runs: &[Runs]) -> Vec<Value> {
    let measured = lines(runs).map(|line| line.json());
    let without = runs.iter().filter_map(|runs| match &runs.outcome {
        Outcome::Measured(_) => None,
        Outcome::Without(reason) => Some(json!({
            "row": runs.row.name,
            "broker": runs.peer.name,
            "without": reason,
        })),
    });
    measured.chain(without).collect()
}

fn lines(runs: &[Runs]) -> impl Iterator<Item = Line<'_>> {
    runs.iter().flat_map(move |one| {
        let Outcome::Measured(measured) = &one.outcome else { return Vec::new() };
        let figures = one.row.figures.iter().enumerate();
        figures
            .map(|(at, figure)| {
                let value = median(values(measured, at));
                let reference = runs.iter().find_map(|other| match &other.outcome {
                    Outcome::Measured(measured) if other.peer.name == REFERENCE => {
                        Some(median(values(measured, at)))
                    }
                    Outcome::Measured(_) | Outcome::Without(_) => None,
                });
                let to_reference = reference.map(|reference| value / reference);
                Line { runs: one, figure, measured, value, to_reference }
            })
            .collect()
    })
}

fn values(measured: &[Measured], figure: usize) -> impl Iterator<Item = f64> {
    measured.iter().filter_map(move |one| one.values.get(figure).copied())
}

impl Line<'_> {
    fn title(&self) -> String {
        let title = self.runs.row.title;
        if self.runs.row.figures.len() > 1 {
            format!("{title}: {}", self.figure.name)
        } else {
            title.to_owned()
        }
    }

    /// Whether the figure is where it is to be, if that was said.
    fn is_reached(&self) -> Option<bool> {
        let to_reach = self.figure.to_reach?;
        Some(self.value <= to_reach && self.faults() == Faults::default())
    }

    fn faults(&self) -> Faults {
        self.measured.iter().fold(Faults::default(), |sum, one| Faults {
            lost: sum.lost + one.faults.lost,
            misplaced: sum.misplaced + one.faults.misplaced,
            damaged: sum.damaged + one.faults.damaged,
        })
    }

    fn rate(&self) -> Option<f64> {
        let rates: Vec<_> = self.measured.iter().filter_map(|one| one.rate).collect();
        (!rates.is_empty()).then(|| median(rates))
    }

    /// Shares of the wall time, in percent: broker, load, everybody else.
    fn shares(&self) -> Option<[f64; 3]> {
        let usages: Vec<_> = self.measured.iter().filter_map(|one| one.usage).collect();
        (!usages.is_empty()).then(|| {
            [
                median(usages.iter().map(|usage| usage.share(usage.broker))),
                median(usages.iter().map(|usage| usage.share(usage.load))),
                median(usages.iter().map(|usage| usage.share(usage.others))),
            ]
        })
    }

    fn config(&self) -> &'static str {
        self.runs.peer.config_for(self.runs.row.need).map_or("default", |config| config.name)
    }

    fn text(&self) -> String {
        let ratio = self.to_reference.map_or_else(dash, |ratio| format!("{ratio:.3}"));
        let rate = self.rate().map_or_else(dash, |rate| format!("{rate:.0}"));
        let faults = self.faults();
        let [broker, load, others] = self
            .shares()
            .map_or([const { String::new() }; 3], |all| all.map(|share| format!("{share:.0} %")));
        format!(
            "{:<44} {:<17} {:>10} {:>5}  {ratio:>11} {:>9} {:>7}  {rate:>9} {:>6}  {broker:>6} {load:>6} {others:>6}  {}\n",
            self.title(),
            self.runs.peer.name,
            number(self.value),
            self.figure.unit.symbol(),
            self.figure.to_reach.map_or_else(dash, number),
            self.is_reached().map_or("-", |is_reached| if is_reached { "yes" } else { "no" }),
            faults.lost + faults.misplaced + faults.damaged,
            self.config(),
        )
    }

    fn json(&self) -> Value {
        let faults = self.faults();
        let at = self.runs.row.figures.iter().position(|figure| figure.name == self.figure.name);
        let [broker, load, others] = self.shares().map_or([None; 3], |all| all.map(Some));
        json!({
            "row": self.runs.row.name,
            "figure": self.figure.name,
            "broker": self.runs.peer.name,
            "unit": self.figure.unit.symbol(),
            "median": self.value,
            "rounds": values(self.measured, at.unwrap_or(0)).collect::<Vec<_>>(),
            "to_reach": self.figure.to_reach,
            "reached": self.is_reached(),
            "ratio_to_mosquitto": self.to_reference,
            "messages_per_second": self.rate(),
            "lost": faults.lost,
            "misplaced": faults.misplaced,
            "damaged": faults.damaged,
            "broker_cpu_percent": broker,
            "load_cpu_percent": load,
            "others_cpu_percent": others,
            "configuration": self.config(),
        })
    }
}

impl Unit {
    fn symbol(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::Bytes => "bytes",
        }
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// Three digits that matter, or all of a large number.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
