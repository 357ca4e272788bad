//! What a client does with its session when the connection is lost.

use mqtt_tests::scripted::{puback, pubcomp, pubrec};

use super::{
    guest::{Guest, Stage},
    table,
};
use crate::{
    finding::{Outcome, ensure},
    message::Message,
};

table! {
    a_client_that_comes_back_continues_its_session:
        "[MQTT-3.1.2-23]", "[MQTT-3.1.3-2]", "[MQTT-4.1.0-1]";
    what_was_not_acknowledged_is_sent_again:
        "[MQTT-4.4.0-1]", "[MQTT-3.3.1-1]", "[MQTT-4.3.2-3]", "[MQTT-4.3.3-3]", "[MQTT-4.6.0-1]";
    a_pubrel_without_pubcomp_is_sent_again:
        "[MQTT-4.3.3-5]", "[MQTT-4.3.3-6]";
    an_answer_of_0x80_acknowledges:
        "[MQTT-4.4.0-2]";
    a_session_that_the_server_lost_is_begun_anew:
        "[MQTT-3.2.2-5]";
}

/// The four messages of the scenario: two at QoS 1, then two at QoS 2.
fn four(guest: &mut Guest) -> Outcome<Vec<Message>> {
    (0..4).map(|_| guest.connection.publication()).collect()
}

fn begun(stage: &Stage) -> Outcome<(Guest, Vec<Message>)> {
    let (mut guest, _) = stage.connected("resume", |_| {})?;
    let messages = four(&mut guest)?;
    Ok((guest, messages))
}

/// It comes back, and the session is there.
fn back(guest: &mut Guest) -> Outcome {
    guest.cut();
    let asked = guest.comes_back()?;
    ensure(!asked.clean_start, || "it came back with Clean Start 1".to_owned())?;
    guest.accept(true, |_| {})
}

fn a_client_that_comes_back_continues_its_session(stage: &Stage) -> Outcome {
    let mut guest = stage.start("resume")?;
    let first = guest.asked()?;
    guest.accept(false, |_| {})?;
    four(&mut guest)?;
    guest.cut();
    let second = guest.comes_back()?;
    ensure(!second.clean_start, || "it came back with Clean Start 1".to_owned())?;
    ensure(second.client_id == first.client_id, || "it came back as another".to_owned())?;
    let expiry = second.properties.session_expiry_interval;
    ensure(expiry.is_some_and(|seconds| seconds > 0), || "its session ends at once".to_owned())
}

fn what_was_not_acknowledged_is_sent_again(stage: &Stage) -> Outcome {
    let (mut guest, first) = begun(stage)?;
    back(&mut guest)?;
    for (message, again) in first.iter().zip(four(&mut guest)?) {
        let same = again.id == message.id && again.payload == message.payload;
        ensure(same && again.dup, || format!("{:?} came, DUP {}", again.text(), again.dup))?;
        guest.connection.acknowledge(&again)?;
    }
    guest.leaves()
}

fn a_pubrel_without_pubcomp_is_sent_again(stage: &Stage) -> Outcome {
    let (mut guest, messages) = begun(stage)?;
    for message in &messages {
        match message.qos {
            1 => guest.connection.send(puback(message.id))?,
            _ => {
                guest.connection.send(pubrec(message.id))?;
                guest.connection.pubrel(message.id)?;
            }
        }
    }
    back(&mut guest)?;
    for message in messages.iter().filter(|message| message.qos == 2) {
        guest.connection.pubrel(message.id)?;
        guest.connection.send(pubcomp(message.id))?;
    }
    let again = guest.connection.arrived();
    ensure(again.is_empty(), || "PUBLISH came after its PUBREL".to_owned())?;
    guest.leaves()
}

fn an_answer_of_0x80_acknowledges(stage: &Stage) -> Outcome {
    let (mut guest, messages) = begun(stage)?;
    for message in &messages {
        let [high, low] = message.id.to_be_bytes();
        let first = if message.qos == 1 { 0x40 } else { 0x50 };
        guest.connection.send([first, 3, high, low, 0x97])?;
    }
    // The ping shows that the answers were read.
    guest.ping()?;
    back(&mut guest)?;
    guest.ping()?;
    let left = guest.connection.left();
    ensure(left.is_empty(), || format!("{left:?} came"))
}

fn a_session_that_the_server_lost_is_begun_anew(stage: &Stage) -> Outcome {
    let (mut guest, first) = begun(stage)?;
    guest.connection.send(pubrec(first.last().map_or(1, |message| message.id)))?;
    guest.connection.pubrel(first.last().map_or(1, |message| message.id))?;
    guest.cut();
    guest.comes_back()?;
    guest.accept(false, |_| {})?;
    // What it publishes now is new to the server, so no PUBREL belongs to anything.
    guest.ping()?;
    let left = guest.connection.left();
    let stale = left.contains(&mqtt_codec::PacketType::PubRel);
    let dup = guest.connection.arrived().iter().any(|message| message.dup);
    ensure(!stale && !dup, || "it went on with a session that is gone".to_owned())
}
