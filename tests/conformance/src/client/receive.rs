//! What a client does with messages.

use mqtt_codec::Packet;
use mqtt_tests::scripted::{PublishScript, publish, pubrel};

use super::{
    guest::{Guest, Stage},
    table,
};
use crate::finding::{Outcome, ensure, skip};

table! {
    messages_are_handed_over_and_answered_as_their_qos_demands:
        "[MQTT-3.3.4-1]", "[MQTT-4.3.2-4]", "[MQTT-4.3.3-8]", "[MQTT-4.3.3-11]", "[MQTT-4.5.0-2]",
        "[MQTT-3.4.2-1]", "[MQTT-3.5.2-1]", "[MQTT-3.7.2-1]";
    pubacks_follow_the_order_of_the_messages:
        "[MQTT-4.6.0-2]";
    pubrecs_follow_the_order_of_the_messages:
        "[MQTT-4.6.0-3]";
    until_pubrel_a_repeated_publish_is_not_handed_over_again:
        "[MQTT-4.3.3-10]";
    after_its_pubcomp_a_packet_identifier_names_a_new_message:
        "[MQTT-4.3.3-12]";
    after_its_puback_a_packet_identifier_names_a_new_message:
        "[MQTT-4.3.2-5]";
    every_topic_alias_up_to_the_maximum_is_accepted:
        "[MQTT-3.3.2-10]";
    a_byte_order_mark_is_an_ordinary_character:
        "[MQTT-1.5.4-3]";
    an_expired_exchange_is_completed:
        "[MQTT-4.3.3-13]";
    a_subscription_is_asked_for_as_it_should_be:
        "[MQTT-3.8.1-1]", "[MQTT-3.8.3-1]", "[MQTT-3.8.3-2]", "[MQTT-4.7.1-1]";
    a_shared_subscription_is_asked_for_as_it_should_be:
        "[MQTT-4.8.2-1]", "[MQTT-4.8.2-2]", "[MQTT-3.8.3-4]", "[MQTT-4.7.1-2]";
    a_subscription_is_ended_as_it_should_be:
        "[MQTT-3.10.1-1]", "[MQTT-3.10.3-1]", "[MQTT-3.10.3-2]";
    acknowledgements_keep_to_the_maximum_packet_size:
        "[MQTT-3.4.2-2]", "[MQTT-3.4.2-3]", "[MQTT-3.5.2-2]", "[MQTT-3.5.2-3]",
        "[MQTT-3.7.2-2]", "[MQTT-3.7.2-3]", "[MQTT-3.14.2-3]", "[MQTT-3.14.2-4]";
}

/// A subscribed client, and what every message for it carries: its Subscription Identifier.
fn subscribed(stage: &Stage) -> Outcome<(Guest, impl Fn(PublishScript) -> Vec<u8> + use<>)> {
    let (mut guest, asked) = stage.connected("subscribe", |_| {})?;
    let subscription = guest.grant()?;
    let _ = asked;
    let with_id = move |script: PublishScript| {
        let id = mqtt_codec::SubscriptionId::new(subscription);
        Vec::from(script.with(|properties| {
            if let Some(id) = id {
                properties.subscription_id(id);
            }
        }))
    };
    Ok((guest, with_id))
}

fn messages_are_handed_over_and_answered_as_their_qos_demands(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    for qos in 0..=2 {
        guest.connection.send(built(publish("conformance/a", format!("{qos}")).qos(qos, 9)))?;
        guest.prints(&format!("conformance/a {qos}"))?;
        match qos {
            0 => {}
            1 => _ = guest.connection.puback(9)?,
            _ => {
                guest.connection.pubrec(9)?;
                guest.connection.send(pubrel(9))?;
                guest.connection.pubcomp(9)?;
            }
        }
    }
    let left = guest.connection.left();
    ensure(left.is_empty(), || format!("{left:?} came too"))?;
    guest.leaves()
}

/// Numbers that are not in order.
const NUMBERS: [u16; 4] = [900, 3, 65_535, 20];

fn pubacks_follow_the_order_of_the_messages(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    let messages = NUMBERS.map(|id| built(publish("conformance/a", id.to_string()).qos1(id)));
    guest.connection.send(messages.concat())?;
    for id in NUMBERS {
        guest.prints(&format!("conformance/a {id}"))?;
        let next = guest.connection.wait("PUBACK", |packet| match packet {
            Packet::PubAck(puback) => Some(puback.packet_id.get()),
            _ => None,
        })?;
        ensure(next == id, || format!("PUBACK {next}, and {id} was due"))?;
    }
    guest.leaves()
}

fn pubrecs_follow_the_order_of_the_messages(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    let messages = NUMBERS.map(|id| built(publish("conformance/a", id.to_string()).qos2(id)));
    guest.connection.send(messages.concat())?;
    for id in NUMBERS {
        guest.prints(&format!("conformance/a {id}"))?;
        let next = guest.connection.wait("PUBREC", |packet| match packet {
            Packet::PubRec(pubrec) => Some(pubrec.packet_id.get()),
            _ => None,
        })?;
        ensure(next == id, || format!("PUBREC {next}, and {id} was due"))?;
        guest.connection.send(pubrel(id))?;
        guest.connection.pubcomp(id)?;
    }
    guest.leaves()
}

fn until_pubrel_a_repeated_publish_is_not_handed_over_again(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    guest.connection.send(built(publish("conformance/a", "once").qos2(9)))?;
    guest.connection.pubrec(9)?;
    guest.connection.send(built(publish("conformance/a", "once").qos2(9).dup()))?;
    guest.connection.pubrec(9)?;
    guest.connection.send(pubrel(9))?;
    guest.connection.pubcomp(9)?;
    guest.connection.send(built(publish("conformance/a", "next")))?;
    guest.prints("conformance/a once")?;
    guest.prints("conformance/a next")?;
    guest.leaves()
}

