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
}

/// Proves: [MQTT-3.1.2-21], [MQTT-3.2.2-21]
#[test]
fn a_keep_alive_of_0_from_the_server_turns_pings_off() {
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

/// A driver does not ask for bytes while its socket takes none.
#[test]
fn a_dead_link_is_noticed_although_nothing_can_be_written() {
    let mut script = client(60);
    script.publish("stuck", QoS::AtLeastOnce).unwrap();
    let mut ended = None;
    while ended.is_none() {
        script.now = script.client.poll_timeout().expect("the server is watched").at;
        script.client.handle_timeout(script.now);
        ended = script.events().pop();
    }
    assert_eq!(ended.unwrap(), "closed: the server gave no sign of life after a ping");
    assert_eq!(script.now.as_nanos(), 85_000_000_000, "as if the ping had left");
    assert!(script.sent().is_empty());
}

/// What is sent is no sign that anybody receives it.
#[test]
fn a_client_that_sends_and_hears_nothing_pings_and_gives_up() {
    let mut script = client(10);
    let mut events = Vec::new();
    let mut pings = 0;
    while events.is_empty() {
        script.pass(Duration::from_secs(1));
        let _still_open = script.publish("on and on", QoS::AtMostOnce);
        pings += script.sent().iter().filter(|line| *line == "PINGREQ").count();
        events = script.events();
    }
    assert_eq!(pings, 1);
    assert_eq!(events, ["closed: the server gave no sign of life after a ping"]);
    assert_eq!(script.now.as_nanos(), 15_000_000_000);
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
