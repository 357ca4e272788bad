//! A broker under attack, and two clients beside it that nothing of it may reach.

use mqtt_session::BrokerConfig;

use crate::scripted::{connect, puback, publish, subscribe};
use crate::{Peer, Wire};

/// A broker with two clients that behave, a subscriber and a publisher, and any number of others.
///
/// Dropping it checks what has to hold after any attack: the two are served as before.
#[derive(Debug)]
pub struct Siege {
    /// The broker and everybody's bytes.
    pub wire: Wire,
    reader: Peer,
    writer: Peer,
}

/// Where the two clients meet; no filter of an attack should match it.
const TOPIC: &str = "bystanders/of/the/attack";

impl Default for Siege {
    fn default() -> Self {
        Self::new()
    }
}

impl Siege {
    /// A broker with the default configuration.
    pub fn new() -> Self {
        Self::configured(|_| {})
    }

    /// A broker whose configuration differs from the default. Its bounds count the two clients.
    pub fn configured(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut wire = Wire::configured(change);
        let reader = wire.connect(connect("reader"));
        let writer = wire.connect(connect("writer"));
        wire.send(reader, subscribe(1, TOPIC).qos(1));
        wire.receive(reader);
        Self { wire, reader, writer }
    }

    /// A client called "attacker" whose CONNECT was accepted.
    pub fn attacker(&mut self) -> Peer {
        self.wire.connect(connect("attacker"))
    }

    /// What a connection is answered on which these bytes are the first.
    pub fn first(&mut self, bytes: impl Into<Vec<u8>>) -> Vec<String> {
        let peer = self.wire.open("first");
        self.wire.send(peer, bytes);
        self.wire.receive(peer)
    }

    /// What a client is answered that sends these bytes after its CONNECT was accepted.
    pub fn then(&mut self, bytes: impl Into<Vec<u8>>) -> Vec<String> {
        let peer = self.attacker();
        self.wire.send(peer, bytes);
        let lines = self.wire.receive(peer);
        self.wire.cut(peer);
        lines
    }

    /// Checks that the two clients are served as ever.
    pub fn check(&mut self) {
        self.wire.send(self.writer, publish(TOPIC, "still here").qos1(7));
        assert_eq!(self.wire.receive(self.writer), ["PUBACK id=7"]);
        let lines = self.wire.receive(self.reader);
        let [line] = &lines[..] else { panic!("not one message: {lines:?}") };
        let id = line.strip_prefix("PUBLISH q1 id=").unwrap().split(' ').next().unwrap();
        assert_eq!(*line, format!(r#"PUBLISH q1 id={id} "{TOPIC}" "still here""#));
        self.wire.send(self.reader, puback(id.parse().unwrap()));
    }
}

impl Drop for Siege {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}
