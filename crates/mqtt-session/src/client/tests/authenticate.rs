//! Enhanced authentication before CONNACK and on a connection that stands.

use mqtt_codec::{Auth, AuthReason, DisconnectReason};

use super::*;

fn config() -> ClientConfig {
    resuming().authentication("SCRAM", "hello")
}

fn auth(method: &str, data: &[u8], reason: AuthReason) -> Vec<u8> {
    let mut properties = PropertyBuf::new();
    properties.authentication_method(method).unwrap();
    properties.authentication_data(data).unwrap();
    let mut bytes = Vec::new();
    let auth = Auth { reason, properties: properties.as_properties() };
    auth.encode(&mut bytes, u32::MAX).unwrap();
    bytes
}

fn challenge(data: &[u8]) -> Vec<u8> {
    auth("SCRAM", data, AuthReason::ContinueAuthentication)
}

/// A client whose CONNECT has left.
fn connecting() -> Script {
    let mut script = Script::new(config());
    script.client.handle_connected(script.now);
    let sent = script.sent();
    assert!(sent[0].contains("Authentication Method: \"SCRAM\""), "{sent:?}");
    script
}

fn accepted(method: Option<&str>) -> PropertyBuf {
    terms(|terms| {
        if let Some(method) = method {
            terms.authentication_method(method).unwrap().authentication_data(b"last").unwrap();
        }
    })
}

/// A client that was accepted with its method.
fn open() -> Script {
    Script::open_with(config(), &accepted(Some("SCRAM")))
}

impl Script {
    fn authenticate(&mut self, data: &[u8]) -> Result<(), AuthenticateError> {
        self.client.authenticate(self.now, data)
    }

    /// The reason and data of the one AUTH that is sent now.
    fn sent_auth(&mut self) -> (AuthReason, Vec<u8>) {
        let bytes = self.sent_bytes();
        match decode(&bytes, &Limits::new()) {
            Ok(Decoded::Packet(Packet::Auth(auth), len)) => {
                assert_eq!(len, bytes.len(), "one packet");
                assert_eq!(auth.properties.authentication_method(), Some("SCRAM"));
                (auth.reason, auth.properties.authentication_data().unwrap().to_vec())
            }
            other => panic!("an AUTH, not {other:?}"),
        }
    }
}

/// Proves: [MQTT-3.1.2-30], [MQTT-4.12.0-3], [MQTT-4.12.0-5], [MQTT-3.15.2-1]
#[test]
fn challenges_are_answered_until_connack_and_nothing_else_is_sent() {
    let mut script = connecting();
    script.publish("waits", QoS::AtLeastOnce).unwrap();
    script.subscribe(&["waits"]);
    for data in [&b"one"[..], b"two"] {
        assert_eq!(script.authenticate(b"early"), Err(AuthenticateError::NotChallenged));
        script.receive_bytes(&challenge(data));
        assert_eq!(script.events(), [format!("challenged {data:?}")]);
        assert!(script.sent().is_empty());
        script.authenticate(b"answer").unwrap();
        let expected = (AuthReason::ContinueAuthentication, b"answer".to_vec());
        assert_eq!(script.sent_auth(), expected);
    }
    script.receive(ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: accepted(Some("SCRAM")).as_properties(),
    });
    assert_eq!(script.client.negotiated().unwrap().authentication_data.as_bytes(), b"last");
    assert_eq!(script.sent().len(), 2, "SUBSCRIBE and PUBLISH");
}

#[test]
fn each_step_has_its_own_time() {
    let mut script = connecting();
    script.pass(Duration::from_secs(9));
    script.receive_bytes(&challenge(b"one"));
    script.pass(Duration::from_secs(9));
    script.authenticate(b"answer").unwrap();
    script.pass(Duration::from_secs(9));
    assert_eq!(script.events().len(), 1);
    script.pass(Duration::from_secs(1));
    assert_eq!(script.events(), ["closed: the server did not answer CONNECT in time"]);
}

