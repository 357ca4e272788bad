//! What a server does wrong: the client says so with the code that the standard has for it, and
//! leaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use bytes::Buf;
use mqtt_session::{Client, ClientCloseCause, ClientConfig, ClientEvent, Time, TransmitBuf};
use mqtt_tests::scripted::{framed, hex};

/// A client on a connection of which the server has said nothing yet; its CONNECT is sent.
fn connecting(config: ClientConfig) -> Client {
    let mut client = Client::new(config.client_id("client"), [9; 32]).unwrap();
    client.handle_connected(Time::ZERO);
    assert_eq!(sent(&mut client)[0], 0x10);
    client
}

fn sent(client: &mut Client) -> Vec<u8> {
    let mut out = TransmitBuf::new();
    client.poll_transmit(Time::ZERO, &mut out, usize::MAX);
    out.copy_to_bytes(out.remaining()).to_vec()
}

/// Lets the server say something, and checks that the client answers with a DISCONNECT of this
/// reason and ends the connection.
fn violates(what: &str, client: &mut Client, bytes: &[u8], reason: u8) {
    client.handle_input(Time::ZERO, bytes);
    assert_eq!(sent(client), [0xE0, 0x01, reason], "{what}");
    let is_violation = core::iter::from_fn(|| client.poll_event()).any(|event| {
        matches!(event, ClientEvent::Closed(cause) if matches!(*cause, ClientCloseCause::Violation(_)))
    });
    assert!(is_violation, "{what}");
    client.handle_input(Time::ZERO, &hex("d0 00"));
    assert_eq!(sent(client), hex(""), "{what}: nothing more is said");
}

/// A CONNACK that accepts, with these properties.
fn connack(properties: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, u8::try_from(properties.len()).unwrap()];
    body.extend_from_slice(properties);
    framed(0x20, &body)
}

/// Proves: [MQTT5-U-3.2.2.3.2-1], [MQTT5-U-3.2.2.3.3-1], [MQTT5-U-3.2.2.3.4-1],
/// [MQTT5-U-3.2.2.3.5-1], [MQTT5-U-3.2.2.3.6-1], [MQTT5-U-3.2.2.3.7-1], [MQTT5-U-3.2.2.3.8-1],
/// [MQTT5-U-3.2.2.3.9-1], [MQTT5-U-3.2.2.3.11-1], [MQTT5-U-3.2.2.3.12-1],
/// [MQTT5-U-3.2.2.3.13-1], [MQTT5-U-3.2.2.3.14-1], [MQTT5-U-3.2.2.3.15-1],
/// [MQTT5-U-3.2.2.3.16-1], [MQTT5-U-3.2.2.3.17-1], [MQTT5-U-3.2.2.3.18-1], [MQTT5-U-4.13.1-1]
#[test]
fn a_connack_that_breaks_a_rule_of_its_properties_is_a_protocol_error() {
    for (what, properties) in [
        ("Session Expiry Interval twice", "11 00000001 11 00000001"),
        ("Receive Maximum twice", "21 0001 21 0001"),
        ("Receive Maximum 0", "21 0000"),
        ("Maximum QoS twice", "24 01 24 01"),
        ("Maximum QoS 2", "24 02"),
        ("Retain Available twice", "25 01 25 01"),
        ("Retain Available 2", "25 02"),
        ("Maximum Packet Size twice", "27 00000100 27 00000100"),
        ("Maximum Packet Size 0", "27 00000000"),
        ("Assigned Client Identifier twice", "12 0001 61 12 0001 61"),
        ("Topic Alias Maximum twice", "22 0001 22 0001"),
        ("Reason String twice", "1f 0001 61 1f 0001 61"),
        ("Wildcard Subscription Available twice", "28 01 28 01"),
        ("Wildcard Subscription Available 2", "28 02"),
        ("Subscription Identifier Available twice", "29 01 29 01"),
        ("Subscription Identifier Available 2", "29 02"),
        ("Shared Subscription Available twice", "2a 01 2a 01"),
        ("Shared Subscription Available 2", "2a 02"),
        ("Server Keep Alive twice", "13 0001 13 0001"),
        ("Response Information twice", "1a 0001 61 1a 0001 61"),
        ("Server Reference twice", "1c 0001 61 1c 0001 61"),
        ("Authentication Method twice", "15 0001 61 15 0001 61"),
        ("Authentication Data twice", "15 0001 61 16 0001 61 16 0001 61"),
    ] {
        let mut client = connecting(ClientConfig::new());
        violates(what, &mut client, &connack(&hex(properties)), 0x82);
    }
}

