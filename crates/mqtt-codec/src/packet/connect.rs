//! CONNECT.

use alloc::vec::Vec;
use core::fmt;

use super::encode::{self, Body};
use super::will::{self, Will};
use super::{PacketType, Reader};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::property::{Properties, PropertyId, PropertySet, split_prefixed};
use crate::sink::Sink;
use crate::{text, varint};

const NAME: &[u8] = b"MQTT";
/// The name of MQTT 3.1.
const OLD_NAME: &[u8] = b"MQIsdp";
const LEVEL: u8 = 5;

const USER_NAME: u8 = 0b1000_0000;
const PASSWORD: u8 = 0b0100_0000;
const CLEAN_START: u8 = 0b0000_0010;
const RESERVED: u8 = 0b0000_0001;

/// Bytes of protocol name, level, flags and Keep Alive, which stand before the properties.
const PROPERTIES: usize = 10;

/// A client asks for a connection, as it came in.
///
/// It keeps the bytes and where its fields stand in them, so that a [`Packet`](super::Packet) stays
/// small; each accessor reads its field from there. To build one, see [`ConnectOptions`].
///
/// ```
/// use mqtt_codec::{ConnectOptions, Decoded, Limits, Packet, decode};
///
/// let mut bytes = Vec::new();
/// let options =
///     ConnectOptions { client_id: "sensor-7", keep_alive: 60, ..ConnectOptions::default() };
/// options.encode(&mut bytes, u32::MAX)?;
///
/// let Decoded::Packet(Packet::Connect(connect), _) = decode(&bytes, &Limits::new())? else {
///     panic!("a whole CONNECT");
/// };
/// assert_eq!(connect.client_id(), "sensor-7");
/// assert_eq!(connect.keep_alive(), 60);
/// assert!(connect.clean_start());
/// assert_eq!(connect.will(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// All that stands behind the fixed header.
    body: &'a [u8],
    present: PropertySet,
    will_present: PropertySet,
    /// Where the fields of the payload stand; 0 for one that is not there.
    client_id: u32,
    will: u32,
    user_name: u32,
    password: u32,
    keep_alive: u16,
    flags: u8,
    clean_start: bool,
}

/// A CONNECT to be built.
///
/// The default is an empty Client Identifier, Clean Start, no Keep Alive and nothing optional.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectOptions<'a> {
    /// Whether to begin a new session. [MQTT-3.1.2-4]
    pub clean_start: bool,
    /// The longest silence, in seconds; 0 turns it off. [MQTT-3.1.2-20]
    pub keep_alive: u16,
    /// What the client sets and asks for.
    pub properties: Properties<'a>,
    /// The name of the client; empty to have the server choose one. [MQTT-3.1.3-3]
    pub client_id: &'a str,
    /// The message that the server publishes when the client is gone.
    pub will: Option<Will<'a>>,
    /// The User Name. [MQTT-3.1.3-12]
    pub user_name: Option<&'a str>,
    /// The Password, which may stand without a User Name. [MQTT-3.1.2-19]
    pub password: Option<&'a [u8]>,
}

impl Default for ConnectOptions<'_> {
    fn default() -> Self {
        Self {
            clean_start: true,
            keep_alive: 0,
            properties: Properties::EMPTY,
            client_id: "",
            will: None,
            user_name: None,
            password: None,
        }
    }
}

impl<'a> Connect<'a> {
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let body = reader.rest();
        check_protocol(&mut reader)?;
        let flags = reader.u8()?;
        // [MQTT-3.1.2-3] [MQTT5-U-3.1.2.3-1]
        if flags & RESERVED != 0 {
            return Err(reader.fault_before(1, DecodeRule::ConnectFlagsReserved));
        }
        will::check_flags(flags).map_err(|rule| reader.fault_before(1, rule))?;
        let keep_alive = reader.u16()?;
        let start = reader.offset();
        let properties = Properties::read(&mut reader, PacketType::Connect.into())?;
        if properties.contains(PropertyId::AuthenticationData)
            && !properties.contains(PropertyId::AuthenticationMethod)
        {
            return Err(authentication_fault(properties, start));
        }

