//! What a message looks like to a subscriber.

use mqtt_codec::{PayloadFormat, TopicName};
use mqtt_tests::scripted::{connect, publish, subscribe};

use crate::{
    finding::{Outcome, ensure},
    message::Message,
    trial::Trial,
};

table! {
    a_message_arrives_as_it_was_published:
        "[MQTT-3.3.2-3]", "[MQTT-2.2.1-2]", "[MQTT-3.3.2-1]", "[MQTT-4.3.1-1]";
    the_payload_format_indicator_is_passed_on:
        "[MQTT-3.3.2-4]";
    the_response_topic_is_passed_on:
        "[MQTT-3.3.2-15]";
    the_correlation_data_is_passed_on:
        "[MQTT-3.3.2-16]";
    user_properties_are_passed_on_in_their_order:
        "[MQTT-3.3.2-17]", "[MQTT-3.3.2-18]";
    the_content_type_is_passed_on:
        "[MQTT-3.3.2-20]";
    dup_is_not_passed_on:
        "[MQTT-3.3.1-3]", "[MQTT-4.3.2-2]", "[MQTT-4.3.3-2]";
    a_message_goes_to_every_matching_subscriber:
        "[MQTT-4.5.0-1]";
    a_message_comes_at_the_lower_qos:
        "[MQTT-3.8.4-8]";
    a_packet_without_properties_says_so:
        "[MQTT-2.2.2-1]";
    a_message_too_large_for_a_client_is_dropped_for_it:
        "[MQTT-3.1.2-25]";
}

/// Publishes to a subscriber and returns what comes.
fn forward(
    t: &Trial,
    change: impl FnOnce(mqtt_tests::scripted::PublishScript) -> mqtt_tests::scripted::PublishScript,
) -> Outcome<Message> {
    let topic = t.topic("a");
    let mut reader = t.client("reader")?;
    reader.subscribed(subscribe(1, &topic).qos(t.offer().maximum_qos))?;
    let mut writer = t.client("writer")?;
    writer.publish(change(publish(&topic, "payload")))?;
    reader.message()
}

fn a_message_arrives_as_it_was_published(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    for qos in 0..=t.offer().maximum_qos {
        let message = forward(t, |publish| publish.qos(qos, 7))?;
        ensure(message.topic == topic, || format!("the topic came as {:?}", message.topic))?;
        ensure(message.payload == b"payload", || {
            format!("the payload came as {:?}", message.text())
        })?;
        ensure(message.qos == qos, || format!("QoS {qos} came as {}", message.qos))?;
        ensure(message.properties == Default::default(), || "properties were added".to_owned())?;
    }
    Ok(())
}

fn the_payload_format_indicator_is_passed_on(t: &Trial) -> Outcome {
    let text = PayloadFormat::Utf8;
    let message = forward(t, |p| p.with(|p| _ = p.payload_format_indicator(text)))?;
    let came = message.properties.payload_format_indicator;
    ensure(came == Some(text), || format!("it came as {came:?}"))
}

fn the_response_topic_is_passed_on(t: &Trial) -> Outcome {
    let topic = t.topic("answer");
    let message = forward(t, |publish| {
        publish.with(|p| {
            if let Ok(topic) = TopicName::new(&topic) {
                p.response_topic(topic);
            }
        })
    })?;
    let came = message.properties.response_topic;
    ensure(came.as_ref() == Some(&topic), || format!("it came as {came:?}"))
}

fn the_correlation_data_is_passed_on(t: &Trial) -> Outcome {
    // Binary data, with everything that no text may have.
    let data = [0, 0xFF, 0x80, 7];
    let message = forward(t, |publish| publish.with(|p| _ = p.correlation_data(&data).is_ok()))?;
    let came = message.properties.correlation_data;
    ensure(came.as_deref() == Some(&data), || format!("it came as {came:?}"))
}

