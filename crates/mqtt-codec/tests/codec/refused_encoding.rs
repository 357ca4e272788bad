//! What the codec does not send, and that nothing is written then.

use mqtt_codec::{
    Auth, AuthReason, ConnAck, ConnectOptions, ConnectReason, Disconnect, DisconnectReason,
    EncodeError, Forward, Packet, PacketId, PacketType, Place, Properties, PropertyBuf, PropertyId,
    PropertyValues, PubAck, PubAckReason, Publish, PublishQos, QoS, ReasonCode, SubAck, Subscribe,
    SubscriptionId, SubscriptionOptions, TopicError, TopicFilter, TopicName, UnsubAck, Unsubscribe,
    Will,
};

/// The packet is refused with this error, and what was in the buffer before is still there alone.
#[track_caller]
fn refused<'a>(packet: impl Into<Packet<'a>>, error: EncodeError) {
    let mut out = b"before".to_vec();
    assert_eq!(packet.into().encode(&mut out, u32::MAX), Err(error));
    assert_eq!(out, b"before");
}

#[track_caller]
fn refused_connect(connect: ConnectOptions<'_>, error: EncodeError) {
    let mut out = b"before".to_vec();
    assert_eq!(connect.encode(&mut out, u32::MAX), Err(error));
    assert_eq!(out, b"before");
}

fn publish() -> Publish<'static> {
    Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: Some(TopicName::new("t").unwrap()),
        properties: Properties::EMPTY,
        payload: b"payload",
    }
}

#[test]
fn a_property_of_another_packet() {
    let mut alias = PropertyBuf::new();
    alias.topic_alias_maximum(5);
    let properties = alias.as_properties();
    let id = PropertyId::TopicAliasMaximum;
    let not_allowed =
        |packet: PacketType| EncodeError::PropertyNotAllowed { id, place: Place::Packet(packet) };
    let packet_id = PacketId::MIN;
    let filters = [(TopicFilter::new("f").unwrap(), SubscriptionOptions::default())];
    let plain_filters = [TopicFilter::new("f").unwrap()];
    refused(Publish { properties, ..publish() }, not_allowed(PacketType::Publish));
    let reason = PubAckReason::Success;
    refused(PubAck { packet_id, reason, properties }, not_allowed(PacketType::PubAck));
    let reason = DisconnectReason::ServerBusy;
    refused(Disconnect { reason, properties }, not_allowed(PacketType::Disconnect));
    let reason = AuthReason::ContinueAuthentication;
    refused(Auth { reason, properties }, not_allowed(PacketType::Auth));
    let subscribe = Subscribe::new(packet_id, properties, &filters).unwrap();
    refused(subscribe, not_allowed(PacketType::Subscribe));
    let unsubscribe = Unsubscribe::new(packet_id, properties, &plain_filters).unwrap();
    refused(unsubscribe, not_allowed(PacketType::Unsubscribe));
    let suback = SubAck::new(packet_id, properties, mqtt_codec::SubAckReason::ALL).unwrap();
    refused(suback, not_allowed(PacketType::SubAck));
    let unsuback = UnsubAck::new(packet_id, properties, mqtt_codec::UnsubAckReason::ALL).unwrap();
    refused(unsuback, not_allowed(PacketType::UnsubAck));
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        properties,
        topic: TopicName::new("w").unwrap(),
        payload: b"",
    };
    refused_connect(
        ConnectOptions { will: Some(will), ..ConnectOptions::default() },
        EncodeError::PropertyNotAllowed { id, place: Place::Will },
    );
    let mut delay = PropertyBuf::new();
    delay.will_delay_interval(1);
    refused_connect(
        ConnectOptions { properties: delay.as_properties(), ..ConnectOptions::default() },
        EncodeError::PropertyNotAllowed {
            id: PropertyId::WillDelayInterval,
            place: Place::Packet(PacketType::Connect),
        },
    );
    let connack = ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: delay.as_properties(),
    };
    refused(
        connack,
        EncodeError::PropertyNotAllowed {
            id: PropertyId::WillDelayInterval,
            place: Place::Packet(PacketType::ConnAck),
        },
    );
}

