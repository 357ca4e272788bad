//! The far end: a sink that acknowledges, and a source of prepared frames. It costs almost nothing,
//! and nothing of it is in the figures, which are of the client's process alone.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::rows::{Direction, Row};
use crate::{
    bench::frame::{self, Frame, Protocol, Publish},
    error::Error,
};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most that is read or written at once.
const CHUNK: usize = 256 * 1024;

/// How many messages are under way at QoS 1 and 2.
const WINDOW: u16 = 100;

/// CONNACK with that as Receive Maximum.
const CONNACK: [u8; 8] = [0x20, 6, 0, 0, 3, 0x21, 0, WINDOW as u8];

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;

/// The server's end of the one connection of a run.
pub(super) struct Server<'a> {
    stream: TcpStream,
    row: &'a Row,
    count: usize,
    input: Vec<u8>,
    /// Where the input ends, of which all before [`Self::start`] was looked at.
    end: usize,
    start: usize,
    out: Vec<u8>,
    /// The client has said goodbye: some wait until the server closes the connection then.
    has_left: bool,
}

/// What a packet of the client means for the run.
#[derive(Debug, Default)]
struct Progress {
    /// Messages that have ended.
    ended: usize,
    /// Messages that were begun; of a source.
    begun: usize,
}

impl<'a> Server<'a> {
    pub(super) fn new(stream: TcpStream, row: &'a Row, count: usize) -> Result<Self, Error> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let input = vec![0; CHUNK];
        Ok(Self { stream, row, count, input, end: 0, start: 0, out: Vec::new(), has_left: false })
    }

    /// Waits for CONNECT. What follows is the client's work.
    pub(super) fn accept(&mut self) -> Result<(), Error> {
        if self.next(CONNECT)?.is_none() {
            return Err(Error::new("the client left before it had connected"));
        }
        Ok(())
    }

    /// Serves until the client leaves, which it does when it has done its work.
    pub(super) fn serve(mut self) -> Result<(), Error> {
        self.stream.write_all(&CONNACK)?;
        let progress = match self.row.direction {
            Direction::Publish => self.sink()?,
            Direction::Receive => self.source()?,
        };
        // Who receives counts by itself, and may go while the last are still released at QoS 2.
        let open = if self.row.direction == Direction::Receive && self.row.qos == 2 {
            usize::from(WINDOW)
        } else {
            0
        };
        if progress.ended + open < self.count {
            let text = format!("{} of {} messages have ended", progress.ended, self.count);
            return Err(Error::new(text));
        }
        Ok(())
    }

