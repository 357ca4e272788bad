//! Every packet in its short and long forms, against bytes from the tables of the standard.

use core::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{
    Auth, AuthReason, ConnAck, ConnectOptions, ConnectReason, Disconnect, DisconnectReason, Packet,
    PacketId, PayloadFormat, Properties, PropertyBuf, PubAck, PubAckReason, PubComp, PubRec,
    PubRel, PubRelReason, Publish, PublishQos, QoS, RetainHandling, SubAck, SubAckReason,
    Subscribe, SubscriptionId, SubscriptionOptions, TopicFilter, TopicName, UnsubAck,
    UnsubAckReason, Unsubscribe, Will,
};

use crate::vectors::{encoded, packet, vector, vectors};

/// The known answer decodes to the packet, and the packet encodes to the known answer.
#[track_caller]
fn same<'a>(name: &str, expected: impl Into<Packet<'a>>) {
    let expected = expected.into();
    assert_eq!(packet(&vector(name)), expected, "{name}");
    assert_eq!(encoded(&expected), vector(name), "{name}");
}

/// The known answer, which spells out what may be left out, decodes to the packet.
#[track_caller]
fn long_form<'a>(name: &str, expected: impl Into<Packet<'a>>) {
    assert!(name.ends_with("(long form)"));
    let expected = expected.into();
    assert_eq!(packet(&vector(name)), expected, "{name}");
    assert!(encoded(&expected).len() < vector(name).len(), "{name}");
}

/// A CONNECT is built from its options and read through its accessors.
#[track_caller]
fn same_connect(name: &str, expected: ConnectOptions<'_>) {
    let bytes = vector(name);
    let Packet::Connect(connect) = packet(&bytes) else { panic!("{name}") };
    assert_eq!(connect.to_options(), expected, "{name}");
    assert_eq!(connect.clean_start(), expected.clean_start, "{name}");
    assert_eq!(connect.keep_alive(), expected.keep_alive, "{name}");
    assert_eq!(connect.properties(), expected.properties, "{name}");
    assert_eq!(connect.client_id(), expected.client_id, "{name}");
    assert_eq!(connect.will(), expected.will, "{name}");
    assert_eq!(connect.user_name(), expected.user_name, "{name}");
    assert_eq!(connect.password(), expected.password, "{name}");
    let mut out = Vec::new();
    expected.encode(&mut out, u32::MAX).unwrap();
    assert_eq!(out, bytes, "{name}");
    assert_eq!(encoded(&connect.into()), bytes, "{name}");
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn topic(name: &str) -> TopicName<'_> {
    TopicName::new(name).unwrap()
}

/// Reason String and User Property.
fn reason_and_user(reason: &str) -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    properties.reason_string(reason).unwrap().user_property("k", "v").unwrap();
    properties
}

fn user() -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    properties.user_property("k", "v").unwrap();
    properties
}

/// Proves: [MQTT-2.1.3-1], [MQTT-2.2.2-1], [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT-3.1.2-16],
/// [MQTT-3.1.2-17], [MQTT-3.1.2-18], [MQTT-3.1.2-19], [MQTT-3.1.3-3], [MQTT-3.1.3-4]
#[test]
fn connect_with_and_without_its_optional_fields() {
    same_connect("connect: empty client id", ConnectOptions::default());
    same_connect(
        "connect: plain",
        ConnectOptions {
            clean_start: false,
            keep_alive: 60,
            client_id: "client-1",
            ..ConnectOptions::default()
        },
    );
    let c = ConnectOptions {
        clean_start: false,
        keep_alive: 10,
        client_id: "c",
        ..ConnectOptions::default()
    };
    same_connect(
        "connect: password without user name",
        ConnectOptions { clean_start: true, password: Some(&[0x00, 0xFF]), ..c },
    );
    same_connect(
        "connect: user name without password",
        ConnectOptions { user_name: Some("user"), ..c },
    );
}

/// Proves: [MQTT-3.1.2-9], [MQTT-3.1.2-12], [MQTT-3.1.3-11]
#[test]
fn connect_with_a_will() {
    same_connect(
        "connect: will of QoS 2, retained",
        ConnectOptions {
            clean_start: true,
            keep_alive: 65_535,
            client_id: "c",
            will: Some(Will {
                qos: QoS::ExactlyOnce,
                retain: true,
                properties: Properties::EMPTY,
                topic: topic("w/t"),
                payload: b"",
            }),
            ..ConnectOptions::default()
        },
    );
}

