//! What the client sends comes to the server as something else.

use mqtt_codec::SubscriptionId;
use mqtt_conformance::proxy::{Memory, Sabotage::Hears, Step};

use crate::{
    Row,
    edit::{OpenPublish, bytes_of, connect, kind, lose, publish},
    rows,
    says::{last, reason_string, topic, unlisted, user_property},
};

/// The first packet of a type comes after the second.
fn swapped(memory: &mut Memory, bytes: &[u8], wanted: u8) -> Step {
    if kind(bytes) != wanted {
        return Step::on(bytes);
    }
    memory.count += 1;
    match memory.count {
        1 => {
            memory.kept = bytes.to_vec();
            Step::lost()
        }
        2 => Step::on([bytes, &memory.kept[..]].concat()),
        _ => Step::on(bytes),
    }
}

/// The bytes of the first filter of a SUBSCRIBE or UNSUBSCRIBE, found by what it begins with.
fn filter(bytes: &[u8], wanted: u8, was: &[u8], with: &[u8]) -> Step {
    bytes_of(bytes, wanted, |bytes| {
        if let Some(at) = bytes.windows(was.len()).position(|window| window == was) {
            bytes[at..at + with.len()].copy_from_slice(with);
        }
    })
}

/// Bytes of CONNECT, from where the Client Identifier "conformance" begins.
fn identity(bytes: &[u8], with: &[u8]) -> Step {
    filter(bytes, 1, b"conformance", with)
}

