//! The rows of the table: what each measures, what others showed there, and what is to be reached.

use std::time::Duration;

use super::{
    flow::{Flow, Length, Plan},
    latency,
    ledger::{Faults, Routes},
    memory,
    meter::{Cores, Usage},
    peers::{Need, Peer},
    process::Broker,
};
use crate::error::Error;

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    /// What `--row` and the JSON call it.
    pub(super) name: &'static str,
    /// What the table calls it.
    pub(super) title: &'static str,
    /// What it asks of a broker beyond ordinary limits.
    pub(super) need: Option<Need>,
    /// What it measures, in the order of [`Measured::values`].
    pub(super) figures: &'static [Figure],
    /// How it is measured.
    pub(super) load: Load,
}

/// One number of a row.
#[derive(Debug)]
pub(super) struct Figure {
    /// What the JSON calls it, and the table if the row has several.
    pub(super) name: &'static str,
    /// Its unit.
    pub(super) unit: Unit,
    /// The number to stay at or below, where there is one.
    pub(super) to_reach: Option<f64>,
}

/// A unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Microseconds.
    Micros,
    /// Bytes.
    Bytes,
}

/// How a row is measured.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// A steady flow; the function tells who sends what to whom.
    Flow(fn() -> Plan),
    /// One QoS 1 message a millisecond.
    Latency,
    /// Connected clients, with a subscription each or without.
    Connections { subscribed: bool },
    /// Many filters of few clients, then messages that match them.
    Filters,
    /// Many retained messages, then subscribers to all of them.
    Retained,
}

/// What one run of a row showed.
#[derive(Debug)]
pub(super) struct Measured {
    /// One value for each figure of the row.
    pub(super) values: Vec<f64>,
    /// Messages delivered in a second, where the row has a rate of its own.
    pub(super) rate: Option<f64>,
    /// What the measured part cost, where it has a duration.
    pub(super) usage: Option<Usage>,
    /// What went wrong.
    pub(super) faults: Faults,
}

const MICROS: Unit = Unit::Micros;
const BYTES: Unit = Unit::Bytes;

const fn cpu(to_reach: f64) -> Figure {
    Figure { name: "CPU a message", unit: MICROS, to_reach: Some(to_reach) }
}

/// What nobody has measured before there is nothing to reach for.
const COMPARED: Figure = Figure { name: "CPU a message", unit: MICROS, to_reach: None };

/// Every row, in the order of the table.
pub(super) const ROWS: &[Row] = &[
    flow("q0-64", "QoS 0 1:1, 64 B", &[cpu(0.36)], || one_to_one(0, 64)),
    flow("q0-1k", "QoS 0 1:1, 1 KiB", &[cpu(1.1)], || one_to_one(0, 1024)),
    Row {
        need: Some(Need::LargeMessages),
        ..flow("q0-64k", "QoS 0 1:1, 64 KiB", &[cpu(40.0)], || one_to_one(0, 64 << 10))
    },
    flow("q1-64", "QoS 1 1:1, 64 B", &[cpu(1.0)], || one_to_one(1, 64)),
    flow("q2-64", "QoS 2 1:1, 64 B", &[cpu(1.9)], || one_to_one(2, 64)),
    flow("fan-out-q0", "fan-out 1:100, QoS 0", &[cpu(0.18)], || fan_out(0)),
    flow("fan-out-q1", "fan-out 1:100, QoS 1", &[cpu(0.30)], || fan_out(1)),
    flow("fan-in-q0", "fan-in 100:1, QoS 0", &[cpu(0.42)], fan_in),
    flow("pairs-q0", "100 pairs, QoS 0", &[cpu(0.9)], || pairs(0)),
    flow("pairs-q1", "100 pairs, QoS 1", &[cpu(1.4)], || pairs(1)),
    flow("one-at-a-time", "one message at a time", &[cpu(38.0)], one_at_a_time),
    over(Need::Tls, "tls-q0-64", "TLS, QoS 0 1:1, 64 B", || one_to_one(0, 64)),
    over(Need::Tls, "tls-q1-64", "TLS, QoS 1 1:1, 64 B", || one_to_one(1, 64)),
    over(Need::Tls, "tls-q0-1k", "TLS, QoS 0 1:1, 1 KiB", || one_to_one(0, 1024)),
    over(Need::WebSocket, "ws-q0-64", "WebSocket, QoS 0 1:1, 64 B", || one_to_one(0, 64)),
    over(Need::WebSocket, "ws-q1-64", "WebSocket, QoS 1 1:1, 64 B", || one_to_one(1, 64)),
    over(Need::WebSocket, "ws-q0-1k", "WebSocket, QoS 0 1:1, 1 KiB", || one_to_one(0, 1024)),
    Row {
        name: "latency",
        title: "latency p50, 1,000 msg/s, QoS 1",
        need: None,
        figures: &[Figure { name: "p50", unit: MICROS, to_reach: Some(58.0) }],
        load: Load::Latency,
    },
    Row {
        name: "idle",
        title: "idle connection",
        need: None,
        figures: &[Figure { name: "each", unit: BYTES, to_reach: Some(400.0) }],
        load: Load::Connections { subscribed: false },
    },
    Row {
        name: "subscribed",
        title: "connection, one subscription",
        need: None,
        figures: &[Figure { name: "each", unit: BYTES, to_reach: Some(750.0) }],
        load: Load::Connections { subscribed: true },
    },
    Row {
        name: "filters",
        title: "100,000 filters",
        need: Some(Need::ManyFilters),
        figures: &[
            Figure { name: "a filter", unit: BYTES, to_reach: Some(300.0) },
            Figure { name: "CPU a matched message", unit: MICROS, to_reach: Some(1.4) },
        ],
        load: Load::Filters,
    },
    Row {
        name: "retained",
        title: "100,000 retained",
        need: None,
        figures: &[
            Figure { name: "each", unit: BYTES, to_reach: Some(300.0) },
            Figure { name: "CPU a replayed message", unit: MICROS, to_reach: Some(0.8) },
        ],
        load: Load::Retained,
    },
];