fn after_its_pubcomp_a_packet_identifier_names_a_new_message(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    for text in ["one", "two"] {
        guest.connection.send(built(publish("conformance/a", text).qos2(9)))?;
        guest.connection.pubrec(9)?;
        guest.connection.send(pubrel(9))?;
        guest.connection.pubcomp(9)?;
        guest.prints(&format!("conformance/a {text}"))?;
    }
    guest.leaves()
}

fn after_its_puback_a_packet_identifier_names_a_new_message(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    guest.connection.send(built(publish("conformance/a", "one").qos1(9)))?;
    guest.connection.puback(9)?;
    guest.connection.send(built(publish("conformance/a", "two").qos1(9).dup()))?;
    guest.connection.puback(9)?;
    guest.prints("conformance/a one")?;
    guest.prints("conformance/a two")?;
    guest.leaves()
}

fn every_topic_alias_up_to_the_maximum_is_accepted(stage: &Stage) -> Outcome {
    let (mut guest, asked) = stage.connected("subscribe", |_| {})?;
    let subscription = mqtt_codec::SubscriptionId::new(guest.grant()?);
    let maximum = asked.properties.topic_alias_maximum.unwrap_or(0);
    if maximum == 0 {
        return skip("the client takes no Topic Aliases");
    }
    for alias in [1, maximum] {
        for (topic, text) in [("conformance/a", "set"), ("", "used"), ("conformance/b", "anew")] {
            guest.connection.send(publish(topic, text).alias(alias).with(|properties| {
                if let Some(id) = subscription {
                    properties.subscription_id(id);
                }
            }))?;
        }
        guest.prints("conformance/a set")?;
        guest.prints("conformance/a used")?;
        guest.prints("conformance/b anew")?;
    }
    guest.leaves()
}

fn a_byte_order_mark_is_an_ordinary_character(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    guest.connection.send(built(publish("conformance/\u{FEFF}a", "mark")))?;
    guest.prints("conformance/\u{FEFF}a mark")?;
    guest.leaves()
}

fn an_expired_exchange_is_completed(stage: &Stage) -> Outcome {
    let (mut guest, built) = subscribed(stage)?;
    guest.connection.send(built(publish("conformance/a", "short").qos2(9).expiry(1)))?;
    guest.connection.pubrec(9)?;
    // It pings, at the latest after the Keep Alive: more than the second has passed.
    guest.ping()?;
    guest.connection.send(pubrel(9))?;
    let reason = guest.connection.pubcomp(9)?;
    ensure(reason == 0, || format!("PUBCOMP 0x{reason:02X}"))?;
    guest.leaves()
}

fn a_subscription_is_asked_for_as_it_should_be(stage: &Stage) -> Outcome {
    // The decoder is strict with what comes.
    let (guest, _) = stage.subscribed(|_| {})?;
    guest.leaves()
}

fn a_shared_subscription_is_asked_for_as_it_should_be(stage: &Stage) -> Outcome {
    let (mut guest, _) = stage.connected("shared", |_| {})?;
    let (id, filter, no_local) = guest.connection.wait("SUBSCRIBE", |packet| match packet {
        Packet::Subscribe(subscribe) => subscribe.filters().next().map(|(filter, options)| {
            (subscribe.packet_id.get(), filter.as_str().to_owned(), options.no_local)
        }),
        _ => None,
    })?;
    ensure(filter == "$share/group/conformance/+", || format!("it asks for {filter}"))?;
    ensure(!no_local, || "No Local on a Shared Subscription".to_owned())?;
    let [high, low] = id.to_be_bytes();
    guest.connection.send([0x90, 4, high, low, 0, 2])?;
    guest.leaves()
}

fn a_subscription_is_ended_as_it_should_be(stage: &Stage) -> Outcome {
    let (mut guest, _) = stage.connected("unsubscribe", |_| {})?;
    guest.grant()?;
    let (id, filter) = guest.connection.wait("UNSUBSCRIBE", |packet| match packet {
        Packet::Unsubscribe(unsubscribe) => unsubscribe
            .filters()
            .next()
            .map(|filter| (unsubscribe.packet_id.get(), filter.as_str().to_owned())),
        _ => None,
    })?;
    ensure(filter == "conformance/#", || format!("it leaves {filter}"))?;
    let [high, low] = id.to_be_bytes();
    guest.connection.send([0xB0, 4, high, low, 0, 0])?;
    guest.leaves()
}

fn acknowledgements_keep_to_the_maximum_packet_size(stage: &Stage) -> Outcome {
    let small = std::num::NonZeroU32::new(40).unwrap_or(std::num::NonZeroU32::MIN);
    let (mut guest, _) = stage.connected("subscribe", |p| _ = p.maximum_packet_size(small))?;
    let id = mqtt_codec::SubscriptionId::new(guest.grant()?);
    let built = |script: PublishScript| {
        Vec::from(script.with(|properties| {
            if let Some(id) = id {
                properties.subscription_id(id);
            }
        }))
    };
    guest.connection.send(built(publish("conformance/a", "one").qos1(9)))?;
    guest.connection.puback(9)?;
    guest.connection.send(built(publish("conformance/a", "two").qos2(9)))?;
    guest.connection.pubrec(9)?;
    guest.connection.send(pubrel(9))?;
    guest.connection.pubcomp(9)?;
    // No PUBLISH has this number.
    guest.connection.send(pubrel(10))?;
    guest.connection.pubcomp(10)?;
    guest.leaves()
}
