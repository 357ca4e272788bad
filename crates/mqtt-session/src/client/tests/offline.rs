//! What is published while there is no connection, and what is published again when the session is
//! lost.

use core::num::NonZeroU16;

use mqtt_codec::PayloadFormat;

use super::*;
use crate::Timer;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config() -> ClientConfig {
    resuming().backoff(Backoff::exponential(secs(1)..=secs(1)).jitter(Jitter::None))
}

impl Script {
    /// A started client whose connection was lost.
    fn offline(config: ClientConfig) -> Self {
        let mut script = Self::started(config);
        script.lose();
        script.events();
        script
    }

    fn put(&mut self, topic: &str, qos: QoS) -> &'static str {
        match self.publish(topic, qos) {
            Ok(_) => "taken",
            Err(PublishError::Full) => "full",
            Err(PublishError::NotConnected) => "not connected",
            Err(other) => panic!("{other}"),
        }
    }

    /// The connection comes back, and the server has the session or not.
    fn back(&mut self, session_present: bool) -> Vec<String> {
        self.pass(secs(1));
        self.events();
        self.client.handle_connected(self.now);
        self.sent();
        self.receive(ConnAck {
            session_present,
            reason: ConnectReason::Success,
            properties: Properties::EMPTY,
        });
        self.sent()
    }
}

#[test]
fn messages_wait_for_the_connection_in_their_order() {
    let mut script = Script::new(config().keep_trying(true));
    assert_eq!(script.put("never", QoS::AtLeastOnce), "not connected", "it was not started");
    script.client.start(script.now);
    script.put("dialling", QoS::AtLeastOnce);
    script.client.handle_dial_failed(script.now, DialFault::Unreachable);
    script.put("waiting", QoS::AtMostOnce);
    script.pass(secs(1));
    script.client.handle_connected(script.now);
    script.put("connecting", QoS::ExactlyOnce);
    assert_eq!(script.client.outgoing_messages(), 3);
    script.sent();
    script.receive_bytes(&[0x20, 3, 0, 0, 0]);
    assert_eq!(
        script.sent(),
        ["PUBLISH QoS 1 id 1 dialling", "PUBLISH QoS 0 waiting", "PUBLISH QoS 2 id 2 connecting"]
    );
}

#[test]
fn a_full_queue_refuses_the_new_message_and_hands_it_back() {
    let mut script = Script::offline(config().offline(Offline::queue(2, Overflow::Refuse)));
    assert_eq!(script.put("a", QoS::AtMostOnce), "taken");
    assert!(script.client.has_room_for(0));
    assert_eq!(script.put("b", QoS::AtLeastOnce), "taken");
    assert!(!script.client.has_room_for(0));
    let unsent = script.client.publish(script.now, message("c", "handed back")).unwrap_err();
    assert_eq!((unsent.error, &unsent.payload[..]), (PublishError::Full, &b"handed back"[..]));
    assert_eq!(script.back(true), ["PUBLISH QoS 0 a", "PUBLISH QoS 1 id 1 b"]);
}

#[test]
fn a_full_queue_drops_the_oldest_qos_0_message_and_nothing_else() {
    let offline = Offline::queue(3, Overflow::DropOldestQos0);
    let mut script = Script::offline(config().offline(offline));
    for (topic, qos) in [("a", QoS::AtLeastOnce), ("b", QoS::AtMostOnce), ("c", QoS::AtMostOnce)] {
        script.put(topic, qos);
    }
    assert!(script.client.has_room_for(0));
    assert_eq!(script.put("d", QoS::AtLeastOnce), "taken", "in the place of b");
    assert_eq!(script.put("e", QoS::AtLeastOnce), "taken", "in the place of c");
    assert!(!script.client.has_room_for(0));
    assert_eq!(script.put("f", QoS::AtLeastOnce), "full");
    assert_eq!(script.client.statistics().qos0_lost, 2);
    assert_eq!(script.events(), [""; 0]);
    assert_eq!(
        script.back(true),
        ["PUBLISH QoS 1 id 1 a", "PUBLISH QoS 1 id 2 d", "PUBLISH QoS 1 id 3 e"]
    );
}

#[test]
fn a_full_queue_drops_the_oldest_message_and_hands_it_back() {
    let mut script = Script::offline(config().offline(Offline::queue(2, Overflow::DropOldest)));
    for (topic, qos) in [
        ("a", QoS::ExactlyOnce),
        ("b", QoS::AtMostOnce),
        ("c", QoS::AtLeastOnce),
        ("d", QoS::AtLeastOnce),
    ] {
        assert_eq!(script.put(topic, qos), "taken");
    }
    assert_eq!(script.events(), ["published 0 dropped: QoS 2 a"]);
    assert_eq!(script.client.statistics().qos0_lost, 1);
    assert_eq!(script.back(true), ["PUBLISH QoS 1 id 1 c", "PUBLISH QoS 1 id 2 d"]);
}

