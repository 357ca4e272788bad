//! The value types as text, and that no wrong value can come in by that way.

use core::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{
    ConnectReason, PacketId, PayloadFormat, PropertyValues, QoS, ReasonCode, RetainHandling,
    SubscriptionId, SubscriptionOptions, TopicFilter, TopicName,
};
use serde::de::value::{
    BorrowedStrDeserializer, Error, U8Deserializer, U16Deserializer, U32Deserializer,
};
use serde::de::{Deserialize, IntoDeserializer};

fn from_u8<'de, T: Deserialize<'de>>(value: u8) -> Result<T, Error> {
    let deserializer: U8Deserializer<Error> = value.into_deserializer();
    T::deserialize(deserializer)
}

fn from_str<'de, T: Deserialize<'de>>(value: &'de str) -> Result<T, Error> {
    T::deserialize(BorrowedStrDeserializer::new(value))
}

#[test]
fn numbers_outside_their_range_do_not_come_in() {
    let id = |value: u16| -> Result<PacketId, Error> {
        let deserializer: U16Deserializer<Error> = value.into_deserializer();
        PacketId::deserialize(deserializer)
    };
    assert_eq!(id(7).unwrap().get(), 7);
    let _ = id(0).unwrap_err();
    let id = |value: u32| -> Result<SubscriptionId, Error> {
        let deserializer: U32Deserializer<Error> = value.into_deserializer();
        SubscriptionId::deserialize(deserializer)
    };
    assert_eq!(id(268_435_455).unwrap(), SubscriptionId::MAX);
    let _ = id(0).unwrap_err();
    let _ = id(268_435_456).unwrap_err();
    assert_eq!(from_u8::<QoS>(2).unwrap(), QoS::ExactlyOnce);
    let _ = from_u8::<QoS>(3).unwrap_err();
    assert_eq!(from_u8::<ReasonCode>(0x97).unwrap(), ReasonCode::QuotaExceeded);
    let _ = from_u8::<ReasonCode>(0x03).unwrap_err();
    let _ = from_u8::<ConnectReason>(0x04).unwrap_err();
}

#[test]
fn topics_that_break_a_rule_do_not_come_in() {
    assert_eq!(from_str::<TopicName<'_>>("a/b").unwrap().as_str(), "a/b");
    let _ = from_str::<TopicName<'_>>("a/+").unwrap_err();
    assert_eq!(from_str::<TopicFilter<'_>>("$share/g/+").unwrap().filter(), "+");
    let _ = from_str::<TopicFilter<'_>>("a#").unwrap_err();
}

#[test]
fn values_come_back_from_text() {
    let values = PropertyValues {
        payload_format_indicator: Some(PayloadFormat::Utf8),
        content_type: Some("text/plain".to_owned()),
        correlation_data: Some(vec![1, 2, 3]),
        subscription_ids: vec![SubscriptionId::MIN, SubscriptionId::MAX],
        receive_maximum: NonZeroU16::new(7),
        maximum_packet_size: NonZeroU32::new(1_000),
        maximum_qos: Some(QoS::AtLeastOnce),
        user_properties: vec![("n".to_owned(), "1".to_owned()), ("n".to_owned(), "2".to_owned())],
        ..PropertyValues::default()
    };
    let text = toml::to_string(&values).unwrap();
    assert_eq!(toml::from_str::<PropertyValues>(&text).unwrap(), values);

    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        retain_handling: RetainHandling::DoNotSend,
        ..SubscriptionOptions::default()
    };
    let text = toml::to_string(&options).unwrap();
    assert_eq!(
        text,
        "qos = 2\nno_local = false\nretain_as_published = false\nretain_handling = \"DoNotSend\"\n"
    );
    assert_eq!(toml::from_str::<SubscriptionOptions>(&text).unwrap(), options);
}
