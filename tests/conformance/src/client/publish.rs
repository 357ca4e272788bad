//! What a client publishes, and what it makes of the answers.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use mqtt_codec::{Packet, QoS};
use mqtt_tests::scripted::{puback, pubcomp, pubrec};

use super::{
    guest::{Guest, Stage},
    table,
};
use crate::{
    finding::{Outcome, ensure, fail},
    message::Message,
};

table! {
    messages_come_as_they_were_published:
        "[MQTT-3.3.2-1]", "[MQTT-2.2.1-2]", "[MQTT-4.3.1-1]", "[MQTT-3.2.2-18]";
    a_client_keeps_to_the_receive_maximum:
        "[MQTT-3.3.4-7]", "[MQTT-4.9.0-1]", "[MQTT-4.9.0-2]";
    at_the_receive_maximum_other_packets_are_sent:
        "[MQTT-3.3.4-8]", "[MQTT-4.9.0-3]";
    every_message_has_a_number_of_its_own:
        "[MQTT-2.2.1-3]", "[MQTT-4.3.2-1]", "[MQTT-4.3.2-2]", "[MQTT-4.3.3-1]", "[MQTT-4.3.3-2]";
    a_pubrec_is_answered_by_a_pubrel:
        "[MQTT-4.3.3-4]", "[MQTT-2.2.1-5]", "[MQTT-3.6.1-1]", "[MQTT-3.6.2-1]";
    pubrels_follow_the_order_of_the_pubrecs:
        "[MQTT-4.6.0-4]";
    a_pubrec_of_0x80_ends_the_exchange:
        "[MQTT-4.3.3-4]";
    a_client_publishes_at_no_higher_qos_than_is_offered:
        "[MQTT-3.2.2-11]";
    a_client_retains_nothing_where_nothing_is_retained:
        "[MQTT-3.2.2-14]";
    a_client_sends_no_packet_that_is_too_large:
        "[MQTT-3.2.2-15]";
    a_pubrel_keeps_to_the_maximum_packet_size:
        "[MQTT-3.6.2-2]", "[MQTT-3.6.2-3]";
    a_client_keeps_to_the_topic_alias_maximum:
        "[MQTT-3.2.2-17]", "[MQTT-3.3.2-9]";
}

/// How many messages the scenario publishes.
const COUNT: usize = 5;

/// The next message, which has to be this one.
fn message(guest: &mut Guest, number: usize, qos: u8) -> Outcome<Message> {
    let message = guest.connection.publication()?;
    let payload = format!("{number:.<64}");
    ensure(message.qos == qos && message.text() == payload, || {
        format!("message {number}: {:?} came at QoS {}", message.text(), message.qos)
    })?;
    Ok(message)
}

fn messages_come_as_they_were_published(stage: &Stage) -> Outcome {
    for qos in 0..=2 {
        let (mut guest, _) = stage.connected(&format!("publish{qos}"), |_| {})?;
        for number in 1..=COUNT {
            let message = message(&mut guest, number, qos)?;
            let topic = format!("conformance/{number}");
            ensure(message.topic == topic, || format!("{:?} came", message.topic))?;
            finish(&mut guest, &message)?;
        }
        guest.leaves()?;
    }
    Ok(())
}

/// Answers a message to the end of its exchange.
fn finish(guest: &mut Guest, message: &Message) -> Outcome {
    guest.connection.acknowledge(message)
}

fn limited(stage: &Stage, qos: u8, maximum: u16) -> Outcome<Guest> {
    let maximum = NonZeroU16::new(maximum).unwrap_or(NonZeroU16::MIN);
    let scenario = format!("publish{qos}");
    let (guest, _) = stage.connected(&scenario, |p| _ = p.receive_maximum(maximum))?;
    Ok(guest)
}

fn a_client_keeps_to_the_receive_maximum(stage: &Stage) -> Outcome {
    for qos in 1..=2 {
        let mut guest = limited(stage, qos, 2)?;
        for number in 1..=COUNT {
            let message = message(&mut guest, number, qos)?;
            finish(&mut guest, &message)?;
        }
        guest.leaves()?;
    }
    Ok(())
}

fn at_the_receive_maximum_other_packets_are_sent(stage: &Stage) -> Outcome {
    let mut guest = limited(stage, 1, 2)?;
    let first = [message(&mut guest, 1, 1)?, message(&mut guest, 2, 1)?];
    // It has more to say, may not, and pings all the same; what else it sent came before.
    guest.ping()?;
    let early = guest.connection.arrived();
    ensure(early.is_empty(), || "a third message came".to_owned())?;
    for message in &first {
        finish(&mut guest, message)?;
    }
    for number in 3..=COUNT {
        let message = message(&mut guest, number, 1)?;
        finish(&mut guest, &message)?;
    }
    guest.leaves()
}

fn every_message_has_a_number_of_its_own(stage: &Stage) -> Outcome {
    for qos in 1..=2 {
        let (mut guest, _) = stage.connected(&format!("publish{qos}"), |_| {})?;
        let mut all = Vec::new();
        for number in 1..=COUNT {
            all.push(message(&mut guest, number, qos)?);
        }
        for message in &all {
            ensure(message.id > 0 && !message.dup, || "0, or DUP".to_owned())?;
            finish(&mut guest, message)?;
        }
        guest.leaves()?;
    }
    Ok(())
}

