//! The twenty-seven properties: where they may stand, what values they may have, what goes on with
//! a forwarded message.

use core::num::{NonZeroU16, NonZeroU32};

use PacketType::{
    Auth, ConnAck, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, SubAck,
    Subscribe, UnsubAck, Unsubscribe,
};
use mqtt_codec::{
    DecodeRule, PacketType, PayloadFormat, Place, Properties, PropertyBuf, PropertyId,
    PropertyValues, QoS, SubscriptionId, TopicName,
};

/// Every place that has properties.
const PLACES: [Place; 16] = [
    Place::Will,
    Place::Packet(Connect),
    Place::Packet(ConnAck),
    Place::Packet(Publish),
    Place::Packet(PubAck),
    Place::Packet(PubRec),
    Place::Packet(PubRel),
    Place::Packet(PubComp),
    Place::Packet(Subscribe),
    Place::Packet(SubAck),
    Place::Packet(Unsubscribe),
    Place::Packet(UnsubAck),
    Place::Packet(PacketType::PingReq),
    Place::Packet(PacketType::PingResp),
    Place::Packet(Disconnect),
    Place::Packet(Auth),
];

/// Each property on the wire with a value that it may have, and the packets of the table in
/// section 2.2.2.2 of the standard; `true` for the Will beside them.
const TABLE: [(u8, &[u8], &[PacketType], bool); 27] = [
    (0x01, b"\x01\x01", &[Publish], true),
    (0x02, b"\x02\0\0\0\0", &[Publish], true),
    (0x03, b"\x03\0\x01t", &[Publish], true),
    (0x08, b"\x08\0\x01t", &[Publish], true),
    (0x09, b"\x09\0\x01\xFF", &[Publish], true),
    (0x0B, b"\x0B\xFF\xFF\xFF\x7F", &[Publish, Subscribe], false),
    (0x11, b"\x11\xFF\xFF\xFF\xFF", &[Connect, ConnAck, Disconnect], false),
    (0x12, b"\x12\0\x01c", &[ConnAck], false),
    (0x13, b"\x13\0\0", &[ConnAck], false),
    (0x15, b"\x15\0\x01m", &[Connect, ConnAck, Auth], false),
    (0x16, b"\x16\0\x01\0", &[Connect, ConnAck, Auth], false),
    (0x17, b"\x17\0", &[Connect], false),
    (0x18, b"\x18\0\0\0\x01", &[], true),
    (0x19, b"\x19\x01", &[Connect], false),
    (0x1A, b"\x1A\0\x01r", &[ConnAck], false),
    (0x1C, b"\x1C\0\x01s", &[ConnAck, Disconnect], false),
    (
        0x1F,
        b"\x1F\0\x01r",
        &[ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth],
        false,
    ),
    (0x21, b"\x21\0\x01", &[Connect, ConnAck], false),
    (0x22, b"\x22\0\0", &[Connect, ConnAck], false),
    (0x23, b"\x23\0\x01", &[Publish], false),
    (0x24, b"\x24\0", &[ConnAck], false),
    (0x25, b"\x25\x01", &[ConnAck], false),
    (
        0x26,
        b"\x26\0\x01n\0\x01v",
        &[
            Connect,
            ConnAck,
            Publish,
            PubAck,
            PubRec,
            PubRel,
            PubComp,
            Subscribe,
            SubAck,
            Unsubscribe,
            UnsubAck,
            Disconnect,
            Auth,
        ],
        true,
    ),
    (0x27, b"\x27\0\0\0\x01", &[Connect, ConnAck], false),
    (0x28, b"\x28\0", &[ConnAck], false),
    (0x29, b"\x29\x01", &[ConnAck], false),
    (0x2A, b"\x2A\0", &[ConnAck], false),
];

fn may_stand(place: Place, packets: &[PacketType], will: bool) -> bool {
    match place {
        Place::Packet(packet) => packets.contains(&packet),
        Place::Will => will,
    }
}

