//! The judge judged: our own broker and clients with one behaviour at a time broken on purpose by a proxy. The
//! suite has to notice each, at the statement that it breaks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use mqtt_broker_lite::{Config, Server};
use mqtt_codec::QoS;
use mqtt_conformance::{
    Profile, Target, Verdict,
    broker::{self, Test},
    proxy::{Proxy, Sabotage},
    statements,
};

mod client_hears;
mod client_overlooks;
mod client_says;
mod clients;
mod edit;
mod hears;
mod overlooks;
mod says;

/// A broken behaviour, and the statements that have to notice.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) caught_by: &'static [&'static str],
    pub(crate) how: Sabotage,
}

/// A table of broken behaviours.
macro_rules! rows {
    ($($what:literal, [$($id:literal),+ $(,)?], $how:expr;)+) => {
        &[$(crate::Row { what: $what, caught_by: &[$($id),+], how: $how }),+]
    };
}
pub(crate) use rows;

/// How many broken brokers are judged at once.
const SIDE_BY_SIDE: usize = 16;

/// How long an answer may take here: many that are waited for never come.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How much of what shows on the wire has to be judged so.
const AT_LEAST_PERCENT: usize = 90;

fn tables() -> Vec<&'static Row> {
    [overlooks::TABLE, hears::TABLE, says::TABLE].into_iter().flatten().collect()
}

/// A broker that offers as little as there can be.
fn frugal() -> Config {
    let mut config = Config::free_port();
    config.broker.maximum_qos = QoS::AtMostOnce;
    config.broker.retain_available = false;
    config.broker.wildcard_subscription_available = false;
    config.broker.subscription_id_available = false;
    config.broker.shared_subscription_available = false;
    config
}

fn start(config: Config, run: &str) -> (Server, Target) {
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap().to_string();
    let target = Target::reach(&address, Profile::default(), run).unwrap();
    (server, target)
}

/// The tests that say of themselves that they ask about a statement, and two that bring packets of
/// every kind, because all that come are watched. Where no test asks, all are run.
fn asking<'a>(tests: &'a [Test], ids: &[&str]) -> Vec<&'a Test> {
    let all_asked = ids.iter().all(|id| tests.iter().any(|test| test.ids.contains(id)));
    tests
        .iter()
        .filter(|test| {
            !all_asked || test.ids.iter().any(|id| ids.contains(id) || TRAFFIC.contains(id))
        })
        .collect()
}

/// Statements whose tests bring packets of every kind.
const TRAFFIC: &[&str] = &["[MQTT-2.2.1-2]", "[MQTT-3.3.4-1]"];

/// The statements of a row that did not notice.
fn unnoticed(row: &Row, target: &Target, tests: &[Test]) -> Vec<String> {
    let proxy = Proxy::start(target.address(), row.how).unwrap();
    let target = target.behind(proxy.address()).impatient(PATIENCE);
    let chosen: Vec<Test> = asking(tests, row.caught_by).into_iter().copied().collect();
    let results = broker::run_tests(&target, &chosen);
    let notices = |id: &&&str| {
        results.iter().any(|result| {
            let failed = matches!(result.verdict, Verdict::Fail(_) | Verdict::Weak(_));
            failed && result.ids.contains(id)
                || result.record.breaches.iter().any(|(breached, _)| breached == *id)
        })
    };
    let missed = row.caught_by.iter().filter(|id| !notices(id));
    missed.map(|id| format!("{id} did not notice: {}", row.what)).collect()
}

#[test]
fn every_broken_behaviour_is_noticed_by_the_statement_that_it_breaks() {
    let (generous_server, generous) = start(Config::free_port(), "gen");
    let (frugal_server, frugal) = start(frugal(), "fru");
    let (rows, tests) = (tables(), broker::tests());
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(number) else { return };
                    let is_about_offers = row.caught_by.iter().all(|id| ABOUT_OFFERS.contains(id));
                    let target = if is_about_offers { &frugal } else { &generous };
                    let target = target.renamed(&format!("s{number:03}"));
                    let found = unnoticed(row, &target, &tests);
                    missed.lock().unwrap().extend(found);
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} of {} rows:\n{}", missed.len(), rows.len(), missed.join("\n"));
    for server in [generous_server, frugal_server] {
        server.shutdown_blocking().unwrap();
    }
}

/// Statements that only a broker which offers little can break.
const ABOUT_OFFERS: &[&str] = &[
    "[MQTT-3.2.2-10]",
    "[MQTT-3.2.2-12]",
    "[MQTT-3.2.2-13]",
    "[MQTT5-U-3.2.2.3.4-2]",
    "[MQTT5-U-3.2.2.3.5-2]",
    "[MQTT5-U-3.2.2.3.11-2]",
    "[MQTT5-U-3.2.2.3.12-2]",
    "[MQTT5-U-3.2.2.3.13-2]",
];

#[test]
fn nearly_every_statement_has_its_broken_behaviour() {
    let rows = tables();
    let judged: BTreeSet<&str> = rows.iter().flat_map(|row| row.caught_by).copied().collect();
    let on_the_wire: Vec<&str> = statements()
        .iter()
        .map(|statement| statement.id.as_str())
        .filter(|id| broker::why_untested(id).is_none())
        .collect();
    let without: Vec<&str> =
        on_the_wire.iter().filter(|id| !judged.contains(*id)).copied().collect();
    let percent = 100 * (on_the_wire.len() - without.len()) / on_the_wire.len();
    assert!(percent >= AT_LEAST_PERCENT, "{percent} %, without: {}", without.join(" "));
    eprintln!(
        "{} broken behaviours for {} of {} statements; none for {}",
        rows.len(),
        on_the_wire.len() - without.len(),
        on_the_wire.len(),
        without.join(" ")
    );
}

#[test]
fn a_broker_behind_an_honest_proxy_passes() {
    // With the patience of the other tests: what they notice is not that they don't wait.
    let (server, target) = start(Config::free_port(), "hon");
    let proxy = Proxy::start(target.address(), Sabotage::Overlooks(|_| false)).unwrap();
    let judged = broker::judge(&target.behind(proxy.address()).impatient(PATIENCE));
    let wrong = judged.count("fail") + judged.count("weak");
    assert_eq!(wrong, 0, "{}", mqtt_conformance::report::text(&judged));
    server.shutdown_blocking().unwrap();
}
