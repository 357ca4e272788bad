//! What a broker sends again, and what it finishes, when a client comes back.

use std::time::Duration;

use mqtt_codec::PubAckReason;
use mqtt_tests::scripted::{puback_with, pubcomp, publish, pubrec, pubrec_with, subscribe};

use super::session::pass;
use crate::{
    connection::Connection,
    finding::{Outcome, ensure},
    message::Message,
    trial::Trial,
};

table! { slow
    an_unacknowledged_publish_is_sent_again_on_resuming:
        "[MQTT-4.4.0-1]", "[MQTT-3.3.1-1]", "[MQTT-4.3.2-3]", "[MQTT-4.3.3-3]";
    an_unacknowledged_pubrel_is_sent_again_on_resuming:
        "[MQTT-4.4.0-1]", "[MQTT-4.3.3-5]", "[MQTT-4.3.3-6]";
    a_pubrec_is_answered_by_a_pubrel:
        "[MQTT-4.3.3-4]", "[MQTT-3.6.2-1]", "[MQTT-3.6.1-1]";
    nothing_is_sent_again_on_an_open_connection:
        "[MQTT-4.4.0-1]";
    an_answer_of_0x80_acknowledges:
        "[MQTT-4.4.0-2]", "[MQTT-4.3.3-4]";
}

/// A client that has been sent a message of this QoS and has not answered it.
fn owing(t: &Trial, qos: u8) -> Outcome<(Connection, Message)> {
    let topic = t.topic("a");
    let mut client = t.connect(t.lasting("owing"))?;
    client.subscribed(subscribe(1, &topic).qos(qos))?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "a").qos(qos, 7))?;
    let message = client.publication()?;
    Ok((client, message))
}

fn an_unacknowledged_publish_is_sent_again_on_resuming(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    for qos in 1..=t.offer().maximum_qos {
        let (client, first) = owing(t, qos)?;
        client.cut();
        let mut client = t.resume("owing")?;
        let again = client.message()?;
        ensure(again.dup, || "DUP is 0 the second time".to_owned())?;
        ensure(again.id == first.id, || format!("{} came back as {}", first.id, again.id))?;
        ensure(again.text() == "a" && again.qos == qos, || "another message came".to_owned())?;
        client.fence()?;
        client.disconnect()?;
    }
    Ok(())
}

fn an_unacknowledged_pubrel_is_sent_again_on_resuming(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let (mut client, message) = owing(t, 2)?;
    client.send(pubrec(message.id))?;
    client.pubrel(message.id)?;
    client.cut();
    let mut client = t.resume("owing")?;
    client.pubrel(message.id)?;
    client.send(pubcomp(message.id))?;
    client.fence()?;
    ensure(client.arrived().is_empty(), || "PUBLISH came after its PUBREL".to_owned())?;
    client.disconnect()
}

fn a_pubrec_is_answered_by_a_pubrel(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let (mut client, message) = owing(t, 2)?;
    client.send(pubrec(message.id))?;
    client.pubrel(message.id)?;
    client.send(pubcomp(message.id))?;
    client.fence()?;
    ensure(client.left().is_empty(), || format!("{:?} came too", client.left()))?;
    client.disconnect()
}

fn nothing_is_sent_again_on_an_open_connection(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    for qos in 1..=t.offer().maximum_qos {
        let (mut client, _) = owing(t, qos)?;
        pass(Duration::from_millis(1500));
        client.fence()?;
        ensure(client.left().is_empty(), || format!("{:?} came", client.left()))?;
        client.cut();
    }
    Ok(())
}

fn an_answer_of_0x80_acknowledges(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    for qos in 1..=t.offer().maximum_qos {
        let (mut client, message) = owing(t, qos)?;
        client.send(match qos {
            1 => puback_with(message.id, PubAckReason::ImplementationSpecificError),
            _ => pubrec_with(message.id, PubAckReason::ImplementationSpecificError),
        })?;
        client.fence()?;
        ensure(client.left().is_empty(), || format!("QoS {qos}: {:?} came", client.left()))?;
        client.cut();
        let mut client = t.resume("owing")?;
        client.fence()?;
        ensure(client.left().is_empty(), || format!("QoS {qos}: {:?} came", client.left()))?;
        client.disconnect()?;
    }
    Ok(())
}
