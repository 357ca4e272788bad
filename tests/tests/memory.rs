//! What the broker holds in memory, counted by the allocator: nothing for what was only announced,
//! bounded amounts for what clients make it keep, and nothing for what is over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::alloc::System;

use bytes::Buf;
use mqtt_codec::DisconnectReason::ReceiveMaximumExceeded;
use mqtt_session::{Broker, BrokerConfig, BrokerEvent, ConnectionId, PeerInfo, Time, TransmitBuf};
use mqtt_tests::scripted::{
    connect, disconnect, hex, puback, publish, subscribe, unsubscribe, will,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes held now.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// The allocator counts for the whole process, and the test runner allocates whenever a test ends:
/// so this is one test, and what it shows comes one after the other.
#[test]
fn the_broker_holds_what_it_must_and_nothing_more() {
    a5_a10_nothing_is_reserved_for_a_length_that_was_only_announced();
    clients_that_are_refused_leave_nothing_behind();
    addresses_that_are_refused_are_not_remembered();
    what_clients_leave_is_gone_when_their_sessions_are_over();
    e10_subscribing_to_ever_new_filters_does_not_fill_memory();
    c9_topic_aliases_are_bounded_by_their_number_and_by_the_length_of_a_topic();
    c14_a_flood_of_short_lived_retained_messages_leaves_nothing_behind();
    b13_b24_sessions_and_wills_that_are_refused_leave_nothing_behind();
    c16_identifiers_that_are_never_released_cost_bits_and_have_a_bound();
    c19_a_large_message_to_many_clients_is_there_once();
    a_queue_that_was_full_gives_its_memory_back();
    c6_e6_depth_costs_no_stack();
}

/// A broker with a driver that keeps nothing itself.
struct Bare {
    broker: Broker,
    now: Time,
}

impl Bare {
    fn new(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut config = BrokerConfig::default();
        change(&mut config);
        Self { broker: Broker::new(config, [7; 32]), now: Time::ZERO }
    }

    fn open(&mut self) -> ConnectionId {
        self.broker.open(self.now, PeerInfo::default()).unwrap()
    }

    fn connect(&mut self, script: impl Into<Vec<u8>>) -> ConnectionId {
        let id = self.open();
        self.send(id, script);
        id
    }

    fn send(&mut self, id: ConnectionId, bytes: impl Into<Vec<u8>>) {
        self.broker.handle_input(id, self.now, &bytes.into());
        self.drain();
    }

    fn cut(&mut self, id: ConnectionId) {
        self.broker.handle_eof(id, self.now);
        self.drain();
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + core::time::Duration::from_secs(seconds);
        self.broker.handle_timeout(self.now);
        self.drain();
    }

    /// Throws away what is to be sent.
    fn drain(&mut self) {
        let mut out = TransmitBuf::new();
        loop {
            while let Some(event) = self.broker.poll_event() {
                assert!(!matches!(event, BrokerEvent::Connect(_)));
            }
            let Some(id) = self.broker.poll_ready() else { break };
            self.broker.poll_transmit(id, self.now, &mut out, 64 * 1024);
            out.advance(out.remaining());
        }
    }
}

fn a5_a10_nothing_is_reserved_for_a_length_that_was_only_announced() {
    let mut bare = Bare::new(|_| {});
    let first = bare.open();
    bare.cut(first);
    let before = held();
    // Before CONNECT: 8 KiB are announced and hardly any are sent.
    let opened: Vec<_> = (0..100).map(|_| bare.open()).collect();
    let idle = held() - before;
    assert!(idle < 100 * 1024, "{idle} bytes for 100 connections on which nothing came");
    for &id in &opened {
        bare.send(id, hex("10 fc 3f 0004"));
    }
    let begun = held() - before;
    assert!(begun < idle + 100 * 128, "{begun} bytes for 100 connections that have sent 5 bytes");
    for id in opened {
        bare.cut(id);
    }
    // After it: 4 MiB are announced.
    let a = bare.connect(connect("a"));
    let before = held();
    bare.send(a, hex("30 fb ff ff 01 0001 74 00"));
    assert!(held() - before < 1024, "{} bytes for 9 bytes of a packet", held() - before);
    let mut sent = 9;
    for _ in 0..100 {
        bare.send(a, vec![0; 10_000]);
        sent += 10_000;
        let kept = held() - before;
        assert!(kept <= 2 * sent + 4096, "{kept} bytes for {sent} that came");
    }
}

fn clients_that_are_refused_leave_nothing_behind() {
    let mut bare = Bare::new(|config| config.limits.sessions = 1);
    bare.connect(connect("the only one"));
    let refuse = |bare: &mut Bare, round: usize| {
        let malformed = match round % 5 {
            0 => Vec::from(connect("x").will(will("w", vec![1; 500])).user_name("u")),
            1 => Vec::from(connect("x").will(will("$SYS", "no"))),
            2 => hex("10 10 0004 4d515454 05 02 003c 03 21 0014 00 00"),
            3 => hex("10 0d 0004 4d515454 05 02 003c 05 21 0014 21 0014"),
            _ => hex("20 03 00 00 00"),
        };
        let id = bare.open();
        bare.send(id, malformed);
        bare.cut(id);
    };
    (0..1000).for_each(|round| refuse(&mut bare, round));
    let before = held();
    (0..20_000).for_each(|round| refuse(&mut bare, round));
    // The test's own process takes a little now and then.
    assert!(held() <= before + 2048, "{} bytes after {before}", held());
}

fn addresses_that_are_refused_are_not_remembered() {
    let mut bare = Bare::new(|config| config.limits.connections_per_address = 0);
    let before = held();
    for number in 0..10_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0A00_0000 + number);
        let peer = PeerInfo { address: Some((address, 1883).into()), ..PeerInfo::default() };
        assert!(bare.broker.open(bare.now, peer).is_err());
    }
    assert!(held() <= before + 2048, "{} bytes after {before}", held());
}