/// Proves: [MQTT5-U-3.1.2.11.4-2], [MQTT5-U-3.1.2.11.7-2], [MQTT5-U-3.3.2.3.8-1],
/// [MQTT5-U-4.13.1-1], [MQTT5-U-3.3.4-1], [MQTT5-U-3.3.4-2], [MQTT5-U-3.3.2.1-1],
/// [MQTT5-U-3.2.2.3.9-1], [MQTT5-U-3.3.4-3], [MQTT-3.14.2-1]
#[test]
fn a_packet_that_a_server_must_not_send_ends_the_connection_with_its_code() {
    let config = || {
        ClientConfig::new()
            .request_problem_information(false)
            .maximum_packet_size(core::num::NonZeroU32::new(50).unwrap())
            .topic_alias_maximum(2)
    };
    for (what, bytes, reason) in [
        ("a packet above the client's maximum", "30 31", 0x95),
        ("a Reason String that was not asked for", "40 07 0001 10 03 1f 0000", 0x82),
        ("a User Property that was not asked for", "90 09 0001 05 26 0000 0000 00", 0x82),
        ("Reason String twice", "40 0a 0001 10 06 1f 0000 1f 0000", 0x82),
        ("Subscription Identifier 0", "30 06 0001 74 02 0b 00", 0x82),
        ("a Subscription Identifier that no subscription has", "30 06 0001 74 02 0b 07", 0x82),
        ("a reason of DISCONNECT that only a client gives", "e0 01 04", 0x82),
        ("Topic Alias 0", "30 07 0001 74 03 23 0000", 0x94),
        ("a Topic Alias above the maximum", "30 07 0001 74 03 23 0003", 0x94),
        ("a Topic Alias that stands for nothing", "30 06 0000 03 23 0002", 0x82),
        ("neither topic nor alias", "30 03 0000 00", 0x82),
        ("a second CONNACK", "20 03 00 00 00", 0x82),
        ("CONNECT", "10 0e 0004 4d515454 05 02 003c 00 0001 61", 0x82),
        ("SUBSCRIBE", "82 07 0001 00 0001 74 00", 0x82),
        ("PINGREQ", "c0 00", 0x82),
        ("a packet type that is none", "00 00", 0x81),
        ("PUBACK with flags", "41 02 0001", 0x81),
    ] {
        let mut client = connecting(config());
        client.handle_input(Time::ZERO, &connack(&[]));
        assert!(matches!(client.poll_event(), Some(ClientEvent::Connected(_))));
        violates(what, &mut client, &hex(bytes), reason);
    }
}

/// What either side may do wrong is the same from a server.
///
/// Proves: [MQTT5-U-1.5.4-1], [MQTT5-U-1.5.4-2], [MQTT5-U-1.5.7-1], [MQTT5-U-2.1.3-1],
/// [MQTT5-U-2.2.2.2-1], [MQTT5-U-3.3.1.2-1], [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.7-1],
/// [MQTT-2.1.3-1], [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT-3.3.2-2], [MQTT-3.6.1-1],
/// [MQTT-3.14.1-1], [MQTT-3.15.1-1], [MQTT-4.7.0-1], [MQTT-1.5.5-1]
#[test]
fn a_malformed_packet_ends_the_connection_with_0x81() {
    for (what, bytes) in [
        ("a topic that is not UTF-8", "30 04 0001 ff 00"),
        ("U+0000 in a topic", "30 04 0001 00 00"),
        ("a control character in a topic", "30 04 0001 07 00"),
        ("a non-character in a topic", "30 06 0003 ef b7 90 00"),
        ("a pair whose name is not UTF-8", "30 0a 0001 74 06 26 0001 ff 0000"),
        ("a pair whose value has U+0000", "30 0a 0001 74 06 26 0000 0001 00"),
        ("a topic with #", "30 04 0001 23 00"),
        ("a topic with +", "30 04 0001 2b 00"),
        ("DUP with QoS 0", "38 04 0001 74 00"),
        ("DISCONNECT with flags", "e1 00"),
        ("AUTH with flags", "f1 00"),
        ("a length in more bytes than it needs", "30 84 00 0001 74 00"),
        ("SUBACK with flags", "91 04 0001 00 00"),
        ("PUBREL without its flag", "60 02 0001"),
        ("an unknown property", "30 06 0001 74 02 7f 00"),
        ("a property of another packet", "30 07 0001 74 03 21 0001"),
        ("a property that is cut off", "30 06 0001 74 02 02 00"),
        ("QoS 3", "36 06 0001 74 0001 00"),
    ] {
        let mut client = connecting(ClientConfig::new());
        client.handle_input(Time::ZERO, &connack(&[]));
        assert!(matches!(client.poll_event(), Some(ClientEvent::Connected(_))));
        violates(what, &mut client, &hex(bytes), 0x81);
    }
}

