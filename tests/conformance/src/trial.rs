//! What a test has at hand: connections, names of its own, and a record of what was said.

use std::sync::atomic::{AtomicUsize, Ordering};

use mqtt_tests::scripted::{ConnectScript, SubscribeScript, connect, publish, subscribe};

use crate::{
    connection::Connection,
    finding::{Outcome, ensure, skip},
    journal::{Journal, Record},
    message::Message,
    target::{Accepted, Offer, Profile, Target},
};

/// One test against a broker.
#[derive(Debug)]
pub(crate) struct Trial {
    target: Target,
    journal: Journal,
    /// Tells this test from the others of the run.
    number: usize,
    markers: AtomicUsize,
}

impl Trial {
    pub(crate) fn new(target: &Target, number: usize) -> Self {
        let (target, journal) = (target.clone(), Journal::new());
        Self { target, journal, number, markers: AtomicUsize::new(0) }
    }

    pub(crate) fn offer(&self) -> &Offer {
        &self.target.offer
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.target.profile
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// A Client Identifier of this test; `tail` has at most twelve letters and digits.
    pub(crate) fn id(&self, tail: &str) -> String {
        format!("mc{}{:03}{tail}", self.target.run, self.number)
    }

    /// A topic of this test.
    pub(crate) fn topic(&self, tail: &str) -> String {
        let prefix = self.profile().topic_prefix.as_deref().unwrap_or("conformance");
        format!("{prefix}/{}/{}/{tail}", self.target.run, self.number)
    }

    /// Something that the standard recommends and did not happen.
    pub(crate) fn weak(&self, what: impl Into<String>) {
        self.journal.weak(what);
    }

    /// A connection on which nothing was said.
    pub(crate) fn open(&self, name: &str) -> Outcome<Connection> {
        self.target.open(&self.journal, name)
    }

    /// A connection whose CONNECT was accepted, and what the CONNACK said.
    pub(crate) fn accepted(&self, script: ConnectScript) -> Outcome<(Connection, Accepted)> {
        self.target.connect(&self.journal, script)
    }

    /// A connection whose CONNECT was accepted.
    pub(crate) fn connect(&self, script: ConnectScript) -> Outcome<Connection> {
        Ok(self.accepted(script)?.0)
    }

    /// A client with Clean Start and nothing else.
    pub(crate) fn client(&self, tail: &str) -> Outcome<Connection> {
        self.connect(connect(&self.id(tail)))
    }

    /// The CONNECT of a client whose session stays for a minute; Clean Start 1.
    pub(crate) fn lasting(&self, tail: &str) -> ConnectScript {
        connect(&self.id(tail)).expiry(60)
    }

    /// Connects again to a session that has to be there.
    pub(crate) fn resume(&self, tail: &str) -> Outcome<Connection> {
        let (connection, accepted) = self.accepted(self.lasting(tail).resume())?;
        ensure(accepted.session_present, || "the session is gone".to_owned())?;
        Ok(connection)
    }

    /// Everything that `publisher` published before this, and that is for `subscriber`, is there
    /// when this returns: a marker message goes the same way behind it.
    pub(crate) fn settle(
        &self,
        publisher: &mut Connection,
        subscriber: &mut Connection,
    ) -> Outcome {
        let marker = self.markers.fetch_add(1, Ordering::Relaxed);
        let topic = self.topic(&format!("marker/{marker}"));
        let qos = self.offer().maximum_qos.min(1);
        subscriber.subscribed(subscribe(60_000, &topic).qos(qos))?;
        publisher.publish(publish(&topic, "marker").qos(qos, 60_000))?;
        let found = subscriber.wait("the marker", |packet| match packet {
            mqtt_codec::Packet::Publish(publish) => {
                let message = Message::from(publish);
                (message.text() == "marker").then_some(message)
            }
            _ => None,
        })?;
        subscriber.acknowledge(&found)?;
        subscriber.fence()
    }

    /// What `subscriber` got of what `publisher` published before this.
    pub(crate) fn arrived(
        &self,
        publisher: &mut Connection,
        subscriber: &mut Connection,
    ) -> Outcome<Vec<Message>> {
        self.settle(publisher, subscriber)?;
        Ok(subscriber.arrived())
    }

    /// What a new client gets on subscribing: the retained messages.
    pub(crate) fn retained(&self, tail: &str, script: SubscribeScript) -> Outcome<Vec<Message>> {
        let mut reader = self.client(tail)?;
        reader.subscribed(script)?;
        let mut writer = self.client("writer")?;
        self.arrived(&mut writer, &mut reader)
    }

    pub(crate) fn needs_qos(&self, qos: u8) -> Outcome {
        let maximum = self.offer().maximum_qos;
        if maximum >= qos { Ok(()) } else { skip(format!("the broker offers QoS {maximum} only")) }
    }

    pub(crate) fn needs_retain(&self) -> Outcome {
        if self.offer().retain { Ok(()) } else { skip("the broker retains no messages") }
    }

    pub(crate) fn needs_wildcards(&self) -> Outcome {
        if self.offer().wildcards { Ok(()) } else { skip("the broker offers no wildcards") }
    }

    pub(crate) fn needs_shared(&self) -> Outcome {
        let shared = self.offer().shared;
        if shared { Ok(()) } else { skip("the broker offers no Shared Subscriptions") }
    }

    pub(crate) fn needs_subscription_ids(&self) -> Outcome {
        let offered = self.offer().subscription_ids;
        if offered { Ok(()) } else { skip("the broker offers no Subscription Identifiers") }
    }

    pub(crate) fn needs_alias(&self) -> Outcome<u16> {
        match self.offer().alias_maximum {
            0 => skip("the broker takes no Topic Aliases"),
            maximum => Ok(maximum),
        }
    }

    /// Removes what the test has left in the broker, and returns its record.
    pub(crate) fn finish(self) -> Record {
        let record = self.journal.take();
        // What can't be removed is no finding: the test has said what it had to say.
        let _cleaned = self.clean(&record);
        record
    }

    fn clean(&self, record: &Record) -> Outcome {
        let unseen = Journal::new();
        for id in &record.sessions {
            let (connection, _) = self.target.connect(&unseen, connect(id))?;
            connection.disconnect()?;
        }
        if record.retained.is_empty() {
            return Ok(());
        }
        let (mut cleaner, _) = self.target.connect(&unseen, connect(&self.id("cleaner")))?;
        for topic in &record.retained {
            cleaner.publish(publish(topic, "").retain())?;
        }
        cleaner.fence()?;
        cleaner.disconnect()
    }
}
