//! Bytes from the peers to the broker.

use std::io::{self, Read};

use mqtt_session::ConnectionId;

use super::connection::Marks;
use super::output::SHORT_MEANS_BLOCKED;
use super::{Driver, READ_AHEAD, enqueue};

impl Driver {
    /// Reads each connection that may have something once.
    pub(super) fn read(&mut self) {
        let mut unsettled = 0;
        for _ in 0..self.readable.len() {
            let Some(id) = self.readable.pop_front() else { break };
            unsettled += self.read_one(id);
            if unsettled >= READ_AHEAD {
                unsettled = 0;
                self.settle();
            }
        }
    }

    /// Reads `id` once and gives what came to the broker; returns how much that was.
    fn read_one(&mut self, id: ConnectionId) -> usize {
        let Some(connection) = self.connections.find(id) else { return 0 };
        connection.marks.clear(Marks::QUEUED);
        if connection.marks.has(Marks::ENDED) || !connection.marks.has(Marks::READABLE) {
            return 0;
        }
        // What was not read stays marked: the broker says when to go on.
        if !self.broker.accepts_input(id) {
            return 0;
        }
        let mut stream = self.pipes.stream(connection);
        match stream.read(&mut self.read_buffer) {
            Ok(count) if count > 0 => {
                let drained = count < self.read_buffer.len()
                    && SHORT_MEANS_BLOCKED
                    && !connection.marks.has(Marks::READ_CLOSED);
                if drained {
                    connection.marks.clear(Marks::READABLE);
                } else {
                    enqueue(connection, &mut self.readable);
                }
                let input = self.read_buffer.get(..count).unwrap_or_default();
                self.broker.handle_input(id, self.now, input);
                count
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                enqueue(connection, &mut self.readable);
                0
            }
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && !connection.marks.has(Marks::WRITE_FAILED) =>
            {
                connection.marks.clear(Marks::READABLE | Marks::READ_CLOSED);
                0
            }
            end => {
                if let Err(error) = end {
                    tracing::debug!(connection = id.slot(), %error, "connection lost");
                    connection.marks.set(Marks::WRITE_FAILED);
                }
                connection.marks.set(Marks::ENDED);
                self.ended.push(id);
                0
            }
        }
    }
}