fn what_clients_leave_is_gone_when_their_sessions_are_over() {
    let mut bare = Bare::new(|_| {});
    let round = |bare: &mut Bare| {
        let peers: Vec<_> = (0..50)
            .map(|number| {
                let script = connect(&format!("client-{number}")).expiry(100).keep_alive(60);
                let script = script.alias_maximum(10).will(will("w", vec![0; 300]).delay(10));
                let id = bare.connect(script);
                let filters = subscribe(1, "t/#").qos(2).and(&format!("own/{number}/+")).qos(1);
                bare.send(id, filters.and("$share/g/t/+").qos(1));
                id
            })
            .collect();
        for (number, &id) in peers.iter().enumerate() {
            bare.send(id, publish("t/1", vec![0; 100 * number]).qos1(1).alias(1));
            bare.send(id, publish("t/2", vec![0; 300 * number]).qos2(2).expiry(50));
            bare.send(id, publish(&format!("t/{number}"), "kept").retain().expiry(150));
        }
        for id in peers {
            bare.send(id, hex("30 ff ff 7f 0001"));
            bare.cut(id);
        }
        bare.pass(1000);
        let gauges = bare.broker.gauges();
        assert_eq!((gauges.sessions, gauges.messages, gauges.subscriptions), (0, 0, 0));
    };
    for _ in 0..3 {
        round(&mut bare);
    }
    let before = held();
    for _ in 0..5 {
        round(&mut bare);
    }
    assert!(held() <= before + before / 100, "{} bytes after {before}", held());
}

fn e10_subscribing_to_ever_new_filters_does_not_fill_memory() {
    let mut bare = Bare::new(|_| {});
    let a = bare.connect(connect("a"));
    let mut number = 0_u32;
    let mut churn = |bare: &mut Bare, rounds: u32| {
        for _ in 0..rounds {
            number += 1;
            let filter = match number % 4 {
                0 => format!("x/{number}/+/y{}", number / 3),
                1 => format!("{number}/#"),
                2 => format!("$share/g{number}/plain/{number}"),
                _ => format!("plain/{number}/and/long/{number}"),
            };
            bare.send(a, subscribe(1, &filter));
            bare.send(a, unsubscribe(2, &[&filter]));
        }
    };
    churn(&mut bare, 2000);
    let before = held();
    churn(&mut bare, 20_000);
    assert!(held() <= before + 2048, "{} bytes after {before}", held());
}

fn c9_topic_aliases_are_bounded_by_their_number_and_by_the_length_of_a_topic() {
    let mut bare = Bare::new(|_| {});
    let a = bare.connect(connect("a"));
    let before = held();
    for round in 0..3_u8 {
        for alias in 1..=16 {
            let topic = char::from(b'a' + round).to_string().repeat(60_000);
            bare.send(a, publish(&topic, "x").qos1(1).alias(alias));
        }
    }
    assert!(held() - before < 16 * 1024 + 4096, "{} bytes", held() - before);
    assert_eq!(bare.broker.statistics().publishes_refused.total(), 48);
    // An alias of a topic that is not accepted is known all the same.
    bare.send(a, publish("", "x").qos1(2).alias(3));
    assert_eq!(bare.broker.statistics().publishes_refused.total(), 49);
    assert_eq!(bare.broker.gauges().connections, 1);
}

fn c14_a_flood_of_short_lived_retained_messages_leaves_nothing_behind() {
    const MESSAGES: usize = 100_000;
    let mut bare = Bare::new(|config| config.limits.retained_messages = MESSAGES);
    let a = bare.connect(connect("a"));
    let flood = |bare: &mut Bare| {
        for number in 0..MESSAGES {
            bare.send(a, publish(&format!("brief/{number}"), "x").retain().expiry(1));
        }
        assert_eq!(bare.broker.gauges().retained_messages, MESSAGES);
        let kept = held();
        bare.pass(1);
        assert_eq!(bare.broker.gauges().retained_messages, 0);
        kept
    };
    let empty = held();
    let full = flood(&mut bare) - empty;
    let left = held() - empty;
    assert!(full < MESSAGES * 300, "{} bytes a message", full / MESSAGES);
    // Tables keep their places for the next ones; what was in them is gone.
    assert!(left < full / 4, "{left} of {full} bytes are left");
    flood(&mut bare);
    assert!(held() <= empty + left + left / 100, "{} bytes after {left}", held() - empty);
}

