//! What a broker keeps: memory for each connection, subscription, filter and retained message.

use std::{io::Read, net::SocketAddr, thread, time::Duration};

use super::{
    dial::{self, Client},
    ledger::Faults,
    meter::{Cores, Meter, Usage},
    process::Broker,
};
use crate::{
    bench::frame::{self, Protocol, Publish, Published, Stamp},
    error::Error,
};

/// How long the broker may tidy up before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);

const RETAINED_PAYLOAD: usize = 64;
const WINDOW: usize = 100;

/// Growth of the broker's resident memory while `fill` runs, for each of `count`.
pub(super) fn growth<T>(
    broker: &Broker,
    count: usize,
    fill: impl FnOnce() -> Result<T, Error>,
) -> Result<(f64, T), Error> {
    thread::sleep(SETTLE);
    let before = broker.resident()?;
    let filled = fill()?;
    thread::sleep(SETTLE);
    let after = broker.resident()?;
    Ok(((after as f64 - before as f64) / count.max(1) as f64, filled))
}

/// Connects clients that stay idle, each with `filters(N)` subscribed at QoS 1.
pub(super) fn clients(
    address: SocketAddr,
    protocol: Protocol,
    count: usize,
    filters: impl Fn(usize) -> Vec<String>,
) -> Result<Vec<Client>, Error> {
    (0..count)
        .map(|number| {
            let mut client = dial::connect(address, protocol, &format!("client-{number:05}"))?;
            client.subscribe(&filters(number), 1)?;
            Ok(client)
        })
        .collect()
}

/// Publishes `count` retained messages under `retained/`, each with a topic of its own.
pub(super) fn retain(address: SocketAddr, protocol: Protocol, count: usize) -> Result<(), Error> {
    let mut client = dial::connect(address, protocol, "publisher")?;
    let frames: Vec<_> = (0..count)
        .map(|number| {
            let topic = format!("retained/{:03}/{:03}", number / 1000, number % 1000);
            let packet_id = u16::try_from(number % WINDOW + 1).unwrap_or(1);
            let payload_len = RETAINED_PAYLOAD;
            let publish = Publish { topic: &topic, qos: 1, retain: true, packet_id, payload_len };
            let mut message = frame::publish(protocol, &publish);
            let payload_at = message.len() - payload_len;
            let sequence = number as u64;
            let stamp = Stamp { publisher: 0, sequence };
            stamp.write(message.get_mut(payload_at..).unwrap_or_default());
            message
        })
        .collect();
    client.publish_all(frames.iter().map(Vec::as_slice), WINDOW)
}

/// What sending retained messages to new subscribers cost.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) delivered: u64,
    pub(super) usage: Usage,
    pub(super) faults: Faults,
}

/// Subscribes to all `count` retained messages, `times` over, each time as a new client.
pub(super) fn replay(
    broker: &Broker,
    address: SocketAddr,
    protocol: Protocol,
    cores: Cores,
    count: usize,
    times: usize,
) -> Result<Replay, Error> {
    let mut clients = Vec::new();
    for number in 0..times {
        clients.push(dial::connect(address, protocol, &format!("reader-{number}"))?);
    }
    let mut faults = Faults::default();
    let mut delivered = 0;
    let mut buffer = vec![0; 1 << 20];
    let meter = Meter::start(broker, cores)?;
    for client in &mut clients {
        client.send(&frame::subscribe(protocol, 1, &["retained/#".to_owned()], 0))?;
        let mut seen = vec![false; count];
        let mut arrived = 0;
        let mut end = 0;
        while arrived < count {
            let read = match client.stream.read(buffer.get_mut(end..).unwrap_or_default()) {
                Ok(read) if read > 0 => read,
                // Closed, or silent for as long as an answer may take.
                _ => break,
            };
            end += read;
            let mut consumed = 0;
            while let Some(found) = frame::split(buffer.get(consumed..end).unwrap_or_default()) {
                consumed += found.len;
                if found.kind() == 3 {
                    arrived += 1;
                    let stamp = Published::read(protocol, &found)
                        .and_then(|published| Stamp::read(published.payload));
                    mark(&mut seen, stamp, &mut faults);
                }
            }
            buffer.copy_within(consumed..end, 0);
            end -= consumed;
        }
        delivered += arrived as u64;
        faults.lost += seen.iter().filter(|seen| !**seen).count() as u64;
    }
    let usage = meter.read(broker)?;
    Ok(Replay { delivered, usage, faults })
}

fn mark(seen: &mut [bool], stamp: Option<Stamp>, faults: &mut Faults) {
    let Some(stamp) = stamp else {
        faults.damaged += 1;
        return;
    };
    match usize::try_from(stamp.sequence).ok().and_then(|at| seen.get_mut(at)) {
        Some(seen) if !*seen => *seen = true,
        _ => faults.misplaced += 1,
    }
}
