//! What a client may not do because CONNACK said so.

use mqtt_tests::scripted::{connect, hex, publish, will};

use super::{
    malformed::refusals,
    refusals::{Place::If, Refusal, raw_publish, raw_subscribe},
};
use crate::{
    finding::{Outcome, skip},
    trial::Trial,
};

/// Faults that an offer makes.
pub(super) const REFUSALS: &[Refusal] = refusals! {
    "a PUBLISH above the Maximum QoS ends the connection",
        If(|offer| offer.maximum_qos < 2, "the broker offers QoS 2"), &[0x9B],
        ["[MQTT5-U-3.2.2.3.4-2]"], raw_publish(0x34, "");
    "a retained PUBLISH ends the connection where nothing is retained",
        If(|offer| !offer.retain, "the broker retains messages"), &[0x9A],
        ["[MQTT5-U-3.2.2.3.5-2]"], raw_publish(0x31, "");
    "a wildcard ends the connection or is refused where there are none",
        If(|offer| !offer.wildcards, "the broker offers wildcards"), &[0xA2],
        ["[MQTT5-U-3.2.2.3.11-2]"], raw_subscribe("", "0003 612f23 00");
    "a Subscription Identifier ends the connection where there are none",
        If(|offer| !offer.subscription_ids, "the broker offers Subscription Identifiers"), &[0xA1],
        ["[MQTT5-U-3.2.2.3.12-2]"], raw_subscribe("0b 01", "0001 61 00");
    "a Shared Subscription ends the connection where there are none",
        If(|offer| !offer.shared, "the broker offers Shared Subscriptions"), &[0x9E],
        ["[MQTT5-U-3.2.2.3.13-2]"], raw_subscribe("", "000a 2473686172652f672f61 00");
    "a Topic Alias above the maximum is invalid",
        If(|offer| offer.alias_maximum < u16::MAX, "every Topic Alias is allowed"), &[0x94],
        ["[MQTT5-U-3.3.4-1]"], raw_publish(0x30, "23 ffff");
};

table! {
    more_publications_than_the_receive_maximum_end_the_connection:
        "[MQTT5-U-3.3.4-4]";
    a_packet_above_the_maximum_packet_size_ends_the_connection:
        "[MQTT5-U-3.2.2.3.6-2]";
    a_will_above_the_maximum_qos_is_turned_away:
        "[MQTT-3.2.2-12]";
    a_retained_will_is_turned_away_where_nothing_is_retained:
        "[MQTT-3.2.2-13]";
    a_subscription_may_ask_for_more_than_the_maximum_qos:
        "[MQTT-3.2.2-10]";
    every_qos_is_accepted_that_connack_does_not_exclude:
        "[MQTT-3.2.2-9]";
}

fn more_publications_than_the_receive_maximum_end_the_connection(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let maximum = t.offer().receive_maximum;
    if maximum > 2000 {
        return skip(format!("the Receive Maximum is {maximum}: too many to be sent"));
    }
    let mut client = t.client("pushing")?;
    let topic = t.topic("many");
    let mut bytes = Vec::new();
    for id in 1..=maximum + 1 {
        bytes.extend(Vec::from(publish(&topic, "").qos2(id)));
    }
    client.send(bytes)?;
    client.refused(&[0x93])
}

fn a_packet_above_the_maximum_packet_size_ends_the_connection(t: &Trial) -> Outcome {
    let maximum = t.offer().packet_size;
    if maximum >= 268_435_460 {
        return skip("the broker sets no Maximum Packet Size");
    }
    let mut client = t.client("large")?;
    // The fixed header alone tells how large it will be.
    let mut rest = maximum;
    let mut bytes = vec![0x30];
    for last in [false, false, false, true] {
        let low = u8::try_from(rest % 128).unwrap_or(0);
        rest /= 128;
        bytes.push(if last { low } else { low | 0x80 });
    }
    if maximum < 1 << 21 {
        return skip("a packet above so small a maximum has a shorter header");
    }
    bytes.extend(hex("0001 61 00"));
    client.send(bytes)?;
    // A PINGREQ would be taken for the rest of it.
    client.wait_closed("after a packet that is too large")?;
    client.refused(&[0x95])
}

fn a_will_above_the_maximum_qos_is_turned_away(t: &Trial) -> Outcome {
    if t.offer().maximum_qos == 2 {
        return skip("the broker offers QoS 2");
    }
    let mut client = t.open("will")?;
    client.send(
        t.target().completed(connect(&t.id("will")).will(will(&t.topic("will"), "will").qos(2))),
    )?;
    client.turned_away(&[0x9B])
}

fn a_retained_will_is_turned_away_where_nothing_is_retained(t: &Trial) -> Outcome {
    if t.offer().retain {
        return skip("the broker retains messages");
    }
    let mut client = t.open("will")?;
    client.send(
        t.target().completed(connect(&t.id("will")).will(will(&t.topic("will"), "will").retain())),
    )?;
    client.turned_away(&[0x9A])
}

fn a_subscription_may_ask_for_more_than_the_maximum_qos(t: &Trial) -> Outcome {
    if t.offer().maximum_qos == 2 {
        return skip("the broker offers QoS 2");
    }
    let mut client = t.client("asking")?;
    client.subscribed(mqtt_tests::scripted::subscribe(1, &t.topic("a")).qos(2))
}

fn every_qos_is_accepted_that_connack_does_not_exclude(t: &Trial) -> Outcome {
    let mut client = t.client("publishing")?;
    for qos in 0..=t.offer().maximum_qos {
        client.publish(publish(&t.topic("a"), "a").qos(qos, 1))?;
    }
    client.fence()
}
