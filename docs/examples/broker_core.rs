//! The sample of the chapter on the broker core: a broker without sockets.

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "a sample shows one thing")]

use std::error::Error;
use std::time::Duration;

use bytes::Buf;
use mqtt_session::{Broker, BrokerConfig, BrokerEvent, PeerInfo, Time, TransmitBuf};

// ANCHOR: drain
/// What every driver does after each call: take the events, then send what is ready.
fn drain(broker: &mut Broker, now: Time, mut send: impl FnMut(usize, &[u8])) {
    loop {
        while let Some(event) = broker.poll_event() {
            if let BrokerEvent::Closed { id, cause } = event {
                println!("connection {} is over: {cause:?}", id.slot());
            }
        }
        let Some(id) = broker.poll_ready() else { return };
        let mut out = TransmitBuf::new();
        broker.poll_transmit(id, now, &mut out, 64 * 1024);
        send(id.slot(), &out.copy_to_bytes(out.remaining()));
    }
}
// ANCHOR_END: drain

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: use
    let mut broker = Broker::new(BrokerConfig::default(), [7; 32]);
    let mut now = Time::ZERO;
    let reader = broker.open(now, PeerInfo::default())?;
    broker.handle_input(reader, now, b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a");
    broker.handle_input(reader, now, b"\x82\x09\x00\x01\x00\x00\x03t/#\x00");

    // Whoever publishes needs no connection of its own here: a client may hear itself.
    broker.handle_input(reader, now, b"\x30\x09\x00\x03t/x\x00hi!");
    let mut sent = Vec::new();
    drain(&mut broker, now, |_, bytes| sent.extend_from_slice(bytes));
    assert_eq!(sent[0], 0x20, "CONNACK");

    // Fifteen seconds of silence are one and a half times its keep alive. No clock was read.
    now = now + Duration::from_secs(15);
    broker.handle_timeout(now);
    let mut last = Vec::new();
    drain(&mut broker, now, |_, bytes| last.extend_from_slice(bytes));
    assert_eq!((last[0], last[2]), (0xE0, 0x8D), "DISCONNECT, Keep Alive timeout");
    // ANCHOR_END: use
    Ok(())
}