/// Proves: [MQTT5-U-3.2.2.3.9-1], [MQTT5-U-3.2.2.3.16-1], [MQTT5-U-3.3.2.3.4-1],
/// [MQTT5-U-3.3.2.3.5-1], [MQTT5-U-3.3.2.3.6-1], [MQTT5-U-3.3.2.3.9-1],
/// [MQTT5-U-3.14.2.2.2-1], [MQTT5-U-3.15-1], [MQTT5-U-3.15.2.2.2-1], [MQTT5-U-3.15.2.2.3-1]
#[test]
fn a_property_that_is_there_twice_is_a_protocol_error_in_every_packet() {
    for (what, bytes) in [
        ("Reason String in PUBACK", "40 0a 0001 00 06 1f 0000 1f 0000"),
        ("Reason String in PUBREC", "50 0a 0001 00 06 1f 0000 1f 0000"),
        ("Reason String in PUBREL", "62 0a 0001 00 06 1f 0000 1f 0000"),
        ("Reason String in PUBCOMP", "70 0a 0001 00 06 1f 0000 1f 0000"),
        ("Reason String in SUBACK", "90 0a 0001 06 1f 0000 1f 0000 00"),
        ("Reason String in UNSUBACK", "b0 0a 0001 06 1f 0000 1f 0000 00"),
        ("Reason String in DISCONNECT", "e0 08 80 06 1f 0000 1f 0000"),
        ("Reason String in AUTH", "f0 0c 18 0a 15 0001 61 1f 0000 1f 0000"),
        ("Server Reference in DISCONNECT", "e0 0a 9c 08 1c 0001 61 1c 0001 61"),
        ("Session Expiry Interval in DISCONNECT", "e0 0c 00 0a 11 00000001 11 00000001"),
        ("Topic Alias", "30 0a 0001 74 06 23 0001 23 0001"),
        ("Response Topic", "30 0c 0001 74 08 08 0001 61 08 0001 61"),
        ("Correlation Data", "30 0c 0001 74 08 09 0001 61 09 0001 61"),
        ("Content Type", "30 0c 0001 74 08 03 0001 61 03 0001 61"),
        ("Authentication Method", "f0 0a 18 08 15 0001 61 15 0001 61"),
        ("Authentication Data", "f0 0e 18 0c 15 0001 61 16 0001 61 16 0001 61"),
        ("AUTH without a method, and none in CONNECT", "f0 00"),
        ("AUTH with a method, and none in CONNECT", "f0 06 18 04 15 0001 61"),
    ] {
        let mut client = connecting(ClientConfig::new());
        client.handle_input(Time::ZERO, &connack(&[]));
        assert!(matches!(client.poll_event(), Some(ClientEvent::Connected(_))));
        violates(what, &mut client, &hex(bytes), 0x82);
    }
}

/// Proves: [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1], [MQTT-3.14.2-1],
/// [MQTT-3.15.2-1], [MQTT-3.3.2-14]
#[test]
fn a_value_that_a_packet_cannot_have_is_a_protocol_error() {
    for (what, bytes) in [
        ("a reason that PUBACK does not have", "40 03 0001 01"),
        ("a reason that PUBREC does not have", "50 03 0001 92"),
        ("a reason that PUBREL does not have", "62 03 0001 10"),
        ("a reason that PUBCOMP does not have", "70 03 0001 10"),
        ("a reason that SUBACK does not have", "90 04 0001 00 03"),
        ("a reason that UNSUBACK does not have", "b0 04 0001 00 01"),
        ("a reason that DISCONNECT does not have", "e0 01 01"),
        ("a reason that AUTH does not have", "f0 06 01 04 15 0001 61"),
        ("a Response Topic with #", "30 08 0001 74 04 08 0001 23"),
    ] {
        let mut client = connecting(ClientConfig::new());
        client.handle_input(Time::ZERO, &connack(&[]));
        assert!(matches!(client.poll_event(), Some(ClientEvent::Connected(_))));
        violates(what, &mut client, &hex(bytes), 0x82);
    }
}

/// Proves: [MQTT5-U-3.3.4-4]
#[test]
fn more_messages_than_the_receive_maximum_end_the_connection_with_0x93() {
    let config = ClientConfig::new().receive_maximum(core::num::NonZeroU16::MIN);
    let mut client = connecting(config);
    client.handle_input(Time::ZERO, &connack(&[]));
    client.handle_input(Time::ZERO, &hex("34 06 0001 74 0001 00"));
    assert_eq!(sent(&mut client), hex("50 02 0001"), "its PUBREL has to come first");
    violates("one more", &mut client, &hex("34 06 0001 74 0002 00"), 0x93);
}