#[test]
fn what_was_sent_is_never_dropped_for_a_new_message() {
    let offline = Offline::queue(1, Overflow::DropOldest);
    let mut script = Script::started(config().offline(offline));
    script.put("sent", QoS::AtLeastOnce);
    script.sent();
    script.lose();
    script.events();
    assert_eq!(script.put("new", QoS::AtLeastOnce), "full");
    assert_eq!(script.back(true), ["PUBLISH QoS 1 id 1 DUP sent"]);
}

#[test]
fn the_queue_is_bounded_by_bytes_too() {
    let offline = Offline::queue(100, Overflow::DropOldest).max_bytes(35);
    let mut script = Script::offline(config().offline(offline));
    assert_eq!(script.put("a", QoS::AtLeastOnce), "taken");
    assert_eq!(script.put("b", QoS::AtLeastOnce), "taken");
    assert_eq!(script.put("c", QoS::AtLeastOnce), "taken");
    assert_eq!(script.events(), ["published 0 dropped: QoS 1 a"]);
    let large = message("x", "larger than everything that may wait together");
    let unsent = script.client.publish(script.now, large).unwrap_err();
    assert_eq!(unsent.error, PublishError::Full, "nothing is dropped for what will not fit");
    assert_eq!(script.client.outgoing_messages(), 2);
}

#[test]
fn qos_0_waits_or_does_not() {
    for keeps in [true, false] {
        let offline = Offline::default().keep_qos0(keeps);
        let mut script = Script::started(config().offline(offline));
        // Too large to be encoded at once: it queues.
        let large = Publication::new(TopicName::new("large").unwrap(), vec![0; 10_000]);
        script.client.publish(script.now, large).unwrap();
        script.lose();
        script.events();
        let answer = script.put("offline", QoS::AtMostOnce);
        let (expected, sent, lost) = if keeps {
            ("taken", vec!["PUBLISH QoS 0 large", "PUBLISH QoS 0 offline"], 0)
        } else {
            ("not connected", vec![], 1)
        };
        assert_eq!(answer, expected);
        assert_eq!(script.back(true), sent);
        assert_eq!(script.client.statistics().qos0_lost, lost);
    }
}

#[test]
fn an_application_that_wants_no_queue_is_refused_at_once() {
    let mut script = Script::offline(config().offline(Offline::refuse()));
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert_eq!(script.put("a", qos), "not connected");
    }
}

#[test]
fn a_message_only_for_the_present_connection_does_not_wait_for_another() {
    let only_online = |qos| {
        let mut message = message("now", "or never");
        message.only_online = true;
        message.qos = qos;
        message
    };
    let one = terms(|terms| {
        terms.receive_maximum(NonZeroU16::MIN);
    });
    let mut script = Script::new(config());
    script.client.start(script.now);
    script.connect(false, &one);
    script.put("first", QoS::AtLeastOnce);
    script.client.publish(script.now, only_online(QoS::AtLeastOnce)).unwrap();
    script.client.publish(script.now, only_online(QoS::AtMostOnce)).unwrap();
    script.put("later", QoS::AtLeastOnce);
    script.lose();
    let events = script.events();
    assert_eq!(events[0], "published 1 dropped: QoS 1 now", "{events:?}");
    let unsent = script.client.publish(script.now, only_online(QoS::AtMostOnce)).unwrap_err();
    assert_eq!(unsent.error, PublishError::NotConnected);
    assert_eq!(script.back(true), ["PUBLISH QoS 1 id 1 first", "PUBLISH QoS 1 id 2 later"]);
    assert_eq!(script.client.statistics().qos0_lost, 1);
}

#[test]
fn expiry_counts_down_while_a_message_waits_and_what_has_expired_is_reported_on_time() {
    let mut script = Script::offline(config());
    script.client.disconnect(script.now, &DisconnectOptions::default()).unwrap();
    script.client.start(script.now);
    script.events();
    let expiring = |script: &mut Script, topic: &'static str, qos, seconds| {
        let properties = terms(|it| {
            it.message_expiry_interval(seconds);
        });
        let mut message = message(topic, "payload");
        message.qos = qos;
        message.properties = properties.as_properties();
        script.client.publish(script.now, message).unwrap();
    };
    expiring(&mut script, "three", QoS::AtLeastOnce, 3);
    expiring(&mut script, "two", QoS::ExactlyOnce, 2);
    expiring(&mut script, "one", QoS::AtMostOnce, 1);
    expiring(&mut script, "nine", QoS::AtLeastOnce, 9);
    let deadline = script.client.poll_timeout().unwrap();
    assert_eq!((deadline.at, deadline.timer), (script.now + secs(1), Timer::MessageExpiry));
    script.pass(secs(1));
    assert_eq!(script.events(), [""; 0]);
    assert_eq!(script.client.statistics().qos0_expired, 1);
    script.pass(secs(1));
    assert_eq!(script.events(), ["published 1 Expired"]);
    script.pass(secs(1));
    assert_eq!(script.events(), ["published 0 Expired"]);
    script.client.handle_connected(script.now);
    script.sent();
    script.receive_bytes(&[0x20, 3, 0, 0, 0]);
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 nine {Message Expiry Interval: 6}"]);
    assert_eq!(script.client.poll_timeout(), None, "what was sent expires no more");
}

