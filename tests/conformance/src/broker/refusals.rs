//! What a table of faults is made of: bytes that a broker must not put up with.

use mqtt_tests::scripted::{connect, framed, hex};

use super::malformed;
use crate::{
    finding::{Outcome, skip},
    target::Offer,
    trial::Trial,
};

/// A fault, and the reason codes that the standard has for it.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The situation.
    pub(super) name: &'static str,
    /// The statements that it breaks.
    pub(super) ids: &'static [&'static str],
    /// What DISCONNECT or CONNACK should say.
    pub(super) codes: &'static [u8],
    /// Where it stands.
    pub(super) at: Place,
    /// What is sent.
    pub(super) bytes: fn() -> Vec<u8>,
}

/// Where the bytes stand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// They are the first ones.
    First,
    /// An accepted CONNECT stands before them.
    Connected,
    /// As [`Connected`](Self::Connected), on a broker whose offer makes it a fault.
    If(fn(&Offer) -> bool, &'static str),
}

impl Refusal {
    pub(super) fn run(&self, trial: &Trial) -> Outcome {
        match self.at {
            Place::First => {
                let mut connection = trial.open("client")?;
                connection.send((self.bytes)())?;
                connection.turned_away(self.codes)
            }
            Place::If(is_fault, otherwise) if !is_fault(trial.offer()) => skip(otherwise),
            Place::Connected | Place::If(..) => {
                let mut connection = trial.connect(connect(&trial.id("faulty")))?;
                connection.send((self.bytes)())?;
                connection.refused(self.codes)
            }
        }
    }
}

/// Every fault.
pub(super) fn all() -> impl Iterator<Item = &'static Refusal> {
    malformed::CONNECT.iter().chain(malformed::PACKETS).chain(super::limits::REFUSALS)
}

/// A CONNECT with these flags, properties and payload in hexadecimal numbers. The lengths of the
/// properties and of the packet are put in.
pub(super) fn raw_connect(flags: u8, properties: &str, payload: &str) -> Vec<u8> {
    let properties = hex(properties);
    let mut body = hex("0004 4d515454 05");
    body.push(flags);
    body.extend_from_slice(&hex("012c"));
    body.extend_from_slice(&prefixed(&properties));
    body.extend_from_slice(&hex(payload));
    framed(0x10, &body)
}

/// A CONNECT with a Will that has these properties.
pub(super) fn raw_will(properties: &str) -> Vec<u8> {
    let mut payload = hex(ID);
    payload.extend_from_slice(&prefixed(&hex(properties)));
    payload.extend_from_slice(&hex("0004 77696c6c 0000"));
    let mut body = hex("0004 4d515454 05 06 012c 00");
    body.extend_from_slice(&payload);
    framed(0x10, &body)
}

/// A Client Identifier that no session has: "mcfaulty".
pub(super) const ID: &str = "0008 6d636661756c7479";

/// A PUBLISH with this first byte, these properties and the topic "conformance/faulty"; with the
/// Packet Identifier 1 if the first byte asks for one.
pub(super) fn raw_publish(first: u8, properties: &str) -> Vec<u8> {
    let mut body = hex("0012");
    body.extend_from_slice(b"conformance/faulty");
    if first & 0x06 != 0 {
        body.extend_from_slice(&[0, 1]);
    }
    body.extend_from_slice(&prefixed(&hex(properties)));
    body.extend_from_slice(b"x");
    framed(first, &body)
}

/// A SUBSCRIBE with these properties and this payload.
pub(super) fn raw_subscribe(properties: &str, payload: &str) -> Vec<u8> {
    let mut body = hex("0001");
    body.extend_from_slice(&prefixed(&hex(properties)));
    body.extend_from_slice(&hex(payload));
    framed(0x82, &body)
}

fn prefixed(properties: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(properties.len()).unwrap_or(0x7F)];
    bytes.extend_from_slice(properties);
    bytes
}
