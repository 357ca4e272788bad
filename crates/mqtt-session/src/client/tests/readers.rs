//! Buffers, slow readers, and whose reading acknowledges what.

use core::num::NonZeroU16;

use super::*;

const QOS0: PublishQos = PublishQos::AtMostOnce;

fn again(number: u16) -> PublishQos {
    PublishQos::AtLeastOnce { id: id(number), dup: true }
}

impl Script {
    /// A subscription with this buffer that the server has granted.
    fn reading(&mut self, filter: &str, buffer: BufferOptions) -> SubscriptionKey {
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..Default::default() };
        let filters = [(TopicFilter::new(filter).unwrap(), options)];
        let key = self.client.subscribe(&filters, Properties::EMPTY, buffer).unwrap();
        let sent = self.sent();
        let number = sent[0].split(' ').nth(1).unwrap().parse().unwrap();
        self.suback(number, &[SubAckReason::GrantedQos2]);
        while let Some(event) = self.client.poll_event() {
            assert!(matches!(event, ClientEvent::Subscribed { .. }), "{event:?}");
        }
        key
    }

    /// What is told, without reading any message.
    fn told(&mut self) -> Vec<String> {
        core::iter::from_fn(|| self.client.poll_event()).map(|event| told(&event)).collect()
    }

    fn take(&mut self, reader: SubscriptionKey) -> ReceivedMessage {
        self.client.poll_message(reader).expect("a message")
    }

    fn resume(&mut self) {
        self.lose();
        self.told();
        self.connect(true, &PropertyBuf::new());
    }
}

fn buffer() -> BufferOptions {
    BufferOptions::new()
}

#[test]
fn a_reader_is_told_of_messages_only_when_it_had_read_all_before() {
    let mut script = Script::open(resuming());
    let a = script.reading("a", buffer());
    let b = script.reading("b", buffer());
    script.deliver_text("a", QOS0, "1");
    script.deliver_text("a", qos1(1), "2");
    script.deliver_text("b", QOS0, "3");
    assert_eq!(script.told(), ["readable [0]", "readable [1]"]);
    script.take(a);
    script.deliver_text("a", QOS0, "4");
    assert!(script.told().is_empty(), "one still waited");
    assert_eq!(script.read(a), ["2", "4"]);
    assert_eq!(script.read(b), ["3"]);
    script.deliver_text("a", QOS0, "5");
    assert_eq!(script.told(), ["readable [0]"]);
}

#[test]
fn several_readers_share_the_memory_of_a_message() {
    let mut script = Script::open(resuming());
    let a = script.reading("a/#", buffer());
    let b = script.reading("a/+", buffer());
    script.deliver("a/x", QOS0);
    let (first, second) = (script.take(a).message, script.take(b).message);
    assert_eq!(first.payload().as_ptr(), second.payload().as_ptr());
}

/// Proves: [MQTT-3.3.4-8], [MQTT-3.3.4-10]
#[test]
fn twenty_unread_messages_do_not_hold_up_own_publishes() {
    let config = resuming().receive_maximum(NonZeroU16::new(20).unwrap());
    let mut script = Script::open(config.keep_alive(Duration::from_secs(60)));
    let slow = script.reading("slow", buffer().messages(5));
    let other = script.reading("other", buffer());
    for number in 1..=20 {
        script.deliver("slow", qos1(number));
    }
    assert!(script.sent().is_empty(), "nothing is acknowledged that was not read");
    script.told();

    script.publish("own", QoS::AtLeastOnce).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 own"]);
    script.receive(puback(1, PubAckReason::Success));
    assert_eq!(script.told(), ["published 0 acknowledged: Success"]);
    script.deliver_text("other", QOS0, "passes by");
    assert_eq!(script.read(other), ["passes by"]);
    script.pass(Duration::from_secs(55));
    assert_eq!(script.sent(), ["PINGREQ"]);
    assert!(script.client.accepts_input());

    assert_eq!(script.client.unacknowledged_deliveries(), 20);
    assert_eq!(script.read(slow).len(), 20);
    assert_eq!(script.sent().len(), 20);
}

