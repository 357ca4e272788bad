//! A client that is acting out a scenario, and the connection that it has made.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use mqtt_codec::{ConnAck, ConnectReason, Packet, PropertyBuf, PropertyValues};

use super::Subject;
use crate::{
    connection::{Connection, io_fault},
    finding::{Outcome, fail, skip},
    journal::{Journal, Record},
    proxy::Proxy,
};

/// The exit code of a client that does not know a scenario.
const UNSUPPORTED: i32 = 77;

/// The Keep Alive that the scenarios ask for.
const SCENARIO_KEEP_ALIVE: Duration = Duration::from_secs(3);

/// One test of a client.
#[derive(Debug)]
pub(crate) struct Stage {
    subject: Subject,
    journal: Journal,
}

/// What CONNECT asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) clean_start: bool,
    pub(crate) client_id: String,
    pub(crate) keep_alive: u16,
    pub(crate) properties: PropertyValues,
}

/// A client on the stage.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) connection: Connection,
    listener: TcpListener,
    child: Child,
    printed: Receiver<String>,
    journal: Journal,
    patience: Duration,
    _detour: Option<Proxy>,
}

impl Stage {
    pub(crate) fn new(subject: &Subject) -> Self {
        Self { subject: subject.clone(), journal: Journal::new() }
    }

    pub(crate) fn record(&self) -> Record {
        self.journal.take()
    }

    /// Starts the client and waits until it connects.
    pub(crate) fn start(&self, scenario: &str) -> Outcome<Guest> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| io_fault(&error))?;
        let address = listener.local_addr().map_err(|error| io_fault(&error))?;
        let mut port = address.port();
        let detour = self.subject.sabotage.map(|sabotage| Proxy::start(address, sabotage));
        let detour = detour.transpose().map_err(|error| io_fault(&error))?;
        if let Some(proxy) = &detour {
            port = proxy.address().port();
        }
        let command = self
            .subject
            .command
            .replace("{port}", &port.to_string())
            .replace("{scenario}", scenario);
        let mut child = shell(&command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io_fault(&error))?;
        let printed = lines(&mut child);
        // The first start of a program may take its time.
        let patience = self.subject.patience + Duration::from_secs(10);
        let stream = match accept(&listener, &mut child, patience) {
            Ok(stream) => stream,
            Err(finding) => {
                end(&mut child);
                return Err(finding);
            }
        };
        let (journal, patience) = (self.journal.clone(), self.subject.patience);
        let connection = Connection::of_client(stream, "client", journal.clone(), patience)?;
        Ok(Guest { connection, listener, child, printed, journal, patience, _detour: detour })
    }

    /// Starts the client and accepts its CONNECT.
    pub(crate) fn connected(
        &self,
        scenario: &str,
        build: impl FnOnce(&mut PropertyBuf),
    ) -> Outcome<(Guest, Asked)> {
        let mut guest = self.start(scenario)?;
        let asked = guest.asked()?;
        guest.accept(false, build)?;
        Ok((guest, asked))
    }

    /// Starts the client, accepts it and grants its subscription.
    pub(crate) fn subscribed(
        &self,
        build: impl FnOnce(&mut PropertyBuf),
    ) -> Outcome<(Guest, Asked)> {
        let (mut guest, asked) = self.connected("subscribe", build)?;
        guest.grant()?;
        Ok((guest, asked))
    }
}

impl Guest {
    /// The client's CONNECT.
    pub(crate) fn asked(&mut self) -> Outcome<Asked> {
        self.connection.wait("CONNECT", |packet| match packet {
            Packet::Connect(connect) => Some(Asked {
                clean_start: connect.clean_start(),
                client_id: connect.client_id().to_owned(),
                keep_alive: connect.keep_alive(),
                properties: connect.properties().into(),
            }),
            _ => None,
        })
    }

    /// CONNACK 0x00 with these properties.
    pub(crate) fn accept(
        &mut self,
        session_present: bool,
        build: impl FnOnce(&mut PropertyBuf),
    ) -> Outcome {
        let mut properties = PropertyBuf::new();
        build(&mut properties);
        let connack = ConnAck {
            session_present,
            reason: ConnectReason::Success,
            properties: properties.as_properties(),
        };
        let mut bytes = Vec::new();
        match connack.encode(&mut bytes, u32::MAX) {
            Ok(()) => self.connection.send(bytes),
            Err(error) => fail(format!("the suite built no CONNACK: {error}")),
        }
    }

