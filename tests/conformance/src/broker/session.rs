//! Sessions: what is kept, and for how long.

use std::time::{Duration, Instant};

use mqtt_tests::scripted::{connect, publish, subscribe};

use crate::{
    finding::{Outcome, ensure},
    trial::Trial,
};

table! { slow
    clean_start_1_throws_the_session_away:
        "[MQTT-3.1.2-4]", "[MQTT-3.1.4-4]", "[MQTT-3.2.2-2]";
    clean_start_0_continues_the_session:
        "[MQTT-3.1.2-5]", "[MQTT-3.1.2-23]", "[MQTT-3.2.2-3]";
    clean_start_0_without_a_session_begins_one:
        "[MQTT-3.1.2-6]", "[MQTT-3.2.2-3]";
    messages_are_kept_for_a_session_without_a_connection:
        "[MQTT-4.5.0-1]", "[MQTT-3.1.2-23]";
    a_session_without_expiry_ends_with_its_connection:
        "[MQTT-4.1.0-2]";
    an_expired_session_is_thrown_away:
        "[MQTT-4.1.0-2]";
    a_session_lasts_while_its_connection_is_open:
        "[MQTT-4.1.0-1]";
}

fn clean_start_1_throws_the_session_away(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    let mut client = t.connect(t.lasting("clean"))?;
    client.subscribed(subscribe(1, &topic))?;
    client.disconnect()?;
    let (mut client, accepted) = t.accepted(t.lasting("clean"))?;
    ensure(!accepted.session_present, || "Session Present 1 after Clean Start 1".to_owned())?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "a"))?;
    let messages = t.arrived(&mut publisher, &mut client)?;
    ensure(messages.is_empty(), || "a subscription survived Clean Start 1".to_owned())?;
    client.disconnect()
}

fn clean_start_0_continues_the_session(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    let mut client = t.connect(t.lasting("kept"))?;
    client.subscribed(subscribe(1, &topic))?;
    client.disconnect()?;
    let mut client = t.resume("kept")?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "a"))?;
    client.message()?;
    client.disconnect()
}

fn clean_start_0_without_a_session_begins_one(t: &Trial) -> Outcome {
    let (mut client, accepted) = t.accepted(t.lasting("new").resume())?;
    ensure(!accepted.session_present, || "Session Present 1, and there was none".to_owned())?;
    client.subscribed(subscribe(1, &t.topic("a")))?;
    client.disconnect()?;
    t.resume("new")?.disconnect()
}

fn messages_are_kept_for_a_session_without_a_connection(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    let topic = t.topic("a");
    let mut client = t.connect(t.lasting("away"))?;
    client.subscribed(subscribe(1, &topic).qos(1))?;
    client.cut();
    let mut publisher = t.client("publisher")?;
    // The broker sees the cut before this is published: the session is taken up again first.
    t.resume("away")?.disconnect()?;
    for text in ["one", "two"] {
        publisher.publish(publish(&topic, text).qos1(1))?;
    }
    let mut client = t.resume("away")?;
    for text in ["one", "two"] {
        let message = client.message()?;
        ensure(message.text() == text, || format!("{:?} came, not {text:?}", message.text()))?;
    }
    client.disconnect()
}

fn a_session_without_expiry_ends_with_its_connection(t: &Trial) -> Outcome {
    let mut client = t.client("brief")?;
    client.subscribed(subscribe(1, &t.topic("a")))?;
    client.disconnect()?;
    let (client, accepted) = t.accepted(connect(&t.id("brief")).resume())?;
    ensure(!accepted.session_present, || "the session outlived its connection".to_owned())?;
    client.disconnect()
}

fn an_expired_session_is_thrown_away(t: &Trial) -> Outcome {
    let mut client = t.connect(connect(&t.id("short")).expiry(1))?;
    client.subscribed(subscribe(1, &t.topic("a")))?;
    client.disconnect()?;
    pass(Duration::from_millis(2500));
    let (client, accepted) = t.accepted(t.lasting("short").resume())?;
    ensure(!accepted.session_present, || "the session is there 1.5 s after its end".to_owned())?;
    client.disconnect()
}

fn a_session_lasts_while_its_connection_is_open(t: &Trial) -> Outcome {
    let topic = t.topic("a");
    let mut client = t.connect(connect(&t.id("open")).expiry(1))?;
    client.subscribed(subscribe(1, &topic))?;
    // The interval begins when the connection ends, not before.
    pass(Duration::from_millis(2000));
    client.publish(publish(&topic, "a"))?;
    client.message()?;
    client.disconnect()
}

/// Lets a time of the protocol pass. What waits for an answer waits for the answer; this is for
/// statements about time itself.
pub(super) fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        std::thread::sleep(left);
    }
}
