//! One non-blocking connection of the load: reads in large pieces, writes in large pieces.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use mio::{Interest, Registry, Token};

use crate::error::Error;

/// A connection and its buffers.
#[derive(Debug)]
pub(super) struct Link {
    stream: mio::net::TcpStream,
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    blocked: bool,
}

impl Link {
    /// Takes over a connected stream. `buffer` is the most that one read takes.
    pub(super) fn new(
        stream: TcpStream,
        registry: &Registry,
        token: Token,
        buffer: usize,
    ) -> Result<Self, Error> {
        let mut stream = mio::net::TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            input: vec![0; buffer],
            start: 0,
            end: 0,
            output: Vec::new(),
            blocked: false,
        })
    }

    /// Reads once. `false`: the socket is empty, and an event follows when it no longer is.
    pub(super) fn fill(&mut self) -> Result<bool, Error> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end > self.input.len() / 2 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.input.get_mut(self.end..).unwrap_or_default();
        let size = room.len();
        match self.stream.read(room) {
            Ok(0) => Err(Error::new("the broker closed a connection of the load")),
            Ok(read) => {
                self.end += read;
                // A read that did not fill its buffer emptied the socket.
                Ok(read == size)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What was read and not yet consumed.
    pub(super) fn input(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    /// Drops the first `len` bytes of the input.
    pub(super) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }

    /// Queues a few bytes for [`Self::flush`].
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
    }

    /// Writes what is queued; `true` when nothing is left.
    pub(super) fn flush(&mut self) -> Result<bool, Error> {
        let output = std::mem::take(&mut self.output);
        let written = self.write(&output);
        self.output = output;
        self.output.drain(..written?);
        Ok(self.output.is_empty())
    }

    /// Writes what the socket takes of `bytes`, straight from where they are.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let mut written = 0;
        while !self.blocked {
            let rest = bytes.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match self.stream.write(rest) {
                Ok(taken) => written += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }

    /// The socket takes bytes again.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Whether the socket took less than it was offered.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }
}