/// Proves: [MQTT-3.1.3-1], [MQTT-3.1.3-10], [MQTT-3.1.3-12]
#[test]
fn connect_with_every_field_in_its_order() {
    let mut properties = PropertyBuf::new();
    properties
        .session_expiry_interval(u32::MAX)
        .receive_maximum(NonZeroU16::new(10).unwrap())
        .maximum_packet_size(NonZeroU32::new(65_536).unwrap())
        .topic_alias_maximum(5)
        .request_response_information(true)
        .request_problem_information(false);
    properties.user_property("a", "b").unwrap().user_property("a", "c").unwrap();
    properties.authentication_method("SCRAM").unwrap();
    properties.authentication_data(&[0x01, 0x00, 0xFE]).unwrap();
    let mut will_properties = PropertyBuf::new();
    will_properties
        .will_delay_interval(5)
        .payload_format_indicator(PayloadFormat::Utf8)
        .message_expiry_interval(60);
    will_properties.content_type("text/plain").unwrap().response_topic(topic("re/ply"));
    will_properties.correlation_data(&[7]).unwrap().user_property("k", "v").unwrap();
    same_connect(
        "connect: everything",
        ConnectOptions {
            clean_start: true,
            keep_alive: 30,
            properties: properties.as_properties(),
            client_id: "c-7",
            will: Some(Will {
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: will_properties.as_properties(),
                topic: topic("will/topic"),
                payload: b"gone",
            }),
            user_name: Some("user"),
            password: Some(b"secret"),
        },
    );
}

/// Proves: [MQTT-3.2.2-1]
#[test]
fn connack() {
    let plain = ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    };
    same("connack: accepted", plain);
    same("connack: session present", ConnAck { session_present: true, ..plain });
    let refusal = ConnAck { reason: ConnectReason::NotAuthorized, ..plain };
    same("connack: not authorized", refusal);

    let mut properties = PropertyBuf::new();
    properties
        .session_expiry_interval(100)
        .receive_maximum(NonZeroU16::MIN)
        .maximum_qos(QoS::AtLeastOnce)
        .retain_available(false)
        .maximum_packet_size(NonZeroU32::MIN);
    properties.assigned_client_id("auto-1").unwrap().topic_alias_maximum(65_535);
    properties.reason_string("why").unwrap().user_property("", "").unwrap();
    properties
        .wildcard_subscription_available(false)
        .subscription_id_available(true)
        .shared_subscription_available(false)
        .server_keep_alive(0);
    properties.response_information("resp/").unwrap();
    properties.server_reference("other:1883").unwrap();
    properties.authentication_method("M").unwrap().authentication_data(b"").unwrap();
    same("connack: everything", ConnAck { properties: properties.as_properties(), ..plain });
}

/// Proves: [MQTT-2.2.1-2], [MQTT-3.3.1-2], [MQTT-3.3.2-1], [MQTT-4.3.1-1], [MQTT-4.3.2-2],
/// [MQTT-4.3.3-2]
#[test]
fn publish_of_every_qos() {
    let publish = Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: Some(topic("a/b")),
        properties: Properties::EMPTY,
        payload: b"x",
    };
    same(
        "publish: QoS 0, empty payload",
        Publish { topic: Some(topic("a")), payload: b"", ..publish },
    );
    same("publish: QoS 0, retained", Publish { retain: true, payload: b"hello", ..publish });
    let qos = PublishQos::AtLeastOnce { id: id(1), dup: false };
    same("publish: QoS 1", Publish { qos, payload: &[0x00, 0x01, 0xFF], ..publish });
    let qos = PublishQos::AtLeastOnce { id: PacketId::MAX, dup: true };
    same("publish: QoS 1, sent again", Publish { qos, ..publish });
    let qos = PublishQos::ExactlyOnce { id: id(0x1234), dup: true };
    same("publish: QoS 2, retained, sent again", Publish { qos, retain: true, ..publish });
    let payload = [b'z'; 200];
    same(
        "publish: long payload",
        Publish { topic: Some(topic("t")), payload: &payload, ..publish },
    );
}

/// Proves: [MQTT-3.3.2-13], [MQTT-3.3.2-18], [MQTT-3.3.2-19]
#[test]
fn publish_with_properties() {
    let mut alias = PropertyBuf::new();
    alias.topic_alias(NonZeroU16::new(7).unwrap());
    let publish = Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: None,
        properties: alias.as_properties(),
        payload: b"x",
    };
    same("publish: alias instead of a topic", publish);

    let mut properties = PropertyBuf::new();
    properties
        .payload_format_indicator(PayloadFormat::Unspecified)
        .message_expiry_interval(0)
        .topic_alias(NonZeroU16::MAX)
        .response_topic(topic("r"));
    properties.correlation_data(&[0, 1, 2, 3, 4]).unwrap().user_property("n", "1").unwrap();
    properties.subscription_id(SubscriptionId::MIN).subscription_id(SubscriptionId::MAX);
    properties.user_property("n", "2").unwrap().content_type("").unwrap();
    same(
        "publish: everything",
        Publish {
            qos: PublishQos::ExactlyOnce { id: id(2), dup: false },
            retain: false,
            topic: Some(topic("s/\u{e9}/\u{4e2d}/\u{1f600}")),
            properties: properties.as_properties(),
            payload: b"payload",
        },
    );
}

