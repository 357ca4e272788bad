//! Any packet that can be built comes back as it went out, and bytes of any kind are read without
//! a panic.

use core::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{
    Auth, AuthReason, ConnAck, ConnectOptions, ConnectReason, Decoded, Decoder, Disconnect,
    DisconnectReason, EncodeError, Limits, Packet, PacketId, PacketType, PayloadFormat, Place,
    Properties, PropertyBuf, PropertyId, PropertyValues, PubAck, PubAckReason, PubComp, PubRec,
    PubRel, PubRelReason, Publish, PublishQos, QoS, RetainHandling, SubAck, SubAckReason,
    Subscribe, SubscriptionId, SubscriptionOptions, TopicFilter, TopicName, UnsubAck,
    UnsubAckReason, Unsubscribe, Will, decode,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::vectors::{encoded, packet, vectors};

fn text() -> impl Strategy<Value = String> {
    let characters = prop_oneof![
        8 => any::<char>().prop_filter("U+0000 is never text", |of| *of != '\0'),
        8 => prop::char::range(' ', '~'),
        1 => Just('\u{FEFF}'),
        1 => Just('\u{1}'),
    ];
    vec(characters, 0..40).prop_map(String::from_iter)
}

/// Text without control and non-characters.
fn identifier() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        let refused = |of: &char| of.is_control() || TopicName::new(&of.to_string()).is_err();
        text.chars().filter(|of| matches!(of, '+' | '#') || !refused(of)).collect()
    })
}

fn topic() -> impl Strategy<Value = String> {
    identifier().prop_map(|text| text.replace(['+', '#'], "/") + "t")
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("+".to_owned()), identifier().prop_map(|t| t.replace('#', ""))];
    let share = option::of(topic().prop_map(|name| name.replace('/', "")));
    (share, vec(level, 0..5), any::<bool>()).prop_map(|(share, mut levels, hash)| {
        for level in &mut levels {
            if level.len() > 1 {
                *level = level.replace('+', "/");
            }
        }
        levels.push(if hash { "#" } else { "t" }.to_owned());
        let filter = levels.join("/");
        match share {
            Some(name) => format!("$share/{name}/{filter}"),
            None => filter,
        }
    })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    (1..=268_435_455_u32).prop_map(|id| SubscriptionId::new(id).unwrap())
}

prop_compose! {
    fn packet_id()(id in 1..=u16::MAX) -> PacketId {
        PacketId::new(id).unwrap()
    }
}

/// One call of a setter, with its arguments.
fn set(id: PropertyId) -> BoxedStrategy<PropertyBuf> {
    fn one<T: std::fmt::Debug + 'static>(
        value: impl Strategy<Value = T> + 'static,
        set: impl Fn(&mut PropertyBuf, T) + 'static,
    ) -> BoxedStrategy<PropertyBuf> {
        value
            .prop_map(move |value| {
                let mut buf = PropertyBuf::new();
                set(&mut buf, value);
                buf
            })
            .boxed()
    }
    let flag = any::<bool>();
    let u16s = any::<u16>();
    let u32s = any::<u32>();
    match id {
        PropertyId::PayloadFormatIndicator => one(flag, |buf, text| {
            let utf8 = if text { PayloadFormat::Utf8 } else { PayloadFormat::Unspecified };
            buf.payload_format_indicator(utf8);
        }),
        PropertyId::MessageExpiryInterval => one(u32s, |buf, value| {
            buf.message_expiry_interval(value);
        }),
        PropertyId::ContentType => one(text(), |buf, value| {
            buf.content_type(&value).unwrap();
        }),
        PropertyId::ResponseTopic => one(topic(), |buf, value| {
            buf.response_topic(TopicName::new(&value).unwrap());
        }),
        PropertyId::CorrelationData => one(data(), |buf, value| {
            buf.correlation_data(&value).unwrap();
        }),
        PropertyId::SubscriptionIdentifier => one(subscription_id(), |buf, value| {
            buf.subscription_id(value);
        }),
        PropertyId::SessionExpiryInterval => one(u32s, |buf, value| {
            buf.session_expiry_interval(value);
        }),
        PropertyId::AssignedClientIdentifier => one(identifier(), |buf, value| {
            buf.assigned_client_id(&value).unwrap();
        }),
        PropertyId::ServerKeepAlive => one(u16s, |buf, value| {
            buf.server_keep_alive(value);
        }),
        PropertyId::AuthenticationMethod => one(text(), |buf, value| {
            buf.authentication_method(&value).unwrap();
        }),
        PropertyId::AuthenticationData => one(data(), |buf, value| {
            buf.authentication_data(&value).unwrap();
        }),
        PropertyId::RequestProblemInformation => one(flag, |buf, value| {
            buf.request_problem_information(value);
        }),
        PropertyId::WillDelayInterval => one(u32s, |buf, value| {
            buf.will_delay_interval(value);
        }),
        PropertyId::RequestResponseInformation => one(flag, |buf, value| {
            buf.request_response_information(value);
        }),
        PropertyId::ResponseInformation => one(text(), |buf, value| {
            buf.response_information(&value).unwrap();
        }),
        PropertyId::ServerReference => one(text(), |buf, value| {
            buf.server_reference(&value).unwrap();
        }),
        PropertyId::ReasonString => one(text(), |buf, value| {
            buf.reason_string(&value).unwrap();
        }),
        PropertyId::ReceiveMaximum => one(any::<NonZeroU16>(), |buf, value| {
            buf.receive_maximum(value);
        }),
        PropertyId::TopicAliasMaximum => one(u16s, |buf, value| {
            buf.topic_alias_maximum(value);
        }),
        PropertyId::TopicAlias => one(any::<NonZeroU16>(), |buf, value| {
            buf.topic_alias(value);
        }),
        PropertyId::MaximumQos => one(flag, |buf, one| {
            buf.maximum_qos(if one { QoS::AtLeastOnce } else { QoS::AtMostOnce });
        }),
        PropertyId::RetainAvailable => one(flag, |buf, value| {
            buf.retain_available(value);
        }),
        PropertyId::UserProperty => one((text(), text()), |buf, (name, value)| {
            buf.user_property(&name, &value).unwrap();
        }),
        PropertyId::MaximumPacketSize => one(any::<NonZeroU32>(), |buf, value| {
            buf.maximum_packet_size(value);
        }),
        PropertyId::WildcardSubscriptionAvailable => one(flag, |buf, value| {
            buf.wildcard_subscription_available(value);
        }),
        PropertyId::SubscriptionIdentifierAvailable => one(flag, |buf, value| {
            buf.subscription_id_available(value);
        }),
        PropertyId::SharedSubscriptionAvailable => one(flag, |buf, value| {
            buf.shared_subscription_available(value);
        }),
    }
}

