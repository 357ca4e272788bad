//! The subscription index with many filters: time and memory.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use mqtt_session::SubscriptionIndex;

/// How many topics are matched.
const MATCHES: usize = 200_000;

/// What an index with some number of filters showed.
#[derive(Debug)]
pub struct Figures {
    /// Nanoseconds to add a filter, each of them once.
    pub add: f64,
    /// Nanoseconds to match a topic that one filter matches.
    pub hit: f64,
    /// Nanoseconds to match a topic that no filter matches.
    pub miss: f64,
    /// Nanoseconds to remove a filter, each of them once.
    pub remove: f64,
    /// Bytes for each filter, by the index's own account.
    pub accounted: f64,
}

/// Filters, and topics that match exactly one of them.
///
/// Of ten filters eight are exact, one ends in `#` and one has a `+`.
#[derive(Debug)]
pub struct Sample {
    filters: Vec<String>,
    hits: Vec<String>,
    misses: Vec<String>,
}

impl Sample {
    /// A sample with `count` filters.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let mut filters = Vec::with_capacity(count);
        let mut hits = Vec::with_capacity(count);
        for at in 0..count {
            let (site, device) = (at / 1000, at % 1000);
            let (filter, hit) = match at % 10 {
                8 => (
                    format!("depot/{site:04}/device-{device:03}/#"),
                    format!("depot/{site:04}/device-{device:03}/motor/temperature"),
                ),
                9 => (
                    format!("plant/{site:04}/+/alarm/severity-{device:03}"),
                    format!("plant/{site:04}/device-001/alarm/severity-{device:03}"),
                ),
                _ => {
                    let topic = format!("plant/{site:04}/device-{device:03}/motor/temperature");
                    (topic.clone(), topic)
                }
            };
            filters.push(filter);
            hits.push(hit);
        }
        let hits = far_apart(&hits);
        let misses = hits.iter().map(|hit| hit.replace('-', "_")).collect();
        Self { filters, hits, misses }
    }

    /// An index with all filters, each of a subscriber of its own.
    #[must_use]
    pub fn index(&self) -> SubscriptionIndex<u32, u32> {
        let mut index = SubscriptionIndex::new([1, 2]);
        for (number, filter) in (0..).zip(&self.filters) {
            index.insert(filter, number, number);
        }
        index
    }

    /// Measures an index.
    ///
    /// # Errors
    ///
    /// A text if a topic matches other than it should.
    pub fn measure(&self) -> Result<Figures, String> {
        let count = self.filters.len();
        let started = Instant::now();
        let mut index = self.index();
        let add = started.elapsed();

        let (hit, found) = matching(&index, &self.hits);
        if found != MATCHES {
            return Err(format!("{found} matches of {MATCHES} topics that match one filter"));
        }
        let (miss, found) = matching(&index, &self.misses);
        if found != 0 {
            return Err(format!("{found} matches of topics that match no filter"));
        }
        let accounted = index.memory() as f64 / count as f64;

        let started = Instant::now();
        for (number, filter) in (0..).zip(&self.filters) {
            black_box(index.remove(filter, number));
        }
        let remove = started.elapsed();
        if !index.is_empty() {
            return Err(format!("{} filters were not removed", index.len()));
        }
        Ok(Figures {
            add: nanos(add, count),
            hit: nanos(hit, MATCHES),
            miss: nanos(miss, MATCHES),
            remove: nanos(remove, count),
            accounted,
        })
    }
}

fn matching(index: &SubscriptionIndex<u32, u32>, topics: &[String]) -> (Duration, usize) {
    let mut found = 0;
    let started = Instant::now();
    for topic in topics.iter().cycle().take(MATCHES) {
        index.for_each_match(black_box(topic), |_, subscriber, value| {
            black_box((subscriber, value));
            found += 1;
        });
    }
    (started.elapsed(), found)
}

/// The same topics in another order: neighbours in the list are neighbours in memory.
fn far_apart(topics: &[String]) -> Vec<String> {
    const STEP: usize = 7919;
    let len = topics.len();
    (0..len).filter_map(|at| topics.get(at * STEP % len).cloned()).collect()
}

fn nanos(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count.max(1) as f64
}
