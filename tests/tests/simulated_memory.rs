//! I6 of the simulator, counted by the allocator: what a broker holds in the midst of a random
//! schedule and at its end.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::alloc::System;

use mqtt_session::{Broker, Gauges};
use mqtt_tests::sim::swarm::broker_after;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Schedules, each looked at in its midst and at its end.
const SCHEDULES: u64 = 250;

/// Bytes that tables and buffers keep for the next ones, whatever is in them.
const TABLES: usize = 48 * 1024;

/// Bytes held now.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// What is free again once the broker is gone.
fn weigh(broker: Broker) -> (usize, Gauges) {
    let gauges = broker.gauges();
    let with = held();
    drop(broker);
    (with - held(), gauges)
}

/// What a broker may hold for what it has: each connection, session, subscription and message with
/// some bytes beside its own, and each message once in the changes that are not stored yet.
fn allowance(gauges: &Gauges) -> usize {
    let of_clients = gauges.connections * 8 * 1024 + gauges.sessions * 8 * 1024;
    let of_subscriptions = (gauges.subscriptions + gauges.shared_subscriptions) * 512;
    let of_messages = gauges.messages * 512 + 2 * gauges.message_bytes;
    let of_store = gauges.uncommitted_changes * 256 + 2 * gauges.uncommitted_bytes;
    TABLES + of_clients + of_subscriptions + of_messages + of_store
}

/// The allocator counts for the whole process: this is the only test in it.
#[test]
fn a_broker_holds_what_it_has_and_when_all_sessions_are_over_next_to_nothing() {
    let mut most = (0, 0);
    for seed in 0..SCHEDULES {
        let until = 20 + (seed as usize * 37) % 700;
        let broker = broker_after(seed, Some(until)).unwrap_or_else(|fault| panic!("{fault}"));
        let (bytes, gauges) = weigh(broker);
        let allowed = allowance(&gauges);
        assert!(bytes <= allowed, "seed {seed}, event {until}: {bytes} bytes for {gauges:?}");

        let broker = broker_after(seed, None).unwrap_or_else(|fault| panic!("{fault}"));
        let (left, gauges) = weigh(broker);
        assert_eq!((gauges.connections, gauges.sessions), (0, 0), "seed {seed}");
        let allowed = allowance(&gauges);
        assert!(left <= allowed, "seed {seed} at its end: {left} bytes for {gauges:?}");
        most = (most.0.max(bytes), most.1.max(left));
    }
    // A test that weighs nothing shows nothing.
    assert!(most.0 > 4096 && most.1 > 1024, "{most:?}");
}
