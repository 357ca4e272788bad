//! The floor: a relay that splits frames and copies them, and knows next to nothing of MQTT.
//!
//! It answers a handshake with fixed bytes, sends a PUBLISH unchanged to whoever gave its topic as
//! a filter, letter for letter, and answers acknowledgements by reflex. It keeps no session,
//! checks nothing and stores nothing: what it costs is what the machine costs.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use crate::bench::frame::{self, Frame, Protocol, Published};
use crate::error::Error;

const LISTENER: Token = Token(usize::MAX - 1);
const READ: usize = 1 << 20;

/// Runs of at least this length go straight from the read buffer into the receiver's socket.
const DIRECT: usize = 16 << 10;

/// Serves on a free loopback port until the process is ended.
pub(super) fn run() -> Result<(), Error> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on mqtt://{}", listener.local_addr()?);

    let mut relay = Relay::default();
    let mut buffer = vec![0; READ];
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in events.iter() {
            if event.token() == LISTENER {
                relay.accept(&listener, &poll)?;
                continue;
            }
            let Token(at) = event.token();
            if event.is_writable() {
                relay.unblock(at);
            }
            if event.is_readable() && relay.read(at, &mut buffer).is_err() {
                relay.close(at);
            }
        }
        relay.flush();
    }
}

#[derive(Debug, Default)]
struct Relay {
    connections: Vec<Option<Box<Connection>>>,
    receivers: HashMap<Box<[u8]>, Vec<usize>>,
    dirty: Vec<usize>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The beginning of a frame whose end has not arrived.
    rest: Vec<u8>,
    output: Vec<u8>,
    blocked: bool,
    /// The topic that was last published here, and who gets it.
    topic: Box<[u8]>,
    route: Vec<usize>,
}

impl Connection {
    /// Writes what the socket takes of `bytes` and keeps the rest.
    fn send(&mut self, bytes: &[u8]) {
        if !self.output.is_empty() || self.blocked {
            self.output.extend(bytes);
            return;
        }
        let written = self.write(bytes);
        self.output.extend(bytes.get(written..).unwrap_or_default());
    }