#[test]
fn a_second_subscription_identifier_in_subscribe() {
    let mut two = PropertyBuf::new();
    two.subscription_id(SubscriptionId::MIN).subscription_id(SubscriptionId::MIN);
    let filters = [(TopicFilter::new("f").unwrap(), SubscriptionOptions::default())];
    let subscribe = Subscribe::new(PacketId::MIN, two.as_properties(), &filters).unwrap();
    let error = EncodeError::DuplicateProperty {
        id: PropertyId::SubscriptionIdentifier,
        place: Place::Packet(PacketType::Subscribe),
    };
    refused(subscribe, error);
    // In PUBLISH they may repeat.
    let mut out = Vec::new();
    Publish { properties: two.as_properties(), ..publish() }.encode(&mut out, u32::MAX).unwrap();
    // With one of them taken out and put in again there is one.
    two.remove(PropertyId::SubscriptionIdentifier).subscription_id(SubscriptionId::MIN);
    let subscribe = Subscribe::new(PacketId::MIN, two.as_properties(), &filters).unwrap();
    subscribe.encode(&mut out, u32::MAX).unwrap();
}

/// Proves: [MQTT-3.8.3-2], [MQTT-3.8.3-4], [MQTT-3.10.3-2]
#[test]
fn lists_that_are_empty_and_no_local_on_a_shared_subscription() {
    let (id, none) = (PacketId::MIN, Properties::EMPTY);
    assert_eq!(Subscribe::new(id, none, &[]), Err(EncodeError::NoTopicFilter));
    assert_eq!(Unsubscribe::new(id, none, &[]), Err(EncodeError::NoTopicFilter));
    assert_eq!(SubAck::new(id, none, &[]), Err(EncodeError::NoReasonCode));
    assert_eq!(UnsubAck::new(id, none, &[]), Err(EncodeError::NoReasonCode));
    let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    let shared = [(TopicFilter::new("$share/g/t").unwrap(), options)];
    assert_eq!(Subscribe::new(id, none, &shared), Err(EncodeError::NoLocalOnSharedSubscription));
}

#[test]
fn a_publish_without_topic_and_alias() {
    refused(Publish { topic: None, ..publish() }, EncodeError::NoTopic);
    let mut out = Vec::new();
    let error = Publish { topic: None, ..publish() }.encode_header(0, &mut out, u32::MAX);
    assert_eq!(error, Err(EncodeError::NoTopic));
    let forward = Forward {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: None,
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: &[],
        forwardable: &[],
        payload_len: 0,
    };
    assert_eq!(forward.encode_header(&mut out, u32::MAX), Err(EncodeError::NoTopic));
    let forward = Forward { topic: Some(&[b't'; 65_536]), ..forward };
    let error = forward.encode_header(&mut out, u32::MAX);
    assert_eq!(error, Err(EncodeError::StringTooLong { len: 65_536 }));
    assert!(out.is_empty());
}

/// Proves: [MQTT-3.2.2-6], [MQTT-3.14.2-1]
#[test]
fn what_no_receiver_would_accept() {
    let (session_present, properties) = (true, Properties::EMPTY);
    let reason = ConnectReason::NotAuthorized;
    refused(ConnAck { session_present, reason, properties }, EncodeError::SessionPresentInRefusal);
    let reason = DisconnectReason::BadAuthenticationMethod;
    refused(
        Disconnect { reason, properties },
        EncodeError::ReasonNotSent {
            reason: ReasonCode::BadAuthenticationMethod,
            packet_type: PacketType::Disconnect,
        },
    );
    let reason = AuthReason::ContinueAuthentication;
    refused(Auth { reason, properties }, EncodeError::NoAuthenticationMethod);
    let mut data = PropertyBuf::new();
    data.authentication_data(b"d").unwrap();
    let properties = data.as_properties();
    let reason = AuthReason::Success;
    refused(Auth { reason, properties }, EncodeError::NoAuthenticationMethod);
    refused_connect(
        ConnectOptions { properties, ..ConnectOptions::default() },
        EncodeError::AuthenticationDataWithoutMethod,
    );
}

/// Proves: [MQTT-1.5.4-2]
#[test]
fn text_and_data_of_connect_that_may_not_be_sent() {
    let long = "x".repeat(65_536);
    let too_long = EncodeError::StringTooLong { len: 65_536 };
    let options = ConnectOptions::default();
    refused_connect(ConnectOptions { client_id: &long, ..options }, too_long);
    let nul = EncodeError::NulCharacter;
    refused_connect(ConnectOptions { client_id: "a\0", ..options }, nul);
    let control = EncodeError::ControlCharacter;
    refused_connect(ConnectOptions { client_id: "a\n", ..options }, control);
    let non = EncodeError::NonCharacter;
    refused_connect(ConnectOptions { client_id: "\u{FFFE}", ..options }, non);
    refused_connect(ConnectOptions { user_name: Some(&long), ..options }, too_long);
    refused_connect(ConnectOptions { user_name: Some("\u{85}"), ..options }, control);
    let data = long.as_bytes();
    let binary = EncodeError::BinaryTooLong { len: 65_536 };
    refused_connect(ConnectOptions { password: Some(data), ..options }, binary);
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
        topic: TopicName::new("w").unwrap(),
        payload: data,
    };
    refused_connect(ConnectOptions { will: Some(will), ..options }, binary);
}

