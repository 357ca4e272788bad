//! The protocol of MQTT 5 without I/O: client and broker state machines.

#[macro_use]
mod sabotage;

mod arena;
mod broker;
mod client;
mod deadlines;
mod entropy;
mod exchange;
mod index;
mod retained;
mod time;
mod transmit;

pub use broker::{
    AuthenticateAnswer, AuthenticateRequest, Broker, BrokerConfig, BrokerEvent, BrokerLimits,
    Change, CloseCause, Closed, CommitToken, ConnectAnswer, ConnectGrant, ConnectRefusal,
    ConnectRequest, ConnectionId, Counts, Decisions, Dropped, Gauges, HeldBack, MessageKey,
    OpenError, PeerInfo, PublishAnswer, PublishRequest, ReadRequest, RestoreError, RestoreFault,
    STORE_FORMAT, SessionKey, SessionStatistics, Statistics, StoreBatch, StoreError, StoredMessage,
    SubscribeRequest, Traffic, Volume,
};
pub use client::{
    Acknowledgement, Attempt, AuthenticateError, AuthenticationData, Backoff, BufferOptions,
    BufferOverflow, BufferStatus, Client, ClientCloseCause, ClientConfig, ClientEvent,
    ClientStatistics, ConfigError, Delivery, DialFault, DisconnectError, DisconnectOptions,
    EndReason, Jitter, Message, Negotiated, Offline, OnFull, OnFullQos0, Outage, Overflow,
    Publication, PublishError, PublishId, PublishOutcome, ReceivedMessage, Reconnect, Republish,
    RequestError, RequestId, RequestOutcome, SavedSession, SavedSessionError, ServerLimit,
    ServerReference, SessionPolicy, SubscribeError, SubscriptionKey, Target, Unsent, UnsentMessage,
    UnsubscribeError, Violation, Will,
};
pub use index::{FilterId, SubscriptionIndex};
#[cfg(mqtt_sabotage)]
pub use sabotage::Sabotage;
pub use time::{Deadline, Time, Timer};
pub use transmit::TransmitBuf;
