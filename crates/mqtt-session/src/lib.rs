//! The protocol of MQTT 5 without I/O: client and broker state machines.

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
    Change, CloseCause, CommitToken, ConnectAnswer, ConnectGrant, ConnectRefusal, ConnectRequest,
    ConnectionId, Decisions, Dropped, Gauges, MessageKey, OpenError, PeerInfo, PublishAnswer,
    PublishRequest, ReadRequest, RestoreError, RestoreFault, STORE_FORMAT, SessionKey, Statistics,
    StoreBatch, StoreError, StoredMessage, SubscribeRequest,
};
pub use client::{
    Acknowledgement, AuthenticateError, AuthenticationData, Client, ClientCloseCause, ClientConfig,
    ClientEvent, ClientStatistics, ConfigError, Delivery, DisconnectError, DisconnectOptions,
    Matches, Message, Negotiated, Publication, PublishError, PublishId, PublishOutcome,
    ServerLimit, SessionPolicy, SubscribeError, SubscriptionKey, Unsent, Violation, Will,
};
pub use index::{FilterId, SubscriptionIndex};
pub use time::{Deadline, Time, Timer};
pub use transmit::TransmitBuf;
