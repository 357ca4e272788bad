//! What the broker sends comes to the client as something else.

use mqtt_codec::{Packet, PropertyValues, SubscriptionId};
use mqtt_conformance::proxy::{
    Memory,
    Sabotage::{Both, Says},
    Step,
};

use crate::{
    Row,
    edit::{OpenPublish, bytes_of, kind, lose, properties, publish, read},
    rows,
};

/// Words that take every packet past a small Maximum Packet Size.
fn long() -> String {
    "because ".repeat(20)
}

/// Says why in packets of one type, at length.
pub(crate) fn reason_string(bytes: &[u8], wanted: u8) -> Step {
    if kind(bytes) != wanted {
        return Step::on(bytes);
    }
    properties(bytes, |values| values.reason_string = Some(long()))
}

/// The same with a User Property.
pub(crate) fn user_property(bytes: &[u8], wanted: u8) -> Step {
    if kind(bytes) != wanted {
        return Step::on(bytes);
    }
    properties(bytes, |values| values.user_properties.push(("why".to_owned(), long())))
}

/// A PUBLISH with other properties.
fn message(bytes: &[u8], change: impl FnOnce(&mut PropertyValues)) -> Step {
    publish(bytes, |open| change(&mut open.properties))
}

/// Another reason code in an acknowledgement, whose form is the short one.
pub(crate) fn unlisted(bytes: &[u8], wanted: u8, code: u8) -> Step {
    if kind(bytes) != wanted {
        return Step::on(bytes);
    }
    match bytes {
        [first, _, high, low, ..] if wanted != 14 => Step::on([*first, 3, *high, *low, code]),
        [first, ..] => Step::on([*first, 1, code]),
        [] => Step::lost(),
    }
}

/// The last byte of packets of one type.
pub(crate) fn last(bytes: &[u8], wanted: u8, change: impl FnOnce(&mut u8)) -> Step {
    bytes_of(bytes, wanted, |bytes| {
        if let Some(last) = bytes.last_mut() {
            change(last);
        }
    })
}

/// The first two characters of the topic of a PUBLISH.
pub(crate) fn topic(bytes: &[u8], with: [u8; 2]) -> Step {
    bytes_of(bytes, 3, |bytes| {
        let at = bytes.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap() + 4;
        bytes[at..at + 2].copy_from_slice(&with);
    })
}

/// Fewer reason codes than there are filters.
fn fewer_reasons(bytes: &[u8], wanted: u8) -> Step {
    bytes_of(bytes, wanted, |bytes| {
        if bytes[1] > 4 {
            bytes.pop();
            bytes[1] -= 1;
        }
    })
}

/// Reason codes the other way round.
fn reversed(bytes: &[u8], wanted: u8) -> Step {
    bytes_of(bytes, wanted, |bytes| bytes[5..].reverse())
}

/// The first of two PUBLISHes of a connection comes after the second.
fn swapped(memory: &mut Memory, bytes: &[u8]) -> Step {
    let Some(open) = OpenPublish::read(bytes) else { return Step::on(bytes) };
    match open.payload.as_slice() {
        b"1" => {
            memory.kept = bytes.to_vec();
            Step::lost()
        }
        _ => {
            let mut both = bytes.to_vec();
            both.append(&mut memory.kept);
            Step::on(both)
        }
    }
}

