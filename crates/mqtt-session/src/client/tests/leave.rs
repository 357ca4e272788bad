//! Leaving, and being told to leave.

use super::*;

/// Proves: [MQTT-3.14.4-1], [MQTT-3.14.4-2]
#[test]
fn disconnect_is_the_last_packet_and_ends_the_connection() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::AtMostOnce).unwrap();
    script.publish("b", QoS::AtLeastOnce).unwrap();
    script.client.disconnect(script.now, &DisconnectOptions::default()).unwrap();
    assert_eq!(script.publish("c", QoS::AtMostOnce), Err(PublishError::NotConnected));
    assert_eq!(
        script.sent(),
        ["PUBLISH QoS 0 a", "PUBLISH QoS 1 id 1 b", "DISCONNECT 0x00"],
        "what could leave at once leaves before it"
    );
    assert_eq!(script.events(), ["closed: disconnected by the application"]);
    script.receive(puback(1, PubAckReason::Success));
    assert!(script.sent().is_empty() && script.events().is_empty());
    assert_eq!(
        script.client.disconnect(script.now, &DisconnectOptions::default()),
        Err(DisconnectError::NotConnected)
    );
}

#[test]
fn draining_waits_for_acknowledgements_and_no_longer() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::ExactlyOnce).unwrap();
    let options = DisconnectOptions::default().drain(Duration::from_secs(5));
    script.client.disconnect(script.now, &options).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 2 id 1 a"]);
    script.receive(pubrec(1, PubAckReason::Success));
    assert_eq!(script.sent(), ["PUBREL 1 Success"]);
    script.receive(pubcomp(1));
    assert_eq!(script.sent(), ["DISCONNECT 0x00"]);
    assert_eq!(
        script.events(),
        ["published 0 acknowledged: Success", "closed: disconnected by the application"]
    );
}

#[test]
fn draining_ends_when_its_time_is_over() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::AtLeastOnce).unwrap();
    let options = DisconnectOptions::default().drain(Duration::from_secs(5));
    script.client.disconnect(script.now, &options).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 a"]);
    let deadline = script.client.poll_timeout().unwrap();
    assert_eq!((deadline.at.as_nanos(), deadline.timer), (5_000_000_000, crate::Timer::Drain));
    script.pass(Duration::from_secs(5));
    assert_eq!(script.sent(), ["DISCONNECT 0x00"]);
    assert_eq!(script.client.outgoing_messages(), 1, "for the next connection");
}

#[test]
fn a_transport_that_takes_nothing_does_not_keep_a_leaving_client() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::AtMostOnce).unwrap();
    script.client.disconnect(script.now, &DisconnectOptions::default()).unwrap();
    for timer in [crate::Timer::Drain, crate::Timer::Close] {
        let deadline = script.client.poll_timeout().unwrap();
        assert_eq!(deadline.timer, timer);
        assert!(script.events().is_empty());
        script.now = deadline.at;
        script.client.handle_timeout(script.now);
    }
    assert_eq!(script.events(), ["closed: disconnected by the application"]);
    assert_eq!(script.client.statistics().qos0_lost, 1);
}

/// Proves: [MQTT-3.14.2-1]
#[test]
fn only_reasons_that_a_client_may_give_are_taken() {
    let mut script = Script::open(resuming());
    let taken_over = DisconnectOptions::new(mqtt_codec::DisconnectReason::SessionTakenOver);
    assert!(matches!(
        script.client.disconnect(script.now, &taken_over),
        Err(DisconnectError::ReasonNotForClients(_))
    ));
    let with_will = DisconnectOptions::new(mqtt_codec::DisconnectReason::DisconnectWithWillMessage)
        .session_expiry_interval(7)
        .reason_string("so long")
        .unwrap();
    script.client.disconnect(script.now, &with_will).unwrap();
    assert_eq!(
        script.sent(),
        ["DISCONNECT 0x04 {Session Expiry Interval: 7, Reason String: \"so long\"}"]
    );
}

#[test]
fn a_session_that_ends_with_the_connection_is_not_given_time_in_disconnect() {
    let mut script = Script::open(ClientConfig::new());
    let later = DisconnectOptions::default().session_expiry_interval(7);
    assert_eq!(script.client.disconnect(script.now, &later), Err(DisconnectError::SessionExpiry));
    assert!(script.sent().is_empty());
}

/// Proves: [MQTT-3.14.2-3], [MQTT-3.14.2-4]
#[test]
fn words_that_the_server_has_no_room_for_are_left_out() {
    let mut script = Script::open_with(
        resuming(),
        &terms(|terms| {
            terms.maximum_packet_size(core::num::NonZeroU32::new(10).unwrap());
        }),
    );
    let options = DisconnectOptions::default().reason_string("a long farewell").unwrap();
    script.client.disconnect(script.now, &options).unwrap();
    assert_eq!(script.sent(), ["DISCONNECT 0x00"]);
}

/// Proves: [MQTT-3.14.2-4]
#[test]
fn user_properties_of_disconnect_are_sent_where_there_is_room() {
    let said = DisconnectOptions::default().user_property("k", "1").unwrap();
    let said = said.user_property("k", "2").unwrap();
    for (maximum, sent) in [
        (100, "DISCONNECT 0x00 {User Property: \"k\" = \"1\", User Property: \"k\" = \"2\"}"),
        (10, "DISCONNECT 0x00"),
    ] {
        let limit = terms(|terms| {
            terms.maximum_packet_size(core::num::NonZeroU32::new(maximum).unwrap());
        });
        let mut script = Script::open_with(resuming(), &limit);
        script.client.disconnect(script.now, &said).unwrap();
        assert_eq!(script.sent(), [sent]);
    }
}

#[test]
fn a_connection_that_is_still_being_made_is_left_without_a_word() {
    let mut script = Script::new(resuming());
    script.client.handle_connected(script.now);
    script.sent();
    script.client.disconnect(script.now, &DisconnectOptions::default()).unwrap();
    assert!(script.sent().is_empty());
    assert_eq!(script.events(), ["closed: disconnected by the application"]);
}

/// Proves: [MQTT-3.14.4-1]
#[test]
fn after_the_servers_disconnect_nothing_more_is_sent() {
    let mut script = Script::open(resuming());
    script.deliver("a", qos1(1));
    let words = terms(|words| {
        words.server_reference("other.example").unwrap();
    });
    script.receive(mqtt_codec::Disconnect {
        reason: mqtt_codec::DisconnectReason::ServerMoved,
        properties: words.as_properties(),
    });
    assert!(script.sent().is_empty(), "not even the PUBACK");
    let events = script.events();
    assert_eq!(events[0], "closed: disconnected by the server: Server moved");
}
