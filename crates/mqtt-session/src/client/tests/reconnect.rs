//! Being connected as a wish: when the client dials, waits and gives up.

use super::*;
use crate::Timer;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A configuration without chance in its waits.
fn steady() -> ClientConfig {
    let backoff =
        Backoff::exponential(secs(1)..=secs(8)).jitter(Jitter::None).reset_after(secs(30));
    ClientConfig::new().client_id("c").keep_alive(Duration::ZERO).backoff(backoff)
}

impl Script {
    /// A client that was started and whose first connection the server has accepted.
    pub(super) fn started(config: ClientConfig) -> Self {
        let mut script = Self::new(config);
        script.client.start(script.now);
        assert_eq!(script.events(), ["dial 1 the configured server"]);
        script.accept();
        script
    }

    /// The transport that was asked for stands, and the server accepts.
    pub(super) fn accept(&mut self) {
        self.connect(false, &PropertyBuf::new());
    }

    fn dial_failed(&mut self) {
        self.client.handle_dial_failed(self.now, DialFault::Unreachable);
    }

    fn deadline(&self) -> Option<(u64, Timer)> {
        let deadline = self.client.poll_timeout()?;
        Some((deadline.at.as_nanos() / 1_000_000_000, deadline.timer))
    }
}

#[test]
fn a_client_that_was_not_started_leaves_its_connections_to_its_owner() {
    let mut script = Script::open(steady());
    script.lose();
    assert_eq!(script.events(), ["closed: the connection was lost"]);
    assert_eq!(script.deadline(), None);
    script.accept();
    script.lose();
    assert_eq!(script.events(), ["closed: the connection was lost"]);
}

#[test]
fn a_started_client_dials_at_once_and_again_when_the_connection_is_lost() {
    let mut script = Script::started(steady());
    script.pass(secs(40));
    script.lose();
    assert_eq!(
        script.events(),
        ["closed: the connection was lost", "waiting until 41000: the connection was lost"]
    );
    assert_eq!(script.deadline(), Some((41, Timer::Reconnect)));
    script.pass(Duration::from_millis(999));
    assert_eq!(script.events(), [""; 0]);
    script.pass(Duration::from_millis(1));
    assert_eq!(script.events(), ["dial 1 the configured server"]);
    assert_eq!(script.deadline(), Some((51, Timer::Dial)));
    script.accept();
    assert_eq!(script.deadline(), None);
}

#[test]
fn waits_grow_with_every_failure_and_only_a_stable_connection_resets_them() {
    let mut script = Script::started(steady());
    let mut waits = Vec::new();
    let wait = |script: &mut Script| {
        let (until, timer) = script.deadline().unwrap();
        assert_eq!(timer, Timer::Reconnect);
        let wait = until - script.now.as_nanos() / 1_000_000_000;
        script.pass(secs(wait));
        wait
    };
    // The server accepts and hangs up a second later, again and again.
    for _ in 0..3 {
        script.pass(secs(1));
        script.lose();
        waits.push(wait(&mut script));
        script.accept();
    }
    // Then nobody answers.
    script.lose();
    for _ in 0..3 {
        waits.push(wait(&mut script));
        script.dial_failed();
    }
    waits.push(wait(&mut script));
    script.events();
    script.accept();
    // Now it stands.
    script.pass(secs(30));
    script.lose();
    waits.push(wait(&mut script));
    assert_eq!(waits, [1, 2, 4, 8, 8, 8, 8, 1]);
    assert_eq!(script.events().pop().unwrap(), "dial 1 the configured server");
}

#[test]
fn attempts_are_numbered_from_the_last_stable_connection() {
    let mut script = Script::started(steady());
    script.lose();
    script.pass(secs(1));
    script.dial_failed();
    script.pass(secs(2));
    let dials: Vec<_> = script.events().into_iter().filter(|it| it.starts_with("dial")).collect();
    assert_eq!(dials, ["dial 2 the configured server", "dial 3 the configured server"]);
}

