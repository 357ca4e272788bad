//! Which ends are worth another attempt, for every reason code.

use mqtt_codec::{Disconnect, DisconnectReason};

use super::*;

/// What the client does after its connection ended: `(kept credentials, fresh credentials)`.
fn follows(end: impl Fn(&mut Script)) -> (String, String) {
    let after = |is_fresh: bool| {
        let mut script = Script::new(ClientConfig::new().keep_trying(true));
        script.client.start(script.now);
        if is_fresh {
            script.client.set_credentials(Some("u".into()), Some("p".into())).unwrap();
        }
        script.client.handle_connected(script.now);
        script.sent();
        end(&mut script);
        let last = script.events().pop().unwrap();
        last.split([':', ' ']).next().unwrap().to_owned()
    };
    (after(false), after(true))
}

/// Every reason by what it leads to, as `(waits, ends, waits only with fresh credentials)`.
fn sorted(codes: &[u8], end: impl Fn(&mut Script, u8)) -> [Vec<u8>; 3] {
    let mut sorted = [Vec::new(), Vec::new(), Vec::new()];
    for &code in codes {
        let (kept, fresh) = follows(|script| end(script, code));
        let place = match (kept.as_str(), fresh.as_str()) {
            ("waiting", "waiting") => 0,
            ("ended", "ended") => 1,
            ("ended", "waiting") => 2,
            other => panic!("0x{code:02X}: {other:?}"),
        };
        sorted[place].push(code);
    }
    sorted
}

#[test]
fn a_refusal_is_final_unless_the_servers_circumstances_or_new_credentials_may_change_it() {
    let codes: Vec<u8> = ConnectReason::ALL.iter().map(|reason| u8::from(*reason)).collect();
    let refused = sorted(&codes[1..], |script, code| script.receive_bytes(&[0x20, 3, 0, code, 0]));
    assert_eq!(refused[0], [0x80, 0x83, 0x88, 0x89, 0x97, 0x9C, 0x9F]);
    assert_eq!(refused[1], [0x81, 0x82, 0x84, 0x85, 0x8A, 0x90, 0x95, 0x99, 0x9A, 0x9B, 0x9D]);
    assert_eq!(refused[2], [0x86, 0x87, 0x8C]);
}

#[test]
fn a_disconnect_is_final_unless_the_servers_circumstances_or_new_credentials_may_change_it() {
    let codes: Vec<u8> = DisconnectReason::ALL
        .iter()
        .filter(|reason| **reason != DisconnectReason::DisconnectWithWillMessage)
        .map(|reason| u8::from(*reason))
        .collect();
    let left = sorted(&codes, |script, code| {
        script.receive_bytes(&[0x20, 3, 0, 0, 0]);
        script.receive_bytes(&[0xE0, 1, code]);
    });
    assert_eq!(left[0], [0x00, 0x80, 0x83, 0x89, 0x8B, 0x8D, 0x96, 0x97, 0x98, 0x9C, 0x9F, 0xA0]);
    assert_eq!(
        left[1],
        [0x81, 0x82, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x99, 0x9A, 0x9B, 0x9D, 0x9E, 0xA1, 0xA2]
    );
    assert_eq!(left[2], [0x87, 0x8C]);
}

#[test]
fn what_befalls_a_connection_without_a_reason_code_may_pass() {
    let waits = ("waiting".to_owned(), "waiting".to_owned());
    assert_eq!(follows(Script::lose), waits);
    assert_eq!(follows(|script| script.pass(Duration::from_secs(10))), waits, "no CONNACK");
    assert_eq!(
        follows(|script| {
            script.receive_bytes(&[0x20, 3, 0, 0, 0]);
            script.receive_bytes(&[0, 0]);
            script.sent();
        }),
        waits,
        "a malformed packet of the server"
    );
}

#[test]
fn a_session_that_was_taken_over_is_left_to_the_other_client_unless_told_otherwise() {
    for (reconnects, expected) in [(false, "ended Final"), (true, "waiting")] {
        let config = ClientConfig::new().reconnect_when_taken_over(reconnects);
        let mut script = Script::started(config);
        let reason = DisconnectReason::SessionTakenOver;
        script.receive(Disconnect { reason, properties: Properties::EMPTY });
        let last = script.events().pop().unwrap();
        assert!(last.starts_with(expected), "{last}");
    }
}

