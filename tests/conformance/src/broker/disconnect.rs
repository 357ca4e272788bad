//! DISCONNECT, from either side.

use mqtt_codec::DisconnectReason;
use mqtt_tests::scripted::{connect, disconnect_with, hex, subscribe};

use crate::{
    finding::{Outcome, ensure, skip},
    trial::Trial,
};

table! {
    a_disconnect_of_the_broker_is_its_last_packet:
        "[MQTT-3.14.4-1]", "[MQTT-3.14.4-2]", "[MQTT-3.14.2-1]", "[MQTT-3.14.2-2]",
        "[MQTT-4.13.2-1]";
    a_disconnect_keeps_to_the_maximum_packet_size:
        "[MQTT-3.14.2-3]", "[MQTT-3.14.2-4]";
    a_disconnect_sets_the_session_expiry_anew:
        "[MQTT-4.1.0-2]";
}

/// A SUBSCRIBE without a filter: a fault that brokers seldom overlook.
const NO_FILTER: &str = "82 03 0001 00";

fn a_disconnect_of_the_broker_is_its_last_packet(t: &Trial) -> Outcome {
    let mut client = t.client("faulty")?;
    // What stands behind the fault would be answered if anybody read it.
    client.send(hex(&format!("{NO_FILTER} c0 00 c0 00")))?;
    // A fault that the broker puts up with is another statement's business.
    client
        .wait("DISCONNECT", |packet| match packet {
            mqtt_codec::Packet::Disconnect(packet) => Some(packet.reason),
            _ => None,
        })
        .or_else(|_| skip("the broker says nothing when it closes"))?;
    client.wait_closed("after DISCONNECT")?;
    let left = client.left();
    ensure(left.is_empty(), || format!("{left:?} came with DISCONNECT"))
}

fn a_disconnect_keeps_to_the_maximum_packet_size(t: &Trial) -> Outcome {
    let mut client = t.connect(connect(&t.id("small")).packet_size(48))?;
    client.send(hex(NO_FILTER))?;
    client
        .wait("DISCONNECT", |packet| {
            matches!(packet, mqtt_codec::Packet::Disconnect(_)).then_some(())
        })
        .or_else(|_| skip("the broker says nothing when it closes"))
}

fn a_disconnect_sets_the_session_expiry_anew(t: &Trial) -> Outcome {
    let mut client = t.connect(t.lasting("ending"))?;
    client.subscribed(subscribe(1, &t.topic("a")))?;
    let normal = DisconnectReason::NormalDisconnection;
    client.send(disconnect_with(normal, |p| _ = p.session_expiry_interval(0)))?;
    client.wait_closed("after DISCONNECT")?;
    let (client, accepted) = t.accepted(t.lasting("ending").resume())?;
    ensure(!accepted.session_present, || "the session is there after its end".to_owned())?;
    client.disconnect()
}