#[test]
fn a_full_buffer_drops_qos_0_as_it_was_asked_to_and_counts_it() {
    for (on_full, kept) in
        [(OnFullQos0::DropOldest, ["1", "4", "5"]), (OnFullQos0::DropNewest, ["0", "1", "2"])]
    {
        let mut script = Script::open(resuming());
        let reader = script.reading("a", buffer().messages(3).on_full_qos0(on_full));
        script.deliver_text("a", QOS0, "0");
        script.deliver_text("a", qos1(1), "1");
        for payload in ["2", "3", "4", "5"] {
            script.deliver_text("a", QOS0, payload);
        }
        assert_eq!(script.told(), ["readable [0]", "buffer full [0] Dropped"], "told once");
        let status = script.client.buffer(reader).unwrap();
        assert_eq!((status.messages, status.dropped, status.refused), (3, 3, 0));
        assert!(!status.holds_back);
        assert_eq!(script.read(reader), kept, "QoS 1 is never dropped");
        assert_eq!(script.client.statistics().dropped, 3);
        assert_eq!(script.client.buffer(reader).unwrap().bytes, 0);
    }
}

#[test]
fn a_full_buffer_of_qos_1_alone_has_no_room_for_qos_0() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer().messages(2));
    for number in 1..=2 {
        script.deliver_text("a", qos1(number), "kept");
    }
    script.deliver_text("a", QOS0, "dropped");
    assert_eq!(script.read(reader), ["kept", "kept"]);
    assert_eq!(script.client.statistics().dropped, 1);
}

#[test]
fn a_buffer_is_full_by_bytes_too_and_takes_one_message_of_any_size() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer().bytes(1000));
    let large = "x".repeat(5000);
    script.deliver_text("a", QOS0, &large);
    assert_eq!(script.client.statistics().dropped, 0);
    script.deliver_text("a", QOS0, "small");
    assert_eq!(script.client.statistics().dropped, 1);
    assert_eq!(script.read(reader), ["small"], "the oldest made room");
}

/// Proves: [MQTT-3.3.4-7], [MQTT-4.6.0-2]
#[test]
fn a_reader_that_reads_nothing_holds_the_server_back_and_that_is_visible() {
    let config = resuming().receive_maximum(NonZeroU16::new(4).unwrap());
    let mut script = Script::open(config);
    let slow = script.reading("slow", buffer().messages(2));
    let fast = script.reading("fast", buffer());
    script.deliver("slow", qos1(1));
    script.deliver("slow", qos1(2));
    assert_eq!(script.client.held_back_by(), None);
    script.deliver("slow", qos1(3));
    script.deliver("fast", qos1(4));
    assert_eq!(
        script.told(),
        ["readable [0]", "buffer full [0] HeldBack", "readable [1]"],
        "told once"
    );
    assert_eq!(script.client.held_back_by(), Some(slow));
    assert_eq!(script.read(fast).len(), 1);
    assert!(script.sent().is_empty(), "it waits for those before it");
    assert_eq!(script.client.statistics().refused + script.client.statistics().dropped, 0);
    script.take(slow);
    assert_eq!(script.client.held_back_by(), None);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
    assert_eq!(script.read(slow).len(), 2);
    assert_eq!(script.sent(), ["PUBACK 2 Success", "PUBACK 3 Success", "PUBACK 4 Success"]);
}

/// Proves: [MQTT-4.3.3-9], [MQTT-4.6.0-2], [MQTT-4.6.0-3]
#[test]
fn a_full_buffer_refuses_if_it_was_asked_to_and_counts_it() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer().messages(1).on_full(OnFull::Refuse));
    script.deliver_text("a", qos1(1), "kept");
    script.deliver("a", qos1(2));
    script.deliver("a", qos2(3));
    assert_eq!(script.sent(), ["PUBREC 3 Quota exceeded"], "QoS 1 waits for the one before it");
    assert_eq!(script.told(), ["readable [0]", "buffer full [0] Refused"]);
    assert_eq!(script.read(reader), ["kept"]);
    assert_eq!(script.sent(), ["PUBACK 1 Success", "PUBACK 2 Quota exceeded"]);
    assert_eq!(script.client.buffer(reader).unwrap().refused, 2);
    assert_eq!(script.client.statistics().refused, 2);
    script.deliver_text("a", qos2(3), "new");
    assert_eq!(script.read(reader), ["new"], "a refused identifier means a new message");
}

/// Proves: [MQTT-4.6.0-2]
#[test]
fn a_message_of_several_subscriptions_is_acknowledged_when_all_have_taken_it() {
    let manual = buffer().manual_acknowledgement(true);
    let mut script = Script::open(resuming().subscription_identifiers(false));
    let read = script.reading("a/#", buffer());
    let answered = script.reading("a/+", manual);
    let refusing = script.reading("+/b", buffer().messages(1).on_full(OnFull::Refuse));
    script.deliver("a/b", qos1(1));
    script.deliver("a/b", qos1(2));
    script.read(read);
    let first = script.take(answered).delivery;
    let second = script.take(answered).delivery;
    script.answer(second, PubAckReason::Success);
    script.answer(first, PubAckReason::Success);
    assert!(script.sent().is_empty(), "the third has not read the first");
    script.read(refusing);
    assert_eq!(
        script.sent(),
        ["PUBACK 1 Success", "PUBACK 2 Quota exceeded"],
        "who refuses speaks for all"
    );
}