/// A client whose first `unanswered` CONNECTs get no answer, and whose next one is accepted.
fn accepted_after(unanswered: usize) -> Script {
    let mut script = Script::new(ClientConfig::new().keep_trying(true));
    script.client.start(script.now);
    for _ in 0..unanswered {
        script.client.handle_connected(script.now);
        script.sent();
        script.pass(Duration::from_secs(10));
        assert!(script.events().pop().unwrap().starts_with("waiting"));
        script.pass(Duration::from_secs(60));
    }
    accept(&mut script);
    script
}

fn accept(script: &mut Script) {
    script.client.handle_connected(script.now);
    script.sent();
    script.receive_bytes(&[0x20, 3, 0, 0, 0]);
    script.events();
}

/// What the client does when it is taken over.
fn taken_over(script: &mut Script) -> String {
    script.receive_bytes(&[0xE0, 1, 0x8E]);
    script.events().pop().unwrap()
}

#[test]
fn a_connect_that_was_held_back_may_take_the_session_over_once_without_ending_the_client() {
    for unanswered in 0..3 {
        let mut script = accepted_after(unanswered);
        for _ in 0..unanswered {
            let last = taken_over(&mut script);
            assert!(last.starts_with("waiting"), "{last}");
            script.pass(Duration::from_secs(60));
            accept(&mut script);
        }
        let last = taken_over(&mut script);
        assert!(last.starts_with("ended Final"), "{last}");
    }
}

#[test]
fn after_a_connection_that_stood_whoever_takes_over_is_another_client() {
    let mut script = accepted_after(1);
    script.pass(Duration::from_secs(30));
    let last = taken_over(&mut script);
    assert!(last.starts_with("ended Final"), "{last}");
}

#[test]
fn a_connect_that_was_refused_or_did_not_leave_takes_nothing_over() {
    let mut script = Script::new(ClientConfig::new().keep_trying(true));
    script.client.start(script.now);
    script.client.handle_dial_failed(script.now, DialFault::Unreachable);
    script.pass(Duration::from_secs(60));
    script.client.handle_connected(script.now);
    script.sent();
    script.receive_bytes(&[0x20, 3, 0, 0x89, 0]);
    assert!(script.events().pop().unwrap().starts_with("waiting"));
    script.pass(Duration::from_secs(60));
    accept(&mut script);
    let last = taken_over(&mut script);
    assert!(last.starts_with("ended Final"), "{last}");
}

#[test]
fn a_transport_that_cannot_be_opened_is_judged_by_its_fault() {
    use DialFault as Fault;
    for (fault, is_retryable) in [
        (Fault::Unreachable, true),
        (Fault::TimedOut, true),
        (Fault::NameNotFound, true),
        (Fault::NoCredentials, true),
        (Fault::SystemLimit, true),
        (Fault::TlsRefused, false),
        (Fault::ProtocolRefused, false),
        (Fault::BadAddress, false),
    ] {
        let mut script = Script::new(ClientConfig::new().keep_trying(true));
        script.client.start(script.now);
        script.client.handle_dial_failed(script.now, fault);
        let last = script.events().pop().unwrap();
        let expected = if is_retryable { "waiting" } else { "ended Final" };
        assert!(last.starts_with(expected), "{fault:?}: {last}");
        assert_eq!(fault.is_retryable(), is_retryable);
        assert_eq!(Outage::Dial(fault).is_retryable(), is_retryable);
    }
}

#[test]
fn tls_that_was_refused_may_be_granted_to_another_certificate() {
    let mut script = Script::new(ClientConfig::new().keep_trying(true));
    script.client.start(script.now);
    script.client.set_credentials(None, None).unwrap();
    script.client.handle_dial_failed(script.now, DialFault::TlsRefused);
    assert!(script.events().pop().unwrap().starts_with("waiting"));
}
