//! Keeping to the receiver's Maximum Packet Size: what is left out, and in which order.

use mqtt_codec::{
    Auth, AuthReason, ConnAck, ConnectOptions, ConnectReason, Disconnect, DisconnectReason,
    EncodeError, Forward, Packet, PacketId, PropertyBuf, PropertyId, PubAck, PubAckReason, PubComp,
    PubRec, PubRel, PubRelReason, Publish, PublishQos, SubAck, SubAckReason, Subscribe,
    SubscriptionId, SubscriptionOptions, TopicFilter, TopicName, UnsubAck, UnsubAckReason,
    Unsubscribe,
};

use crate::vectors::{encoded, packet};

/// The packet with fewer properties.
type Rebuild<'a> = &'a dyn Fn(&PropertyBuf, &mut dyn FnMut(Packet<'_>));

/// Encodes a packet for receivers of every size, and checks what each of them gets: all of it,
/// else all but the Reason String, else all but the User Properties too, else nothing.
#[track_caller]
fn shrinks(properties: &PropertyBuf, rebuild: Rebuild<'_>) {
    let bytes_with = |properties: &PropertyBuf| {
        let mut bytes = Vec::new();
        rebuild(properties, &mut |packet| bytes = encoded(&packet));
        bytes
    };
    let mut without_reason = properties.clone();
    without_reason.remove(PropertyId::ReasonString);
    let mut without_both = without_reason.clone();
    without_both.remove(PropertyId::UserProperty);
    let forms = [properties, &without_reason, &without_both].map(bytes_with);
    let [whole, shorter, shortest] = forms.each_ref().map(Vec::len);
    assert!(shortest < shorter && shorter < whole);

    for limit in 0..whole + 2 {
        let expected = forms.iter().find(|form| form.len() <= limit);
        let mut out = b"before".to_vec();
        rebuild(properties, &mut |packet| {
            let result = packet.encode(&mut out, limit as u32);
            match expected {
                Some(_) => assert_eq!(result, Ok(())),
                None => assert_eq!(
                    result,
                    Err(EncodeError::TooLarge { size: shortest as u64, limit: limit as u32 })
                ),
            }
        });
        let expected = expected.map_or(&[][..], Vec::as_slice);
        assert_eq!(out, [b"before", expected].concat(), "at {limit}");
        if !expected.is_empty() {
            packet(expected);
        }
    }
}

/// Encodes a packet for receivers of every size: they get all of it or nothing.
#[track_caller]
fn never_shrinks(packet: Packet<'_>) {
    let whole = encoded(&packet);
    for limit in 0..whole.len() + 2 {
        let mut out = Vec::new();
        let result = packet.encode(&mut out, limit as u32);
        if limit < whole.len() {
            let (size, limit) = (whole.len() as u64, limit as u32);
            assert_eq!(result, Err(EncodeError::TooLarge { size, limit }));
            assert!(out.is_empty());
        } else {
            assert_eq!(result, Ok(()));
            assert_eq!(out, whole);
        }
    }
}

/// User Properties before and behind the Reason String.
fn problem() -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    properties.user_property("first", "1").unwrap();
    properties.reason_string("a reason in words").unwrap();
    properties.user_property("second", "2").unwrap().user_property("second", "3").unwrap();
    properties
}

/// Proves: [MQTT-3.2.2-19], [MQTT-3.2.2-20], [MQTT-3.1.2-24]
#[test]
fn connack() {
    let mut properties = problem();
    properties.server_keep_alive(5).assigned_client_id("c").unwrap();
    shrinks(&properties, &|properties, see| {
        let properties = properties.as_properties();
        let reason = ConnectReason::Success;
        see(ConnAck { session_present: false, reason, properties }.into());
    });
}

/// Proves: [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2], [MQTT-3.5.2-3], [MQTT-3.6.2-2],
/// [MQTT-3.6.2-3], [MQTT-3.7.2-2], [MQTT-3.7.2-3]
#[test]
fn acknowledgements_of_publish() {
    let packet_id = PacketId::MAX;
    for reason in PubAckReason::ALL.iter().copied() {
        shrinks(&problem(), &|properties, see| {
            let properties = properties.as_properties();
            see(PubAck { packet_id, reason, properties }.into());
        });
        shrinks(&problem(), &|properties, see| {
            let properties = properties.as_properties();
            see(PubRec { packet_id, reason, properties }.into());
        });
    }
    for reason in PubRelReason::ALL.iter().copied() {
        shrinks(&problem(), &|properties, see| {
            let properties = properties.as_properties();
            see(PubRel { packet_id, reason, properties }.into());
        });
        shrinks(&problem(), &|properties, see| {
            let properties = properties.as_properties();
            see(PubComp { packet_id, reason, properties }.into());
        });
    }
}

/// Proves: [MQTT-3.9.2-1], [MQTT-3.9.2-2], [MQTT-3.11.2-1], [MQTT-3.11.2-2]
#[test]
fn acknowledgements_of_subscribe_and_unsubscribe() {
    shrinks(&problem(), &|properties, see| {
        let properties = properties.as_properties();
        see(SubAck::new(PacketId::MAX, properties, SubAckReason::ALL).unwrap().into());
    });
    shrinks(&problem(), &|properties, see| {
        let properties = properties.as_properties();
        see(UnsubAck::new(PacketId::MAX, properties, UnsubAckReason::ALL).unwrap().into());
    });
}

/// Proves: [MQTT-3.14.2-3], [MQTT-3.14.2-4]
#[test]
fn disconnect() {
    for reason in [DisconnectReason::NormalDisconnection, DisconnectReason::QuotaExceeded] {
        shrinks(&problem(), &|properties, see| {
            see(Disconnect { reason, properties: properties.as_properties() }.into());
        });
    }
    let mut properties = problem();
    properties.server_reference("other").unwrap();
    shrinks(&properties, &|properties, see| {
        let reason = DisconnectReason::ServerMoved;
        see(Disconnect { reason, properties: properties.as_properties() }.into());
    });
}

/// Proves: [MQTT-3.15.2-2], [MQTT-3.15.2-3]
#[test]
fn auth() {
    let mut properties = problem();
    properties.authentication_method("m").unwrap().authentication_data(b"d").unwrap();
    shrinks(&properties, &|properties, see| {
        let reason = AuthReason::ContinueAuthentication;
        see(Auth { reason, properties: properties.as_properties() }.into());
    });
}

/// Proves: [MQTT-3.3.2-17]
#[test]
fn publish_subscribe_and_unsubscribe_keep_what_belongs_to_them() {
    let mut user = PropertyBuf::new();
    user.user_property("k", "v").unwrap();
    let properties = user.as_properties();
    let topic = Some(TopicName::new("topic").unwrap());
    let qos = PublishQos::AtLeastOnce { id: PacketId::MIN, dup: false };
    let publish = Publish { qos, retain: false, topic, properties, payload: b"payload" };
    never_shrinks(publish.into());
    let long = [0; 200];
    never_shrinks(Publish { payload: &long, ..publish }.into());
    let filter = TopicFilter::new("f").unwrap();
    let filters = [(filter, SubscriptionOptions::default())];
    never_shrinks(Subscribe::new(PacketId::MIN, properties, &filters).unwrap().into());
    never_shrinks(Unsubscribe::new(PacketId::MIN, properties, &[filter]).unwrap().into());
    never_shrinks(Packet::PingReq);
    never_shrinks(Packet::PingResp);
}

#[test]
fn connect_keeps_what_belongs_to_it() {
    let mut user = PropertyBuf::new();
    user.user_property("k", "v").unwrap();
    let properties = user.as_properties();
    let options = ConnectOptions { properties, client_id: "c", ..ConnectOptions::default() };
    let mut whole = Vec::new();
    options.encode(&mut whole, u32::MAX).unwrap();
    never_shrinks(packet(&whole));
}

/// Proves: [MQTT-3.1.2-25], [MQTT-3.3.2-6], [MQTT-3.3.4-3]
#[test]
fn a_forwarded_message_is_the_publish_of_the_same_fields() {
    let mut received = PropertyBuf::new();
    received.user_property("k", "v").unwrap().content_type("t").unwrap();
    let mut forwardable = Vec::new();
    received.as_properties().copy_forwardable(&mut forwardable);
    let ids = [SubscriptionId::MIN, SubscriptionId::new(16_384).unwrap()];
    let topic = TopicName::new("topic").unwrap();
    let id = PacketId::new(0x0102).unwrap();
    for (qos, payload_len, expiry, alias) in [
        (PublishQos::AtMostOnce, 0, None, None),
        (PublishQos::AtLeastOnce { id, dup: true }, 7, Some(9), None),
        (PublishQos::ExactlyOnce { id, dup: false }, 200, None, Some(3)),
        (PublishQos::ExactlyOnce { id, dup: false }, 20_000, Some(u32::MAX), Some(u16::MAX)),
    ] {
        let forward = Forward {
            qos,
            retain: true,
            topic: Some(topic.as_str().as_bytes()),
            topic_alias: alias.and_then(core::num::NonZeroU16::new),
            message_expiry_interval: expiry,
            subscription_ids: &ids,
            forwardable: &forwardable,
            payload_len,
        };
        let payload = vec![b'p'; payload_len];
        let mut out = Vec::new();
        forward.encode_header(&mut out, u32::MAX).unwrap();
        out.extend_from_slice(&payload);

        let Packet::Publish(publish) = packet(&out) else { panic!("a PUBLISH") };
        assert_eq!(publish.qos, qos);
        assert!(publish.retain);
        assert_eq!(publish.topic, Some(topic));
        assert_eq!(publish.payload, payload);
        assert_eq!(publish.properties.topic_alias(), forward.topic_alias);
        assert_eq!(publish.properties.message_expiry_interval(), expiry);
        assert!(publish.properties.subscription_ids().eq(ids));
        let mut again = Vec::new();
        publish.properties.copy_forwardable(&mut again);
        assert_eq!(again, forwardable);

        // One byte less than it needs, and nothing is written.
        let mut short = Vec::new();
        let size = out.len() as u64;
        let limit = out.len() as u32 - 1;
        let error = forward.encode_header(&mut short, limit);
        assert_eq!(error, Err(EncodeError::TooLarge { size, limit }));
        assert!(short.is_empty());
        forward.encode_header(&mut short, limit + 1).unwrap();
        assert_eq!(short, out[..out.len() - payload_len]);
    }
}
