//! Subscriptions of one client that match the same message, and Subscription Identifiers.

use mqtt_tests::scripted::{publish, subscribe};

use crate::{
    finding::{Outcome, ensure, skip},
    message::Message,
    trial::Trial,
};

table! {
    overlapping_subscriptions_deliver_at_the_highest_qos:
        "[MQTT-3.3.4-2]";
    a_subscription_identifier_comes_with_its_messages:
        "[MQTT-3.3.4-3]";
    one_copy_carries_every_identifier:
        "[MQTT-3.3.4-4]";
    several_copies_carry_one_identifier_each:
        "[MQTT-3.3.4-5]";
    subscribing_anew_sets_the_identifier_anew:
        "[MQTT-3.8.4-3]";
}

/// What comes of a message that two subscriptions match, with the identifiers 1 and 2.
fn overlapping(t: &Trial) -> Outcome<Vec<Message>> {
    t.needs_wildcards()?;
    t.needs_subscription_ids()?;
    let topic = t.topic("one/two");
    let mut client = t.client("overlap")?;
    client.subscribed(subscribe(1, &topic).subscription_id(1))?;
    client.subscribed(subscribe(2, &t.topic("one/#")).subscription_id(268_435_455))?;
    let mut writer = t.client("writer")?;
    writer.publish(publish(&topic, "a"))?;
    t.arrived(&mut writer, &mut client)
}

fn overlapping_subscriptions_deliver_at_the_highest_qos(t: &Trial) -> Outcome {
    t.needs_wildcards()?;
    let maximum = t.offer().maximum_qos;
    let topic = t.topic("one/two");
    let mut client = t.client("overlap")?;
    client.subscribed(subscribe(1, &topic).qos(0))?;
    client.subscribed(subscribe(2, &t.topic("one/#")).qos(maximum))?;
    client.subscribed(subscribe(3, &t.topic("+/two")).qos(0))?;
    let mut writer = t.client("writer")?;
    writer.publish(publish(&topic, "a").qos(maximum, 1))?;
    let messages = t.arrived(&mut writer, &mut client)?;
    let highest = messages.iter().map(|message| message.qos).max();
    ensure(highest == Some(maximum), || format!("it came at QoS {highest:?}"))
}

fn a_subscription_identifier_comes_with_its_messages(t: &Trial) -> Outcome {
    let mut all: Vec<u32> = overlapping(t)?.iter().flat_map(Message::subscriptions).collect();
    all.sort_unstable();
    ensure(all == [1, 268_435_455], || format!("the identifiers {all:?} came"))
}

fn one_copy_carries_every_identifier(t: &Trial) -> Outcome {
    match overlapping(t)?.as_slice() {
        [one] => {
            let ids = one.subscriptions();
            ensure(ids == [1, 268_435_455], || format!("the one copy has {ids:?}"))
        }
        _ => skip("the broker sends a copy for each subscription"),
    }
}

fn several_copies_carry_one_identifier_each(t: &Trial) -> Outcome {
    let messages = overlapping(t)?;
    if messages.len() < 2 {
        return skip("the broker sends one copy for all subscriptions");
    }
    let each = messages.iter().all(|message| message.subscriptions().len() == 1);
    ensure(each, || "a copy has not one identifier".to_owned())
}

fn subscribing_anew_sets_the_identifier_anew(t: &Trial) -> Outcome {
    t.needs_subscription_ids()?;
    let topic = t.topic("a");
    let mut client = t.client("anew")?;
    for (id, expected) in [(Some(1), &[1][..]), (Some(2), &[2]), (None, &[])] {
        let mut script = subscribe(1, &topic);
        if let Some(id) = id {
            script = script.subscription_id(id);
        }
        client.subscribed(script)?;
        client.publish(publish(&topic, "a"))?;
        let came = client.message()?.subscriptions();
        ensure(came == expected, || format!("{came:?} came, not {expected:?}"))?;
    }
    client.fence()?;
    ensure(client.left().is_empty(), || "a subscription was added, not replaced".to_owned())
}