/// Proves: [MQTT-4.12.1-1], [MQTT-4.12.0-5]
#[test]
fn a_connection_that_stands_is_authenticated_anew_while_traffic_goes_on() {
    let mut script = open();
    script.client.reauthenticate(script.now, b"again").unwrap();
    assert_eq!(script.sent_auth(), (AuthReason::ReAuthenticate, b"again".to_vec()));
    assert_eq!(
        script.client.reauthenticate(script.now, b""),
        Err(AuthenticateError::NotPossible),
        "one at a time"
    );
    script.publish("a", QoS::AtLeastOnce).unwrap();
    assert_eq!(script.sent().len(), 1);
    script.receive_bytes(&challenge(b"one"));
    script.authenticate(b"answer").unwrap();
    assert_eq!(script.sent_auth().0, AuthReason::ContinueAuthentication);
    script.receive_bytes(&auth("SCRAM", b"last", AuthReason::Success));
    let last = format!("authenticated {:?}", b"last");
    assert_eq!(script.events(), [format!("challenged {:?}", b"one"), last]);
    script.client.reauthenticate(script.now, b"once more").unwrap();
}

/// Proves: [MQTT-4.12.1-2]
#[test]
fn an_authentication_anew_that_fails_ends_the_connection_with_a_reason() {
    // The server does not convince the client.
    let mut script = open();
    script.client.reauthenticate(script.now, b"again").unwrap();
    script.sent();
    script.receive_bytes(&challenge(b"forged"));
    assert_eq!(script.events().len(), 1);
    let options = DisconnectOptions::new(DisconnectReason::ImplementationSpecificError);
    script.client.disconnect(script.now, &options).unwrap();
    assert_eq!(script.sent(), ["DISCONNECT 0x83"]);
    assert_eq!(script.events(), ["closed: disconnected by the application"]);
    // It goes on with another method.
    let mut script = open();
    script.client.reauthenticate(script.now, b"again").unwrap();
    script.sent();
    script.receive_bytes(&auth("PLAIN", b"", AuthReason::ContinueAuthentication));
    assert_eq!(script.sent(), ["DISCONNECT 0x82"]);
    // The client does not convince the server.
    let mut script = open();
    script.client.reauthenticate(script.now, b"again").unwrap();
    script.sent();
    script.receive_bytes(&[0xE0, 1, 0x87]);
    assert!(script.sent().is_empty());
    let events = script.events();
    assert!(events[0].starts_with("closed: disconnected by the server: "), "{events:?}");
}

/// Proves: [MQTT-4.12.0-7]
#[test]
fn without_a_method_there_is_no_authentication() {
    let mut script = Script::open(resuming());
    let refused = script.client.reauthenticate(script.now, b"x");
    assert_eq!(refused, Err(AuthenticateError::NotPossible));
    assert_eq!(script.authenticate(b"x"), Err(AuthenticateError::NotChallenged));
    assert!(script.sent().is_empty());
}

#[test]
fn an_auth_that_does_not_belong_there_ends_the_connection() {
    let continues = AuthReason::ContinueAuthentication;
    type Make = fn() -> Script;
    let cases: [(Make, Vec<u8>); 6] = [
        (connecting, auth("OTHER", b"", continues)),
        (connecting, auth("SCRAM", b"", AuthReason::Success)),
        (connecting, auth("SCRAM", b"", AuthReason::ReAuthenticate)),
        (connecting, [challenge(b"one"), challenge(b"two")].concat()),
        (open, challenge(b"unasked")),
        (open, vec![0xF0, 0]),
    ];
    for (make, bytes) in cases {
        let mut script = make();
        script.receive_bytes(&bytes);
        assert_eq!(script.sent().last().unwrap(), "DISCONNECT 0x82", "{bytes:?}");
    }
    // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
    for (config, method) in [(config(), None), (config(), Some("OTHER")), (resuming(), Some("S"))] {
        let mut script = Script::new(config);
        script.client.handle_connected(script.now);
        script.sent();
        script.receive(ConnAck {
            session_present: false,
            reason: ConnectReason::Success,
            properties: accepted(method).as_properties(),
        });
        assert_eq!(script.sent(), ["DISCONNECT 0x82"]);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_changes_nothing() {
    let mut script = connecting();
    script.receive_bytes(&challenge(b"one"));
    let long = vec![0; 70_000];
    assert!(matches!(script.authenticate(&long), Err(AuthenticateError::Data(_))));
    script.authenticate(b"short").unwrap();
    let refused = Client::new(resuming().authentication("\0", ""), [0; 32]).unwrap_err();
    assert!(refused.to_string().contains("U+0000"));
}

#[test]
fn data_of_an_authentication_is_never_shown() {
    let mut script = connecting();
    script.receive_bytes(&challenge(b"secret"));
    let event = script.client.poll_event().unwrap();
    assert!(format!("{event:?}").contains("(6 bytes)"));
    assert!(!format!("{:?}", config()).contains("hello"));
}
