//! The fifteen packets, one file each, and the enum over them.
//!
//! Each file has the same order: the struct, building, decoding, encoding, conversions.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod encode;
mod filters;
mod forward;
mod publish;
mod reasons;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;
mod will;

use alloc::vec::Vec;
use core::fmt;

pub use ack::{PubAck, PubComp, PubRec, PubRel};
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, ConnectOptions};
pub use disconnect::Disconnect;
pub use filters::Filters;
pub use forward::Forward;
pub use publish::Publish;
pub use reasons::Reasons;
pub use suback::SubAck;
pub use subscribe::{
    InvalidSubscriptionOptions, RetainHandling, Subscribe, SubscriptionOptions, Subscriptions,
};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;
pub use will::Will;

use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::frame::Decoded;
use crate::reader::Reader;

/// The types of packets, with their numbers in the fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PacketType {
    /// A client asks for a connection.
    Connect = 1,
    /// A server answers it.
    ConnAck = 2,
    /// A message.
    Publish = 3,
    /// The answer to a message of QoS 1.
    PubAck = 4,
    /// The answer to a message of QoS 2, step one.
    PubRec = 5,
    /// Step two, from the sender of the message.
    PubRel = 6,
    /// Step three, from its receiver.
    PubComp = 7,
    /// A client subscribes.
    Subscribe = 8,
    /// A server answers it.
    SubAck = 9,
    /// A client ends subscriptions.
    Unsubscribe = 10,
    /// A server answers it.
    UnsubAck = 11,
    /// A client shows that it is there.
    PingReq = 12,
    /// A server answers it.
    PingResp = 13,
    /// One side ends the connection.
    Disconnect = 14,
    /// A step of enhanced authentication.
    Auth = 15,
}

