//! Sockets whose connection has ended, kept open until the peer has the last bytes.
//!
//! A socket that is closed while bytes of the peer wait in it resets the connection, and the
//! reset may overtake the packet that says why the connection ended. So our side is closed
//! first, what the peer still sends is read and dropped, and the socket goes once the peer closes
//! its side or its time is up.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::net::Shutdown;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use mqtt_session::{Time, TransmitBuf};

use super::output::{Written, write};

/// Sockets that may linger at once; one more makes the oldest go.
const MOST: usize = 1024;
/// Bytes of one peer that are read and dropped before the socket goes all the same.
const MOST_DROPPED: usize = 8 * 1024 * 1024;

/// The sockets that linger.
#[derive(Debug)]
pub(super) struct Lingering {
    sockets: HashMap<Token, Socket>,
    /// Tokens by the moment their time is up; those whose socket went earlier included.
    deadlines: VecDeque<(Time, Token)>,
    /// Sockets that can go on.
    ready: VecDeque<Token>,
    first_token: usize,
    next_token: usize,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    /// What is still to be written.
    held: Option<Box<TransmitBuf>>,
    /// Whether our side is closed.
    finished: bool,
    /// Whether it stands in the queue of those to go on with.
    queued: bool,
    /// Bytes of the peer that were read and dropped.
    dropped: usize,
}

/// What to do with a socket next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Keep it and wait for an event.
    Wait,
    /// Keep it and go on in the next turn.
    GoOn,
    /// Close it.
    Close,
}

impl Lingering {
    /// None yet; their events will show tokens from `first_token` on.
    pub(super) fn new(first_token: usize) -> Self {
        Self {
            sockets: HashMap::new(),
            deadlines: VecDeque::new(),
            ready: VecDeque::new(),
            first_token,
            next_token: first_token,
        }
    }

    /// Closes `stream` once the peer has everything, or at `deadline`. `ended` says that the
    /// peer has sent its last byte.
    pub(super) fn add(
        &mut self,
        registry: &Registry,
        stream: TcpStream,
        held: Option<Box<TransmitBuf>>,
        ended: bool,
        deadline: Time,
        scratch: &mut [u8],
    ) {
        let mut socket = Socket { stream, held, finished: false, queued: false, dropped: 0 };
        let next = socket.go_on(scratch);
        if next == Next::Close || (ended && socket.finished) {
            return;
        }
        let token = Token(self.next_token);
        self.next_token = self.next_token.checked_add(1).unwrap_or(self.first_token);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.reregister(&mut socket.stream, token, interest) {
            tracing::debug!(%error, "a closing socket is closed at once");
            return;
        }
        self.deadlines.push_back((deadline, token));
        self.sockets.insert(token, socket);
        if next == Next::GoOn {
            self.handle_event(token);
        }
        if self.sockets.len() > MOST {
            self.drop_oldest();
        }
    }

    /// Notes that the socket of `token` can go on.
    pub(super) fn handle_event(&mut self, token: Token) {
        if let Some(socket) = self.sockets.get_mut(&token)
            && !socket.queued
        {
            socket.queued = true;
            self.ready.push_back(token);
        }
    }

    /// Goes on with the sockets that can, one step each.
    pub(super) fn go_on(&mut self, scratch: &mut [u8]) {
        for _ in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else { return };
            let Some(socket) = self.sockets.get_mut(&token) else { continue };
            socket.queued = false;
            match socket.go_on(scratch) {
                Next::Wait => {}
                Next::GoOn => self.handle_event(token),
                Next::Close => {
                    self.sockets.remove(&token);
                }
            }
        }
    }

    /// Closes the sockets whose time is up.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        while let Some((_, token)) = self.deadlines.pop_front_if(|(at, _)| *at <= now) {
            self.sockets.remove(&token);
        }
        if self.sockets.is_empty() {
            self.deadlines = VecDeque::new();
        }
    }

    /// When the next socket's time is up.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    /// Whether a socket can go on.
    pub(super) fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether no socket lingers.
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    fn drop_oldest(&mut self) {
        while let Some((_, token)) = self.deadlines.pop_front() {
            if self.sockets.remove(&token).is_some() {
                return;
            }
        }
    }
}

impl Socket {
    fn go_on(&mut self, scratch: &mut [u8]) -> Next {
        if let Some(held) = &mut self.held {
            match write(&mut self.stream, held) {
                Written::All => self.held = None,
                Written::Blocked => {}
                Written::Failed(_) => return Next::Close,
            }
        }
        if self.held.is_none() && !self.finished {
            self.finished = true;
            if self.stream.shutdown(Shutdown::Write).is_err() {
                return Next::Close;
            }
        }
        self.read(scratch)
    }

    /// Reads what the peer still sends, once, and drops it.
    fn read(&mut self, scratch: &mut [u8]) -> Next {
        match self.stream.read(scratch) {
            Ok(0) if !self.finished => Next::Wait,
            Ok(0) => Next::Close,
            Ok(count) => {
                self.dropped += count;
                if self.dropped > MOST_DROPPED { Next::Close } else { Next::GoOn }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Next::Wait,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Next::GoOn,
            Err(_) => Next::Close,
        }
    }
}
