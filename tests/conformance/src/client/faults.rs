//! Malformed Packets and Protocol Errors of a server: the client says so and leaves.

use mqtt_tests::scripted::{framed, hex};

use super::guest::Stage;
use crate::finding::{Outcome, skip};

/// A fault of a server, and the reason codes that the standard has for it.
#[derive(Debug)]
pub(super) struct Fault {
    /// The situation.
    pub(super) name: &'static str,
    /// The statements that it breaks.
    pub(super) ids: &'static [&'static str],
    codes: &'static [u8],
    at: Place,
    bytes: fn() -> Vec<u8>,
}

/// Where the bytes stand.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In place of CONNACK.
    Answer,
    /// Behind the SUBACK of a client that has subscribed.
    Subscribed,
    /// In place of the SUBACK of a client that wants no problem information.
    Unexplained,
}

use Place::{Answer, Subscribed, Unexplained};

impl Fault {
    pub(super) fn run(&self, stage: &Stage) -> Outcome {
        let mut guest = match self.at {
            Answer => {
                let mut guest = stage.start("connect")?;
                guest.asked()?;
                guest
            }
            Subscribed => stage.subscribed(|_| {})?.0,
            Unexplained => {
                let (mut guest, asked) = stage.connected("shared", |_| {})?;
                if asked.properties.request_problem_information != Some(false) {
                    return skip("the client wants problem information");
                }
                guest.request()?;
                guest
            }
        };
        guest.connection.send((self.bytes)())?;
        // A client can't be asked whether it is still there; it has all the time that answers have.
        guest.connection.left_by_client(self.codes)
    }
}

/// Every fault.
pub(super) fn all() -> impl Iterator<Item = &'static Fault> {
    CONNACK.iter().chain(PACKETS).chain(SUBACK)
}

const MALFORMED: &[u8] = &[0x81];
const PROTOCOL: &[u8] = &[0x82];
const EITHER: &[u8] = &[0x81, 0x82];

/// A list of faults: name, codes, statements, bytes.
macro_rules! faults {
    ($at:ident: $($name:literal, $codes:expr, [$($id:literal),+], $bytes:expr;)+) => {
        &[$(Fault { name: $name, ids: &[$($id),+], codes: $codes, at: $at, bytes: || $bytes }),+]
    };
}

/// CONNACK 0x00 with these properties.
fn connack(properties: &str) -> Vec<u8> {
    let properties = hex(properties);
    let mut body = vec![0, 0, u8::try_from(properties.len()).unwrap_or(0x7F)];
    body.extend(properties);
    framed(0x20, &body)
}

/// A PUBLISH with this first byte and these properties; with the Packet Identifier 1 if the first
/// byte asks for one.
fn publish(first: u8, properties: &str) -> Vec<u8> {
    let properties = hex(properties);
    let mut body = hex("000d 636f6e666f726d616e63652f61");
    if first & 6 != 0 {
        body.extend([0, 1]);
    }
    body.push(u8::try_from(properties.len()).unwrap_or(0x7F));
    body.extend(properties);
    framed(first, &body)
}