#[test]
fn every_property_stands_where_the_standard_lists_it_and_nowhere_else() {
    for (byte, bytes, packets, will) in TABLE {
        let id = PropertyId::try_from(byte).unwrap();
        for place in PLACES {
            let allowed = may_stand(place, packets, will);
            assert_eq!(id.is_allowed_in(place), allowed, "{id} in {place}");
            match Properties::from_wire(bytes, place) {
                Ok(properties) => {
                    assert!(allowed, "{id} in {place}");
                    assert!(properties.contains(id));
                    assert_eq!(properties.ids().collect::<Vec<_>>(), [id]);
                    assert_eq!(properties.as_bytes(), bytes);
                }
                Err(error) => {
                    assert!(!allowed, "{id} in {place}");
                    assert_eq!(error.rule(), DecodeRule::PropertyNotAllowed { id });
                    assert_eq!(error.offset(), 0);
                    assert_eq!(error.packet_type(), Some(place.packet_type()));
                    assert_eq!(u8::from(error.reason_code()), 0x81);
                }
            }
        }
    }
}

#[test]
fn every_property_may_stand_once_but_for_user_properties_and_identifiers_in_publish() {
    for (byte, bytes, packets, will) in TABLE {
        let id = PropertyId::try_from(byte).unwrap();
        for place in PLACES.into_iter().filter(|place| may_stand(*place, packets, will)) {
            // Another property between the two, so that neighbours are not what counts.
            let twice = [bytes, b"\x26\0\0\0\0", bytes].concat();
            let repeats = id == PropertyId::UserProperty
                || id == PropertyId::SubscriptionIdentifier && place == Place::from(Publish);
            match Properties::from_wire(&twice, place) {
                Ok(_) => assert!(repeats, "{id} in {place}"),
                Err(error) => {
                    assert!(!repeats, "{id} in {place}");
                    assert_eq!(error.rule(), DecodeRule::DuplicateProperty { id });
                    assert_eq!(error.offset(), bytes.len() + 5);
                    assert_eq!(u8::from(error.reason_code()), 0x82);
                }
            }
        }
    }
}

#[test]
fn every_property_that_is_cut_runs_past_the_end() {
    for (byte, bytes, packets, will) in TABLE {
        let id = PropertyId::try_from(byte).unwrap();
        for place in PLACES.into_iter().filter(|place| may_stand(*place, packets, will)) {
            for cut in 1..bytes.len() {
                let error = Properties::from_wire(&bytes[..cut], place).unwrap_err();
                assert_eq!(error.rule(), DecodeRule::FieldPastEnd, "{id} at {cut}");
                let at = if id == PropertyId::UserProperty && cut >= 4 { 4 } else { 1 };
                assert_eq!(error.offset(), at, "{id} at {cut}");
            }
        }
    }
}

#[test]
fn every_byte_that_is_no_identifier_is_unknown_everywhere() {
    for byte in 0..=u8::MAX {
        if PropertyId::try_from(byte).is_ok() {
            continue;
        }
        for place in PLACES {
            let error = Properties::from_wire(&[byte, 0, 0, 0, 0], place).unwrap_err();
            assert_eq!(error.rule(), DecodeRule::UnknownProperty { id: byte });
            assert_eq!(error.offset(), 0);
        }
    }
}

#[test]
fn a_flag_is_zero_or_one() {
    for (byte, bytes, packets, _) in TABLE {
        if bytes.len() != 2 {
            continue;
        }
        let id = PropertyId::try_from(byte).unwrap();
        for value in 0..=u8::MAX {
            let place = packets.first().copied().map_or(Place::Will, Place::from);
            match Properties::from_wire(&[byte, value], place) {
                Ok(_) => assert!(value <= 1, "{id} {value}"),
                Err(error) => {
                    assert!(value > 1, "{id} {value}");
                    assert_eq!(error.rule(), DecodeRule::PropertyValue { id });
                    assert_eq!(error.offset(), 1);
                }
            }
        }
    }
}

