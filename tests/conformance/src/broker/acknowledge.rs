//! QoS 1 and QoS 2 as the broker receives them.

use std::time::Duration;

use mqtt_tests::scripted::{publish, pubrel, subscribe};

use super::session::pass;
use crate::{
    connection::Connection,
    finding::{Outcome, ensure, skip},
    trial::Trial,
};

table! {
    a_publish_is_answered_as_its_qos_demands:
        "[MQTT-3.3.4-1]", "[MQTT-2.2.1-5]", "[MQTT-4.3.2-4]", "[MQTT-4.3.3-8]",
        "[MQTT-4.3.3-11]", "[MQTT-3.4.2-1]", "[MQTT-3.5.2-1]", "[MQTT-3.7.2-1]";
    after_its_puback_a_packet_identifier_names_a_new_message:
        "[MQTT-4.3.2-5]";
    until_pubrel_a_repeated_publish_is_answered_and_not_delivered:
        "[MQTT-4.3.3-10]";
    after_its_pubcomp_a_packet_identifier_names_a_new_message:
        "[MQTT-4.3.3-12]";
    a_repeated_publish_of_a_resumed_session_is_not_delivered_twice:
        "[MQTT-4.3.3-10]";
    an_exchange_is_completed_although_its_message_has_expired:
        "[MQTT-4.3.3-13]";
    after_a_pubrec_of_0x80_a_packet_identifier_names_a_new_message:
        "[MQTT-4.3.3-9]";
    acknowledgements_keep_to_the_maximum_packet_size:
        "[MQTT-3.4.2-2]", "[MQTT-3.4.2-3]", "[MQTT-3.5.2-2]", "[MQTT-3.5.2-3]",
        "[MQTT-3.6.2-2]", "[MQTT-3.6.2-3]", "[MQTT-3.7.2-2]", "[MQTT-3.7.2-3]",
        "[MQTT-3.9.2-1]", "[MQTT-3.9.2-2]", "[MQTT-3.11.2-1]", "[MQTT-3.11.2-2]";
    a_client_that_wants_no_problem_information_gets_none:
        "[MQTT-3.1.2-29]";
    both_sides_number_their_packets_by_themselves:
        "[MQTT-2.2.1-4]", "[MQTT-2.2.1-5]";
}

/// A subscriber at the highest QoS.
fn witness(t: &Trial, topic: &str) -> Outcome<Connection> {
    let mut witness = t.client("witness")?;
    witness.subscribed(subscribe(1, topic).qos(t.offer().maximum_qos))?;
    Ok(witness)
}

fn texts(t: &Trial, publisher: &mut Connection, witness: &mut Connection) -> Outcome<Vec<String>> {
    // QoS 2 comes one exchange at a time, so they are finished as they come.
    let mut texts = Vec::new();
    loop {
        let messages = t.arrived(publisher, witness)?;
        if messages.is_empty() {
            return Ok(texts);
        }
        for message in messages {
            witness.acknowledge(&message)?;
            texts.push(message.text());
        }
    }
}

fn a_publish_is_answered_as_its_qos_demands(t: &Trial) -> Outcome {
    let mut client = t.client("publisher")?;
    let topic = t.topic("a");
    for qos in 0..=t.offer().maximum_qos {
        client.publish(publish(&topic, "a").qos(qos, 7))?;
        client.fence()?;
        let left = client.left();
        ensure(left.is_empty(), || format!("at QoS {qos} {left:?} came too"))?;
    }
    Ok(())
}

fn after_its_puback_a_packet_identifier_names_a_new_message(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    let topic = t.topic("a");
    let (mut witness, mut client) = (witness(t, &topic)?, t.client("publisher")?);
    client.publish(publish(&topic, "one").qos1(7))?;
    client.publish(publish(&topic, "two").qos1(7).dup())?;
    let texts = texts(t, &mut client, &mut witness)?;
    ensure(texts == ["one", "two"], || format!("{texts:?} were delivered"))
}

fn until_pubrel_a_repeated_publish_is_answered_and_not_delivered(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let (mut witness, mut client) = (witness(t, &topic)?, t.client("publisher")?);
    client.send(publish(&topic, "one").qos2(7))?;
    client.pubrec(7)?;
    client.send(publish(&topic, "one").qos2(7).dup())?;
    client.pubrec(7)?;
    client.send(pubrel(7))?;
    client.pubcomp(7)?;
    let texts = texts(t, &mut client, &mut witness)?;
    ensure(texts == ["one"], || format!("{texts:?} were delivered"))
}