const CONNACK: &[Fault] = faults! { Answer:
    "a CONNACK with reserved flags is malformed", EITHER,
        ["[MQTT5-U-4.13.1-1]"], hex("20 03 02 00 00");
    "a CONNACK with flags in its fixed header is malformed", MALFORMED,
        ["[MQTT5-U-2.1.3-1]"], hex("21 03 00 00 00");
    "a PUBLISH in place of CONNACK is a protocol error", PROTOCOL,
        ["[MQTT5-U-4.13.1-1]"], publish(0x30, "");
    "a Session Expiry Interval twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.2-1]"], connack("11 00000001 11 00000001");
    "a Receive Maximum twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.3-1]"], connack("21 0001 21 0001");
    "a Receive Maximum of 0 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.3-1]"], connack("21 0000");
    "a Maximum QoS twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.4-1]"], connack("24 01 24 01");
    "a Maximum QoS of 2 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.4-1]"], connack("24 02");
    "a Retain Available twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.5-1]"], connack("25 01 25 01");
    "a Retain Available of 2 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.5-1]"], connack("25 02");
    "a Maximum Packet Size twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.6-1]"], connack("27 00001000 27 00001000");
    "a Maximum Packet Size of 0 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.6-1]"], connack("27 00000000");
    "an Assigned Client Identifier twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.7-1]"], connack("12 0001 61 12 0001 61");
    "a Topic Alias Maximum twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.8-1]"], connack("22 0001 22 0001");
    "a Reason String twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.9-1]"], connack("1f 0001 61 1f 0001 61");
    "a Wildcard Subscription Available twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.11-1]"], connack("28 01 28 01");
    "a Wildcard Subscription Available of 2 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.11-1]"], connack("28 02");
    "a Subscription Identifier Available twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.12-1]"], connack("29 01 29 01");
    "a Subscription Identifier Available of 2 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.12-1]"], connack("29 02");
    "a Shared Subscription Available twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.13-1]"], connack("2a 01 2a 01");
    "a Shared Subscription Available of 2 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.13-1]"], connack("2a 02");
    "a Server Keep Alive twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.14-1]"], connack("13 0009 13 0009");
    "a Response Information twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.15-1]"], connack("1a 0001 61 1a 0001 61");
    "a Server Reference twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.16-1]"], connack("1c 0001 61 1c 0001 61");
    "an Authentication Method twice in CONNACK is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.17-1]"], connack("15 0001 61 15 0001 61");
    "an Authentication Data twice in CONNACK is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.2.2.3.18-1]"], connack("15 0001 61 16 0001 61 16 0001 61");
};

