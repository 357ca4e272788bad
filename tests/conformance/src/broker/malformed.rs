//! Malformed Packets and Protocol Errors: the connection does not outlive them.

use mqtt_tests::scripted::{framed, hex};

use super::refusals::{
    ID,
    Place::{Connected, First},
    Refusal, raw_connect, raw_publish, raw_subscribe, raw_will,
};

const MALFORMED: &[u8] = &[0x81];
const PROTOCOL: &[u8] = &[0x82];
/// Where the standard names no code.
const EITHER: &[u8] = &[0x81, 0x82];

/// A list of faults: name, place, codes, statements, bytes.
macro_rules! refusals {
    ($($name:literal, $at:expr, $codes:expr, [$($id:literal),+], $bytes:expr;)+) => {
        &[$(Refusal { name: $name, ids: &[$($id),+], codes: $codes, at: $at, bytes: || $bytes }),+]
    };
}
pub(super) use refusals;

/// Faults in the first packet.
pub(super) const CONNECT: &[Refusal] = refusals! {
    "a first packet that is no CONNECT ends the connection", First, &[],
        ["[MQTT-3.1.0-1]"], hex("c000");
    "a CONNECT for another protocol is turned away", First, &[0x84],
        ["[MQTT-3.1.2-1]"], hex("10 15 0004 4d515455 05 02 0000 00 0008 6d636661756c7479");
    "a CONNECT for version 6 is turned away", First, &[0x84],
        ["[MQTT-3.1.2-2]"], hex("10 15 0004 4d515454 06 02 0000 00 0008 6d636661756c7479");
    "a CONNECT with the reserved flag is malformed", First, MALFORMED,
        ["[MQTT-3.1.2-3]", "[MQTT5-U-3.1.2.3-1]", "[MQTT-3.1.4-1]"], raw_connect(0x03, "", ID);
    "a CONNECT whose fixed header has flags is malformed", First, MALFORMED,
        ["[MQTT-2.1.3-1]", "[MQTT5-U-2.1.3-1]"], {
            let mut bytes = raw_connect(0x02, "", ID);
            if let Some(first) = bytes.first_mut() {
                *first = 0x12;
            }
            bytes
        };
    "a CONNECT with a Will QoS and no Will is malformed", First, EITHER,
        ["[MQTT-3.1.2-11]"], raw_connect(0x0A, "", ID);
    "a CONNECT with Will QoS 3 is malformed", First, MALFORMED,
        ["[MQTT-3.1.2-12]", "[MQTT5-U-3.1.2.6-1]"],
        raw_connect(0x1E, "", &format!("{ID} 00 0004 77696c6c 0000"));
    "a CONNECT with Will Retain and no Will is malformed", First, EITHER,
        ["[MQTT-3.1.2-13]"], raw_connect(0x22, "", ID);
    "a CONNECT whose Will is missing is malformed", First, MALFORMED,
        ["[MQTT-3.1.2-9]"], raw_connect(0x06, "", ID);
    "a CONNECT with a User Name that no flag announces is malformed", First, MALFORMED,
        ["[MQTT-3.1.2-16]"], raw_connect(0x02, "", &format!("{ID} 0004 75736572"));
    "a CONNECT whose User Name is missing is malformed", First, MALFORMED,
        ["[MQTT-3.1.2-17]"], raw_connect(0x82, "", ID);
    "a CONNECT with a Password that no flag announces is malformed", First, MALFORMED,
        ["[MQTT-3.1.2-18]"],
        raw_connect(0x82, "", &format!("{ID} 0004 75736572 0004 70617373"));
    "a CONNECT whose Password is missing is malformed", First, MALFORMED,
        ["[MQTT-3.1.2-19]"], raw_connect(0xC2, "", &format!("{ID} 0004 75736572"));
    "a CONNECT whose payload has another order is malformed", First, MALFORMED,
        ["[MQTT-3.1.3-1]"], raw_connect(0x06, "", "00 0004 77696c6c 0000 0008 6d636661756c7479");
    "a CONNECT without a Client Identifier is malformed", First, MALFORMED,
        ["[MQTT-3.1.3-3]"], raw_connect(0x02, "", "");
    "a Client Identifier that is not UTF-8 is malformed", First, &[0x81, 0x85],
        ["[MQTT-3.1.3-4]", "[MQTT-1.5.4-1]", "[MQTT5-U-1.5.4-1]"],
        raw_connect(0x02, "", "0005 6d63 eda080");
    "a Client Identifier with U+0000 is malformed", First, &[0x81, 0x85],
        ["[MQTT-1.5.4-2]", "[MQTT5-U-1.5.4-1]"], raw_connect(0x02, "", "0004 6d630061");
    "a Will Topic that is not UTF-8 is malformed", First, &[0x81, 0x90],
        ["[MQTT-3.1.3-11]"], raw_connect(0x06, "", &format!("{ID} 00 0004 7769c0af 0000"));
    "a User Name that is not UTF-8 is malformed", First, &[0x81, 0x86],
        ["[MQTT-3.1.3-12]"], raw_connect(0x82, "", &format!("{ID} 0003 75ff73"));
    "a CONNECT with an unknown property is malformed", First, MALFORMED,
        ["[MQTT5-U-2.2.2.2-1]"], raw_connect(0x02, "7f 00", ID);
    "a CONNECT with a property of another packet is malformed", First, EITHER,
        ["[MQTT5-U-2.2.2.2-1]"], raw_connect(0x02, "13 0001", ID);
    "a CONNECT whose properties run past its end is malformed", First, MALFORMED,
        ["[MQTT-3.1.4-1]", "[MQTT-4.13.1-1]"], hex("10 0b 0004 4d515454 05 02 0000 7f");
    "a Session Expiry Interval twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.2-1]"], raw_connect(0x02, "11 00000000 11 00000000", ID);
    "a Receive Maximum twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.3-1]"], raw_connect(0x02, "21 0005 21 0005", ID);
    "a Receive Maximum of 0 is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.3-1]"], raw_connect(0x02, "21 0000", ID);
    "a Maximum Packet Size twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.4-1]"], raw_connect(0x02, "27 00001000 27 00001000", ID);
    "a Maximum Packet Size of 0 is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.4-1]"], raw_connect(0x02, "27 00000000", ID);
    "a Topic Alias Maximum twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.5-1]"], raw_connect(0x02, "22 0005 22 0005", ID);
    "a Request Response Information twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.6-1]"], raw_connect(0x02, "19 00 19 00", ID);
    "a Request Response Information of 2 is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.6-1]"], raw_connect(0x02, "19 02", ID);
    "a Request Problem Information twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.7-1]"], raw_connect(0x02, "17 00 17 00", ID);
    "a Request Problem Information of 2 is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.7-1]"], raw_connect(0x02, "17 02", ID);
    "an Authentication Method twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.9-1]"], raw_connect(0x02, "15 0001 61 15 0001 61", ID);
    "an Authentication Data twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.10-1]"], raw_connect(0x02, "15 0001 61 16 0001 61 16 0001 61", ID);
    "an Authentication Data without a method is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.2.11.10-1]"], raw_connect(0x02, "16 0001 61", ID);
    "a Will Delay Interval twice is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.3.2.2-1]"], raw_will("18 00000000 18 00000000");
    "a Payload Format Indicator twice in a Will is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.3.2.3-1]"], raw_will("01 00 01 00");
    "a Message Expiry Interval twice in a Will is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.3.2.4-1]"], raw_will("02 00000009 02 00000009");
    "a Content Type twice in a Will is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.3.2.5-1]"], raw_will("03 0001 61 03 0001 61");
    "a Response Topic twice in a Will is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.3.2.6-1]"], raw_will("08 0001 61 08 0001 61");
    "a Correlation Data twice in a Will is a protocol error", First, PROTOCOL,
        ["[MQTT5-U-3.1.3.2.7-1]"], raw_will("09 0001 61 09 0001 61");
};

