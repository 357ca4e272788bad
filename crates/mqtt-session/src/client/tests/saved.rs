//! Sessions that outlive the program.

use proptest::prelude::*;

use super::*;
use crate::{SavedSession, SavedSessionError};

/// Something that happens to a client.
#[derive(Clone, Debug)]
enum Step {
    Connect {
        session_present: bool,
    },
    Lose,
    Pass(u64),
    Publish {
        topic: u8,
        qos: QoS,
        expiry: Option<u32>,
    },
    Subscribe(u8),
    Unsubscribe(usize),
    /// An acknowledgement of the server, by packet type, for this identifier.
    Answer(u8, u16),
    Deliver(u16),
    /// So many bytes at most leave.
    Send(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    prop_oneof![
        2 => any::<bool>().prop_map(|session_present| Step::Connect { session_present }),
        1 => Just(Step::Lose),
        1 => (1..5u64).prop_map(Step::Pass),
        6 => (0..4u8, qos, proptest::option::of(1..9u32))
            .prop_map(|(topic, qos, expiry)| Step::Publish { topic, qos, expiry }),
        2 => (0..4u8).prop_map(Step::Subscribe),
        1 => (0..4usize).prop_map(Step::Unsubscribe),
        6 => (0..6u8, 1..6u16).prop_map(|(kind, id)| Step::Answer(kind, id)),
        2 => (1..4u16).prop_map(Step::Deliver),
        3 => prop_oneof![Just(10usize), Just(usize::MAX)].prop_map(Step::Send),
    ]
}

impl Script {
    fn step(&mut self, step: &Step, subscriptions: &mut Vec<SubscriptionKey>) -> Vec<u8> {
        let mut sent = Vec::new();
        match *step {
            Step::Connect { session_present } => {
                if matches!(self.client.link, Link::Idle) {
                    self.client.handle_connected(self.now);
                    sent = self.sent_bytes();
                    self.receive(ConnAck {
                        session_present,
                        reason: ConnectReason::Success,
                        properties: Properties::EMPTY,
                    });
                }
            }
            Step::Lose => self.lose(),
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds)),
            Step::Publish { topic, qos, expiry } => {
                let topic = format!("topic/{topic}");
                let properties = terms(|it| {
                    if let Some(seconds) = expiry {
                        it.message_expiry_interval(seconds);
                    }
                });
                let mut message = message(&topic, "payload");
                message.qos = qos;
                message.properties = properties.as_properties();
                let _taken = self.client.publish(self.now, message);
            }
            Step::Subscribe(filter) => {
                let filter = format!("filter/{filter}/#");
                subscriptions.push(self.subscribe(&[&filter, "shared/by/all"]));
            }
            Step::Unsubscribe(number) => {
                if let Some(key) = subscriptions.get(number) {
                    self.client.unsubscribe(*key);
                }
            }
            Step::Answer(kind, number) => match kind {
                0 => self.receive(puback(number, PubAckReason::Success)),
                1 => self.receive(pubrec(number, PubAckReason::Success)),
                2 => self.receive(pubcomp(number)),
                3 => self.suback(number, &[SubAckReason::GrantedQos2; 2]),
                4 => self.unsuback(number, &[UnsubAckReason::Success]),
                _ => self.receive(pubrel(number)),
            },
            Step::Deliver(number) => {
                self.deliver("filter/1/x", qos2(number));
                for key in subscriptions {
                    while self.client.poll_message(*key).is_some() {}
                }
            }
            Step::Send(limit) => {
                let mut out = TransmitBuf::new();
                self.client.poll_transmit(self.now, &mut out, limit);
                let mut bytes = vec![0; out.len()];
                out.copy_to_slice(&mut bytes);
                sent = bytes;
            }
        }
        while self.client.poll_event().is_some() {}
        sent
    }
}