fn b13_b24_sessions_and_wills_that_are_refused_leave_nothing_behind() {
    let mut bare = Bare::new(|config| {
        config.limits.sessions = 100;
        config.limits.will_bytes = 50 * 1000;
    });
    let mut number = 0;
    let mut flood = |bare: &mut Bare, count: usize| {
        for _ in 0..count {
            number += 1;
            let script = connect(&format!("client-{number}")).expiry(u32::MAX);
            let id = bare.connect(script.will(will("w", vec![0; 999]).delay(u32::MAX)));
            bare.cut(id);
        }
    };
    flood(&mut bare, 1000);
    let before = held();
    flood(&mut bare, 10_000);
    assert!(held() <= before + 2048, "{} bytes after {before}", held());
    let gauges = bare.broker.gauges();
    assert_eq!((gauges.sessions, gauges.will_bytes), (50, 50_000));
}

fn c16_identifiers_that_are_never_released_cost_bits_and_have_a_bound() {
    let mut bare = Bare::new(|config| config.limits.take_overs = u32::MAX);
    let first = bare.connect(connect("a").expiry(1000));
    let mut latest = first;
    let before = held();
    let mut id = 0_u16;
    for _ in 0..600 {
        for _ in 0..128 {
            id = id.wrapping_add(1).max(1);
            bare.send(latest, publish("t", "x").qos2(id));
        }
        latest = bare.connect(connect("a").resume().expiry(1000));
    }
    // Identifiers are bits in pages, and twice the Receive Maximum is the most there is.
    assert!(held() - before < 4 * 1024, "{} bytes", held() - before);
    let over = bare.broker.statistics().closed.by_broker.of(ReceiveMaximumExceeded);
    assert!(over > 500, "{over} connections went over the bound");
    assert_eq!(bare.broker.gauges().messages, 0);
}

fn c19_a_large_message_to_many_clients_is_there_once() {
    let mut bare = Bare::new(|_| {});
    let publisher = bare.connect(connect("publisher"));
    for number in 0..500 {
        let id = bare.connect(connect(&number.to_string()).expiry(100));
        bare.send(id, subscribe(1, "t").qos(1));
        bare.cut(id);
    }
    let packet = Vec::from(publish("t", vec![7; 1024 * 1024]).qos1(1));
    let before = held();
    bare.broker.handle_input(publisher, bare.now, &packet);
    let kept = held() - before;
    assert!(kept < 1024 * 1024 + 500 * 1024, "{kept} bytes");
}

fn a_queue_that_was_full_gives_its_memory_back() {
    let mut bare = Bare::new(|_| {});
    let publisher = bare.connect(connect("publisher"));
    let round = |bare: &mut Bare| {
        let a = bare.connect(connect("a").expiry(100));
        bare.send(a, subscribe(1, "t").qos(1));
        bare.cut(a);
        for _ in 0..1000 {
            bare.send(publisher, publish("t", vec![7; 5000]).qos1(1));
        }
        assert_eq!(bare.broker.gauges().messages, 1000);
        let a = bare.connect(connect("a").resume().expiry(100));
        for _ in 0..20 {
            (1..=128).for_each(|id| bare.send(a, puback(id)));
        }
        assert_eq!(bare.broker.gauges().messages, 0);
        bare.send(a, disconnect());
        bare.pass(100);
    };
    round(&mut bare);
    let before = held();
    // What grew with each round would be larger after all of them. The test runner's own threads
    // allocate now and then, too.
    let after = (0..4).map(|_| {
        round(&mut bare);
        held()
    });
    let after = after.min().unwrap();
    assert!(after <= before + 4096, "{after} bytes after {before}");
    assert!(before < 1024 * 1024, "{before} bytes are left of 5 MB");
}

/// A filter or topic of tens of thousands of levels is no deeper a call than one of three.
fn c6_e6_depth_costs_no_stack() {
    let deep = std::thread::Builder::new().stack_size(256 * 1024).spawn(|| {
        let mut bare = Bare::new(|config| {
            config.limits.topic_levels = 70_000;
            config.limits.topic_bytes = 70_000;
            config.limits.match_steps = usize::MAX;
        });
        let a = bare.connect(connect("a"));
        let filters = ["/".repeat(65_535), "+/".repeat(32_767), "a/".repeat(32_766) + "#"];
        for filter in &filters {
            bare.send(a, subscribe(1, filter));
        }
        assert_eq!(bare.broker.gauges().subscriptions, 3);
        for topic in ["/".repeat(65_535), "a/".repeat(32_767)] {
            bare.send(a, publish(&topic, "x").retain());
        }
        bare.send(a, subscribe(1, "#"));
        for filter in &filters {
            bare.send(a, unsubscribe(2, &[filter]));
        }
        assert_eq!(bare.broker.gauges().subscriptions, 1);
        assert_eq!(bare.broker.gauges().retained_messages, 2);
    });
    deep.unwrap().join().unwrap();
}
