//! The time from a publisher's write to a subscriber's read, at a rate that loads nobody.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    dial,
    ledger::Faults,
    meter::{Cores, Meter, Usage},
    process::Broker,
};
use crate::{
    bench::frame::{self, Protocol, Publish, Published, Stamp},
    error::Error,
};

const INTERVAL: Duration = Duration::from_millis(1);
const PAYLOAD: usize = 64;

/// What the messages of a run took.
#[derive(Debug)]
pub(super) struct Latency {
    pub(super) median: Duration,
    pub(super) messages: u64,
    pub(super) usage: Usage,
    pub(super) faults: Faults,
}

/// Publishes `count` QoS 1 messages, one every millisecond, and takes the time of each.
///
/// The load never sleeps: it asks its two sockets in turn, so that its own waking up is not part
/// of the figure. Its core is therefore fully used in this row.
pub(super) fn measure(
    broker: &Broker,
    address: SocketAddr,
    protocol: Protocol,
    cores: Cores,
    count: u64,
) -> Result<Latency, Error> {
    let publisher = dial::connect(address, protocol, "publisher")?;
    let mut subscriber = dial::connect(address, protocol, "subscriber")?;
    subscriber.subscribe(&["latency".to_owned()], 1)?;
    let mut publisher = publisher.into_stream()?;
    let mut subscriber = subscriber.into_stream()?;

    let warm_up = count / 10;
    let mut times = Vec::new();
    let mut faults = Faults::default();
    let mut meter = Meter::start(broker, cores)?;
    for sequence in 0..warm_up + count {
        if sequence == warm_up {
            meter = Meter::start(broker, cores)?;
        }
        let packet_id = u16::try_from(sequence % 60_000 + 1).unwrap_or(1);
        let publish =
            Publish { topic: "latency", qos: 1, retain: false, packet_id, payload_len: PAYLOAD };
        let mut message = frame::publish(protocol, &publish);
        let payload_at = message.len() - PAYLOAD;
        let stamp = Stamp { publisher: 0, sequence };
        stamp.write(message.get_mut(payload_at..).unwrap_or_default());

        let sent = Instant::now();
        publisher.write_all(&message)?;
        let arrived = await_message(&mut subscriber, protocol, stamp, &mut faults)?;
        if sequence >= warm_up {
            times.push(arrived.duration_since(sent));
        }
        drain(&mut publisher)?;
        while sent.elapsed() < INTERVAL {
            std::hint::spin_loop();
        }
    }
    let usage = meter.read(broker)?;
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(Latency { median, messages: count, usage, faults })
}

/// Waits for the message with this stamp, acknowledges it and tells when it came.
fn await_message(
    stream: &mut TcpStream,
    protocol: Protocol,
    expected: Stamp,
    faults: &mut Faults,
) -> Result<Instant, Error> {
    let started = Instant::now();
    let mut input = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(Error::new("the broker closed the subscriber's connection")),
            Ok(read) => input.extend(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if started.elapsed() > Duration::from_secs(3) {
                    faults.lost += 1;
                    return Ok(Instant::now());
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let Some(found) = frame::split(&input) else { continue };
        let arrived = Instant::now();
        let published = Published::read(protocol, &found)
            .filter(|_| found.kind() == 3)
            .ok_or_else(|| Error::new(format!("packet type {} for a PUBLISH", found.kind())))?;
        match Stamp::read(published.payload) {
            Some(stamp) if stamp == expected => {}
            Some(_) => faults.misplaced += 1,
            None => faults.damaged += 1,
        }
        stream.write_all(&frame::acknowledgement(0x40, published.packet_id))?;
        return Ok(arrived);
    }
}

/// Throws away the acknowledgements that have arrived.
fn drain(stream: &mut TcpStream) -> Result<(), Error> {
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Err(Error::new("the broker closed the publisher's connection")),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    }
}
