//! Stands between the suite and an implementation and breaks one behaviour of it, so that the suite
//! can be judged: who does not notice that is no judge.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use mqtt_codec::{DecodeError, DecodeRule, Limits, decode};

/// One broken behaviour.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Sabotage {
    /// Packets that break one of these rules are not noticed: the server never sees them. In place
    /// of a CONNECT it sees one without a fault.
    Overlooks(fn(&DecodeError) -> bool),
    /// The same the other way round: the client never sees what breaks one of these rules, and in
    /// place of a CONNACK it sees one without a fault.
    OverlooksServer(fn(&DecodeError) -> bool),
    /// What the client sends comes to the server as something else.
    Hears(fn(&mut Memory, &[u8]) -> Step),
    /// What the server sends comes to the client as something else.
    Says(fn(&mut Memory, &[u8]) -> Step),
    /// Both.
    Both(fn(&mut Memory, &[u8]) -> Step, fn(&mut Memory, &[u8]) -> Step),
    /// The client never learns that the server has closed.
    HoldsOpen,
    /// The server never learns that the client has closed.
    HoldsServerOpen,
}

/// What a sabotage remembers.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Memory {
    /// The number of the connection, from 1.
    pub link: usize,
    /// The CONNECT of this connection.
    pub connect: Vec<u8>,
    /// Whether CONNACK said on this connection that there is a session.
    pub is_resumed: bool,
    /// Anything, for this connection.
    pub count: usize,
    /// Bytes, for this connection.
    pub kept: Vec<u8>,
    /// What all connections share.
    pub shared: Arc<Mutex<Shared>>,
}

/// What the connections of a sabotage share.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Shared {
    /// Anything.
    pub count: usize,
    /// Bytes, and the connection that they are of.
    pub kept: Option<(usize, Vec<u8>)>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What goes on in its place.
    pub on: Vec<u8>,
    /// What goes back to its sender.
    pub back: Vec<u8>,
    /// Whether both connections end then.
    pub ends: bool,
}

impl Step {
    /// It goes on, or this in its place.
    #[must_use]
    pub fn on(bytes: impl Into<Vec<u8>>) -> Self {
        Self { on: bytes.into(), ..Self::default() }
    }

    /// It is lost.
    #[must_use]
    pub fn lost() -> Self {
        Self::default()
    }

    /// It is lost, and this is answered.
    #[must_use]
    pub fn back(bytes: impl Into<Vec<u8>>) -> Self {
        Self { back: bytes.into(), ..Self::default() }
    }

    /// Then both connections end.
    #[must_use]
    pub fn then_end(self) -> Self {
        Self { ends: true, ..self }
    }
}

impl Memory {
    /// What all connections share.
    pub fn with_shared<T>(&self, with: impl FnOnce(&mut Shared) -> T) -> T {
        with(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    stops: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a free port of the loopback interface and passes on to `server`.
    ///
    /// # Errors
    ///
    /// The operating system has no port or thread.
    pub fn start(server: SocketAddr, sabotage: Sabotage) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stops = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stops);
        let (links, shared) = (AtomicUsize::new(0), Arc::<Mutex<Shared>>::default());
        thread::Builder::new().spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { return };
                let link = links.fetch_add(1, Ordering::Relaxed) + 1;
                let memory = Memory { link, shared: Arc::clone(&shared), ..Memory::default() };
                // A connection that can't be passed on is closed, which the client sees.
                let _passed = pass(client, server, sabotage, memory).is_ok();
            }
        })?;
        Ok(Self { address, stops })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections, if it does still.
        let _woken = TcpStream::connect(self.address).is_ok();
    }
}

/// Passes one connection on, in two threads.
fn pass(
    client: TcpStream,
    server: SocketAddr,
    sabotage: Sabotage,
    memory: Memory,
) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let memory = Arc::new(Mutex::new(memory));
    let up = Pump {
        from: client.try_clone()?,
        to: server.try_clone()?,
        sabotage,
        is_up: true,
        memory: Arc::clone(&memory),
    };
    let down = Pump { from: server, to: client, sabotage, is_up: false, memory };
    for pump in [up, down] {
        thread::Builder::new().spawn(move || pump.run())?;
    }
    Ok(())
}

/// One direction of a connection.
struct Pump {
    from: TcpStream,
    to: TcpStream,
    sabotage: Sabotage,
    /// From the client to the server.
    is_up: bool,
    memory: Arc<Mutex<Memory>>,
}

