//! The loop of the broker's thread: it moves bytes between sockets and the broker, and decides
//! nothing.
//!
//! One turn of the loop: wait for events; take commands; accept; read each socket that has
//! something once and give it to the broker; pass the time; then settle: carry out what the
//! broker asks for, and write what it has for each connection on its ready list, with one call
//! for all that a turn has brought about. Sockets are registered once, for reading and writing,
//! and events come on edges: a socket that could give or take more than it was asked for is
//! remembered here.

mod answers;
mod connection;
mod input;
mod linger;
mod listeners;
mod open;
mod output;
mod sys;
#[cfg(unix)]
mod unix;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use mqtt_session::{Broker, BrokerEvent, CloseCause, ConnectionId, Time, TransmitBuf};

use crate::access::{Access, Chain, Tasks};
use crate::config::Config;
use crate::error::{BindError, ServerError};
use crate::inbox::{Command, Inbox};
use crate::listen::Address;
#[cfg(feature = "files")]
use crate::reload::Reload;
use crate::status::Status;
use crate::transport::Transports;
use connection::{Connection, Connections, Marks, Pipes};
use linger::Lingering;
use listeners::Listeners;
use output::{Buffers, Written, write};
use sys::SysTopics;

/// Bytes that one read takes at most, which is also what one connection may bring in one turn.
const READ_AT_MOST: usize = 64 * 1024;
/// Bytes read in one turn before what they brought about is written: a broker that reads on
/// from many publishers would overflow the queue of a subscriber that only waits to be served.
const READ_AHEAD: usize = 256 * 1024;
/// Bytes that the broker is asked for with one call, and that a stuck connection holds.
const WRITE_AT_MOST: usize = 64 * 1024;
/// Room in the buffer of a stuck connection that is worth asking the broker for more. A peer that
/// takes this much now and then is slow, but not stalled.
const WORTH_FILLING: usize = 16 * 1024;
/// Bytes written in one turn before sockets are read again.
const WRITE_AHEAD: usize = 4 * 1024 * 1024;
/// How long a peer may take to close its side once the broker is shutting down and the peer
/// has everything.
const SHUTDOWN_LINGER: Duration = Duration::from_millis(250);

const EVENTS: usize = 1024;

/// Tokens: connections have the number of their slot, sockets that linger the upper half of all
/// numbers, listeners its end, the waker the very last one.
const LINGERING: usize = usize::MAX / 2;
const LISTENERS: usize = WAKER - 1 - u16::MAX as usize;
const LAST_LISTENER: usize = WAKER - 1;
const WAKER: usize = usize::MAX;

/// Everything that the broker's thread owns.
#[derive(Debug)]
pub(crate) struct Driver {
    poll: Poll,
    inbox: Arc<Inbox>,
    origin: Instant,
    /// The time of this turn.
    now: Time,
    broker: Broker,
    access: Access,
    listeners: Listeners,
    connections: Connections,
    pipes: Pipes,
    transports: Transports,
    sys: SysTopics,
    /// Where metrics are served.
    metrics: Option<SocketAddr>,
    /// Connections that were closed before a handshake began.
    handshakes_refused: u64,
    /// Connections that may have something to read.
    readable: VecDeque<ConnectionId>,
    /// Connections whose peer has sent its last byte in this turn.
    ended: Vec<ConnectionId>,
    /// Whether the broker may have more to write than a turn takes.
    unwritten: bool,
    read_buffer: Box<[u8]>,
    buffers: Buffers,
    lingering: Lingering,
    /// When to stop whatever the clients do; `None` while nobody asked to stop.
    stopping: Option<Time>,
    shutdown_timeout: Duration,
    linger_timeout: Duration,
}

