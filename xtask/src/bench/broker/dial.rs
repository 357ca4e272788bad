//! Blocking connections: the handshake of every load, and all that is not hurried.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::bench::frame::{self, Frame, Protocol};
use crate::error::Error;

/// How long an answer may take before the run has failed.
const ANSWER: Duration = Duration::from_secs(30);

/// As many filters as one SUBSCRIBE may carry under this project's default limits.
const FILTERS_PER_SUBSCRIBE: usize = 64;

/// A connected client, its CONNACK read.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) protocol: Protocol,
    input: Vec<u8>,
}

/// Connects a client.
pub(super) fn connect(
    address: SocketAddr,
    protocol: Protocol,
    client_id: &str,
) -> Result<Client, Error> {
    let stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let mut client = Client { stream, protocol, input: Vec::new() };
    client.send(&frame::connect(protocol, client_id))?;
    client.expect("CONNACK", |answer| {
        answer.kind() == 2 && answer.body.get(1).is_some_and(|reason| *reason == 0)
    })?;
    Ok(client)
}

impl Client {
    /// Subscribes to all `filters` and reads the answers.
    pub(super) fn subscribe(&mut self, filters: &[String], qos: u8) -> Result<(), Error> {
        for filters in filters.chunks(FILTERS_PER_SUBSCRIBE) {
            self.send(&frame::subscribe(self.protocol, 1, filters, qos))?;
            self.expect("SUBACK", |answer| {
                // Behind the identifier of v5 comes the length of the properties; the reason
                // codes are the last bytes either way.
                let first = answer.body.len().saturating_sub(filters.len());
                let mut reasons = answer.body.iter().skip(first);
                answer.kind() == 9 && reasons.all(|reason| *reason <= 2)
            })?;
        }
        Ok(())
    }

    /// Publishes prepared QoS 1 frames, at most `window` of them unacknowledged.
    pub(super) fn publish_all<'a>(
        &mut self,
        frames: impl IntoIterator<Item = &'a [u8]>,
        window: usize,
    ) -> Result<(), Error> {
        let mut frames = frames.into_iter().peekable();
        while frames.peek().is_some() {
            let mut batch = Vec::new();
            let mut sent = 0;
            for frame in frames.by_ref().take(window) {
                batch.extend(frame);
                sent += 1;
            }
            self.send(&batch)?;
            for _ in 0..sent {
                self.expect("PUBACK", |answer| answer.kind() == 4 && !answer.is_refusal())?;
            }
        }
        Ok(())
    }

    /// Writes bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads one frame and hands it to `good`; an error if that says no.
    pub(super) fn expect(
        &mut self,
        what: &str,
        good: impl FnOnce(&Frame<'_>) -> bool,
    ) -> Result<(), Error> {
        loop {
            if let Some(answer) = frame::split(&self.input) {
                if !good(&answer) {
                    return Err(Error::new(format!(
                        "no good {what}: packet type {}, {:02x?}",
                        answer.kind(),
                        answer.body.get(..answer.body.len().min(16)).unwrap_or_default()
                    )));
                }
                let len = answer.len;
                self.input.drain(..len);
                return Ok(());
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer).map_err(|e| Error::from(e).context(what))?;
            if read == 0 {
                return Err(Error::new(format!("the broker closed instead of a {what}")));
            }
            self.input.extend(buffer.get(..read).unwrap_or_default());
        }
    }

    /// Gives up the stream, for a load that does not block. Nothing of the input may be left.
    pub(super) fn into_stream(self) -> Result<TcpStream, Error> {
        if !self.input.is_empty() {
            return Err(Error::new("the broker sent more than the answers of the handshake"));
        }
        self.stream.set_nonblocking(true)?;
        Ok(self.stream)
    }
}
