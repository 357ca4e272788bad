//! One broker with its network, a publisher and a subscriber, and what happens to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mqtt_client_async::{Backoff, Client, EnqueueError, PublishError, QoS, SessionPolicy, State};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::broker::Broker;
use crate::ledger::{Account, Fate, Ledger};
use crate::network::{Network, Weather};

/// The time between two messages of one QoS.
const PACE: Duration = Duration::from_millis(4);

/// How many messages the publisher holds at once.
const PLACES: usize = 256;

/// How long everything may take to come after the last fault.
const SETTLE: Duration = Duration::from_secs(60);

/// The number of the fault that kills the broker; those below are the weather's.
const KILL: u64 = 6;

/// What comes after all else.
const LAST: &str = "last";

pub(crate) struct World {
    broker: Broker,
    network: Network,
    publisher: Client,
    subscriber: Client,
    ledgers: Arc<[Mutex<Ledger>; 2]>,
    /// How many last messages have come.
    last: Arc<AtomicU64>,
    reading: tokio::task::JoinHandle<()>,
    /// When the subscriber found that the broker had lost its session.
    renewals: Arc<Mutex<Vec<Instant>>>,
    watching: tokio::task::JoinHandle<()>,
    random: Random,
}

/// Numbers that the seed decides.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // Marsaglia's xorshift: what matters is that it repeats.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

fn with<R>(ledger: &Mutex<Ledger>, call: impl FnOnce(&mut Ledger) -> R) -> R {
    call(&mut ledger.lock().unwrap_or_else(PoisonError::into_inner))
}

impl World {
    pub(crate) async fn begin(broker: Broker, seed: u64) -> Result<Self, Failure> {
        let network = Network::to(broker.address()?).await?;
        let client = |name: &str| {
            Client::builder(&format!("mqtt://{}", network.address))
                .client_id(name)
                .session(SessionPolicy::resume(Duration::from_secs(3600)))
                .keep_alive(Duration::from_secs(2))
                .connect_timeout(Duration::from_secs(2))
                // A CONNECT that a stall held back may arrive behind the one that followed it.
                .reconnect_when_taken_over()
                .backoff(Backoff::exponential(
                    Duration::from_millis(20)..=Duration::from_millis(500),
                ))
                .max_outgoing_messages(PLACES)
        };
        let subscriber = client("subscriber").connect().await?;
        let publisher = client("publisher").connect().await?;
        let ledgers = Arc::new([Mutex::default(), Mutex::default()]);
        let last = Arc::new(AtomicU64::new(0));
        let reading = {
            let mut messages = subscriber.subscribe("outage/#").qos(QoS::ExactlyOnce).await?;
            let (ledgers, last) = (Arc::clone(&ledgers), Arc::clone(&last));
            tokio::spawn(async move {
                while let Some(message) = messages.next().await {
                    let [one, two] = &*ledgers;
                    let ledger = if message.topic() == "outage/1" { one } else { two };
                    match message.payload_str().unwrap_or_default() {
                        LAST => {
                            last.fetch_add(1, Ordering::Relaxed);
                        }
                        number => {
                            let number = number.parse().unwrap_or(u64::MAX);
                            with(ledger, |it| it.came.push((number, Instant::now())));
                        }
                    }
                }
            })
        };
        let renewals: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let watching = {
            let (mut states, renewals) = (subscriber.state(), Arc::clone(&renewals));
            // The first connection has begun the session.
            states.next().await;
            tokio::spawn(async move {
                while let Some(state) = states.next().await {
                    if let State::Connected { resumed: false } = state {
                        let mut renewals = renewals.lock().unwrap_or_else(PoisonError::into_inner);
                        renewals.push(Instant::now());
                    }
                }
            })
        };
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Ok(Self {
            broker,
            network,
            publisher,
            subscriber,
            ledgers,
            last,
            reading,
            renewals,
            watching,
            random,
        })
    }

