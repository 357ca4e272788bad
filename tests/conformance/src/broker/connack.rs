//! CONNACK: what answers a CONNECT.

use mqtt_codec::PacketType;
use mqtt_tests::scripted::{connect, publish, subscribe};

use crate::{
    finding::{Outcome, ensure, fail, skip},
    trial::Trial,
};

table! {
    an_accepted_connect_is_answered_by_connack_0x00:
        "[MQTT-3.1.4-5]", "[MQTT-3.2.2-1]", "[MQTT-4.2.0-1]";
    connack_precedes_everything_else:
        "[MQTT-3.2.0-1]", "[MQTT-3.2.0-2]";
    after_a_refusing_connack_the_connection_is_closed:
        "[MQTT-3.2.2-7]", "[MQTT-4.13.2-1]", "[MQTT-3.2.2-6]";
    what_follows_a_refused_connect_is_not_processed:
        "[MQTT-3.1.4-6]";
    a_refusing_connack_keeps_to_the_maximum_packet_size:
        "[MQTT-3.2.2-19]", "[MQTT-3.2.2-20]";
    response_information_comes_only_where_it_was_asked_for:
        "[MQTT-3.1.2-28]";
    no_disconnect_answers_a_malformed_connect:
        "[MQTT-3.14.0-1]";
}

fn an_accepted_connect_is_answered_by_connack_0x00(t: &Trial) -> Outcome {
    let mut client = t.client("hello")?;
    match client.first_bytes().get(..4) {
        Some([0x20, _, 0x00, 0x00]) => client.fence(),
        _ => fail("CONNACK does not begin with 20, length, 00, 00"),
    }
}

fn connack_precedes_everything_else(t: &Trial) -> Outcome {
    let mut client = t.open("eager")?;
    let topic = t.topic("eager");
    let mut bytes = Vec::from(t.target().completed(connect(&t.id("eager"))));
    bytes.extend(Vec::from(subscribe(1, &topic)));
    bytes.extend(Vec::from(publish(&topic, "at once")));
    client.send(bytes)?;
    client.publication()?;
    client.fence()?;
    let left = client.left();
    ensure(left == [PacketType::ConnAck, PacketType::SubAck], || {
        format!("beside the message {left:?} came")
    })
}

/// A CONNECT with an Authentication Method that no broker knows, and that is refused therefore.
fn unknown_method(t: &Trial, tail: &str) -> mqtt_tests::scripted::ConnectScript {
    t.lasting(tail).resume().with(|properties| {
        // The name is short enough for any packet.
        let _set = properties.authentication_method("no such method").is_ok();
    })
}

fn after_a_refusing_connack_the_connection_is_closed(t: &Trial) -> Outcome {
    // There is a session, and still Session Present has to be 0.
    t.connect(t.lasting("stored"))?.disconnect()?;
    let mut client = t.open("refused")?;
    client.send(t.target().completed(unknown_method(t, "stored")))?;
    client.turned_away(&[0x8C, 0x87])
}

fn what_follows_a_refused_connect_is_not_processed(t: &Trial) -> Outcome {
    let mut witness = t.client("witness")?;
    let topic = t.topic("refused");
    witness.subscribed(subscribe(1, &topic))?;
    let mut client = t.open("refused")?;
    let mut bytes = Vec::from(t.target().completed(unknown_method(t, "refused")));
    bytes.extend(Vec::from(publish(&topic, "must not pass")));
    client.send(bytes)?;
    client.turned_away(&[0x8C, 0x87])?;
    let mut other = t.client("other")?;
    let messages = t.arrived(&mut other, &mut witness)?;
    ensure(messages.is_empty(), || "a PUBLISH behind a refused CONNECT was processed".to_owned())
}

fn a_refusing_connack_keeps_to_the_maximum_packet_size(t: &Trial) -> Outcome {
    for size in [5, 16, 40] {
        let mut client = t.open("refused")?;
        let script = unknown_method(t, "refused").packet_size(size);
        client.send(t.target().completed(script))?;
        client.turned_away(&[0x8C, 0x87])?;
    }
    Ok(())
}

fn response_information_comes_only_where_it_was_asked_for(t: &Trial) -> Outcome {
    let asked = connect(&t.id("silent")).with(|p| _ = p.request_response_information(false));
    for script in [asked, connect(&t.id("silent"))] {
        let (client, accepted) = t.accepted(script)?;
        ensure(accepted.properties.response_information.is_none(), || {
            "CONNACK has Response Information".to_owned()
        })?;
        client.disconnect()?;
    }
    Ok(())
}

fn no_disconnect_answers_a_malformed_connect(t: &Trial) -> Outcome {
    let mut client = t.open("malformed")?;
    client.send(super::refusals::raw_connect(0x03, "", super::refusals::ID))?;
    client.wait_closed("after a malformed CONNECT")?;
    if client.left().contains(&PacketType::Disconnect) {
        return fail("DISCONNECT before any CONNACK 0x00");
    }
    if client.left().len() > 1 {
        return skip("the broker said more than a CONNACK");
    }
    Ok(())
}
