//! CONNECT, CONNACK, and the terms that they settle.

use core::num::{NonZeroU16, NonZeroU32};

use super::*;

fn sent_by(config: ClientConfig) -> Vec<String> {
    let mut script = Script::new(config);
    script.client.handle_connected(script.now);
    script.sent()
}

/// Proves: [MQTT-3.1.0-1], [MQTT-3.1.3-3]
#[test]
fn connect_is_the_first_packet_and_carries_only_what_differs_from_the_defaults() {
    let mut script = Script::new(ClientConfig::new().client_id("meter-17"));
    assert!(script.sent().is_empty(), "without a connection there is nothing to send");
    script.client.handle_connected(script.now);
    assert_eq!(script.sent(), ["CONNECT \"meter-17\" clean 60 {Receive Maximum: 256}"],);
    assert!(script.sent().is_empty(), "it is sent once");
}

/// Proves: [MQTT-3.1.2-9], [MQTT-3.1.2-17], [MQTT-3.1.2-19], [MQTT-3.1.3-1], [MQTT-3.1.3-12]
#[test]
fn everything_that_is_configured_reaches_the_server() {
    let mut properties = PropertyBuf::new();
    properties.content_type("text/plain").unwrap();
    let will = Will::new("gone", "bye")
        .qos(QoS::AtLeastOnce)
        .retain(true)
        .delay(Duration::from_millis(4_001))
        .properties(properties);
    let config = ClientConfig::new()
        .client_id("c")
        .session(SessionPolicy::resume(Duration::from_secs(90)))
        .keep_alive(Duration::from_millis(29_001))
        .user_name("user")
        .password("pw")
        .will(will)
        .receive_maximum(NonZeroU16::new(7).unwrap())
        .maximum_packet_size(NonZeroU32::new(1000).unwrap())
        .topic_alias_maximum(5)
        .request_problem_information(false)
        .request_response_information(true)
        .user_property("a", "1")
        .user_property("a", "2");
    insta::assert_snapshot!(sent_by(config).join("\n"));
}

/// Proves: [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT-3.1.2-16], [MQTT-3.1.2-18]
#[test]
fn what_is_not_configured_has_neither_flag_nor_field() {
    let mut script = Script::new(ClientConfig::new().keep_alive(Duration::ZERO));
    script.client.handle_connected(script.now);
    let connect = script.sent_bytes();
    assert_eq!(connect[9], 0b0000_0010, "Clean Start alone");
    assert!(connect.ends_with(&[0, 0]), "an empty Client Identifier ends it");
}

#[test]
fn a_configuration_that_does_not_fit_into_connect_is_refused_at_once() {
    let long = "x".repeat(70_000);
    let refused = |config: ClientConfig| Client::new(config, [0; 32]).unwrap_err().to_string();
    assert!(refused(ClientConfig::new().client_id(long.clone())).contains("65,535"));
    assert!(refused(ClientConfig::new().user_property("a", "\0")).contains("U+0000"));
    let will = Will::new("gone/+", "");
    assert!(refused(ClientConfig::new().will(will)).contains("will"));
    let will = Will::new("gone", long);
    assert!(refused(ClientConfig::new().will(will)).contains("65,535"));
}

/// Proves: [MQTT-3.1.2-21], [MQTT-3.2.2-21]
#[test]
fn the_terms_are_the_servers_where_it_names_any_and_the_defaults_of_the_standard_elsewhere() {
    let config = || resuming().keep_alive(Duration::from_secs(60));
    let script = Script::open(config());
    let plain = script.client.negotiated().unwrap();
    assert_eq!(plain.session_expiry_interval, 3600);
    assert_eq!(plain.keep_alive, 60);
    assert_eq!(plain.receive_maximum, NonZeroU16::MAX);
    assert_eq!(plain.maximum_qos, QoS::ExactlyOnce);
    assert_eq!(plain.maximum_packet_size, 268_435_460);
    assert_eq!(plain.topic_alias_maximum, 0);
    assert!(plain.retain_available && plain.wildcard_subscription_available);
    assert!(plain.subscription_id_available && plain.shared_subscription_available);

    let script = Script::open_with(
        config(),
        &terms(|terms| {
            terms
                .session_expiry_interval(10)
                .server_keep_alive(5)
                .receive_maximum(NonZeroU16::new(3).unwrap())
                .maximum_qos(QoS::AtLeastOnce)
                .retain_available(false)
                .maximum_packet_size(NonZeroU32::new(99).unwrap())
                .topic_alias_maximum(4)
                .wildcard_subscription_available(false)
                .subscription_id_available(false)
                .shared_subscription_available(false)
                .assigned_client_id("assigned")
                .unwrap();
        }),
    );
    let strict = script.client.negotiated().unwrap();
    assert_eq!(strict.session_expiry_interval, 10);
    assert_eq!(strict.keep_alive, 5);
    assert_eq!(strict.receive_maximum.get(), 3);
    assert_eq!(strict.maximum_qos, QoS::AtLeastOnce);
    assert_eq!(strict.maximum_packet_size, 99);
    assert_eq!(strict.topic_alias_maximum, 4);
    assert!(!strict.retain_available && !strict.wildcard_subscription_available);
    assert!(!strict.subscription_id_available && !strict.shared_subscription_available);
    assert_eq!(script.client.client_id(), "assigned");
}