/// Everything that can be set, in the order of the identifiers.
fn everything() -> PropertyBuf {
    let mut buf = PropertyBuf::new();
    buf.payload_format_indicator(PayloadFormat::Utf8).message_expiry_interval(2);
    buf.content_type("type").unwrap().response_topic(TopicName::new("a/b").unwrap());
    buf.correlation_data(&[9, 0]).unwrap();
    buf.subscription_id(SubscriptionId::MIN).subscription_id(SubscriptionId::MAX);
    buf.session_expiry_interval(17).assigned_client_id("id").unwrap().server_keep_alive(19);
    buf.authentication_method("method").unwrap().authentication_data(b"data").unwrap();
    buf.request_problem_information(true).will_delay_interval(24);
    buf.request_response_information(false).response_information("info").unwrap();
    buf.server_reference("other").unwrap().reason_string("why").unwrap();
    buf.receive_maximum(NonZeroU16::new(33).unwrap()).topic_alias_maximum(34);
    buf.topic_alias(NonZeroU16::new(35).unwrap()).maximum_qos(QoS::AtLeastOnce);
    buf.retain_available(true).user_property("n", "1").unwrap().user_property("n", "2").unwrap();
    buf.maximum_packet_size(NonZeroU32::new(39).unwrap()).wildcard_subscription_available(false);
    buf.subscription_id_available(true).shared_subscription_available(false);
    buf
}

#[test]
fn what_is_set_is_read_again() {
    let buf = everything();
    let properties = buf.as_properties();
    assert_eq!(properties.payload_format_indicator(), Some(PayloadFormat::Utf8));
    assert_eq!(properties.message_expiry_interval(), Some(2));
    assert_eq!(properties.content_type(), Some("type"));
    assert_eq!(properties.response_topic().map(|topic| topic.as_str()), Some("a/b"));
    assert_eq!(properties.correlation_data(), Some(&[9, 0][..]));
    let ids: Vec<u32> = properties.subscription_ids().map(SubscriptionId::get).collect();
    assert_eq!(ids, [1, 268_435_455]);
    assert_eq!(properties.session_expiry_interval(), Some(17));
    assert_eq!(properties.assigned_client_id(), Some("id"));
    assert_eq!(properties.server_keep_alive(), Some(19));
    assert_eq!(properties.authentication_method(), Some("method"));
    assert_eq!(properties.authentication_data(), Some(&b"data"[..]));
    assert_eq!(properties.request_problem_information(), Some(true));
    assert_eq!(properties.will_delay_interval(), Some(24));
    assert_eq!(properties.request_response_information(), Some(false));
    assert_eq!(properties.response_information(), Some("info"));
    assert_eq!(properties.server_reference(), Some("other"));
    assert_eq!(properties.reason_string(), Some("why"));
    assert_eq!(properties.receive_maximum().map(NonZeroU16::get), Some(33));
    assert_eq!(properties.topic_alias_maximum(), Some(34));
    assert_eq!(properties.topic_alias().map(NonZeroU16::get), Some(35));
    assert_eq!(properties.maximum_qos(), Some(QoS::AtLeastOnce));
    assert_eq!(properties.retain_available(), Some(true));
    let users: Vec<_> = properties.user_properties().collect();
    assert_eq!(users, [("n", "1"), ("n", "2")]);
    assert_eq!(properties.maximum_packet_size().map(NonZeroU32::get), Some(39));
    assert_eq!(properties.wildcard_subscription_available(), Some(false));
    assert_eq!(properties.subscription_id_available(), Some(true));
    assert_eq!(properties.shared_subscription_available(), Some(false));
    for id in PropertyId::ALL {
        assert!(properties.contains(*id), "{id}");
    }
}

#[test]
fn what_is_not_there_is_not_read() {
    let empty = Properties::EMPTY;
    assert!(empty.is_empty());
    assert_eq!(PropertyValues::from(empty), PropertyValues::default());
    for id in PropertyId::ALL {
        assert!(!empty.contains(*id), "{id}");
    }
}