    fn flush(&mut self) {
        let output = std::mem::take(&mut self.output);
        let written = self.write(&output);
        self.output = output;
        self.output.drain(..written);
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() && !self.blocked {
            match self.stream.write(bytes.get(written..).unwrap_or_default()) {
                Ok(taken) => written += taken,
                // A socket that failed takes no more; the read side closes it.
                Err(_) => self.blocked = true,
            }
        }
        written
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, token, interest)?;
            self.connections.push(Some(Box::new(Connection {
                stream,
                rest: Vec::new(),
                output: Vec::new(),
                blocked: false,
                topic: Box::default(),
                route: Vec::new(),
            })));
        }
    }

    fn close(&mut self, at: usize) {
        if let Some(slot) = self.connections.get_mut(at) {
            *slot = None;
        }
        for receivers in self.receivers.values_mut() {
            receivers.retain(|receiver| *receiver != at);
        }
    }

    fn unblock(&mut self, at: usize) {
        if let Some(connection) = self.connection(at) {
            connection.blocked = false;
            self.dirty.push(at);
        }
    }

    fn connection(&mut self, at: usize) -> Option<&mut Connection> {
        self.connections.get_mut(at)?.as_deref_mut()
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            if let Some(connection) = self.connection(at) {
                connection.flush();
            }
        }
        self.dirty = dirty;
    }

    /// Reads a connection until it is empty. An error: it is over.
    fn read(&mut self, at: usize, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let Some(connection) = self.connection(at) else { return Ok(()) };
            // What was left over goes to the front, so that frames lie in one piece.
            let mut rest = std::mem::take(&mut connection.rest);
            let kept = rest.len();
            if let Some(front) = buffer.get_mut(..kept) {
                front.copy_from_slice(&rest);
            }
            rest.clear();
            let room = buffer.get_mut(kept..).unwrap_or_default();
            let size = room.len();
            let read = match connection.stream.read(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            let input = buffer.get(..kept + read).unwrap_or_default();
            let consumed = self.relay(at, input);
            let left = input.get(consumed..).unwrap_or_default();
            if let Some(connection) = self.connection(at)
                && !left.is_empty()
            {
                rest.extend(left);
                connection.rest = rest;
            }
            if read < size {
                return Ok(());
            }
        }
    }

    /// Handles all whole frames of `input`; returns how long they are.
    fn relay(&mut self, at: usize, input: &[u8]) -> usize {
        let mut consumed = 0;
        // PUBLISH frames that go the same way are copied together.
        let mut run = 0;
        let mut answers = Vec::new();
        while let Some(found) = frame::split(input.get(consumed..).unwrap_or_default()) {
            let start = consumed;
            consumed += found.len;
            if found.kind() == 3 {
                let Some(published) = Published::read(Protocol::V5, &found) else { continue };
                if !self.is_routed(at, published.topic) {
                    self.forward(at, input.get(run..start).unwrap_or_default());
                    run = start;
                    self.route(at, published.topic);
                }
                match published.qos {
                    0 => {}
                    1 => answers.extend(frame::acknowledgement(0x40, published.packet_id)),
                    _ => answers.extend(frame::acknowledgement(0x50, published.packet_id)),
                }
            } else {
                self.forward(at, input.get(run..start).unwrap_or_default());
                run = consumed;
                self.answer(at, &found, &mut answers);
            }
        }
        self.forward(at, input.get(run..consumed).unwrap_or_default());
        if !answers.is_empty()
            && let Some(connection) = self.connection(at)
        {
            connection.output.extend(answers);
            self.dirty.push(at);
        }
        consumed
    }

    fn is_routed(&self, at: usize, topic: &[u8]) -> bool {
        let connection = self.connections.get(at).and_then(Option::as_ref);
        connection.is_some_and(|connection| *connection.topic == *topic)
    }

    fn route(&mut self, at: usize, topic: &[u8]) {
        let route = self.receivers.get(topic).cloned().unwrap_or_default();
        if let Some(connection) = self.connection(at) {
            connection.topic = topic.into();
            connection.route = route;
        }
    }

    fn forward(&mut self, at: usize, run: &[u8]) {
        if run.is_empty() {
            return;
        }
        let Some(connection) = self.connection(at) else { return };
        let route = std::mem::take(&mut connection.route);
        for receiver in &route {
            let Some(receiving) = self.connection(*receiver) else { continue };
            if run.len() >= DIRECT {
                receiving.send(run);
            } else {
                if receiving.output.is_empty() {
                    self.dirty.push(*receiver);
                }
                if let Some(receiving) = self.connection(*receiver) {
                    receiving.output.extend(run);
                }
            }
        }
        if let Some(connection) = self.connection(at) {
            connection.route = route;
        }
    }

    fn answer(&mut self, at: usize, found: &Frame<'_>, answers: &mut Vec<u8>) {
        let id = found.packet_id().unwrap_or(0);
        match found.kind() {
            1 => answers.extend([0x20, 3, 0, 0, 0]),
            5 => answers.extend(frame::acknowledgement(0x62, id)),
            6 => answers.extend(frame::acknowledgement(0x70, id)),
            8 => {
                // Behind the identifier: properties (none), then length, filter and options.
                let [high, low] = id.to_be_bytes();
                let mut reasons = vec![high, low, 0];
                let mut rest = found.body.get(3..).unwrap_or_default();
                while let Some((len, behind)) = rest.split_first_chunk() {
                    let len = usize::from(u16::from_be_bytes(*len));
                    let Some((filter, behind)) = behind.split_at_checked(len) else { break };
                    let Some((options, behind)) = behind.split_first() else { break };
                    self.receivers.entry(filter.into()).or_default().push(at);
                    reasons.push(options & 3);
                    rest = behind;
                }
                answers.extend([0x90, u8::try_from(reasons.len()).unwrap_or(0)]);
                answers.extend(reasons);
            }
            12 => answers.extend([0xd0, 0]),
            _ => {}
        }
    }
}