pub(crate) const TABLE: &[Row] = rows! {
    "nothing reaches the server", ["[MQTT-4.2.0-1]"], Hears(|_, _| Step::lost());
    "a PINGREQ comes before CONNECT", ["[MQTT-3.1.0-1]"],
        Hears(|_, p| Step::on(if kind(p) == 1 { [&[0xC0, 0], p].concat() } else { p.to_vec() }));
    "a PINGREQ comes after DISCONNECT", ["[MQTT-3.14.4-1]"],
        Hears(|_, p| Step::on(if kind(p) == 14 { [p, &[0xC0, 0]].concat() } else { p.to_vec() }));
    "an AUTH comes after CONNECT", ["[MQTT-4.12.0-7]"],
        Hears(|_, p| Step::on(if kind(p) == 1 {
            [p, &[0xF0, 6, 0x18, 4, 0x15, 0, 1, 0x61]].concat()
        } else { p.to_vec() }));
    "PINGREQ is lost",
        ["[MQTT-3.1.2-20]", "[MQTT-3.1.2-21]", "[MQTT-3.2.2-21]", "[MQTT-3.3.4-8]",
         "[MQTT-4.9.0-3]"],
        Hears(|_, p| lose(p, 12));
    "CONNECT has a Will QoS and no Will", ["[MQTT-3.1.2-11]"],
        Hears(|_, p| bytes_of(p, 1, |bytes| bytes[9] |= 8));
    "CONNECT has Will Retain and no Will", ["[MQTT-3.1.2-13]"],
        Hears(|_, p| bytes_of(p, 1, |bytes| bytes[9] |= 0x20));
    "CONNECT has a User Name that no flag announces", ["[MQTT-3.1.2-16]", "[MQTT-3.1.2-18]"],
        Hears(|_, p| bytes_of(p, 1, |bytes| {
            bytes.extend([0, 1, 0x61]);
            bytes[1] += 3;
        }));
    "CONNECT has no Client Identifier", ["[MQTT-3.1.3-3]"],
        Hears(|_, p| bytes_of(p, 1, |bytes| {
            let at = bytes.windows(13).position(|window| window == b"\0\x0bconformance").unwrap();
            bytes.truncate(at);
            bytes[1] = u8::try_from(at - 2).unwrap();
        }));
    "the Client Identifier is not UTF-8", ["[MQTT-3.1.3-4]"],
        Hears(|_, p| identity(p, &[0xC0, 0xAF]));
    "CONNECT has Will QoS 3", ["[MQTT-3.1.2-12]"],
        Hears(|_, p| bytes_of(p, 1, |bytes| bytes[9] |= 0x18));
    "CONNECT has no Will", ["[MQTT-3.1.2-9]", "[MQTT-3.1.3-1]"],
        Hears(|_, p| connect(p, |open| open.will = None));
    "the Will Topic is not UTF-8", ["[MQTT-3.1.3-11]"],
        Hears(|_, p| filter(p, 1, b"conformance/will", &[0xC0, 0xAF]));
    "the User Name is not UTF-8", ["[MQTT-3.1.3-12]"],
        Hears(|_, p| filter(p, 1, b"user", &[0xC0, 0xAF]));
    "the User Name and the Password are missing", ["[MQTT-3.1.2-17]", "[MQTT-3.1.2-19]"],
        Hears(|_, p| bytes_of(p, 1, |bytes| {
            if let Some(at) = bytes.windows(6).position(|window| window == b"\0\x04user") {
                bytes.truncate(at);
                bytes[1] = u8::try_from(at - 2).unwrap();
            }
        }));
    "QoS 0 has DUP", ["[MQTT-3.3.1-2]", "[MQTT-4.3.1-1]"],
        Hears(|_, p| bytes_of(p, 3, |bytes| if bytes[0] & 6 == 0 { bytes[0] |= 8; }));
    "a first PUBLISH has DUP", ["[MQTT-4.3.2-2]", "[MQTT-4.3.3-2]"],
        Hears(|_, p| bytes_of(p, 3, |bytes| if bytes[0] & 6 != 0 { bytes[0] |= 8; }));
    "QoS 0 has a number", ["[MQTT-2.2.1-2]"],
        Hears(|_, p| bytes_of(p, 3, |bytes| if bytes[0] & 6 == 0 {
            let topic = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            bytes.splice(4 + topic..4 + topic, [0, 1]);
            bytes[1] += 2;
        }));
    "every PUBLISH has the number 1", ["[MQTT-2.2.1-3]", "[MQTT-4.3.2-1]", "[MQTT-4.3.3-1]"],
        Hears(|_, p| publish(p, |open| open.id = 1));
    "a topic is not UTF-8", ["[MQTT-3.3.2-1]"], Hears(|_, p| topic(p, [0xC0, 0xAF]));
    "a PUBLISH has a Subscription Identifier", ["[MQTT-3.3.4-6]"],
        Hears(|_, p| publish(p, |open| open.properties.subscription_ids.extend(SubscriptionId::new(7))));
    "a Topic Alias stands for a topic that was never set", ["[MQTT-3.3.2-7]"],
        Hears(|_, p| publish(p, |open| {
            open.topic.clear();
            open.properties.topic_alias = std::num::NonZeroU16::new(1);
        }));
    "PUBREL has no flags", ["[MQTT-3.6.1-1]"],
        Hears(|_, p| bytes_of(p, 6, |bytes| bytes[0] = 0x60));
    "PUBREL has a reason that is not listed", ["[MQTT-3.6.2-1]"],
        Hears(|_, p| unlisted(p, 6, 0x10));
    "PUBREL is lost", ["[MQTT-4.3.3-4]", "[MQTT-4.3.3-5]"], Hears(|_, p| lose(p, 6));
    "PUBREL has another number", ["[MQTT-2.2.1-5]"],
        Hears(|_, p| bytes_of(p, 6, |bytes| bytes[3] ^= 0x40));
    "PUBRELs change places", ["[MQTT-4.6.0-4]"], Hears(|m, p| swapped(m, p, 6));
    "PUBREL says why, at length", ["[MQTT-3.6.2-2]"], Hears(|_, p| reason_string(p, 6));
    "PUBREL has a long property", ["[MQTT-3.6.2-3]"], Hears(|_, p| user_property(p, 6));
    "PUBACK is lost", ["[MQTT-3.3.4-1]", "[MQTT-4.3.2-4]", "[MQTT-4.5.0-2]"],
        Hears(|_, p| lose(p, 4));
    "PUBREC is lost", ["[MQTT-4.3.3-8]"], Hears(|_, p| lose(p, 5));
    "PUBCOMP is lost", ["[MQTT-4.3.3-11]"], Hears(|_, p| lose(p, 7));
    "PUBACK has a reason that is not listed", ["[MQTT-3.4.2-1]"],
        Hears(|_, p| unlisted(p, 4, 0x01));
    "PUBREC has a reason that is not listed", ["[MQTT-3.5.2-1]"],
        Hears(|_, p| unlisted(p, 5, 0x01));
    "PUBCOMP has a reason that is not listed", ["[MQTT-3.7.2-1]"],
        Hears(|_, p| unlisted(p, 7, 0x10));
    "PUBACKs change places", ["[MQTT-4.6.0-2]"], Hears(|m, p| swapped(m, p, 4));
    "PUBRECs change places", ["[MQTT-4.6.0-3]"], Hears(|m, p| swapped(m, p, 5));
    "PUBACK says why, at length", ["[MQTT-3.4.2-2]"], Hears(|_, p| reason_string(p, 4));
    "PUBACK has a long property", ["[MQTT-3.4.2-3]"], Hears(|_, p| user_property(p, 4));
    "PUBREC says why, at length", ["[MQTT-3.5.2-2]"], Hears(|_, p| reason_string(p, 5));
    "PUBREC has a long property", ["[MQTT-3.5.2-3]"], Hears(|_, p| user_property(p, 5));
    "PUBCOMP says why, at length", ["[MQTT-3.7.2-2]"], Hears(|_, p| reason_string(p, 7));
    "PUBCOMP has a long property", ["[MQTT-3.7.2-3]"], Hears(|_, p| user_property(p, 7));
    "DISCONNECT says why, at length", ["[MQTT-3.14.2-3]"], Hears(|_, p| reason_string(p, 14));
    "DISCONNECT has a long property", ["[MQTT-3.14.2-4]"], Hears(|_, p| user_property(p, 14));
    "DISCONNECT has a reason that is not listed", ["[MQTT-3.14.2-1]"],
        Hears(|_, p| unlisted(p, 14, 0x05));
    "SUBSCRIBE has no flags", ["[MQTT-3.8.1-1]"],
        Hears(|_, p| bytes_of(p, 8, |bytes| bytes[0] = 0x80));
    "a filter is not UTF-8", ["[MQTT-3.8.3-1]"],
        Hears(|_, p| filter(p, 8, b"conformance/#", &[0xC0, 0xAF]));
    "SUBSCRIBE has no filter", ["[MQTT-3.8.3-2]"],
        Hears(|_, p| Step::on(if kind(p) == 8 { vec![0x82, 3, p[2], p[3], 0] } else { p.to_vec() }));
    "a # stands in the wrong place", ["[MQTT-4.7.1-1]"],
        Hears(|_, p| filter(p, 8, b"conformance/#", b"conformance#/"));
    "a + stands in the wrong place", ["[MQTT-4.7.1-2]"],
        Hears(|_, p| filter(p, 8, b"conformance/+", b"conformance+/"));
    "a share name is missing", ["[MQTT-4.8.2-1]"],
        Hears(|_, p| filter(p, 8, b"$share/group", b"$share//roup"));
    "a share name has a wildcard", ["[MQTT-4.8.2-2]"],
        Hears(|_, p| filter(p, 8, b"$share/group", b"$share/gr+up"));
    "a Shared Subscription has No Local", ["[MQTT-3.8.3-4]"],
        Hears(|_, p| last(p, 8, |options| *options |= 4));
    "UNSUBSCRIBE has no flags", ["[MQTT-3.10.1-1]"],
        Hears(|_, p| bytes_of(p, 10, |bytes| bytes[0] = 0xA0));
    "a filter to leave is not UTF-8", ["[MQTT-3.10.3-1]"],
        Hears(|_, p| filter(p, 10, b"conformance/#", &[0xC0, 0xAF]));
    "UNSUBSCRIBE has no filter", ["[MQTT-3.10.3-2]"],
        Hears(|_, p| Step::on(if kind(p) == 10 { vec![0xA2, 3, p[2], p[3], 0] } else { p.to_vec() }));
    "the client comes back with Clean Start 1", ["[MQTT-3.1.2-23]", "[MQTT-4.1.0-1]"],
        Hears(|_, p| connect(p, |open| open.clean_start = true));
    "the client comes back as another", ["[MQTT-3.1.3-2]"],
        Hears(|m, p| {
            let link = m.link;
            connect(p, |open| open.client_id.push_str(&link.to_string()))
        });
    "what was not acknowledged does not come again",
        ["[MQTT-4.4.0-1]", "[MQTT-4.3.2-3]", "[MQTT-4.3.3-3]"],
        Hears(|_, p| Step::on(if kind(p) == 3 && p[0] & 8 != 0 { Vec::new() } else { p.to_vec() }));
    "a PUBLISH that comes again has no DUP", ["[MQTT-3.3.1-1]"],
        Hears(|_, p| bytes_of(p, 3, |bytes| bytes[0] &= !8));
    "what comes again has another order", ["[MQTT-4.6.0-1]"],
        Hears(|m, p| if m.link > 1 { swapped(m, p, 3) } else { Step::on(p) });
    "a PUBLISH comes again after its PUBREL", ["[MQTT-4.3.3-6]"],
        Hears(|m, p| {
            if let Some(open) = OpenPublish::read(p).filter(|open| open.qos == 2) {
                m.with_shared(|shared| shared.kept = Some((0, open.bytes())));
            }
            let again = m.with_shared(|shared| shared.kept.clone());
            match again {
                Some((_, again)) if m.link > 1 && kind(p) == 6 => {
                    Step::on([&again[..], p].concat())
                }
                _ => Step::on(p),
            }
        });
};
