//! The client and the broker of this project with each other: every exchange in both directions.

use core::num::{NonZeroU16, NonZeroU32};
use core::time::Duration;

use mqtt_codec::{DisconnectReason, PropertyBuf, PubAckReason, QoS, SubscriptionOptions};
use mqtt_session::{
    BufferOptions, ClientConfig, DisconnectOptions, PublishError, SessionPolicy, Will,
};
use mqtt_tests::scripted::{connect, publish, subscribe};
use mqtt_tests::{Pair, Wire};

fn config() -> ClientConfig {
    ClientConfig::new().client_id("client").keep_alive(Duration::ZERO)
}

fn connected(config: ClientConfig) -> Pair {
    let mut pair = Pair::new(config);
    pair.connect();
    pair.told();
    pair
}

/// Proves: [MQTT-3.1.0-1], [MQTT-3.1.4-5], [MQTT-2.2.1-3], [MQTT-2.2.1-5], [MQTT-2.2.1-6],
/// [MQTT-3.3.4-1], [MQTT-4.3.1-1], [MQTT-4.3.2-1], [MQTT-4.3.2-2], [MQTT-4.3.2-4],
/// [MQTT-4.3.3-1], [MQTT-4.3.3-2], [MQTT-4.3.3-4], [MQTT-4.3.3-8], [MQTT-4.3.3-11],
/// [MQTT-4.5.0-2]
#[test]
fn a_client_talks_to_itself_at_every_qos() {
    let mut pair = Pair::new(config());
    pair.connect();
    let echo = pair.subscribe("echo/+", 2);
    for qos in 0..=2 {
        pair.publish(&format!("echo/{qos}"), "hello", qos);
    }
    pair.unsubscribe(echo);
    pair.publish("echo/1", "nobody hears it", 1);
    pair.disconnect(&DisconnectOptions::default());
    insta::assert_snapshot!(pair.transcript());
    insta::assert_snapshot!(pair.told().join("\n"), @r#"
    connected
    subscribed 0 [02]
    message q0 "echo/0" "hello" {subscription=1} to 0
    published 1 acknowledged: Success
    message q1 "echo/1" "hello" {subscription=1} to 0
    message q2 "echo/2" "hello" {subscription=1} to 0
    published 2 acknowledged: Success
    unsubscribed 0 [00]
    published 3 acknowledged: No matching subscribers
    closed: disconnected by the application
    "#);
    assert_eq!(pair.wire().broker().gauges().connections, 0);
    assert_eq!(pair.wire().broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.2.2-15], [MQTT-3.2.2-11], [MQTT-3.2.2-14], [MQTT-3.2.2-18]
#[test]
fn the_client_keeps_to_what_the_broker_offers() {
    let mut pair = Pair::with_broker(config().outgoing_topic_aliases(10), |config| {
        config.maximum_qos = QoS::AtLeastOnce;
        config.retain_available = false;
        config.limits.packet_size = 100;
        config.limits.topic_alias_maximum = 0;
        config.shared_subscription_available = false;
        config.subscription_id_available = false;
    });
    pair.connect();
    pair.subscribe("a/long/topic", 1);
    for _ in 0..3 {
        pair.publish("a/long/topic", "x", 1);
    }
    let refused = |pair: &mut Pair, change: fn(&mut mqtt_session::Publication<'_>)| {
        pair.call(|client, now| {
            let topic = mqtt_codec::TopicName::new("t").unwrap();
            let mut publication = mqtt_session::Publication::new(topic, b"".as_slice());
            change(&mut publication);
            client.publish(now, publication).unwrap_err().error
        })
    };
    assert!(matches!(
        refused(&mut pair, |p| p.qos = QoS::ExactlyOnce),
        PublishError::NotAllowed(_)
    ));
    assert!(matches!(refused(&mut pair, |p| p.retain = true), PublishError::NotAllowed(_)));
    let large = |p: &mut mqtt_session::Publication<'_>| p.payload = vec![0; 97].into();
    assert!(matches!(refused(&mut pair, large), PublishError::NotAllowed(_)));
    assert!(pair.is_connected());
    assert_eq!(pair.messages().len(), 3);
}

/// Proves: [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-4], [MQTT-4.4.0-2]
#[test]
fn acknowledgements_leave_in_their_order_whatever_the_application_does() {
    let mut pair = connected(config());
    pair.buffer(BufferOptions::new().manual_acknowledgement(true));
    pair.subscribe("t", 2);
    for qos in [1, 2, 1, 2] {
        pair.publish("t", "x", qos);
    }
    pair.on_wire(Wire::clear_transcript);
    // The third, then the second, then the first, then the last; one of them is refused.
    pair.acknowledge(2, PubAckReason::Success);
    pair.acknowledge(1, PubAckReason::QuotaExceeded);
    pair.acknowledge(0, PubAckReason::Success);
    pair.acknowledge(0, PubAckReason::Success);
    insta::assert_snapshot!(pair.transcript(), @"
    client -> PUBREC id=2 97 Quota exceeded
    client -> PUBACK id=1
    client -> PUBACK id=3
    client -> PUBREC id=4
    client <- PUBREL id=4
    client -> PUBCOMP id=4
    ");
    assert_eq!(pair.client().unacknowledged_deliveries(), 0);
    assert_eq!(pair.wire().broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.3.4-7], [MQTT-3.3.4-9], [MQTT-4.9.0-2], [MQTT-3.3.4-8], [MQTT-3.3.4-10]
#[test]
fn hundreds_of_messages_flow_through_a_window_of_a_few() {
    let few = NonZeroU16::new(3).unwrap();
    let mut pair = Pair::with_broker(config().receive_maximum(few), |config| {
        config.limits.receive_maximum = few;
        config.limits.send_maximum = NonZeroU16::new(2).unwrap();
    });
    pair.connect();
    pair.subscribe("t", 2);
    for number in 0..300_u16 {
        pair.publish("t", format!("{number}"), 1 + (number % 2) as u8);
    }
    let messages = pair.messages();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let got: Vec<_> = messages
            .iter()
            .filter(|message| message.qos() == qos)
            .map(|message| str::from_utf8(message.payload()).unwrap().parse::<usize>().unwrap())
            .collect();
        assert_eq!(got.len(), 150);
        assert!(got.is_sorted(), "in the order of publishing");
    }
    assert_eq!(pair.client().outgoing_messages(), 0);
    assert!(pair.is_connected());
}

/// Proves: [MQTT-3.3.2-7], [MQTT-3.3.2-9], [MQTT-3.3.2-10], [MQTT-3.3.2-11], [MQTT-3.3.2-12],
/// [MQTT-3.2.2-17], [MQTT-3.1.2-26]
#[test]
fn both_sides_use_topic_aliases_and_understand_them() {
    let config = config().outgoing_topic_aliases(16).topic_alias_maximum(16);
    let mut pair = connected(config.session(SessionPolicy::resume(Duration::from_secs(100))));
    pair.subscribe("sensors/#", 1);
    // As many topics as there are aliases, twice, and then some more.
    let sensors: Vec<u8> = (0..16).chain(0..16).chain(16..20).collect();
    for (number, sensor) in sensors.iter().enumerate() {
        pair.publish(&format!("sensors/{sensor}"), format!("{}", number / 16), sensor % 2);
    }
    let topics: Vec<_> = pair.messages().iter().map(|m| m.topic().to_owned()).collect();
    let expected: Vec<_> = sensors.iter().map(|n| format!("sensors/{n}")).collect();
    assert_eq!(topics, expected);
    let transcript = pair.transcript().to_string();
    assert!(transcript.contains(r#"client -> PUBLISH q0 "" "1" {alias=1}"#), "{transcript}");
    assert!(transcript.contains(r#"client <- PUBLISH q0 "" "1" {alias="#), "{transcript}");
    // A topic that comes later takes the alias that was not used for longest.
    let taken = r#"client -> PUBLISH q0 "sensors/16" "2" {alias=1}"#;
    assert!(transcript.contains(taken), "{transcript}");
    // The next connection begins without any.
    pair.lose();
    pair.connect();
    pair.publish("sensors/0", "2", 0);
    assert_eq!(pair.messages()[0].topic(), "sensors/0");
}

/// Proves: [MQTT-3.1.2-20], [MQTT-3.1.2-21], [MQTT-3.2.2-21], [MQTT-3.1.2-22], [MQTT-3.12.4-1]
#[test]
fn an_idle_connection_lives_for_days_by_pings() {
    for (asked, ceiling) in [(60, None), (0, NonZeroU16::new(30)), (600, NonZeroU16::new(30))] {
        let config = config().keep_alive(Duration::from_secs(asked));
        let mut pair = Pair::with_broker(config, |config| config.keep_alive_ceiling = ceiling);
        pair.connect();
        pair.told();
        pair.on_wire(Wire::clear_transcript);
        pair.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(pair.told(), [""; 0], "{asked} s");
        let pings = pair.transcript().to_string().matches("-> PINGREQ").count();
        let interval = ceiling.map_or(asked, |ceiling| u64::from(ceiling.get()).min(asked.max(30)));
        let least = 2 * 86_400 / usize::try_from(interval).unwrap();
        assert!((least..=2 * least).contains(&pings), "{pings} pings, at least {least}");
    }
}

/// Proves: [MQTT-3.1.2-8], [MQTT-3.1.2-14], [MQTT-3.14.4-3], [MQTT-3.1.3-10]
#[test]
fn the_will_of_a_client_is_published_unless_it_says_goodbye() {
    let mut properties = PropertyBuf::new();
    properties.user_property("b", "2").unwrap().user_property("a", "1").unwrap();
    let will = Will::new("will", "gone").qos(QoS::AtLeastOnce).properties(properties);
    for (ending, is_published) in [("lost", true), ("goodbye", false), ("with will", true)] {
        let mut pair = Pair::new(
            config()
                .will(will.clone().delay(Duration::from_secs(5)))
                .session(SessionPolicy::resume(Duration::from_secs(100))),
        );
        let watcher = pair.on_wire(|wire| {
            let watcher = wire.connect(connect("watcher"));
            wire.send(watcher, subscribe(1, "will").qos(1));
            wire.receive(watcher);
            watcher
        });
        pair.connect();
        match ending {
            "lost" => pair.lose(),
            "goodbye" => pair.disconnect(&DisconnectOptions::default()),
            _ => {
                let reason = DisconnectReason::DisconnectWithWillMessage;
                pair.disconnect(&DisconnectOptions::default().reason(reason));
            }
        }
        pair.advance(Duration::from_secs(4));
        assert_eq!(pair.on_wire(|wire| wire.receive(watcher)), [""; 0]);
        pair.advance(Duration::from_secs(1));
        let expected: &[&str] = if is_published {
            &[r#"PUBLISH q1 id=1 "will" "gone" {"b"="2", "a"="1"}"#]
        } else {
            &[]
        };
        assert_eq!(pair.on_wire(|wire| wire.receive(watcher)), expected, "{ending}");
    }
}

#[test]
fn each_message_finds_the_subscriptions_it_is_for() {
    for identifiers in [true, false] {
        let mut pair = connected(config().subscription_identifiers(identifiers));
        pair.on_wire(|wire| {
            let other = wire.connect(connect("other"));
            wire.send(other, publish("home/kitchen", "kept").retain());
        });
        pair.subscribe("home/#", 0);
        pair.subscribe("home/+", 1);
        let shared = pair.subscribe("$share/g/home/kitchen", 1);
        pair.subscribe("garden", 1);
        pair.told();
        pair.publish("home/kitchen", "live", 1);
        pair.publish("garden", "live", 1);
        let told = pair.told();
        let to = |topic: &str| {
            let lines = told.iter().filter(|line| line.contains(topic) && line.contains("live"));
            let mut to: Vec<&str> = lines.map(|line| &line[line.len() - 1..]).collect();
            to.sort_unstable();
            to
        };
        assert_eq!(to("kitchen"), ["0", "1", "2"], "each once: {told:?}");
        assert_eq!(to("garden"), ["3"], "{told:?}");
        pair.unsubscribe(shared);
        pair.told();
        pair.publish("home/kitchen", "again", 0);
        let told = pair.told();
        assert!(told.len() == 2 && told.iter().all(|line| !line.ends_with("to 2")), "{told:?}");
    }
}

#[test]
fn a_retained_message_comes_with_a_new_subscription() {
    let mut pair = connected(config());
    pair.publish_with("t", "kept", 1, |publication| publication.retain = true);
    pair.told();
    pair.subscribe("t", 0);
    let told = pair.told();
    assert_eq!(
        told,
        ["subscribed 0 [00]", r#"message q0 retain "t" "kept" {subscription=1} to 0"#]
    );
}

/// Proves: [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn a_message_too_large_for_the_client_does_not_reach_it() {
    let mut pair = connected(config().maximum_packet_size(NonZeroU32::new(100).unwrap()));
    pair.subscribe("t", 1);
    pair.publish("t", vec![0; 200], 1);
    pair.publish("t", "small", 1);
    let messages = pair.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].payload(), b"small");
    assert_eq!(pair.wire().broker().statistics().dropped.too_large, 1);
}

/// Proves: [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16], [MQTT-3.1.3-2]
#[test]
fn an_identifier_that_was_assigned_is_kept_for_the_next_connection() {
    let anonymous = ClientConfig::new().session(SessionPolicy::resume(Duration::from_secs(100)));
    let mut pair = connected(anonymous);
    let id = pair.client().client_id().to_owned();
    assert!(!id.is_empty());
    pair.lose();
    pair.connect();
    assert_eq!(pair.client().client_id(), id);
    assert!(pair.told().contains(&"connected, session present".to_owned()));
}

#[test]
fn the_client_is_told_why_the_broker_ends_its_connection() {
    let told = |end: fn(&mut Pair)| {
        let mut pair = connected(config());
        end(&mut pair);
        assert!(!pair.is_connected());
        pair.told().join("\n")
    };
    assert_eq!(
        told(|pair| pair.on_wire(Wire::shutdown)),
        "closed: disconnected by the server: Server shutting down"
    );
    assert_eq!(
        told(|pair| _ = pair.on_wire(|wire| wire.connect(connect("client")))),
        "closed: disconnected by the server: Session taken over"
    );
    assert_eq!(told(Pair::lose), "closed: the connection was lost");
}

#[test]
fn leaving_waits_for_what_is_under_way() {
    let mut pair = connected(config());
    pair.call(|client, now| {
        for _ in 0..3 {
            let topic = mqtt_codec::TopicName::new("t").unwrap();
            let mut publication = mqtt_session::Publication::new(topic, b"x".as_slice());
            publication.qos = QoS::ExactlyOnce;
            client.publish(now, publication).unwrap();
        }
        let patient = DisconnectOptions::default().drain(Duration::from_secs(10));
        client.disconnect(now, &patient).unwrap();
    });
    let transcript = pair.transcript().to_string();
    assert!(transcript.ends_with("client closed: Disconnected(NormalDisconnection)"));
    assert_eq!(transcript.matches("-> PUBREL").count(), 3);
    assert_eq!(pair.client().outgoing_messages(), 0);
}

#[test]
fn a_refused_filter_does_not_harm_the_others() {
    let mut pair = Pair::with_broker(config(), |config| config.limits.topic_levels = 2);
    pair.connect();
    let options = SubscriptionOptions::default();
    pair.subscribe_with(&[("a/b", options), ("a/b/c", options)]);
    pair.subscribe_with(&[("x/y/z", options)]);
    pair.publish("a/b", "x", 0);
    assert_eq!(
        pair.told()[1..],
        [
            "subscribed 0 [00, 8F]",
            "subscribed 1 [8F]",
            r#"message q0 "a/b" "x" {subscription=1} to 0"#
        ]
    );
}

/// Proves: [MQTT-3.3.2-6], [MQTT-3.3.2-5]
#[test]
fn a_message_expires_wherever_it_waits() {
    let expiring = SessionPolicy::resume(Duration::from_secs(1000));
    let mut pair = connected(config().session(expiring));
    pair.subscribe("t", 1);
    pair.lose();
    pair.on_wire(|wire| {
        let other = wire.connect(connect("other"));
        wire.send(other, publish("t", "short").qos1(1).expiry(10));
        wire.send(other, publish("t", "long").qos1(2).expiry(100));
    });
    pair.advance(Duration::from_secs(30));
    pair.connect();
    let messages = pair.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].payload(), b"long");
    assert_eq!(messages[0].properties().message_expiry_interval(), Some(70));
}