#[test]
fn unsubscribing_answers_what_nobody_will_read() {
    let mut script = Script::open(resuming());
    let key = script.reading("a", buffer());
    let manual = script.reading("b", buffer().manual_acknowledgement(true));
    script.deliver("a", qos1(1));
    script.deliver("a", qos2(2));
    script.deliver("b", qos1(3));
    let delivery = script.take(manual).delivery;
    script.deliver("b", qos1(4));
    script.client.unsubscribe(key);
    script.client.unsubscribe(manual);
    assert!(script.client.poll_message(key).is_none());
    assert!(script.client.buffer(key).is_none());
    assert_eq!(
        script.sent(),
        ["PUBACK 1 Success", "PUBREC 2 Success", "UNSUBSCRIBE 1 a", "UNSUBSCRIBE 2 b"]
    );
    script.answer(delivery, PubAckReason::NotAuthorized);
    assert_eq!(script.sent(), ["PUBACK 3 Not authorized", "PUBACK 4 Success"]);
}

#[test]
fn what_came_before_a_subscription_was_refused_can_still_be_read() {
    let mut script = Script::open(resuming().subscription_identifiers(false));
    let key = script.subscribe(&["a"]);
    script.sent();
    script.deliver_text("a", qos1(1), "from an earlier subscription");
    script.suback(1, &[SubAckReason::NotAuthorized]);
    assert_eq!(script.told(), ["readable [0]", "subscribed [0] [NotAuthorized]"]);
    assert_eq!(script.read(key), ["from an earlier subscription"]);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
    assert!(script.client.buffer(key).is_none(), "nothing is left of it");
    let next = script.reading("b", buffer());
    assert_eq!(next.slot(), key.slot());
    assert!(script.client.poll_message(key).is_none() && next != key);
}

/// Proves: [MQTT-4.4.0-1], [MQTT-4.3.2-5]
#[test]
fn after_a_resume_unread_qos_1_comes_once_and_qos_2_stays() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer());
    script.deliver_text("a", QOS0, "zero");
    script.deliver_text("a", qos1(1), "one");
    script.deliver_text("a", qos2(2), "two");
    script.resume();
    script.told();
    assert_eq!(script.client.buffer(reader).unwrap().messages, 2);
    script.deliver_text("a", again(1), "one");
    script.deliver_text("a", PublishQos::ExactlyOnce { id: id(2), dup: true }, "two");
    assert!(script.sent().is_empty());
    assert_eq!(script.read(reader), ["zero", "two", "one"]);
    assert_eq!(script.sent(), ["PUBREC 2 Success", "PUBACK 1 Success"]);
    assert_eq!(script.client.statistics().duplicates, 1);
}

#[test]
fn what_is_read_between_two_connections_is_acknowledged_where_it_still_can_be() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer());
    script.deliver_text("a", qos1(1), "one");
    script.deliver_text("a", qos2(2), "two");
    script.lose();
    assert_eq!(script.read(reader), ["one", "two"]);
    script.connect(true, &PropertyBuf::new());
    assert!(script.sent().is_empty());
    script.deliver_text("a", PublishQos::ExactlyOnce { id: id(2), dup: true }, "two");
    assert_eq!(script.sent(), ["PUBREC 2 Success"]);
    script.deliver_text("a", again(1), "one");
    assert_eq!(script.read(reader), ["one"], "at least once");
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
}

#[test]
fn what_was_not_read_when_the_session_was_lost_is_kept_and_stays_bounded() {
    let config = resuming().receive_maximum(NonZeroU16::new(3).unwrap());
    let mut script = Script::open(config);
    let reader = script.reading("a", buffer().messages(4));
    let mut number = 0;
    for _ in 0..10 {
        for packet in 1..=3 {
            number += 1;
            script.deliver_text("a", qos1(packet), &number.to_string());
        }
        let status = script.client.buffer(reader).unwrap();
        assert!(status.messages <= 4 + 3, "{status:?}");
        script.lose();
        script.told();
        script.connect(false, &PropertyBuf::new());
        assert_eq!(script.client.buffer(reader).unwrap().messages, status.messages);
        script.sent();
        script.suback(1, &[SubAckReason::GrantedQos2]);
        script.told();
    }
    let status = script.client.buffer(reader).unwrap();
    let kept = script.read(reader);
    assert_eq!(kept.last().unwrap(), "30");
    assert_eq!(kept.len() as u64 + status.dropped, 30, "what was dropped is counted");
    assert!(script.sent().is_empty(), "nobody waits for an acknowledgement");
}

