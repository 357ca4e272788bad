//! How to connect: options, and the first steps of a connection.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::num::{NonZeroU16, NonZeroU32};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mqtt_session::{
    Attempt, Backoff, ClientCloseCause, ClientConfig, DialFault, Offline, Reconnect, Republish,
    SessionPolicy, Will,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Client;
use crate::address::Address;
use crate::authentication::{AuthenticationMethod, Method};
use crate::dial::{self, Credentials, CredentialsFn, DialFailure, Dialler};
use crate::driver::Driver;
use crate::error::{ConnectError, ConnectionError};
use crate::keeper::{self, Keeper, Opened, Store};
use crate::shared::{Shared, Status};
use crate::store::SessionStore;
#[cfg(feature = "rustls")]
use crate::tls::{Tls, TlsSource};
use crate::transport::{Connector, Transport};

/// The options of a connection; made by [`Client::builder`].
#[must_use = "nothing is connected unless one of the `connect` methods is awaited"]
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    address: String,
    config: ClientConfig,
    has_user_name: bool,
    has_password: bool,
    credentials: Option<CredentialsFn>,
    store: Option<Store>,
    authentication: Option<Method>,
    #[cfg(feature = "rustls")]
    tls: TlsSource,
    #[cfg(feature = "websocket")]
    websocket_headers: Vec<(String, String)>,
}