fn a_pubrec_is_answered_by_a_pubrel(stage: &Stage) -> Outcome {
    let mut guest = limited(stage, 2, 1)?;
    for number in 1..=COUNT {
        let message = message(&mut guest, number, 2)?;
        guest.connection.send(pubrec(message.id))?;
        guest.connection.pubrel(message.id)?;
        let early = guest.connection.arrived();
        ensure(early.is_empty(), || "PUBREC made room for a message".to_owned())?;
        guest.connection.send(pubcomp(message.id))?;
    }
    guest.leaves()
}

fn pubrels_follow_the_order_of_the_pubrecs(stage: &Stage) -> Outcome {
    let (mut guest, _) = stage.connected("publish2", |_| {})?;
    let mut ids = Vec::new();
    for number in 1..=COUNT {
        ids.push(message(&mut guest, number, 2)?.id);
    }
    // Not in the order in which they came.
    ids.rotate_left(2);
    ids.reverse();
    for id in &ids {
        guest.connection.send(pubrec(*id))?;
    }
    for id in &ids {
        let next = guest.connection.wait("PUBREL", |packet| match packet {
            Packet::PubRel(pubrel) => Some(pubrel.packet_id.get()),
            _ => None,
        })?;
        ensure(next == *id, || format!("PUBREL {next}, and {id} was due"))?;
        guest.connection.send(pubcomp(*id))?;
    }
    guest.leaves()
}

fn a_pubrec_of_0x80_ends_the_exchange(stage: &Stage) -> Outcome {
    let mut guest = limited(stage, 2, 1)?;
    for number in 1..=COUNT {
        let message = message(&mut guest, number, 2)?;
        let [high, low] = message.id.to_be_bytes();
        guest.connection.send([0x50, 3, high, low, 0x97])?;
    }
    // The next message came although there was no PUBREL, and there is none.
    guest.ping()?;
    let left = guest.connection.left();
    ensure(left.is_empty(), || format!("{left:?} came"))
}

/// A client that can't do what its scenario asks says so, or does less. It never goes on.
fn does_not(
    stage: &Stage,
    scenario: &str,
    build: impl FnOnce(&mut mqtt_codec::PropertyBuf),
    is_wrong: impl Fn(&Message) -> bool,
) -> Outcome {
    let (mut guest, _) = stage.connected(scenario, build)?;
    loop {
        let patience = guest.connection.patience() + Duration::from_secs(3);
        let next = guest.connection.wait_for("an end", patience, |packet| match packet {
            Packet::Publish(publish) => Some(Some(Message::from(publish))),
            Packet::Disconnect(_) | Packet::PingReq => Some(None),
            _ => None,
        });
        match next {
            Ok(Some(message)) if is_wrong(&message) => {
                return fail(format!("{:?} came at QoS {}", message.text(), message.qos));
            }
            Ok(Some(message)) => match message.qos {
                1 => guest.connection.send(puback(message.id))?,
                _ => finish(&mut guest, &message)?,
            },
            Ok(None) => return Ok(()),
            Err(_) if guest.connection.is_closed() => return Ok(()),
            Err(finding) => return Err(finding),
        }
    }
}

fn a_client_publishes_at_no_higher_qos_than_is_offered(stage: &Stage) -> Outcome {
    for (maximum, limit) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1)] {
        does_not(stage, "publish2", |p| _ = p.maximum_qos(maximum), |m| m.qos > limit)?;
    }
    Ok(())
}

fn a_client_retains_nothing_where_nothing_is_retained(stage: &Stage) -> Outcome {
    // It can, where it may.
    let (mut guest, _) = stage.connected("retain", |_| {})?;
    let message = guest.connection.publication()?;
    ensure(message.retain, || "the scenario publishes with RETAIN 1".to_owned())?;
    finish(&mut guest, &message)?;
    does_not(stage, "retain", |p| _ = p.retain_available(false), |message| message.retain)
}

fn a_client_sends_no_packet_that_is_too_large(stage: &Stage) -> Outcome {
    let small = NonZeroU32::new(40).unwrap_or(NonZeroU32::MIN);
    does_not(stage, "publish1", |p| _ = p.maximum_packet_size(small), |_| true)
}

fn a_client_keeps_to_the_topic_alias_maximum(stage: &Stage) -> Outcome {
    let (mut guest, _) = stage.connected("publish0", |p| _ = p.topic_alias_maximum(2))?;
    for number in 1..=COUNT {
        message(&mut guest, number, 0)?;
    }
    guest.leaves()
}

fn a_pubrel_keeps_to_the_maximum_packet_size(stage: &Stage) -> Outcome {
    let small = NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN);
    let (mut guest, _) = stage.connected("publish2", |p| _ = p.maximum_packet_size(small))?;
    for number in 1..=COUNT {
        let message = message(&mut guest, number, 2)?;
        finish(&mut guest, &message)?;
    }
    guest.leaves()
}
