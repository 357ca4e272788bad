//! What the server announced in CONNACK that it does not take: refused by name when it is asked
//! for, told by name when it was asked for before the limits were known, and never sent.
//!
//! Receive Maximum and Topic Alias Maximum refuse nothing: over the one messages wait
//! (`publish::over_the_receive_maximum_messages_wait_and_everything_else_goes_on`,
//! `resume::what_is_sent_again_keeps_to_the_new_receive_maximum`), over the other topics are sent
//! in full (`publish::topic_aliases_are_used_up_to_what_both_sides_allow_and_die_with_the_connection`).
//! An application sets neither a Topic Alias nor a Subscription Identifier
//! (`publish::properties_that_are_not_the_applications_are_refused`,
//! `subscribe::requests_that_no_server_may_be_sent_are_refused`).

use core::num::NonZeroU32;

use super::*;

fn publication<'a>(topic: &'a str, qos: QoS, retain: bool) -> Publication<'a> {
    let mut publication = message(topic, "payload");
    publication.qos = qos;
    publication.retain = retain;
    publication
}

impl Script {
    /// The server answers CONNECT.
    fn accept_with(&mut self, terms: &PropertyBuf) {
        self.receive(ConnAck {
            session_present: false,
            reason: ConnectReason::Success,
            properties: terms.as_properties(),
        });
        assert_eq!(self.events(), ["connected \"c\" session present false"]);
    }
}

/// Publishes on a connection with these terms; the error, with which the payload came back.
fn refused(terms: &PropertyBuf, publication: Publication<'_>) -> ServerLimit {
    let mut script = Script::open_with(resuming(), terms);
    let payload = publication.payload.clone();
    let unsent = script.client.publish(script.now, publication).unwrap_err();
    assert_eq!(unsent.payload, payload);
    assert!(script.sent().is_empty());
    assert_eq!(script.client.outgoing_messages(), 0);
    let PublishError::NotAllowed(limit) = unsent.error else { panic!("{}", unsent.error) };
    limit
}

/// Publishes before CONNACK tells these terms; what is told then.
fn too_early(terms: &PropertyBuf, publication: Publication<'_>) -> Vec<String> {
    let mut script = Script::new(resuming());
    script.client.handle_connected(script.now);
    assert_eq!(script.sent().len(), 1, "CONNECT");
    script.client.publish(script.now, publication).unwrap();
    assert!(script.sent().is_empty(), "nothing is published before CONNACK");
    script.accept_with(terms);
    assert!(script.sent().is_empty());
    assert_eq!(script.client.outgoing_messages(), 0);
    script.events()
}

/// Publishes where everything is allowed, and resumes the session on these terms, without an
/// acknowledgement; what is told then.
fn too_late(terms: &PropertyBuf, publication: Publication<'_>) -> Vec<String> {
    let mut script = Script::open(resuming());
    script.client.publish(script.now, publication).unwrap();
    assert_eq!(script.sent().len(), 1);
    script.lose();
    script.events();
    script.connect(true, terms);
    assert!(script.sent().is_empty());
    assert_eq!(script.client.outgoing_messages(), 0);
    script.events()
}

fn subscribe(script: &mut Script, text: &str) -> Result<SubscriptionKey, SubscribeError> {
    let filters = [(TopicFilter::new(text).unwrap(), SubscriptionOptions::default())];
    script.client.subscribe(&filters, Properties::EMPTY, BufferOptions::new())
}

/// A subscription that these terms do not allow: refused on a connection, and told by an event if
/// it was made before.
fn not_subscribed(terms: &PropertyBuf, filter: &str) -> ServerLimit {
    let mut script = Script::open_with(resuming(), terms);
    let Err(SubscribeError::NotAllowed(limit)) = subscribe(&mut script, filter) else {
        panic!("{filter} is not taken")
    };
    assert!(script.sent().is_empty());

    let mut script = Script::new(resuming());
    subscribe(&mut script, filter).unwrap();
    script.connect(false, terms);
    assert!(script.sent().is_empty());
    let told = script.events();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("subscribe failed [0] "), "{told:?}");
    limit
}

/// Proves: [MQTT-3.2.2-11]
#[test]
fn above_the_maximum_qos_nothing_is_sent() {
    let limit = terms(|terms| {
        terms.maximum_qos(QoS::AtLeastOnce);
    });
    let above = || publication("a", QoS::ExactlyOnce, false);
    let refused = refused(&limit, above());
    assert_eq!(refused, ServerLimit::MaximumQos { maximum: QoS::AtLeastOnce });
    assert_eq!(refused.to_string(), "the server takes messages up to QoS 1, as its CONNACK said");
    let told = ["published 0 NotAllowed(MaximumQos { maximum: AtLeastOnce })"];
    assert_eq!(too_early(&limit, above()), told);
    assert_eq!(too_late(&limit, above()), told);

    let mut script = Script::open_with(resuming(), &limit);
    script.publish("a", QoS::AtLeastOnce).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 a"], "up to it all is");
}

