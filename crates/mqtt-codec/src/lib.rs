//! The packets of MQTT 5 as bytes: a strict, borrowing, allocation-free codec.
//!
//! [`decode`] takes bytes and gives back a [`Packet`] that borrows from them, or says that more
//! bytes are needed, or refuses them with the reason code of the standard, the rule that is broken
//! and the offset of the fault. Every packet has `encode`, which appends it to a `Vec<u8>`.
//!
//! ```
//! use mqtt_codec::{Decoded, Limits, Packet, PropertyBuf, Publish, PublishQos, TopicName, decode};
//!
//! let mut properties = PropertyBuf::new();
//! properties.content_type("text/plain")?.user_property("room", "kitchen")?;
//! let publish = Publish {
//!     qos: PublishQos::AtMostOnce,
//!     retain: false,
//!     topic: Some(TopicName::new("sensor/7/temperature")?),
//!     properties: properties.as_properties(),
//!     payload: b"21.5",
//! };
//!
//! let mut bytes = Vec::new();
//! publish.encode(&mut bytes, u32::MAX)?;
//!
//! match decode(&bytes, &Limits::new())? {
//!     Decoded::Packet(Packet::Publish(received), consumed) => {
//!         assert_eq!(received, publish);
//!         assert_eq!(consumed, bytes.len());
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does and what it leaves to others
//!
//! - **Strict.** What the standard calls malformed is refused, and so are the values it does not
//!   allow. The fixed header is judged first: type, flags and size are refused when they are known,
//!   before a body arrives. Everything that encodes also decodes.
//! - **Borrowing.** A packet is a view of the input. [`Properties`] are a slice of it with typed
//!   accessors; lists are walked over where they stand. Decoding allocates nothing.
//! - **Valid by type.** A [`PacketId`] is never 0, a [`TopicName`] has no wildcards, a PUBLISH of
//!   QoS 0 has no place for a Packet Identifier: building the value is the check.
//! - **No state.** What is right only in the course of a connection is not judged here: which side
//!   may send a packet, whether a Topic Alias is known or above the maximum, whether a Packet
//!   Identifier is in use. The exception is [`Decoder`], which keeps the bytes of an incomplete
//!   packet for those who read from a stream.
//!
//! # Features
//!
//! The crate is `no_std` with `alloc`. The feature `serde` adds `Serialize` and `Deserialize` to
//! the value types, the reason codes and [`PropertyValues`].

// Tests are written with the standard library at hand; the library itself never is.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod error;
mod frame;
mod ids;
mod packet;
mod property;
mod qos;
mod reader;
mod reason;
mod sink;
mod stream;
mod text;
mod topic;
mod varint;

pub use error::{DecodeError, DecodeRule, EncodeError};
pub use frame::{Decoded, Limits, Need, ProtocolVersion, decode, decode_puback, decode_publish};
pub use ids::{InvalidSubscriptionId, PacketId, SubscriptionId};
pub use packet::{
    Auth, ConnAck, Connect, ConnectOptions, Disconnect, Filters, Forward,
    InvalidSubscriptionOptions, Packet, PacketType, PubAck, PubComp, PubRec, PubRel, Publish,
    Reasons, RetainHandling, SubAck, Subscribe, SubscriptionOptions, Subscriptions, UnsubAck,
    Unsubscribe, Will,
};
pub use property::{
    InvalidPropertyId, PayloadFormat, Place, Properties, PropertyBuf, PropertyId, PropertyIds,
    PropertyValues, SubscriptionIds, UserProperties,
};
pub use qos::{InvalidQoS, PublishQos, QoS};
pub use reason::{
    AuthReason, ConnectReason, DisconnectReason, InvalidReasonCode, PubAckReason, PubRelReason,
    ReasonCode, SubAckReason, UnsubAckReason,
};
pub use stream::{Decoder, Frame};
pub use topic::{Levels, TopicError, TopicFilter, TopicName};

// Packets, and what decodes them, may cross threads.
const _: () = {
    const fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<Packet<'static>>();
    crosses_threads::<Decoder>();
    crosses_threads::<Frame>();
    crosses_threads::<PropertyBuf>();
    crosses_threads::<DecodeError>();
    crosses_threads::<EncodeError>();
};
