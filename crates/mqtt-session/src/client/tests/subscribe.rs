//! Subscribing, and which subscription a message is for.

use mqtt_codec::{RetainHandling, SubscriptionId};

use super::*;

const GRANTED: SubAckReason = SubAckReason::GrantedQos2;

fn with(identifiers: &[u32]) -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    for number in identifiers {
        properties.subscription_id(SubscriptionId::new(*number).unwrap());
    }
    properties
}

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..Default::default() }
}

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::new(text).unwrap()
}

impl Script {
    /// Which subscriptions a message with these identifiers goes to.
    fn routed(&mut self, topic: &str, identifiers: &[u32]) -> Vec<usize> {
        let properties = with(identifiers);
        self.deliver_with(topic, PublishQos::AtMostOnce, properties.as_properties());
        while self.client.poll_event().is_some() {}
        let readers: Vec<SubscriptionKey> = self.client.session.subscriptions.keys().collect();
        let got = |reader: &SubscriptionKey| self.client.poll_message(*reader).is_some();
        readers.into_iter().filter(got).map(SubscriptionKey::slot).collect()
    }

    /// Subscribes and has it granted.
    fn subscribed(&mut self, filters: &[&str]) -> SubscriptionKey {
        let key = self.subscribe(filters);
        let sent = self.sent();
        let number = sent[0].split(' ').nth(1).unwrap().parse().unwrap();
        self.suback(number, &vec![GRANTED; filters.len()]);
        assert_eq!(self.events().len(), 1);
        key
    }
}

/// Proves: [MQTT-3.8.3-1], [MQTT-2.2.1-3]
#[test]
fn a_subscription_ends_up_with_a_result_for_each_filter() {
    let mut script = Script::open(resuming());
    let filters = [
        (filter("a/+"), options(QoS::AtMostOnce)),
        (
            filter("b/#"),
            SubscriptionOptions {
                qos: QoS::ExactlyOnce,
                no_local: true,
                retain_as_published: true,
                retain_handling: RetainHandling::DoNotSend,
            },
        ),
        (filter("$share/g/c"), options(QoS::AtLeastOnce)),
    ];
    let mut properties = PropertyBuf::new();
    properties.user_property("k", "v").unwrap();
    let key = script
        .client
        .subscribe(&filters, properties.as_properties(), BufferOptions::new())
        .unwrap();
    assert_eq!(
        script.sent(),
        ["SUBSCRIBE 1 a/+:00 b/#:2e $share/g/c:01 \
          {User Property: \"k\" = \"v\", Subscription Identifier: 1}"]
    );
    let reasons =
        [SubAckReason::GrantedQos0, SubAckReason::NotAuthorized, SubAckReason::GrantedQos1];
    script.suback(1, &reasons);
    assert_eq!(script.events(), ["subscribed [0] [GrantedQos0, NotAuthorized, GrantedQos1]"]);
    assert_eq!(script.routed("a/x", &[1]), [key.slot()]);
    assert_eq!(script.routed("b/x", &[1]), [] as [usize; 0], "that filter was refused");
    assert_eq!(script.routed("c", &[1]), [key.slot()]);
}

#[test]
fn a_subscription_whose_filters_are_all_refused_has_ended() {
    let mut script = Script::open(resuming());
    let key = script.subscribe(&["a"]);
    script.sent();
    script.suback(1, &[SubAckReason::NotAuthorized]);
    script.events();
    assert_eq!(script.routed("a", &[]), [] as [usize; 0]);
    script.client.unsubscribe(key);
    assert!(script.sent().is_empty() && script.events().is_empty());
}

