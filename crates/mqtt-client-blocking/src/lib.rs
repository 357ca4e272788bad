//! A blocking MQTT 5 client for threads.
//!
//! It is the client of [`mqtt_client_async`] with the same names and the same options; where that
//! one is awaited, this one waits. There is no loop to poll and no runtime to set up.
//!
//! ```no_run
//! use mqtt_client_blocking::{Client, QoS};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("mqtt://localhost:1883").connect()?;
//!
//! let sensors = client.subscribe("sensor/+/temperature").qos(QoS::AtLeastOnce).wait()?;
//! client.publish("sensor/7/temperature", "21.5").qos(QoS::AtLeastOnce).send()?;
//!
//! let message = sensors.recv()?;
//! println!("{} {}", message.topic(), message.payload_str()?);
//! client.close().wait()?;
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
//! | publish without waiting | [`enqueue`](Publish::enqueue), whose [`Pending`] can be waited for |
//! | receive | [`Client::subscribe`], whose [`Subscription`] has [`recv`](Subscription::recv), [`try_recv`](Subscription::try_recv), [`recv_timeout`](Subscription::recv_timeout) and [`iter`](Subscription::iter); dropping it unsubscribes |
//! | acknowledge when the work is done | [`manual_ack`](Subscribe::manual_ack), then [`Message::ack`] or [`Message::refuse`] |
//! | ask and be answered | [`Client::request`], and [`Client::reply`] on the other side |
//! | get what no subscription takes | [`Client::unmatched`] |
//! | see how the connection is | [`Client::state`], [`Client::ready`], [`Client::negotiated`] |
//! | see what was dropped | [`Client::statistics`], [`Subscription::dropped`], [`Client::is_held_back`] |
//! | live through outages | nothing; [`session`](ClientBuilder::session), [`offline`](ClientBuilder::offline), [`backoff`](ClientBuilder::backoff) and [`republish`](ClientBuilder::republish) say how |
//! | end | [`Client::close`], with [`drain`](Close::drain) if everything should have arrived |
//!
//! A call that waits fails with [`CallError`], which holds what the same call of the async client
//! fails with.
//!
//! Addresses, transports and features are [those of that crate](mqtt_client_async#transports).
//!
//! # Threads
//!
//! All connections of the process share one thread in the background. The first connection starts
//! it, and it ends when the last one has ended. While the name of a server is looked up there is
//! another one.
//!
//! Everything may be used from many threads at once: a [`Client`] is cloned or shared by
//! reference, and several threads may read one [`Subscription`], each message going to one of
//! them. A thread that waits sleeps.
//!
//! # Inside an async runtime
//!
//! A thread that runs tasks must not wait. Where it would, the call does nothing and says so with
//! [`InsideRuntime`]: inside a task of tokio, inside its `block_on`, and on the thread in the
//! background, where a logger runs for example that publishes what it is told. The threads of
//! tokio's `spawn_blocking` and `block_in_place` may wait like any other. Other runtimes are not
//! recognized; what is called there works, and holds that thread up.
//!
//! # The end of a connection
//!
//! [`Client::close`] waits until everything is acknowledged, if wanted, and says goodbye. Without
//! it the connection is closed when the last [`Client`], [`Subscription`] and [`Unmatched`] of it
//! are dropped: that drop waits for half a second at most, for the goodbye to leave before the
//! program ends. A client in a `static` is never dropped, so it is best closed.

mod background;
mod builder;
mod client;
mod close;
mod error;
mod inside;
mod publish;
mod receive;
mod request;
mod state;
mod subscribe;
mod unsubscribe;
mod wait;

#[cfg(feature = "file-store")]
pub use mqtt_client_async::FileStore;
pub use mqtt_client_async::{
    Acknowledgement, AddressError, Attempt, Backoff, ClientCloseCause, ClientStatistics, Closed,
    ConfigError, ConnectError, ConnectReason, ConnectionError, Credentials, DialFault,
    DisconnectReason, EncodeError, IntoFilters, Jitter, Message, Negotiated, Offline, OnFull,
    OnFullQos0, Overflow, Payload, Properties, PropertyBuf, PubAckReason, PublishError, Published,
    QoS, Reconnect, Republish, RequestError, RetainHandling, ServerLimit, ServerReference,
    SessionPolicy, State, SubAckReason, SubscribeError, Target, TopicError, UnsentMessage,
    Violation, Will,
};
pub use mqtt_client_async::{
    AuthenticationError, AuthenticationExchange, AuthenticationMethod, ReauthenticateError,
};
pub use mqtt_client_async::{
    MemoryStore, SavedSessionError, SessionStore, StoreError, StoredName, StoredSession,
    UnsubAckReason, UnsubscribeError, Unsubscribed,
};
#[cfg(feature = "scram")]
pub use mqtt_client_async::{Scram, ScramError};
#[cfg(feature = "rustls")]
pub use mqtt_client_async::{Tls, TlsError, rustls};

pub use self::builder::ClientBuilder;
pub use self::client::Client;
pub use self::close::Close;
pub use self::error::{CallError, EnqueueError, InsideRuntime};
pub use self::publish::{Pending, Publish};
pub use self::receive::Messages;
pub use self::request::Request;
pub use self::state::States;
pub use self::subscribe::{Subscribe, Subscription, Unmatched};
pub use self::unsubscribe::Unsubscribe;

/// Handles go wherever the application needs them.
const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Client>();
    is_send_and_sync::<ClientBuilder>();
    is_send_and_sync::<Publish<'_>>();
    is_send_and_sync::<Pending>();
    is_send_and_sync::<Subscribe<'_>>();
    is_send_and_sync::<Subscription>();
    is_send_and_sync::<Unmatched>();
    is_send_and_sync::<Messages<'_>>();
    is_send_and_sync::<States>();
    is_send_and_sync::<Close>();
    is_send_and_sync::<Request<'_>>();
    is_send_and_sync::<CallError<ConnectError>>();
    is_send_and_sync::<Unsubscribe>();
};
