//! Retained messages.

use mqtt_tests::scripted::{publish, subscribe, unsubscribe};

use crate::{
    connection::Connection,
    finding::{Outcome, ensure},
    trial::Trial,
};

table! {
    a_retained_message_takes_the_place_of_the_one_before:
        "[MQTT-3.3.1-5]";
    an_empty_retained_message_clears_and_is_forwarded:
        "[MQTT-3.3.1-6]", "[MQTT-3.3.1-7]";
    a_message_without_retain_changes_nothing:
        "[MQTT-3.3.1-8]";
    retain_handling_0_sends_retained_messages:
        "[MQTT-3.3.1-9]";
    retain_handling_1_sends_them_to_new_subscriptions_only:
        "[MQTT-3.3.1-10]";
    retain_handling_2_sends_none:
        "[MQTT-3.3.1-11]";
    retain_as_published_0_clears_the_flag:
        "[MQTT-3.3.1-12]";
    retain_as_published_1_keeps_the_flag:
        "[MQTT-3.3.1-13]";
    replacing_a_subscription_sends_retained_messages_again:
        "[MQTT-3.8.4-4]";
}

/// A client that has stored a retained message.
fn stored(t: &Trial, text: &str) -> Outcome<Connection> {
    t.needs_retain()?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&t.topic("a"), text).retain())?;
    publisher.fence()?;
    Ok(publisher)
}

/// The text of the retained message, if there is one.
fn kept(t: &Trial) -> Outcome<Vec<String>> {
    let retained = t.retained("later", subscribe(1, &t.topic("a")))?;
    let flagged = retained.iter().all(|message| message.retain);
    ensure(flagged, || "a retained message came with RETAIN 0".to_owned())?;
    Ok(retained.iter().map(crate::message::Message::text).collect())
}

fn a_retained_message_takes_the_place_of_the_one_before(t: &Trial) -> Outcome {
    stored(t, "old")?;
    stored(t, "new")?;
    let kept = kept(t)?;
    ensure(kept == ["new"], || format!("{kept:?} is retained"))
}

fn an_empty_retained_message_clears_and_is_forwarded(t: &Trial) -> Outcome {
    let mut publisher = stored(t, "old")?;
    let mut reader = t.client("reader")?;
    reader.subscribed(subscribe(1, &t.topic("a")).retain_handling(2))?;
    publisher.publish(publish(&t.topic("a"), "").retain())?;
    let message = reader.message()?;
    ensure(message.payload.is_empty(), || format!("{:?} came", message.text()))?;
    let kept = kept(t)?;
    ensure(kept.is_empty(), || format!("{kept:?} is retained still"))
}

fn a_message_without_retain_changes_nothing(t: &Trial) -> Outcome {
    let mut publisher = stored(t, "kept")?;
    publisher.publish(publish(&t.topic("a"), "passing"))?;
    publisher.publish(publish(&t.topic("a"), ""))?;
    publisher.publish(publish(&t.topic("b"), "passing"))?;
    publisher.fence()?;
    let kept = kept(t)?;
    ensure(kept == ["kept"], || format!("{kept:?} is retained"))?;
    let others = t.retained("later", subscribe(1, &t.topic("b")))?;
    ensure(others.is_empty(), || "a message without RETAIN was stored".to_owned())
}

/// How many retained messages come on subscribing twice with this Retain Handling.
fn twice(t: &Trial, handling: u8) -> Outcome<[usize; 2]> {
    let mut publisher = stored(t, "kept")?;
    let mut reader = t.client("reader")?;
    let mut counts = [0; 2];
    for count in &mut counts {
        reader.subscribed(subscribe(1, &t.topic("a")).retain_handling(handling))?;
        *count = t.arrived(&mut publisher, &mut reader)?.len();
    }
    Ok(counts)
}

fn retain_handling_0_sends_retained_messages(t: &Trial) -> Outcome {
    let counts = twice(t, 0)?;
    ensure(counts == [1, 1], || format!("{counts:?} retained messages came"))
}

fn retain_handling_1_sends_them_to_new_subscriptions_only(t: &Trial) -> Outcome {
    let counts = twice(t, 1)?;
    ensure(counts == [1, 0], || format!("{counts:?} retained messages came"))?;
    // Once it is gone, the subscription is new again.
    let mut publisher = t.client("publisher")?;
    let mut reader = t.client("reader")?;
    let script = || subscribe(1, &t.topic("a")).retain_handling(1);
    reader.subscribed(script())?;
    reader.unsubscribe(unsubscribe(2, &[&t.topic("a")]))?;
    reader.subscribed(script())?;
    let count = t.arrived(&mut publisher, &mut reader)?.len();
    ensure(count == 2, || format!("{count} came, not one for each new subscription"))
}

fn retain_handling_2_sends_none(t: &Trial) -> Outcome {
    let counts = twice(t, 2)?;
    ensure(counts == [0, 0], || format!("{counts:?} retained messages came"))
}

/// The RETAIN flags of a message with and one without, as a subscriber gets them.
fn flags(t: &Trial, as_published: bool) -> Outcome<Vec<bool>> {
    t.needs_retain()?;
    let topic = t.topic("a");
    let mut reader = t.client("reader")?;
    let script = subscribe(1, &topic);
    reader.subscribed(if as_published { script.retain_as_published() } else { script })?;
    let mut publisher = t.client("publisher")?;
    publisher.publish(publish(&topic, "with").retain())?;
    publisher.publish(publish(&topic, "without"))?;
    let messages = t.arrived(&mut publisher, &mut reader)?;
    Ok(messages.iter().map(|message| message.retain).collect())
}

fn retain_as_published_0_clears_the_flag(t: &Trial) -> Outcome {
    let flags = flags(t, false)?;
    ensure(flags == [false, false], || format!("RETAIN came as {flags:?}"))
}

fn retain_as_published_1_keeps_the_flag(t: &Trial) -> Outcome {
    let flags = flags(t, true)?;
    ensure(flags == [true, false], || format!("RETAIN came as {flags:?}"))
}

fn replacing_a_subscription_sends_retained_messages_again(t: &Trial) -> Outcome {
    let mut publisher = stored(t, "kept")?;
    let topic = t.topic("a");
    let mut reader = t.client("reader")?;
    reader.subscribed(subscribe(1, &topic))?;
    let count = t.arrived(&mut publisher, &mut reader)?.len();
    ensure(count == 1, || format!("{count} came on subscribing"))?;
    // None of the messages around the replacement may be lost.
    publisher.publish(publish(&topic, "before"))?;
    reader.subscribed(subscribe(2, &topic))?;
    publisher.publish(publish(&topic, "after"))?;
    let messages = t.arrived(&mut publisher, &mut reader)?;
    let texts: Vec<String> = messages.iter().map(crate::message::Message::text).collect();
    let has = |text: &str| texts.iter().filter(|own| *own == text).count();
    ensure(has("kept") == 1 && has("before") == 1 && has("after") == 1, || {
        format!("{texts:?} came")
    })
}
