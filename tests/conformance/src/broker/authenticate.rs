//! Enhanced authentication, as far as a broker shows it to those who share no method with it.

use mqtt_codec::PacketType;
use mqtt_tests::scripted::connect;

use crate::{
    connection::Farewell,
    finding::{Outcome, fail},
    trial::Trial,
};

table! {
    an_unknown_method_is_turned_away:
        "[MQTT-4.12.0-1]", "[MQTT-4.12.0-4]";
    without_a_method_there_is_no_auth:
        "[MQTT-4.12.0-6]";
}

fn an_unknown_method_is_turned_away(t: &Trial) -> Outcome {
    let mut client = t.open("method")?;
    client.send(t.target().completed(
        connect(&t.id("method")).with(|p| _ = p.authentication_method("no such method").is_ok()),
    ))?;
    match client.farewell(false)? {
        Farewell::Reason(PacketType::ConnAck, 0x8C | 0x87) => Ok(()),
        Farewell::Reason(PacketType::ConnAck, reason) => {
            t.weak(format!("reason 0x{reason:02X}, not 0x8C or 0x87"));
            Ok(())
        }
        Farewell::Reason(..) => fail("DISCONNECT in answer to a CONNECT"),
        Farewell::Silent if client.left().is_empty() => Ok(()),
        Farewell::Silent => fail(format!("{:?} came", client.left())),
    }
}

fn without_a_method_there_is_no_auth(t: &Trial) -> Outcome {
    // The referee looks at the CONNACK and at everything that follows it.
    t.client("plain")?.fence()
}
