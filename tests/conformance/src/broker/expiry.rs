//! Message Expiry.

use std::time::Duration;

use mqtt_tests::scripted::{publish, pubrec, subscribe};

use super::session::pass;
use crate::{
    finding::{Outcome, ensure, fail},
    trial::Trial,
};

table! { slow
    an_expired_message_is_not_delivered:
        "[MQTT-3.3.2-5]";
    a_message_says_how_long_it_has_left:
        "[MQTT-3.3.2-6]";
    an_expired_retained_message_is_gone:
        "[MQTT-3.3.2-5]";
    once_sent_a_message_does_not_expire:
        "[MQTT-4.3.3-7]";
}

fn an_expired_message_is_not_delivered(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    let topic = t.topic("a");
    let mut client = t.connect(t.lasting("away"))?;
    client.subscribed(subscribe(1, &topic).qos(1))?;
    client.disconnect()?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "short").qos1(1).expiry(1))?;
    publisher.publish(publish(&topic, "long").qos1(2).expiry(60))?;
    pass(Duration::from_millis(2100));
    let mut client = t.resume("away")?;
    let message = client.message()?;
    client.disconnect()?;
    ensure(message.text() == "long", || "a message came after its time".to_owned())
}

fn a_message_says_how_long_it_has_left(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    let topic = t.topic("a");
    let mut client = t.connect(t.lasting("away"))?;
    client.subscribed(subscribe(1, &topic).qos(1))?;
    client.disconnect()?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "a").qos1(1).expiry(60))?;
    pass(Duration::from_millis(2100));
    let mut client = t.resume("away")?;
    let message = client.message()?;
    client.disconnect()?;
    match message.properties.message_expiry_interval {
        // It waited for two seconds, and a broker may take a few more.
        Some(left) if (50..=58).contains(&left) => Ok(()),
        Some(left) => fail(format!("{left} s left of 60 after 2.1 s")),
        None => fail("the Message Expiry Interval is gone"),
    }
}

fn an_expired_retained_message_is_gone(t: &Trial) -> Outcome {
    t.needs_retain()?;
    let topic = t.topic("a");
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "short").retain().expiry(1))?;
    publisher.fence()?;
    pass(Duration::from_millis(2100));
    let retained = t.retained("later", subscribe(1, &topic))?;
    ensure(retained.is_empty(), || "a retained message came after its time".to_owned())
}

fn once_sent_a_message_does_not_expire(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let mut client = t.client("slow")?;
    client.subscribed(subscribe(1, &topic).qos(2))?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "a").qos2(1).expiry(1))?;
    let message = client.publication()?;
    pass(Duration::from_millis(1600));
    client.send(pubrec(message.id))?;
    client.pubrel(message.id)?;
    client.send(mqtt_tests::scripted::pubcomp(message.id))?;
    client.fence()
}
