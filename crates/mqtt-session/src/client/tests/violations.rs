//! What a server may not do, and what it is told then.

use core::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{ReasonCode, SubscriptionId};

use super::*;

/// The server sends `bytes`: the client says goodbye with `code` and tells why.
fn ends(script: &mut Script, bytes: &[u8], code: u8, why: &str) {
    script.sent();
    script.events();
    script.receive_bytes(bytes);
    let sent = script.sent();
    assert_eq!(sent.last(), Some(&format!("DISCONNECT 0x{code:02X}")), "{why}: {sent:?}");
    let events = script.events();
    let last = events.last().unwrap();
    assert!(last.starts_with("closed: the server broke the protocol: "), "{last}");
    assert!(last.contains(why), "{last}");
    script.receive_bytes(&[0xD0, 0]);
    assert!(script.sent().is_empty() && script.events().is_empty(), "it is over");
}

fn bytes<'a>(packet: impl Into<Packet<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.into().encode(&mut bytes, u32::MAX).unwrap();
    bytes
}

#[test]
fn malformed_packets_are_answered_with_the_code_of_the_standard() {
    for (packet, code) in [
        (&[0x00, 0x00][..], 0x81),
        (&[0x41, 0x02, 0x00, 0x01], 0x81),
        (&[0x40, 0x02, 0x00, 0x00], 0x82),
        (&[0x40, 0x03, 0x00, 0x01, 0x01], 0x82),
        (&[0xD0, 0x80, 0x00], 0x81),
        (&[0x30, 0x05, 0x00, 0x01, 0xFF, 0x00, 0x00], 0x81),
        (&[0x30, 0x06, 0x00, 0x00, 0x03, 0x23, 0x00, 0x00], 0x94),
    ] {
        ends(&mut Script::open(resuming()), packet, code, "");
    }
}

#[test]
fn packets_that_only_clients_send_end_the_connection() {
    let connect = mqtt_codec::ConnectOptions::default();
    let mut first = Vec::new();
    connect.encode(&mut first, u32::MAX).unwrap();
    let filters = [TopicFilter::new("a").unwrap()];
    let options = [(filters[0], SubscriptionOptions::default())];
    let subscribe = mqtt_codec::Subscribe::new(id(1), Properties::EMPTY, &options).unwrap();
    let unsubscribe = mqtt_codec::Unsubscribe::new(id(1), Properties::EMPTY, &filters).unwrap();
    let accepted = ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    };
    for packet in
        [first, bytes(subscribe), bytes(unsubscribe), bytes(Packet::PingReq), bytes(accepted)]
    {
        ends(&mut Script::open(resuming()), &packet, 0x82, "may not come at this point");
    }
}

/// Proves: [MQTT-4.12.0-7]
#[test]
fn auth_without_an_authentication_method_ends_the_connection() {
    ends(&mut Script::open(resuming()), &[0xF0, 0x00], 0x82, "AUTH");
}

#[test]
fn nothing_but_connack_may_come_first() {
    let mut script = Script::new(resuming());
    script.client.handle_connected(script.now);
    ends(&mut script, &bytes(Packet::PingResp), 0x82, "PINGRESP");
}

#[test]
fn before_connect_was_sent_nothing_else_is() {
    let mut script = Script::new(resuming());
    script.client.handle_connected(script.now);
    script.receive_bytes(&[0x00, 0x00]);
    assert!(script.sent().is_empty());
    assert_eq!(script.events().len(), 1);
}

#[test]
fn a_packet_over_the_maximum_is_refused_at_its_header() {
    let config = resuming().maximum_packet_size(NonZeroU32::new(100).unwrap());
    ends(&mut Script::open(config), &[0x30, 0x63], 0x95, "at most 100");
    ends(&mut Script::open(resuming()), &[0x30, 0xFC, 0xFF, 0xFF, 0x07], 0x95, "at most 16777216");
}

#[test]
fn acknowledgements_of_the_wrong_kind_end_the_connection() {
    let publishing = |qos| {
        let mut script = Script::open(resuming());
        script.publish("a", qos).unwrap();
        script
    };
    let why = "packet identifier 1, which waits for something else";
    let one = QoS::AtLeastOnce;
    let two = QoS::ExactlyOnce;
    ends(&mut publishing(one), &bytes(pubrec(1, PubAckReason::Success)), 0x82, why);
    ends(&mut publishing(one), &bytes(pubcomp(1)), 0x82, why);
    ends(&mut publishing(two), &bytes(puback(1, PubAckReason::Success)), 0x82, why);
    ends(&mut publishing(two), &bytes(pubcomp(1)), 0x82, why);
    let suback = SubAck::new(id(1), Properties::EMPTY, &[SubAckReason::GrantedQos0]).unwrap();
    let unsuback = UnsubAck::new(id(1), Properties::EMPTY, &[UnsubAckReason::Success]).unwrap();
    ends(&mut publishing(one), &bytes(suback), 0x82, why);
    let mut script = Script::open(resuming());
    script.subscribe(&["a"]);
    ends(&mut script, &bytes(unsuback), 0x82, why);
}