impl ClientBuilder {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            config: ClientConfig::new(),
            has_user_name: false,
            has_password: false,
            credentials: None,
            store: None,
            authentication: None,
            #[cfg(feature = "rustls")]
            tls: TlsSource::default(),
            #[cfg(feature = "websocket")]
            websocket_headers: Vec::new(),
        }
    }

    fn with(mut self, set: impl FnOnce(ClientConfig) -> ClientConfig) -> Self {
        self.config = set(self.config);
        self
    }

    /// The name of this client, by which the server knows its session. By default the server
    /// chooses one.
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.with(|config| config.client_id(client_id))
    }

    /// What becomes of the session between connections; a new one each time by default.
    ///
    /// With [`SessionPolicy::rejoin`] messages come that no subscription of this client takes yet.
    /// They wait, QoS 1 and QoS 2 unacknowledged, until a subscription is made that matches them or
    /// [`Client::unmatched`] is called.
    pub fn session(self, policy: SessionPolicy) -> Self {
        self.with(|config| config.session(policy))
    }

    /// Keeps the session in a store, from which a later run of the program goes on with it. It needs
    /// a [`client_id`](Self::client_id), and a [session policy](Self::session) that lets the server
    /// keep its part. By default the session lives in memory, as long as the client.
    ///
    /// See [the crate](crate#a-session-that-outlives-the-program) for what survives which end of the
    /// program.
    pub fn session_store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Store(Arc::new(store)));
        self
    }

    /// The longest time that the connection may be idle, in whole seconds; 60 by default, zero for
    /// no limit. A ping is sent only when nothing else was, and a server that gives no sign of
    /// life after it is given up.
    pub fn keep_alive(self, interval: Duration) -> Self {
        self.with(|config| config.keep_alive(interval))
    }

    /// The user name and password to log in with, instead of those in the address.
    pub fn credentials(self, user_name: impl Into<String>, password: impl Into<Bytes>) -> Self {
        self.user_name(user_name).password(password)
    }

    /// The user name to log in with, instead of the one in the address.
    pub fn user_name(mut self, user_name: impl Into<String>) -> Self {
        self.has_user_name = true;
        self.with(|config| config.user_name(user_name))
    }

    /// The password to log in with, instead of the one in the address; it needs no user name.
    pub fn password(mut self, password: impl Into<Bytes>) -> Self {
        self.has_password = true;
        self.with(|config| config.password(password))
    }

    /// The message that the server publishes when this client is gone without a goodbye.
    pub fn will(self, will: Will) -> Self {
        self.with(|config| config.will(will))
    }

    /// How many QoS 1 and QoS 2 messages the server may send before those before them are
    /// acknowledged; 256 by default. This bounds what a slow reader leaves lying here.
    pub fn receive_maximum(self, maximum: NonZeroU16) -> Self {
        self.with(|config| config.receive_maximum(maximum))
    }

    /// How many messages above [`receive_maximum`](Self::receive_maximum) are taken all the same
    /// from a server that exceeds it, as some in wide use do now and then; half as many as that by
    /// default. One beyond ends the connection with 0x93, and zero is strict.
    pub fn receive_maximum_tolerance(self, messages: u16) -> Self {
        self.with(|config| config.receive_maximum_tolerance(messages))
    }

    /// How long nothing is read from the network for the sake of a subscription whose reader lags
    /// behind with QoS 0 messages, before they are dropped; 20 milliseconds by default. Zero:
    /// nothing ever waits.
    pub fn reader_patience(self, patience: Duration) -> Self {
        self.with(|config| config.reader_patience(patience))
    }

    /// The largest packet that the server may send, in bytes. By default none is announced, and a
    /// packet above 16 MiB ends the connection.
    pub fn maximum_packet_size(self, bytes: NonZeroU32) -> Self {
        self.with(|config| config.maximum_packet_size(bytes))
    }

    /// How many topic aliases the server may use; none by default.
    pub fn topic_alias_maximum(self, maximum: u16) -> Self {
        self.with(|config| config.topic_alias_maximum(maximum))
    }

    /// How many topic aliases this client uses if the server allows as many; none by default, 64
    /// at most.
    pub fn outgoing_topic_aliases(self, maximum: u16) -> Self {
        self.with(|config| config.outgoing_topic_aliases(maximum))
    }

    /// Whether the server may explain refusals in words; yes by default.
    pub fn request_problem_information(self, wanted: bool) -> Self {
        self.with(|config| config.request_problem_information(wanted))
    }

    /// Whether the server is asked for Response Information; no by default.
    pub fn request_response_information(self, wanted: bool) -> Self {
        self.with(|config| config.request_response_information(wanted))
    }

    /// Adds a User Property to CONNECT.
    pub fn user_property(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|config| config.user_property(name, value))
    }

    /// Whether messages find their subscription by Subscription Identifiers where the server
    /// supports them; yes by default.
    pub fn subscription_identifiers(self, used: bool) -> Self {
        self.with(|config| config.subscription_identifiers(used))
    }

    /// How many messages may wait to be sent or acknowledged before publishing waits too; 1,024 by
    /// default.
    pub fn max_outgoing_messages(self, maximum: usize) -> Self {
        self.with(|config| config.max_outgoing_messages(maximum))
    }

    /// How many bytes those messages may have together; 16 MiB by default.
    pub fn max_outgoing_bytes(self, maximum: usize) -> Self {
        self.with(|config| config.max_outgoing_bytes(maximum))
    }

    /// How many requests may wait for their response; 1,024 by default.
    pub fn max_requests(self, maximum: usize) -> Self {
        self.with(|config| config.max_requests(maximum))
    }

    /// How long each of the two steps of connecting may take: the transport, with the credentials
    /// of [`credentials_fn`](Self::credentials_fn), and the server's answer; 10 seconds by default.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.connect_timeout(timeout))
    }

    /// Has the client log in by enhanced authentication, with this method. If the server is not
    /// convinced, or the client not of the server, the client ends.
    pub fn authentication_method(self, method: impl AuthenticationMethod) -> Self {
        let name = method.name().to_owned();
        let mut this = self.with(|config| config.authentication(name, Bytes::new()));
        this.authentication = Some(Method(Arc::new(method)));
        this
    }

    /// Gets the credentials for each attempt to connect anew, instead of those in the options: a
    /// token that expires, say. It may fail, and then the attempt has failed. A server that
    /// refuses such an attempt does not end the client, since the next one may have better
    /// credentials.
    pub fn credentials_fn<F, Fut, E>(mut self, credentials: F) -> Self
    where
        F: Fn(Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.credentials = Some(CredentialsFn::new(credentials));
        self
    }

    /// Whether another connection is made when one has ended; always by default. It is not after
    /// an end that would come again, as [`ClientCloseCause::is_retryable`] tells.
    pub fn reconnect(self, reconnect: Reconnect) -> Self {
        self.with(|config| config.reconnect(reconnect))
    }

    /// How long to wait before another connection is made; from 1 to 60 seconds with full jitter
    /// by default.
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|config| config.backoff(backoff))
    }

    /// Makes the first attempt follow the back-off too: connecting then resolves when the first
    /// connection stands, however long that takes. By default it fails with the first attempt.
    pub fn keep_trying(self) -> Self {
        self.with(|config| config.keep_trying(true))
    }

    /// Connects again even when another client with the same identifier has taken the session
    /// over. Two that do so take it from each other for ever. Without this it does only where a
    /// CONNECT of its own, which had got no answer, may have been the one that took it over.
    pub fn reconnect_when_taken_over(self) -> Self {
        self.with(|config| config.reconnect_when_taken_over(true))
    }

    /// How many times in a row a server may send the client to another one; 3 by default, 0 to
    /// follow none.
    pub fn max_redirects(self, maximum: u8) -> Self {
        self.with(|config| config.max_redirects(maximum))
    }

    /// What becomes of messages that are published while there is no connection: by default 1,000
    /// wait, and then publishing waits too.
    pub fn offline(self, offline: Offline) -> Self {
        self.with(|config| config.offline(offline))
    }

    /// What is published again when the server has lost the session in which it was sent; QoS 1
    /// messages by default.
    pub fn republish(self, republish: Republish) -> Self {
        self.with(|config| config.republish(republish))
    }

    /// Whom to trust and what to show with TLS, which `mqtts` and `wss` addresses use; by default
    /// whom the operating system trusts, and nothing. What was said by [`tls_config`] is forgotten.
    ///
    /// [`tls_config`]: Self::tls_config
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = TlsSource::Options(tls);
        self
    }

    /// A configuration of rustls for `mqtts` and `wss` addresses, used as it is. What was said by
    /// [`tls`](Self::tls) is forgotten.
    #[cfg(feature = "rustls")]
    pub fn tls_config(mut self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.tls = TlsSource::Ready(config.into());
        self
    }

    /// Adds a header to the request for a WebSocket, as some gateways want one to let it through.
    /// A name or value that HTTP does not allow makes the attempt fail.
    #[cfg(feature = "websocket")]
    pub fn websocket_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.websocket_headers.push((name.into(), value.into()));
        self
    }

    /// Connects, and runs the driver as a task of the current tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the attempt is given up.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let (client, driver) = self.connect_with_driver().await?;
        tokio::spawn(driver);
        Ok(client)
    }

    /// Connects, and hands the driver over: the application polls or spawns it.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_async::{Client, PublishError};
    ///
    /// let (client, driver) = Client::builder("mqtt://localhost").connect_with_driver().await?;
    /// let application = async {
    ///     client.publish("sensor/7", "21.5").send().await?;
    ///     Ok::<_, PublishError>(client.close().await)
    /// };
    /// let (_, closed) = tokio::join!(driver, application);
    /// println!("{}", closed?.cause);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the attempt is given up.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn connect_with_driver(self) -> Result<(Client, Driver<Transport>), ConnectError> {
        let address = Address::parse(&self.address)?;
        let mut config = self.config;
        if let Some(user_name) = address.user_name.clone().filter(|_| !self.has_user_name) {
            config = config.user_name(user_name);
        }
        if let Some(password) = address.password.clone().filter(|_| !self.has_password) {
            config = config.password(password);
        }
        let text = address.to_string();
        let connector = Connector {
            #[cfg(feature = "rustls")]
            tls: if address.scheme.is_secure() {
                Some(self.tls.config().await?.into())
            } else {
                None
            },
            #[cfg(feature = "websocket")]
            websocket: crate::transport::websocket::Options {
                headers: self.websocket_headers,
                largest_packet: config.accepted_packet_size() as usize,
            },
            address,
        };
        let open = move |attempt: Attempt| connector.clone().open(attempt.target);
        let dialler = dial::dialler(open, self.credentials);
        keep_connected(config, self.store, self.authentication, dialler, text).await
    }

    /// Connects over transports that the application opens, one for each attempt, and runs the
    /// driver as a task of the current tokio runtime. Of the address only what says where the
    /// server is goes unused.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_async::Client;
    /// use tokio::net::TcpStream;
    ///
    /// let open = |_attempt| TcpStream::connect("gateway.example:7000");
    /// let client = Client::builder("").client_id("meter-17").connect_by(open).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the attempt is given up.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub async fn connect_by<S, F, Fut>(self, open: F) -> Result<Client, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
        F: FnMut(Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
    {
        let (client, driver) = self.connect_by_with_driver(open).await?;
        tokio::spawn(driver);
        Ok(client)
    }

    /// Connects over transports that the application opens, one for each attempt, and hands the
    /// driver over: the application polls or spawns it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the attempt is given up.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub async fn connect_by_with_driver<S, F, Fut>(
        self,
        mut open: F,
    ) -> Result<(Client, Driver<S>), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
        F: FnMut(Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
    {
        let open = move |attempt: Attempt| {
            let address = attempt.target.to_string();
            let opening = open(attempt);
            async move {
                let failure = |error| DialFailure { fault: dial::fault(&error), error, address };
                opening.await.map_err(failure)
            }
        };
        let dialler = dial::dialler(open, self.credentials);
        keep_connected(self.config, self.store, self.authentication, dialler, self.address).await
    }

    /// Connects over a transport that the application has made, and runs the driver as a task of
    /// the current tokio runtime. The client ends with this one connection. Of the address only
    /// what says where the server is goes unused.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the attempt is given up, and the transport with it.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub async fn connect_with<S>(self, transport: S) -> Result<Client, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (shared, keeper) = open(self.config, self.store, &self.address).await?;
        let now = shared.now();
        let method = self.authentication;
        shared.call(|state| {
            state.authentication.method = method;
            state.start(now).map_err(|error| ConnectError::Setup(io::Error::other(error)))
        })?;
        let driver = Driver::over(Arc::clone(&shared), transport, keeper);
        let (client, driver) = handshake(&shared, driver, self.address).await?;
        tokio::spawn(driver);
        Ok(client)
    }
}

