//! Bytes on their way to the peers: writing, what a socket would not take, and spare buffers.

use std::io::{self, IoSlice, Write};
use std::mem;
use std::time::Duration;

use bytes::Buf;
use mqtt_session::{Time, TransmitBuf};

/// Whether a read or write that moved fewer bytes than it could have says that the next one
/// would block. It does where readiness comes from epoll or kqueue; elsewhere only the error
/// [`io::ErrorKind::WouldBlock`] arms the next event.
pub(super) const SHORT_MEANS_BLOCKED: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

/// Spare buffers that are kept for the next connections that get stuck.
const SPARE: usize = 16;
/// Memory that a spare buffer may keep.
const SPARE_CAPACITY: usize = 128 * 1024;
/// Memory that the buffer at hand keeps when little has been written for a while.
const IDLE_CAPACITY: usize = 4 * 1024;
/// How long little must have been written before memory is given back.
const QUIET: Duration = Duration::from_secs(1);
/// Pieces of memory that one write gathers.
const PIECES: usize = 64;

/// How a write ended.
#[derive(Debug)]
pub(super) enum Written {
    /// Everything went out.
    All,
    /// The socket takes no more; an event tells when it does again.
    Blocked,
    /// The connection is broken.
    Failed(io::Error),
}

/// Writes as much of `out` as the socket takes.
pub(super) fn write(stream: &mut impl Write, out: &mut TransmitBuf) -> Written {
    while out.has_remaining() {
        let waiting = out.remaining();
        let first = out.chunk();
        let (offered, result) = if first.len() == waiting {
            (waiting, stream.write(first))
        } else {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let filled = out.chunks_vectored(&mut pieces);
            let pieces = pieces.get(..filled).unwrap_or_default();
            (pieces.iter().map(|piece| piece.len()).sum(), stream.write_vectored(pieces))
        };
        match result {
            Ok(0) => return Written::Failed(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                out.advance(count);
                if count < offered && SHORT_MEANS_BLOCKED {
                    return Written::Blocked;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Written::Failed(error),
        }
    }
    Written::All
}

/// Buffers to write from. A connection that takes what it is sent never owns one: all of those
/// share the one that is at hand. One that gets stuck keeps the buffer, and a spare takes its
/// place.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    hand: TransmitBuf,
    spare: Vec<TransmitBuf>,
    /// When more than little was written last.
    busy: Time,
}

impl Buffers {
    /// The buffer at hand, empty.
    pub(super) const fn at_hand(&mut self) -> &mut TransmitBuf {
        &mut self.hand
    }

    /// Notes that `length` bytes are written from the buffer at hand.
    pub(super) const fn note(&mut self, now: Time, length: usize) {
        if length > IDLE_CAPACITY {
            self.busy = now;
        }
    }

    /// Takes the buffer at hand away, with what is in it.
    pub(super) fn keep(&mut self) -> Box<TransmitBuf> {
        Box::new(mem::replace(&mut self.hand, self.spare.pop().unwrap_or_default()))
    }

    /// Takes back the buffer of a connection that is stuck no longer.
    pub(super) fn give_back(&mut self, now: Time, mut held: TransmitBuf) {
        self.busy = now;
        if self.spare.len() < SPARE {
            held.reset(SPARE_CAPACITY);
            self.spare.push(held);
        }
    }

    /// Gives memory back that a quiet broker does not need.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.next_deadline().is_some_and(|at| at <= now) {
            self.spare = Vec::new();
            self.hand.reset(IDLE_CAPACITY);
        }
    }

    /// When memory can be given back if the broker stays quiet.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let idle = self.spare.is_empty() && self.hand.capacity() <= IDLE_CAPACITY;
        (!idle).then(|| self.busy + QUIET)
    }
}
