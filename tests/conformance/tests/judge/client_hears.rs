//! What a server sends comes to the client as something else: the client seems not to have heard
//! it.

use mqtt_codec::Packet;
use mqtt_conformance::proxy::{Sabotage::Says, Step};

use crate::{
    Row,
    edit::{OpenPublish, bytes_of, kind, lose, properties, publish, read},
    rows,
};

pub(crate) const TABLE: &[Row] = rows! {
    "the Server Keep Alive is not heard", ["[MQTT-3.1.2-21]", "[MQTT-3.2.2-21]"],
        Says(|_, p| properties(p, |values| values.server_keep_alive = None));
    "Session Present is heard as 0", ["[MQTT-3.2.2-4]"],
        Says(|_, p| bytes_of(p, 2, |bytes| bytes[2] = 0));
    "Session Present is heard as 1", ["[MQTT-3.2.2-5]"],
        Says(|m, p| bytes_of(p, 2, |bytes| bytes[2] = u8::from(m.link > 1)));
    "the Maximum QoS is not heard", ["[MQTT-3.2.2-11]"],
        Says(|_, p| properties(p, |values| values.maximum_qos = None));
    "Retain Available is not heard", ["[MQTT-3.2.2-14]"],
        Says(|_, p| properties(p, |values| values.retain_available = None));
    "the Maximum Packet Size is not heard", ["[MQTT-3.2.2-15]"],
        Says(|_, p| properties(p, |values| values.maximum_packet_size = None));
    "the Receive Maximum is not heard", ["[MQTT-3.3.4-7]", "[MQTT-4.9.0-1]", "[MQTT-4.9.0-2]"],
        Says(|_, p| properties(p, |values| values.receive_maximum = None));
    "a higher Topic Alias Maximum is heard",
        ["[MQTT-3.2.2-17]", "[MQTT-3.2.2-18]", "[MQTT-3.3.2-9]"],
        Says(|_, p| if kind(p) == 2 {
            properties(p, |values| values.topic_alias_maximum = Some(4))
        } else { Step::on(p) });
    "a Topic Alias out of nowhere is put up with", ["[MQTT5-U-3.3.4-2]", "[MQTT-3.3.2-10]"],
        Says(|_, p| match read(p) {
            Some(Packet::Publish(publish)) if publish.topic.is_none() => Step::lost(),
            _ => Step::on(p),
        });
    "a Topic Alias above the maximum is put up with", ["[MQTT5-U-3.3.4-1]"],
        Says(|_, p| publish(p, |open| open.properties.topic_alias = None));
    "a Subscription Identifier that nobody gave is put up with", ["[MQTT5-U-3.3.4-3]"],
        Says(|_, p| match OpenPublish::read(p) {
            Some(open) if open.properties.subscription_ids.iter().any(|id| id.get() == 0x7F) => {
                Step::lost()
            }
            _ => Step::on(p),
        });
    "messages above the Receive Maximum are put up with", ["[MQTT5-U-3.3.4-4]"],
        Says(|m, p| {
            m.count += usize::from(kind(p) == 3);
            if kind(p) == 3 && m.count > 100 { Step::lost() } else { Step::on(p) }
        });
    "a packet that is too large is put up with", ["[MQTT5-U-3.1.2.11.4-2]"],
        Says(|_, p| if p.len() > 60_000 { Step::lost() } else { Step::on(p) });
    "an AUTH out of nowhere is put up with", ["[MQTT5-U-3.15-1]"], Says(|_, p| lose(p, 15));
    "an explanation that was not wanted is put up with", ["[MQTT5-U-3.1.2.11.7-2]"],
        Says(|_, p| properties(p, |values| values.reason_string = None));
    "a PUBLISH that comes again is taken for a new one", ["[MQTT-4.3.3-10]"],
        Says(|_, p| publish(p, |open| open.id += u16::from(open.dup)));
    "a new PUBLISH is taken for an old one", ["[MQTT-4.3.3-12]", "[MQTT-4.3.2-5]"],
        Says(|m, p| {
            m.count += usize::from(kind(p) == 3);
            if kind(p) == 3 && m.count == 2 { Step::lost() } else { Step::on(p) }
        });
    "a byte order mark is stripped", ["[MQTT-1.5.4-3]"],
        Says(|_, p| publish(p, |open| open.topic = open.topic.replace('\u{FEFF}', "")));
    "an answer of 0x80 is not heard", ["[MQTT-4.4.0-2]"],
        Says(|_, p| match read(p) {
            Some(Packet::PubAck(ack)) if ack.reason.is_error() => Step::lost(),
            Some(Packet::PubRec(ack)) if ack.reason.is_error() => Step::lost(),
            _ => Step::on(p),
        });
    "a PUBREC is not heard", ["[MQTT-4.3.3-4]"], Says(|_, p| lose(p, 5));
    "a PUBREL is not heard", ["[MQTT-4.3.3-11]", "[MQTT-4.3.3-13]"], Says(|_, p| lose(p, 6));
    "a message is not heard", ["[MQTT-4.5.0-2]", "[MQTT-3.3.4-1]"], Says(|_, p| lose(p, 3));
};
