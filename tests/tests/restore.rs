//! Changes that no broker made: what is restored from them is a broker or an error, never a panic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use mqtt_codec::{PacketId, QoS, RetainHandling, SubscriptionId, SubscriptionOptions};
use mqtt_session::{
    Broker, BrokerConfig, Change, MessageKey, RestoreError, RestoreFault, SessionKey,
    StoredMessage, Time,
};
use mqtt_tests::Wire;
use mqtt_tests::scripted::{connect, puback, pubcomp, publish, pubrec, subscribe};
use proptest::prelude::*;
use std::time::Duration;

fn session() -> impl Strategy<Value = SessionKey> {
    (1..4_u64).prop_map(|number| SessionKey::new(number).unwrap())
}

fn message() -> impl Strategy<Value = MessageKey> {
    (1..6_u64).prop_map(|number| MessageKey::new(number).unwrap())
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    prop_oneof![4 => 1..4_u16, 1 => Just(u16::MAX)].prop_map(|id| PacketId::new(id).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    (0..3_u8).prop_map(|qos| QoS::try_from(qos).unwrap())
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    (qos(), any::<bool>(), any::<bool>()).prop_map(|(qos, no_local, retain_as_published)| {
        let retain_handling = RetainHandling::SendAlways;
        SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
    })
}

fn id() -> impl Strategy<Value = Option<SubscriptionId>> {
    (0..3_u32).prop_map(SubscriptionId::new)
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..100_u64).prop_map(Duration::from_secs),
        1 => Just(Duration::MAX),
        1 => Just(Duration::from_nanos(1)),
    ]
}

fn text(texts: &'static [&'static str]) -> impl Strategy<Value = Box<str>> {
    prop::sample::select(texts).prop_map(Into::into)
}

fn client() -> impl Strategy<Value = Box<str>> {
    text(&["a", "b", "c", ""])
}

fn filter() -> impl Strategy<Value = Box<str>> {
    text(&["t", "t/+", "#", "$share/g/t", "$share/g/#", "$share//t", "a/#/b", ""])
}

fn topic() -> impl Strategy<Value = Box<str>> {
    text(&["t", "t/1", "t/2", "u", "#", ""])
}