const fn over(need: Need, name: &'static str, title: &'static str, plan: fn() -> Plan) -> Row {
    Row { need: Some(need), ..flow(name, title, &[COMPARED], plan) }
}

const fn flow(
    name: &'static str,
    title: &'static str,
    figures: &'static [Figure],
    plan: fn() -> Plan,
) -> Row {
    Row { name, title, need: None, figures, load: Load::Flow(plan) }
}

/// Connections of the memory rows; as many as this project's broker takes by default.
const CONNECTIONS: usize = 10_000;

const RETAINED: usize = 100_000;

const CLIENTS: usize = 100;

fn one_to_one(qos: u8, payload_len: usize) -> Plan {
    Plan {
        qos,
        payload_len,
        publishers: vec![vec!["bench/one/to/one".to_owned()]],
        subscribers: vec![vec!["bench/one/to/one".to_owned()]],
        routes: Routes::All,
        ahead: 1000,
        window: 100,
    }
}

fn one_at_a_time() -> Plan {
    Plan { ahead: 1, ..one_to_one(0, 64) }
}

fn fan_out(qos: u8) -> Plan {
    let subscribers = vec![vec!["bench/one/to/one".to_owned()]; CLIENTS];
    Plan { subscribers, ahead: 100, ..one_to_one(qos, 64) }
}

fn fan_in() -> Plan {
    let publishers = vec![vec!["bench/one/to/one".to_owned()]; CLIENTS];
    Plan { publishers, ahead: 15, ..one_to_one(0, 64) }
}

fn pairs(qos: u8) -> Plan {
    let topics: Vec<_> = (0..CLIENTS).map(|n| vec![format!("bench/pair/{n:03}")]).collect();
    Plan {
        publishers: topics.clone(),
        subscribers: topics,
        routes: Routes::Pairs,
        ahead: 20,
        ..one_to_one(qos, 64)
    }
}

/// 80,000 exact filters, 10,000 with `+` and 10,000 with `#`, dealt out to 10 clients; every
/// published topic matches exactly one of them, and each kind is matched about as often as it
/// occurs.
fn filters() -> Plan {
    let mut filters = Vec::new();
    let mut topics = Vec::new();
    for site in 0..200 {
        for device in 0..400 {
            let exact = format!("plant/{site:03}/device-{device:03}/motor/temperature");
            if device % 8 == 0 {
                topics.push(exact.clone());
            }
            filters.push(exact);
        }
        for kind in 0..50 {
            filters.push(format!("plant/{site:03}/+/alarm/severity-{kind:02}"));
            filters.push(format!("depot/{site:03}/device-{kind:03}/#"));
            if kind % 8 == 0 {
                topics.push(format!("plant/{site:03}/device-{kind:03}/alarm/severity-{kind:02}"));
                topics.push(format!("depot/{site:03}/device-{kind:03}/motor/temperature"));
            }
        }
    }
    // Neighbours in the list are neighbours in the broker's index: take them far apart.
    let len = topics.len();
    let topics = (0..len).filter_map(|at| topics.get(at * 7919 % len).cloned()).collect();
    let mut subscribers = vec![Vec::new(); 10];
    for (at, filter) in filters.into_iter().enumerate() {
        if let Some(subscriber) = subscribers.get_mut(at % 10) {
            subscriber.push(filter);
        }
    }
    Plan { publishers: vec![topics], subscribers, routes: Routes::One, ..one_to_one(0, 64) }
}

