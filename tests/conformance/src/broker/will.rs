//! Will Messages.

use std::time::{Duration, Instant};

use mqtt_codec::DisconnectReason;
use mqtt_tests::scripted::{connect, disconnect_with, hex, subscribe, will};

use super::session::pass;
use crate::{
    connection::Connection,
    finding::{Outcome, ensure},
    message::Message,
    trial::Trial,
};

table! { slow
    a_will_is_published_when_the_connection_is_cut:
        "[MQTT-3.1.2-7]", "[MQTT-3.1.2-8]";
    a_disconnect_of_0x00_deletes_the_will:
        "[MQTT-3.14.4-3]", "[MQTT-3.1.2-10]";
    a_disconnect_of_0x04_publishes_the_will:
        "[MQTT-3.1.2-8]";
    a_protocol_error_publishes_the_will:
        "[MQTT-3.1.2-8]";
    a_will_is_published_once:
        "[MQTT-3.1.2-10]";
    a_will_waits_for_its_delay:
        "[MQTT-3.1.2-8]";
    the_end_of_the_session_publishes_a_delayed_will:
        "[MQTT-3.1.2-8]";
    a_will_without_a_session_does_not_wait_for_its_delay:
        "[MQTT-3.1.2-8]";
    a_reconnect_within_the_delay_cancels_the_will:
        "[MQTT-3.1.3-9]";
    a_will_without_will_retain_is_not_retained:
        "[MQTT-3.1.2-14]";
    a_will_with_will_retain_is_retained:
        "[MQTT-3.1.2-15]";
    a_will_keeps_the_order_of_its_user_properties:
        "[MQTT-3.1.3-10]";
}

/// Somebody who subscribes to the will's topic with Retain As Published.
fn witness(t: &Trial) -> Outcome<Connection> {
    let mut witness = t.client("witness")?;
    let qos = t.offer().maximum_qos;
    witness.subscribed(subscribe(1, &t.topic("will")).qos(qos).retain_as_published())?;
    Ok(witness)
}

/// Nothing came so far.
fn nothing(t: &Trial, witness: &mut Connection, when: &str) -> Outcome {
    let mut other = t.client("other")?;
    let messages = t.arrived(&mut other, witness)?;
    ensure(messages.is_empty(), || format!("the will was published {when}"))
}

fn the_will(message: &Message) -> Outcome {
    ensure(message.text() == "farewell", || format!("{:?} came", message.text()))
}

fn a_will_is_published_when_the_connection_is_cut(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let qos = t.offer().maximum_qos;
    let script = connect(&t.id("dying")).will(will(&t.topic("will"), "farewell").qos(qos));
    t.connect(script)?.cut();
    let message = witness.message()?;
    the_will(&message)?;
    ensure(message.qos == qos, || format!("QoS {}, not {qos}", message.qos))
}

fn a_disconnect_of_0x00_deletes_the_will(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let client = t.connect(connect(&t.id("leaving")).will(will(&t.topic("will"), "farewell")))?;
    client.disconnect()?;
    nothing(t, &mut witness, "after DISCONNECT 0x00")
}

fn a_disconnect_of_0x04_publishes_the_will(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let mut client =
        t.connect(connect(&t.id("leaving")).will(will(&t.topic("will"), "farewell")))?;
    client.send(disconnect_with(DisconnectReason::DisconnectWithWillMessage, |_| {}))?;
    the_will(&witness.message()?)
}

fn a_protocol_error_publishes_the_will(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let mut client =
        t.connect(connect(&t.id("faulty")).will(will(&t.topic("will"), "farewell")))?;
    client.send(hex("82 03 0001 00"))?;
    the_will(&witness.message()?)
}

fn a_will_is_published_once(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let script = t.lasting("dying").will(will(&t.topic("will"), "farewell"));
    t.connect(script)?.cut();
    the_will(&witness.message()?)?;
    // The session is still there, its will is not.
    let client = t.connect(t.lasting("dying").resume())?;
    client.cut();
    t.resume("dying")?.disconnect()?;
    nothing(t, &mut witness, "twice")
}

fn a_will_waits_for_its_delay(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let script = t.lasting("dying").will(will(&t.topic("will"), "farewell").delay(2));
    t.connect(script)?.cut();
    let cut = Instant::now();
    pass(Duration::from_millis(1000));
    nothing(t, &mut witness, "before its delay was over")?;
    let patience = witness.patience() + Duration::from_secs(2);
    let message = witness.wait_for("the will", patience, publication)?;
    witness.acknowledge(&message)?;
    the_will(&message)?;
    let waited = cut.elapsed().as_secs_f64();
    ensure(waited >= 1.9, || format!("the will came after {waited:.1} s of 2"))
}

fn the_end_of_the_session_publishes_a_delayed_will(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let script = connect(&t.id("dying")).expiry(1);
    t.connect(script.will(will(&t.topic("will"), "farewell").delay(60)))?.cut();
    let patience = witness.patience() + Duration::from_secs(1);
    let message = witness.wait_for("the will", patience, publication)?;
    the_will(&message)
}

fn a_will_without_a_session_does_not_wait_for_its_delay(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let script = connect(&t.id("dying")).will(will(&t.topic("will"), "farewell").delay(60));
    t.connect(script)?.cut();
    the_will(&witness.message()?)
}

fn a_reconnect_within_the_delay_cancels_the_will(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let script = t.lasting("back").will(will(&t.topic("will"), "farewell").delay(1));
    t.connect(script)?.cut();
    let mut client = t.resume("back")?;
    pass(Duration::from_millis(2200));
    nothing(t, &mut witness, "although the client came back within the delay")?;
    client.fence()?;
    client.disconnect()
}

fn a_will_without_will_retain_is_not_retained(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    t.connect(connect(&t.id("dying")).will(will(&t.topic("will"), "farewell")))?.cut();
    let message = witness.message()?;
    ensure(!message.retain, || "the will came with RETAIN 1".to_owned())?;
    let retained = t.retained("later", subscribe(1, &t.topic("will")))?;
    ensure(retained.is_empty(), || "the will was retained".to_owned())
}

fn a_will_with_will_retain_is_retained(t: &Trial) -> Outcome {
    t.needs_retain()?;
    let mut witness = witness(t)?;
    t.connect(connect(&t.id("dying")).will(will(&t.topic("will"), "farewell").retain()))?.cut();
    let message = witness.message()?;
    ensure(message.retain, || "the will came with RETAIN 0".to_owned())?;
    let retained = t.retained("later", subscribe(1, &t.topic("will")))?;
    ensure(retained.len() == 1, || "the will was not retained".to_owned())
}

fn a_will_keeps_the_order_of_its_user_properties(t: &Trial) -> Outcome {
    let mut witness = witness(t)?;
    let pairs = [("b", "1"), ("a", "2"), ("b", "0")];
    let last = will(&t.topic("will"), "farewell").with(|properties| {
        for (name, value) in pairs {
            let _set = properties.user_property(name, value).is_ok();
        }
    });
    t.connect(connect(&t.id("dying")).will(last))?.cut();
    let came = witness.message()?.properties.user_properties;
    let same = came.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(pairs);
    ensure(same, || format!("they came as {came:?}"))
}

fn publication(packet: &mqtt_codec::Packet<'_>) -> Option<Message> {
    match packet {
        mqtt_codec::Packet::Publish(publish) => Some(Message::from(publish)),
        _ => None,
    }
}