/// Faults after an accepted CONNECT.
pub(super) const PACKETS: &[Refusal] = refusals! {
    "a second CONNECT is a protocol error", Connected, PROTOCOL,
        ["[MQTT-3.1.0-2]"], raw_connect(0x02, "", ID);
    "a PINGREQ with flags is malformed", Connected, MALFORMED,
        ["[MQTT-2.1.3-1]", "[MQTT5-U-2.1.3-1]", "[MQTT-4.13.1-1]"], hex("c1 00");
    "a PUBACK with flags is malformed", Connected, MALFORMED,
        ["[MQTT-2.1.3-1]", "[MQTT5-U-2.1.3-1]"], hex("41 02 0001");
    "a PUBREL with other flags is malformed", Connected, MALFORMED,
        ["[MQTT-3.6.1-1]"], hex("60 02 0001");
    "a SUBSCRIBE with other flags is malformed", Connected, MALFORMED,
        ["[MQTT-3.8.1-1]"], hex("80 07 0001 00 0001 61 00");
    "an UNSUBSCRIBE with other flags is malformed", Connected, MALFORMED,
        ["[MQTT-3.10.1-1]"], hex("a0 06 0001 00 0001 61");
    "a DISCONNECT with flags is malformed", Connected, MALFORMED,
        ["[MQTT-3.14.1-1]"], hex("e1 00");
    "an AUTH with flags is malformed", Connected, MALFORMED,
        ["[MQTT-3.15.1-1]"], hex("f1 06 18 04 15 0001 61");
    "a Remaining Length in more bytes than it needs is malformed", Connected, MALFORMED,
        ["[MQTT-1.5.5-1]"], hex("c0 80 00");
    "a Remaining Length of five bytes is malformed", Connected, MALFORMED,
        ["[MQTT-1.5.5-1]"], hex("30 80 80 80 80 01");
    "a Property Length in more bytes than it needs is malformed", Connected, MALFORMED,
        ["[MQTT-1.5.5-1]"], hex("30 06 0001 61 8000 78");
    "a PUBLISH of QoS 3 is malformed", Connected, MALFORMED,
        ["[MQTT-3.3.1-4]", "[MQTT5-U-3.3.1.2-1]"], raw_publish(0x36, "");
    "a PUBLISH with Packet Identifier 0 is a protocol error", Connected, EITHER,
        ["[MQTT-2.2.1-3]"], hex("32 06 0001 61 0000 00");
    "a SUBSCRIBE with Packet Identifier 0 is a protocol error", Connected, EITHER,
        ["[MQTT-2.2.1-3]"], hex("82 07 0000 00 0001 61 00");
    "an UNSUBSCRIBE with Packet Identifier 0 is a protocol error", Connected, EITHER,
        ["[MQTT-2.2.1-3]"], hex("a2 06 0000 00 0001 61");
    "a Topic Name that is not UTF-8 is malformed", Connected, &[0x81, 0x90],
        ["[MQTT-3.3.2-1]", "[MQTT-1.5.4-1]", "[MQTT5-U-1.5.4-1]"], hex("30 06 0003 eda080 00");
    "a Topic Name with U+0000 is malformed", Connected, &[0x81, 0x90],
        ["[MQTT-1.5.4-2]", "[MQTT-4.7.3-2]", "[MQTT5-U-1.5.4-1]"], hex("30 06 0003 610062 00");
    "a Topic Name with a wildcard for many levels is refused", Connected, &[0x81, 0x82, 0x90],
        ["[MQTT-3.3.2-2]", "[MQTT-4.7.0-1]"], hex("30 06 0003 612f23 00");
    "a Topic Name with a wildcard for one level is refused", Connected, &[0x81, 0x82, 0x90],
        ["[MQTT-3.3.2-2]", "[MQTT-4.7.0-1]"], hex("30 06 0003 612f2b 00");
    "a PUBLISH without topic and alias is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.3.2.1-1]", "[MQTT-4.7.3-1]"], hex("30 04 0000 00 78");
    "a Topic Alias that was never set is a protocol error", Connected, &[0x82, 0x94],
        ["[MQTT5-U-3.3.4-2]"], hex("30 07 0000 03 23 0001 78");
    "a Topic Alias of 0 is invalid", Connected, &[0x94],
        ["[MQTT-3.3.2-8]", "[MQTT5-U-3.3.4-1]"], raw_publish(0x30, "23 0000");
    "a Topic Alias twice is a protocol error", Connected, &[0x82, 0x94],
        ["[MQTT5-U-3.3.2.3.4-1]"], raw_publish(0x30, "23 0001 23 0001");
    "a Response Topic twice is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.3.2.3.5-1]"], raw_publish(0x30, "08 0001 61 08 0001 61");
    "a Correlation Data twice is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.3.2.3.6-1]"], raw_publish(0x30, "09 0001 61 09 0001 61");
    "a Content Type twice is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.3.2.3.9-1]"], raw_publish(0x30, "03 0001 61 03 0001 61");
    "a Response Topic that is not UTF-8 is malformed", Connected, EITHER,
        ["[MQTT-3.3.2-13]"], raw_publish(0x30, "08 0003 eda080");
    "a Response Topic with a wildcard is a protocol error", Connected, &[0x81, 0x82, 0x90],
        ["[MQTT-3.3.2-14]"], raw_publish(0x30, "08 0003 612f23");
    "a Content Type that is not UTF-8 is malformed", Connected, MALFORMED,
        ["[MQTT-3.3.2-19]"], raw_publish(0x30, "03 0003 eda080");
    "a Subscription Identifier from a client is a protocol error", Connected, EITHER,
        ["[MQTT-3.3.4-6]"], raw_publish(0x30, "0b 01");
    "a PUBLISH with an unknown property is malformed", Connected, MALFORMED,
        ["[MQTT5-U-2.2.2.2-1]"], raw_publish(0x30, "7e 00");
    "a PUBLISH with a property of another packet is malformed", Connected, EITHER,
        ["[MQTT5-U-2.2.2.2-1]"], raw_publish(0x30, "21 0001");
    "a User Property whose name is not UTF-8 is malformed", Connected, MALFORMED,
        ["[MQTT-1.5.7-1]", "[MQTT5-U-1.5.7-1]"], raw_publish(0x30, "26 0003 eda080 0001 61");
    "a User Property whose value is not UTF-8 is malformed", Connected, MALFORMED,
        ["[MQTT-1.5.7-1]", "[MQTT5-U-1.5.7-1]"], raw_publish(0x30, "26 0001 61 0002 c0af");
    "a User Property with U+0000 is malformed", Connected, MALFORMED,
        ["[MQTT-1.5.7-1]", "[MQTT5-U-1.5.7-1]"], raw_publish(0x30, "26 0001 00 0001 61");
    "a SUBSCRIBE without a filter is a protocol error", Connected, PROTOCOL,
        ["[MQTT-3.8.3-2]", "[MQTT5-U-3.8.3-1]"], raw_subscribe("", "");
    "a Topic Filter that is not UTF-8 is malformed", Connected, &[0x81, 0x8F],
        ["[MQTT-3.8.3-1]"], raw_subscribe("", "0003 eda080 00");
    "a SUBSCRIBE with a reserved option is malformed", Connected, MALFORMED,
        ["[MQTT-3.8.3-5]"], raw_subscribe("", "0001 61 40");
    "a SUBSCRIBE for QoS 3 is a protocol error", Connected, EITHER,
        ["[MQTT5-U-3.8.3.1-1]"], raw_subscribe("", "0001 61 03");
    "a SUBSCRIBE with Retain Handling 3 is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.8.3.1-1]"], raw_subscribe("", "0001 61 30");
    "a Subscription Identifier of 0 is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.8.2.1.2-1]"], raw_subscribe("0b 00", "0001 61 00");
    "a Subscription Identifier twice is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.8.2.1.2-1]"], raw_subscribe("0b 01 0b 01", "0001 61 00");
    "an UNSUBSCRIBE without a filter is a protocol error", Connected, PROTOCOL,
        ["[MQTT-3.10.3-2]", "[MQTT5-U-3.10.3-1]"], hex("a2 03 0001 00");
    "an UNSUBSCRIBE whose filter is not UTF-8 is malformed", Connected, &[0x81, 0x8F],
        ["[MQTT-3.10.3-1]"], hex("a2 08 0001 00 0003 eda080");
    "an empty Topic Filter is malformed", Connected, &[0x81, 0x82, 0x8F],
        ["[MQTT-4.7.3-1]"], raw_subscribe("", "0000 00");
    "a Topic Filter with U+0000 is malformed", Connected, &[0x81, 0x8F],
        ["[MQTT-4.7.3-2]", "[MQTT-1.5.4-2]", "[MQTT5-U-1.5.4-1]"],
        raw_subscribe("", "0003 610062 00");
    "a Session Expiry Interval twice in DISCONNECT is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.14.2.2.2-1]"], hex("e0 0c 00 0a 11 00000000 11 00000000");
    "a Session Expiry Interval in DISCONNECT after 0 in CONNECT is a protocol error",
        Connected, PROTOCOL, ["[MQTT5-U-3.14.2.2.2-2]"], hex("e0 07 00 05 11 00000009");
    "an AUTH that no method allows is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.15-1]", "[MQTT-4.12.0-7]", "[MQTT-4.12.1-1]"],
        hex("f0 06 19 04 15 0001 61");
    "an AUTH without a method is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.15.2.2.2-1]"], hex("f0 02 19 00");
    "an AUTH with two methods is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.15.2.2.2-1]"], hex("f0 0a 19 08 15 0001 61 15 0001 61");
    "an AUTH with Authentication Data twice is a protocol error", Connected, PROTOCOL,
        ["[MQTT5-U-3.15.2.2.3-1]"], hex("f0 0e 19 0c 15 0001 61 16 0001 61 16 0001 61");
    "a CONNACK from a client is a protocol error", Connected, EITHER,
        ["[MQTT-4.13.1-1]"], hex("20 03 00 00 00");
    "a SUBACK from a client is a protocol error", Connected, EITHER,
        ["[MQTT-4.13.1-1]"], framed(0x90, &hex("0001 00 00"));
    "packet type 0 is malformed", Connected, EITHER, ["[MQTT-4.13.1-1]"], hex("00 00");
};