fn stored() -> impl Strategy<Value = Change> {
    let properties = prop::sample::select(vec![
        &b""[..],
        b"\x26\x00\x01a\x00\x01b",
        b"\x01\x01",
        b"\x23\x00\x01",
        b"\x02\x00\x00\x00\x01",
        b"\xff",
    ]);
    let payload = prop::sample::select(vec![0_usize, 1, 10, 9000]);
    let expires_in = prop::option::of(time());
    let publisher = prop::option::of(client());
    (message(), topic(), qos(), any::<bool>(), expires_in, publisher, properties, payload).prop_map(
        |(message, topic, qos, retain, expires_in, publisher, properties, payload)| {
            Change::MessageStored(Box::new(StoredMessage {
                message,
                topic,
                qos,
                retain,
                expires_in,
                publisher,
                properties: properties.into(),
                payload: vec![7; payload].into(),
            }))
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let seconds = prop::sample::select(vec![0_u32, 1, 60, u32::MAX]);
    prop_oneof![
        1 => time().prop_map(Change::Elapsed),
        6 => (session(), client(), prop::option::of(client()), seconds.clone()).prop_map(
            |(session, client_id, identity, expiry_interval)| Change::SessionBegun {
                session, client_id, identity, expiry_interval
            }
        ),
        1 => (session(), seconds.clone()).prop_map(
            |(session, expiry_interval)| Change::SessionChanged { session, expiry_interval }
        ),
        1 => (session(), prop::option::of(time())).prop_map(
            |(session, ends_in)| Change::SessionLeft { session, ends_in }
        ),
        1 => session().prop_map(|session| Change::SessionResumed { session }),
        1 => session().prop_map(|session| Change::SessionEnded { session }),
        4 => (session(), filter(), options(), id()).prop_map(
            |(session, filter, options, id)| Change::Subscribed { session, filter, options, id }
        ),
        1 => (session(), filter()).prop_map(
            |(session, filter)| Change::Unsubscribed { session, filter }
        ),
        1 => (session(), message(), seconds.clone(), prop::option::of(seconds)).prop_map(
            |(session, message, delay, expiry)| Change::WillStored {
                session, message, delay, expiry
            }
        ),
        1 => session().prop_map(|session| Change::WillDiscarded { session }),
        1 => (session(), time()).prop_map(|(session, due_in)| Change::WillDue { session, due_in }),
        1 => session().prop_map(|session| Change::WillPublished { session }),
        1 => (message(), client(), prop::option::of(client())).prop_map(
            |(message, client_id, identity)| Change::WillAsked { message, client_id, identity }
        ),
        1 => message().prop_map(|message| Change::WillAnswered { message }),
        6 => stored(),
        1 => message().prop_map(|message| Change::MessageForgotten { message }),
        2 => message().prop_map(|message| Change::Retained { message }),
        1 => topic().prop_map(|topic| Change::RetainedCleared { topic }),
        4 => (session(), message(), qos(), any::<bool>(), prop::collection::vec(id(), 0..3))
            .prop_map(|(session, message, qos, retain, ids)| Change::Queued {
                session, message, qos, retain, subscription_ids: ids.into_iter().flatten().collect()
            }),
        1 => session().prop_map(|session| Change::Dropped { session }),
        1 => (session(), message()).prop_map(
            |(session, message)| Change::Withdrawn { session, message }
        ),
        4 => (session(), packet_id()).prop_map(
            |(session, packet_id)| Change::Sent { session, packet_id }
        ),
        2 => (session(), filter(), options(), id()).prop_map(
            |(session, filter, options, id)| Change::ReplayBegun { session, filter, options, id }
        ),
        1 => (session(), filter(), topic()).prop_map(
            |(session, filter, topic)| Change::ReplayedUpTo { session, filter, topic }
        ),
        1 => (session(), packet_id(), message(), qos(), id(), prop::option::of(filter())).prop_map(
            |(session, packet_id, message, qos, id, filter)| Change::Replayed {
                session, packet_id, message, qos, id, filter
            }
        ),
        1 => (session(), filter()).prop_map(
            |(session, filter)| Change::ReplayEnded { session, filter }
        ),
        2 => (session(), packet_id()).prop_map(
            |(session, packet_id)| Change::Released { session, packet_id }
        ),
        1 => (session(), packet_id()).prop_map(
            |(session, packet_id)| Change::Finished { session, packet_id }
        ),
        1 => (session(), packet_id()).prop_map(
            |(session, packet_id)| Change::Received { session, packet_id }
        ),
        1 => (session(), packet_id()).prop_map(
            |(session, packet_id)| Change::Forgotten { session, packet_id }
        ),
    ]
}

fn durable() -> BrokerConfig {
    let mut config = BrokerConfig::default();
    config.durable = true;
    config
}

fn restore(changes: &[Change]) -> Result<Broker, RestoreError> {
    Broker::restore(durable(), [1; 32], Time::from_nanos(5), changes.iter().cloned())
}

proptest! {
    #[test]
    fn what_does_not_fit_is_named_and_the_rest_makes_a_broker_that_works(
        changes in prop::collection::vec(change(), 1..60),
    ) {
        // Leaves out what does not fit, so that deep states are reached.
        let mut fitting = Vec::new();
        for change in changes {
            fitting.push(change);
            if let Err(error) = restore(&fitting) {
                prop_assert_eq!(error.at, fitting.len() - 1, "{}", error);
                fitting.pop();
            }
        }
        let broker = restore(&fitting).unwrap();
        let snapshot = broker.snapshot();
        prop_assert_eq!(restore(&snapshot).unwrap().snapshot(), snapshot);

        let mut wire = Wire::durable();
        wire.put_stored(fitting);
        wire.crash();
        for name in ["a", "b", "c"] {
            let peer = wire.open(name);
            wire.send(peer, connect(name).resume().expiry(100));
            if wire.cause(peer).is_some() {
                continue;
            }
            wire.send(peer, subscribe(9, "#").qos(2));
            wire.send(peer, publish("t/1", "x").qos2(2).retain());
            wire.send(peer, publish("t/1", "x").qos1(7));
            for id in [1, 2, 3, u16::MAX] {
                // What is answered wrongly ends the connection.
                for answer in [puback(id), pubrec(id), pubcomp(id)] {
                    if wire.cause(peer).is_none() {
                        wire.send(peer, answer);
                    }
                }
            }
        }
        wire.advance_secs(50);
        wire.crash();
        wire.advance_secs(1_000_000);
        wire.crash();
        prop_assert!(wire.broker().gauges().sessions <= 3);
    }
}

fn begun(session: u64, client_id: &str) -> Change {
    let session = SessionKey::new(session).unwrap();
    let client_id = client_id.into();
    Change::SessionBegun { session, client_id, identity: None, expiry_interval: 60 }
}

fn message_of(key: u64, topic: &str, payload: &'static [u8], properties: &'static [u8]) -> Change {
    Change::MessageStored(Box::new(StoredMessage {
        message: MessageKey::new(key).unwrap(),
        topic: topic.into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_in: None,
        publisher: None,
        properties: properties.into(),
        payload: payload.into(),
    }))
}

#[test]
fn each_fault_is_told_with_its_place() {
    let session = SessionKey::new(1).unwrap();
    let message = MessageKey::new(1).unwrap();
    let packet_id = PacketId::MIN;
    let queued =
        |qos| Change::Queued { session, message, qos, retain: false, subscription_ids: [].into() };
    let subscribed = |filter: &str| Change::Subscribed {
        session,
        filter: filter.into(),
        options: SubscriptionOptions::default(),
        id: None,
    };
    let one = || vec![begun(1, "a"), message_of(1, "t", b"x", b"")];
    let after = |more: Vec<Change>| one().into_iter().chain(more).collect::<Vec<_>>();
    let cases: Vec<(Vec<Change>, RestoreFault)> = vec![
        (vec![Change::SessionEnded { session }], RestoreFault::UnknownSession(session)),
        (after(vec![begun(1, "b")]), RestoreFault::SessionExists(session)),
        (after(vec![begun(2, "a")]), RestoreFault::ClientIdInUse),
        (vec![Change::Elapsed(Duration::MAX)], RestoreFault::TooLong),
        (vec![begun(u64::MAX, "a")], RestoreFault::KeyTooLarge),
        (vec![message_of(u64::MAX, "t", b"", b"")], RestoreFault::KeyTooLarge),
        (vec![Change::Retained { message }], RestoreFault::UnknownMessage(message)),
        (after(vec![message_of(1, "t", b"", b"")]), RestoreFault::MessageExists(message)),
        (
            after(vec![Change::Retained { message }, Change::MessageForgotten { message }]),
            RestoreFault::MessageNeeded(message),
        ),
        (
            vec![message_of(1, "t/#", b"", b"")],
            RestoreFault::TopicName(mqtt_codec::TopicName::new("t/#").unwrap_err()),
        ),
        (
            after(vec![subscribed("a/#/b")]),
            RestoreFault::TopicFilter(mqtt_codec::TopicFilter::new("a/#/b").unwrap_err()),
        ),
        (vec![message_of(1, "t", b"", b"\xff")], RestoreFault::Properties),
        (vec![message_of(1, "t", b"", b"\x23\x00\x01")], RestoreFault::Properties),
        (
            vec![message_of(1, "t", b"", b""), Change::Retained { message }],
            RestoreFault::EmptyRetained,
        ),
        (vec![Change::RetainedCleared { topic: "t".into() }], RestoreFault::NotRetained),
        (
            after(vec![Change::Unsubscribed { session, filter: "t".into() }]),
            RestoreFault::NotSubscribed,
        ),
        (after(vec![Change::WillDiscarded { session }]), RestoreFault::NoWill),
        (after(vec![Change::WillAnswered { message }]), RestoreFault::NoWill),
        (after(vec![Change::Sent { session, packet_id }]), RestoreFault::EmptyQueue(session)),
        (after(vec![queued(QoS::AtMostOnce)]), RestoreFault::UnqueuedQos),
        (
            after(vec![
                Change::Released { session, packet_id },
                queued(QoS::AtLeastOnce),
                Change::Sent { session, packet_id },
            ]),
            RestoreFault::PacketIdInUse(packet_id),
        ),
        (
            after(vec![Change::Finished { session, packet_id }]),
            RestoreFault::UnknownPacketId(packet_id),
        ),
        (
            after(vec![
                queued(QoS::AtLeastOnce),
                Change::Sent { session, packet_id },
                Change::Released { session, packet_id },
            ]),
            RestoreFault::UnknownPacketId(packet_id),
        ),
    ];
    for (changes, fault) in cases {
        let error = restore(&changes).unwrap_err();
        assert_eq!(error, RestoreError { at: changes.len() - 1, fault }, "{error}");
    }
}

#[test]
fn a_restored_broker_goes_on_with_keys_of_its_own() {
    let mut wire = Wire::durable();
    let client = wire.connect(connect("a").expiry(60));
    wire.send(client, publish("t", "x").qos1(1).retain());
    wire.crash();
    let client = wire.connect(connect("b").expiry(60));
    wire.send(client, publish("u", "x").qos1(1).retain());
    let mut sessions = Vec::new();
    let mut messages = Vec::new();
    for change in wire.committed() {
        if let Change::SessionBegun { session, .. } = change {
            sessions.push(session.get());
        } else if let Change::MessageStored(stored) = change {
            messages.push(stored.message.get());
        }
    }
    assert_eq!((sessions, messages), (vec![1, 2], vec![1, 2]));
}

/// A broker may be restored without a store to go on with.
#[test]
fn without_durable_the_state_is_there_and_nothing_more_is_recorded() {
    let changes = [begun(1, "a"), message_of(1, "t", b"x", b"")];
    let queued = Change::Queued {
        session: SessionKey::new(1).unwrap(),
        message: MessageKey::new(1).unwrap(),
        qos: QoS::ExactlyOnce,
        retain: false,
        subscription_ids: [].into(),
    };
    let config = BrokerConfig::default();
    let changes = changes.into_iter().chain([queued]);
    let mut broker = Broker::restore(config, [1; 32], Time::ZERO, changes).unwrap();
    assert_eq!((broker.gauges().sessions, broker.gauges().messages), (1, 1));
    assert!(broker.poll_store(Time::ZERO).is_none());
    broker.handle_timeout(Time::ZERO + Duration::from_secs(60));
    assert_eq!((broker.gauges().sessions, broker.gauges().messages), (0, 0));
}

#[test]
fn the_first_batch_says_what_the_restart_changed() {
    let session = SessionKey::new(1).unwrap();
    let changes = [begun(1, "a"), message_of(1, "t", b"x", b"")];
    let mut broker = restore(&changes).unwrap();
    let batch = broker.poll_store(Time::from_nanos(5)).unwrap();
    let ends_in = Some(Duration::from_secs(60));
    let message = MessageKey::new(1).unwrap();
    assert_eq!(
        batch.changes(),
        [Change::MessageForgotten { message }, Change::SessionLeft { session, ends_in }],
        "nobody needs the message, and the connection is gone"
    );
}