/// Proves: [MQTT-3.8.3-2], [MQTT-3.8.3-4]
#[test]
fn requests_that_no_server_may_be_sent_are_refused() {
    let mut script = Script::open(resuming().max_filters(2));
    let subscribe = |script: &mut Script, filters: &[(TopicFilter<'_>, SubscriptionOptions)]| {
        script.client.subscribe(filters, Properties::EMPTY, BufferOptions::new()).unwrap_err()
    };
    assert_eq!(subscribe(&mut script, &[]), SubscribeError::NoTopicFilter);
    let no_local = SubscriptionOptions { no_local: true, ..Default::default() };
    assert_eq!(
        subscribe(&mut script, &[(filter("$share/g/a"), no_local)]),
        SubscribeError::NoLocalOnSharedSubscription
    );
    let many = [(filter("a"), no_local), (filter("b"), no_local), (filter("c"), no_local)];
    assert_eq!(subscribe(&mut script, &many), SubscribeError::Full { maximum: 2 });
    let identifier = with(&[3]);
    let refused = script
        .client
        .subscribe(&many[..1], identifier.as_properties(), BufferOptions::new())
        .unwrap_err();
    assert!(matches!(refused, SubscribeError::PropertyNotAllowed(_)));
    assert!(script.sent().is_empty());
}

#[test]
fn messages_find_their_subscription_by_identifier() {
    let mut script = Script::open(resuming());
    script.subscribed(&["a/#"]);
    script.subscribed(&["a/b"]);
    script.subscribed(&["$share/g/a/b"]);
    assert_eq!(script.routed("a/b", &[1]), [0], "one copy for each subscription");
    assert_eq!(script.routed("a/b", &[2]), [1]);
    assert_eq!(script.routed("a/b", &[3]), [2], "the share is told from the plain one");
    assert_eq!(script.routed("a/b", &[2, 1, 1]), [0, 1], "one copy for all of them");
}

#[test]
fn messages_without_a_usable_identifier_go_to_every_filter_that_matches() {
    let mut script = Script::open(resuming());
    script.subscribed(&["a/#", "b"]);
    let second = script.subscribed(&["a/+"]);
    script.subscribed(&["$share/g/c/d"]);
    assert_eq!(script.routed("a/x", &[]), [0, 1]);
    assert_eq!(script.routed("b", &[]), [0]);
    assert_eq!(script.routed("c/d", &[]), [2]);
    assert_eq!(script.routed("z", &[]), [] as [usize; 0]);
    assert_eq!(script.routed("a/x", &[3]), [0, 1], "an identifier that a change has overtaken");
    script.client.unsubscribe(second);
    assert_eq!(script.routed("a/x", &[2]), [0], "already under way when it ended");
}

#[test]
fn identifiers_that_had_to_be_given_twice_are_checked_against_the_filter() {
    let mut script = Script::open(resuming());
    for _ in 0..4096 {
        let key = script.subscribed(&["old/+"]);
        script.client.unsubscribe(key);
        let sent = script.sent();
        let number = sent[0].split(' ').nth(1).unwrap().parse().unwrap();
        script.unsuback(number, &[UnsubAckReason::Success]);
        script.events();
    }
    let key = script.subscribed(&["new/+"]);
    assert_eq!(script.routed("new/x", &[1]), [key.slot()], "the first one is given again");
    assert_eq!(script.routed("old/x", &[1]), [] as [usize; 0], "as one from before");
}

/// Proves: [MQTT-3.10.3-1], [MQTT-3.10.3-2]
#[test]
fn a_filter_is_unsubscribed_from_when_its_last_holder_goes() {
    let mut script = Script::open(resuming());
    let first = script.subscribed(&["a", "b"]);
    let second = script.subscribed(&["b", "c"]);
    script.client.unsubscribe(first);
    assert_eq!(script.sent(), ["UNSUBSCRIBE 1 a"]);
    assert_eq!(script.routed("b", &[2]), [second.slot()]);
    script.unsuback(1, &[UnsubAckReason::Success]);
    assert_eq!(script.events(), ["unsubscribed [0] [Success]"]);
    script.client.unsubscribe(second);
    assert_eq!(script.sent(), ["UNSUBSCRIBE 1 b c"]);
    script.unsuback(1, &[UnsubAckReason::Success, UnsubAckReason::NoSubscriptionExisted]);
    assert_eq!(script.events(), ["unsubscribed [1] [Success, NoSubscriptionExisted]"]);
    script.client.unsubscribe(second);
    assert!(script.sent().is_empty(), "it has ended already");
}

#[test]
fn a_filter_with_two_holders_has_the_broadest_options() {
    let mut script = Script::open(resuming());
    let narrow = SubscriptionOptions { no_local: true, ..options(QoS::AtMostOnce) };
    let broad = SubscriptionOptions { retain_as_published: true, ..options(QoS::ExactlyOnce) };
    script
        .client
        .subscribe(&[(filter("a"), broad)], Properties::EMPTY, BufferOptions::new())
        .unwrap();
    script
        .client
        .subscribe(&[(filter("a"), narrow)], Properties::EMPTY, BufferOptions::new())
        .unwrap();
    assert_eq!(
        script.sent(),
        [
            "SUBSCRIBE 1 a:0a {Subscription Identifier: 1}",
            "SUBSCRIBE 2 a:0a {Subscription Identifier: 2}",
        ]
    );
    script.suback(1, &[GRANTED]);
    script.suback(2, &[GRANTED]);
    script.events();
    assert_eq!(script.routed("a", &[2]), [0, 1]);
}

#[test]
fn a_lost_session_is_subscribed_to_again_and_a_resumed_one_is_not() {
    let mut script = Script::open(resuming());
    script.subscribed(&["a", "b"]);
    let second = script.subscribed(&["c"]);
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    assert!(script.sent().is_empty());
    assert_eq!(script.routed("a", &[1]), [0], "the identifiers are good as before");
    script.lose();
    script.events();
    script.client.unsubscribe(second);
    script.connect(false, &PropertyBuf::new());
    assert_eq!(script.sent(), ["SUBSCRIBE 1 a:02 b:02 {Subscription Identifier: 1}"]);
    script.suback(1, &[GRANTED, SubAckReason::NotAuthorized]);
    assert_eq!(script.events(), ["subscribed [0] again [GrantedQos2, NotAuthorized]"]);
}

#[test]
fn requests_that_were_not_answered_are_made_again_on_the_next_connection() {
    let mut script = Script::open(resuming());
    let first = script.subscribed(&["a"]);
    script.client.unsubscribe(first);
    let second = script.subscribe(&["b"]);
    assert_eq!(script.sent().len(), 2);
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    assert_eq!(script.sent(), ["UNSUBSCRIBE 1 a", "SUBSCRIBE 2 b:02 {Subscription Identifier: 3}"]);
    script.suback(2, &[GRANTED]);
    assert_eq!(script.events(), ["subscribed [0] [GrantedQos2]"]);
    assert_eq!(script.routed("b", &[3]), [second.slot()]);
}

#[test]
fn unsubscribing_from_a_session_that_is_gone_needs_no_packet() {
    let mut script = Script::open(resuming());
    let key = script.subscribed(&["a"]);
    script.lose();
    script.events();
    script.client.unsubscribe(key);
    assert!(script.events().is_empty(), "the server may still hold it");
    script.client.handle_connected(script.now);
    script.sent();
    script.receive(ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    });
    assert_eq!(script.events(), ["unsubscribed [0] []", "connected \"c\" session present false"]);
    assert!(script.sent().is_empty());
}