#[test]
fn a_suback_needs_one_reason_for_each_filter() {
    let mut script = Script::open(resuming());
    script.subscribe(&["a", "b"]);
    let suback = SubAck::new(id(1), Properties::EMPTY, &[SubAckReason::GrantedQos0]).unwrap();
    ends(&mut script, &bytes(suback), 0x82, "1 reason codes in SUBACK for 2 topic filters");
}

#[test]
fn topic_aliases_that_were_not_agreed_on_end_the_connection() {
    let with = |topic, alias| {
        let properties = terms(|properties| {
            properties.topic_alias(NonZeroU16::new(alias).unwrap());
        });
        bytes(Publish {
            qos: PublishQos::AtMostOnce,
            retain: false,
            topic: TopicName::new(topic).ok(),
            properties: properties.as_properties(),
            payload: b"",
        })
    };
    ends(&mut Script::open(resuming()), &with("a", 1), 0x94, "0 is the highest");
    let config = || resuming().topic_alias_maximum(3);
    ends(&mut Script::open(config()), &with("a", 4), 0x94, "3 is the highest");
    ends(&mut Script::open(config()), &with("", 3), 0x82, "without having set it");
    // [MQTT-3.3.2-7]: it was set on another connection.
    let mut script = Script::open(config());
    script.receive_bytes(&with("a", 3));
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    ends(&mut script, &with("", 3), 0x82, "without having set it");
}

#[test]
fn subscription_identifiers_that_were_never_given_end_the_connection() {
    let mut script = Script::open(resuming());
    script.subscribe(&["a"]);
    let properties = terms(|properties| {
        properties.subscription_id(SubscriptionId::new(2).unwrap());
    });
    let publish = bytes(Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: TopicName::new("a").ok(),
        properties: properties.as_properties(),
        payload: b"",
    });
    ends(&mut script, &publish, 0x82, "subscription identifier 2");
}

#[test]
fn explanations_that_were_not_asked_for_end_the_connection() {
    let words = terms(|words| {
        words.reason_string("because").unwrap();
    });
    let explained = PubAck {
        packet_id: id(1),
        reason: PubAckReason::Success,
        properties: words.as_properties(),
    };
    let mut script = Script::open(resuming());
    script.publish("a", QoS::AtLeastOnce).unwrap();
    script.sent();
    script.receive(explained);
    assert_eq!(script.events(), ["published 0 acknowledged: Success"]);
    let mut script = Script::open(resuming().request_problem_information(false));
    script.publish("a", QoS::AtLeastOnce).unwrap();
    ends(&mut script, &bytes(explained), 0x82, "none was requested");
}

#[test]
fn a_servers_disconnect_has_no_session_expiry() {
    let expiry = terms(|expiry| {
        expiry.session_expiry_interval(1);
    });
    let disconnect = mqtt_codec::Disconnect {
        reason: mqtt_codec::DisconnectReason::ServerBusy,
        properties: expiry.as_properties(),
    };
    ends(&mut Script::open(resuming()), &bytes(disconnect), 0x82, "Session Expiry Interval");
}

#[test]
fn answers_that_were_due_leave_before_the_goodbye() {
    let mut script = Script::open(resuming());
    script.deliver("a", qos1(1));
    script.receive_bytes(&[0x00, 0x00]);
    assert_eq!(script.sent(), ["PUBACK 1 Success", "DISCONNECT 0x81"]);
}

#[test]
fn every_violation_has_a_code_that_a_client_may_send() {
    let violation = Violation::TopicAliasInvalid { alias: 4, maximum: 3 };
    assert_eq!(violation.reason_code(), ReasonCode::TopicAliasInvalid);
    assert_eq!(u8::from(violation.disconnect_reason()), 0x94);
}

/// Whatever bytes come, in whatever pieces: the client never panics, and once the connection has
/// ended it says nothing more.
#[test]
fn arbitrary_bytes_are_survived() {
    let mut entropy = Entropy::new([3; 32]);
    for round in 0..3_000 {
        let mut script = Script::open(resuming().topic_alias_maximum(2));
        script.subscribe(&["a/#"]);
        script.publish("a/b", QoS::ExactlyOnce).unwrap();
        script.sent();
        for _ in 0..20 {
            let mut piece = Vec::new();
            let first = [0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0];
            if round % 3 != 0 {
                let word = entropy.next();
                piece.push(first[(word % 12) as usize]);
                piece.push((word >> 8) as u8 % 12);
            }
            for _ in 0..entropy.next() % 12 {
                piece.push(entropy.next() as u8 % if round % 2 == 0 { 255 } else { 4 });
            }
            script.receive_bytes(&piece);
            let sent = script.sent();
            if sent.iter().any(|line| line.starts_with("DISCONNECT")) {
                assert!(sent.last().unwrap().starts_with("DISCONNECT"));
                script.events();
            }
        }
    }
}
