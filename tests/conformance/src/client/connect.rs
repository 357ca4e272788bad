//! What a client makes of CONNACK, and how it keeps a connection alive.

use std::time::{Duration, Instant};

use mqtt_codec::Packet;
use mqtt_tests::scripted::hex;

use super::{guest::Stage, table};
use crate::finding::{Outcome, ensure, skip};

table! {
    a_client_begins_with_connect_and_leaves_with_disconnect:
        "[MQTT-3.1.0-1]", "[MQTT-3.14.4-1]", "[MQTT-3.14.4-2]", "[MQTT-4.2.0-1]";
    a_client_logs_in_and_leaves_a_will:
        "[MQTT-3.1.2-9]", "[MQTT-3.1.2-12]", "[MQTT-3.1.2-17]", "[MQTT-3.1.2-19]",
        "[MQTT-3.1.3-1]", "[MQTT-3.1.3-11]", "[MQTT-3.1.3-12]";
    a_silent_client_pings_within_its_keep_alive:
        "[MQTT-3.1.2-20]";
    the_keep_alive_of_the_server_counts:
        "[MQTT-3.1.2-21]", "[MQTT-3.2.2-21]";
    a_session_that_the_client_does_not_know_ends_the_connection:
        "[MQTT-3.2.2-4]";
    a_refused_client_leaves:
        "[MQTT-4.13.2-1]";
    nothing_but_auth_comes_before_connack_if_a_method_was_named:
        "[MQTT-3.1.2-30]";
}

/// How much later than it should a ping may come: a busy machine is no fault of the client. Less than
/// the second by which the Keep Alive of the server is shorter than that of the scenario.
const LATE: Duration = Duration::from_millis(900);

fn a_client_begins_with_connect_and_leaves_with_disconnect(stage: &Stage) -> Outcome {
    let (guest, _) = stage.connected("connect", |_| {})?;
    guest.leaves()
}

fn a_client_logs_in_and_leaves_a_will(stage: &Stage) -> Outcome {
    let mut guest = stage.start("login")?;
    let (name, password, will) = guest.connection.wait("CONNECT", |packet| match packet {
        Packet::Connect(connect) => Some((
            connect.user_name() == Some("user"),
            connect.password() == Some(b"password"),
            connect.will().is_some_and(|will| {
                let topic = will.topic.as_str() == "conformance/will";
                topic && will.payload == b"farewell" && will.qos as u8 == 1
            }),
        )),
        _ => None,
    })?;
    ensure(name && password, || "user and password are what the scenario says".to_owned())?;
    ensure(will, || "the will is not what the scenario says".to_owned())?;
    guest.accept(false, |_| {})?;
    guest.leaves()
}

/// Waits for two pings, each of which has to come in time.
fn pings(stage: &Stage, server: Option<u16>) -> Outcome {
    let (mut guest, asked) = stage.connected("connect", |properties| {
        if let Some(seconds) = server {
            properties.server_keep_alive(seconds);
        }
    })?;
    let seconds = server.unwrap_or(asked.keep_alive);
    if seconds == 0 {
        return skip("the client asks for no Keep Alive");
    }
    for _ in 0..2 {
        let start = Instant::now();
        let patience = Duration::from_secs(seconds.into()) + LATE;
        guest.connection.wait_for("PINGREQ", patience, |packet| {
            matches!(packet, Packet::PingReq).then_some(())
        })?;
        guest.connection.send(hex("d000"))?;
        ensure(start.elapsed() <= patience, || "the ping came late".to_owned())?;
    }
    guest.leaves()
}

fn a_silent_client_pings_within_its_keep_alive(stage: &Stage) -> Outcome {
    pings(stage, None)
}

fn the_keep_alive_of_the_server_counts(stage: &Stage) -> Outcome {
    pings(stage, Some(1))
}

fn a_session_that_the_client_does_not_know_ends_the_connection(stage: &Stage) -> Outcome {
    let mut guest = stage.start("connect")?;
    guest.asked()?;
    guest.accept(true, |_| {})?;
    guest.connection.left_by_client(&[0x82])
}

fn a_refused_client_leaves(stage: &Stage) -> Outcome {
    let mut guest = stage.start("connect")?;
    guest.asked()?;
    // Not authorized.
    guest.connection.send(hex("20 03 00 87 00"))?;
    guest.connection.wait_closed("after CONNACK 0x87")
}

fn nothing_but_auth_comes_before_connack_if_a_method_was_named(stage: &Stage) -> Outcome {
    let mut guest = stage.start("connect")?;
    let asked = guest.asked()?;
    if asked.properties.authentication_method.is_none() {
        return skip("the client names no Authentication Method");
    }
    guest.accept(false, |_| {})?;
    let early = guest.connection.left();
    ensure(early.is_empty(), || format!("{early:?} came before CONNACK"))
}
