//! Every state of the connection against everything that can happen, in one reviewable table.

use core::fmt::Write;

use mqtt_codec::{Auth, AuthReason};

use super::super::link::Reauthentication;
use super::*;

type Make = fn() -> Script;
type Happen = fn(&mut Script);

fn method() -> PropertyBuf {
    terms(|terms| {
        terms.authentication_method("m").unwrap();
    })
}

impl Script {
    fn challenge(&mut self) {
        let reason = AuthReason::ContinueAuthentication;
        self.receive(Auth { reason, properties: method().as_properties() });
        assert_eq!(self.events(), ["challenged []"]);
    }
}

/// Ways to bring a client into a state.
const STATES: [(&str, Make); 8] = [
    ("idle", || Script::new(resuming())),
    ("connect to be sent", || {
        let mut script = Script::new(resuming());
        script.client.handle_connected(script.now);
        script
    }),
    ("connecting", || {
        let mut script = Script::new(resuming());
        script.client.handle_connected(script.now);
        script.sent();
        script
    }),
    ("authenticating", || {
        let mut script = Script::new(resuming().authentication("m", "nonce"));
        script.client.handle_connected(script.now);
        script.sent();
        script.challenge();
        script
    }),
    ("open", || Script::open(resuming().keep_alive(Duration::from_secs(60)))),
    ("authenticating anew", || {
        let mut script = Script::open_with(resuming().authentication("m", "nonce"), &method());
        script.client.reauthenticate(script.now, b"again").unwrap();
        script.sent();
        script.challenge();
        script
    }),
    ("leaving", || {
        let mut script = Script::open(resuming());
        script.publish("under/way", QoS::AtLeastOnce).unwrap();
        script.sent();
        let options = DisconnectOptions::default().drain(Duration::from_secs(9));
        script.client.disconnect(script.now, &options).unwrap();
        script
    }),
    ("closing", || {
        let mut script = Script::open(resuming());
        script.receive(Packet::PingReq);
        script
    }),
];

/// What can happen to it, each as bytes of the server or as a call.
const HAPPENINGS: [(&str, Happen); 26] = [
    ("connected", |script| script.client.handle_connected(script.now)),
    ("end of stream", Script::lose),
    ("a day passes", |script| script.pass(Duration::from_secs(86_400))),
    ("CONNECT", |script| {
        script.receive_bytes(&[16, 13, 0, 4, 77, 81, 84, 84, 5, 2, 0, 0, 0, 0, 0])
    }),
    ("CONNACK 0x00", |script| script.receive_bytes(&[32, 3, 0, 0, 0])),
    ("CONNACK 0x00 session present", |script| script.receive_bytes(&[32, 3, 1, 0, 0])),
    ("CONNACK 0x87", |script| script.receive_bytes(&[32, 3, 0, 0x87, 0])),
    ("PUBLISH QoS 0", |script| script.deliver("t", PublishQos::AtMostOnce)),
    ("PUBLISH QoS 1", |script| script.deliver("t", qos1(9))),
    ("PUBLISH QoS 2", |script| script.deliver("t", qos2(9))),
    ("PUBACK 1", |script| script.receive(puback(1, PubAckReason::Success))),
    ("PUBREC 1", |script| script.receive(pubrec(1, PubAckReason::Success))),
    ("PUBREL 1", |script| script.receive(pubrel(1))),
    ("PUBCOMP 1", |script| script.receive(pubcomp(1))),
    ("SUBSCRIBE", |script| script.receive_bytes(&[0x82, 7, 0, 1, 0, 0, 1, 97, 0])),
    ("SUBACK 1", |script| script.suback(1, &[SubAckReason::GrantedQos0])),
    ("UNSUBSCRIBE", |script| script.receive_bytes(&[0xA2, 6, 0, 1, 0, 0, 1, 97])),
    ("UNSUBACK 1", |script| script.unsuback(1, &[UnsubAckReason::Success])),
    ("PINGREQ", |script| script.receive(Packet::PingReq)),
    ("PINGRESP", |script| script.receive(Packet::PingResp)),
    ("DISCONNECT 0x8B", |script| script.receive_bytes(&[0xE0, 1, 0x8B])),
    ("AUTH", |script| script.receive_bytes(&[0xF0, 0])),
    ("AUTH 0x18 with the method", |script| {
        let reason = AuthReason::ContinueAuthentication;
        script.receive(Auth { reason, properties: method().as_properties() });
    }),
    ("malformed packet", |script| script.receive_bytes(&[0, 0])),
    ("publish QoS 1", |script| {
        let accepted = script.publish("p", QoS::AtLeastOnce).is_ok();
        assert_eq!(
            accepted,
            matches!(script.client.link, Link::Connecting(_)) || {
                script.client.link.open().is_some_and(|open| open.leaving.is_none())
            }
        );
    }),
    ("disconnect", |script| {
        let accepted = script.client.disconnect(script.now, &DisconnectOptions::default()).is_ok();
        let refused = matches!(script.client.link, Link::Closing(_))
            || matches!(script.client.link, Link::Idle) && script.client.events.is_empty();
        assert_eq!(accepted, !refused);
    }),
];

fn state(client: &Client) -> &'static str {
    match &client.link {
        Link::Idle => "idle",
        Link::Connecting(connecting) if connecting.is_challenged => "authenticating",
        Link::Connecting(connecting) if connecting.is_connect_sent => "connecting",
        Link::Connecting(_) => "connect to be sent",
        Link::Open(open) if open.leaving.is_some() => "leaving",
        Link::Open(open) if open.authentication == Reauthentication::Challenged => {
            "authenticating anew"
        }
        Link::Open(_) => "open",
        Link::Closing(_) => "closing",
    }
}

#[test]
fn every_state_meets_every_happening() {
    let mut table = String::new();
    for (name, make) in STATES {
        writeln!(table, "{name}").unwrap();
        for (happening, happen) in HAPPENINGS {
            let mut script = make();
            let reader = script.client.subscribe_unmatched(BufferOptions::new());
            script.unmatched = Some(reader);
            assert_eq!(state(&script.client), name);
            happen(&mut script);
            let first = state(&script.client);
            let mut said = script.events();
            said.extend(script.sent().into_iter().map(|line| format!("> {line}")));
            said.extend(script.events());
            let last = state(&script.client);
            let path = if first == last { first.to_owned() } else { format!("{first}, {last}") };
            let row = format!("  {happening:30} {path:28} {}", said.join("; "));
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
