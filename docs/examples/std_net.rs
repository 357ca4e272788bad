//! The sample of the chapter on drivers: a whole driver on the standard library's sockets.
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Buf;
use mqtt_codec::{Properties, QoS, SubscriptionOptions, TopicFilter, TopicName};
use mqtt_session::{
    BufferOptions, Client, ClientConfig, ClientEvent, DialFault, DisconnectOptions, Publication,
    ReceivedMessage, SessionPolicy, Time, TransmitBuf,
};

/// What only a driver has: a clock, a socket, and bytes that the socket has not taken yet.
struct Driver<'a> {
    address: &'a str,
    origin: Instant,
    socket: Option<TcpStream>,
    out: TransmitBuf,
}

impl Driver<'_> {
    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    /// Answers an event about the connection.
    fn connection(&mut self, client: &mut Client, event: &ClientEvent) {
        if let ClientEvent::Closed(_) = event {
            self.write(client);
            (self.socket, self.out) = (None, TransmitBuf::new());
        } else if let ClientEvent::Dial(_) = event {
            self.socket = TcpStream::connect(self.address).ok();
            match self.socket {
                Some(_) => client.handle_connected(self.now()),
                None => client.handle_dial_failed(self.now(), DialFault::Unreachable),
            }
        }
    }

    /// Sends what is to be sent, and waits until something comes or is due.
    fn turn(&mut self, client: &mut Client) {
        self.write(client);
        let due = client.poll_timeout().map_or(Time::from_nanos(u64::MAX), |due| due.at);
        let wait = due.duration_since(self.now()).clamp(Duration::from_millis(1), HOUR);
        let mut input = [0; 4096];
        let read =
            |it: &mut TcpStream| it.set_read_timeout(Some(wait)).and_then(|()| it.read(&mut input));
        match self.socket.as_mut().map(read) {
            None => std::thread::sleep(wait),
            Some(Ok(len @ 1..)) => client.handle_input(self.now(), input.split_at(len).0),
            Some(Err(it)) if matches!(it.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Some(Ok(_) | Err(_)) => client.handle_eof(self.now()),
        }
        client.handle_timeout(self.now());
    }

    /// Sends what is to be sent. What cannot be written the next read tells.
    fn write(&mut self, client: &mut Client) {
        client.poll_transmit(self.now(), &mut self.out, 64 * 1024);
        while self.out.has_remaining()
            && let Some(socket) = &mut self.socket
            && let Ok(len) = socket.write(self.out.chunk())
        {
            self.out.advance(len);
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// Sends a message to itself, exactly once whatever happens to the connection, and returns it.
pub fn exchange(address: &str) -> Result<Vec<ReceivedMessage>, Box<dyn Error>> {
    let config = ClientConfig::new().client_id("std-net").session(SessionPolicy::resume(HOUR));
    let mut client = Client::new(config, [7; 32])?;
    let mut net = Driver { address, origin: Instant::now(), socket: None, out: TransmitBuf::new() };
    client.start(net.now());
    let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..Default::default() };
    let filters = [(TopicFilter::new("greetings/#")?, options)];
    let subscription = client.subscribe(&filters, Properties::EMPTY, BufferOptions::default())?;
    let (mut received, mut is_done) = (Vec::new(), false);
    while !is_done || received.is_empty() {
        match client.poll_event() {
            Some(ClientEvent::Subscribed { renewed: false, .. }) => {
                let mut hello = Publication::new(TopicName::new("greetings/world")?, "hello");
                hello.qos = QoS::ExactlyOnce;
                client.publish(net.now(), hello)?;
            }
            Some(ClientEvent::Published { .. }) => is_done = true,
            Some(ClientEvent::Ended { cause, .. }) => return Err(cause.into()),
            Some(event) => net.connection(&mut client, &event),
            None => net.turn(&mut client),
        }
        received.extend(std::iter::from_fn(|| client.poll_message(subscription)));
    }
    client.disconnect(net.now(), &DisconnectOptions::default())?;
    net.write(&mut client);
    Ok(received)
}