proptest! {
    /// Proves: [MQTT-4.1.0-1], [MQTT-3.1.2-23]
    #[test]
    fn a_client_that_was_restored_says_what_the_other_one_would_have_said(
        before in proptest::collection::vec(step(), 0..40),
        after in proptest::collection::vec(step(), 0..40),
        away in 0..3u64,
    ) {
        let mut first = Script::new(resuming());
        let mut keys = Vec::new();
        for step in &before {
            first.step(step, &mut keys);
        }
        let bytes = first.client.save(first.now).to_bytes();
        let saved = SavedSession::from_bytes(&bytes).unwrap();
        prop_assert_eq!(saved.to_bytes(), bytes);
        // The clock of another run begins elsewhere.
        let origin = Time::from_nanos(77);
        let mut second = Script::new(resuming());
        second.client = Client::restore(resuming(), [8; 32], saved, origin).unwrap();
        second.now = origin;
        first.lose();
        while first.client.poll_event().is_some() {}
        let mut other_keys = keys.clone();
        let left = |script: &Script| {
            let outgoing: Vec<_> =
                script.client.outgoing().map(|(id, topic)| (id, topic.to_owned())).collect();
            let filters: Vec<_> = script
                .client
                .subscriptions()
                .map(|(key, it)| (key, it.join(" ")))
                .collect();
            (outgoing, filters)
        };
        prop_assert_eq!(left(&first), left(&second));
        for step in [Step::Pass(away), Step::Connect { session_present: true }].iter().chain(&after)
        {
            let sent = first.step(step, &mut keys);
            let other = second.step(step, &mut other_keys);
            prop_assert_eq!(lossy(&sent), lossy(&other), "{:?}", step);
            let (sent, other) = (first.sent_bytes(), second.sent_bytes());
            prop_assert_eq!(lossy(&sent), lossy(&other), "after {:?}", step);
        }
        prop_assert_eq!(left(&first), left(&second));
    }

    #[test]
    fn whatever_changes_what_is_saved_is_counted(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut script = Script::new(resuming());
        let mut keys = Vec::new();
        let mut saved = script.client.save(script.now).without_times();
        let mut revision = script.client.revision();
        for step in &steps {
            script.step(step, &mut keys);
            let after = script.client.save(script.now).without_times();
            if script.client.revision() == revision {
                prop_assert_eq!(&saved, &after, "after {:?}", step);
            }
            revision = script.client.revision();
            saved = after;
        }
    }

    #[test]
    fn bytes_that_were_changed_are_refused_and_never_misread(
        steps in proptest::collection::vec(step(), 0..30),
        at in any::<proptest::sample::Index>(),
        bit in 0..8u32,
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut script = Script::new(resuming());
        let mut keys = Vec::new();
        for step in &steps {
            script.step(step, &mut keys);
        }
        let bytes = script.client.save(script.now).to_bytes();
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= 1 << bit;
        SavedSession::from_bytes(&changed).unwrap_err();
        SavedSession::from_bytes(&bytes[..cut.index(bytes.len())]).unwrap_err();
        // Even with a sum that fits, nothing panics and no count is taken at its word.
        let body = changed.len() - 8;
        let sum = crate::entropy::hash([0, 0], &changed[..body]).to_le_bytes();
        changed[body..].copy_from_slice(&sum);
        if let Ok(saved) = SavedSession::from_bytes(&changed) {
            let mut client = Client::restore(ClientConfig::new(), [8; 32], saved, Time::ZERO).unwrap();
            client.handle_connected(Time::ZERO);
            let mut out = TransmitBuf::new();
            client.poll_transmit(Time::ZERO, &mut out, usize::MAX);
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

#[test]
fn what_is_no_saved_session_is_told_apart() {
    let saved = Script::new(resuming()).client.save(Time::ZERO);
    assert_eq!(saved.client_id(), "c");
    let mut bytes = saved.to_bytes();
    assert_eq!(SavedSession::from_bytes(&bytes), Ok(saved));
    assert_eq!(SavedSession::from_bytes(b""), Err(SavedSessionError::NotASession));
    assert_eq!(SavedSession::from_bytes(b"text"), Err(SavedSessionError::NotASession));
    bytes[3] = 9;
    assert_eq!(SavedSession::from_bytes(&bytes), Err(SavedSessionError::Version(9)));
}

#[test]
fn a_session_is_not_restored_under_another_client_identifier() {
    let saved = Script::open(resuming()).client.save(Time::ZERO);
    let other = resuming().client_id("other");
    let error = Client::restore(other, [8; 32], saved.clone(), Time::ZERO).unwrap_err();
    assert_eq!(error, ConfigError::ClientIdentifier);
    let none = resuming().client_id("");
    let restored = Client::restore(none, [8; 32], saved, Time::ZERO).unwrap();
    assert_eq!(restored.client_id(), "c");
}

#[test]
fn what_expires_goes_on_expiring() {
    let mut script = Script::open(resuming());
    script.lose();
    script.client.start(script.now);
    let properties = terms(|it| {
        it.message_expiry_interval(10);
    });
    let mut message = message("a", "payload");
    message.qos = QoS::AtLeastOnce;
    message.properties = properties.as_properties();
    script.client.publish(script.now, message).unwrap();
    script.pass(Duration::from_secs(4));
    let saved = script.client.save(script.now);
    let mut restored = Script::new(resuming());
    restored.client = Client::restore(resuming(), [8; 32], saved, Time::ZERO).unwrap();
    restored.pass(Duration::from_secs(5));
    assert_eq!(restored.events(), [""; 0]);
    restored.pass(Duration::from_secs(1));
    assert_eq!(restored.events(), ["published 0 Expired"]);
}

/// Proves: [MQTT-4.5.0-2]
#[test]
fn what_comes_for_forgotten_subscriptions_waits_until_it_is_subscribed_to_again() {
    let mut script = Script::open(resuming());
    script.subscribe(&["a/#"]);
    script.sent_bytes();
    script.suback(1, &[SubAckReason::GrantedQos2]);
    let saved = script.client.save(script.now);
    assert!(!saved.is_spent());
    let mut script = Script::new(resuming());
    script.client = Client::restore(resuming(), [8; 32], saved, Time::ZERO).unwrap();
    script.client.forget_subscriptions();
    assert_eq!(script.client.subscriptions().count(), 0);
    script.client.handle_connected(script.now);
    script.sent_bytes();
    script.receive(ConnAck {
        session_present: true,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    });
    assert_eq!(script.sent_bytes(), [0u8; 0], "nothing is unsubscribed from");
    script.deliver("a/b", qos2(1));
    assert_eq!(script.client.unclaimed_messages(), 1);
    let key = script.subscribe(&["a/b"]);
    let message = script.client.poll_message(key).expect("the message that had come");
    assert_eq!(message.message.topic(), "a/b");
    assert_eq!(script.client.unclaimed_messages(), 0);
}

#[test]
fn a_session_is_spent_once_neither_side_has_anything_of_it() {
    let mut script = Script::open(resuming());
    assert!(!script.client.save(script.now).is_spent(), "the server holds it");
    let options = DisconnectOptions::default().session_expiry_interval(0);
    script.client.disconnect(script.now, &options).unwrap();
    script.sent_bytes();
    script.events();
    assert!(script.client.save(script.now).is_spent());
    script.client.start(script.now);
    let mut waiting = message("a", "payload");
    waiting.qos = QoS::AtLeastOnce;
    script.client.publish(script.now, waiting).unwrap();
    assert!(!script.client.save(script.now).is_spent(), "a message waits");
}
