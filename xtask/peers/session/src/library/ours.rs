//! mqtt-session: the client and the whole broker of this project.

use bytes::{Buf, Bytes};
use mqtt_codec::{QoS, TopicName};
use mqtt_session::{
    Broker, BrokerConfig, Client, ClientConfig, ClientEvent, ConnectionId, PeerInfo, Publication,
    PublishOutcome, Time, TransmitBuf,
};

use super::Library;
use crate::{PAYLOAD, TOPIC};

/// More than any exchange of this benchmark sends.
const BUDGET: usize = 64 * 1024;

/// Both state machines, and what lies between them.
#[derive(Debug)]
pub struct Ours {
    client: Client,
    broker: Broker,
    connection: ConnectionId,
    nanos: u64,
    to_broker: TransmitBuf,
    to_client: TransmitBuf,
    topic: TopicName<'static>,
    /// Messages that the client was told about.
    acknowledged: u64,
    /// Messages that it will never hear of.
    unacknowledged: u64,
}

impl Library for Ours {
    fn connect() -> Result<Self, String> {
        let mut client =
            Client::new(ClientConfig::new().client_id("client"), [1; 32]).map_err(text)?;
        let mut broker = Broker::new(BrokerConfig::default(), [2; 32]);
        let connection = broker.open(Time::ZERO, PeerInfo::default()).map_err(text)?;
        client.handle_connected(Time::ZERO);
        let mut pair = Self {
            client,
            broker,
            connection,
            nanos: 0,
            to_broker: TransmitBuf::new(),
            to_client: TransmitBuf::new(),
            topic: TopicName::new(TOPIC).map_err(text)?,
            acknowledged: 0,
            unacknowledged: 0,
        };
        pair.settle()?;
        match pair.client.negotiated() {
            Some(_) => Ok(pair),
            None => Err("the client is not connected".to_owned()),
        }
    }

    fn exchange(&mut self, qos: u8) -> Result<(), String> {
        self.nanos += 1000;
        let mut publication = Publication::new(self.topic, Bytes::from_static(PAYLOAD));
        publication.qos = QoS::try_from(qos).map_err(text)?;
        if self
            .client
            .publish(self.now(), publication)
            .map_err(|unsent| text(unsent.error))?
            .is_none()
        {
            self.unacknowledged += 1;
        }
        self.settle()
    }

    fn completed(&self) -> u64 {
        let arrived = self.broker.statistics().received.total().messages;
        arrived.min(self.acknowledged + self.unacknowledged)
    }
}

impl Ours {
    fn now(&self) -> Time {
        Time::from_nanos(self.nanos)
    }

    /// Drives both ends, each by its contract, until they have nothing for each other.
    fn settle(&mut self) -> Result<(), String> {
        loop {
            self.drain_client()?;
            if !self.to_broker.has_remaining() {
                return Ok(());
            }
            let now = self.now();
            while self.to_broker.has_remaining() {
                let chunk = self.to_broker.chunk();
                self.broker.handle_input(self.connection, now, chunk);
                self.to_broker.advance(chunk.len());
            }
            while self.broker.poll_event().is_some() {}
            while let Some(ready) = self.broker.poll_ready() {
                self.broker.poll_transmit(ready, now, &mut self.to_client, BUDGET);
            }
            while self.to_client.has_remaining() {
                let chunk = self.to_client.chunk();
                self.client.handle_input(now, chunk);
                self.to_client.advance(chunk.len());
            }
        }
    }

    fn drain_client(&mut self) -> Result<(), String> {
        while let Some(event) = &self.client.poll_event() {
            match event {
                ClientEvent::Published { outcome: PublishOutcome::Acknowledged(_), .. } => {
                    self.acknowledged += 1;
                }
                ClientEvent::Connected(_) => {}
                other => return Err(format!("unexpected: {other:?}")),
            }
        }
        self.client.poll_transmit(self.now(), &mut self.to_broker, BUDGET);
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
