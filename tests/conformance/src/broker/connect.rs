//! CONNECT: who may come in, under which name.

use std::collections::BTreeSet;

use mqtt_codec::PacketType;
use mqtt_tests::scripted::{connect, publish, subscribe};

use crate::{
    connection::{Connection, Farewell},
    finding::{Outcome, ensure, fail, skip},
    trial::Trial,
};

table! {
    client_identifiers_of_letters_and_digits_are_accepted:
        "[MQTT-3.1.3-5]";
    an_empty_client_identifier_gets_a_unique_one:
        "[MQTT-3.1.3-6]", "[MQTT-3.2.2-16]";
    an_assigned_identifier_names_the_session:
        "[MQTT-3.1.3-7]";
    sessions_are_told_apart_by_client_identifier:
        "[MQTT-3.1.3-2]";
    a_client_identifier_that_is_refused_ends_the_connection:
        "[MQTT-3.1.3-8]";
    a_check_that_fails_ends_the_connection:
        "[MQTT-3.1.4-2]";
    the_older_connection_of_a_client_is_taken_over:
        "[MQTT-3.1.4-3]";
    a_password_needs_no_user_name:
        "[MQTT-3.1.2-19]";
    a_byte_order_mark_is_an_ordinary_character:
        "[MQTT-1.5.4-3]";
}

fn client_identifiers_of_letters_and_digits_are_accepted(t: &Trial) -> Outcome {
    let run = &t.target().run;
    // The longest has 23 bytes.
    let longest = format!("{}ABCxyz0123456789ABCDEFG", run);
    let longest: String = longest.chars().take(23).collect();
    for id in [longest, run.clone(), t.id("ABCdefGHI789")] {
        t.connect(connect(&id))?.disconnect()?;
    }
    Ok(())
}

fn an_empty_client_identifier_gets_a_unique_one(t: &Trial) -> Outcome {
    let mut clients = Vec::new();
    let mut ids = BTreeSet::new();
    for script in [connect(""), connect("").resume(), connect("")] {
        let (client, accepted) = t.accepted(script)?;
        let Some(id) = accepted.properties.assigned_client_id else {
            return fail("CONNACK has no Assigned Client Identifier");
        };
        ensure(!id.is_empty() && ids.insert(id.clone()), || format!("{id:?} was assigned twice"))?;
        clients.push(client);
    }
    // None of them took the place of another.
    clients.iter_mut().try_for_each(Connection::fence)
}

fn an_assigned_identifier_names_the_session(t: &Trial) -> Outcome {
    let (mut client, accepted) = t.accepted(connect("").expiry(60))?;
    let Some(id) = accepted.properties.assigned_client_id else {
        return fail("CONNACK has no Assigned Client Identifier");
    };
    client.subscribed(subscribe(1, &t.topic("a")))?;
    client.disconnect()?;
    let (again, accepted) = t.accepted(connect(&id).resume().expiry(60))?;
    ensure(accepted.session_present, || format!("no session of {id:?}"))?;
    again.disconnect()
}

fn sessions_are_told_apart_by_client_identifier(t: &Trial) -> Outcome {
    let mut first = t.connect(t.lasting("first"))?;
    first.subscribed(subscribe(1, &t.topic("a")))?;
    first.disconnect()?;
    let (second, accepted) = t.accepted(t.lasting("second").resume())?;
    ensure(!accepted.session_present, || "one client got the session of another".to_owned())?;
    second.disconnect()?;
    t.resume("first")?.disconnect()
}

fn a_client_identifier_that_is_refused_ends_the_connection(t: &Trial) -> Outcome {
    let own = t.profile().refused_client_id.clone();
    // Few brokers take the longest that there can be.
    let id = own.unwrap_or_else(|| format!("{}{}", t.id("long"), "x".repeat(65_000)));
    let mut client = t.open("refused")?;
    client.send(t.target().completed(connect(&id)))?;
    match client.answer()? {
        Some(0) => {
            client.disconnect()?;
            skip("the broker takes every Client Identifier; profile: refused_client_id")
        }
        Some(reason) => {
            if !matches!(reason, 0x85 | 0x81 | 0x95) {
                t.weak(format!("reason 0x{reason:02X}, not 0x85"));
            }
            client.wait_closed("after a refused Client Identifier")
        }
        // Closing without a CONNACK is allowed too.
        None => Ok(()),
    }
}

fn a_check_that_fails_ends_the_connection(t: &Trial) -> Outcome {
    let script = match &t.profile().refused_user_name {
        Some(name) => connect(&t.id("refused")).user_name(name).password(b"wrong"),
        // A method that nobody knows fails the check for supported methods.
        None => connect(&t.id("refused"))
            .with(|p| _ = p.authentication_method("no such method").is_ok()),
    };
    let mut client = t.open("refused")?;
    client.send(script)?;
    match client.farewell(false)? {
        Farewell::Silent if client.left().contains(&PacketType::ConnAck) => {
            fail("the CONNECT was accepted")
        }
        Farewell::Silent | Farewell::Reason(..) => Ok(()),
    }
}

fn the_older_connection_of_a_client_is_taken_over(t: &Trial) -> Outcome {
    let mut older = t.client("twice")?;
    let mut newer = t.client("twice")?;
    match older.farewell(false)? {
        Farewell::Reason(PacketType::Disconnect, 0x8E) => {}
        Farewell::Reason(_, reason) => t.weak(format!("reason 0x{reason:02X}, not 0x8E")),
        Farewell::Silent => t.weak("closed without DISCONNECT 0x8E"),
    }
    newer.fence()
}

fn a_password_needs_no_user_name(t: &Trial) -> Outcome {
    if t.profile().password.is_some() || t.profile().user_name.is_some() {
        return skip("the broker wants other credentials");
    }
    let mut client = t.open("password")?;
    client.send(connect(&t.id("password")).password(b"secret"))?;
    match client.farewell(true) {
        // It serves on: it was accepted.
        Err(crate::finding::Finding::Fail(_)) if !client.is_closed() => Ok(()),
        Ok(Farewell::Reason(PacketType::ConnAck, reason)) if reason != 0x81 && reason != 0x82 => {
            skip(format!("the broker does not let such a client in: 0x{reason:02X}"))
        }
        Ok(_) => fail("a Password without a User Name is allowed, and the broker closed"),
        Err(finding) => Err(finding),
    }
}

fn a_byte_order_mark_is_an_ordinary_character(t: &Trial) -> Outcome {
    let mut client = t.client("bom")?;
    let topic = t.topic("\u{FEFF}a\u{FEFF}");
    client.subscribed(subscribe(1, &topic))?;
    client.publish(
        publish(&topic, "").with(|p| _ = p.user_property("\u{FEFF}k", "\u{FEFF}v").is_ok()),
    )?;
    let message = client.message()?;
    ensure(message.topic == topic, || format!("the topic came as {:?}", message.topic))?;
    let pair = [("\u{FEFF}k".to_owned(), "\u{FEFF}v".to_owned())];
    ensure(message.properties.user_properties == pair, || {
        format!("the User Property came as {:?}", message.properties.user_properties)
    })
}
