//! Every kind of change: that it is made, and that a restart finds what it made.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use mqtt_session::{BrokerEvent, PublishAnswer, StoreError};
use mqtt_tests::Wire;
use mqtt_tests::scripted::{
    connect, disconnect, pubcomp, publish, pubrec, pubrel, subscribe, unsubscribe, will,
};

/// Lets the driver allow every message that it is asked about.
fn allow_all(wire: &mut Wire) {
    while let Some(BrokerEvent::Publish(request)) = wire.next_decision() {
        wire.call(|broker, now| broker.answer_publish(now, request, PublishAnswer::Allow));
    }
}

/// The kinds of the changes that were committed.
fn kinds(wire: &Wire) -> impl Iterator<Item = String> {
    wire.committed().iter().map(|change| {
        let text = format!("{change:?}");
        text.chars().take_while(|character| character.is_alphabetic()).collect()
    })
}

/// Each commit on the way compares what a restart would find with what was there.
#[test]
fn a_broker_makes_every_kind_of_change_and_a_restart_finds_what_it_made() {
    let mut made = BTreeSet::new();
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.decisions.publish = true;
        config.limits.send_maximum = NonZeroU16::MIN;
    });
    let publisher = wire.connect(connect("publisher").expiry(3600).will(will("w", "x").qos(1)));
    for (number, topic) in (1..).zip(["a/1", "a/2", "b"]) {
        wire.send(publisher, publish(topic, "kept").qos2(number).retain());
        allow_all(&mut wire);
        wire.send(publisher, pubrel(number));
    }
    wire.send(publisher, publish("b", "").retain());
    allow_all(&mut wire);
    wire.cut(publisher);
    allow_all(&mut wire);

    let reader = wire.connect(connect("reader").expiry(100).will(will("w", "y").delay(50)));
    wire.send(reader, subscribe(1, "a/#").qos(2));
    assert_eq!(wire.receive(reader).len(), 2, "the first of two retained messages");
    made.extend(kinds(&wire));
    assert!(wire.compact(), "in the middle of a replay");
    for _ in ["a/1", "a/2"] {
        wire.send(reader, pubrec(1));
        wire.send(reader, pubcomp(1));
    }
    wire.receive(reader);
    wire.cut(reader);
    let reader = wire.connect(connect("reader").resume().expiry(200).will(will("w", "y")));
    wire.send(reader, subscribe(2, "b").qos(1));
    wire.send(reader, unsubscribe(3, &["b"]));
    wire.send(reader, disconnect());

    let publisher = wire.connect(connect("publisher").resume().expiry(3600));
    wire.send(publisher, publish("a/3", "soon over").qos1(1).expiry(1));
    allow_all(&mut wire);
    wire.advance_secs(2);
    wire.send(publisher, publish("a/3", "first").qos2(2));
    allow_all(&mut wire);
    wire.hold_commits();
    wire.send(publisher, publish("a/3", "refused").qos2(3));
    allow_all(&mut wire);
    wire.fail_commit(StoreError::Failed);
    wire.advance_secs(1);
    wire.commit_at_once();
    let reader = wire.connect(connect("reader").resume().expiry(200));
    assert_eq!(wire.receive(reader), [r#"PUBLISH q2 id=1 "a/3" "first""#]);
    wire.cut(reader);
    wire.advance_secs(300);

    made.extend(kinds(&wire));
    let all = [
        "Dropped",
        "Elapsed",
        "Finished",
        "Forgotten",
        "MessageForgotten",
        "MessageStored",
        "Queued",
        "Received",
        "Released",
        "ReplayBegun",
        "Replayed",
        "ReplayedUpTo",
        "ReplayEnded",
        "Retained",
        "RetainedCleared",
        "Sent",
        "SessionBegun",
        "SessionChanged",
        "SessionEnded",
        "SessionLeft",
        "SessionResumed",
        "Subscribed",
        "Unsubscribed",
        "WillAnswered",
        "WillAsked",
        "WillDiscarded",
        "WillDue",
        "WillPublished",
        "WillStored",
        "Withdrawn",
    ];
    assert_eq!(made, all.map(str::to_owned).into());
}