#[test]
fn a_transport_that_does_not_stand_in_time_is_given_up_and_a_late_one_ignored() {
    let mut script = Script::new(steady().keep_trying(true).connect_timeout(secs(5)));
    script.client.start(script.now);
    script.pass(secs(5));
    assert_eq!(
        script.events(),
        [
            "dial 1 the configured server",
            "waiting until 6000: the connection to the server did not stand in time"
        ]
    );
    script.client.handle_connected(script.now);
    assert_eq!(script.sent(), [""; 0], "nobody waits for it any more");
    script.client.handle_dial_failed(script.now, DialFault::TlsRefused);
    assert_eq!(script.events(), [""; 0]);
}

#[test]
fn the_first_attempt_is_the_only_one_unless_told_to_keep_trying() {
    for keeps_trying in [false, true] {
        let mut script = Script::new(steady().keep_trying(keeps_trying));
        script.client.start(script.now);
        script.dial_failed();
        let expected = if keeps_trying {
            "waiting until 1000: the server cannot be reached"
        } else {
            "ended FirstAttempt: the server cannot be reached"
        };
        assert_eq!(script.events()[1], expected);
    }
    // One that was refused or lost before CONNACK has not succeeded either.
    let mut script = Script::new(steady());
    script.client.start(script.now);
    script.client.handle_connected(script.now);
    script.lose();
    assert_eq!(script.events().pop().unwrap(), "ended FirstAttempt: the connection was lost");
}

#[test]
fn attempts_end_when_as_many_as_allowed_have_failed_in_a_row() {
    let two = core::num::NonZeroU32::new(2).unwrap();
    let mut script = Script::started(steady().reconnect(Reconnect::AtMost(two)));
    script.pass(secs(30));
    script.lose();
    script.pass(secs(1));
    script.dial_failed();
    script.pass(secs(2));
    script.dial_failed();
    let events = script.events();
    assert_eq!(
        events[1..],
        [
            "waiting until 31000: the connection was lost",
            "dial 1 the configured server",
            "waiting until 33000: the server cannot be reached",
            "dial 2 the configured server",
            "ended NoAttemptsLeft: the server cannot be reached"
        ]
    );
    assert_eq!(script.deadline(), None);
}

#[test]
fn a_client_that_never_reconnects_ends_with_its_connection() {
    let mut script = Script::started(steady().reconnect(Reconnect::Never));
    script.lose();
    assert_eq!(
        script.events(),
        ["closed: the connection was lost", "ended NoAttemptsLeft: the connection was lost"]
    );
}

#[test]
fn starting_while_waiting_dials_at_once_and_starting_twice_changes_nothing() {
    let mut script = Script::started(steady());
    script.lose();
    script.events();
    script.client.start(script.now);
    assert_eq!(script.events(), ["dial 2 the configured server"]);
    script.client.start(script.now);
    script.accept();
    script.client.start(script.now);
    assert_eq!(script.events(), [""; 0]);
}

#[test]
fn a_client_that_has_ended_can_be_started_again_with_its_session() {
    let config = steady().session(SessionPolicy::resume(secs(3600))).reconnect(Reconnect::Never);
    let mut script = Script::started(config);
    script.publish("a", QoS::AtLeastOnce).unwrap();
    script.sent();
    script.lose();
    script.events();
    script.client.start(script.now);
    assert_eq!(script.events(), ["dial 1 the configured server"]);
    script.connect(true, &PropertyBuf::new());
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 DUP a"]);
}

#[test]
fn a_connection_that_its_owner_made_is_kept_up_once_the_client_is_started() {
    let mut script = Script::open(steady());
    script.client.start(script.now);
    assert_eq!(script.events(), [""; 0]);
    script.lose();
    let last = script.events().pop().unwrap();
    assert_eq!(last, "waiting until 1000: the connection was lost");
}

#[test]
fn leaving_ends_the_client_wherever_it_is() {
    let leave = |script: &mut Script| {
        script.client.disconnect(script.now, &DisconnectOptions::default()).unwrap();
        script.sent();
        let events = script.events();
        assert!(events.last().unwrap().starts_with("ended Disconnected"), "{events:?}");
        assert_eq!(script.deadline(), None);
        script.client.handle_connected(script.now);
        script.pass(secs(1000));
        assert_eq!((script.sent(), script.events()), (vec![], vec![]), "it stays ended");
    };
    let mut waiting = Script::started(steady());
    waiting.lose();
    leave(&mut waiting);
    let mut dialling = Script::new(steady());
    dialling.client.start(dialling.now);
    leave(&mut dialling);
    let mut connecting = Script::new(steady());
    connecting.client.start(connecting.now);
    connecting.client.handle_connected(connecting.now);
    leave(&mut connecting);
    leave(&mut Script::started(steady()));
    let mut closing = Script::started(steady());
    closing.receive(Packet::PingReq);
    leave(&mut closing);
}