    /// The next packet of the client, which is of this kind, or `None` if it has left.
    fn next(&mut self, kind: u8) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let unread = self.input.get(self.start..self.end).unwrap_or_default();
            if let Some(frame) = frame::split(unread) {
                if frame.kind() != kind {
                    return Err(Error::new(format!("a packet of type {}", frame.kind())));
                }
                let body = frame.body.to_vec();
                self.start += frame.len;
                return Ok(Some(body));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Reads what has come; false at the end.
    fn read(&mut self) -> Result<bool, Error> {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.input.get_mut(self.end..).unwrap_or_default();
        let read = match self.stream.read(room) {
            Ok(read) => read,
            // Some close without reading what is under way.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(Error::from(error).context("the client is silent")),
        };
        self.end += read;
        Ok(read > 0)
    }

    /// Looks at everything that was read, and answers in one write.
    fn answer(
        &mut self,
        progress: &mut Progress,
        mut take: impl FnMut(Frame<'_>, &mut Progress, &mut Vec<u8>),
    ) -> Result<(), Error> {
        let unread = self.input.get(self.start..self.end).unwrap_or_default();
        let mut at = 0;
        while let Some(frame) = unread.get(at..).and_then(frame::split) {
            at += frame.len;
            match frame.kind() {
                PINGREQ => self.out.extend([0xd0, 0]),
                DISCONNECT => self.has_left = true,
                _ => take(frame, progress, &mut self.out),
            }
        }
        self.start += at;
        // A client that has left does not want it.
        let _left = self.stream.write_all(&self.out);
        self.out.clear();
        Ok(())
    }

    /// Takes what the client publishes.
    fn sink(&mut self) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        loop {
            self.answer(&mut progress, |frame, progress, out| match frame.kind() {
                PUBLISH => match (frame.first >> 1 & 3, publish_id(frame.body)) {
                    (1, Some(id)) => {
                        progress.ended += 1;
                        out.extend(frame::acknowledgement(PUBACK << 4, id));
                    }
                    (2, Some(id)) => out.extend(frame::acknowledgement(PUBREC << 4, id)),
                    _ => progress.ended += 1,
                },
                PUBREL => {
                    progress.ended += 1;
                    let id = frame.packet_id().unwrap_or_default();
                    out.extend(frame::acknowledgement(PUBCOMP << 4, id));
                }
                _ => {}
            })?;
            if self.has_left || !self.read()? {
                return Ok(progress);
            }
        }
    }

    /// Sends to the client what it subscribes to.
    fn source(&mut self) -> Result<Progress, Error> {
        let subscribe = self.next(SUBSCRIBE)?.ok_or_else(|| Error::new("no SUBSCRIBE"))?;
        let id = subscribe.first_chunk().copied().map_or(0, u16::from_be_bytes);
        let [high, low] = id.to_be_bytes();
        self.stream.write_all(&[0x90, 4, high, low, 0, self.row.qos])?;
        let frames: Vec<Vec<u8>> = (0..=WINDOW).map(|id| self.frame(id)).collect();
        if self.row.qos == 0 {
            return self.pour(&self.frame(0));
        }
        let mut progress = Progress::default();
        let first = usize::from(WINDOW).min(self.count);
        for frame in frames.iter().skip(1).take(first) {
            self.out.extend(frame);
        }
        progress.begun = first;
        self.stream.write_all(&self.out)?;
        self.out.clear();
        let count = self.count;
        loop {
            self.answer(&mut progress, |frame, progress, out| {
                let id = frame.packet_id().unwrap_or_default();
                match frame.kind() {
                    PUBREC => out.extend(frame::acknowledgement(PUBREL << 4 | 2, id)),
                    PUBACK | PUBCOMP => {
                        progress.ended += 1;
                        if progress.begun < count
                            && let Some(frame) = frames.get(usize::from(id))
                        {
                            progress.begun += 1;
                            out.extend(frame);
                        }
                    }
                    _ => {}
                }
            })?;
            if self.has_left || !self.read()? {
                return Ok(progress);
            }
        }
    }

    /// Sends everything, as fast as the client takes it.
    fn pour(&mut self, frame: &[u8]) -> Result<Progress, Error> {
        let batch = frame.repeat((CHUNK / frame.len()).max(1));
        let mut left = frame.len() * self.count;
        while left > 0 {
            let piece = batch.get(..left).unwrap_or(&batch);
            self.stream.write_all(piece)?;
            left -= piece.len();
        }
        let mut progress = Progress::default();
        while !self.has_left && self.read()? {
            self.answer(&mut progress, |_, _, _| ())?;
        }
        // What it has taken it counts by itself.
        Ok(Progress { ended: self.count, begun: self.count })
    }

    fn frame(&self, packet_id: u16) -> Vec<u8> {
        let topic = "sensor/bldg-07/temp1";
        let (qos, payload_len) = (self.row.qos, self.row.size);
        frame::publish(Protocol::V5, &Publish { topic, qos, retain: false, packet_id, payload_len })
    }
}

/// The packet identifier of a PUBLISH at QoS 1 or 2.
fn publish_id(body: &[u8]) -> Option<u16> {
    let topic = usize::from(u16::from_be_bytes(*body.first_chunk()?));
    Some(u16::from_be_bytes(*body.get(2 + topic..)?.first_chunk()?))
}