/// Proves: [MQTT-1.5.4-2], [MQTT-1.5.7-1]
#[test]
fn text_and_data_of_properties_that_may_not_be_sent() {
    let long = "x".repeat(65_536);
    let mut buf = PropertyBuf::new();
    buf.content_type("before").unwrap();
    let before = buf.clone();
    let too_long = Err(EncodeError::StringTooLong { len: 65_536 });
    let nul = Err(EncodeError::NulCharacter);
    for (text, error) in [(long.as_str(), too_long), ("\0", nul)] {
        assert_eq!(buf.content_type(text).map(drop), error);
        assert_eq!(buf.authentication_method(text).map(drop), error);
        assert_eq!(buf.response_information(text).map(drop), error);
        assert_eq!(buf.server_reference(text).map(drop), error);
        assert_eq!(buf.reason_string(text).map(drop), error);
        assert_eq!(buf.assigned_client_id(text).map(drop), error);
        assert_eq!(buf.user_property(text, "").map(drop), error);
        assert_eq!(buf.user_property("", text).map(drop), error);
    }
    let control = Err(EncodeError::ControlCharacter);
    assert_eq!(buf.assigned_client_id("\u{1}").map(drop), control);
    let binary = Err(EncodeError::BinaryTooLong { len: 65_536 });
    assert_eq!(buf.correlation_data(long.as_bytes()).map(drop), binary);
    assert_eq!(buf.authentication_data(long.as_bytes()).map(drop), binary);
    assert_eq!(buf, before);

    let response_topic = Some("a/#".to_owned());
    let values = PropertyValues { response_topic, ..PropertyValues::default() };
    assert_eq!(values.to_buf(), Err(EncodeError::Topic(TopicError::Wildcard)));
}

/// Proves: [MQTT-3.1.2-24], [MQTT-3.2.2-15]
#[test]
fn a_packet_larger_than_the_receiver_accepts() {
    let mut out = b"before".to_vec();
    // 2 of fixed header, 3 of topic, 1 of Property Length, 7 of payload.
    let error = EncodeError::TooLarge { size: 13, limit: 12 };
    assert_eq!(publish().encode(&mut out, 12), Err(error));
    assert_eq!(publish().encode_header(7, &mut out, 12), Err(error));
    assert_eq!(
        Packet::PingReq.encode(&mut out, 1),
        Err(EncodeError::TooLarge { size: 2, limit: 1 })
    );
    assert_eq!(out, b"before");
    publish().encode(&mut out, 13).unwrap();
    assert_eq!(out.len(), 6 + 13);
}

#[test]
fn a_packet_larger_than_the_format_has_a_length_for() {
    let mut out = Vec::new();
    let largest = 268_435_460;
    // The header has four bytes behind the fixed header, which has five.
    let payload_len = 268_435_455 - 4;
    publish().encode_header(payload_len, &mut out, u32::MAX).unwrap();
    assert_eq!(out, b"\x30\xFF\xFF\xFF\x7F\0\x01t\0");
    out.clear();
    let error = EncodeError::TooLarge { size: u64::from(largest) + 1, limit: largest };
    assert_eq!(publish().encode_header(payload_len + 1, &mut out, u32::MAX), Err(error));
    let _ = publish().encode_header(usize::MAX / 2, &mut out, u32::MAX).unwrap_err();
    assert!(out.is_empty());
}

#[test]
fn an_error_says_for_people_what_is_wrong() {
    let error = EncodeError::PropertyNotAllowed { id: PropertyId::TopicAlias, place: Place::Will };
    assert_eq!(error.to_string(), "the property Topic Alias may not stand in Will Properties");
    let error = EncodeError::TooLarge { size: 13, limit: 12 };
    assert_eq!(error.to_string(), "the packet has 13 bytes, and the receiver accepts 12");
}