fn user_properties_are_passed_on_in_their_order(t: &Trial) -> Outcome {
    let pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", "")];
    let message = forward(t, |publish| {
        publish.with(|p| {
            for (name, value) in pairs {
                let _set = p.user_property(name, value).is_ok();
            }
        })
    })?;
    let came = message.properties.user_properties;
    let same = came.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(pairs);
    ensure(same, || format!("they came as {came:?}"))
}

fn the_content_type_is_passed_on(t: &Trial) -> Outcome {
    let kind = "text/plain; charset=utf-8";
    let message = forward(t, |publish| publish.with(|p| _ = p.content_type(kind).is_ok()))?;
    let came = message.properties.content_type;
    ensure(came.as_deref() == Some(kind), || format!("it came as {came:?}"))
}

fn dup_is_not_passed_on(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    for qos in 1..=t.offer().maximum_qos {
        let message = forward(t, |publish| publish.qos(qos, 7).dup())?;
        ensure(!message.dup, || "DUP came, and the broker sent it once".to_owned())?;
    }
    Ok(())
}

fn a_message_goes_to_every_matching_subscriber(t: &Trial) -> Outcome {
    t.needs_wildcards()?;
    let topic = t.topic("one/two");
    let filters = [topic.clone(), t.topic("+/two"), t.topic("one/#")];
    let mut readers = Vec::new();
    for filter in &filters {
        let mut reader = t.client(&format!("reader{}", readers.len()))?;
        reader.subscribed(subscribe(1, filter))?;
        readers.push(reader);
    }
    let mut writer = t.client("writer")?;
    writer.publish(publish(&topic, "a"))?;
    for reader in &mut readers {
        let message = reader.message()?;
        ensure(message.topic == topic, || format!("{:?} came", message.topic))?;
    }
    Ok(())
}

fn a_message_comes_at_the_lower_qos(t: &Trial) -> Outcome {
    let maximum = t.offer().maximum_qos;
    for granted in 0..=maximum {
        for published in 0..=maximum {
            let topic = t.topic(&format!("{granted}/{published}"));
            let mut reader = t.client("reader")?;
            reader.subscribed(subscribe(1, &topic).qos(granted))?;
            reader.publish(publish(&topic, "a").qos(published, 7))?;
            let message = reader.message()?;
            ensure(message.qos == granted.min(published), || {
                format!("granted {granted}, published {published}: it came at {}", message.qos)
            })?;
        }
    }
    Ok(())
}

fn a_packet_without_properties_says_so(t: &Trial) -> Outcome {
    // Every packet that comes is read by the strictest of decoders, which misses the byte.
    let mut client = t.client("plain")?;
    let topic = t.topic("a");
    let reasons = client.subscribe(subscribe(1, &topic))?;
    ensure(reasons == [0], || format!("SUBACK {reasons:?}"))?;
    client.publish(publish(&topic, "payload"))?;
    let message = client.message()?;
    ensure(message.payload == b"payload", || format!("the payload came as {:?}", message.text()))?;
    let reasons = client.unsubscribe(mqtt_tests::scripted::unsubscribe(2, &[&topic]))?;
    ensure(reasons == [0], || format!("UNSUBACK {reasons:?}"))
}

fn a_message_too_large_for_a_client_is_dropped_for_it(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    let qos = t.offer().maximum_qos.min(1);
    let script = connect(&t.id("small")).packet_size(200).receive_maximum(1);
    let (mut small, mut large) = (t.connect(script)?, t.client("large")?);
    for client in [&mut small, &mut large] {
        client.subscribed(subscribe(1, &topic).qos(qos))?;
    }
    let mut writer = t.client("writer")?;
    writer.publish(publish(&topic, "x".repeat(300)).qos(qos, 1))?;
    writer.publish(publish(&topic, "short").qos(qos, 2))?;
    // To the small one it is as if the large message had been delivered: it takes no place.
    let message = small.message()?;
    ensure(message.text() == "short", || "a packet that is too large came".to_owned())?;
    let message = large.message()?;
    ensure(message.payload.len() == 300, || "it was dropped for others too".to_owned())
}