impl Row {
    /// Runs the row once against a broker that was just started.
    pub(super) fn measure(
        &self,
        peer: &Peer,
        broker: &Broker,
        cores: Cores,
        quick: bool,
    ) -> Result<Measured, Error> {
        let (address, protocol) = (broker.address(), peer.protocol);
        match self.load {
            Load::Flow(plan) => {
                let flow = Flow::connect(address, protocol, &plan())?;
                let outcome = flow.run(broker, cores, length(quick))?;
                let delivered = outcome.delivered;
                Ok(Measured {
                    values: vec![outcome.usage.broker_micros_per(delivered)],
                    rate: Some(per_second(delivered, outcome.usage)),
                    usage: Some(outcome.usage),
                    faults: outcome.faults,
                })
            }
            Load::Latency => {
                let count = if quick { 800 } else { 4000 };
                let latency = latency::measure(broker, address, protocol, cores, count)?;
                Ok(Measured {
                    values: vec![latency.median.as_secs_f64() * 1e6],
                    rate: Some(per_second(latency.messages, latency.usage)),
                    usage: Some(latency.usage),
                    faults: latency.faults,
                })
            }
            Load::Connections { subscribed } => {
                let filters = |number| {
                    subscribed
                        .then(|| format!("clients/{number:05}/commands"))
                        .into_iter()
                        .collect()
                };
                // Whatever the first connection alone makes a broker allocate is not a connection's.
                drop(memory::clients(address, protocol, 1, filters)?);
                let (each, _clients) = memory::growth(broker, CONNECTIONS, || {
                    memory::clients(address, protocol, CONNECTIONS, filters)
                })?;
                Ok(Measured::of_memory(each))
            }
            Load::Filters => {
                let plan = filters();
                let count = plan.subscribers.iter().map(Vec::len).sum();
                let (each, flow) =
                    memory::growth(broker, count, || Flow::connect(address, protocol, &plan))?;
                let outcome = flow.run(broker, cores, length(quick))?;
                let delivered = outcome.delivered;
                Ok(Measured {
                    values: vec![each, outcome.usage.broker_micros_per(delivered)],
                    rate: Some(per_second(delivered, outcome.usage)),
                    usage: Some(outcome.usage),
                    faults: outcome.faults,
                })
            }
            Load::Retained => {
                let (each, ()) = memory::growth(broker, RETAINED, || {
                    memory::retain(address, protocol, RETAINED)
                })?;
                let times = if quick { 2 } else { 10 };
                let replay = memory::replay(broker, address, protocol, cores, RETAINED, times)?;
                Ok(Measured {
                    values: vec![each, replay.usage.broker_micros_per(replay.delivered)],
                    rate: Some(per_second(replay.delivered, replay.usage)),
                    usage: Some(replay.usage),
                    faults: replay.faults,
                })
            }
        }
    }
}

impl Measured {
    fn of_memory(each: f64) -> Self {
        Self { values: vec![each], rate: None, usage: None, faults: Faults::default() }
    }
}

fn length(quick: bool) -> Length {
    let millis = Duration::from_millis;
    if quick {
        Length { warm_up: millis(100), work: millis(300), at_most: millis(800) }
    } else {
        Length { warm_up: millis(1000), work: millis(1000), at_most: millis(6000) }
    }
}

fn per_second(messages: u64, usage: Usage) -> f64 {
    messages as f64 / usage.wall.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_a_hundred_thousand_different_filters_and_four_of_five_are_exact() {
        let plan = filters();
        let all: HashSet<_> = plan.subscribers.iter().flatten().collect();
        assert_eq!(all.len(), 100_000);
        let exact = all.iter().filter(|filter| !filter.contains(['+', '#'])).count();
        assert_eq!(exact, 80_000);
        assert!(plan.subscribers.iter().all(|filters| filters.len() == 10_000));
    }

    #[test]
    fn every_topic_of_the_filter_row_matches_exactly_one_filter() {
        let plan = filters();
        let all: HashSet<&str> = plan.subscribers.iter().flatten().map(String::as_str).collect();
        for topic in plan.publishers.iter().flatten() {
            let levels: Vec<_> = topic.split('/').collect();
            let [root, site, device, group, name] = levels.as_slice() else { panic!("{topic}") };
            let candidates = [
                topic.clone(),
                format!("{root}/{site}/+/{group}/{name}"),
                format!("{root}/{site}/{device}/#"),
            ];
            let hits = candidates.iter().filter(|filter| all.contains(filter.as_str())).count();
            assert_eq!(hits, 1, "{topic}");
            assert_eq!(topic.len(), 38, "{topic}");
        }
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let names: HashSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
    }
}