/// Properties that may stand in a place: any of them, in any order, those repeated that may.
fn properties(place: impl Into<Place>) -> impl Strategy<Value = PropertyBuf> {
    let place = place.into();
    let allowed: Vec<PropertyId> =
        PropertyId::ALL.iter().copied().filter(|id| id.is_allowed_in(place)).collect();
    vec(select(allowed).prop_flat_map(set), 0..8).prop_map(move |parts| {
        let mut bytes: Vec<u8> = Vec::new();
        for part in parts {
            let longer = [&bytes, part.as_properties().as_bytes()].concat();
            // What may not be repeated is left out the second time.
            if Properties::from_wire(&longer, place).is_ok() {
                bytes = longer;
            }
        }
        Properties::from_wire(&bytes, place).unwrap().into()
    })
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

prop_compose! {
    fn publish_qos()(qos in qos(), id in packet_id(), dup: bool) -> PublishQos {
        match qos {
            QoS::AtMostOnce => PublishQos::AtMostOnce,
            QoS::AtLeastOnce => PublishQos::AtLeastOnce { id, dup },
            QoS::ExactlyOnce => PublishQos::ExactlyOnce { id, dup },
        }
    }
}

prop_compose! {
    fn options()(qos in qos(), no_local: bool, retain_as_published: bool, handling in 0..3)
        -> SubscriptionOptions
    {
        let retain_handling = match handling {
            0 => RetainHandling::SendAlways,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::DoNotSend,
        };
        SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
    }
}

/// Encodes a packet without a limit and for receivers of any size, and decodes what comes out.
fn comes_back(built: &Packet<'_>, limit: u32) {
    let bytes = encoded(built);
    assert_eq!(&packet(&bytes), built);

    let mut cut_down = b"before".to_vec();
    match built.encode(&mut cut_down, limit) {
        Ok(()) => {
            let bytes = &cut_down[6..];
            assert!(bytes.len() <= limit as usize);
            assert_eq!(packet(bytes).packet_type(), built.packet_type());
        }
        Err(EncodeError::TooLarge { size, limit: said }) => {
            assert!(size > u64::from(limit));
            assert_eq!(said, limit);
            assert_eq!(cut_down, b"before");
        }
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #[test]
    fn connect(
        clean_start: bool,
        keep_alive: u16,
        mut own in properties(PacketType::Connect),
        client_id in identifier(),
        will in option::of((qos(), any::<bool>(), properties(Place::Will), topic(), data())),
        user_name in option::of(identifier()),
        password in option::of(data()),
        limit in 0..400_u32,
    ) {
        if !own.as_properties().contains(PropertyId::AuthenticationMethod) {
            own.remove(PropertyId::AuthenticationData);
        }
        let options = ConnectOptions {
            clean_start,
            keep_alive,
            properties: own.as_properties(),
            client_id: &client_id,
            will: will.as_ref().map(|(qos, retain, properties, topic, payload)| Will {
                qos: *qos,
                retain: *retain,
                properties: properties.as_properties(),
                topic: TopicName::new(topic).unwrap(),
                payload,
            }),
            user_name: user_name.as_deref(),
            password: password.as_deref(),
        };
        let mut bytes = Vec::new();
        options.encode(&mut bytes, u32::MAX).unwrap();
        let Packet::Connect(connect) = packet(&bytes) else { panic!("a CONNECT") };
        assert_eq!(connect.to_options(), options);
        comes_back(&connect.into(), limit);
    }

    #[test]
    fn connack(
        session_present: bool,
        reason in select(ConnectReason::ALL),
        properties in properties(PacketType::ConnAck),
        limit in 0..400_u32,
    ) {
        let session_present = session_present && reason == ConnectReason::Success;
        let properties = properties.as_properties();
        comes_back(&ConnAck { session_present, reason, properties }.into(), limit);
    }

    #[test]
    fn publish(
        qos in publish_qos(),
        retain: bool,
        topic in option::of(topic()),
        mut properties in properties(PacketType::Publish),
        payload in data(),
        limit in 0..400_u32,
    ) {
        if topic.is_none() {
            properties.topic_alias(NonZeroU16::MAX);
        }
        let publish = Publish {
            qos,
            retain,
            topic: topic.as_deref().map(|topic| TopicName::new(topic).unwrap()),
            properties: properties.as_properties(),
            payload: &payload,
        };
        comes_back(&publish.into(), limit);
        let mut header = Vec::new();
        publish.encode_header(payload.len(), &mut header, u32::MAX).unwrap();
        header.extend_from_slice(&payload);
        assert_eq!(header, encoded(&publish.into()));
    }

    #[test]
    fn acknowledgements(
        packet_id in packet_id(),
        first in select(PubAckReason::ALL),
        second in select(PubRelReason::ALL),
        properties in properties(PacketType::PubAck),
        limit in 0..200_u32,
    ) {
        let properties = properties.as_properties();
        comes_back(&PubAck { packet_id, reason: first, properties }.into(), limit);
        comes_back(&PubRec { packet_id, reason: first, properties }.into(), limit);
        comes_back(&PubRel { packet_id, reason: second, properties }.into(), limit);
        comes_back(&PubComp { packet_id, reason: second, properties }.into(), limit);
    }

    #[test]
    fn subscribe(
        packet_id in packet_id(),
        properties in properties(PacketType::Subscribe),
        filters in vec((filter(), options()), 1..6),
        limit in 0..400_u32,
    ) {
        let filters: Vec<_> = filters
            .iter()
            .map(|(filter, options)| {
                let filter = TopicFilter::new(filter).unwrap();
                let no_local = options.no_local && !filter.is_shared();
                (filter, SubscriptionOptions { no_local, ..*options })
            })
            .collect();
        let properties = properties.as_properties();
        let subscribe = Subscribe::new(packet_id, properties, &filters).unwrap();
        assert_eq!(subscribe.len(), filters.len());
        comes_back(&subscribe.into(), limit);
    }

    #[test]
    fn unsubscribe(
        packet_id in packet_id(),
        properties in properties(PacketType::Unsubscribe),
        filters in vec(filter(), 1..6),
        limit in 0..400_u32,
    ) {
        let filters: Vec<_> = filters.iter().map(|of| TopicFilter::new(of).unwrap()).collect();
        let properties = properties.as_properties();
        let unsubscribe = Unsubscribe::new(packet_id, properties, &filters).unwrap();
        assert!(unsubscribe.filters().eq(filters.iter().copied()));
        comes_back(&unsubscribe.into(), limit);
    }

    #[test]
    fn suback_and_unsuback(
        packet_id in packet_id(),
        properties in properties(PacketType::SubAck),
        granted in vec(select(SubAckReason::ALL), 1..20),
        ended in vec(select(UnsubAckReason::ALL), 1..20),
        limit in 0..200_u32,
    ) {
        let properties = properties.as_properties();
        let suback = SubAck::new(packet_id, properties, &granted).unwrap();
        assert!(suback.reasons().eq(granted.iter().copied()));
        comes_back(&suback.into(), limit);
        let unsuback = UnsubAck::new(packet_id, properties, &ended).unwrap();
        assert!(unsuback.reasons().eq(ended.iter().copied()));
        comes_back(&unsuback.into(), limit);
    }

    #[test]
    fn disconnect(
        reason in select(DisconnectReason::ALL),
        properties in properties(PacketType::Disconnect),
        limit in 0..200_u32,
    ) {
        prop_assume!(reason != DisconnectReason::BadAuthenticationMethod);
        comes_back(&Disconnect { reason, properties: properties.as_properties() }.into(), limit);
    }

    #[test]
    fn auth(
        reason in select(AuthReason::ALL),
        mut properties in properties(PacketType::Auth),
        limit in 0..200_u32,
    ) {
        if !properties.as_properties().contains(PropertyId::AuthenticationMethod) {
            properties.authentication_method("method").unwrap();
        }
        comes_back(&Auth { reason, properties: properties.as_properties() }.into(), limit);
    }

    #[test]
    fn properties_have_the_same_values_in_their_owned_form(
        properties in properties(PacketType::ConnAck),
        others in properties(PacketType::Publish),
    ) {
        for properties in [properties, others] {
            let values = PropertyValues::from(properties.as_properties());
            let again = values.to_buf().unwrap();
            assert_eq!(PropertyValues::from(again.as_properties()), values);
            // The same properties, if in another order.
            let length = |of: &PropertyBuf| of.as_properties().as_bytes().len();
            assert_eq!(length(&again), length(&properties));
        }
    }

    /// Proves: [MQTT-3.1.3-10], [MQTT-3.3.2-17], [MQTT-3.3.2-18]
    #[test]
    fn what_is_passed_on_of_a_message_or_will_may_stand_in_publish(
        message in properties(PacketType::Publish),
        will in properties(Place::Will),
    ) {
        for received in [message, will] {
            let received = received.as_properties();
            let mut bytes = Vec::new();
            received.copy_forwardable(&mut bytes);
            let passed_on = Properties::from_wire(&bytes, PacketType::Publish).unwrap();
            let stays_behind = [
                PropertyId::MessageExpiryInterval,
                PropertyId::SubscriptionIdentifier,
                PropertyId::TopicAlias,
                PropertyId::WillDelayInterval,
            ];
            assert!(passed_on.ids().eq(received.ids().filter(|id| !stays_behind.contains(id))));
            assert!(passed_on.user_properties().eq(received.user_properties()));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_read_without_a_panic(
        mut bytes in vec(any::<u8>(), 0..80),
        first in any::<u8>(),
        honest in any::<bool>(),
    ) {
        bytes.insert(0, first);
        if honest && bytes.len() >= 2 {
            bytes[1] = bytes.len() as u8 - 2;
        }
        judge(&bytes);
    }

    #[test]
    fn a_packet_with_some_bytes_changed_is_read_without_a_panic(
        index in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let known: Vec<_> = vectors().collect();
        let (_, mut bytes) = index.get(&known).clone();
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        judge(&bytes);
    }

    #[test]
    fn a_stream_may_be_cut_anywhere(
        order in Just(()).prop_perturb(|(), mut random| {
            let known = vectors().count();
            (0..30).map(|_| random.random_range(0..known)).collect::<Vec<_>>()
        }),
        cuts in vec(1..50_usize, 1..40),
    ) {
        let known: Vec<_> = vectors().map(|(_, bytes)| bytes).collect();
        let expected: Vec<&Vec<u8>> = order.iter().map(|index| &known[*index]).collect();
        let stream: Vec<u8> = expected.iter().flat_map(|bytes| bytes.iter().copied()).collect();
        let mut decoder = Decoder::new(Limits::new());
        let mut frames = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            decoder.feed(piece);
            while let Some(frame) = decoder.next_frame().unwrap() {
                frames.push(frame.into_bytes());
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(frames, expected);
    }
}

/// What is accepted can be sent again and means the same; what is refused has an offset inside the
/// input.
fn judge(bytes: &[u8]) {
    match decode(bytes, &Limits::new()) {
        Ok(Decoded::NeedMore(need)) => {
            assert!(need.packet_len().is_none_or(|len| len > bytes.len()));
        }
        Ok(Decoded::Packet(packet, consumed)) => {
            assert!((2..=bytes.len()).contains(&consumed));
            let _ = format!("{packet:?}");
            let mut again = Vec::new();
            match packet.encode(&mut again, u32::MAX) {
                Ok(()) => assert_eq!(crate::vectors::packet(&again), packet),
                // The one packet that is accepted and never sent.
                Err(error) => assert!(matches!(error, EncodeError::ReasonNotSent { .. })),
            }
        }
        Err(error) => {
            assert!(error.offset() <= bytes.len());
            let _ = error.to_string();
        }
    }
}
