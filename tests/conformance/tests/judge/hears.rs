//! What a client sends comes to the broker as something else: the broker seems not to have heard
//! it, or to have heard what nobody said.

use mqtt_codec::{Packet, RetainHandling};
use mqtt_conformance::proxy::{
    Memory,
    Sabotage::{Both, Hears},
    Step,
};
use mqtt_tests::scripted;

use crate::{
    Row,
    edit::{
        OpenPublish, bytes_of, connect, kind, lose, number, publish, read, short, subscribe, will,
    },
    rows,
};

/// Loses the packets that a test of them holds for.
fn lose_if(bytes: &[u8], is_lost: impl FnOnce(&Packet<'_>) -> bool) -> Step {
    if read(bytes).is_some_and(|packet| is_lost(&packet)) { Step::lost() } else { Step::on(bytes) }
}

/// Whether the client sent a User Property, a Response Topic and so on is the business of others;
/// this is the second and later packet of a type on a connection.
fn is_later(memory: &mut Memory, bytes: &[u8], wanted: u8) -> bool {
    if kind(bytes) != wanted {
        return false;
    }
    memory.count += 1;
    memory.count > 1
}

/// A CONNECT with a method is accepted in secret, with what stands behind it.
fn accept_in_secret(memory: &mut Memory, bytes: &[u8]) -> Step {
    if let Some(Packet::Connect(packet)) = read(bytes) {
        if packet.properties().authentication_method().is_none() {
            return Step::on(bytes);
        }
        memory.count = 1;
        return connect(bytes, |open| open.properties.authentication_method = None);
    }
    if memory.count == 1 && kind(bytes) == 3 {
        let mut both = bytes.to_vec();
        both.extend(scripted::pingreq());
        return Step::on(both);
    }
    Step::on(bytes)
}

/// And refused once what stood behind it was processed.
fn refuse_in_the_end(memory: &mut Memory, bytes: &[u8]) -> Step {
    match (memory.count, kind(bytes)) {
        (1, 2) => Step::lost(),
        (1, 13) => Step::on([0x20, 3, 0, 0x8C, 0]).then_end(),
        _ => Step::on(bytes),
    }
}

/// A PUBLISH that comes again is taken for a new one of QoS 0 beside the exchange.
fn deliver_repeated(_: &mut Memory, bytes: &[u8]) -> Step {
    let Some(mut open) = OpenPublish::read(bytes).filter(|open| open.dup && open.qos == 2) else {
        return Step::on(bytes);
    };
    let answer = short(0x50, open.id);
    (open.qos, open.dup) = (0, false);
    let mut step = Step::back(answer);
    step.on = open.bytes();
    step
}

/// A PUBLISH with DUP is answered and forgotten.
fn forget_repeated(qos: u8, answer: u8, bytes: &[u8]) -> Step {
    match OpenPublish::read(bytes).filter(|open| open.dup && open.qos == qos) {
        Some(open) => Step::back(short(answer, open.id)),
        None => Step::on(bytes),
    }
}

pub(crate) const TABLE: &[Row] = rows! {
    "nothing reaches the broker", ["[MQTT-4.2.0-1]", "[MQTT-3.1.4-5]"], Hears(|_, _| Step::lost());
    "a PINGREQ as the first packet is lost", ["[MQTT-3.1.0-1]"],
        Hears(|m, p| if m.connect.is_empty() { Step::lost() } else { Step::on(p) });
    "a second CONNECT is lost", ["[MQTT-3.1.0-2]"],
        Hears(|m, p| if is_later(m, p, 1) { Step::lost() } else { Step::on(p) });
    "Clean Start 1 is heard as 0",
        ["[MQTT-3.1.2-4]", "[MQTT-3.1.4-4]", "[MQTT-3.2.2-2]"],
        Hears(|_, p| connect(p, |open| open.clean_start = false));
    "Clean Start 0 is heard as 1",
        ["[MQTT-3.1.2-5]", "[MQTT-3.1.2-6]", "[MQTT-3.1.2-23]", "[MQTT-3.2.2-3]", "[MQTT-4.4.0-1]",
         "[MQTT-3.3.1-1]", "[MQTT-4.3.2-3]", "[MQTT-4.3.3-3]", "[MQTT-4.3.3-5]",
         "[MQTT-3.1.3-7]", "[MQTT-4.8.2-4]"],
        Hears(|_, p| connect(p, |open| open.clean_start = true));
    "the Session Expiry Interval is not heard",
        ["[MQTT-3.1.2-23]", "[MQTT-4.5.0-1]"],
        Hears(|_, p| connect(p, |open| open.properties.session_expiry_interval = None));
    "every session lasts long", ["[MQTT-4.1.0-2]"],
        Hears(|_, p| connect(p, |open| open.properties.session_expiry_interval = Some(1000)));
    "two clients have one Client Identifier", ["[MQTT-3.1.3-2]"],
        Hears(|_, p| connect(p, |open| open.client_id = open.client_id.replace("second", "first")));
    "a Will is not heard", ["[MQTT-3.1.2-7]", "[MQTT-3.1.2-8]"],
        Hears(|_, p| connect(p, |open| open.will = None));
    "the Will Delay Interval is not heard", ["[MQTT-3.1.2-8]", "[MQTT-3.1.3-9]"],
        Hears(|_, p| will(p, |will| will.properties.will_delay_interval = None));
    "every Will is retained", ["[MQTT-3.1.2-14]"], Hears(|_, p| will(p, |will| will.retain = true));
    "no Will is retained", ["[MQTT-3.1.2-15]"], Hears(|_, p| will(p, |will| will.retain = false));
    "the User Properties of a Will are heard the other way round", ["[MQTT-3.1.3-10]"],
        Hears(|_, p| will(p, |will| will.properties.user_properties.reverse()));
    "DISCONNECT 0x00 is heard as 0x04", ["[MQTT-3.14.4-3]", "[MQTT-3.1.2-10]"],
        Hears(|_, p| if p == [0xE0, 0] { Step::on([0xE0, 1, 4]) } else { Step::on(p) });
    "the Keep Alive is not heard", ["[MQTT-3.1.2-22]", "[MQTT-3.2.2-22]"],
        Hears(|_, p| connect(p, |open| open.keep_alive = 0));
    "the Maximum Packet Size is not heard", ["[MQTT-3.1.2-24]", "[MQTT-3.1.2-25]"],
        Hears(|_, p| connect(p, |open| open.properties.maximum_packet_size = None));
    "the Receive Maximum is not heard",
        ["[MQTT-3.3.4-9]", "[MQTT-4.9.0-1]", "[MQTT-4.9.0-2]"],
        Hears(|_, p| connect(p, |open| open.properties.receive_maximum = None));
    "a Topic Alias Maximum is heard that nobody set",
        ["[MQTT-3.1.2-26]", "[MQTT-3.1.2-27]", "[MQTT-3.3.2-11]"],
        Hears(|_, p| connect(p, |open| open.properties.topic_alias_maximum = Some(16)));
    "what stands behind a refused CONNECT is processed", ["[MQTT-3.1.4-6]"],
        Both(accept_in_secret, refuse_in_the_end);
    "a Topic Alias of an earlier connection is put up with", ["[MQTT-3.3.2-7]"],
        Hears(|m, p| {
            let (resumed, count) = (m.is_resumed, m.count);
            lose_if(p, |packet| {
                matches!(packet, Packet::Publish(p) if p.topic.is_none() && resumed && count == 0)
            })
        });
    "a Topic Alias that was never set is put up with", ["[MQTT5-U-3.3.4-2]"],
        Hears(|_, p| lose_if(p, |packet| matches!(packet, Packet::Publish(p) if p.topic.is_none())));
    "a Topic Alias above the maximum is put up with", ["[MQTT5-U-3.3.4-1]"],
        Hears(|_, p| {
            publish(p, |open| {
                if open.properties.topic_alias.is_some_and(|alias| alias.get() > 1000) {
                    open.properties.topic_alias = None;
                }
            })
        });
    "what a Topic Alias stands for is lost", ["[MQTT-3.3.2-12]"],
        Hears(|_, p| lose_if(p, |packet| matches!(packet, Packet::Publish(p) if p.topic.is_none())));
    "a Subscription Identifier in a PUBLISH is put up with", ["[MQTT-3.3.4-6]"],
        Hears(|_, p| publish(p, |open| open.properties.subscription_ids.clear()));
    "publications above the Receive Maximum are put up with", ["[MQTT5-U-3.3.4-4]"],
        Hears(|m, p| {
            m.count += 1;
            if kind(p) == 3 && m.count > 100 { Step::lost() } else { Step::on(p) }
        });
    "a packet that is too large is put up with", ["[MQTT5-U-3.2.2.3.6-2]"],
        Hears(|_, p| if p.len() < 20 && p[0] == 0x30 { Step::lost() } else { Step::on(p) });
    "a Session Expiry Interval in DISCONNECT is put up with", ["[MQTT5-U-3.14.2.2.2-2]"],
        Hears(|_, p| lose_if(p, |packet| {
            matches!(packet, Packet::Disconnect(d) if d.properties.session_expiry_interval().is_some())
        }));
    "an AUTH out of nowhere is put up with",
        ["[MQTT5-U-3.15-1]", "[MQTT-4.12.0-7]", "[MQTT-4.12.1-1]"], Hears(|_, p| lose(p, 15));
    "a PUBLISH that comes again is delivered again", ["[MQTT-4.3.3-10]"], Hears(deliver_repeated);
    "a new PUBLISH of QoS 1 with DUP is taken for an old one", ["[MQTT-4.3.2-5]"],
        Hears(|_, p| forget_repeated(1, 0x40, p));
    "a new PUBLISH of QoS 2 with DUP is taken for an old one", ["[MQTT-4.3.3-12]"],
        Hears(|_, p| forget_repeated(2, 0x50, p));
    "a PUBLISH after a refused one is taken for the same", ["[MQTT-4.3.3-9]"],
        Both(
            |m, p| match OpenPublish::read(p) {
                Some(open) if m.count == 1 && open.qos == 2 => Step::back(short(0x50, open.id)),
                _ => Step::on(p),
            },
            |m, p| {
                if let [0x50, length, _, _, reason, ..] = p
                    && *length > 2
                    && *reason >= 0x80
                {
                    m.count = 1;
                }
                Step::on(p)
            },
        );
    "an answer of 0x80 is not heard", ["[MQTT-4.4.0-2]"],
        Hears(|_, p| lose_if(p, |packet| match packet {
            Packet::PubAck(p) => p.reason.is_error(),
            Packet::PubRec(p) => p.reason.is_error(),
            _ => false,
        }));
    "a PUBREC is not heard", ["[MQTT-4.3.3-4]", "[MQTT-4.3.3-7]"], Hears(|_, p| lose(p, 5));
    "a PUBREL is not heard", ["[MQTT-4.3.3-11]", "[MQTT-4.3.3-13]"], Hears(|_, p| lose(p, 6));
    "a publisher that uses QoS 2 is thrown out", ["[MQTT-3.2.2-9]", "[MQTT-3.3.4-1]"],
        Hears(|_, p| if kind(p) == 3 && p[0] & 4 != 0 { Step::lost().then_end() } else { Step::on(p) });
    "every message is retained", ["[MQTT-3.3.1-8]"],
        Hears(|_, p| publish(p, |open| open.retain |= !open.payload.is_empty()));
    "a later retained message is not", ["[MQTT-3.3.1-5]"],
        Hears(|m, p| {
            let later = m.with_shared(|shared| {
                shared.count += usize::from(kind(p) == 3);
                shared.count > 1
            });
            publish(p, |open| open.retain &= !later)
        });
    "an empty retained message is lost", ["[MQTT-3.3.1-6]", "[MQTT-3.3.1-7]"],
        Hears(|_, p| lose_if(p, |packet| matches!(packet, Packet::Publish(p) if p.payload.is_empty())));
    "Retain Handling is heard as 2", ["[MQTT-3.3.1-9]", "[MQTT-3.8.4-4]"],
        Hears(|_, p| subscribe(p, |o| o.retain_handling = RetainHandling::DoNotSend));
    "Retain Handling is heard as 0", ["[MQTT-3.3.1-10]", "[MQTT-3.3.1-11]"],
        Hears(|_, p| subscribe(p, |o| o.retain_handling = RetainHandling::SendAlways));
    "Retain As Published is heard as 1", ["[MQTT-3.3.1-12]"],
        Hears(|_, p| subscribe(p, |options| options.retain_as_published = true));
    "Retain As Published is heard as 0", ["[MQTT-3.3.1-13]"],
        Hears(|_, p| subscribe(p, |options| options.retain_as_published = false));
    "No Local is not heard", ["[MQTT-3.8.3-3]"],
        Hears(|_, p| subscribe(p, |options| options.no_local = false));
    "a later SUBSCRIBE is answered and forgotten", ["[MQTT-3.8.4-3]"],
        Hears(|m, p| {
            if is_later(m, p, 8) {
                let [high, low] = subscribe_number(p).to_be_bytes();
                return Step::back([0x90, 4, high, low, 0, 0]);
            }
            Step::on(p)
        });
    "an UNSUBSCRIBE is answered and forgotten", ["[MQTT-3.10.4-2]"],
        Hears(|_, p| {
            if kind(p) == 10 {
                let [high, low] = number(p).to_be_bytes();
                return Step::back([0xB0, 4, high, low, 0, 0]);
            }
            Step::on(p)
        });
    "the Message Expiry Interval is not heard", ["[MQTT-3.3.2-5]"],
        Hears(|_, p| publish(p, |open| open.properties.message_expiry_interval = None));
    "topics are heard in lower case", ["[MQTT-4.7.3-4]"],
        Hears(|_, p| publish(p, |open| open.topic = open.topic.to_lowercase()));
    "a message for a member that refused it goes to another",
        ["[MQTT-4.8.2-6]"],
        Both(
            |m, p| {
                if let Some(Packet::PubAck(ack)) = read(p)
                    && ack.reason.is_error()
                {
                    let kept = (m.link, m.kept.clone());
                    m.with_shared(|shared| shared.kept = Some(kept));
                }
                Step::on(p)
            },
            pass_on,
        );
    "a message that nobody may have any more goes to another member", ["[MQTT-4.8.2-5]"],
        Both(
            |m, p| {
                if kind(p) == 5 {
                    let kept = (m.link, m.kept.clone());
                    m.with_shared(|shared| {
                        shared.kept.get_or_insert(kept);
                    });
                }
                Step::on(p)
            },
            pass_on,
        );
    "a subscription is refused that asks for more", ["[MQTT-3.2.2-10]"],
        Hears(|_, p| {
            if kind(p) == 8 { Step::back([0x90, 4, p[2], p[3], 0, 0x9B]) } else { Step::on(p) }
        });
    "a Will above the Maximum QoS is put up with", ["[MQTT-3.2.2-12]"],
        Hears(|_, p| will(p, |will| will.qos = mqtt_codec::QoS::AtMostOnce));
    "a retained Will is put up with where nothing is retained", ["[MQTT-3.2.2-13]"],
        Hears(|_, p| will(p, |will| will.retain = false));
    "a PUBLISH above the Maximum QoS is put up with", ["[MQTT5-U-3.2.2.3.4-2]"],
        Hears(|_, p| lose(p, 3));
    "a retained PUBLISH is put up with where nothing is retained", ["[MQTT5-U-3.2.2.3.5-2]"],
        Hears(|_, p| publish(p, |open| open.retain = false));
    "a wildcard, an identifier and a shared filter are put up with",
        ["[MQTT5-U-3.2.2.3.11-2]", "[MQTT5-U-3.2.2.3.12-2]", "[MQTT5-U-3.2.2.3.13-2]"],
        Hears(|_, p| lose(p, 8));
    "a property of another packet is overlooked", ["[MQTT5-U-2.2.2.2-1]"],
        Hears(|_, p| bytes_of(p, 3, |bytes| {
            if read(bytes).is_none() {
                bytes.clear();
            }
        }));
};

/// The Packet Identifier of a SUBSCRIBE, whose header is short here.
fn subscribe_number(bytes: &[u8]) -> u16 {
    match read(bytes) {
        Some(Packet::Subscribe(packet)) => packet.packet_id.get(),
        _ => 0,
    }
}

/// Keeps the last numbered PUBLISH of a connection, and gives what another one has left to whoever
/// is sent something next.
fn pass_on(memory: &mut Memory, bytes: &[u8]) -> Step {
    let Some(open) = OpenPublish::read(bytes) else { return Step::on(bytes) };
    let own = memory.link;
    let left = memory.with_shared(|shared| shared.kept.clone()).filter(|(link, _)| *link != own);
    if let Some(mut stolen) = left.and_then(|(_, kept)| OpenPublish::read(&kept)) {
        (stolen.qos, stolen.dup) = (0, false);
        let mut both = stolen.bytes();
        both.extend_from_slice(bytes);
        return Step::on(both);
    }
    if open.qos > 0 && open.topic.ends_with("/a") {
        memory.kept = bytes.to_vec();
    }
    Step::on(bytes)
}