impl Driver {
    /// Binds the listeners of `config`. Nothing is accepted before [`run`](Self::run).
    pub(crate) fn bind(config: Config) -> Result<Self, BindError> {
        config.check_settings()?;
        let chain = Chain::load(&config)?;
        let poll = Poll::new().map_err(BindError::Start)?;
        let listeners = Listeners::bind(&config, poll.registry(), LAST_LISTENER)?;
        let inbox = Inbox::new(poll.registry(), Token(WAKER)).map_err(BindError::Start)?;
        let inbox = Arc::new(inbox);
        let mut broker = config.broker.clone();
        broker.decisions.connect = config.authenticates();
        broker.decisions.publish = config.authorizes();
        broker.decisions.subscribe = config.authorizes();
        broker.decisions.read = config.authorizes();
        let mut transports = Transports::new(&config, &inbox);
        if listeners.need_tasks() {
            transports.make_runtime()?;
        }
        let metrics =
            config.metrics.map(|address| transports.serve_metrics(address)).transpose()?;
        let tasks = Tasks::if_needed(&chain, &config, &inbox)?;
        let access = Access::new(chain, tasks);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| BindError::Entropy(error.into()))?;
        Ok(Self {
            poll,
            inbox,
            origin: Instant::now(),
            now: Time::ZERO,
            broker: Broker::new(broker, seed),
            access,
            sys: SysTopics::new(config.sys_interval),
            metrics,
            handshakes_refused: 0,
            listeners,
            connections: Connections::default(),
            pipes: Pipes::default(),
            transports,
            readable: VecDeque::new(),
            ended: Vec::new(),
            unwritten: false,
            read_buffer: vec![0; READ_AT_MOST].into_boxed_slice(),
            buffers: Buffers::default(),
            lingering: Lingering::new(LINGERING),
            stopping: None,
            shutdown_timeout: config.shutdown_timeout,
            linger_timeout: config.linger_timeout,
        })
    }

    /// The addresses that are listened on.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.listeners.addresses()
    }

    /// Where metrics are served.
    pub(crate) const fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// How the broker is.
    fn status(&self) -> Status {
        Status {
            statistics: self.broker.statistics().clone(),
            gauges: self.broker.gauges(),
            uptime: self.now.duration_since(Time::ZERO),
            handshakes_failed: self.handshakes_refused + self.transports.failed(),
        }
    }

    /// Another configuration holds from here on.
    #[cfg(feature = "files")]
    fn reload(&mut self, reload: Reload) {
        let Reload { chain, tasks, routes } = reload;
        self.access.replace(chain, tasks);
        self.listeners.replace_routes(&routes);
        self.broker.rights_changed(self.now, None);
    }

    /// The way to send commands.
    pub(crate) fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// Serves until a command says to stop.
    ///
    /// # Errors
    ///
    /// When the operating system cannot wait for events.
    pub(crate) fn run(mut self) -> Result<(), ServerError> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ServerError::Poll(error)),
            }
            self.now = Time::ZERO + self.origin.elapsed();
            for event in &events {
                self.handle_event(event);
            }
            self.turn();
            if let Some(deadline) = self.stopping {
                let done = self.connections.len() == 0
                    && self.lingering.is_empty()
                    && self.transports.is_idle();
                if done || self.now >= deadline {
                    tracing::info!(cut_off = self.connections.len(), "broker stopped");
                    return Ok(());
                }
            }
        }
    }

    /// How long to wait for events; `None` is for ever.
    fn timeout(&self) -> Option<Duration> {
        if self.unwritten
            || !self.readable.is_empty()
            || self.listeners.has_more()
            || self.lingering.has_more()
        {
            return Some(Duration::ZERO);
        }
        let next = [
            self.broker.poll_timeout().map(|deadline| deadline.at),
            self.listeners.next_deadline(),
            self.lingering.next_deadline(),
            self.sys.next_deadline(),
            self.buffers.next_deadline(),
            self.stopping,
        ];
        next.into_iter().flatten().min().map(|at| at.duration_since(self.now))
    }

    fn handle_event(&mut self, event: &Event) {
        match event.token().0 {
            WAKER => {
                for command in self.inbox.take() {
                    self.handle_command(command);
                }
            }
            listener @ LISTENERS..=LAST_LISTENER => {
                self.listeners.handle_event(LAST_LISTENER - listener);
            }
            LINGERING.. => self.lingering.handle_event(event.token()),
            slot => self.handle_socket(slot, event),
        }
    }

    fn handle_socket(&mut self, slot: usize, event: &Event) {
        // The event may be one of the connection that had the slot before: a read or a write too
        // many does no harm.
        let Some(connection) = self.connections.in_slot(slot) else { return };
        let id = connection.id;
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.marks.set(Marks::READABLE);
            if event.is_read_closed() || event.is_error() {
                connection.marks.set(Marks::READ_CLOSED);
            }
            enqueue(connection, &mut self.readable);
        }
        if event.is_writable() && connection.held.is_some() {
            self.write_held(id);
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Stop if self.stopping.is_none() => {
                tracing::info!(connections = self.connections.len(), "broker is stopping");
                self.stopping = Some(self.now + self.shutdown_timeout);
                self.linger_timeout = self.linger_timeout.min(SHUTDOWN_LINGER);
                self.listeners.close();
                self.transports.stop();
                self.broker.shutdown(self.now);
            }
            Command::Stop => {}
            Command::Answer(answer) => self.answer(answer),
            Command::OpenSocket(stream, peer, counted) => {
                self.transports.handshake_over(counted);
                self.open_socket(TcpStream::from_std(stream), peer);
            }
            Command::OpenPipe(pipe, peer, counted) => {
                self.transports.handshake_over(counted);
                self.open_pipe(pipe, peer);
            }
            Command::Look(id) => self.look(id),
            Command::Status(reply) => {
                // Who asked may have lost interest.
                let _ = reply.send(self.status());
            }
            Command::Connect(stream) => self.transports.start_local(stream),
            #[cfg(feature = "files")]
            Command::Reload(reload, done) => {
                self.reload(*reload);
                // Who asked may have lost interest.
                let _ = done.send(());
            }
            Command::TaskOver(handshake) => self.transports.task_over(handshake),
            Command::RightsChanged(client_id) => {
                self.broker.rights_changed(self.now, client_id.as_deref());
            }
        }
    }

    /// Everything between two waits.
    fn turn(&mut self) {
        self.accept();
        self.lingering.go_on(&mut self.read_buffer);
        self.read();
        self.handle_timeouts();
        self.settle();
        if !self.ended.is_empty() {
            // Answers to a peer's last packets are written before the broker hears of the end.
            for id in mem::take(&mut self.ended) {
                self.broker.handle_eof(id, self.now);
            }
            self.settle();
        }
    }

    fn handle_timeouts(&mut self) {
        if self.broker.poll_timeout().is_some_and(|deadline| deadline.at <= self.now) {
            self.broker.handle_timeout(self.now);
        }
        if self.sys.is_due(self.now) {
            let status = self.status();
            self.sys.publish(self.now, &status, &mut self.broker);
        }
        self.lingering.handle_timeout(self.now);
        self.buffers.handle_timeout(self.now);
    }

    /// Carries out what the broker asks for, until it asks for nothing or has written enough for
    /// this turn.
    fn settle(&mut self) {
        let mut written = 0;
        self.unwritten = false;
        loop {
            // There is no store behind this broker: what it would store counts as stored.
            while let Some(batch) = self.broker.poll_store(self.now) {
                self.broker.handle_committed(self.now, batch.token());
            }
            while let Some(event) = self.broker.poll_event() {
                self.handle_broker_event(event);
            }
            let Some(id) = self.broker.poll_ready() else { return };
            written += self.write_out(id);
            if written >= WRITE_AHEAD {
                self.unwritten = true;
                return;
            }
        }
    }

    fn handle_broker_event(&mut self, event: BrokerEvent) {
        match event {
            BrokerEvent::Resume(id) => {
                if let Some(connection) = self.connections.find(id)
                    && connection.marks.has(Marks::READABLE)
                {
                    enqueue(connection, &mut self.readable);
                }
            }
            BrokerEvent::Closed { id, cause } => {
                tracing::info!(connection = id.slot(), ?cause, "connection closed");
                if let Some(connection) = self.connections.remove(id) {
                    self.close(connection, cause);
                }
            }
            BrokerEvent::Connected { id, client_id, session_present } => {
                if let Some(pipe) = self.pipes.find(id) {
                    pipe.accept();
                }
                if tracing::enabled!(tracing::Level::INFO) {
                    tracing::info!(
                        connection = id.slot(),
                        // The debug form escapes what a client may have put into its name.
                        ?client_id,
                        session_present,
                        "client connected"
                    );
                }
            }
            question @ (BrokerEvent::Connect(_)
            | BrokerEvent::Authenticate(_)
            | BrokerEvent::Publish(_)
            | BrokerEvent::Subscribe(_)
            | BrokerEvent::Read(_)
            | _) => {
                if let Some(answer) = self.access.decide(question) {
                    self.answer(answer);
                }
            }
        }
    }

    /// Closes a socket that the broker has no more use for.
    fn close(&mut self, connection: Connection, cause: CloseCause) {
        let Connection { id, socket, marks, held, .. } = connection;
        let Some(stream) = socket else {
            if let Some(pipe) = self.pipes.remove(id) {
                pipe.finish(held, self.linger_timeout);
            }
            return;
        };
        let ended = marks.has(Marks::ENDED);
        // A peer that was told nothing, or has said goodbye, misses nothing.
        let may_miss_something =
            marks.has(Marks::WROTE) && !ended && !matches!(cause, CloseCause::Disconnected(_));
        if !marks.has(Marks::WRITE_FAILED) && (held.is_some() || may_miss_something) {
            self.lingering.add(
                self.poll.registry(),
                stream,
                held,
                ended,
                self.now + self.linger_timeout,
                &mut self.read_buffer,
            );
        }
    }

    /// Writes what the broker has for `id`; returns how much it had.
    fn write_out(&mut self, id: ConnectionId) -> usize {
        let out = self.buffers.at_hand();
        let Some(connection) = self.connections.find(id) else {
            // Its socket failed before it was stored: what the broker says goes nowhere.
            self.broker.poll_transmit(id, self.now, out, WRITE_AT_MOST);
            out.reset(usize::MAX);
            return 0;
        };
        if let Some(held) = &mut connection.held {
            if self.broker.is_closing(id) {
                // Its last packets, and then its end: the linger is all the time it gets.
                self.broker.poll_transmit(id, self.now, held, WRITE_AT_MOST);
                return 0;
            }
            // An event tells when the socket takes more. Until then the broker fills the buffer
            // up, and keeps to itself what does not fit.
            return fill(&mut self.broker, id, self.now, held);
        }
        self.broker.poll_transmit(id, self.now, out, WRITE_AT_MOST);
        let length = out.len();
        self.buffers.note(self.now, length);
        let out = self.buffers.at_hand();
        if length == 0 {
            return 0;
        }
        if connection.marks.has(Marks::WRITE_FAILED) {
            out.reset(usize::MAX);
            return length;
        }
        connection.marks.set(Marks::WROTE);
        match write(&mut self.pipes.stream(connection), out) {
            Written::All => {}
            Written::Blocked => connection.held = Some(self.buffers.keep()),
            Written::Failed(error) => {
                tracing::debug!(connection = id.slot(), %error, "connection lost");
                out.reset(usize::MAX);
                write_failed(connection, &mut self.readable);
            }
        }
        length
    }

    /// Writes what a socket did not take before, and more if it takes all of that.
    fn write_held(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.find(id) else { return };
        let Some(mut held) = connection.held.take() else { return };
        match write(&mut self.pipes.stream(connection), &mut held) {
            Written::Blocked => {
                fill(&mut self.broker, id, self.now, &mut held);
                connection.held = Some(held);
                return;
            }
            Written::All => {}
            Written::Failed(error) => {
                tracing::debug!(connection = id.slot(), %error, "connection lost");
                write_failed(connection, &mut self.readable);
            }
        }
        self.buffers.give_back(self.now, *held);
        self.write_out(id);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// Lets the broker fill up the buffer of a stuck connection, if there is room worth the call;
/// returns how much came.
fn fill(broker: &mut Broker, id: ConnectionId, now: Time, held: &mut TransmitBuf) -> usize {
    let before = held.len();
    match WRITE_AT_MOST.checked_sub(before) {
        Some(room) if room >= WORTH_FILLING => {
            broker.poll_transmit(id, now, held, room);
            held.len() - before
        }
        _ => 0,
    }
}

/// Puts `connection` into the queue of those to be read, once.
fn enqueue(connection: &mut Connection, readable: &mut VecDeque<ConnectionId>) {
    if !connection.marks.has(Marks::QUEUED) {
        connection.marks.set(Marks::QUEUED);
        readable.push_back(connection.id);
    }
}

/// Notes that nothing can be written any more. What the peer sent before is still read: it may
/// have published and left.
fn write_failed(connection: &mut Connection, readable: &mut VecDeque<ConnectionId>) {
    connection.marks.set(Marks::WRITE_FAILED | Marks::READABLE);
    enqueue(connection, readable);
}
