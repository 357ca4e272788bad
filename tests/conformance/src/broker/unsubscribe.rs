//! UNSUBSCRIBE and UNSUBACK.

use mqtt_tests::scripted::{pubcomp, publish, pubrec, subscribe, unsubscribe};

use crate::{
    finding::{Outcome, ensure},
    trial::Trial,
};

table! {
    every_unsubscribe_is_answered_by_its_unsuback:
        "[MQTT-3.10.4-4]", "[MQTT-3.10.4-5]", "[MQTT-2.2.1-6]";
    unsuback_has_a_reason_code_for_each_filter:
        "[MQTT-3.10.4-6]", "[MQTT-3.11.3-1]", "[MQTT-3.11.3-2]";
    only_the_very_same_filter_is_deleted:
        "[MQTT-3.10.4-1]";
    after_unsubscribe_nothing_new_comes:
        "[MQTT-3.10.4-2]";
    deliveries_that_have_begun_are_finished:
        "[MQTT-3.10.4-3]";
}

fn every_unsubscribe_is_answered_by_its_unsuback(t: &Trial) -> Outcome {
    let mut client = t.client("leaving")?;
    let topic = t.topic("a");
    client.subscribed(subscribe(1, &topic))?;
    // The second time there is nothing to be deleted.
    for id in [65_535, 2] {
        client.unsubscribe(unsubscribe(id, &[&topic]))?;
    }
    client.fence()?;
    ensure(client.left().is_empty(), || format!("{:?} came too", client.left()))
}

fn unsuback_has_a_reason_code_for_each_filter(t: &Trial) -> Outcome {
    let mut client = t.client("leaving")?;
    let topics = ["a", "b", "c"].map(|tail| t.topic(tail));
    let [a, b, c] = &topics;
    client.subscribed(subscribe(1, a).and(b))?;
    let reasons = client.unsubscribe(unsubscribe(2, &[a, b, c]))?;
    ensure(reasons == [0x00, 0x00, 0x11], || format!("UNSUBACK {reasons:02X?}"))?;
    let mut writer = t.client("writer")?;
    for topic in &topics {
        writer.publish(publish(topic, "a"))?;
    }
    let messages = t.arrived(&mut writer, &mut client)?;
    ensure(messages.is_empty(), || "a subscription is left".to_owned())
}

fn only_the_very_same_filter_is_deleted(t: &Trial) -> Outcome {
    t.needs_wildcards()?;
    let mut client = t.client("leaving")?;
    let topic = t.topic("one/two");
    let (one, many) = (t.topic("+/two"), t.topic("one/#"));
    client.subscribed(subscribe(1, &one))?;
    // Neither what it matches nor what matches the same is it.
    let reasons = client.unsubscribe(unsubscribe(2, &[&topic, &many, &t.topic("+/+")]))?;
    ensure(reasons == [0x11; 3], || format!("UNSUBACK {reasons:02X?}"))?;
    client.publish(publish(&topic, "a"))?;
    client.message()?;
    let reasons = client.unsubscribe(unsubscribe(3, &[&one]))?;
    ensure(reasons == [0x00], || format!("UNSUBACK {reasons:02X?}"))?;
    let mut writer = t.client("writer")?;
    writer.publish(publish(&topic, "a"))?;
    let messages = t.arrived(&mut writer, &mut client)?;
    ensure(messages.is_empty(), || "the subscription is there still".to_owned())
}

fn after_unsubscribe_nothing_new_comes(t: &Trial) -> Outcome {
    let mut client = t.client("leaving")?;
    let topic = t.topic("a");
    let qos = t.offer().maximum_qos;
    client.subscribed(subscribe(1, &topic).qos(qos))?;
    client.unsubscribe(unsubscribe(2, &[&topic]))?;
    let mut writer = t.client("writer")?;
    writer.publish(publish(&topic, "a").qos(qos, 1))?;
    let messages = t.arrived(&mut writer, &mut client)?;
    ensure(messages.is_empty(), || "a message came after UNSUBACK".to_owned())
}

fn deliveries_that_have_begun_are_finished(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let topic = t.topic("a");
    let mut client = t.connect(t.lasting("leaving"))?;
    client.subscribed(subscribe(1, &topic).qos(2))?;
    let mut writer = t.client("writer")?;
    writer.publish(publish(&topic, "a").qos2(1))?;
    let message = client.publication()?;
    client.unsubscribe(unsubscribe(2, &[&topic]))?;
    // It is sent again after a reconnect too.
    client.cut();
    let mut client = t.resume("leaving")?;
    let again = client.publication()?;
    ensure(again.id == message.id, || "another message came".to_owned())?;
    client.send(pubrec(again.id))?;
    client.pubrel(again.id)?;
    client.send(pubcomp(again.id))?;
    client.fence()?;
    client.disconnect()
}
