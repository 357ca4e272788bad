//! Topic Aliases, in both directions.

use mqtt_tests::scripted::{connect, hex, publish, subscribe};

use crate::{
    finding::{Outcome, ensure, skip},
    trial::Trial,
};

table! {
    every_alias_up_to_the_maximum_is_accepted:
        "[MQTT-3.3.2-12]";
    an_alias_ends_with_its_connection:
        "[MQTT-3.3.2-7]";
    a_client_without_aliases_gets_none:
        "[MQTT-3.1.2-27]";
    aliases_keep_to_the_maximum_of_the_client:
        "[MQTT-3.1.2-26]", "[MQTT-3.3.2-11]";
}

fn every_alias_up_to_the_maximum_is_accepted(t: &Trial) -> Outcome {
    let maximum = t.needs_alias()?;
    let mut client = t.client("aliases")?;
    let topics = [t.topic("first"), t.topic("second")];
    for (id, topic) in (1..).zip(&topics) {
        client.subscribed(subscribe(id, topic))?;
    }
    let [first, second] = &topics;
    // Set, used, and set anew; at both ends of the range.
    for alias in [1, maximum] {
        client.send(publish(first, "set").alias(alias))?;
        client.send(publish("", "used").alias(alias))?;
        client.send(publish(second, "anew").alias(alias))?;
        client.send(publish("", "used").alias(alias))?;
        for topic in [first, first, second, second] {
            let message = client.message()?;
            ensure(message.topic == *topic, || {
                format!("alias {alias}: {:?} came, not {topic:?}", message.topic)
            })?;
        }
    }
    Ok(())
}

fn an_alias_ends_with_its_connection(t: &Trial) -> Outcome {
    t.needs_alias()?;
    let mut client = t.connect(t.lasting("aliases"))?;
    client.publish(publish(&t.topic("a"), "set").alias(1))?;
    client.fence()?;
    client.disconnect()?;
    let mut client = t.resume("aliases")?;
    client.send(hex("30 07 0000 03 23 0001 78"))?;
    client.refused(&[0x82, 0x94])
}

/// Enough messages of few topics that a broker which uses aliases uses them.
fn traffic(t: &Trial, maximum: Option<u16>) -> Outcome<Vec<crate::message::Message>> {
    let mut script = connect(&t.id("reader"));
    if let Some(maximum) = maximum {
        script = script.alias_maximum(maximum);
    }
    let mut reader = t.connect(script)?;
    let topics = ["a", "b", "c"].map(|tail| t.topic(tail));
    for (id, topic) in (1..).zip(&topics) {
        reader.subscribed(subscribe(id, topic))?;
    }
    let mut writer = t.client("writer")?;
    for topic in topics.iter().cycle().take(12) {
        writer.publish(publish(topic, "a"))?;
    }
    t.arrived(&mut writer, &mut reader)
}

fn a_client_without_aliases_gets_none(t: &Trial) -> Outcome {
    for maximum in [None, Some(0)] {
        let messages = traffic(t, maximum)?;
        ensure(messages.len() == 12, || format!("{} of 12 messages came", messages.len()))?;
        let none = messages.iter().all(|message| message.properties.topic_alias.is_none());
        ensure(none, || "a Topic Alias came".to_owned())?;
    }
    Ok(())
}

fn aliases_keep_to_the_maximum_of_the_client(t: &Trial) -> Outcome {
    // The referee looks at each of them.
    let messages = traffic(t, Some(2))?;
    ensure(messages.len() == 12, || format!("{} of 12 messages came", messages.len()))?;
    if messages.iter().all(|message| message.properties.topic_alias.is_none()) {
        return skip("the broker sends no Topic Aliases");
    }
    Ok(())
}
