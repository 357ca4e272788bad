//! Servers that send their clients elsewhere.

use mqtt_codec::{Disconnect, DisconnectReason};

use super::*;

fn config() -> ClientConfig {
    let secs = Duration::from_secs;
    let backoff = Backoff::exponential(secs(1)..=secs(1)).jitter(Jitter::None);
    ClientConfig::new().keep_alive(Duration::ZERO).backoff(backoff)
}

fn to(reference: &str) -> PropertyBuf {
    terms(|terms| {
        terms.server_reference(reference).unwrap();
    })
}

impl Script {
    /// The transport stands, and the server refuses.
    fn refused(&mut self, reason: ConnectReason, reference: &str) {
        self.client.handle_connected(self.now);
        self.sent();
        let properties = to(reference);
        let properties = properties.as_properties();
        self.receive(ConnAck { session_present: false, reason, properties });
    }

    fn sent_away(&mut self, reason: DisconnectReason, reference: &str) {
        let properties = to(reference);
        self.receive(Disconnect { reason, properties: properties.as_properties() });
    }

    fn next(&mut self) -> String {
        self.events().pop().unwrap()
    }
}

#[test]
fn another_server_is_used_this_time_only() {
    let mut script = Script::new(config());
    script.client.start(script.now);
    script.refused(ConnectReason::UseAnotherServer, "other:1884");
    assert_eq!(script.next(), "dial 2 other:1884", "at once, even by a first attempt");
    script.accept();
    script.lose();
    script.pass(Duration::from_secs(1));
    assert_eq!(script.next(), "dial 3 the configured server");
}

#[test]
fn a_server_that_has_moved_is_looked_for_where_it_is_now_for_good() {
    let mut script = Script::started(config());
    script.sent_away(DisconnectReason::ServerMoved, "new");
    assert_eq!(script.next(), "dial 2 new");
    script.accept();
    script.lose();
    script.pass(Duration::from_secs(1));
    assert_eq!(script.next(), "dial 3 new");
    script.client.handle_dial_failed(script.now, DialFault::Unreachable);
    script.pass(Duration::from_secs(1));
    assert_eq!(script.next(), "dial 4 new");
}

#[test]
fn several_servers_are_tried_one_after_the_other_without_a_wait() {
    let mut script = Script::new(config());
    script.client.start(script.now);
    script.refused(ConnectReason::UseAnotherServer, "a [::1]:2 c:3");
    assert_eq!(script.next(), "dial 2 a");
    script.client.handle_dial_failed(script.now, DialFault::NameNotFound);
    assert_eq!(script.next(), "dial 3 [::1]:2");
    script.client.handle_connected(script.now);
    script.lose();
    assert_eq!(script.next(), "dial 4 c:3");
    script.client.handle_dial_failed(script.now, DialFault::Unreachable);
    assert_eq!(script.next(), "ended FirstAttempt: the server cannot be reached");
}

#[test]
fn servers_that_send_the_client_in_circles_are_followed_three_times() {
    let mut script = Script::started(config());
    for (hop, server) in ["a", "b", "a"].into_iter().enumerate() {
        script.sent_away(DisconnectReason::UseAnotherServer, server);
        assert_eq!(script.next(), format!("dial {} {server}", hop + 2));
        script.accept();
    }
    script.sent_away(DisconnectReason::UseAnotherServer, "b");
    assert_eq!(script.next(), "waiting until 1000: disconnected by the server: Use another server");
    script.pass(Duration::from_secs(1));
    assert_eq!(script.next(), "dial 5 the configured server", "and from there anew");
    script.refused(ConnectReason::UseAnotherServer, "b");
    assert_eq!(script.next(), "dial 6 b");
}

#[test]
fn a_client_that_follows_nobody_waits_or_ends() {
    let mut script = Script::started(config().max_redirects(0));
    script.sent_away(DisconnectReason::UseAnotherServer, "other");
    assert!(script.next().starts_with("waiting"), "this server may take it later");
    let mut script = Script::started(config().max_redirects(0));
    script.sent_away(DisconnectReason::ServerMoved, "other");
    assert!(script.next().starts_with("ended Final"), "this server never will");
}

#[test]
fn a_reference_that_names_no_server_is_none() {
    let mut script = Script::started(config());
    script.sent_away(DisconnectReason::UseAnotherServer, "mqtt://x/y :1");
    assert!(script.next().starts_with("waiting"));
    let mut script = Script::started(config());
    let reason = DisconnectReason::ServerMoved;
    script.receive(Disconnect { reason, properties: Properties::EMPTY });
    assert!(script.next().starts_with("ended Final"));
}

#[test]
fn a_server_that_redirects_but_is_not_followed_by_its_owner_tells_him_all_the_same() {
    let mut script = Script::open(config());
    script.sent_away(DisconnectReason::UseAnotherServer, "other");
    let Some(ClientEvent::Closed(cause)) = script.client.poll_event() else { panic!("closed") };
    let ClientCloseCause::DisconnectedByServer { properties, .. } = *cause else { panic!("so") };
    assert_eq!(properties.as_properties().server_reference(), Some("other"));
    assert_eq!(script.events(), [""; 0]);
}