impl Pump {
    fn run(mut self) {
        // However it ends, it is over; who is connected sees that.
        let _ended = self.pump().is_ok();
        match self.sabotage {
            Sabotage::HoldsOpen if !self.is_up => return,
            Sabotage::HoldsServerOpen if self.is_up => return,
            _ => {}
        }
        let _down = self.to.shutdown(Shutdown::Write).is_ok();
        if !self.is_up {
            // The server has gone, so nobody listens to the client any more.
            let _up = self.from.shutdown(Shutdown::Both).is_ok();
        }
    }

    fn pump(&mut self) -> io::Result<()> {
        let (mut buffer, mut bytes) = ([0; 16 * 1024], Vec::new());
        loop {
            let count = self.from.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            while let Some(len) = whole(&bytes) {
                let packet: Vec<u8> = bytes.drain(..len).collect();
                let step = self.step(&packet);
                self.to.write_all(&step.on)?;
                self.from.write_all(&step.back)?;
                if step.ends {
                    // Everything that was said goes out before the end.
                    self.from.shutdown(Shutdown::Write)?;
                    return self.to.shutdown(Shutdown::Write);
                }
            }
        }
    }

    fn step(&self, packet: &[u8]) -> Step {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match packet {
            [0x10, ..] if self.is_up && memory.connect.is_empty() => {
                memory.connect = packet.to_vec();
            }
            [0x20, _, flags, ..] if !self.is_up => memory.is_resumed = flags & 1 == 1,
            _ => {}
        }
        match (self.sabotage, self.is_up) {
            (Sabotage::Overlooks(is_overlooked), true)
            | (Sabotage::OverlooksServer(is_overlooked), false) => overlook(packet, is_overlooked),
            (Sabotage::Hears(hears) | Sabotage::Both(hears, _), true) => hears(&mut memory, packet),
            (Sabotage::Says(says) | Sabotage::Both(_, says), false) => says(&mut memory, packet),
            _ => Step::on(packet),
        }
    }
}

fn overlook(packet: &[u8], is_overlooked: fn(&DecodeError) -> bool) -> Step {
    match decode(packet, &Limits::new()) {
        Err(error) if is_overlooked(&error) => match packet {
            [first, ..] if first >> 4 == 1 => Step::on(FAULTLESS),
            [first, ..] if first >> 4 == 2 => Step::on([0x20, 3, 0, 0, 0]),
            _ => Step::lost(),
        },
        _ => Step::on(packet),
    }
}

/// A CONNECT without a fault, and without a Client Identifier, so that it disturbs nobody.
const FAULTLESS: &[u8] = b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0";

/// How many bytes the first packet has; `None` if it is not there as a whole. Bytes whose length
/// can't be told are one packet.
fn whole(bytes: &[u8]) -> Option<usize> {
    if bytes.is_empty() {
        return None;
    }
    let mut length = 0_usize;
    for at in 1..5 {
        let byte = bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            let end = at + 1 + length;
            // A length that was written for its own sake announces what never comes.
            let comes = !matches!(
                decode(bytes, &Limits::new().max_packet_size(1 << 22)),
                Err(error) if matches!(error.rule(), DecodeRule::PacketTooLarge { .. })
            );
            return if !comes {
                Some(bytes.len())
            } else if bytes.len() >= end {
                Some(end)
            } else {
                None
            };
        }
    }
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_ends_where_its_length_says() {
        assert_eq!(whole(&[0xC0]), None);
        assert_eq!(whole(&[0xC0, 0, 0xC0, 0]), Some(2));
        assert_eq!(whole(&[0x30, 5, 0]), None);
        assert_eq!(whole(&[0xC0, 0x80, 0]), Some(3));
        assert_eq!(whole(&[0x30, 0x80, 0x80, 0x80, 0x80, 1, 9]), Some(7));
    }

    #[test]
    fn what_is_overlooked_is_lost_and_a_connect_replaced() {
        let every = |_: &DecodeError| true;
        assert_eq!(overlook(&[0xC1, 0], every), Step::lost());
        assert_eq!(overlook(&[0x12, 0], every), Step::on(FAULTLESS));
        assert_eq!(overlook(&[0xC1, 0], |_| false), Step::on([0xC1, 0]));
        assert_eq!(overlook(&[0xC0, 0], every), Step::on([0xC0, 0]));
        assert!(decode(FAULTLESS, &Limits::new()).is_ok());
    }
}
