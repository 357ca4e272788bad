//! Our own broker before the wire suite: every statement that shows on the wire holds, and none in
//! a weaker form than the standard recommends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    num::NonZeroU16,
    thread,
    time::{Duration, Instant},
};

use mqtt_broker_lite::{Config, Server};
use mqtt_codec::QoS;
use mqtt_conformance::{Profile, Report, Target, broker, report};

/// What the suite says of a broker with this configuration.
fn judge(run: &str, configure: impl FnOnce(&mut Config)) -> Report {
    let mut config = Config::free_port();
    configure(&mut config);
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap().to_string();
    let target = Target::reach(&address, Profile::default(), run).unwrap();
    let judged = broker::judge(&target);
    server.shutdown_blocking().unwrap();
    judged
}

fn ids<'a>(report: &'a Report, word: &str) -> Vec<&'a str> {
    let with = report.statements.iter().filter(|result| {
        result.verdict.as_ref().map_or("untested", |verdict| verdict.word()) == word
    });
    with.map(|result| result.statement.id.as_str()).collect()
}

fn nothing_is_wrong(judged: &Report) {
    let nothing = ids(judged, "fail").is_empty() && ids(judged, "weak").is_empty();
    assert!(nothing, "{}", report::text(judged));
}

/// A broker that offers everything.
fn generous() -> Report {
    judge("own1", |_| {})
}

/// A broker that offers as little as there can be.
fn frugal() -> Report {
    judge("own2", |config| {
        config.broker.maximum_qos = QoS::AtMostOnce;
        config.broker.retain_available = false;
        config.broker.wildcard_subscription_available = false;
        config.broker.subscription_id_available = false;
        config.broker.shared_subscription_available = false;
        config.broker.keep_alive_ceiling = NonZeroU16::new(2);
        config.broker.limits.receive_maximum = NonZeroU16::MIN;
        config.broker.limits.topic_alias_maximum = 0;
    })
}

#[test]
fn every_statement_holds_and_each_that_shows_was_tried() {
    let (generous, frugal) = (generous(), frugal());
    nothing_is_wrong(&generous);
    nothing_is_wrong(&frugal);
    let skipped = ids(&generous, "skipped");
    let tried_nowhere: Vec<&str> =
        ids(&frugal, "skipped").into_iter().filter(|id| skipped.contains(id)).collect();
    assert_eq!(
        tried_nowhere,
        [
            // Overlapping subscriptions are served by one copy.
            "[MQTT-3.3.4-5]",
            // What clients publish under $ goes to nobody.
            "[MQTT-4.7.2-1]",
        ]
    );
}

#[test]
fn what_is_not_tested_has_a_reason() {
    let judged = generous();
    for result in &judged.statements {
        let id = &result.statement.id;
        let reason = broker::why_untested(id);
        assert_eq!(result.verdict.is_some(), reason.is_none(), "{id}: {reason:?}");
    }
    assert!(judged.took.as_secs() < 120, "the suite took {} s", judged.took.as_secs());
}

#[test]
fn nothing_is_left_behind() {
    let server = Server::bind_blocking(Config::free_port()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let held = || {
        let gauges = runtime.block_on(server.status()).unwrap().gauges;
        (gauges.sessions, gauges.subscriptions, gauges.retained_messages, gauges.will_bytes)
    };
    let before = held();
    let address = server.local_addr().unwrap().to_string();
    let target = Target::reach(&address, Profile::default(), "left").unwrap();
    nothing_is_wrong(&broker::judge(&target));
    // The last connections are cut; the broker notices in its own time.
    let start = Instant::now();
    while held() != before {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(10), "{:?} is left of {before:?}", held());
        thread::sleep(Duration::from_millis(10));
    }
    server.shutdown_blocking().unwrap();
}