#[test]
fn what_was_not_sent_is_handed_back_when_the_client_ends() {
    let mut script = Script::offline(config());
    let properties = terms(|it| {
        it.message_expiry_interval(100).payload_format_indicator(PayloadFormat::Utf8);
        it.user_property("k", "v").unwrap();
    });
    let mut given = message("a", "payload");
    given.qos = QoS::ExactlyOnce;
    given.retain = true;
    given.properties = properties.as_properties();
    let id = script.client.publish(script.now, given).unwrap();
    script.put("b", QoS::AtMostOnce);
    script.pass(Duration::from_millis(900));
    script.client.disconnect(script.now, &DisconnectOptions::default()).unwrap();
    let [(first_id, first), (second_id, second)] = &script.client.take_unsent(script.now)[..]
    else {
        panic!("two messages");
    };
    assert_eq!((*first_id, *second_id), (id, None));
    assert_eq!((&*first.topic, &first.payload[..]), ("a", &b"payload"[..]));
    assert_eq!((first.qos, first.retain), (QoS::ExactlyOnce, true));
    assert_eq!(first.properties.as_properties().message_expiry_interval(), Some(100));
    assert_eq!(first.properties.as_properties().user_properties().next(), Some(("k", "v")));
    assert!(!first.may_have_arrived);
    assert_eq!((&*second.topic, second.qos), ("b", QoS::AtMostOnce));
    assert_eq!(script.client.outgoing_messages(), 0);
    assert!(!format!("{first:?}").contains("payload\""), "{first:?}");
}

/// Proves: [MQTT-3.2.2-5], [MQTT-3.1.2-4]
#[test]
fn qos_1_is_published_again_when_the_session_is_lost_and_the_outcome_tells() {
    let mut script = Script::started(config());
    for (topic, qos) in [("a", QoS::AtLeastOnce), ("b", QoS::ExactlyOnce), ("c", QoS::AtLeastOnce)]
    {
        script.put(topic, qos);
    }
    script.sent();
    script.lose();
    script.put("d", QoS::AtLeastOnce);
    script.events();
    assert_eq!(
        script.back(false),
        ["PUBLISH QoS 1 id 1 a", "PUBLISH QoS 1 id 2 c", "PUBLISH QoS 1 id 3 d"],
        "as new messages, in their order, before what came later"
    );
    assert_eq!(script.events()[0], "published 1 SessionLost");
    for number in 1..=3 {
        script.receive(puback(number, PubAckReason::Success));
    }
    assert_eq!(
        script.events(),
        [
            "published 0 acknowledged: Success (republished)",
            "published 2 acknowledged: Success (republished)",
            "published 3 acknowledged: Success"
        ]
    );
}

#[test]
fn qos_2_is_published_again_only_if_asked_for_and_never_once_the_server_has_it() {
    let mut script = Script::started(config().republish(Republish::Qos1AndQos2));
    script.put("a", QoS::ExactlyOnce);
    script.put("b", QoS::ExactlyOnce);
    script.sent();
    script.receive(pubrec(1, PubAckReason::Success));
    script.sent();
    script.lose();
    script.events();
    assert_eq!(script.back(false), ["PUBLISH QoS 2 id 1 b"]);
    assert_eq!(script.events()[0], "published 0 SessionLost");
}

#[test]
fn nothing_is_published_again_if_the_application_does_not_want_it() {
    let mut script = Script::started(config().republish(Republish::Nothing));
    script.put("a", QoS::AtLeastOnce);
    script.sent();
    script.lose();
    script.put("b", QoS::AtLeastOnce);
    script.events();
    assert_eq!(script.back(false), ["PUBLISH QoS 1 id 1 b"], "it was never sent");
    assert_eq!(script.events()[0], "published 0 SessionLost");
}

#[test]
fn a_client_that_leaves_publishes_nothing_again() {
    let mut script = Script::started(ClientConfig::new());
    script.put("a", QoS::AtLeastOnce);
    script.sent();
    script.client.disconnect(script.now, &DisconnectOptions::default()).unwrap();
    script.sent();
    assert_eq!(script.events()[0], "published 0 SessionLost");
}

#[test]
fn a_message_that_expires_before_it_is_published_again_may_have_arrived() {
    let mut script = Script::started(ClientConfig::new().keep_alive(Duration::ZERO));
    let properties = terms(|it| {
        it.message_expiry_interval(5);
    });
    let mut message = message("a", "payload");
    message.qos = QoS::AtLeastOnce;
    message.properties = properties.as_properties();
    script.client.publish(script.now, message).unwrap();
    script.sent();
    script.lose();
    script.events();
    script.pass(secs(5));
    assert_eq!(script.events()[0], "published 0 SessionLost");
}