fn after_its_pubcomp_a_packet_identifier_names_a_new_message(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let (mut witness, mut client) = (witness(t, &topic)?, t.client("publisher")?);
    client.publish(publish(&topic, "one").qos2(7))?;
    client.publish(publish(&topic, "two").qos2(7).dup())?;
    let texts = texts(t, &mut client, &mut witness)?;
    ensure(texts == ["one", "two"], || format!("{texts:?} were delivered"))
}

fn a_repeated_publish_of_a_resumed_session_is_not_delivered_twice(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let mut witness = witness(t, &topic)?;
    let mut client = t.connect(t.lasting("publisher"))?;
    client.send(publish(&topic, "one").qos2(7))?;
    client.pubrec(7)?;
    client.cut();
    let mut client = t.resume("publisher")?;
    client.send(publish(&topic, "one").qos2(7).dup())?;
    client.pubrec(7)?;
    client.send(pubrel(7))?;
    client.pubcomp(7)?;
    let texts = texts(t, &mut client, &mut witness)?;
    client.disconnect()?;
    ensure(texts == ["one"], || format!("{texts:?} were delivered"))
}

fn an_exchange_is_completed_although_its_message_has_expired(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let mut client = t.client("publisher")?;
    client.send(publish(&t.topic("a"), "one").qos2(7).expiry(1))?;
    client.pubrec(7)?;
    pass(Duration::from_millis(1500));
    client.send(pubrel(7))?;
    let reason = client.pubcomp(7)?;
    ensure(reason == 0, || format!("PUBCOMP 0x{reason:02X}"))
}

fn after_a_pubrec_of_0x80_a_packet_identifier_names_a_new_message(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let (mut witness, mut client) = (witness(t, &topic)?, t.client("publisher")?);
    // Most brokers keep this name for themselves.
    let denied = t.profile().denied_topic.clone().unwrap_or_else(|| "$SYS/conformance".to_owned());
    if client.publish(publish(&denied, "no").qos2(7))? < 0x80 {
        return skip("no PUBLISH is refused; profile: denied_topic");
    }
    client.publish(publish(&topic, "yes").qos2(7))?;
    let texts = texts(t, &mut client, &mut witness)?;
    ensure(texts == ["yes"], || format!("{texts:?} were delivered"))
}

/// Every exchange that makes a broker answer, refusals among them.
fn every_answer(t: &Trial, client: &mut Connection) -> Outcome {
    let topic = t.topic("a");
    let denied = t.profile().denied_topic.clone().unwrap_or_else(|| "$SYS/conformance".to_owned());
    for qos in 1..=t.offer().maximum_qos {
        client.publish(publish(&topic, "a").qos(qos, 7))?;
        client.publish(publish(&denied, "a").qos(qos, 8))?;
    }
    let filter = t.profile().denied_filter.clone().unwrap_or_else(|| t.topic("b"));
    client.subscribe(subscribe(9, &filter).and(&topic).qos(t.offer().maximum_qos))?;
    for qos in 0..=t.offer().maximum_qos {
        client.publish(publish(&topic, "a").qos(qos, 7))?;
        client.message()?;
    }
    // The second was never subscribed to.
    client.unsubscribe(mqtt_tests::scripted::unsubscribe(10, &[&topic, "conformance/none"]))?;
    // No message waits for this.
    client.send(pubrel(999))?;
    if client.pubcomp(999).is_err() && !client.is_closed() {
        return Ok(());
    }
    client.fence()
}

fn acknowledgements_keep_to_the_maximum_packet_size(t: &Trial) -> Outcome {
    let script = mqtt_tests::scripted::connect(&t.id("small")).packet_size(64);
    let mut client = t.connect(script)?;
    every_answer(t, &mut client)
}

fn a_client_that_wants_no_problem_information_gets_none(t: &Trial) -> Outcome {
    let script = mqtt_tests::scripted::connect(&t.id("silent"))
        .with(|properties| _ = properties.request_problem_information(false));
    let mut client = t.connect(script)?;
    every_answer(t, &mut client)
}

fn both_sides_number_their_packets_by_themselves(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let mut client = t.client("both")?;
    client.subscribed(subscribe(1, &topic).qos(2))?;
    // The broker will number its first one 1, and so do we.
    for _ in 0..3 {
        client.send(publish(&topic, "a").qos2(1))?;
        client.pubrec(1)?;
        client.send(pubrel(1))?;
        client.pubcomp(1)?;
        client.message()?;
    }
    Ok(())
}
