//! An asynchronous MQTT 5 client on tokio.
//!
//! [`Client::builder`] connects; the client runs its own driver, so there is no loop to poll.
//! What is published resolves with the server's final word on it, and what is subscribed to is a
//! stream of messages.
//!
//! ```no_run
//! use mqtt_client_async::{Client, QoS};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("mqtt://localhost:1883").connect().await?;
//!
//! let mut sensors = client.subscribe("sensor/+/temperature").qos(QoS::AtLeastOnce).await?;
//! client.publish("sensor/7/temperature", "21.5").qos(QoS::AtLeastOnce).send().await?;
//!
//! if let Some(message) = sensors.next().await {
//!     println!("{} {}", message.topic(), message.payload_str()?);
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # A tour
//!
//! | to | there is |
//! |---|---|
//! | connect, with whatever options | [`Client::builder`], whose methods are the options; it ends with [`connect`](ClientBuilder::connect) |
//! | publish and know how it ended | [`Client::publish`], then [`send`](Publish::send) |
//! | publish without waiting | [`enqueue`](Publish::enqueue), whose [`Pending`] knows how it ended |
//! | receive | [`Client::subscribe`], whose [`Subscription`] is a stream; dropping it unsubscribes |
//! | acknowledge when the work is done | [`manual_ack`](Subscribe::manual_ack), then [`Message::ack`] or [`Message::refuse`] |
//! | ask and be answered | [`Client::request`], and [`Client::reply`] on the other side |
//! | get what no subscription takes | [`Client::unmatched`] |
//! | see how the connection is | [`Client::state`], [`Client::ready`], [`Client::negotiated`] |
//! | see what was dropped | [`Client::statistics`], [`Subscription::dropped`], [`Client::is_held_back`] |
//! | live through outages | nothing; [`session`](ClientBuilder::session), [`offline`](ClientBuilder::offline), [`backoff`](ClientBuilder::backoff) and [`republish`](ClientBuilder::republish) say how |
//! | end | [`Client::close`], with [`drain`](Close::drain) if everything should have arrived |
//!
//! Each call has errors of its own: [`ConnectError`], [`PublishError`], [`EnqueueError`],
//! [`SubscribeError`], [`RequestError`]. What tells why there is no connection any more is
//! [`ConnectionError`] in all of them.
//!
//! # What runs where
//!
//! The protocol is `mqtt_session::Client`, a state machine without I/O. The [`Driver`] moves bytes
//! between it and the transport; [`connect`](ClientBuilder::connect) spawns it as a task,
//! [`connect_with_driver`](ClientBuilder::connect_with_driver) hands it over as a future. Handles
//! call the state machine under a lock that is held for a moment, and wake the driver once for all
//! that was asked of it since its last turn: many small messages leave in one write.
//!
//! # Transports
//!
//! | address | over | default port | feature |
//! |---|---|---|---|
//! | `mqtt://host` | TCP | 1883 | |
//! | `mqtts://host` | TLS | 8883 | `tls` (default, with ring) or `aws-lc-rs` |
//! | `ws://host/path` | WebSocket; the path is `/mqtt` if there is none | 80 | `websocket` |
//! | `wss://host/path` | WebSocket over TLS | 443 | `websocket`, and `tls` or `aws-lc-rs` |
//! | `unix:///path` | a Unix socket | | |
//!
//! The feature `rustls` has TLS without cryptography, for those who bring their own. A server has to
//! prove with its certificate that it is the host of the address; whom to trust say the options in
//! `Tls`. [`connect_by`](ClientBuilder::connect_by) and
//! [`connect_with`](ClientBuilder::connect_with) take any stream instead.
//!
//! # Cancel safety
//!
//! Every future may be dropped at any time, and none that is dropped breaks the protocol: packet
//! identifiers, quotas and acknowledgements belong to the session, not to the future.
//!
//! | future | dropped before it resolves |
//! |---|---|
//! | [`connect`](ClientBuilder::connect), [`connect_with_driver`](ClientBuilder::connect_with_driver), [`connect_by`](ClientBuilder::connect_by), [`connect_with`](ClientBuilder::connect_with) | the attempt is given up |
//! | [`Publish::send`] | not published while it waits for room; published without a result afterwards |
//! | [`Pending`] | published without a result |
//! | [`Subscribe`] | the subscription is undone |
//! | [`Unsubscribe`] | the subscription ends all the same |
//! | [`Request`] | nobody waits for the response; what was published stays so |
//! | [`Subscription::next`], [`Unmatched::next`], [`States::next`] | nothing is lost |
//! | [`Client::ready`], [`Client::stored`] | nothing happens |
//! | [`Client::reauthenticate`] | authenticated all the same, once it was polled |
//! | [`Close`] | closed all the same, once it was polled |
//!
//! # A session that outlives the program
//!
//! With [`session_store`](ClientBuilder::session_store) the session is kept in a [`SessionStore`]:
//! a `FileStore`, [memory](MemoryStore), or one of the application. A later run with the same server
//! and Client Identifier goes on with it: it sends again what was not acknowledged, under the same
//! packet identifiers, and knows the QoS 2 messages that the server may send again.
//!
//! *Nothing leaves that the store does not know of.* The driver hands the session to the store on a
//! thread that may block, and holds back what depends on it; reading goes on meanwhile. One write
//! covers all that has happened since the one before, so their number follows the speed of the store
//! and not the number of messages. QoS 0 messages change nothing, and wait for a write only if one is
//! due. Where nothing waits for it, a change is written within 20 milliseconds. One write takes as
//! much as waits to be sent or acknowledged, at most
//! [`max_outgoing_bytes`](ClientBuilder::max_outgoing_bytes), so a small bound makes for quick ones.
//!
//! | killed at any moment, with a `FileStore` | afterwards |
//! |---|---|
//! | a QoS 1 or QoS 2 message that was published, and [`Client::stored`] had resolved, or any byte of it had left | it reaches the server: at QoS 1 at least once, at QoS 2 exactly once |
//! | a QoS 1 or QoS 2 message that was published a moment before | as above, or it is gone with the process and the server never saw it |
//! | a message whose acknowledgement had come a moment before | at QoS 1 it may be sent once more, at QoS 2 it is not delivered again |
//! | a QoS 2 message that was received, and whose PUBREC had left | it does not come again |
//! | a QoS 1 or QoS 2 message that was read and not yet acknowledged to the server | it comes again |
//! | a QoS 0 message | it is lost if it had not left, also if it waited for a connection and no write came between |
//!
//! Message Expiry Intervals go on counting while the program does not run. Subscriptions are made
//! anew by the program; what comes for those of the earlier run, and matches none, waits until one
//! is made that matches it or [`Client::unmatched`] is called. What becomes of messages of the
//! earlier run is told to nobody, except that a refusal is logged.
//!
//! A store that fails ends the client with [`ConnectionError::Store`]. Bytes that are no session are
//! [`StoreError::Unusable`] when connecting, and are left as they are.
//!
//! # Enhanced authentication
//!
//! An [`AuthenticationMethod`] exchanges AUTH packets with the server until both sides are
//! convinced: when connecting, and at [`Client::reauthenticate`]. With the feature `scram` there is
//! `Scram` for SCRAM-SHA-256. A client that is not convinced of its server ends with
//! [`ConnectionError::Authentication`].
//!
//! # Bounds
//!
//! Everything that waits is bounded: outgoing messages by
//! [`max_outgoing_messages`](ClientBuilder::max_outgoing_messages) and
//! [`max_outgoing_bytes`](ClientBuilder::max_outgoing_bytes) (then `send` waits and `enqueue` gives
//! the message back), received QoS 0 messages by [`Subscribe::buffer`], received QoS 1 and QoS 2
//! messages by [`receive_maximum`](ClientBuilder::receive_maximum).