pub(crate) const TABLE: &[Row] = rows! {
    "CONNACK has a reserved flag", ["[MQTT-3.2.2-1]"],
        Says(|_, p| bytes_of(p, 2, |bytes| bytes[2] |= 2));
    "CONNACK has a reason that is not listed", ["[MQTT-3.2.2-8]"],
        Says(|_, p| bytes_of(p, 2, |bytes| bytes[3] = 0x01));
    "CONNACK is lost", ["[MQTT-3.1.4-5]"], Says(|_, p| lose(p, 2));
    "CONNACK comes twice", ["[MQTT-3.2.0-2]"],
        Says(|_, p| Step::on(if kind(p) == 2 { p.repeat(2) } else { p.to_vec() }));
    "a PINGRESP comes before CONNACK", ["[MQTT-3.2.0-1]"],
        Says(|_, p| Step::on(if kind(p) == 2 { [&[0xD0, 0], p].concat() } else { p.to_vec() }));
    "Session Present is always 1",
        ["[MQTT-3.2.2-2]", "[MQTT-3.2.2-3]", "[MQTT-3.1.2-6]", "[MQTT-3.2.2-6]"],
        Says(|_, p| bytes_of(p, 2, |bytes| bytes[2] = 1));
    "Session Present is always 0", ["[MQTT-3.1.2-5]", "[MQTT-3.2.2-3]"],
        Says(|_, p| bytes_of(p, 2, |bytes| bytes[2] = 0));
    "a Client Identifier of 23 bytes is refused", ["[MQTT-3.1.3-5]"],
        Both(
            |m, p| {
                if let Some(Packet::Connect(packet)) = read(p) {
                    m.count = packet.client_id().len();
                }
                Step::on(p)
            },
            |m, p| {
                if kind(p) == 2 && m.count == 23 {
                    return Step::on([0x20, 3, 0, 0x85, 0]).then_end();
                }
                Step::on(p)
            },
        );
    "no Client Identifier is assigned", ["[MQTT-3.1.3-6]", "[MQTT-3.2.2-16]"],
        Says(|_, p| properties(p, |values| values.assigned_client_id = None));
    "every client is assigned the same", ["[MQTT-3.2.2-16]"],
        Says(|_, p| properties(p, |values| {
            if values.assigned_client_id.is_some() {
                values.assigned_client_id = Some("same".to_owned());
            }
        }));
    "another identifier is assigned than is used", ["[MQTT-3.1.3-7]"],
        Says(|_, p| properties(p, |values| {
            if let Some(id) = &mut values.assigned_client_id {
                id.push('x');
            }
        }));
    "Response Information comes unasked", ["[MQTT-3.1.2-28]"],
        Says(|_, p| if kind(p) == 2 {
            properties(p, |values| values.response_information = Some("here".to_owned()))
        } else { Step::on(p) });
    "CONNACK names a method", ["[MQTT-4.12.0-6]"],
        Says(|_, p| if kind(p) == 2 {
            properties(p, |values| values.authentication_method = Some("mine".to_owned()))
        } else { Step::on(p) });
    "CONNACK says why, at length", ["[MQTT-3.2.2-19]"], Says(|_, p| reason_string(p, 2));
    "PUBACK says why, at length", ["[MQTT-3.4.2-2]", "[MQTT-3.1.2-29]"],
        Says(|_, p| reason_string(p, 4));
    "PUBREC says why, at length", ["[MQTT-3.5.2-2]"], Says(|_, p| reason_string(p, 5));
    "PUBREL says why, at length", ["[MQTT-3.6.2-2]"], Says(|_, p| reason_string(p, 6));
    "PUBCOMP says why, at length", ["[MQTT-3.7.2-2]"], Says(|_, p| reason_string(p, 7));
    "SUBACK says why, at length", ["[MQTT-3.9.2-1]"], Says(|_, p| reason_string(p, 9));
    "UNSUBACK says why, at length", ["[MQTT-3.11.2-1]"], Says(|_, p| reason_string(p, 11));
    "DISCONNECT says why, at length", ["[MQTT-3.14.2-3]"], Says(|_, p| reason_string(p, 14));
    "CONNACK has a long property", ["[MQTT-3.2.2-20]"], Says(|_, p| user_property(p, 2));
    "PUBACK has a long property", ["[MQTT-3.4.2-3]"], Says(|_, p| user_property(p, 4));
    "PUBREC has a long property", ["[MQTT-3.5.2-3]"], Says(|_, p| user_property(p, 5));
    "PUBREL has a long property", ["[MQTT-3.6.2-3]"], Says(|_, p| user_property(p, 6));
    "PUBCOMP has a long property", ["[MQTT-3.7.2-3]"], Says(|_, p| user_property(p, 7));
    "SUBACK has a long property", ["[MQTT-3.9.2-2]"], Says(|_, p| user_property(p, 9));
    "UNSUBACK has a long property", ["[MQTT-3.11.2-2]"], Says(|_, p| user_property(p, 11));
    "DISCONNECT has a long property", ["[MQTT-3.14.2-4]"], Says(|_, p| user_property(p, 14));
    "CONNACK comes as DISCONNECT", ["[MQTT-3.14.0-1]"],
        Says(|_, p| Step::on(if p.starts_with(&[0x20]) && p[3] >= 0x80 {
            vec![0xE0, 1, 0x81]
        } else { p.to_vec() }));
    "DISCONNECT has a reason that is not listed", ["[MQTT-3.14.2-1]"],
        Says(|_, p| unlisted(p, 14, 0x05));
    "DISCONNECT has a Session Expiry Interval", ["[MQTT-3.14.2-2]"],
        Says(|_, p| if kind(p) == 14 {
            properties(p, |values| values.session_expiry_interval = Some(5))
        } else { Step::on(p) });
    "a PINGRESP comes after DISCONNECT", ["[MQTT-3.14.4-1]"],
        Says(|_, p| Step::on(if kind(p) == 14 { [p, &[0xD0, 0]].concat() } else { p.to_vec() }));
    "who is thrown out is not told", ["[MQTT-3.1.4-3]"], Says(|_, p| lose(p, 14));
    "PINGRESP is lost", ["[MQTT-3.12.4-1]"], Says(|_, p| lose(p, 13));
    "PINGRESP waits for room in the Receive Maximum", ["[MQTT-3.3.4-10]", "[MQTT-4.9.0-3]"],
        Both(
            |m, p| {
                m.count -= usize::from(kind(p) == 4 && m.count > 0);
                Step::on(p)
            },
            |m, p| {
                m.count += usize::from(kind(p) == 3 && p[0] & 6 != 0);
                if m.count > 0 { lose(p, 13) } else { Step::on(p) }
            },
        );
    "PUBACK has another number", ["[MQTT-2.2.1-5]", "[MQTT-4.3.2-4]"],
        Says(|_, p| bytes_of(p, 4, |bytes| bytes[3] ^= 0x40));
    "PUBACK is lost", ["[MQTT-4.3.2-4]", "[MQTT-3.3.4-1]"], Says(|_, p| lose(p, 4));
    "PUBREC has another number", ["[MQTT-4.3.3-8]"],
        Says(|_, p| bytes_of(p, 5, |bytes| bytes[3] ^= 0x40));
    "PUBREL is lost", ["[MQTT-4.3.3-4]", "[MQTT-4.3.3-5]", "[MQTT-4.3.3-7]"],
        Says(|_, p| lose(p, 6));
    "PUBCOMP has another number", ["[MQTT-4.3.3-11]"],
        Says(|_, p| bytes_of(p, 7, |bytes| bytes[3] ^= 0x40));
    "PUBACK has a reason that is not listed", ["[MQTT-3.4.2-1]"], Says(|_, p| unlisted(p, 4, 0x01));
    "PUBREC has a reason that is not listed", ["[MQTT-3.5.2-1]"], Says(|_, p| unlisted(p, 5, 0x01));
    "PUBREL has a reason that is not listed", ["[MQTT-3.6.2-1]"], Says(|_, p| unlisted(p, 6, 0x10));
    "PUBCOMP has a reason that is not listed", ["[MQTT-3.7.2-1]"],
        Says(|_, p| unlisted(p, 7, 0x10));
    "PUBREL has no flags", ["[MQTT-3.6.1-1]"], Says(|_, p| bytes_of(p, 6, |bytes| bytes[0] = 0x60));
    "SUBACK is lost", ["[MQTT-3.8.4-1]"], Says(|_, p| lose(p, 9));
    "SUBACK has another number", ["[MQTT-3.8.4-2]", "[MQTT-2.2.1-6]"],
        Says(|_, p| bytes_of(p, 9, |bytes| bytes[3] ^= 0x40));
    "SUBACK has a reason that is not listed", ["[MQTT-3.9.3-2]"],
        Says(|_, p| last(p, 9, |reason| *reason = 0x03));
    "SUBACK grants more than was asked for", ["[MQTT-3.8.4-7]"],
        Says(|_, p| last(p, 9, |reason| *reason = 0x02));
    "SUBACK has its reasons the other way round", ["[MQTT-3.9.3-1]", "[MQTT-3.8.4-5]"],
        Says(|_, p| reversed(p, 9));
    "SUBACK has too few reasons", ["[MQTT-3.8.4-6]"], Says(|_, p| fewer_reasons(p, 9));
    "SUBACK has no Property Length", ["[MQTT-2.2.2-1]"],
        Says(|_, p| bytes_of(p, 9, |bytes| {
            bytes.remove(4);
            bytes[1] -= 1;
        }));
    "UNSUBACK is lost", ["[MQTT-3.10.4-4]"], Says(|_, p| lose(p, 11));
    "UNSUBACK has another number", ["[MQTT-3.10.4-5]"],
        Says(|_, p| bytes_of(p, 11, |bytes| bytes[3] ^= 0x40));
    "UNSUBACK has a reason that is not listed", ["[MQTT-3.11.3-2]"],
        Says(|_, p| last(p, 11, |reason| *reason = 0x01));
    "UNSUBACK has its reasons the other way round", ["[MQTT-3.11.3-1]"],
        Says(|_, p| reversed(p, 11));
    "UNSUBACK has too few reasons", ["[MQTT-3.10.4-6]"], Says(|_, p| fewer_reasons(p, 11));
    "UNSUBACK says that everything was deleted", ["[MQTT-3.10.4-1]"],
        Says(|_, p| bytes_of(p, 11, |bytes| bytes[5..].fill(0)));
    "QoS 0 comes with DUP", ["[MQTT-3.3.1-2]", "[MQTT-4.3.1-1]"],
        Says(|_, p| bytes_of(p, 3, |bytes| if bytes[0] & 6 == 0 { bytes[0] |= 8; }));
    "a first PUBLISH has DUP", ["[MQTT-3.3.1-3]", "[MQTT-4.3.2-2]", "[MQTT-4.3.3-2]"],
        Says(|_, p| bytes_of(p, 3, |bytes| if bytes[0] & 6 != 0 { bytes[0] |= 8; }));
    "a PUBLISH that comes again has no DUP", ["[MQTT-3.3.1-1]"],
        Says(|_, p| bytes_of(p, 3, |bytes| bytes[0] &= !8));
    "both QoS bits are set", ["[MQTT-3.3.1-4]"],
        Says(|_, p| bytes_of(p, 3, |bytes| bytes[0] |= 6));
    "every PUBLISH has the number 1",
        ["[MQTT-2.2.1-4]", "[MQTT-4.3.2-1]", "[MQTT-4.3.3-1]"],
        Says(|_, p| publish(p, |open| open.id = 1));
    "QoS 0 has a number", ["[MQTT-2.2.1-2]"],
        Says(|_, p| bytes_of(p, 3, |bytes| if bytes[0] & 6 == 0 {
            let topic = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            bytes.splice(4 + topic..4 + topic, [0, 1]);
            bytes[1] += 2;
        }));
    "a topic has a wildcard", ["[MQTT-3.3.2-2]", "[MQTT-4.7.0-1]"], Says(|_, p| topic(p, *b"/#"));
    "a topic is not UTF-8", ["[MQTT-1.5.4-1]", "[MQTT-3.3.2-1]"],
        Says(|_, p| topic(p, [0xC0, 0xAF]));
    "a topic has U+0000", ["[MQTT-1.5.4-2]", "[MQTT-4.7.3-2]"], Says(|_, p| topic(p, [0x61, 0]));
    "another topic comes", ["[MQTT-3.3.2-3]"], Says(|_, p| topic(p, *b"xx"));
    "a byte order mark is stripped", ["[MQTT-1.5.4-3]"],
        Says(|_, p| publish(p, |open| open.topic = open.topic.replace('\u{FEFF}', "")));
    "a Topic Alias of 0 comes", ["[MQTT-3.3.2-8]"],
        Says(|_, p| bytes_of(p, 3, |bytes| if bytes[0] & 6 == 0 && bytes[1] < 120 {
            let topic = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            bytes.splice(5 + topic..5 + topic, [0x23, 0, 0]);
            bytes[4 + topic] += 3;
            bytes[1] += 3;
        }));
    "a length has too many bytes", ["[MQTT-1.5.5-1]"],
        Says(|_, p| bytes_of(p, 4, |bytes| {
            bytes[1] |= 0x80;
            bytes.insert(2, 0);
        }));
    "a message is lost", ["[MQTT-4.5.0-1]", "[MQTT-3.1.2-7]"], Says(|_, p| lose(p, 3));
    "a message of a session that can expire is lost", ["[MQTT-4.1.0-1]"],
        Says(|m, p| match read(&m.connect) {
            Some(Packet::Connect(connect))
                if connect.properties().session_expiry_interval() == Some(1) => lose(p, 3),
            _ => Step::on(p),
        });
    "a message comes twice", ["[MQTT-4.3.3-10]", "[MQTT-2.2.1-4]"],
        Says(|_, p| Step::on(if kind(p) == 3 { p.repeat(2) } else { p.to_vec() }));
    "messages change places", ["[MQTT-4.6.0-5]", "[MQTT-4.6.0-6]"], Says(swapped);
    "every message comes at QoS 0",
        ["[MQTT-3.8.4-8]", "[MQTT-3.3.4-2]", "[MQTT-4.8.2-3]"],
        Says(|_, p| publish(p, |open| (open.qos, open.dup) = (0, false)));
    "the Payload Format Indicator is left out", ["[MQTT-3.3.2-4]"],
        Says(|_, p| message(p, |values| values.payload_format_indicator = None));
    "the Message Expiry Interval stays as it was", ["[MQTT-3.3.2-6]"],
        Says(|_, p| message(p, |values| if values.message_expiry_interval.is_some() {
            values.message_expiry_interval = Some(60);
        }));
    "the Response Topic is left out", ["[MQTT-3.3.2-15]"],
        Says(|_, p| message(p, |values| values.response_topic = None));
    "the Correlation Data is left out", ["[MQTT-3.3.2-16]"],
        Says(|_, p| message(p, |values| values.correlation_data = None));
    "a User Property is left out", ["[MQTT-3.3.2-17]"],
        Says(|_, p| message(p, |values| _ = values.user_properties.pop()));
    "User Properties come the other way round", ["[MQTT-3.3.2-18]", "[MQTT-3.1.3-10]"],
        Says(|_, p| message(p, |values| values.user_properties.reverse()));
    "the Content Type is left out", ["[MQTT-3.3.2-20]"],
        Says(|_, p| message(p, |values| values.content_type = None));
    "a Subscription Identifier is left out", ["[MQTT-3.3.4-3]", "[MQTT-3.3.4-4]"],
        Says(|_, p| message(p, |values| _ = values.subscription_ids.pop()));
    "a Subscription Identifier is made up", ["[MQTT-3.3.4-3]", "[MQTT-3.8.4-3]"],
        Says(|_, p| message(p, |values| {
            values.subscription_ids.extend(SubscriptionId::new(77));
        }));
    "what was not acknowledged does not come again",
        ["[MQTT-4.4.0-1]", "[MQTT-4.3.2-3]", "[MQTT-4.3.3-3]", "[MQTT-3.10.4-3]", "[MQTT-4.8.2-4]"],
        Says(|_, p| Step::on(if kind(p) == 3 && p[0] & 8 != 0 { Vec::new() } else { p.to_vec() }));
    "a PUBLISH comes again after its PUBREL", ["[MQTT-4.3.3-6]"],
        Says(|m, p| {
            if let Some(open) = OpenPublish::read(p).filter(|open| open.qos == 2) {
                m.with_shared(|shared| shared.kept = Some((0, open.bytes())));
            }
            let again = m.with_shared(|shared| shared.kept.clone());
            match again {
                Some((_, again)) if m.is_resumed && kind(p) == 6 => {
                    Step::on([p, &again[..]].concat())
                }
                _ => Step::on(p),
            }
        });
};