        // [MQTT-3.1.3-1] the order of the payload.
        let at = |reader: &Reader<'_>| (body.len() - reader.rest().len()) as u32;
        let client_id = at(&reader);
        // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
        reader.identifier()?;
        let (mut will, mut will_present) = (0, PropertySet::EMPTY);
        if flags & will::FLAG != 0 {
            will = at(&reader);
            will_present = Will::check(&mut reader)?;
        }
        let mut user_name = 0;
        if flags & USER_NAME != 0 {
            // [MQTT-3.1.2-17] [MQTT-3.1.3-12]
            user_name = at(&reader);
            reader.identifier()?;
        }
        let mut password = 0;
        if flags & PASSWORD != 0 {
            // [MQTT-3.1.2-19]
            password = at(&reader);
            reader.prefixed()?;
        }
        // [MQTT-3.1.2-16] [MQTT-3.1.2-18] what has no flag has no field.
        reader.finish()?;
        Ok(Self {
            body,
            present: properties.present(),
            will_present,
            client_id,
            will,
            user_name,
            password,
            keep_alive,
            flags,
            clean_start: flags & CLEAN_START != 0,
        })
    }

    /// Whether the client wants a new session. [MQTT-3.1.2-4]
    #[inline]
    #[must_use]
    pub const fn clean_start(&self) -> bool {
        self.clean_start
    }

    /// The longest silence, in seconds; 0 means that there is no limit.
    #[inline]
    #[must_use]
    pub const fn keep_alive(&self) -> u16 {
        self.keep_alive
    }

    /// What the client sets and asks for.
    #[must_use]
    pub fn properties(&self) -> Properties<'a> {
        let bytes = self.body.get(PROPERTIES..).unwrap_or_default();
        let (len, rest) = varint::read(bytes).unwrap_or_default();
        Properties::from_checked(rest.get(..len as usize).unwrap_or_default(), self.present)
    }

    /// The Client Identifier; empty if the server is to choose one. [MQTT-3.1.3-6]
    #[must_use]
    pub fn client_id(&self) -> &'a str {
        text::checked(self.field(self.client_id))
    }

    /// The message to publish when the client is gone. [MQTT-3.1.2-9]
    #[must_use]
    pub fn will(&self) -> Option<Will<'a>> {
        if self.flags & will::FLAG == 0 {
            return None;
        }
        Will::read(self.body.get(self.will as usize..)?, self.flags, self.will_present)
    }

    /// The User Name.
    #[must_use]
    pub fn user_name(&self) -> Option<&'a str> {
        (self.flags & USER_NAME != 0).then(|| text::checked(self.field(self.user_name)))
    }

    /// The Password.
    #[must_use]
    pub fn password(&self) -> Option<&'a [u8]> {
        (self.flags & PASSWORD != 0).then(|| self.field(self.password))
    }

    /// All fields, to change some of them and encode the packet again.
    #[must_use]
    pub fn to_options(&self) -> ConnectOptions<'a> {
        ConnectOptions {
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            properties: self.properties(),
            client_id: self.client_id(),
            will: self.will(),
            user_name: self.user_name(),
            password: self.password(),
        }
    }

    /// Appends the packet.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; `out` is unchanged then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        self.to_options().encode(out, max_packet_size)
    }

    /// The bytes behind the length prefix at an offset that decoding found.
    #[inline]
    fn field(&self, at: u32) -> &'a [u8] {
        let bytes = self.body.get(at as usize..).unwrap_or_default();
        split_prefixed(bytes).unwrap_or_default().0
    }
}

/// Reads the protocol name and level. [MQTT-3.1.2-1] [MQTT-3.1.2-2]
#[inline(always)]
fn check_protocol(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    const EXPECTED: [u8; 7] = [0, 4, b'M', b'Q', b'T', b'T', LEVEL];
    if reader.rest().first_chunk() == Some(&EXPECTED) {
        reader.array::<7>()?;
        return Ok(());
    }
    Err(protocol_fault(reader))
}

