//! How to connect.

use std::io;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mqtt_client_async::Driver;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::background::Background;
use crate::client::Client;
use crate::error::CallError;
use crate::inside::may_wait;
use crate::wait::block_on;
use crate::{
    Attempt, AuthenticationMethod, Backoff, ConnectError, Credentials, Offline, Reconnect,
    Republish, SessionPolicy, SessionStore, Will,
};
#[cfg(feature = "rustls")]
use crate::{Tls, rustls};

/// The options of a connection; made by [`Client::builder`].
#[must_use = "nothing is connected unless `connect` is called"]
#[derive(Clone, Debug)]
pub struct ClientBuilder(mqtt_client_async::ClientBuilder);

impl ClientBuilder {
    pub(crate) fn new(address: &str) -> Self {
        Self(mqtt_client_async::Client::builder(address))
    }

    /// The name of this client, by which the server knows its session. By default the server
    /// chooses one.
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        Self(self.0.client_id(client_id))
    }

    /// What becomes of the session between connections; a new one each time by default.
    ///
    /// With [`SessionPolicy::rejoin`] messages come that no subscription of this client takes yet.
    /// They wait, QoS 1 and QoS 2 unacknowledged, until a subscription is made that matches them or
    /// [`Client::unmatched`] is called.
    pub fn session(self, policy: SessionPolicy) -> Self {
        Self(self.0.session(policy))
    }

    /// Keeps the session in a store, from which a later run of the program goes on with it. It needs
    /// a [`client_id`](Self::client_id), and a [session policy](Self::session) that lets the server
    /// keep its part. By default the session lives in memory, as long as the client.
    ///
    /// See [the async client](mqtt_client_async#a-session-that-outlives-the-program) for what
    /// survives which end of the program.
    pub fn session_store(self, store: impl SessionStore) -> Self {
        Self(self.0.session_store(store))
    }

    /// The longest time that the connection may be idle, in whole seconds; 60 by default, zero for
    /// no limit. Pings are sent in the background, whatever the threads of the program do.
    pub fn keep_alive(self, interval: Duration) -> Self {
        Self(self.0.keep_alive(interval))
    }

    /// The user name and password to log in with, instead of those in the address.
    pub fn credentials(self, user_name: impl Into<String>, password: impl Into<Bytes>) -> Self {
        Self(self.0.credentials(user_name, password))
    }

    /// The user name to log in with, instead of the one in the address.
    pub fn user_name(self, user_name: impl Into<String>) -> Self {
        Self(self.0.user_name(user_name))
    }

    /// The password to log in with, instead of the one in the address; it needs no user name.
    pub fn password(self, password: impl Into<Bytes>) -> Self {
        Self(self.0.password(password))
    }

    /// The message that the server publishes when this client is gone without a goodbye.
    pub fn will(self, will: Will) -> Self {
        Self(self.0.will(will))
    }

    /// How many QoS 1 and QoS 2 messages the server may send before those before them are
    /// acknowledged; 256 by default. This bounds what a slow reader leaves lying here.
    pub fn receive_maximum(self, maximum: NonZeroU16) -> Self {
        Self(self.0.receive_maximum(maximum))
    }

    /// The largest packet that the server may send, in bytes. By default none is announced, and a
    /// packet above 16 MiB ends the connection.
    pub fn maximum_packet_size(self, bytes: NonZeroU32) -> Self {
        Self(self.0.maximum_packet_size(bytes))
    }

    /// How many topic aliases the server may use; none by default.
    pub fn topic_alias_maximum(self, maximum: u16) -> Self {
        Self(self.0.topic_alias_maximum(maximum))
    }

    /// How many topic aliases this client uses if the server allows as many; none by default, 64
    /// at most.
    pub fn outgoing_topic_aliases(self, maximum: u16) -> Self {
        Self(self.0.outgoing_topic_aliases(maximum))
    }

    /// Whether the server may explain refusals in words; yes by default.
    pub fn request_problem_information(self, wanted: bool) -> Self {
        Self(self.0.request_problem_information(wanted))
    }

    /// Whether the server is asked for Response Information; no by default.
    pub fn request_response_information(self, wanted: bool) -> Self {
        Self(self.0.request_response_information(wanted))
    }

    /// Adds a User Property to CONNECT.
    pub fn user_property(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self(self.0.user_property(name, value))
    }

    /// Whether messages find their subscription by Subscription Identifiers where the server
    /// supports them; yes by default.
    pub fn subscription_identifiers(self, used: bool) -> Self {
        Self(self.0.subscription_identifiers(used))
    }

    /// How many messages may wait to be sent or acknowledged before publishing waits too; 1,024 by
    /// default.
    pub fn max_outgoing_messages(self, maximum: usize) -> Self {
        Self(self.0.max_outgoing_messages(maximum))
    }

    /// How many messages above [`receive_maximum`](Self::receive_maximum) are taken all the same
    /// from a server that exceeds it, as some in wide use do now and then; half as many as that by
    /// default. One beyond ends the connection with 0x93, and zero is strict.
    pub fn receive_maximum_tolerance(self, messages: u16) -> Self {
        Self(self.0.receive_maximum_tolerance(messages))
    }

    /// How long nothing is read from the network for the sake of a subscription whose reader lags
    /// behind with QoS 0 messages, before they are dropped; 20 milliseconds by default. Zero:
    /// nothing ever waits.
    pub fn reader_patience(self, patience: Duration) -> Self {
        Self(self.0.reader_patience(patience))
    }

    /// How many requests may wait for their response; 1,024 by default.
    pub fn max_requests(self, maximum: usize) -> Self {
        Self(self.0.max_requests(maximum))
    }

    /// How many bytes those messages may have together; 16 MiB by default.
    pub fn max_outgoing_bytes(self, maximum: usize) -> Self {
        Self(self.0.max_outgoing_bytes(maximum))
    }

    /// How long each of the two steps of connecting may take: the transport, with the credentials
    /// of [`credentials_fn`](Self::credentials_fn), and the server's answer; 10 seconds by default.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self(self.0.connect_timeout(timeout))
    }

    /// Has the client log in by enhanced authentication, with this method. If the server is not
    /// convinced, or the client not of the server, the client ends.
    pub fn authentication_method(self, method: impl AuthenticationMethod) -> Self {
        Self(self.0.authentication_method(method))
    }

    /// Gets the credentials for each attempt to connect anew, instead of those in the options: a
    /// token that expires, say. It may wait, on a thread of its own, and it may fail, and then the
    /// attempt has failed. A server that refuses such an attempt does not end the client, since the
    /// next one may have better credentials.
    pub fn credentials_fn<F, E>(self, credentials: F) -> Self
    where
        F: Fn(Attempt) -> Result<Credentials, E> + Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let credentials = Arc::new(credentials);
        Self(self.0.credentials_fn(move |attempt| {
            let credentials = Arc::clone(&credentials);
            async move {
                let get = move || credentials(attempt).map_err(Into::into);
                tokio::task::spawn_blocking(get).await.map_err(io::Error::other)?
            }
        }))
    }

    /// Whether another connection is made when one has ended; always by default. It is not after
    /// an end that would come again, as `ClientCloseCause::is_retryable` tells.
    pub fn reconnect(self, reconnect: Reconnect) -> Self {
        Self(self.0.reconnect(reconnect))
    }

    /// How long to wait before another connection is made; from 1 to 60 seconds with full jitter
    /// by default.
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self(self.0.backoff(backoff))
    }

    /// Makes the first attempt follow the back-off too: connecting then returns when the first
    /// connection stands, however long that takes. By default it fails with the first attempt.
    pub fn keep_trying(self) -> Self {
        Self(self.0.keep_trying())
    }

    /// Connects again even when another client with the same identifier has taken the session
    /// over. Two that do so take it from each other for ever. Without this it does only where a
    /// CONNECT of its own, which had got no answer, may have been the one that took it over.
    pub fn reconnect_when_taken_over(self) -> Self {
        Self(self.0.reconnect_when_taken_over())
    }

    /// How many times in a row a server may send the client to another one; 3 by default, 0 to
    /// follow none.
    pub fn max_redirects(self, maximum: u8) -> Self {
        Self(self.0.max_redirects(maximum))
    }

    /// What becomes of messages that are published while there is no connection: by default 1,000
    /// wait, and then publishing waits too.
    pub fn offline(self, offline: Offline) -> Self {
        Self(self.0.offline(offline))
    }

    /// What is published again when the server has lost the session in which it was sent; QoS 1
    /// messages by default.
    pub fn republish(self, republish: Republish) -> Self {
        Self(self.0.republish(republish))
    }

    /// Whom to trust and what to show with TLS, which `mqtts` and `wss` addresses use; by default
    /// whom the operating system trusts, and nothing. What was said by [`tls_config`] is forgotten.
    ///
    /// [`tls_config`]: Self::tls_config
    #[cfg(feature = "rustls")]
    pub fn tls(self, tls: Tls) -> Self {
        Self(self.0.tls(tls))
    }

    /// A configuration of rustls for `mqtts` and `wss` addresses, used as it is. What was said by
    /// [`tls`](Self::tls) is forgotten.
    #[cfg(feature = "rustls")]
    pub fn tls_config(self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        Self(self.0.tls_config(config))
    }

    /// Adds a header to the request for a WebSocket, as some gateways want one to let it through.
    /// A name or value that HTTP does not allow makes the attempt fail.
    #[cfg(feature = "websocket")]
    pub fn websocket_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self(self.0.websocket_header(name, value))
    }

    /// Connects, and returns when the server has accepted the connection.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] with a [`ConnectError`], and [`CallError::InsideRuntime`].
    pub fn connect(self) -> Result<Client, CallError<ConnectError>> {
        connect(self.0.connect_with_driver())
    }

    /// Connects over transports of tokio that the application opens, one for each attempt; the
    /// future that opens one runs in the background. Of the address only what says where the
    /// server is goes unused.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] with a [`ConnectError`], and [`CallError::InsideRuntime`].
    pub fn connect_by<S, F, Fut>(self, open: F) -> Result<Client, CallError<ConnectError>>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
        F: FnMut(Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
    {
        connect(self.0.connect_by_with_driver(open))
    }
}

type Connected<S> = Result<(mqtt_client_async::Client, Driver<S>), ConnectError>;

fn connect<S: AsyncRead + AsyncWrite + Send + 'static>(
    connecting: impl Future<Output = Connected<S>> + Send + 'static,
) -> Result<Client, CallError<ConnectError>> {
    may_wait()?;
    let background = Background::acquire().map_err(setup)?;
    let connecting = block_on(background.spawn(connecting));
    let connected = connecting.map_err(|error| setup(io::Error::other(error)))?;
    let (client, driver) = connected.map_err(CallError::Failed)?;
    let ended = Arc::clone(&background).run(driver);
    Ok(Client::new(client, ended))
}

fn setup(error: io::Error) -> CallError<ConnectError> {
    CallError::Failed(ConnectError::Setup(error))
}