const PACKETS: &[Fault] = faults! { Subscribed:
    "a second CONNACK is a protocol error", PROTOCOL,
        ["[MQTT5-U-4.13.1-1]"], hex("20 03 00 00 00");
    "a PINGRESP with flags is malformed", MALFORMED,
        ["[MQTT-2.1.3-1]", "[MQTT5-U-2.1.3-1]", "[MQTT5-U-4.13.1-1]"], hex("d1 00");
    "a DISCONNECT with flags is malformed", MALFORMED,
        ["[MQTT-3.14.1-1]"], hex("e1 00");
    "an AUTH with flags is malformed", MALFORMED,
        ["[MQTT-3.15.1-1]"], hex("f1 06 18 04 15 0001 61");
    "a length in more bytes than it needs is malformed", MALFORMED,
        ["[MQTT-1.5.5-1]"], hex("d0 80 00");
    "a PUBLISH of QoS 3 is malformed", MALFORMED,
        ["[MQTT-3.3.1-4]", "[MQTT5-U-3.3.1.2-1]"], publish(0x36, "");
    "a topic that is not UTF-8 is malformed", EITHER,
        ["[MQTT-1.5.4-1]", "[MQTT5-U-1.5.4-1]", "[MQTT-3.3.2-1]"], hex("30 06 0003 eda080 00");
    "a topic with U+0000 is malformed", EITHER,
        ["[MQTT-1.5.4-2]", "[MQTT5-U-1.5.4-1]", "[MQTT-4.7.3-2]"], hex("30 06 0003 610062 00");
    "a topic with a wildcard is malformed", &[0x81, 0x82, 0x90],
        ["[MQTT-3.3.2-2]", "[MQTT-4.7.0-1]"], hex("30 06 0003 612f23 00");
    "a User Property that is not UTF-8 is malformed", MALFORMED,
        ["[MQTT-1.5.7-1]", "[MQTT5-U-1.5.7-1]"], publish(0x30, "26 0003 eda080 0001 61");
    "an unknown property is malformed", MALFORMED,
        ["[MQTT5-U-2.2.2.2-1]"], publish(0x30, "7e 00");
    "a property of another packet is malformed", EITHER,
        ["[MQTT5-U-2.2.2.2-1]"], publish(0x30, "21 0001");
    "a PUBLISH without topic and alias is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.3.2.1-1]", "[MQTT-4.7.3-1]"], hex("30 03 0000 00");
    "a Topic Alias twice is a protocol error", &[0x82, 0x94],
        ["[MQTT5-U-3.3.2.3.4-1]"], publish(0x30, "23 0001 23 0001");
    "a Response Topic twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.3.2.3.5-1]"], publish(0x30, "08 0001 61 08 0001 61");
    "a Correlation Data twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.3.2.3.6-1]"], publish(0x30, "09 0001 61 09 0001 61");
    "a Content Type twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.3.2.3.9-1]"], publish(0x30, "03 0001 61 03 0001 61");
    "a Response Topic with a wildcard is a protocol error", &[0x81, 0x82, 0x90],
        ["[MQTT-3.3.2-14]"], publish(0x30, "08 0003 612f23");
    "a Response Topic that is not UTF-8 is malformed", EITHER,
        ["[MQTT-3.3.2-13]"], publish(0x30, "08 0003 eda080");
    "a Content Type that is not UTF-8 is malformed", MALFORMED,
        ["[MQTT-3.3.2-19]"], publish(0x30, "03 0003 eda080");
    "a Subscription Identifier of 0 is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.3.2.3.8-1]"], publish(0x30, "0b 00");
    "a Subscription Identifier that nobody gave is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.3.4-3]"], publish(0x30, "0b 7f");
    "a Topic Alias of 0 is invalid", &[0x94],
        ["[MQTT5-U-3.3.4-1]", "[MQTT-3.3.2-8]"], publish(0x30, "23 0000");
    "a Topic Alias above the maximum is invalid", &[0x94],
        ["[MQTT5-U-3.3.4-1]"], publish(0x30, "23 ffff");
    "a Topic Alias that was never set is a protocol error", &[0x82, 0x94],
        ["[MQTT5-U-3.3.4-2]"], hex("30 06 0000 03 23 0001");
    "more messages than the Receive Maximum end the connection", &[0x93],
        ["[MQTT5-U-3.3.4-4]"], {
            // The client can't finish any of them: no PUBREL follows.
            (1..=1000_u16)
                .flat_map(|id| {
                    Vec::from(mqtt_tests::scripted::publish("conformance/a", "").qos2(id))
                })
                .collect()
        };
    "a packet above the Maximum Packet Size ends the connection", &[0x95],
        ["[MQTT5-U-3.1.2.11.4-2]"], {
            let payload = vec![b'x'; 1 << 16];
            Vec::from(mqtt_tests::scripted::publish("conformance/a", payload))
        };
    "a PUBLISH with Packet Identifier 0 is a protocol error", EITHER,
        ["[MQTT-2.2.1-4]"], hex("32 11 000d 636f6e666f726d616e63652f61 0000 00");
    "an AUTH that no method allows is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.15-1]"], hex("f0 06 18 04 15 0001 61");
    "an AUTH without a method is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.15.2.2.2-1]"], hex("f0 02 18 00");
    "an AUTH with Authentication Data twice is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.15.2.2.3-1]"], hex("f0 0e 18 0c 15 0001 61 16 0001 61 16 0001 61");
    "a Session Expiry Interval twice in DISCONNECT is a protocol error", EITHER,
        ["[MQTT5-U-3.14.2.2.2-1]"], hex("e0 0c 80 0a 11 00000000 11 00000000");
    "a SUBSCRIBE from a server is a protocol error", EITHER,
        ["[MQTT5-U-4.13.1-1]"], hex("82 07 0001 00 0001 61 00");
};

const SUBACK: &[Fault] = faults! { Unexplained:
    "an explanation that the client did not want is a protocol error", PROTOCOL,
        ["[MQTT5-U-3.1.2.11.7-2]"], hex("90 08 0001 04 1f 0001 61 00");
};