    pub(crate) async fn run(mut self, time: Duration) -> Result<Account, Failure> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut publishing = JoinSet::new();
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (client, ledgers) = (self.publisher.clone(), Arc::clone(&self.ledgers));
            publishing.spawn(publish(client, ledgers, qos, Arc::clone(&is_over)));
        }
        let (kills, faults) = self.outages(time).await?;
        is_over.store(true, Ordering::Relaxed);
        let settling = Instant::now();
        // What hangs for good is counted as unanswered.
        let _settled =
            timeout(SETTLE, async { while publishing.join_next().await.is_some() {} }).await;
        publishing.shutdown().await;
        let is_subscribed = self.comes_to_an_end().await;
        let seconds_to_settle = settling.elapsed().as_secs_f64();
        let left = self.places_taken();
        let renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let [one, two] = &*self.ledgers;
        let account = Account {
            broker: self.broker.name(),
            kills: kills.len(),
            faults,
            connections: self.network.connections(),
            qos1: with(one, |it| it.sum(&kills, &renewals)),
            qos2: with(two, |it| it.sum(&kills, &renewals)),
            is_subscribed,
            left,
            seconds_to_settle,
        };
        self.publisher.close().await;
        self.subscriber.close().await;
        self.reading.await?;
        self.watching.await?;
        Ok(account)
    }

    /// Makes faults until the time is over; tells when the broker was killed, and how often what
    /// was done.
    async fn outages(
        &mut self,
        time: Duration,
    ) -> Result<(Vec<Instant>, BTreeMap<&'static str, u64>), Failure> {
        let begin = Instant::now();
        let (mut kills, mut faults) = (Vec::new(), BTreeMap::new());
        let mut turn = 0_u64;
        while begin.elapsed() < time {
            // Every fourth time, so that a short run has it too.
            let choice = if turn % 4 == 1 { KILL } else { self.random.below(KILL) };
            turn += 1;
            let (name, weather, lasts) = match choice {
                0 | 1 => ("cuts", Weather::Down, self.random.millis(1, 300)),
                2 => ("stalls", Weather::Stall, self.random.millis(100, 5_000)),
                3 => {
                    let delay = self.random.millis(5, 100);
                    ("delays", Weather::Delay(delay), self.random.millis(300, 1_500))
                }
                4 | 5 => {
                    let bytes = usize::try_from(1 + self.random.below(12))?;
                    ("trickles", Weather::Trickle(bytes), self.random.millis(300, 1_500))
                }
                _ => {
                    let at = Instant::now();
                    let broker = &mut self.broker;
                    if tokio::task::block_in_place(|| broker.kill())? {
                        kills.push(at);
                    }
                    ("", Weather::Fair, Duration::ZERO)
                }
            };
            if !name.is_empty() {
                *faults.entry(name).or_insert(0) += 1;
            }
            self.network.set(weather);
            sleep(lasts).await;
            self.network.set(Weather::Fair);
            sleep(self.random.millis(50, 700)).await;
        }
        Ok((kills, faults))
    }

    /// Whether a last message of each QoS comes by the subscription that was made at the beginning,
    /// behind all that was sent before.
    async fn comes_to_an_end(&self) -> bool {
        let end = async {
            for (topic, qos) in [("outage/1", QoS::AtLeastOnce), ("outage/2", QoS::ExactlyOnce)] {
                self.publisher.publish(topic, LAST).qos(qos).send().await?;
            }
            while self.last.load(Ordering::Relaxed) < 2 || self.publisher.outgoing_messages() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
            Ok::<(), PublishError>(())
        };
        timeout(SETTLE, end).await.is_ok_and(|end| end.is_ok())
    }

    /// Messages that the publisher holds without reason, and places that it does not give any more.
    fn places_taken(&self) -> usize {
        let held = self.publisher.outgoing_messages();
        let taken = (0..PLACES)
            .filter(|_| {
                let message = self.publisher.publish("elsewhere", "").qos(QoS::AtLeastOnce);
                matches!(message.enqueue(), Err(EnqueueError::Full(_)))
            })
            .count();
        held + taken
    }
}

/// Publishes one number after the other, and notes what becomes of each.
async fn publish(
    client: Client,
    ledgers: Arc<[Mutex<Ledger>; 2]>,
    qos: QoS,
    is_over: Arc<AtomicBool>,
) {
    let [one, two] = &*ledgers;
    let (topic, ledger) =
        if qos == QoS::AtLeastOnce { ("outage/1", one) } else { ("outage/2", two) };
    let note = |number: u64, word: Result<_, PublishError>| {
        let fate = match word {
            Ok(_) => Fate::Acknowledged,
            Err(PublishError::SessionLost) => Fate::SessionLost,
            // It stays unanswered, which is a violation.
            Err(_) => return,
        };
        with(ledger, |it| it.fates.insert(number, (fate, Instant::now())));
    };
    let mut words = futures_util::stream::FuturesUnordered::new();
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let message = client.publish(topic, number.to_string()).qos(qos);
        with(ledger, |it| {
            it.published += 1;
            it.begun.insert(number, Instant::now());
        });
        match message.enqueue() {
            Ok(word) => words.push(async move { (number, word.await) }),
            Err(EnqueueError::Full(message)) => note(number, message.send().await),
            Err(EnqueueError::Failed(error)) => note(number, Err(error)),
        }
        // Words are looked at as they come, and between two messages.
        let pause = sleep(PACE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                Some((number, word)) = futures_util::StreamExt::next(&mut words) => {
                    note(number, word);
                }
                () = &mut pause => break,
            }
        }
    }
    while let Some((number, word)) = futures_util::StreamExt::next(&mut words).await {
        note(number, word);
    }
}

/// How many more tasks there are than `before`, once those that end have had time to.
pub(crate) async fn tasks_left(before: usize) -> usize {
    let left = || Handle::current().metrics().num_alive_tasks().saturating_sub(before);
    for _ in 0..200 {
        if left() == 0 {
            return 0;
        }
        sleep(Duration::from_millis(10)).await;
    }
    left()
}