/// Makes the state of a client, and finds the place where its session is kept.
async fn open(
    config: ClientConfig,
    store: Option<Store>,
    server: &str,
) -> Result<(Arc<Shared>, Option<Keeper>), ConnectError> {
    // The standard library's hash keys come from the system's randomness.
    let random = RandomState::new();
    let mut seed = [0; 32];
    for (number, word) in seed.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&random.hash_one(number).to_le_bytes());
    }
    let Opened { session, now, keeper } = keeper::open(config, seed, store, server).await?;
    let shared = Shared::new(session, now);
    if keeper.is_some() {
        shared.call(|state| state.keep());
    }
    Ok((Arc::new(shared), keeper))
}

/// Connects over transports that `dialler` opens, for as long as the client lasts.
async fn keep_connected<S: AsyncRead + AsyncWrite>(
    config: ClientConfig,
    store: Option<Store>,
    method: Option<Method>,
    dialler: Dialler<S>,
    address: String,
) -> Result<(Client, Driver<S>), ConnectError> {
    let (shared, keeper) = open(config, store, &address).await?;
    let now = shared.now();
    shared.call(|state| {
        state.authentication.method = method;
        state.start_managed(now);
    });
    let driver = Driver::dialling(Arc::clone(&shared), dialler, keeper);
    handshake(&shared, driver, address).await
}

