//! Keep-alive as the server sees it.

use super::*;

fn client(seconds: u64) -> Script {
    Script::open(resuming().keep_alive(Duration::from_secs(seconds)))
}

/// Lets the deadlines of the next `total` come one after the other, as a driver does.
fn idle(script: &mut Script, total: Duration) -> Vec<String> {
    let end = script.now + total;
    let mut sent = Vec::new();
    while let Some(deadline) = script.client.poll_timeout()
        && deadline.at <= end
    {
        script.now = deadline.at;
        script.client.handle_timeout(script.now);
        sent.extend(script.sent());
        sent.extend(script.events());
    }
    script.now = end;
    sent
}

/// Proves: [MQTT-3.1.2-20]
#[test]
fn an_idle_client_pings_within_every_keep_alive_interval() {
    let mut script = client(60);
    for _ in 0..3 {
        assert_eq!(idle(&mut script, Duration::from_secs(56)), ["PINGREQ"]);
        script.receive_bytes(&[0xD0, 0]);
    }
}

#[test]
fn a_client_whose_packets_are_answered_does_not_ping() {
    let mut script = client(10);
    for _ in 0..30 {
        assert_eq!(idle(&mut script, Duration::from_secs(5)), [""; 0]);
        script.publish("a", QoS::AtLeastOnce).unwrap();
        assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 a"]);
        script.receive(puback(1, PubAckReason::Success));
        script.events();
    }
}

/// Proves: [MQTT-3.1.2-21], [MQTT-3.2.2-21]
#[test]
fn the_servers_keep_alive_replaces_the_clients() {
    let mut script = Script::open_with(
        resuming().keep_alive(Duration::from_secs(60)),
        &terms(|terms| {
            terms.server_keep_alive(20);
        }),
    );
    assert_eq!(idle(&mut script, Duration::from_secs(15)), ["PINGREQ"]);
    let mut script = Script::open_with(
        resuming().keep_alive(Duration::from_secs(60)),
        &terms(|terms| {
            terms.server_keep_alive(0);
        }),
    );
    assert_eq!(idle(&mut script, Duration::from_secs(100_000)), [""; 0]);
}

#[test]
fn a_silent_server_is_given_up_without_a_word() {
    let mut script = client(60);
    assert_eq!(
        idle(&mut script, Duration::from_secs(100)),
        ["PINGREQ", "closed: the server gave no sign of life after a ping"]
    );
    assert!(script.sent().is_empty());
}

#[test]
fn time_that_goes_backwards_counts_as_the_latest_seen() {
    let mut script = client(60);
    script.pass(Duration::from_secs(30));
    script.now = Time::ZERO;
    script.publish("a", QoS::AtMostOnce).unwrap();
    script.sent();
    assert_eq!(script.client.poll_timeout().unwrap().at.as_nanos(), 60_000_000_000);
}