/// Proves: [MQTT-3.2.2-14]
#[test]
fn where_retain_is_not_available_nothing_is_sent_to_be_retained() {
    let limit = terms(|terms| {
        terms.retain_available(false);
    });
    let retained = || publication("a", QoS::AtLeastOnce, true);
    assert_eq!(refused(&limit, retained()), ServerLimit::RetainNotAvailable);
    let told = ["published 0 NotAllowed(RetainNotAvailable)"];
    assert_eq!(too_early(&limit, retained()), told);
    assert_eq!(too_late(&limit, retained()), told);
}

/// Proves: [MQTT-3.2.2-14]
#[test]
fn a_qos_0_message_that_the_server_does_not_take_is_counted() {
    let mut script = Script::new(resuming());
    script.client.handle_connected(script.now);
    script.sent();
    script.client.publish(script.now, publication("a", QoS::AtMostOnce, true)).unwrap();
    script.accept_with(&terms(|terms| {
        terms.retain_available(false);
    }));
    assert!(script.sent().is_empty());
    assert_eq!(script.client.statistics().qos0_not_allowed, 1);
}

/// Proves: [MQTT-3.2.2-15]
#[test]
fn above_the_maximum_packet_size_nothing_is_published() {
    let limit = terms(|terms| {
        terms.maximum_packet_size(NonZeroU32::new(20).unwrap());
    });
    let too_large = || {
        let mut publication = message("a", "13 bytes do..");
        publication.qos = QoS::AtLeastOnce;
        publication
    };
    // 2 bytes of fixed header, 3 of topic, 2 of packet identifier, 1 of property length.
    assert_eq!(
        refused(&limit, too_large()),
        ServerLimit::MaximumPacketSize { size: 21, maximum: 20 }
    );
    let told = ["published 0 NotAllowed(MaximumPacketSize { size: 21, maximum: 20 })"];
    assert_eq!(too_early(&limit, too_large()), told);
    assert_eq!(too_late(&limit, too_large()), told);
    assert_eq!(
        refused(&limit, message("a", "15 bytes do not")),
        ServerLimit::MaximumPacketSize { size: 21, maximum: 20 }
    );
    let mut script = Script::open_with(resuming(), &limit);
    script.client.publish(script.now, message("a", "14 bytes fit..")).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 0 a"]);
}

/// Proves: [MQTT-3.2.2-15]
#[test]
fn above_the_maximum_packet_size_nothing_is_subscribed_to() {
    let limit = terms(|terms| {
        terms.maximum_packet_size(NonZeroU32::new(20).unwrap()).subscription_id_available(false);
    });
    assert_eq!(
        not_subscribed(&limit, "a/rather/long/filter"),
        ServerLimit::MaximumPacketSize { size: 28, maximum: 20 }
    );
}

#[test]
fn where_wildcard_subscriptions_are_not_available_none_is_sent() {
    let limit = terms(|terms| {
        terms.wildcard_subscription_available(false);
    });
    for filter in ["a/+", "#", "$share/g/a/#"] {
        assert_eq!(not_subscribed(&limit, filter), ServerLimit::WildcardSubscriptionNotAvailable);
    }
    let mut script = Script::open_with(resuming(), &limit);
    subscribe(&mut script, "$share/g/a").unwrap();
    assert_eq!(script.sent().len(), 1, "a share without wildcards is no wildcard subscription");
}

#[test]
fn where_shared_subscriptions_are_not_available_none_is_sent() {
    let limit = terms(|terms| {
        terms.shared_subscription_available(false);
    });
    assert_eq!(not_subscribed(&limit, "$share/g/a"), ServerLimit::SharedSubscriptionNotAvailable);
}

#[test]
fn where_subscription_identifiers_are_not_available_none_is_sent_and_messages_find_their_way() {
    let limit = terms(|terms| {
        terms.subscription_id_available(false);
    });
    let mut script = Script::new(resuming());
    let early = subscribe(&mut script, "a/+").unwrap();
    script.connect(false, &limit);
    let late = subscribe(&mut script, "b").unwrap();
    assert_eq!(script.sent(), ["SUBSCRIBE 1 a/+:00", "SUBSCRIBE 2 b:00"]);
    script.suback(1, &[SubAckReason::GrantedQos0]);
    script.suback(2, &[SubAckReason::GrantedQos0]);
    script.deliver_text("a/1", PublishQos::AtMostOnce, "to the early one");
    script.deliver_text("b", PublishQos::AtMostOnce, "to the late one");
    assert_eq!(script.read(early), ["to the early one"]);
    assert_eq!(script.read(late), ["to the late one"]);
}