#[test]
fn the_owned_form_has_the_same_values() {
    let buf = everything();
    let values = PropertyValues::from(buf.as_properties());
    assert_eq!(values.to_buf().unwrap(), buf);
    assert_eq!(PropertyBuf::from(buf.as_properties()), buf);
}

#[test]
fn setting_again_replaces_and_removing_removes() {
    let mut buf = everything();
    let users_before = buf.as_properties().user_properties().count();
    buf.content_type("other type").unwrap().message_expiry_interval(7);
    let properties = buf.as_properties();
    assert_eq!(properties.content_type(), Some("other type"));
    assert_eq!(properties.message_expiry_interval(), Some(7));
    let count = |id| properties.ids().filter(|of| *of == id).count();
    assert_eq!(count(PropertyId::ContentType), 1);
    assert_eq!(count(PropertyId::MessageExpiryInterval), 1);
    assert_eq!(count(PropertyId::UserProperty), users_before);

    for id in PropertyId::ALL {
        buf.remove(*id).remove(*id);
        assert!(!buf.as_properties().contains(*id), "{id}");
    }
    assert!(buf.is_empty());
    assert_eq!(buf, PropertyBuf::new());
    assert!(everything().clear().is_empty());
}

#[test]
fn maximum_qos_2_is_said_by_leaving_it_out() {
    let mut buf = PropertyBuf::new();
    buf.maximum_qos(QoS::AtMostOnce);
    assert_eq!(buf.as_properties().as_bytes(), [0x24, 0x00]);
    buf.maximum_qos(QoS::ExactlyOnce);
    assert!(buf.is_empty());
}

/// Proves: [MQTT-3.3.2-4], [MQTT-3.3.2-6], [MQTT-3.3.2-7], [MQTT-3.3.2-15], [MQTT-3.3.2-16],
/// [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20]
#[test]
fn a_message_goes_on_with_its_properties_but_for_expiry_alias_and_identifiers() {
    let mut received = PropertyBuf::new();
    received.subscription_id(SubscriptionId::MIN).user_property("z", "1").unwrap();
    received.message_expiry_interval(60).payload_format_indicator(PayloadFormat::Utf8);
    received.topic_alias(NonZeroU16::MIN).content_type("t").unwrap();
    received.user_property("a", "2").unwrap().subscription_id(SubscriptionId::MAX);
    received.response_topic(TopicName::new("r").unwrap()).correlation_data(b"c").unwrap();
    received.user_property("z", "1").unwrap();

    let mut expected = PropertyBuf::new();
    expected.user_property("z", "1").unwrap();
    expected.payload_format_indicator(PayloadFormat::Utf8).content_type("t").unwrap();
    expected.user_property("a", "2").unwrap();
    expected.response_topic(TopicName::new("r").unwrap()).correlation_data(b"c").unwrap();
    expected.user_property("z", "1").unwrap();

    let mut forwardable = b"before".to_vec();
    received.as_properties().copy_forwardable(&mut forwardable);
    assert_eq!(forwardable, [b"before", expected.as_properties().as_bytes()].concat());

    // Nothing to leave out: the same bytes.
    let mut again = Vec::new();
    expected.as_properties().copy_forwardable(&mut again);
    assert_eq!(again, expected.as_properties().as_bytes());
    assert_eq!(Properties::from_wire(&again, Publish), Ok(expected.as_properties()));
}

#[test]
fn debug_output_hides_what_may_be_secret() {
    let mut buf = PropertyBuf::new();
    buf.authentication_method("SCRAM").unwrap().authentication_data(b"hush").unwrap();
    buf.server_keep_alive(300).user_property("n", "v").unwrap();
    buf.subscription_id(SubscriptionId::new(200).unwrap());
    assert_eq!(
        format!("{:?}", buf.as_properties()),
        "{Authentication Method: \"SCRAM\", Authentication Data: 4 bytes, \
         Server Keep Alive: 300, User Property: \"n\" = \"v\", Subscription Identifier: 200}"
    );
}
