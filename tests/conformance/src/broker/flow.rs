//! Receive Maximum: what a broker holds back, and what not.

use mqtt_tests::scripted::{connect, pubcomp, publish, pubrec, subscribe, unsubscribe};

use crate::{
    finding::{Outcome, ensure},
    trial::Trial,
};

table! {
    at_the_receive_maximum_no_more_is_sent:
        "[MQTT-3.3.4-9]", "[MQTT-4.9.0-1]", "[MQTT-4.9.0-2]";
    at_the_receive_maximum_everything_else_is_served:
        "[MQTT-3.3.4-10]", "[MQTT-4.9.0-3]";
    a_pubrec_frees_no_place_and_a_pubcomp_does:
        "[MQTT-3.3.4-9]";
    messages_of_a_topic_keep_their_order:
        "[MQTT-4.6.0-5]", "[MQTT-4.6.0-6]";
}

fn at_the_receive_maximum_no_more_is_sent(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    let topic = t.topic("a");
    let mut client = t.connect(connect(&t.id("narrow")).receive_maximum(2))?;
    client.subscribed(subscribe(1, &topic).qos(1))?;
    let mut publisher = t.client("publisher")?;
    for id in 1..=5 {
        publisher.publish(publish(&topic, format!("{id}")).qos1(id))?;
    }
    for round in 1..=5 {
        // The broker has taken them all, so what it may send is on its way.
        client.fence()?;
        let message = client.publication()?;
        ensure(message.text() == round.to_string(), || format!("{:?} came", message.text()))?;
        client.acknowledge(&message)?;
    }
    client.fence()
}

fn at_the_receive_maximum_everything_else_is_served(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    let topic = t.topic("a");
    let mut client = t.connect(connect(&t.id("narrow")).receive_maximum(1))?;
    client.subscribed(subscribe(1, &topic).qos(1))?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "first").qos1(1))?;
    publisher.publish(publish(&topic, "second").qos1(2))?;
    let first = client.publication()?;
    // Nothing of this needs a place in the quota.
    client.fence()?;
    client.subscribed(subscribe(2, &t.topic("b")))?;
    client.publish(publish(&t.topic("b"), "unnumbered"))?;
    let message = client.publication()?;
    ensure(message.text() == "unnumbered", || format!("{:?} came", message.text()))?;
    client.publish(publish(&t.topic("c"), "numbered").qos1(3))?;
    client.unsubscribe(unsubscribe(4, &[&t.topic("b")]))?;
    client.acknowledge(&first)?;
    client.message()?;
    client.fence()
}

fn a_pubrec_frees_no_place_and_a_pubcomp_does(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let mut client = t.connect(connect(&t.id("narrow")).receive_maximum(1))?;
    client.subscribed(subscribe(1, &topic).qos(2))?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "first").qos2(1))?;
    publisher.publish(publish(&topic, "second").qos2(2))?;
    let first = client.publication()?;
    client.send(pubrec(first.id))?;
    client.pubrel(first.id)?;
    client.fence()?;
    ensure(client.left().is_empty(), || "more came before PUBCOMP".to_owned())?;
    client.send(pubcomp(first.id))?;
    client.message()?;
    client.fence()
}

fn messages_of_a_topic_keep_their_order(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    for qos in 0..=t.offer().maximum_qos {
        let mut client = t.client("reader")?;
        client.subscribed(subscribe(1, &topic).qos(qos))?;
        let mut publisher = t.client("publisher")?;
        for number in 1..=20 {
            publisher.publish(publish(&topic, number.to_string()).qos(qos, number))?;
        }
        for number in 1..=20 {
            let message = client.message()?;
            ensure(message.text() == number.to_string(), || {
                format!("QoS {qos}: {:?} came, not {number}", message.text())
            })?;
        }
        client.disconnect()?;
    }
    Ok(())
}
