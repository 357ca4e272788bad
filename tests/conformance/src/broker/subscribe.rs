//! SUBSCRIBE and SUBACK.

use mqtt_tests::scripted::{publish, subscribe};

use crate::{
    finding::{Outcome, ensure, skip},
    trial::Trial,
};

table! {
    every_subscribe_is_answered_by_its_suback:
        "[MQTT-3.8.4-1]", "[MQTT-3.8.4-2]", "[MQTT-2.2.1-6]";
    suback_has_a_reason_code_for_each_filter:
        "[MQTT-3.8.4-5]", "[MQTT-3.8.4-6]", "[MQTT-3.9.3-1]", "[MQTT-3.9.3-2]";
    a_reason_code_gives_the_granted_qos_or_a_failure:
        "[MQTT-3.8.4-7]";
    subscribing_again_replaces_the_subscription:
        "[MQTT-3.8.4-3]";
    no_local_keeps_own_messages_away:
        "[MQTT-3.8.3-3]";
}

fn every_subscribe_is_answered_by_its_suback(t: &Trial) -> Outcome {
    let mut client = t.client("asking")?;
    for id in [1, 65_535, 256] {
        client.subscribed(subscribe(id, &t.topic("a")))?;
    }
    client.fence()?;
    ensure(client.left().is_empty(), || format!("{:?} came too", client.left()))
}

fn suback_has_a_reason_code_for_each_filter(t: &Trial) -> Outcome {
    let mut client = t.client("asking")?;
    let maximum = t.offer().maximum_qos;
    let topics = ["a", "b", "c", "d"].map(|tail| t.topic(tail));
    let [a, b, c, d] = &topics;
    let script = subscribe(1, a).qos(maximum).and(b).and(c).qos(maximum.min(1)).and(d);
    let reasons = client.subscribe(script)?;
    ensure(reasons == [maximum, 0, maximum.min(1), 0], || format!("SUBACK {reasons:?}"))?;
    for topic in &topics {
        client.publish(publish(topic, "a"))?;
        let message = client.message()?;
        ensure(message.topic == *topic, || format!("{:?} came", message.topic))?;
    }
    Ok(())
}

fn a_reason_code_gives_the_granted_qos_or_a_failure(t: &Trial) -> Outcome {
    let mut client = t.client("asking")?;
    for qos in 0..=2 {
        let reasons = client.subscribe(subscribe(1, &t.topic("a")).qos(qos))?;
        let ok = matches!(reasons.as_slice(), [reason] if *reason <= qos || *reason >= 0x80);
        ensure(ok, || format!("QoS {qos} was asked for, SUBACK {reasons:?}"))?;
    }
    Ok(())
}

fn subscribing_again_replaces_the_subscription(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    let mut client = t.client("again")?;
    let maximum = t.offer().maximum_qos;
    if maximum == 0 {
        return skip("the broker offers QoS 0 only, so both would look the same");
    }
    for qos in [maximum, 0, maximum] {
        client.subscribed(subscribe(1, &topic).qos(qos))?;
        client.publish(publish(&topic, "a").qos(maximum, 1))?;
        let message = client.message()?;
        ensure(message.qos == qos, || format!("it came at QoS {}, not {qos}", message.qos))?;
        client.fence()?;
        ensure(client.arrived().is_empty(), || "two subscriptions delivered".to_owned())?;
    }
    Ok(())
}

fn no_local_keeps_own_messages_away(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    let mut client = t.client("own")?;
    client.subscribed(subscribe(1, &topic).no_local())?;
    let mut other = t.client("other")?;
    client.publish(publish(&topic, "own"))?;
    client.fence()?;
    other.publish(publish(&topic, "of another"))?;
    let message = client.message()?;
    ensure(message.text() == "of another", || "its own message came".to_owned())?;
    client.fence()?;
    ensure(client.arrived().is_empty(), || "its own message came".to_owned())
}
