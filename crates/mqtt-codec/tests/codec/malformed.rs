//! What is refused: one line for each kind of fault, with the code, the offset, the packet and the
//! rule that the codec answers, kept as a snapshot. A changed answer shows as a changed line.

use core::fmt::Write;
use std::collections::BTreeSet;

use mqtt_codec::{DecodeError, Decoded, Decoder, Limits, decode};

use crate::vectors::hex;

/// A refused input.
enum Input {
    /// All bytes of it.
    Bytes(&'static str),
    /// The first byte and what stands behind a correct Remaining Length.
    Packet(u8, &'static str),
    /// All bytes of it, for a receiver with this Maximum Packet Size.
    Limited(u32, &'static str),
}
use Input::{Bytes, Limited, Packet};

impl Input {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Bytes(text) | Limited(_, text) => hex(text),
            Packet(first, body) => {
                let body = hex(body);
                let mut bytes = vec![*first];
                match body.len() {
                    len @ 0..128 => bytes.push(len as u8),
                    len => bytes.extend([len as u8 | 0x80, (len >> 7) as u8]),
                }
                bytes.extend(body);
                bytes
            }
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Limited(size, _) => Limits::new().max_packet_size(*size),
            Bytes(_) | Packet(..) => Limits::new(),
        }
    }

    #[track_caller]
    fn refusal(&self) -> DecodeError {
        match decode(&self.bytes(), &self.limits()) {
            Err(error) => error,
            Ok(decoded) => panic!("{:02x?} is accepted: {decoded:?}", self.bytes()),
        }
    }
}

const FIXED_HEADER: &[(&str, Input)] = &[
    ("packet type 0", Bytes("00")),
    ("packet type 0 with flags", Bytes("0f ffffff7f")),
    ("CONNECT with flags", Bytes("11")),
    ("CONNACK with flags", Bytes("21")),
    ("PUBLISH of QoS 3", Bytes("36")),
    ("PUBLISH of QoS 3 with DUP and RETAIN", Bytes("3f")),
    ("PUBLISH of QoS 0 with DUP", Bytes("38")),
    ("PUBLISH of QoS 0 with DUP and RETAIN", Bytes("39")),
    ("PUBACK with flags", Bytes("42")),
    ("PUBREC with flags", Bytes("52")),
    ("PUBREL without its flag", Bytes("60")),
    ("PUBREL with another flag", Bytes("63")),
    ("PUBCOMP with flags", Bytes("72")),
    ("SUBSCRIBE without its flag", Bytes("80")),
    ("SUBSCRIBE with another flag", Bytes("8a")),
    ("SUBACK with flags", Bytes("92")),
    ("UNSUBSCRIBE without its flag", Bytes("a0")),
    ("UNSUBACK with flags", Bytes("b2")),
    ("PINGREQ with flags", Bytes("c1")),
    ("PINGRESP with flags", Bytes("d8")),
    ("DISCONNECT with flags", Bytes("e2")),
    ("AUTH with flags", Bytes("f4")),
    ("the first letter of GET", Bytes("47455420")),
    ("the first byte of a TLS ClientHello", Bytes("16030100")),
    ("Remaining Length of two bytes for 0", Bytes("c08000")),
    ("Remaining Length of two bytes for 127", Bytes("30ff00")),
    ("Remaining Length of three bytes for 127", Bytes("30ff8000")),
    ("Remaining Length of four bytes for 1", Bytes("3081808000")),
    ("Remaining Length of five bytes", Bytes("10ffffffff7f")),
    ("Remaining Length of five bytes, refused at the fourth", Bytes("3080808080")),
    ("PINGREQ with a body", Bytes("c00100")),
    ("PINGREQ with a large body, refused without it", Bytes("c0ffffff7f")),
    ("PINGRESP with a body, refused without it", Bytes("d001")),
    ("one byte more than the limit", Limited(6, "3005")),
    ("the largest packet, for a receiver of 1 MiB", Limited(1 << 20, "10ffffff7f")),
    ("any packet, for a receiver of 1 byte", Limited(1, "c000")),
];

const CONNECT: &[(&str, Input)] = &[
    ("nothing", Packet(0x10, "")),
    ("half a length of the protocol name", Packet(0x10, "00")),
    ("a protocol name past the end", Packet(0x10, "0006 4d5154")),
    ("a protocol name that is not UTF-8", Packet(0x10, "0004 4d51ff54 05 02 003c 00 0000")),
    ("protocol name MQTX", Packet(0x10, "0004 4d515458 05 02 003c 00 0000")),
    ("protocol name in small letters", Packet(0x10, "0004 6d717474 05 02 003c 00 0000")),
    ("an empty protocol name", Packet(0x10, "0000 05 02 003c 00 0000")),
    ("the protocol name of 3.1 at level 5", Packet(0x10, "0006 4d5149736470 05 02 003c 00 0000")),
    ("MQTT 3.1", Packet(0x10, "0006 4d5149736470 03 02 003c 0000")),
    ("MQTT 3.1.1", Packet(0x10, "0004 4d515454 04 02 003c 0000")),
    ("MQTT at level 3", Packet(0x10, "0004 4d515454 03 02 003c 0000")),
    ("MQTT at level 0", Packet(0x10, "0004 4d515454 00 02 003c 0000")),
    ("MQTT at level 6", Packet(0x10, "0004 4d515454 06 02 003c 00 0000")),
    ("MQTT at level 255", Packet(0x10, "0004 4d515454 ff 02 003c 00 0000")),
    ("a bridge of 3.1.1", Packet(0x10, "0004 4d515454 84 02 003c 0000")),
    ("no level", Packet(0x10, "0004 4d515454")),
    ("no flags", Packet(0x10, "0004 4d515454 05")),
    ("no Keep Alive", Packet(0x10, "0004 4d515454 05 02")),
    ("half a Keep Alive", Packet(0x10, "0004 4d515454 05 02 00")),
    ("no Property Length", Packet(0x10, "0004 4d515454 05 02 003c")),
    ("the reserved flag", Packet(0x10, "0004 4d515454 05 03 003c 00 0000")),
    ("Will QoS 3", Packet(0x10, "0004 4d515454 05 1e 003c 00 0000 00 000177 0000")),
    ("Will QoS 1 without a Will", Packet(0x10, "0004 4d515454 05 0a 003c 00 0000")),
    ("Will QoS 3 without a Will", Packet(0x10, "0004 4d515454 05 1a 003c 00 0000")),
    ("Will Retain without a Will", Packet(0x10, "0004 4d515454 05 22 003c 00 0000")),
    ("no Client Identifier", Packet(0x10, "0004 4d515454 05 02 003c 00")),
    ("half a length of the Client Identifier", Packet(0x10, "0004 4d515454 05 02 003c 00 00")),
    ("a Client Identifier past the end", Packet(0x10, "0004 4d515454 05 02 003c 00 0002 61")),
    ("Client Identifier with U+0000", Packet(0x10, "0004 4d515454 05 02 003c 00 0003 610062")),
    ("Client Identifier with U+0001", Packet(0x10, "0004 4d515454 05 02 003c 00 0003 616201")),
    ("Client Identifier with U+007F", Packet(0x10, "0004 4d515454 05 02 003c 00 0003 7f6162")),
    ("Client Identifier with U+0085", Packet(0x10, "0004 4d515454 05 02 003c 00 0003 61c285")),
    ("Client Identifier with U+FDD0", Packet(0x10, "0004 4d515454 05 02 003c 00 0003 efb790")),
    ("Client Identifier with U+1FFFF", Packet(0x10, "0004 4d515454 05 02 003c 00 0004 f09fbfbf")),
    ("Client Identifier with a surrogate", Packet(0x10, "0004 4d515454 05 02 003c 00 0003 eda080")),
    ("Client Identifier, over-long form", Packet(0x10, "0004 4d515454 05 02 003c 00 0002 c0af")),
    ("Client Identifier, cut character", Packet(0x10, "0004 4d515454 05 02 003c 00 0003 61e282")),
    ("no Will Properties", Packet(0x10, "0004 4d515454 05 06 003c 00 0000")),
    ("no Will Topic", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00")),
    ("an empty Will Topic", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 0000 0000")),
    ("Will Topic with #", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 0003 612f23 0000")),
    ("Will Topic with +", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 0001 2b 0000")),
    ("Will Topic with U+0000", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 0001 00 0000")),
    ("Will Topic with U+001F", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 0001 1f 0000")),
    ("Will Topic past the end", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 0009 61")),
    ("no Will Payload", Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 000177")),
    (
        "Will Payload past the end",
        Packet(0x10, "0004 4d515454 05 06 003c 00 0000 00 000177 000200"),
    ),
    (
        "Will Properties past the end",
        Packet(0x10, "0004 4d515454 05 06 003c 00 0000 7f 000177 0000"),
    ),
    (
        "Will Delay Interval twice",
        Packet(0x10, "0004 4d515454 05 06 003c 00 0000 0a 1800000000 1800000000 000177 0000"),
    ),
    (
        "Topic Alias in the Will Properties",
        Packet(0x10, "0004 4d515454 05 06 003c 00 0000 03 230001 000177 0000"),
    ),
    (
        "unknown property in the Will Properties",
        Packet(0x10, "0004 4d515454 05 06 003c 00 0000 03 040001 000177 0000"),
    ),
    (
        "Payload Format Indicator 2 in the Will Properties",
        Packet(0x10, "0004 4d515454 05 06 003c 00 0000 02 0102 000177 0000"),
    ),
    ("no User Name", Packet(0x10, "0004 4d515454 05 82 003c 00 0000")),
    ("User Name past the end", Packet(0x10, "0004 4d515454 05 82 003c 00 0000 0003 6161")),
    ("User Name with U+0000", Packet(0x10, "0004 4d515454 05 82 003c 00 0000 0002 6100")),
    ("User Name with a line feed", Packet(0x10, "0004 4d515454 05 82 003c 00 0000 0002 610a")),
    ("User Name that is not UTF-8", Packet(0x10, "0004 4d515454 05 82 003c 00 0000 0002 61ff")),
    ("no Password", Packet(0x10, "0004 4d515454 05 42 003c 00 0000")),
    ("Password past the end", Packet(0x10, "0004 4d515454 05 42 003c 00 0000 0003 6161")),
    ("a User Name without its flag", Packet(0x10, "0004 4d515454 05 02 003c 00 0000 000161")),
    ("a Password without its flag", Packet(0x10, "0004 4d515454 05 82 003c 00 0000 000161 000161")),
    ("Property Length past the end", Packet(0x10, "0004 4d515454 05 02 003c 05 0000")),
    ("Property Length not minimal", Packet(0x10, "0004 4d515454 05 02 003c 8000 0000")),
    ("Property Length of five bytes", Packet(0x10, "0004 4d515454 05 02 003c ffffffff7f 0000")),
    ("Property Length that ends inside", Packet(0x10, "0004 4d515454 05 02 003c 80")),
    ("Receive Maximum 0", Packet(0x10, "0004 4d515454 05 02 003c 03 210000 0000")),
    ("Receive Maximum twice", Packet(0x10, "0004 4d515454 05 02 003c 06 210001 210001 0000")),
    ("half a Receive Maximum", Packet(0x10, "0004 4d515454 05 02 003c 02 2100 0000")),
    ("Maximum Packet Size 0", Packet(0x10, "0004 4d515454 05 02 003c 05 2700000000 0000")),
    ("Request Problem Information 2", Packet(0x10, "0004 4d515454 05 02 003c 02 1702 0000")),
    ("Request Response Information 255", Packet(0x10, "0004 4d515454 05 02 003c 02 19ff 0000")),
    ("no Request Problem Information", Packet(0x10, "0004 4d515454 05 02 003c 01 17 0000")),
    (
        "Session Expiry Interval twice",
        Packet(0x10, "0004 4d515454 05 02 003c 0a 1100000000 11ffffffff 0000"),
    ),
    (
        "Authentication Method twice",
        Packet(0x10, "0004 4d515454 05 02 003c 08 1500016d 1500016d 0000"),
    ),
    (
        "Authentication Data without a method",
        Packet(0x10, "0004 4d515454 05 02 003c 09 2200ff 160003aabbcc 0000"),
    ),
    (
        "Authentication Data past the end",
        Packet(0x10, "0004 4d515454 05 02 003c 05 160003aabb 0000"),
    ),
    ("property 0", Packet(0x10, "0004 4d515454 05 02 003c 02 0000 0000")),
    ("property 0x7F", Packet(0x10, "0004 4d515454 05 02 003c 02 7f00 0000")),
    ("property identifier of two bytes", Packet(0x10, "0004 4d515454 05 02 003c 03 800100 0000")),
    ("a property of PUBLISH", Packet(0x10, "0004 4d515454 05 02 003c 03 230001 0000")),
    ("a property of the Will", Packet(0x10, "0004 4d515454 05 02 003c 05 1800000000 0000")),
    ("User Property without a value", Packet(0x10, "0004 4d515454 05 02 003c 04 26000161 0000")),
    (
        "User Property, U+0000 in its name",
        Packet(0x10, "0004 4d515454 05 02 003c 06 2600 0100 0000 0000"),
    ),
    (
        "User Property, value not UTF-8",
        Packet(0x10, "0004 4d515454 05 02 003c 07 26 0000 0002 61ff 0000"),
    ),
    ("nothing but properties", Packet(0x10, "0004 4d515454 05 02 003c 03 210001")),
];

const CONNACK: &[(&str, Input)] = &[
    ("nothing", Packet(0x20, "")),
    ("a reserved flag", Packet(0x20, "02 00 00")),
    ("another reserved flag beside Session Present", Packet(0x20, "81 00 00")),
    ("no reason code", Packet(0x20, "00")),
    ("no Property Length, as in 3.1.1", Packet(0x20, "00 00")),
    ("a return code of 3.1.1", Packet(0x20, "00 05 00")),
    ("a reason code of DISCONNECT", Packet(0x20, "00 8e 00")),
    ("reason code 0xFF", Packet(0x20, "00 ff 00")),
    ("a refusal with Session Present", Packet(0x20, "01 87 00")),
    ("Receive Maximum 0", Packet(0x20, "00 00 03 210000")),
    ("Maximum QoS 2", Packet(0x20, "00 00 02 2402")),
    ("Maximum QoS twice", Packet(0x20, "00 00 04 2401 2400")),
    ("Retain Available 2", Packet(0x20, "00 00 02 2502")),
    ("Maximum Packet Size 0", Packet(0x20, "00 00 05 2700000000")),
    ("Wildcard Subscription Available 2", Packet(0x20, "00 00 02 2802")),
    ("Subscription Identifier Available 2", Packet(0x20, "00 00 02 2902")),
    ("Shared Subscription Available 2", Packet(0x20, "00 00 02 2a02")),
    ("Assigned Client Identifier with U+0007", Packet(0x20, "00 00 04 12000107")),
    ("Reason String twice", Packet(0x20, "00 00 06 1f0000 1f0000")),
    ("Reason String that is not UTF-8", Packet(0x20, "00 00 04 1f0001 ff")),
    ("Server Keep Alive of one byte", Packet(0x20, "00 00 02 1300")),
    ("a property of CONNECT", Packet(0x20, "00 00 02 1701")),
    ("bytes behind the properties", Packet(0x20, "00 00 00 00")),
];

const PUBLISH: &[(&str, Input)] = &[
    ("nothing", Packet(0x30, "")),
    ("half a length of the topic", Packet(0x30, "00")),
    ("a topic past the end", Packet(0x30, "0005")),
    ("a topic far past the end", Packet(0x30, "ffff 4142434445")),
    ("a topic with +", Packet(0x30, "0003 612f2b 00")),
    ("a topic with #", Packet(0x30, "0001 23 00")),
    ("a long topic with #", Packet(0x30, "000a 6162636465666768 2369 00")),
    ("a topic with U+0000", Packet(0x30, "0003 610062 00")),
    ("a topic with U+0010", Packet(0x30, "0003 611062 00")),
    ("a topic with U+FFFE", Packet(0x30, "0004 61efbfbe 00")),
    ("a topic that is not UTF-8", Packet(0x30, "0003 61c328 00")),
    ("a topic with a surrogate", Packet(0x30, "0003 edbfbf 00")),
    ("a + behind a character of two bytes", Packet(0x30, "0003 c3a92b 00")),
    ("QoS 1 without a Packet Identifier", Packet(0x32, "0001 61")),
    ("QoS 1 with half a Packet Identifier", Packet(0x32, "0001 61 00")),
    ("QoS 1 with Packet Identifier 0", Packet(0x32, "0001 61 0000 00")),
    ("QoS 2 with Packet Identifier 0", Packet(0x3c, "0001 61 0000 00")),
    ("no Property Length", Packet(0x30, "0001 61")),
    ("Property Length past the end", Packet(0x30, "0001 61 02 01")),
    ("Property Length of five bytes", Packet(0x30, "0001 61 ffffffff7f")),
    ("Property Length not minimal", Packet(0x30, "0001 61 8100 0101")),
    ("neither topic nor alias", Packet(0x30, "0000 00 78")),
    ("neither topic nor alias, QoS 1", Packet(0x32, "0000 0001 00 78")),
    ("Topic Alias 0", Packet(0x30, "0001 61 03 230000")),
    ("Topic Alias twice", Packet(0x30, "0001 61 06 230001 230001")),
    ("half a Topic Alias", Packet(0x30, "0001 61 02 2300")),
    ("Payload Format Indicator 2", Packet(0x30, "0001 61 02 0102")),
    ("Payload Format Indicator twice", Packet(0x30, "0001 61 04 0101 0101")),
    ("Message Expiry Interval of three bytes", Packet(0x30, "0001 61 04 02000000")),
    ("Message Expiry Interval twice", Packet(0x30, "0001 61 0a 0200000000 0200000000")),
    ("Response Topic with #", Packet(0x30, "0001 61 06 080003 612f23")),
    ("Response Topic without a character", Packet(0x30, "0001 61 03 080000")),
    ("Response Topic with U+0000", Packet(0x30, "0001 61 04 080001 00")),
    ("Response Topic that is not UTF-8", Packet(0x30, "0001 61 04 080001 ff")),
    ("Response Topic twice", Packet(0x30, "0001 61 08 08000162 08000162")),
    ("Correlation Data past the end", Packet(0x30, "0001 61 04 090002 ff")),
    ("Correlation Data twice", Packet(0x30, "0001 61 06 090000 090000")),
    ("Content Type twice", Packet(0x30, "0001 61 06 030000 030000")),
    ("Content Type with U+0000", Packet(0x30, "0001 61 05 030002 6100")),
    ("Subscription Identifier 0", Packet(0x30, "0001 61 02 0b00")),
    ("Subscription Identifier of five bytes", Packet(0x30, "0001 61 06 0bffffffff7f")),
    ("Subscription Identifier not minimal", Packet(0x30, "0001 61 03 0b8100")),
    ("Subscription Identifier that ends inside", Packet(0x30, "0001 61 02 0b80 ff")),
    ("User Property past the properties", Packet(0x30, "0001 61 04 260001 61 0001 62")),
    ("User Property with a cut character", Packet(0x30, "0001 61 06 26 0001e2 0000")),
    ("a property of CONNECT", Packet(0x30, "0001 61 05 1100000000")),
    ("an unknown property behind a known one", Packet(0x30, "0001 61 04 0101 0500")),
];

const ACKNOWLEDGEMENTS: &[(&str, Input)] = &[
    ("PUBACK, nothing", Packet(0x40, "")),
    ("PUBACK, half a Packet Identifier", Packet(0x40, "00")),
    ("PUBACK, Packet Identifier 0", Packet(0x40, "0000")),
    ("PUBACK, a reason of PUBREL", Packet(0x40, "0001 92")),
    ("PUBACK, a QoS for a reason", Packet(0x40, "0001 01")),
    ("PUBACK, reason 0xFF", Packet(0x40, "0001 ff 00")),
    ("PUBACK, Property Length past the end", Packet(0x40, "0001 00 05 1f0001")),
    ("PUBACK, Property Length not minimal", Packet(0x40, "0001 00 8000")),
    ("PUBACK, Reason String twice", Packet(0x40, "0001 00 06 1f0000 1f0000")),
    ("PUBACK, Reason String with U+0000", Packet(0x40, "0001 00 04 1f000100")),
    ("PUBACK, a property of CONNACK", Packet(0x40, "0001 00 03 1c0000")),
    ("PUBACK, bytes behind the properties", Packet(0x40, "0001 00 00 00")),
    ("PUBREC, Packet Identifier 0", Packet(0x50, "0000")),
    ("PUBREC, a reason of PUBREL", Packet(0x50, "0001 92")),
    ("PUBREC, bytes behind the properties", Packet(0x50, "0001 00 00 ff")),
    ("PUBREL, nothing", Packet(0x62, "")),
    ("PUBREL, Packet Identifier 0", Packet(0x62, "0000 00")),
    ("PUBREL, a reason of PUBREC", Packet(0x62, "0001 80")),
    ("PUBREL, bytes behind the properties", Packet(0x62, "0001 92 00 00")),
    ("PUBCOMP, Packet Identifier 0", Packet(0x70, "0000")),
    ("PUBCOMP, a reason of PUBREC", Packet(0x70, "0001 10")),
    ("PUBCOMP, an unknown property", Packet(0x70, "0001 92 02 0c00")),
];

const SUBSCRIBE: &[(&str, Input)] = &[
    ("nothing", Packet(0x82, "")),
    ("Packet Identifier 0", Packet(0x82, "0000 00 000161 00")),
    ("no Property Length", Packet(0x82, "0001")),
    ("no filter", Packet(0x82, "0001 00")),
    ("half a length of the filter", Packet(0x82, "0001 00 00")),
    ("a filter past the end", Packet(0x82, "0001 00 0004 612f62")),
    ("no options", Packet(0x82, "0001 00 000161")),
    ("no options for the second filter", Packet(0x82, "0001 00 000161 00 000162")),
    ("options bit 6", Packet(0x82, "0001 00 000161 40")),
    ("options bit 7", Packet(0x82, "0001 00 000161 82")),
    ("QoS 3", Packet(0x82, "0001 00 000161 03")),
    ("Retain Handling 3", Packet(0x82, "0001 00 000161 30")),
    ("an empty filter", Packet(0x82, "0001 00 0000 00")),
    ("filter a#", Packet(0x82, "0001 00 0002 6123 00")),
    ("filter a/#/b", Packet(0x82, "0001 00 0005 612f232f62 00")),
    ("filter #/", Packet(0x82, "0001 00 0002 232f 00")),
    ("filter a+/b", Packet(0x82, "0001 00 0004 612b2f62 00")),
    ("filter +a", Packet(0x82, "0001 00 0002 2b61 00")),
    ("filter ++", Packet(0x82, "0001 00 0002 2b2b 00")),
    ("a long filter that ends in b#", Packet(0x82, "0001 00 000a 6162636465666768 6223 00")),
    ("a filter with U+0000", Packet(0x82, "0001 00 0003 610062 00")),
    ("a filter with U+009F", Packet(0x82, "0001 00 0003 61c29f 00")),
    ("a filter with U+FFFF", Packet(0x82, "0001 00 0003 efbfbf 00")),
    ("a filter that is not UTF-8", Packet(0x82, "0001 00 0003 61ff62 00")),
    ("a filter that ends inside a character", Packet(0x82, "0001 00 0001 c3 00")),
    ("a filter that takes a byte of its options", Packet(0x82, "0001 00 0002 61c3 a9 000162 00")),
    ("$share", Packet(0x82, "0001 00 0006 247368617265 00")),
    ("$share/", Packet(0x82, "0001 00 0007 2473686172652f 00")),
    ("$share/g", Packet(0x82, "0001 00 0008 2473686172652f67 00")),
    ("$share/g/", Packet(0x82, "0001 00 0009 2473686172652f672f 00")),
    ("$share//t", Packet(0x82, "0001 00 0009 2473686172652f2f74 00")),
    ("$share/+/t", Packet(0x82, "0001 00 000a 2473686172652f2b2f74 00")),
    ("$share/g#/t", Packet(0x82, "0001 00 000b 2473686172652f67232f74 00")),
    ("$share/g/a#", Packet(0x82, "0001 00 000b 2473686172652f672f6123 00")),
    ("No Local on $share/g/t", Packet(0x82, "0001 00 000a 2473686172652f672f74 04")),
    ("the second of two filters", Packet(0x82, "0001 00 000161 00 0002 6223 00")),
    ("Subscription Identifier 0", Packet(0x82, "0001 02 0b00 000161 00")),
    ("Subscription Identifier twice", Packet(0x82, "0001 04 0b01 0b02 000161 00")),
    ("Subscription Identifier of five bytes", Packet(0x82, "0001 06 0b8080808001 000161 00")),
    ("a Reason String", Packet(0x82, "0001 03 1f0000 000161 00")),
];

const OTHERS: &[(&str, Input)] = &[
    ("SUBACK, nothing", Packet(0x90, "")),
    ("SUBACK, Packet Identifier 0", Packet(0x90, "0000 00 00")),
    ("SUBACK, no Property Length", Packet(0x90, "0001")),
    ("SUBACK, no reason code", Packet(0x90, "0001 00")),
    ("SUBACK, QoS 3", Packet(0x90, "0001 00 03")),
    ("SUBACK, a reason of UNSUBACK behind a good one", Packet(0x90, "0001 00 01 11")),
    ("SUBACK, a Subscription Identifier", Packet(0x90, "0001 02 0b01 00")),
    ("UNSUBSCRIBE, nothing", Packet(0xa2, "")),
    ("UNSUBSCRIBE, Packet Identifier 0", Packet(0xa2, "0000 00 000161")),
    ("UNSUBSCRIBE, no filter", Packet(0xa2, "0001 00")),
    ("UNSUBSCRIBE, a filter past the end", Packet(0xa2, "0001 00 000261")),
    ("UNSUBSCRIBE, half a length behind a filter", Packet(0xa2, "0001 00 000161 00")),
    ("UNSUBSCRIBE, an empty filter", Packet(0xa2, "0001 00 0000")),
    ("UNSUBSCRIBE, filter a/+b", Packet(0xa2, "0001 00 0004 612f2b62")),
    ("UNSUBSCRIBE, $share/g", Packet(0xa2, "0001 00 0008 2473686172652f67")),
    ("UNSUBSCRIBE, a filter that is not UTF-8", Packet(0xa2, "0001 00 0002 61ff")),
    ("UNSUBSCRIBE, a Subscription Identifier", Packet(0xa2, "0001 02 0b01 000161")),
    ("UNSUBACK, Packet Identifier 0", Packet(0xb0, "0000 00 00")),
    ("UNSUBACK, as in 3.1.1", Packet(0xb0, "0001")),
    ("UNSUBACK, no reason code", Packet(0xb0, "0001 00")),
    ("UNSUBACK, a QoS for a reason", Packet(0xb0, "0001 00 01")),
    ("DISCONNECT, reason 0x01", Packet(0xe0, "01")),
    ("DISCONNECT, a reason of CONNACK", Packet(0xe0, "84")),
    ("DISCONNECT, reason 0x7F", Packet(0xe0, "7f 00")),
    ("DISCONNECT, Property Length past the end", Packet(0xe0, "00 05 11000000")),
    ("DISCONNECT, Session Expiry Interval twice", Packet(0xe0, "00 0a 1100000000 1100000000")),
    ("DISCONNECT, an Authentication Method", Packet(0xe0, "00 04 1500016d")),
    ("DISCONNECT, bytes behind the properties", Packet(0xe0, "00 00 00")),
    ("AUTH, a reason of CONNACK", Packet(0xf0, "87 00")),
    ("AUTH, no Property Length", Packet(0xf0, "18")),
    ("AUTH, no Authentication Method", Packet(0xf0, "18 00")),
    ("AUTH, no Authentication Method and Success", Packet(0xf0, "00 00")),
    ("AUTH, no Authentication Method but other properties", Packet(0xf0, "18 03 1f0000")),
    ("AUTH, Authentication Method twice", Packet(0xf0, "18 08 1500016d 1500016d")),
    ("AUTH, bytes behind the properties", Packet(0xf0, "18 04 1500016d 00")),
];

const TABLES: &[(&str, &[(&str, Input)])] = &[
    ("Fixed header", FIXED_HEADER),
    ("CONNECT", CONNECT),
    ("CONNACK", CONNACK),
    ("PUBLISH", PUBLISH),
    ("PUBACK, PUBREC, PUBREL, PUBCOMP", ACKNOWLEDGEMENTS),
    ("SUBSCRIBE", SUBSCRIBE),
    ("SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH", OTHERS),
];

fn cases() -> impl Iterator<Item = &'static (&'static str, Input)> {
    TABLES.iter().flat_map(|(_, cases)| *cases)
}

/// Proves: [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.5-1], [MQTT-1.5.7-1], [MQTT-2.1.3-1],
/// [MQTT-2.2.1-3], [MQTT-2.2.1-4], [MQTT-3.1.2-1], [MQTT-3.1.2-2], [MQTT-3.1.2-3],
/// [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13], [MQTT-3.1.2-16], [MQTT-3.1.2-17],
/// [MQTT-3.1.2-18], [MQTT-3.1.2-19], [MQTT-3.1.3-3], [MQTT-3.1.3-4], [MQTT-3.1.3-11],
/// [MQTT-3.1.3-12], [MQTT-3.1.4-1], [MQTT-3.2.2-1], [MQTT-3.2.2-6], [MQTT-3.2.2-8],
/// [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT-3.3.2-1], [MQTT-3.3.2-2], [MQTT-3.3.2-8],
/// [MQTT-3.3.2-13], [MQTT-3.3.2-14], [MQTT-3.3.2-19], [MQTT-3.4.2-1], [MQTT-3.5.2-1],
/// [MQTT-3.6.1-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1], [MQTT-3.8.1-1], [MQTT-3.8.3-1],
/// [MQTT-3.8.3-2], [MQTT-3.8.3-4], [MQTT-3.8.3-5], [MQTT-3.9.3-2], [MQTT-3.10.1-1],
/// [MQTT-3.10.3-1], [MQTT-3.10.3-2], [MQTT-3.11.3-2], [MQTT-3.14.1-1], [MQTT-3.14.2-1],
/// [MQTT-3.15.1-1], [MQTT-3.15.2-1], [MQTT-4.7.0-1], [MQTT-4.7.1-1], [MQTT-4.7.1-2],
/// [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.8.2-1], [MQTT-4.8.2-2], [MQTT-4.13.1-1]
#[test]
fn every_kind_of_fault_is_refused_with_its_code_offset_and_rule() {
    let mut text = String::new();
    for (table, cases) in TABLES {
        writeln!(text, "\n# {table}").unwrap();
        for (name, input) in *cases {
            let error = input.refusal();
            let code = u8::from(error.reason_code());
            let of = error.packet_type().map_or_else(|| "-".to_owned(), |of| of.to_string());
            let (at, rule) = (error.offset(), error.rule());
            writeln!(text, "{name:<55} 0x{code:02X} at {at:>2}  {of:<11}  {rule:?}").unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_rule_is_broken_by_some_case() {
    let broken: BTreeSet<String> = cases()
        .map(|(_, input)| {
            let rule = format!("{:?}", input.refusal().rule());
            rule.split([' ', '(']).next().unwrap().to_owned()
        })
        .collect();
    let rules = [
        "AuthenticationDataWithoutMethod",
        "BodyNotEmpty",
        "ConnAckFlagsReserved",
        "ConnectFlagsReserved",
        "ControlCharacter",
        "DupWithQos0",
        "DuplicateProperty",
        "FieldPastEnd",
        "FixedHeaderFlags",
        "IllFormedUtf8",
        "NoAuthenticationMethod",
        "NoLocalOnSharedSubscription",
        "NoReasonCode",
        "NoTopic",
        "NoTopicFilter",
        "NonCharacter",
        "NulCharacter",
        "PacketIdZero",
        "PacketTooLarge",
        "PropertyNotAllowed",
        "PropertyValue",
        "ProtocolName",
        "ProtocolVersion",
        "PublishQos",
        "ReasonCode",
        "ReservedPacketType",
        "ResponseTopic",
        "RetainHandling",
        "SessionPresentInRefusal",
        "SubscriptionOptionsReserved",
        "SubscriptionQos",
        "TopicAliasZero",
        "TopicFilter",
        "TopicName",
        "TrailingBytes",
        "UnknownProperty",
        "VariableByteIntegerNotMinimal",
        "VariableByteIntegerTooLong",
        "WillFlagsWithoutWill",
        "WillQos",
    ];
    assert_eq!(broken.iter().map(String::as_str).collect::<Vec<_>>(), rules);
}

/// Proves: [MQTT-6.0.0-2]
#[test]
fn a_refused_packet_is_refused_the_same_however_it_arrives() {
    for (name, input) in cases() {
        let (bytes, error) = (input.bytes(), input.refusal());
        for cut in 0..bytes.len() {
            match decode(&bytes[..cut], &input.limits()) {
                Ok(Decoded::NeedMore(_)) => {}
                Err(early) => assert_eq!(early, error, "{name} at {cut}"),
                Ok(Decoded::Packet(packet, _)) => panic!("{name} at {cut}: {packet:?}"),
            }
        }
        let mut decoder = Decoder::new(input.limits());
        let mut found = None;
        for byte in &bytes {
            decoder.feed(&[*byte]);
            match decoder.next_frame() {
                Ok(Some(frame)) => found = Some(frame.packet().unwrap_err()),
                Ok(None) => {}
                Err(early) => found = Some(early),
            }
        }
        assert_eq!(found, Some(error), "{name}");
    }
}

#[test]
fn what_the_fixed_header_says_is_judged_within_five_bytes() {
    for (name, input) in FIXED_HEADER {
        let bytes = input.bytes();
        let start = &bytes[..bytes.len().min(5)];
        assert_eq!(decode(start, &input.limits()), Err(input.refusal()), "{name}");
    }
}

#[test]
fn an_error_says_for_people_what_to_do_instead() {
    let error = Packet(0x82, "0001 00 0002 6123 00").refusal();
    assert_eq!(
        error.to_string(),
        "SUBSCRIBE refused at byte 8 (0x81 Malformed Packet): \
         Topic Filter: `#` stands alone in the last level of a filter"
    );
    let error = Bytes("00").refusal();
    assert_eq!(
        error.to_string(),
        "packet of reserved type refused at byte 0 (0x81 Malformed Packet): \
         packet type 0 is reserved; use one of the types 1 to 15"
    );
}
