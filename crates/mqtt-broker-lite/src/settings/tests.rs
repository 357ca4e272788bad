//! The table of settings against the configuration that it stands for.

use std::time::Duration;

use bytes::Buf;
use mqtt_session::{Broker, PeerInfo, Time, TransmitBuf};

use super::table::{LISTENER_SETTINGS, SETTINGS, TABLES};
use super::{Form, Value};
use crate::config::Config;

/// Another value that a form takes, as the file writes it.
fn another(form: Form, now: &Value) -> Value {
    match (form, now) {
        (Form::Switch, Value::Switch(now)) => Value::Switch(!now),
        (Form::Off, _) => Value::Switch(false),
        (
            Form::Number(_, most) | Form::Bytes(_, most) | Form::Seconds(_, most),
            Value::Number(now),
        ) if *now == most => Value::Number(now - 1),
        (Form::Number(..) | Form::Bytes(..) | Form::Seconds(..), Value::Number(now)) => {
            Value::Number(now + 1)
        }
        (Form::Number(least, _) | Form::Bytes(least, _) | Form::Seconds(least, _), _) => {
            Value::Number(least + 1)
        }
        (Form::Duration(..), Value::Duration(now)) => Value::Duration(*now * 2),
        (Form::Text(what), _) if what.contains("URL") => Value::Text("mqtt://[::1]:1".to_owned()),
        (Form::Mode, _) => Value::Number(0o600),
        (Form::Texts(what), _) if what.contains("network") => {
            Value::Texts(vec!["10.0.0.0/8".to_owned(), "::1/128".to_owned()])
        }
        (Form::Texts(_), _) => Value::Texts(vec!["https://a.example".to_owned()]),
        (Form::Path, _) => Value::Path("/other/place".into()),
        (Form::Text(what), _) if what.contains("port") => Value::Text("127.0.0.1:9".to_owned()),
        (Form::Text(_), _) => Value::Text("a \"text\" \\ \u{7}".to_owned()),
        (form, now) => panic!("{form:?} {now:?}"),
    }
}

#[test]
fn every_setting_can_be_changed_and_comes_back_from_its_file() {
    for setting in SETTINGS {
        let mut config = Config::default();
        let before = (setting.read)(&config);
        let value = another(setting.form, &before);
        (setting.write)(&mut config, value.clone()).unwrap();
        assert_eq!((setting.read)(&config), value, "{}", setting.path());
        let read = Config::from_toml(&config.commented(), "")
            .unwrap_or_else(|error| panic!("{}: {error}", setting.path()));
        assert_eq!(format!("{read:?}"), format!("{config:?}"), "{}", setting.path());
    }
}

#[test]
fn every_setting_of_a_listener_can_be_changed_and_comes_back_from_its_file() {
    for setting in LISTENER_SETTINGS {
        let mut config = Config::default();
        let before = (setting.read)(&config.listeners[0]);
        let value = another(setting.form, &before);
        (setting.write)(&mut config.listeners[0], value.clone()).unwrap();
        assert_eq!((setting.read)(&config.listeners[0]), value, "{}", setting.path());
        let read = Config::from_toml(&config.commented(), "").unwrap();
        assert_eq!(format!("{read:?}"), format!("{config:?}"), "{}", setting.path());
    }
}

/// The names in the debug form of a value with fields.
fn fields(debug: &str) -> Vec<&str> {
    debug.lines().filter_map(|line| line.trim().split_once(": ").map(|(name, _)| name)).collect()
}

#[test]
fn every_value_of_the_core_has_a_setting() {
    // What [access] says decides which decisions are asked for.
    let derived = ["connect", "publish", "subscribe", "read"];
    // They hold others.
    let holders = ["decisions", "limits"];
    let renamed = [("timeout", "decision_timeout")];
    let core = format!("{:#?}", Config::default().broker);
    let fields = fields(&core);
    assert!(fields.len() > 30, "{fields:?}");
    for field in fields {
        if derived.contains(&field) || holders.contains(&field) {
            continue;
        }
        let key = renamed.iter().find(|(name, _)| *name == field).map_or(field, |(_, key)| key);
        assert!(
            SETTINGS.iter().any(|setting| setting.key == key),
            "{field} of the core has no setting: add it to settings/table.rs"
        );
    }
}

#[test]
fn every_setting_stands_in_a_table_once() {
    for (index, setting) in SETTINGS.iter().enumerate() {
        assert!(TABLES.iter().any(|(table, _)| *table == setting.table), "{}", setting.path());
        let others = SETTINGS.iter().skip(index + 1);
        assert!(others.filter(|other| other.path() == setting.path()).count() == 0);
    }
}

/// The least and the most that a form takes, where it has bounds.
fn bounds(form: Form) -> Vec<Value> {
    match form {
        Form::Switch => vec![Value::Switch(false), Value::Switch(true)],
        Form::Number(least, most) | Form::Bytes(least, most) | Form::Seconds(least, most) => {
            vec![Value::Number(least), Value::Number(most)]
        }
        Form::Duration(least, most) => vec![Value::Duration(least), Value::Duration(most)],
        Form::Mode => vec![Value::Number(0), Value::Number(0o777)],
        Form::Off | Form::Text(_) | Form::Texts(_) | Form::Path => Vec::new(),
    }
}

#[test]
fn a_broker_survives_every_setting_at_its_bounds() {
    for setting in SETTINGS {
        for value in bounds(setting.form) {
            let mut config = Config::default();
            (setting.write)(&mut config, value).unwrap();
            serve_a_little(config);
        }
    }
}

/// Connects a client that subscribes to what it publishes, and lets a minute pass.
fn serve_a_little(config: Config) {
    let mut broker = Broker::new(config.broker, [1; 32]);
    let mut now = Time::ZERO;
    let id = broker.open(now, PeerInfo::default()).unwrap();
    let packets: [&[u8]; 5] = [
        // CONNECT with a will, a user name and a Session Expiry Interval.
        b"\x10\x1c\x00\x04MQTT\x05\x86\x00\x3c\x05\x11\x00\x00\x00\x3c\x00\x01a\x00\x00\x01w\x00\x00\x00\x01u",
        // SUBSCRIBE to #.
        b"\x82\x07\x00\x01\x00\x00\x01#\x02",
        // PUBLISH with QoS 2, retained.
        b"\x35\x07\x00\x01t\x00\x02\x00x",
        // PUBLISH with QoS 0.
        b"\x30\x05\x00\x01t\x00x",
        // PINGREQ.
        b"\xc0\x00",
    ];
    let mut out = TransmitBuf::new();
    for packet in packets {
        broker.handle_input(id, now, packet);
        for _ in 0..10 {
            while broker.poll_event().is_some() {}
            while let Some(ready) = broker.poll_ready() {
                broker.poll_transmit(ready, now, &mut out, 64 * 1024);
                out.advance(out.remaining());
            }
            now = now + Duration::from_secs(1);
            broker.handle_timeout(now);
        }
    }
    broker.handle_eof(id, now);
    assert!(broker.statistics().packets_received > 0);
    broker.handle_timeout(now + Duration::from_secs(1 << 33));
}