#[test]
fn a_subscription_that_ends_before_it_is_sent_is_not_subscribed_to() {
    let mut script = Script::new(resuming());
    let key = script.subscribe(&["a"]);
    script.client.unsubscribe(key);
    assert_eq!(script.events(), ["unsubscribed [0] []"]);
    script.connect(false, &PropertyBuf::new());
    assert!(script.sent().is_empty());
}

#[test]
fn a_suback_for_a_subscription_that_has_ended_meanwhile_is_nothing() {
    let mut script = Script::open(resuming());
    let key = script.subscribe(&["a"]);
    script.sent();
    script.client.unsubscribe(key);
    script.suback(1, &[GRANTED]);
    assert!(script.events().is_empty());
    assert_eq!(script.sent(), ["UNSUBSCRIBE 1 a"]);
}

#[test]
fn an_unsubscribe_that_is_made_again_spares_what_was_subscribed_to_meanwhile() {
    let mut script = Script::open(resuming());
    let first = script.subscribed(&["a", "b"]);
    script.client.unsubscribe(first);
    script.sent();
    let second = script.subscribe(&["a"]);
    let sent = script.sent();
    assert!(sent[0].starts_with("SUBSCRIBE 2 a"), "{sent:?}");
    script.suback(2, &[GRANTED]);
    script.events();
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    assert_eq!(script.sent(), ["UNSUBSCRIBE 2 b"]);
    script.unsuback(2, &[UnsubAckReason::Success]);
    assert_eq!(script.events(), ["unsubscribed [0] [Success]"]);
    assert_eq!(script.routed("a", &[2]), [second.slot()]);
}