/// Writes the test of one of the four acknowledgements of PUBLISH.
macro_rules! acknowledgement {
    ($(#[$about:meta])* fn $test:ident(), $name:literal, $packet:ident, $reason:ident, $bad:ident) => {
        $(#[$about])*
        #[test]
        fn $test() {
            let (success, empty) = ($reason::Success, Properties::EMPTY);
            let ack = $packet { packet_id: id(7), reason: success, properties: empty };
            let bad = $packet { reason: $reason::$bad, ..ack };
            same(concat!($name, ": success"), $packet { packet_id: id(1), ..ack });
            let alone = $packet { packet_id: id(0xABCD), ..bad };
            same(concat!($name, ": reason alone"), alone);
            let properties = reason_and_user("no");
            let properties = properties.as_properties();
            same(concat!($name, ": everything"), $packet { properties, ..bad });
            let properties = user();
            let properties = properties.as_properties();
            same(concat!($name, ": success with properties"), $packet { properties, ..ack });
            long_form(concat!($name, ": success spelled out (long form)"), ack);
            long_form(concat!($name, ": success and no properties spelled out (long form)"), ack);
            long_form(concat!($name, ": reason and no properties spelled out (long form)"), bad);
        }
    };
}
acknowledgement! {
    /// Proves: [MQTT-2.1.3-1]
    fn puback(), "puback", PubAck, PubAckReason, QuotaExceeded
}
acknowledgement! {
    /// Proves: [MQTT-2.1.3-1]
    fn pubrec(), "pubrec", PubRec, PubAckReason, NoMatchingSubscribers
}
acknowledgement! {
    /// Proves: [MQTT-2.1.3-1]
    fn pubrel(), "pubrel", PubRel, PubRelReason, PacketIdentifierNotFound
}
acknowledgement! {
    /// Proves: [MQTT-2.1.3-1]
    fn pubcomp(), "pubcomp", PubComp, PubRelReason, PacketIdentifierNotFound
}

/// Proves: [MQTT-3.8.1-1], [MQTT-3.8.3-1], [MQTT-3.8.3-2]
#[test]
fn subscribe() {
    let filter = |text| TopicFilter::new(text).unwrap();
    let options = SubscriptionOptions::default();
    let one = [(filter("a/b"), SubscriptionOptions { qos: QoS::AtLeastOnce, ..options })];
    same("subscribe: one filter", Subscribe::new(id(1), Properties::EMPTY, &one).unwrap());

    let mut properties = PropertyBuf::new();
    properties.subscription_id(SubscriptionId::new(128).unwrap()).user_property("k", "v").unwrap();
    let several = [
        (filter("#"), options),
        (
            filter("+/a/+"),
            SubscriptionOptions {
                qos: QoS::ExactlyOnce,
                no_local: true,
                retain_as_published: true,
                retain_handling: RetainHandling::DoNotSend,
            },
        ),
        (
            filter("$share/g/a/#"),
            SubscriptionOptions {
                qos: QoS::ExactlyOnce,
                no_local: false,
                retain_as_published: true,
                retain_handling: RetainHandling::SendIfNew,
            },
        ),
        (filter("\u{e9}"), SubscriptionOptions { qos: QoS::ExactlyOnce, ..options }),
    ];
    let subscribe = Subscribe::new(PacketId::MAX, properties.as_properties(), &several).unwrap();
    assert_eq!(subscribe.len(), 4);
    same("subscribe: everything", subscribe);

    let long = "x".repeat(200);
    let two = [
        (filter(&long), SubscriptionOptions { qos: QoS::ExactlyOnce, ..options }),
        (filter("y"), SubscriptionOptions { qos: QoS::AtLeastOnce, no_local: true, ..options }),
    ];
    let subscribe = Subscribe::new(id(5), Properties::EMPTY, &two).unwrap();
    same("subscribe: a filter of 200 bytes", subscribe);
}

/// Proves: [MQTT-3.9.3-1], [MQTT-3.9.3-2]
#[test]
fn suback() {
    let one = [SubAckReason::GrantedQos1];
    same("suback: one", SubAck::new(id(1), Properties::EMPTY, &one).unwrap());
    let properties = reason_and_user("mixed");
    let every = SubAck::new(id(9), properties.as_properties(), SubAckReason::ALL).unwrap();
    assert_eq!(every.reasons().len(), 12);
    same("suback: every reason", every);
}

/// Proves: [MQTT-3.10.1-1], [MQTT-3.10.3-1], [MQTT-3.10.3-2]
#[test]
fn unsubscribe() {
    let filter = |text| TopicFilter::new(text).unwrap();
    let one = [filter("a/b")];
    same("unsubscribe: one filter", Unsubscribe::new(id(1), Properties::EMPTY, &one).unwrap());
    let properties = user();
    let several = [filter("a/+"), filter("$share/g/#"), filter("\u{4e2d}")];
    let unsubscribe = Unsubscribe::new(id(2), properties.as_properties(), &several).unwrap();
    assert_eq!(unsubscribe.len(), 3);
    same("unsubscribe: several filters", unsubscribe);
}

/// Proves: [MQTT-3.11.3-1], [MQTT-3.11.3-2]
#[test]
fn unsuback() {
    let one = [UnsubAckReason::Success];
    same("unsuback: one", UnsubAck::new(id(1), Properties::EMPTY, &one).unwrap());
    let properties = reason_and_user("mixed");
    let every = UnsubAck::new(id(9), properties.as_properties(), UnsubAckReason::ALL).unwrap();
    assert_eq!(every.reasons().len(), 7);
    same("unsuback: every reason", every);
}

/// Proves: [MQTT-2.1.3-1]
#[test]
fn pings() {
    same("pingreq", Packet::PingReq);
    same("pingresp", Packet::PingResp);
}

/// Proves: [MQTT-3.14.1-1], [MQTT-3.14.2-1]
#[test]
fn disconnect() {
    let normal =
        Disconnect { reason: DisconnectReason::NormalDisconnection, properties: Properties::EMPTY };
    same("disconnect: normal", normal);
    let taken = Disconnect { reason: DisconnectReason::SessionTakenOver, ..normal };
    same("disconnect: reason alone", taken);
    let mut properties = PropertyBuf::new();
    properties.session_expiry_interval(0).user_property("k", "v").unwrap();
    let properties = properties.as_properties();
    let reason = DisconnectReason::DisconnectWithWillMessage;
    same("disconnect: from a client", Disconnect { reason, properties });
    let mut properties = PropertyBuf::new();
    properties.server_reference("b:1").unwrap().reason_string("moved").unwrap();
    let properties = properties.as_properties();
    let reason = DisconnectReason::ServerMoved;
    same("disconnect: from a server", Disconnect { reason, properties });
    let mut properties = PropertyBuf::new();
    properties.session_expiry_interval(1);
    let properties = properties.as_properties();
    same("disconnect: normal with properties", Disconnect { properties, ..normal });

    long_form("disconnect: normal spelled out (long form)", normal);
    long_form("disconnect: normal and no properties spelled out (long form)", normal);
    let malformed = Disconnect { reason: DisconnectReason::MalformedPacket, ..normal };
    long_form("disconnect: reason and no properties spelled out (long form)", malformed);
}

/// Proves: [MQTT-3.15.1-1], [MQTT-3.15.2-1]
#[test]
fn auth() {
    let reason = AuthReason::Success;
    same("auth: two bytes", Auth { reason, properties: Properties::EMPTY });
    let mut properties = PropertyBuf::new();
    properties.authentication_method("SCRAM-SHA-256").unwrap();
    properties.authentication_data(&[0x00, 0xC3]).unwrap();
    let properties = properties.as_properties();
    same("auth: go on", Auth { reason: AuthReason::ContinueAuthentication, properties });
    let mut properties = PropertyBuf::new();
    properties.authentication_method("M").unwrap();
    let again = Auth { reason: AuthReason::ReAuthenticate, properties: properties.as_properties() };
    same("auth: again", again);
    properties.authentication_data(b"").unwrap();
    properties.reason_string("welcome").unwrap().user_property("k", "v").unwrap();
    same("auth: everything", Auth { reason, properties: properties.as_properties() });
}

#[test]
fn every_known_answer_survives_decoding_and_encoding() {
    for (name, bytes) in vectors() {
        let again = encoded(&packet(&bytes));
        if name.ends_with("(long form)") {
            assert_eq!(packet(&again), packet(&bytes), "{name}");
        } else {
            assert_eq!(again, bytes, "{name}");
        }
    }
}