/// Drives a new client until a server has accepted it, or until it has ended.
async fn handshake<S: AsyncRead + AsyncWrite>(
    shared: &Arc<Shared>,
    mut driver: Driver<S>,
    address: String,
) -> Result<(Client, Driver<S>), ConnectError> {
    let client = Client::new(shared);
    let status = poll_fn(|cx| {
        let ended = Pin::new(&mut driver).poll(cx);
        let status = shared.call(|state| state.status().clone());
        let is_open = matches!(status, Status::Connecting | Status::Waiting { .. });
        if is_open && ended.is_pending() { Poll::Pending } else { Poll::Ready(status) }
    })
    .await;
    let error = match status {
        Status::Connected { .. } => return Ok((client, driver)),
        Status::Closed(error) => error,
        Status::Connecting | Status::Waiting { .. } => ConnectionError::DriverDropped,
    };
    Err(refused(error, address))
}

/// What the end of a client means that never had a connection. `configured` is the address that
/// is told if no other one is known.
fn refused(error: ConnectionError, configured: String) -> ConnectError {
    if let ConnectionError::Unreachable { address, fault, source } = error {
        let address = if address.is_empty() { configured } else { address };
        if fault == DialFault::TimedOut {
            return ConnectError::Timeout { address };
        }
        return ConnectError::Unreachable { address, fault, source };
    }
    if let ConnectionError::Closed(cause) = &error {
        if let ClientCloseCause::Refused { reason, properties } = &**cause {
            return ConnectError::Refused { reason: *reason, properties: properties.clone() };
        }
        if matches!(**cause, ClientCloseCause::ConnectTimeout) {
            return ConnectError::Timeout { address: configured };
        }
    }
    error.into()
}