/// Proves: [MQTT-4.6.0-2]
#[test]
fn an_acknowledgement_after_a_reconnect_goes_to_the_right_packet_or_nowhere() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer().manual_acknowledgement(true));
    script.deliver_text("a", qos1(1), "old");
    script.deliver_text("a", qos2(2), "kept");
    let old = script.take(reader).delivery;
    let kept = script.take(reader).delivery;
    script.resume();
    script.told();
    // The same identifier means another message now.
    script.deliver_text("a", qos1(1), "other");
    script.deliver("a", PublishQos::ExactlyOnce { id: id(2), dup: true });
    let other = script.take(reader);
    assert_eq!(other.message.payload(), b"other");
    script.answer(old, PubAckReason::NotAuthorized);
    assert!(script.sent().is_empty());
    script.answer(kept, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBREC 2 Success"]);
    script.answer(other.delivery, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
}

/// Proves: [MQTT-4.4.0-1]
#[test]
fn a_delivery_that_is_dropped_stays_unacknowledged_and_comes_again_after_a_resume() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer().manual_acknowledgement(true));
    for (number, payload) in [(1, "dropped"), (2, "answered")] {
        script.deliver_text("a", qos1(number), payload);
        script.deliver_text("a", qos2(10 + number), payload);
    }
    let mut taken = Vec::new();
    while let Some(received) = script.client.poll_message(reader) {
        taken.push(received.delivery.unwrap());
    }
    let rest = taken.split_off(2);
    for delivery in taken {
        script.client.abandon(delivery);
    }
    for delivery in rest {
        script.client.acknowledge(script.now, delivery, PubAckReason::Success);
    }
    assert!(script.sent().is_empty(), "they hold back what came later");
    assert_eq!(script.client.statistics().abandoned, 2);
    script.resume();
    script.told();
    for number in 1..=2 {
        script.deliver_text("a", again(number), "again");
        let dup = PublishQos::ExactlyOnce { id: id(10 + number), dup: true };
        script.deliver_text("a", dup, "again");
    }
    let mut kinds = Vec::new();
    while let Some(received) = script.client.poll_message(reader) {
        kinds.push(received.message.qos());
        script.answer(received.delivery, PubAckReason::Success);
    }
    assert_eq!(
        kinds,
        [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce],
        "of QoS 2, the one that was acknowledged is known"
    );
    let mut sent = script.sent();
    sent.sort_unstable();
    assert_eq!(
        sent,
        ["PUBACK 1 Success", "PUBACK 2 Success", "PUBREC 11 Success", "PUBREC 12 Success"]
    );
}

/// Proves: [MQTT-4.3.3-10]
#[test]
fn duplicate_qos_2_publish_is_delivered_once() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer());
    script.deliver_text("a", qos2(1), "once");
    for _ in 0..3 {
        script.deliver_text("a", PublishQos::ExactlyOnce { id: id(1), dup: true }, "once");
    }
    script.resume();
    script.deliver_text("a", PublishQos::ExactlyOnce { id: id(1), dup: true }, "once");
    assert_eq!(script.read(reader), ["once"]);
    assert_eq!(script.sent(), ["PUBREC 1 Success"], "never refused");
    script.resume();
    script.deliver_text("a", PublishQos::ExactlyOnce { id: id(1), dup: true }, "once");
    assert!(script.read(reader).is_empty());
    assert_eq!(script.sent(), ["PUBREC 1 Success"]);
}

/// Proves: [MQTT-2.2.1-3]
#[test]
fn the_servers_packet_identifiers_are_its_own() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer());
    script.publish("own", QoS::ExactlyOnce).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 2 id 1 own"]);
    script.deliver_text("a", qos2(1), "theirs");
    assert_eq!(script.read(reader), ["theirs"]);
    assert_eq!(script.sent(), ["PUBREC 1 Success"]);
    script.receive(pubrec(1, PubAckReason::Success));
    script.receive(pubrel(1));
    assert_eq!(script.sent(), ["PUBREL 1 Success", "PUBCOMP 1 Success"]);
}