/// What is wrong with the protocol name or level.
#[cold]
#[inline(never)]
fn protocol_fault(reader: &mut Reader<'_>) -> DecodeError {
    let start = reader.offset();
    let fault = |rule| DecodeError::new(rule, Some(PacketType::Connect), start);
    let name = match reader.string() {
        Ok(name) => name,
        Err(error) => return error,
    };
    if name != NAME && name != OLD_NAME {
        return fault(DecodeRule::ProtocolName);
    }
    let level = match reader.u8() {
        Ok(level) => level,
        Err(error) => return error,
    };
    // Versions 3.1 and 3.1.1 may be told apart by their level, whatever they call themselves.
    if name == OLD_NAME && !matches!(level, 3 | 4) {
        return fault(DecodeRule::ProtocolName);
    }
    reader.fault_before(1, DecodeRule::ProtocolVersion { level })
}

/// Where Authentication Data stands that has no method beside it. [MQTT5-U-3.1.2.11.10-1]
#[cold]
#[inline(never)]
fn authentication_fault(properties: Properties<'_>, start: usize) -> DecodeError {
    let prefix = varint::len(properties.as_bytes().len() as u32);
    let at = properties.offset_of(PropertyId::AuthenticationData);
    DecodeError::new(
        DecodeRule::AuthenticationDataWithoutMethod,
        Some(PacketType::Connect),
        start + prefix + at,
    )
}

impl ConnectOptions<'_> {
    /// Appends the packet. A CONNECT is never cut down: what the server accepts is not known yet.
    ///
    /// # Errors
    ///
    /// A text or data that is too long or has characters that may not stand in it, a property that
    /// may not stand there, [`EncodeError::AuthenticationDataWithoutMethod`], or
    /// [`EncodeError::TooLarge`]; `out` is unchanged then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        encode::check_properties(self.properties, PacketType::Connect.into())?;
        if self.properties.contains(PropertyId::AuthenticationData)
            && !self.properties.contains(PropertyId::AuthenticationMethod)
        {
            return Err(EncodeError::AuthenticationDataWithoutMethod);
        }
        text::check_outgoing_identifier(self.client_id)?;
        if let Some(will) = &self.will {
            will.check_outgoing()?;
        }
        if let Some(user_name) = self.user_name {
            text::check_outgoing_identifier(user_name)?;
        }
        if let Some(password) = self.password {
            text::check_outgoing_binary(password)?;
        }
        encode::packet(self, out, max_packet_size)
    }

    fn flags(&self) -> u8 {
        let flag = |set, flag| if set { flag } else { 0 };
        flag(self.user_name.is_some(), USER_NAME)
            | flag(self.password.is_some(), PASSWORD)
            | flag(self.clean_start, CLEAN_START)
            | self.will.map_or(0, |will| will.flags())
    }
}

impl Body for ConnectOptions<'_> {
    fn first_byte(&self) -> u8 {
        0x10
    }

    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        out.prefixed(NAME);
        out.array([LEVEL, self.flags()]);
        out.u16(self.keep_alive);
        encode::properties(out, self.properties, omitted);
        // [MQTT-3.1.3-1]
        out.prefixed(self.client_id.as_bytes());
        if let Some(will) = &self.will {
            will.write(out);
        }
        if let Some(user_name) = self.user_name {
            out.prefixed(user_name.as_bytes());
        }
        if let Some(password) = self.password {
            out.prefixed(password);
        }
    }
}

impl<'a> From<Connect<'a>> for ConnectOptions<'a> {
    fn from(connect: Connect<'a>) -> Self {
        connect.to_options()
    }
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_options().show("Connect", f)
    }
}

impl fmt::Debug for ConnectOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("ConnectOptions", f)
    }
}

impl ConnectOptions<'_> {
    /// Shows that there is a password, and not what it is.
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("properties", &self.properties)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .field("password", &self.password.map(|_| format_args!("(hidden)")))
            .finish()
    }
}
