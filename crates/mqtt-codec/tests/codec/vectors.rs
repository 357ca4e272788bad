//! Known answers: packets as bytes, in hexadecimal, with a space between fields.
//!
//! They were put together from the tables of the standard and not by this crate. Those of which
//! the name ends in "(long form)" say what a shorter packet says as well; the others are the bytes
//! that this crate writes.

use mqtt_codec::{Decoded, Limits, Packet, decode};

/// Every known answer, with its name.
pub(crate) const VECTORS: &[(&str, &str)] = &[
    ("connect: empty client id", "100d 00044d51545405020000 00 0000"),
    ("connect: plain", "1015 00044d5154540500003c 00 0008636c69656e742d31"),
    ("connect: password without user name", "1012 00044d5154540542000a 00 000163 000200ff"),
    ("connect: user name without password", "1014 00044d5154540580000a 00 000163 000475736572"),
    ("connect: will of QoS 2, retained", "1016 00044d5154540536ffff 00 000163 00 0003772f74 0000"),
    (
        "connect: everything",
        "108e01 00044d51545405ce001e 3011ffffffff21000a2700010000220005190117002600016100016226000161000163150005534352414d1600030100fe 0003632d37 2d18000000050101020000003c03000a746578742f706c61696e08000672652f706c79090001072600016b000176 000a77696c6c2f746f706963 0004676f6e65 000475736572 0006736563726574",
    ),
    ("connack: accepted", "2003 0000 00"),
    ("connack: session present", "2003 0100 00"),
    ("connack: not authorized", "2003 0087 00"),
    (
        "connack: everything",
        "2050 0000 4d11000000642100012401250027000000011200066175746f2d3122ffff1f00037768792600000000280029012a001300001a0005726573702f1c000a6f746865723a313838331500014d160000",
    ),
    ("publish: QoS 0, empty payload", "3004 000161 00"),
    ("publish: QoS 0, retained", "310b 0003612f62 00 68656c6c6f"),
    ("publish: QoS 1", "320b 0003612f62 0001 00 0001ff"),
    ("publish: QoS 1, sent again", "3a09 0003612f62 ffff 00 78"),
    ("publish: QoS 2, retained, sent again", "3d09 0003612f62 1234 00 78"),
    ("publish: alias instead of a topic", "3007 0000 03230007 78"),
    (
        "publish: everything",
        "3447 000d732fc3a92fe4b8ad2ff09f9880 0002 2e0100020000000023ffff0800017209000500010203042600016e0001310b010bffffff7f2600016e000132030000 7061796c6f6164",
    ),
    (
        "publish: long payload",
        "30cc01 000174 00 7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
    ),
    ("puback: success", "4002 0001"),
    ("puback: reason alone", "4003 abcd 97"),
    ("puback: everything", "4010 0007 97 0c1f00026e6f2600016b000176"),
    ("puback: success with properties", "400b 0007 00 072600016b000176"),
    ("puback: success spelled out (long form)", "4003 0007 00"),
    ("puback: success and no properties spelled out (long form)", "4004 0007 00 00"),
    ("puback: reason and no properties spelled out (long form)", "4004 0007 97 00"),
    ("pubrec: success", "5002 0001"),
    ("pubrec: reason alone", "5003 abcd 10"),
    ("pubrec: everything", "5010 0007 10 0c1f00026e6f2600016b000176"),
    ("pubrec: success with properties", "500b 0007 00 072600016b000176"),
    ("pubrec: success spelled out (long form)", "5003 0007 00"),
    ("pubrec: success and no properties spelled out (long form)", "5004 0007 00 00"),
    ("pubrec: reason and no properties spelled out (long form)", "5004 0007 10 00"),
    ("pubrel: success", "6202 0001"),
    ("pubrel: reason alone", "6203 abcd 92"),
    ("pubrel: everything", "6210 0007 92 0c1f00026e6f2600016b000176"),
    ("pubrel: success with properties", "620b 0007 00 072600016b000176"),
    ("pubrel: success spelled out (long form)", "6203 0007 00"),
    ("pubrel: success and no properties spelled out (long form)", "6204 0007 00 00"),
    ("pubrel: reason and no properties spelled out (long form)", "6204 0007 92 00"),
    ("pubcomp: success", "7002 0001"),
    ("pubcomp: reason alone", "7003 abcd 92"),
    ("pubcomp: everything", "7010 0007 92 0c1f00026e6f2600016b000176"),
    ("pubcomp: success with properties", "700b 0007 00 072600016b000176"),
    ("pubcomp: success spelled out (long form)", "7003 0007 00"),
    ("pubcomp: success and no properties spelled out (long form)", "7004 0007 00 00"),
    ("pubcomp: reason and no properties spelled out (long form)", "7004 0007 92 00"),
    ("subscribe: one filter", "8209 0001 00 0003612f6201"),
    (
        "subscribe: everything",
        "822d ffff 0a0b80012600016b000176 00012300 00052b2f612f2b2e 000c2473686172652f672f612f231a 0002c3a902",
    ),
    (
        "subscribe: a filter of 200 bytes",
        "82d201 0005 00 00c8787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787802 00017905",
    ),
    ("suback: one", "9004 0001 00 01"),
    ("suback: every reason", "901e 0009 0f1f00056d697865642600016b000176 0001028083878f91979ea1a2"),
    ("unsubscribe: one filter", "a208 0001 00 0003612f62"),
    (
        "unsubscribe: several filters",
        "a220 0002 072600016b000176 0003612f2b 000a2473686172652f672f23 0003e4b8ad",
    ),
    ("unsuback: one", "b004 0001 00 00"),
    ("unsuback: every reason", "b019 0009 0f1f00056d697865642600016b000176 00118083878f91"),
    ("pingreq", "c000"),
    ("pingresp", "d000"),
    ("disconnect: normal", "e000"),
    ("disconnect: reason alone", "e001 8e"),
    ("disconnect: from a client", "e00e 04 0c11000000002600016b000176"),
    ("disconnect: from a server", "e010 9d 0e1c0003623a311f00056d6f766564"),
    ("disconnect: normal with properties", "e007 00 051100000001"),
    ("disconnect: normal spelled out (long form)", "e001 00"),
    ("disconnect: normal and no properties spelled out (long form)", "e002 0000"),
    ("disconnect: reason and no properties spelled out (long form)", "e002 8100"),
    ("auth: two bytes", "f000"),
    ("auth: go on", "f017 18 1515000d534352414d2d5348412d32353616000200c3"),
    ("auth: again", "f006 19 041500014d"),
    ("auth: everything", "f01a 00 181500014d1600001f000777656c636f6d652600016b000176"),
];

/// Bytes written in hexadecimal; spaces say nothing.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|digit| *digit != ' ')
        .map(|digit| u8::try_from(digit.to_digit(16).expect("a digit")).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The bytes of a known answer.
pub(crate) fn vector(name: &str) -> Vec<u8> {
    let (_, text) = VECTORS.iter().find(|(of, _)| *of == name).expect(name);
    hex(text)
}

/// All known answers, as bytes.
pub(crate) fn vectors() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    VECTORS.iter().map(|(name, text)| (*name, hex(text)))
}

/// The one packet that the bytes are.
pub(crate) fn packet(bytes: &[u8]) -> Packet<'_> {
    match decode(bytes, &Limits::new()) {
        Ok(Decoded::Packet(packet, consumed)) => {
            assert_eq!(consumed, bytes.len());
            packet
        }
        other => panic!("{other:?} from {bytes:02x?}"),
    }
}

/// The bytes of a packet, with no limit of its size.
pub(crate) fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(&mut out, u32::MAX).unwrap();
    out
}