#[test]
fn a_client_that_is_lost_while_it_leaves_does_not_come_back() {
    let mut script = Script::started(steady().session(SessionPolicy::resume(secs(60))));
    script.publish("a", QoS::AtLeastOnce).unwrap();
    let drain = DisconnectOptions::default().drain(secs(9));
    script.client.disconnect(script.now, &drain).unwrap();
    script.sent();
    script.lose();
    assert_eq!(
        script.events(),
        ["closed: the connection was lost", "ended Disconnected: the connection was lost"]
    );
}

#[test]
fn credentials_are_those_given_for_the_attempt() {
    let mut script = Script::new(steady().user_name("u").password("configured"));
    script.client.start(script.now);
    let connect = |script: &mut Script, password: Option<&'static str>| {
        if let Some(password) = password {
            let password = Some(Bytes::from(password));
            script.client.set_credentials(Some("u".into()), password).unwrap();
        }
        script.client.handle_connected(script.now);
        let connect = script.sent_bytes();
        script.receive_bytes(&[0x20, 3, 0, 0, 0]);
        script.lose();
        script.client.start(script.now);
        String::from_utf8_lossy(&connect).into_owned()
    };
    assert!(connect(&mut script, None).ends_with("configured"));
    assert!(connect(&mut script, Some("token 1")).ends_with("token 1"));
    assert!(connect(&mut script, Some("token 2")).ends_with("token 2"));
    let too_long = Bytes::from(vec![0; 65_536]);
    script.client.set_credentials(None, Some(too_long)).unwrap_err();
    assert!(connect(&mut script, None).ends_with("token 2"), "nothing has changed");
}

/// Enhanced authentication begins on every connection with data of its own.
#[test]
fn authentication_data_are_those_given_for_the_attempt() {
    let mut script = Script::new(steady().authentication("m", "first"));
    script.client.start(script.now);
    for nonce in ["first", "second"] {
        if nonce != "first" {
            script.client.set_authentication_data(nonce).unwrap();
        }
        script.client.handle_connected(script.now);
        let connect = script.sent_bytes();
        assert!(connect.windows(nonce.len()).any(|bytes| bytes == nonce.as_bytes()), "{nonce}");
        let challenge = terms(|it| {
            it.authentication_method("m").unwrap().authentication_data(b"challenge").unwrap();
        });
        let reason = mqtt_codec::AuthReason::ContinueAuthentication;
        script.receive(mqtt_codec::Auth { reason, properties: challenge.as_properties() });
        script.client.authenticate(script.now, nonce.as_bytes()).unwrap();
        assert_eq!(script.sent().len(), 1);
        let method = terms(|it| {
            it.authentication_method("m").unwrap();
        });
        script.receive(ConnAck {
            session_present: false,
            reason: ConnectReason::Success,
            properties: method.as_properties(),
        });
        assert!(script.client.negotiated().is_some());
        script.lose();
        script.client.start(script.now);
        script.events();
    }
}

#[test]
fn full_jitter_comes_from_the_seed_and_never_exceeds_the_wait() {
    let backoff = Backoff::exponential(secs(4)..=secs(4));
    let wait = |seed: u8| {
        let config = steady().backoff(backoff).keep_trying(true);
        let mut client = Client::new(config, [seed; 32]).unwrap();
        client.start(Time::ZERO);
        client.handle_dial_failed(Time::ZERO, DialFault::Unreachable);
        client.poll_timeout().unwrap().at.as_nanos()
    };
    assert_eq!(wait(1), wait(1));
    assert_ne!(wait(1), wait(2));
    for seed in 0..100 {
        assert!(wait(seed) < 4_000_000_000);
    }
}
