//! The serialized form of what a durable broker stores.
//!
//! The snapshot shows every kind of change. When it changes, what was stored before means something
//! else or cannot be read: [`STORE_FORMAT`] has to be raised.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use mqtt_codec::{PacketId, QoS, RetainHandling, SubscriptionId, SubscriptionOptions};
use mqtt_session::{Change, MessageKey, STORE_FORMAT, SessionKey, StoredMessage};

fn every_kind() -> Vec<Change> {
    let session = SessionKey::new(1).unwrap();
    let message = MessageKey::new(2).unwrap();
    let packet_id = PacketId::new(3).unwrap();
    let id = SubscriptionId::new(4);
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: false,
        retain_handling: RetainHandling::SendIfNew,
    };
    let filter: Box<str> = "a/+".into();
    let topic: Box<str> = "a/b".into();
    vec![
        Change::Elapsed(Duration::new(5, 6)),
        Change::SessionBegun {
            session,
            client_id: "client".into(),
            identity: Some("somebody".into()),
            expiry_interval: 3600,
        },
        Change::SessionChanged { session, expiry_interval: u32::MAX },
        Change::SessionLeft { session, ends_in: None },
        Change::SessionResumed { session },
        Change::SessionEnded { session },
        Change::Subscribed { session, filter: filter.clone(), options, id },
        Change::Unsubscribed { session, filter: filter.clone() },
        Change::WillStored { session, message, delay: 7, expiry: Some(8) },
        Change::WillDiscarded { session },
        Change::WillDue { session, due_in: Duration::from_millis(1500) },
        Change::WillPublished { session },
        Change::WillAsked { message, client_id: "client".into(), identity: None },
        Change::WillAnswered { message },
        Change::MessageStored(Box::new(StoredMessage {
            message,
            topic: topic.clone(),
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_in: Some(Duration::from_secs(9)),
            publisher: Some("client".into()),
            properties: b"\x01\x01"[..].into(),
            payload: b"x"[..].into(),
        })),
        Change::MessageForgotten { message },
        Change::Retained { message },
        Change::RetainedCleared { topic: topic.clone() },
        Change::Queued {
            session,
            message,
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_ids: id.into_iter().collect(),
        },
        Change::Dropped { session },
        Change::Withdrawn { session, message },
        Change::Sent { session, packet_id },
        Change::ReplayBegun { session, filter: filter.clone(), options, id },
        Change::ReplayedUpTo { session, filter: filter.clone(), topic },
        Change::Replayed {
            session,
            packet_id,
            message,
            qos: QoS::ExactlyOnce,
            id: None,
            filter: Some(filter.clone()),
        },
        Change::ReplayEnded { session, filter },
        Change::Released { session, packet_id },
        Change::Finished { session, packet_id },
        Change::Received { session, packet_id },
        Change::Forgotten { session, packet_id },
    ]
}

#[test]
fn the_form_of_each_kind_is_what_it_was() {
    let lines: Vec<String> =
        every_kind().iter().map(|change| serde_json::to_string(change).unwrap()).collect();
    insta::assert_snapshot!(format!("format {STORE_FORMAT}\n{}", lines.join("\n")));
}

#[test]
fn what_was_written_is_read_again() {
    for change in every_kind() {
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change, "{text}");
    }
}

#[test]
fn values_that_cannot_be_are_not_read() {
    for text in [
        r#"{"SessionResumed":{"session":0}}"#,
        r#"{"MessageForgotten":{"message":0}}"#,
        r#"{"Sent":{"session":1,"packet_id":0}}"#,
        r#"{"Queued":{"session":1,"message":2,"qos":3,"retain":false,"subscription_ids":[]}}"#,
        r#"{"Queued":{"session":1,"message":2,"qos":1,"retain":false,"subscription_ids":[0]}}"#,
        r#"{"Unheard":{"session":1}}"#,
    ] {
        assert!(serde_json::from_str::<Change>(text).is_err(), "{text}");
    }
}