#[test]
fn an_unsubscribe_with_nothing_left_to_end_is_not_sent_again() {
    let mut script = Script::open(resuming());
    let first = script.subscribed(&["a"]);
    script.client.unsubscribe(first);
    script.sent();
    script.subscribe(&["a"]);
    script.sent();
    script.suback(2, &[GRANTED]);
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    assert!(script.sent().is_empty());
    assert_eq!(script.events(), ["unsubscribed [0] []"]);
}

/// Proves: [MQTT-3.2.2-15]
#[test]
fn the_size_of_a_subscribe_counts_its_subscription_identifier() {
    // 2 bytes of header, 2 of identifier, 1 of property length, and 4 for the filter `a`.
    let maximum = |bytes| {
        terms(|it| {
            it.maximum_packet_size(core::num::NonZeroU32::new(bytes).unwrap());
        })
    };
    let subscribe = |client: &mut Client| {
        let filters = [(filter("a"), options(QoS::AtMostOnce))];
        client.subscribe(&filters, Properties::EMPTY, BufferOptions::new())
    };
    let mut script = Script::open_with(resuming(), &maximum(10));
    let limit = ServerLimit::MaximumPacketSize { size: 11, maximum: 10 };
    assert_eq!(subscribe(&mut script.client), Err(SubscribeError::NotAllowed(limit)));
    let without = resuming().subscription_identifiers(false);
    let mut script = Script::open_with(without, &maximum(10));
    subscribe(&mut script.client).unwrap();
    let mut script = Script::open_with(resuming(), &maximum(11));
    subscribe(&mut script.client).unwrap();
    assert_eq!(script.sent().len(), 1);
    assert!(script.events().is_empty());
}

#[test]
fn an_unsubscribe_carries_the_user_properties_that_it_was_given() {
    let mut script = Script::open(resuming());
    let key = script.subscribed(&["a"]);
    let properties = terms(|it| {
        it.user_property("why", "done").unwrap();
    });
    let foreign = with(&[1]);
    let refused = script.client.unsubscribe_with(key, foreign.as_properties()).unwrap_err();
    assert!(matches!(refused, UnsubscribeError::PropertyNotAllowed(_)));
    script.client.unsubscribe_with(key, properties.as_properties()).unwrap();
    assert_eq!(script.sent(), ["UNSUBSCRIBE 1 a {User Property: \"why\" = \"done\"}"]);
    // They go with it when it is made again.
    script.lose();
    script.connect(true, &PropertyBuf::new());
    assert_eq!(script.sent(), ["UNSUBSCRIBE 1 a {User Property: \"why\" = \"done\"}"]);
}

#[test]
fn an_unsubscribe_that_is_too_large_with_its_properties_goes_without_them() {
    let limits = terms(|it| {
        it.maximum_packet_size(core::num::NonZeroU32::new(12).unwrap());
    });
    let mut script = Script::open_with(resuming(), &limits);
    let key = script.subscribed(&["a"]);
    let properties = terms(|it| {
        it.user_property("why", "it was read to the end").unwrap();
    });
    script.client.unsubscribe_with(key, properties.as_properties()).unwrap();
    assert_eq!(script.sent(), ["UNSUBSCRIBE 1 a"]);
}