impl PacketType {
    /// Every type, in the order of the numbers.
    pub const ALL: &'static [Self] = &[
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type of a number; `None` for 0 and for what does not fit into four bits.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|packet_type| *packet_type as u8 == number)
    }

    /// The name in the standard, in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A packet of any type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks for a connection.
    Connect(Connect<'a>),
    /// A server answers it.
    ConnAck(ConnAck<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// The answer to a message of QoS 1.
    PubAck(PubAck<'a>),
    /// The answer to a message of QoS 2, step one.
    PubRec(PubRec<'a>),
    /// Step two, from the sender of the message.
    PubRel(PubRel<'a>),
    /// Step three, from its receiver.
    PubComp(PubComp<'a>),
    /// A client subscribes.
    Subscribe(Subscribe<'a>),
    /// A server answers it.
    SubAck(SubAck<'a>),
    /// A client ends subscriptions.
    Unsubscribe(Unsubscribe<'a>),
    /// A server answers it.
    UnsubAck(UnsubAck<'a>),
    /// A client shows that it is there.
    PingReq,
    /// A server answers it.
    PingResp,
    /// One side ends the connection.
    Disconnect(Disconnect<'a>),
    /// A step of enhanced authentication.
    Auth(Auth<'a>),
}

/// Decodes the body behind a fixed header, of a packet of `len` bytes in all.
///
/// One function for each packet, all of which return what [`crate::decode`] returns, so that
/// nothing is copied on the way out. Messages and their acknowledgements come first: there are more
/// of them than of all others.
#[inline(always)]
pub(crate) fn decode(
    packet_type: PacketType,
    first: u8,
    body: &[u8],
    len: usize,
) -> Result<Decoded<'_>, DecodeError> {
    if packet_type == PacketType::Publish {
        publish(body, len, first)
    } else if packet_type == PacketType::PubAck {
        PubAck::packet(body, len)
    } else {
        decode_any(packet_type, first, body, len)
    }
}

/// Decodes a packet of any type.
#[inline(never)]
fn decode_any(
    packet_type: PacketType,
    first: u8,
    body: &[u8],
    len: usize,
) -> Result<Decoded<'_>, DecodeError> {
    match packet_type {
        PacketType::Publish => publish(body, len, first),
        PacketType::PubAck => PubAck::packet(body, len),
        PacketType::Connect => whole(body, len, PacketType::Connect, Connect::decode),
        PacketType::ConnAck => whole(body, len, PacketType::ConnAck, ConnAck::decode),
        PacketType::PubRec => PubRec::packet(body, len),
        PacketType::PubRel => PubRel::packet(body, len),
        PacketType::PubComp => PubComp::packet(body, len),
        PacketType::Subscribe => whole(body, len, PacketType::Subscribe, Subscribe::decode),
        PacketType::SubAck => whole(body, len, PacketType::SubAck, SubAck::decode),
        PacketType::Unsubscribe => whole(body, len, PacketType::Unsubscribe, Unsubscribe::decode),
        PacketType::UnsubAck => whole(body, len, PacketType::UnsubAck, UnsubAck::decode),
        PacketType::PingReq | PacketType::PingResp if !body.is_empty() => {
            Err(DecodeError::new(DecodeRule::BodyNotEmpty, Some(packet_type), 1))
        }
        PacketType::PingReq => Ok(Decoded::Packet(Packet::PingReq, len)),
        PacketType::PingResp => Ok(Decoded::Packet(Packet::PingResp, len)),
        PacketType::Disconnect => whole(body, len, PacketType::Disconnect, Disconnect::decode),
        PacketType::Auth => whole(body, len, PacketType::Auth, Auth::decode),
    }
}

#[inline(never)]
fn whole<'a, P>(
    body: &'a [u8],
    len: usize,
    packet_type: PacketType,
    decode: impl FnOnce(Reader<'a>) -> Result<P, DecodeError>,
) -> Result<Decoded<'a>, DecodeError>
where
    Packet<'a>: From<P>,
{
    let packet = decode(Reader::new(body, len, packet_type))?;
    Ok(Decoded::Packet(packet.into(), len))
}

#[inline(never)]
fn publish(body: &[u8], len: usize, first: u8) -> Result<Decoded<'_>, DecodeError> {
    let packet = Publish::decode(first, Reader::new(body, len, PacketType::Publish))?;
    Ok(Decoded::Packet(Packet::Publish(packet), len))
}

/// Decodes a body if it is that of a PUBLISH.
#[inline(always)]
pub(crate) fn decode_publish(
    packet_type: PacketType,
    first: u8,
    body: &[u8],
    len: usize,
) -> Option<Publish<'_>> {
    if packet_type != PacketType::Publish {
        return None;
    }
    Publish::decode(first, Reader::new(body, len, PacketType::Publish)).ok()
}

impl Packet<'_> {
    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Appends the packet, in the shortest form that the standard has for it.
    ///
    /// `max_packet_size` is the Maximum Packet Size of the receiver, `u32::MAX` if it set none.
    /// Where the standard allows it, first the Reason String and then the User Properties are left
    /// out to keep to it.
    ///
    /// # Errors
    ///
    /// Why the packet cannot be sent; `out` is unchanged then.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        match self {
            Self::Connect(packet) => packet.encode(out, max_packet_size),
            Self::ConnAck(packet) => packet.encode(out, max_packet_size),
            Self::Publish(packet) => packet.encode(out, max_packet_size),
            Self::PubAck(packet) => packet.encode(out, max_packet_size),
            Self::PubRec(packet) => packet.encode(out, max_packet_size),
            Self::PubRel(packet) => packet.encode(out, max_packet_size),
            Self::PubComp(packet) => packet.encode(out, max_packet_size),
            Self::Subscribe(packet) => packet.encode(out, max_packet_size),
            Self::SubAck(packet) => packet.encode(out, max_packet_size),
            Self::Unsubscribe(packet) => packet.encode(out, max_packet_size),
            Self::UnsubAck(packet) => packet.encode(out, max_packet_size),
            Self::PingReq => encode::ping(0xC0, out, max_packet_size),
            Self::PingResp => encode::ping(0xD0, out, max_packet_size),
            Self::Disconnect(packet) => packet.encode(out, max_packet_size),
            Self::Auth(packet) => packet.encode(out, max_packet_size),
        }
    }
}

/// Lets a packet of one type be used as a packet of any type.
macro_rules! into_packet {
    ($($packet:ident),+) => {
        $(impl<'a> From<$packet<'a>> for Packet<'a> {
            fn from(packet: $packet<'a>) -> Self {
                Self::$packet(packet)
            }
        })+
    };
}
into_packet!(
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
    Auth
);

// A packet is passed and returned by value: 72 bytes and less keep the short ones cheap.
const _: () = assert!(size_of::<Packet<'_>>() <= 72);
