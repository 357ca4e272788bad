//! Every state of a started client against everything that concerns its connection, in one
//! reviewable table.

use core::fmt::Write;

use mqtt_codec::{Auth, AuthReason, Disconnect, DisconnectReason};

use super::*;

type Make = fn() -> Script;
type Happen = fn(&mut Script);

fn config() -> ClientConfig {
    let secs = Duration::from_secs;
    let backoff = Backoff::exponential(secs(1)..=secs(60)).jitter(Jitter::None);
    resuming().authentication("m", "nonce").backoff(backoff)
}

fn method() -> PropertyBuf {
    terms(|terms| {
        terms.authentication_method("m").unwrap();
    })
}

impl Script {
    fn dialling() -> Self {
        let mut script = Self::new(config());
        script.client.start(script.now);
        script.events();
        script
    }

    fn connecting() -> Self {
        let mut script = Self::dialling();
        script.client.handle_connected(script.now);
        script.sent();
        script
    }

    fn accepted() -> Self {
        let mut script = Self::connecting();
        script.connack(ConnectReason::Success, &method());
        script.events();
        script
    }

    fn connack(&mut self, reason: ConnectReason, properties: &PropertyBuf) {
        let properties = properties.as_properties();
        self.receive(ConnAck { session_present: false, reason, properties });
    }

    fn disconnect(&mut self, reason: DisconnectReason, reference: Option<&str>) {
        let properties = terms(|terms| {
            if let Some(reference) = reference {
                terms.server_reference(reference).unwrap();
            }
        });
        self.receive(Disconnect { reason, properties: properties.as_properties() });
    }
}

const STATES: [(&str, Make); 9] = [
    ("unmanaged", || Script::new(config())),
    ("dialling", Script::dialling),
    ("connecting", Script::connecting),
    ("authenticating", || {
        let mut script = Script::connecting();
        script.receive(Auth {
            reason: AuthReason::ContinueAuthentication,
            properties: method().as_properties(),
        });
        script.events();
        script
    }),
    ("open", Script::accepted),
    ("leaving", || {
        let mut script = Script::accepted();
        script.publish("under/way", QoS::AtLeastOnce).unwrap();
        script.sent();
        let options = DisconnectOptions::default().drain(Duration::from_secs(9));
        script.client.disconnect(script.now, &options).unwrap();
        script
    }),
    ("closing", || {
        let mut script = Script::accepted();
        script.receive(Packet::PingReq);
        script
    }),
    ("waiting", || {
        let mut script = Script::accepted();
        script.lose();
        script.events();
        script
    }),
    ("ended", || {
        let mut script = Script::dialling();
        script.client.handle_dial_failed(script.now, DialFault::BadAddress);
        script.events();
        script
    }),
];

const HAPPENINGS: [(&str, Happen); 17] = [
    ("start", |script| script.client.start(script.now)),
    ("connected", |script| script.client.handle_connected(script.now)),
    ("dial failed: unreachable", |script| {
        script.client.handle_dial_failed(script.now, DialFault::Unreachable);
    }),
    ("dial failed: TLS refused", |script| {
        script.client.handle_dial_failed(script.now, DialFault::TlsRefused);
    }),
    ("end of stream", Script::lose),
    ("an hour passes", |script| script.pass(Duration::from_secs(3600))),
    ("CONNACK 0x00", |script| script.connack(ConnectReason::Success, &method())),
    ("CONNACK 0x87", |script| script.connack(ConnectReason::NotAuthorized, &PropertyBuf::new())),
    ("CONNACK 0x9C to b", |script| {
        let reference = terms(|terms| {
            terms.server_reference("b").unwrap();
        });
        script.connack(ConnectReason::UseAnotherServer, &reference);
    }),
    ("DISCONNECT 0x8B", |script| script.disconnect(DisconnectReason::ServerShuttingDown, None)),
    ("DISCONNECT 0x8E", |script| script.disconnect(DisconnectReason::SessionTakenOver, None)),
    ("DISCONNECT 0x9D to b", |script| {
        script.disconnect(DisconnectReason::ServerMoved, Some("b"));
    }),
    ("AUTH 0x18", |script| {
        let reason = AuthReason::ContinueAuthentication;
        script.receive(Auth { reason, properties: method().as_properties() });
    }),
    ("malformed packet", |script| script.receive_bytes(&[0, 0])),
    ("authenticate", |script| {
        let answered = script.client.authenticate(script.now, b"proof").is_ok();
        let is_challenged = matches!(&script.client.link,
            Link::Connecting(connecting) if !connecting.ready.is_empty());
        assert_eq!(answered, is_challenged);
    }),
    ("reauthenticate", |script| {
        let begun = script.client.reauthenticate(script.now, b"again").is_ok();
        let is_open = script.client.link.open().is_some_and(|open| open.leaving.is_none());
        assert_eq!(begun, is_open);
    }),
    ("disconnect", |script| {
        let _left = script.client.disconnect(script.now, &DisconnectOptions::default());
    }),
];

fn state(client: &Client) -> &'static str {
    match &client.link {
        Link::Idle => client.reconnecting.name(),
        Link::Connecting(connecting) if connecting.is_challenged => "authenticating",
        Link::Connecting(_) => "connecting",
        Link::Open(open) if open.leaving.is_some() => "leaving",
        Link::Open(_) => "open",
        Link::Closing(_) => "closing",
    }
}

#[test]
fn every_state_of_a_started_client_meets_every_happening() {
    let mut table = String::new();
    for (name, make) in STATES {
        writeln!(table, "{name}").unwrap();
        for (happening, happen) in HAPPENINGS {
            let mut script = make();
            assert_eq!(state(&script.client), name);
            happen(&mut script);
            let first = state(&script.client);
            let mut said = script.events();
            said.extend(script.sent().into_iter().map(|line| format!("> {line}")));
            said.extend(script.events());
            let last = state(&script.client);
            let path = if first == last { first.to_owned() } else { format!("{first}, {last}") };
            let timer = script.client.poll_timeout().map_or(String::new(), |deadline| {
                format!("{:?} {}", deadline.timer, deadline.at.as_nanos() / 1_000_000_000)
            });
            let row = format!("  {happening:26} {path:20} {timer:16} {}", said.join("; "));
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
