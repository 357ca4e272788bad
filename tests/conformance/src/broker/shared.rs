//! Shared Subscriptions.

use mqtt_codec::PubAckReason;
use mqtt_tests::scripted::{connect, puback_with, publish, pubrec, subscribe};

use super::refusals::raw_subscribe;
use crate::{
    connection::Connection,
    finding::{Outcome, ensure, fail},
    trial::Trial,
};

table! {
    one_member_gets_each_message:
        "[MQTT-4.8.2-3]";
    a_filter_without_a_share_name_is_refused:
        "[MQTT-4.8.2-1]";
    a_share_name_with_a_wildcard_is_refused:
        "[MQTT-4.8.2-2]";
    no_local_on_a_shared_subscription_is_a_protocol_error:
        "[MQTT-3.8.3-4]";
    an_interrupted_delivery_is_completed_with_the_same_member:
        "[MQTT-4.8.2-4]";
    an_interrupted_delivery_dies_with_the_session_of_its_member:
        "[MQTT-4.8.2-5]";
    a_message_that_a_member_refuses_goes_to_no_other:
        "[MQTT-4.8.2-6]";
}

/// The filter of the group.
fn filter(t: &Trial) -> String {
    format!("$share/group{}/{}", t.id(""), t.topic("a"))
}

fn member(t: &Trial, tail: &str, qos: u8) -> Outcome<Connection> {
    t.needs_shared()?;
    let mut member = t.connect(t.lasting(tail))?;
    member.subscribed(subscribe(1, &filter(t)).qos(qos))?;
    Ok(member)
}

/// Publishes until the member has been sent one, while the others take what they get; the
/// identifier of the message that the member has and did not answer.
fn given(
    t: &Trial,
    qos: u8,
    member: &mut Connection,
    other: &mut Connection,
) -> Outcome<(u16, String)> {
    let mut publisher = t.client("publisher")?;
    for number in 1..=20 {
        publisher.publish(publish(&t.topic("a"), number.to_string()).qos(qos, number))?;
        for message in t.arrived(&mut publisher, other)? {
            other.acknowledge(&message)?;
        }
        member.fence()?;
        if let Some(message) = member.arrived().pop() {
            return Ok((message.id, message.text()));
        }
    }
    fail("20 messages, and one member of two got none")
}

/// What a member of the group gets beside what is its own.
fn others(t: &Trial, other: &mut Connection, text: &str) -> Outcome {
    let mut publisher = t.client("publisher")?;
    let messages = t.arrived(&mut publisher, other)?;
    let passed_on = messages.iter().any(|message| message.text() == text);
    ensure(!passed_on, || "the message went to another member".to_owned())
}

fn one_member_gets_each_message(t: &Trial) -> Outcome {
    let maximum = t.offer().maximum_qos;
    let (mut low, mut high) = (member(t, "low", 0)?, member(t, "high", maximum)?);
    let mut publisher = t.client("publisher")?;
    for number in 1..=10 {
        publisher.publish(publish(&t.topic("a"), number.to_string()).qos(maximum, number))?;
    }
    let mut texts = Vec::new();
    for (member, qos) in [(&mut low, 0), (&mut high, maximum)] {
        loop {
            let messages = t.arrived(&mut publisher, member)?;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                ensure(message.qos == qos, || format!("QoS {}, granted {qos}", message.qos))?;
                member.acknowledge(&message)?;
                texts.push(message.text());
            }
        }
    }
    texts.sort_by_key(|text| text.parse::<u32>().unwrap_or(0));
    let expected: Vec<String> = (1..=10).map(|number| number.to_string()).collect();
    ensure(texts == expected, || format!("{texts:?} came to the group"))
}

/// A filter that the broker has to refuse, by closing or by a reason code.
fn refused(t: &Trial, payload: &str) -> Outcome {
    let mut client = t.connect(connect(&t.id("faulty")))?;
    client.send(raw_subscribe("", payload))?;
    let refusal = client.wait("SUBACK", |packet| match packet {
        mqtt_codec::Packet::SubAck(suback) => {
            Some(suback.reasons().all(|reason| reason.is_error()))
        }
        _ => None,
    });
    match refusal {
        Ok(true) => Ok(()),
        Ok(false) => fail("the filter was granted"),
        Err(_) if client.is_closed() => client.refused(&[0x82, 0x81, 0x8F]),
        Err(finding) => Err(finding),
    }
}

fn a_filter_without_a_share_name_is_refused(t: &Trial) -> Outcome {
    t.needs_shared()?;
    // $share//a
    refused(t, "0009 2473686172652f2f61 00")
}

fn a_share_name_with_a_wildcard_is_refused(t: &Trial) -> Outcome {
    t.needs_shared()?;
    // $share/g+/a, $share/g#/a, and $share/g with no filter behind it
    refused(t, "000b 2473686172652f672b2f61 00")?;
    refused(t, "000b 2473686172652f67232f61 00")?;
    refused(t, "0008 2473686172652f67 00")
}

fn no_local_on_a_shared_subscription_is_a_protocol_error(t: &Trial) -> Outcome {
    t.needs_shared()?;
    let mut client = t.connect(connect(&t.id("faulty")))?;
    // $share/g/a
    client.send(raw_subscribe("", "000a 2473686172652f672f61 04"))?;
    client.refused(&[0x82])
}

fn an_interrupted_delivery_is_completed_with_the_same_member(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let (mut first, mut second) = (member(t, "first", 2)?, member(t, "second", 2)?);
    let (id, text) = given(t, 2, &mut first, &mut second)?;
    first.cut();
    let mut first = t.resume("first")?;
    others(t, &mut second, &text)?;
    let again = first.message()?;
    ensure(again.id == id && again.text() == text, || "another message came".to_owned())?;
    first.fence()?;
    first.disconnect()?;
    second.disconnect()
}

fn an_interrupted_delivery_dies_with_the_session_of_its_member(t: &Trial) -> Outcome {
    t.needs_qos(2)?;
    let (mut first, mut second) = (member(t, "first", 2)?, member(t, "second", 2)?);
    let (id, text) = given(t, 2, &mut first, &mut second)?;
    first.send(pubrec(id))?;
    first.pubrel(id)?;
    first.cut();
    // Clean Start ends the session.
    t.connect(t.lasting("first"))?.disconnect()?;
    others(t, &mut second, &text)?;
    second.disconnect()
}

fn a_message_that_a_member_refuses_goes_to_no_other(t: &Trial) -> Outcome {
    t.needs_qos(1)?;
    let (mut first, mut second) = (member(t, "first", 1)?, member(t, "second", 1)?);
    let (id, text) = given(t, 1, &mut first, &mut second)?;
    first.send(puback_with(id, PubAckReason::UnspecifiedError))?;
    first.fence()?;
    others(t, &mut second, &text)?;
    first.disconnect()?;
    second.disconnect()
}