    /// The client's SUBSCRIBE: Packet Identifier, number of filters, Subscription Identifier.
    pub(crate) fn request(&mut self) -> Outcome<(u16, usize, u32)> {
        self.connection.wait("SUBSCRIBE", |packet| match packet {
            Packet::Subscribe(subscribe) => Some((
                subscribe.packet_id.get(),
                subscribe.len(),
                subscribe.properties.subscription_ids().next().map_or(0, |id| id.get()),
            )),
            _ => None,
        })
    }

    /// Grants what the client subscribes to; the Subscription Identifier, 0 without one.
    pub(crate) fn grant(&mut self) -> Outcome<u32> {
        let (id, filters, subscription) = self.request()?;
        let [high, low] = id.to_be_bytes();
        let length = u8::try_from(3 + filters).unwrap_or(4);
        let mut suback = vec![0x90, length, high, low, 0];
        suback.extend(std::iter::repeat_n(2, filters));
        self.connection.send(suback)?;
        Ok(subscription)
    }

    /// The next line that the client prints has to be this one.
    pub(crate) fn prints(&self, line: &str) -> Outcome {
        match self.printed.recv_timeout(self.patience) {
            Ok(printed) if printed == line => Ok(()),
            Ok(printed) => fail(format!("the client printed {printed:?}, not {line:?}")),
            Err(_) => fail(format!("the client did not print {line:?}")),
        }
    }

    /// The client comes back on a new connection; its CONNECT.
    pub(crate) fn comes_back(&mut self) -> Outcome<Asked> {
        let stream = accept(&self.listener, &mut self.child, self.patience * 3)?;
        self.connection =
            Connection::of_client(stream, "client", self.journal.clone(), self.patience)?;
        self.asked()
    }

    /// The client has nothing to say any more and pings, which its Keep Alive makes it do; what it
    /// sent came before.
    pub(crate) fn ping(&mut self) -> Outcome {
        let patience = self.patience + SCENARIO_KEEP_ALIVE;
        self.connection.wait_for("PINGREQ", patience, |packet| {
            matches!(packet, Packet::PingReq).then_some(())
        })?;
        self.connection.send([0xD0, 0])
    }

    /// The broker goes without a word.
    pub(crate) fn cut(&mut self) {
        self.connection.shut();
    }

    /// The end of the client's input asks it to leave: DISCONNECT, and then it closes.
    pub(crate) fn leaves(mut self) -> Outcome {
        drop(self.child.stdin.take());
        self.connection
            .wait("DISCONNECT", |packet| matches!(packet, Packet::Disconnect(_)).then_some(()))?;
        self.connection.wait_closed("after its own DISCONNECT")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _killed = child.kill().is_ok();
    let _ended = child.wait().is_ok();
}

/// A command line, as a shell reads it.
fn shell(command: &str) -> Command {
    if cfg!(windows) {
        let mut shell = Command::new("cmd");
        shell.args(["/C", command]);
        return shell;
    }
    let mut shell = Command::new("sh");
    // The shell's process becomes the client's, so that ending it ends the client.
    shell.args(["-c", &format!("exec {command}")]);
    shell
}

/// The lines that the client prints.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// Waits for a connection, unless the client ends before it makes one.
fn accept(listener: &TcpListener, child: &mut Child, patience: Duration) -> Outcome<TcpStream> {
    listener.set_nonblocking(true).map_err(|error| io_fault(&error))?;
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(|error| io_fault(&error))?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(io_fault(&error)),
        }
        match child.try_wait() {
            Ok(Some(status)) if status.code() == Some(UNSUPPORTED) => {
                return skip("the client does not know the scenario");
            }
            Ok(Some(status)) => {
                return fail(format!("the client ended without connecting: {status}"));
            }
            _ => {}
        }
        // There is nothing to wait on for both, the process and the socket.
        thread::sleep(Duration::from_millis(2));
    }
    fail("the client does not connect")
}
