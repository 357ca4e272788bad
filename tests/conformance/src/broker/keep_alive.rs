//! Keep Alive.

use std::time::{Duration, Instant};

use mqtt_tests::scripted::{connect, pingreq};

use super::session::pass;
use crate::{
    finding::{Outcome, ensure, skip},
    trial::Trial,
};

table! { slow
    silence_for_one_and_a_half_keep_alives_ends_the_connection:
        "[MQTT-3.1.2-22]", "[MQTT-3.2.2-22]";
    packets_in_time_keep_the_connection:
        "[MQTT-3.2.2-22]";
    a_client_may_do_without_a_keep_alive:
        "[MQTT-3.1.2-22]";
    a_pingreq_is_answered:
        "[MQTT-3.12.4-1]";
}

/// How much later than it should the end may come: a busy machine is no fault of the broker.
const LATE: Duration = Duration::from_millis(1500);

fn silence_for_one_and_a_half_keep_alives_ends_the_connection(t: &Trial) -> Outcome {
    let asked = 2;
    let (mut client, accepted) = t.accepted(connect(&t.id("silent")).keep_alive(asked))?;
    let start = Instant::now();
    let seconds = accepted.properties.server_keep_alive.unwrap_or(asked);
    if seconds > 20 {
        return skip(format!("the broker sets a Keep Alive of {seconds} s"));
    }
    let due = Duration::from_millis(u64::from(seconds) * 1500);
    client.wait_closed_for(due + LATE, "although its client is silent")?;
    let lived = start.elapsed();
    ensure(lived + Duration::from_millis(200) >= due, || {
        format!(
            "closed after {:.1} s, and {:.1} s are allowed",
            lived.as_secs_f64(),
            due.as_secs_f64()
        )
    })?;
    match client.farewell(false)? {
        crate::connection::Farewell::Reason(_, 0x8D) => {}
        crate::connection::Farewell::Reason(_, reason) => {
            t.weak(format!("reason 0x{reason:02X}, not 0x8D"));
        }
        crate::connection::Farewell::Silent => t.weak("closed without DISCONNECT 0x8D"),
    }
    Ok(())
}

fn packets_in_time_keep_the_connection(t: &Trial) -> Outcome {
    let mut client = t.connect(connect(&t.id("pinging")).keep_alive(1))?;
    for _ in 0..4 {
        pass(Duration::from_millis(900));
        client.fence()?;
    }
    Ok(())
}

/// With a Keep Alive of 0 there is none. A broker need not take every client, but this one is told
/// what it has done wrong.
fn a_client_may_do_without_a_keep_alive(t: &Trial) -> Outcome {
    let mut client = t.open("timeless")?;
    client.send(t.target().completed(connect(&t.id("timeless")).keep_alive(0)))?;
    match client.answer()? {
        Some(reason) if reason < 0x80 => client.fence(),
        Some(reason) => {
            t.weak(format!("a Keep Alive of 0 is refused with 0x{reason:02X}"));
            Ok(())
        }
        None => {
            t.weak("a Keep Alive of 0 is refused without a CONNACK");
            Ok(())
        }
    }
}

fn a_pingreq_is_answered(t: &Trial) -> Outcome {
    let mut client = t.client("pinging")?;
    client.send([pingreq(), pingreq()].concat())?;
    for _ in 0..2 {
        client.wait("PINGRESP", |packet| {
            matches!(packet, mqtt_codec::Packet::PingResp).then_some(())
        })?;
    }
    client.fence()
}