#[test]
fn share_filter_matches_locally() {
    for identifiers in [true, false] {
        let mut script = Script::open(resuming().subscription_identifiers(identifiers));
        let shared = script.reading("$share/group/foo/+", buffer());
        script.deliver_text("foo/bar", qos1(1), "shared");
        assert_eq!(script.read(shared), ["shared"]);
        assert_eq!(script.sent(), ["PUBACK 1 Success"]);
    }
}

/// Proves: [MQTT-4.5.0-2]
#[test]
fn messages_of_a_rejoined_session_wait_for_the_subscription_that_claims_them() {
    let rejoin = ClientConfig::new()
        .client_id("c")
        .session(SessionPolicy::rejoin(Duration::from_secs(3600)))
        .keep_alive(Duration::ZERO);
    let mut script = Script::new(rejoin);
    script.connect(true, &PropertyBuf::new());
    script.deliver_text("a", qos1(1), "for a");
    script.deliver_text("b", qos1(2), "for b");
    script.deliver_text("a", QOS0, "for a too");
    script.deliver_text("c", qos2(3), "for nobody");
    assert!(script.sent().is_empty() && script.told().is_empty());
    assert_eq!(script.client.unclaimed_messages(), 4);
    let a = script.subscribe(&["a"]);
    assert_eq!(script.told(), ["readable [0]"]);
    assert_eq!(script.read(a), ["for a", "for a too"]);
    assert_eq!(script.sent()[0], "PUBACK 1 Success");
    assert_eq!(script.client.unclaimed_messages(), 2);
    let rest = script.client.subscribe_unmatched(buffer());
    assert_eq!(script.read(rest), ["for b", "for nobody"]);
    assert_eq!(script.sent(), ["PUBACK 2 Success", "PUBREC 3 Success"]);
    script.client.unsubscribe(rest);
    script.deliver("z", qos1(4));
    assert_eq!(script.client.unclaimed_messages(), 1);
}

#[test]
fn in_a_session_of_its_own_a_client_keeps_nothing_that_nobody_wants() {
    let mut script = Script::open(resuming());
    script.deliver("a", qos1(1));
    assert_eq!(script.client.unclaimed_messages(), 0);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
    assert_eq!(script.client.statistics().unmatched, 1);
}

#[test]
fn every_reader_of_the_unmatched_gets_all_of_them() {
    let mut script = Script::open(resuming());
    let first = script.client.subscribe_unmatched(buffer());
    let second = script.client.subscribe_unmatched(buffer());
    script.reading("a", buffer());
    script.deliver_text("x", qos1(1), "stray");
    script.deliver_text("a", QOS0, "not stray");
    assert_eq!(script.read(first), ["stray"]);
    assert!(script.sent().is_empty());
    assert_eq!(script.read(second), ["stray"]);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
}

#[test]
fn a_reader_of_qos_0_that_lags_has_one_moment_to_catch_up() {
    let mut script = Script::open(resuming());
    let reader = script.reading("a", buffer().messages(8));
    for _ in 0..4 {
        script.deliver("a", QOS0);
    }
    assert!(script.client.accepts_input());
    script.deliver("a", QOS0);
    assert!(!script.client.accepts_input());
    let deadline = script.client.poll_timeout().unwrap();
    assert_eq!(deadline.timer, crate::Timer::Reader);
    assert_eq!(deadline.at, script.now + Duration::from_millis(20));
    // It catches up.
    script.read(reader);
    assert!(script.client.accepts_input() && script.client.poll_timeout().is_none());
    // It does not, and has no other moment before it has.
    for _ in 0..5 {
        script.deliver("a", QOS0);
    }
    assert!(!script.client.accepts_input());
    script.pass(Duration::from_millis(20));
    assert!(script.client.accepts_input());
    script.deliver("a", QOS0);
    assert!(script.client.accepts_input() && script.client.poll_timeout().is_none());
    script.read(reader);
    for _ in 0..5 {
        script.deliver("a", QOS0);
    }
    assert!(!script.client.accepts_input());
    script.lose();
    script.told();
    script.connect(true, &PropertyBuf::new());
    assert!(script.client.accepts_input(), "another connection waits for nobody");
}

#[test]
fn without_patience_nothing_ever_waits() {
    let mut script = Script::open(resuming().reader_patience(Duration::ZERO));
    script.reading("a", buffer().messages(2));
    for _ in 0..10 {
        script.deliver("a", QOS0);
        assert!(script.client.accepts_input());
    }
}