/// Proves: [MQTT-3.1.3-2]
#[test]
fn an_assigned_client_identifier_stands_for_the_client_from_then_on() {
    let config = ClientConfig::new()
        .session(SessionPolicy::resume(Duration::from_secs(60)))
        .keep_alive(Duration::ZERO);
    let mut script = Script::open_with(
        config,
        &terms(|terms| {
            terms.assigned_client_id("auto-1").unwrap();
        }),
    );
    script.lose();
    script.client.handle_connected(script.now);
    assert!(script.sent()[0].starts_with("CONNECT \"auto-1\" resume"));
}

/// Proves: [MQTT-4.13.2-1]
#[test]
fn a_refusal_ends_the_connection_with_its_reason_and_words() {
    let mut script = Script::new(ClientConfig::new());
    script.client.handle_connected(script.now);
    script.sent();
    let words = terms(|words| {
        words.reason_string("not on Sundays").unwrap();
    });
    script.receive(ConnAck {
        session_present: false,
        reason: ConnectReason::Banned,
        properties: words.as_properties(),
    });
    assert_eq!(
        script.events(),
        ["closed: the server refused the connection: Banned (not on Sundays)"]
    );
    assert!(script.sent().is_empty());
    assert_eq!(script.client.poll_timeout(), None);
}

#[test]
fn a_server_that_does_not_answer_connect_is_given_up() {
    let mut script = Script::new(ClientConfig::new().connect_timeout(Duration::from_secs(3)));
    script.client.handle_connected(script.now);
    script.sent();
    let deadline = script.client.poll_timeout().unwrap();
    assert_eq!((deadline.at.as_nanos(), deadline.timer), (3_000_000_000, crate::Timer::Connect));
    script.pass(Duration::from_millis(2_999));
    assert!(script.events().is_empty());
    script.pass(Duration::from_millis(1));
    assert_eq!(script.events(), ["closed: the server did not answer CONNECT in time"]);
    assert!(script.sent().is_empty());
}

#[test]
fn a_new_connection_ends_an_old_one_whose_end_was_not_told() {
    let mut script = Script::open(resuming());
    script.client.handle_connected(script.now);
    assert_eq!(script.events(), ["closed: the connection was lost"]);
    assert_eq!(script.sent().len(), 1);
}

/// Proves: [MQTT-3.2.2-4]
#[test]
fn a_session_that_the_client_does_not_hold_ends_the_connection() {
    let connack = ConnAck {
        session_present: true,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    };
    for config in [ClientConfig::new(), resuming()] {
        let mut script = Script::new(config);
        script.client.handle_connected(script.now);
        script.sent();
        script.receive(connack);
        assert_eq!(script.sent(), ["DISCONNECT 0x82"]);
        let events = script.events();
        assert_eq!(events.len(), 1);
        assert!(events[0].contains("session that this client does not hold"), "{events:?}");
    }
    let vouched = ClientConfig::new().session(SessionPolicy::rejoin(Duration::from_secs(9)));
    let mut script = Script::new(vouched);
    script.client.handle_connected(script.now);
    assert!(script.sent()[0].contains(" resume "));
    script.receive(connack);
    assert_eq!(script.events(), ["connected \"\" session present true"]);
}

#[test]
fn packets_split_at_every_byte_mean_the_same_as_whole_ones() {
    let mut bytes = Vec::new();
    let accepted = ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    };
    accepted.encode(&mut bytes, u32::MAX).unwrap();
    for number in 1..=3u16 {
        let publish = Publish {
            qos: qos1(number),
            retain: false,
            topic: TopicName::new("some/topic").ok(),
            properties: Properties::EMPTY,
            payload: &vec![b'x'; usize::from(number) * 150],
        };
        publish.encode(&mut bytes, u32::MAX).unwrap();
    }
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut script = Script::new(ClientConfig::new());
        script.client.handle_connected(script.now);
        script.sent();
        for piece in pieces {
            script.receive_bytes(piece);
        }
        (script.events(), script.sent())
    };
    let whole = run(&mut core::iter::once(&bytes[..]));
    assert_eq!(whole.1.len(), 3);
    assert_eq!(run(&mut bytes.chunks(1)), whole);
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(run(&mut [front, back].into_iter()), whole, "split at {at}");
    }
}
