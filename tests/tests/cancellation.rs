//! Every future of the client, dropped after each number of polls: the client goes on, and neither a
//! place for a message or a request nor a subscription nor a task is left behind.
//!
//! The futures are read from the sources of the client, so that one without a row here fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::future::{Future, IntoFuture};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use mqtt_broker_lite::{
    AuthenticateAnswer, AuthenticateRequest, Authenticator, Config, ConnectGrant, ConnectRequest,
    ConnectVerdict, Server,
};
use mqtt_client_async::{
    AuthenticationError, AuthenticationExchange, AuthenticationMethod, Client, ClientBuilder,
    ConnectionError, MemoryStore, PubAckReason, QoS, RequestError, SessionPolicy, State,
    Subscription,
};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a future that sleeps is left alone before it is polled again.
const PAUSE: Duration = Duration::from_millis(10);

/// More polls than any future needs that ends.
const POLLS: usize = 40;

/// Messages and requests that the client holds at once: as few as a leak would soon use up.
const PLACES: usize = 4;

/// Wakes whoever waits for the next poll.
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Polls a future so many times, and drops it; what it resolved with, if it did.
async fn polled<F: IntoFuture>(future: F, times: usize) -> Option<F::Output> {
    let woken = Arc::new(Woken(Notify::new()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = Box::pin(future.into_future());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        // It may never be woken, and is then polled all the same.
        let _in_time = timeout(PAUSE, woken.0.notified()).await;
    }
    None
}

/// An exchange of one round in which everybody believes everybody.
struct Credulous;

impl AuthenticationMethod for Credulous {
    fn name(&self) -> &str {
        "credulous"
    }

    fn begin(&self) -> Result<Box<dyn AuthenticationExchange>, AuthenticationError> {
        Ok(Box::new(Self))
    }
}

impl AuthenticationExchange for Credulous {
    fn first(&mut self) -> Result<Vec<u8>, AuthenticationError> {
        Ok(b"here I am".to_vec())
    }

    fn answer(&mut self, _: &[u8]) -> Result<Vec<u8>, AuthenticationError> {
        Ok(b"it is me".to_vec())
    }

    fn finish(&mut self, _: &[u8]) -> Result<(), AuthenticationError> {
        Ok(())
    }
}

impl Authenticator for Credulous {
    async fn connect(&self, request: &ConnectRequest) -> ConnectVerdict {
        match (request.authentication_method(), request.authentication_round()) {
            (None, _) => ConnectVerdict::Accept(ConnectGrant::default()),
            (Some(_), 0) => ConnectVerdict::Challenge("who?".into()),
            (Some(_), _) => ConnectVerdict::Accept(ConnectGrant::default()),
        }
    }

    async fn authenticate(&self, request: &AuthenticateRequest) -> Option<AuthenticateAnswer> {
        Some(match request.authentication_round() {
            0 => AuthenticateAnswer::Challenge("who?".into()),
            _ => AuthenticateAnswer::Accept(None),
        })
    }
}

struct World {
    server: Server,
    client: Client,
    /// Gets everything below `in`.
    messages: Subscription,
    /// The tasks that run with no other client than this one.
    tasks: usize,
}

impl World {
    async fn new() -> Self {
        let mut config = Config::free_port();
        config.authenticate_with(Credulous);
        let server = Server::bind(config).await.unwrap();
        let client = builder(&server, "lasting")
            .session(SessionPolicy::resume(Duration::from_secs(60)))
            .session_store(MemoryStore::new())
            .authentication_method(Credulous)
            .max_outgoing_messages(PLACES)
            .max_requests(PLACES)
            .connect()
            .await
            .unwrap();
        let messages = client.subscribe("in/#").qos(QoS::ExactlyOnce).await.unwrap();
        client.stored().await.unwrap();
        Self { server, client, messages, tasks: Handle::current().metrics().num_alive_tasks() }
    }

    fn address(&self) -> std::net::SocketAddr {
        self.server.local_addr().unwrap()
    }

    /// A message that comes back.
    async fn echo(&self, payload: &str) {
        let message = self.client.publish("in/echo", payload.to_owned());
        timeout(PATIENCE, message.qos(QoS::AtLeastOnce).send()).await.unwrap().unwrap();
    }

    async fn next(&mut self) -> String {
        let message = timeout(PATIENCE, self.messages.next()).await.unwrap().unwrap();
        message.payload_str().unwrap().to_owned()
    }

    /// Whether anybody subscribes to a topic.
    async fn is_heard(&self, topic: &str) -> bool {
        let word = self.client.publish(topic, "").qos(QoS::AtLeastOnce).send();
        let word = timeout(PATIENCE, word).await.unwrap().unwrap();
        word.reason() != PubAckReason::NoMatchingSubscribers
    }

    /// The server learns that nobody subscribes to a topic.
    async fn falls_silent(&self, topic: &str) {
        let silence = async {
            while self.is_heard(topic).await {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, silence).await.expect("a subscription was left behind");
    }

    /// Every place is free, messages come and go, and no task has been left.
    async fn is_as_new(&mut self, after: &str) {
        let settled = async {
            while self.client.outgoing_messages() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
            while Handle::current().metrics().num_alive_tasks() > self.tasks {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, settled).await.unwrap_or_else(|_| panic!("{after}: something is left"));
        while self.messages.try_next().is_some() {}
        let pending: Vec<_> = (0..PLACES)
            .map(|number| {
                let message = self.client.publish("in/new", number.to_string());
                message.qos(QoS::ExactlyOnce).enqueue().unwrap_or_else(|error| {
                    panic!("{after}: a place for a message is left behind: {error}")
                })
            })
            .collect();
        for word in pending {
            timeout(PATIENCE, word).await.unwrap().unwrap();
        }
        for number in 0..PLACES {
            assert_eq!(self.next().await, number.to_string(), "{after}");
        }
        let requests = (0..PLACES).map(|_| {
            let client = self.client.clone();
            async move { client.request("nobody", "").qos(QoS::AtLeastOnce).await }
        });
        for request in futures_util::future::join_all(requests).await {
            assert!(matches!(request, Err(RequestError::NoResponder)), "{after}: {request:?}");
        }
    }
}

fn builder(server: &Server, client_id: &str) -> ClientBuilder {
    let url = server.addresses().first().unwrap().to_string();
    Client::builder(&url).client_id(client_id).keep_alive(Duration::ZERO)
}

/// The row of each future: drops it after `polls`, and looks at what only it can spoil. True if it
/// had resolved by then.
async fn row(name: &str, world: &mut World, polls: usize) -> bool {
    let address = world.address();
    let open = move |_| async move { TcpStream::connect(address).await };
    let passing = builder(&world.server, "passing");
    match name {
        "ClientBuilder::connect" => polled(passing.connect(), polls).await.is_some(),
        "ClientBuilder::connect_with_driver" => {
            polled(passing.connect_with_driver(), polls).await.is_some()
        }
        "ClientBuilder::connect_by" => polled(passing.connect_by(open), polls).await.is_some(),
        "ClientBuilder::connect_by_with_driver" => {
            polled(passing.connect_by_with_driver(open), polls).await.is_some()
        }
        "ClientBuilder::connect_with" => {
            let transport = TcpStream::connect(address).await.unwrap();
            polled(passing.connect_with(transport), polls).await.is_some()
        }
        "Driver" => {
            let (client, driver) = passing.connect_with_driver().await.unwrap();
            assert!(polled(driver, polls).await.is_none());
            assert!(matches!(client.ready().await, Err(ConnectionError::DriverDropped)));
            polls == PLACES
        }
        "Client::ready" => polled(world.client.ready(), polls).await.is_some(),
        "Client::stored" => {
            drop(world.client.publish("a", "").qos(QoS::AtLeastOnce).enqueue().unwrap());
            polled(world.client.stored(), polls).await.is_some()
        }
        "Client::reauthenticate" => {
            let ended = polled(world.client.reauthenticate(), polls).await;
            // What was begun goes on, and the next call is served in any case.
            timeout(PATIENCE, world.client.reauthenticate()).await.unwrap().unwrap();
            ended.is_some()
        }
        "Sending" => {
            let is_waiting = polls.is_multiple_of(2);
            if is_waiting {
                // With every place taken it waits for room first.
                for _ in 0..PLACES {
                    drop(world.client.publish("a", "").qos(QoS::ExactlyOnce).enqueue());
                }
            }
            let message = world.client.publish("in/sent", "x").qos(QoS::ExactlyOnce);
            let sent = polled(message.send(), polls).await;
            sent.is_some() && !is_waiting
        }
        "Pending" => {
            let message = world.client.publish("in/pending", polls.to_string());
            let pending = message.qos(QoS::AtLeastOnce).enqueue().unwrap();
            let ended = polled(pending, polls).await.is_some();
            assert_eq!(world.next().await, polls.to_string(), "it is published all the same");
            ended
        }
        "Subscribing" => {
            let topic = format!("subscribing/{polls}");
            let subscribing = polled(world.client.subscribe(&topic), polls).await;
            let has_ended = subscribing.is_some();
            if let Some(subscription) = subscribing {
                drop(subscription.unwrap());
            }
            world.falls_silent(&topic).await;
            has_ended
        }
        "Unsubscribing" => {
            let topic = format!("unsubscribing/{polls}");
            let subscription = world.client.subscribe(&topic).await.unwrap();
            assert!(world.is_heard(&topic).await);
            let unsubscribe = subscription.unsubscribe().user_property("after", "some polls");
            let ended = polled(unsubscribe, polls).await;
            world.falls_silent(&topic).await;
            ended.is_some()
        }
        "Requesting" => {
            let request = world.client.request("nobody", "").qos(QoS::AtLeastOnce);
            polled(request, polls).await.is_some()
        }
        "Subscription::next" => {
            world.echo(&polls.to_string()).await;
            match polled(world.messages.next(), polls).await {
                Some(message) => {
                    assert_eq!(message.unwrap().payload(), polls.to_string().as_bytes());
                    true
                }
                None => {
                    assert_eq!(world.next().await, polls.to_string(), "nothing is lost");
                    false
                }
            }
        }
        "Unmatched::next" => {
            let mut unmatched = world.client.unmatched();
            assert!(polled(unmatched.next(), polls).await.is_none());
            polls == PLACES
        }
        "States::next" => {
            let mut states = world.client.state();
            let state = polled(states.next(), polls).await;
            assert!(state.is_none() || matches!(state, Some(Some(State::Connected { .. }))));
            state.is_some()
        }
        "Closing" => {
            let client = passing.connect().await.unwrap();
            let closed = polled(client.close(), polls).await;
            if polls == 0 {
                client.publish("a", "").qos(QoS::AtLeastOnce).send().await.unwrap();
            } else {
                let closes = async {
                    while client.ready().await.is_ok() {
                        sleep(PAUSE).await
                    }
                };
                timeout(PATIENCE, closes).await.expect("closed all the same");
            }
            closed.is_some()
        }
        other => panic!("`{other}` resolves in its own time and has no row here: add one"),
    }
}

/// Every `pub async fn` and every future of the client, as its sources have them.
fn futures() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mqtt-client-async/src");
    let mut files: Vec<_> =
        fs::read_dir(sources)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "rs")) {
        let mut owner = String::new();
        for line in fs::read_to_string(file)?.lines() {
            if line.starts_with("impl") {
                let of = line.trim_end_matches(" {").rsplit(' ').next().unwrap_or_default();
                owner = of.split('<').next().unwrap_or_default().to_owned();
                if line.contains(" Future for ") {
                    names.push(owner.clone());
                }
            }
            if let Some(name) = line.trim_start().strip_prefix("pub async fn ") {
                let name: String =
                    name.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
                names.push(format!("{owner}::{name}"));
            }
        }
    }
    Ok(names)
}

#[tokio::test]
async fn every_future_can_be_dropped_after_any_number_of_polls() {
    let names = futures().unwrap();
    assert!(names.len() >= 17, "the sources are read: {names:?}");
    let mut world = World::new().await;
    for name in names {
        let mut polls = 0;
        while !row(&name, &mut world, polls).await {
            world.is_as_new(&format!("{name}, dropped after {polls} polls")).await;
            polls += 1;
            assert!(polls < POLLS, "`{name}` does not resolve");
        }
        world.is_as_new(&format!("{name}, which resolved")).await;
    }
}