mod address;
mod authentication;
mod builder;
mod client;
mod close;
mod dial;
mod driver;
mod error;
#[cfg(feature = "file-store")]
mod file_store;
mod keeper;
mod message;
mod publish;
mod readers;
mod request;
mod room;
#[cfg(feature = "scram")]
mod scram;
mod shared;
mod slab;
mod state;
mod store;
mod subscribe;
#[cfg(feature = "rustls")]
mod tls;
mod transport;
mod unsubscribe;

pub use mqtt_codec::{
    ConnectReason, DisconnectReason, EncodeError, Properties, PropertyBuf, PubAckReason, QoS,
    RetainHandling, SubAckReason, TopicError, UnsubAckReason,
};
pub use mqtt_session::{
    Acknowledgement, Attempt, Backoff, ClientCloseCause, ClientStatistics, ConfigError, DialFault,
    Jitter, Negotiated, Offline, OnFull, OnFullQos0, Overflow, Reconnect, Republish,
    SavedSessionError, ServerLimit, ServerReference, SessionPolicy, Target, UnsentMessage,
    Violation, Will,
};

pub use self::address::AddressError;
pub use self::authentication::{AuthenticationExchange, AuthenticationMethod};
pub use self::builder::ClientBuilder;
pub use self::client::Client;
pub use self::close::{Close, Closed, Closing};
pub use self::dial::Credentials;
pub use self::driver::Driver;
pub use self::error::{
    AuthenticationError, ConnectError, ConnectionError, EnqueueError, PublishError,
    ReauthenticateError, RequestError, StoreError, SubscribeError, UnsubscribeError,
};
#[cfg(feature = "file-store")]
pub use self::file_store::FileStore;
pub use self::message::Message;
pub use self::publish::{Payload, Pending, Publish, Published, Sending};
pub use self::request::{Request, Requesting};
#[cfg(feature = "scram")]
pub use self::scram::{Scram, ScramError};
pub use self::state::{State, States};
pub use self::store::{MemoryStore, SessionStore, StoredName, StoredSession};
pub use self::subscribe::{IntoFilters, Subscribe, Subscribing, Subscription, Unmatched};
#[cfg(feature = "rustls")]
pub use self::tls::{Tls, TlsError};
pub use self::transport::Transport;
pub use self::unsubscribe::{Unsubscribe, Unsubscribed, Unsubscribing};
#[cfg(feature = "rustls")]
pub use rustls;

/// Handles and futures go wherever the application needs them.
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Client>();
    is_send_and_sync::<ClientBuilder>();
    is_send_and_sync::<Driver<Transport>>();
    is_send_and_sync::<Publish<'_>>();
    is_send::<Sending<'_>>();
    is_send::<Pending>();
    is_send_and_sync::<Subscribe<'_>>();
    is_send::<Subscribing<'_>>();
    is_send_and_sync::<Subscription>();
    is_send_and_sync::<Unmatched>();
    is_send_and_sync::<Message>();
    is_send_and_sync::<States>();
    is_send_and_sync::<Close>();
    is_send::<Closing>();
    is_send_and_sync::<Request<'_>>();
    is_send::<Requesting<'_>>();
    is_send_and_sync::<RequestError>();
    is_send_and_sync::<Unsubscribe>();
    is_send::<Unsubscribing>();
    is_send_and_sync::<MemoryStore>();
    is_send_and_sync::<ConnectError>();
    is_send_and_sync::<PublishError>();
    is_send_and_sync::<SubscribeError>();
};
