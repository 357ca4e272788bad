//! The program: what it says, when it ends, and with which exit code.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Client, connect};

/// A broker as a process of its own, which ends with the test.
pub(crate) struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<BufReader<ChildStderr>>,
}

impl Program {
    /// Starts the program with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_mqtt-broker-lite")).args(arguments))
    }

    /// Starts a command that becomes the program.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, stdout, stderr }
    }

    /// The address in the next ready line.
    pub(crate) fn ready(&mut self) -> SocketAddr {
        self.ready_over("mqtt")
    }

    /// The address in the next ready line, which is of this scheme.
    pub(crate) fn ready_over(&mut self, scheme: &str) -> SocketAddr {
        let line = self.line();
        let address = line.strip_prefix(&format!("listening on {scheme}://")).and_then(|rest| {
            // The line has an end, and nothing else follows the address.
            rest.strip_suffix('\n')
        });
        let Some(address) = address else {
            panic!("no ready line but {line:?}; {}", self.end().1);
        };
        address.parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// The next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Waits for a line of the log.
    pub(crate) fn log_line(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        let log = self.stderr.as_mut().unwrap();
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the log has ended");
            if is_wanted(&line) {
                return line;
            }
        }
    }

    /// Everything that is still to come on standard output.
    pub(crate) fn rest_of_output(&mut self) -> String {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits for the end: the exit status and what stands on standard error.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let mut text = String::new();
        self.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap(), text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[cfg(unix)]
fn a_signal_says_goodbye_to_the_clients_and_ends_with_code_0() {
    for signal in ["-TERM", "-INT"] {
        let mut program = Program::start(&["--listen", "mqtt://127.0.0.1:0"]);
        let mut client = Client::connect(program.ready(), "a");
        program.signal(signal);
        client.expect_disconnect(0x8b);
        let (status, text) = program.end();
        assert_eq!(status.code(), Some(0), "{signal}: {text}");
        assert_eq!(text, "", "nothing went wrong");
    }
}

#[test]
#[cfg(unix)]
fn a_signal_right_after_the_ready_line_is_not_missed() {
    for _ in 0..5 {
        let mut program = Program::start(&["--listen", "mqtt://127.0.0.1:0"]);
        program.ready();
        program.signal("-TERM");
        assert_eq!(program.end().0.code(), Some(0));
    }
}

#[test]
fn each_listener_has_its_ready_line() {
    let listeners = ["--listen", "mqtt://127.0.0.1:0", "--listen", "mqtt://127.0.0.1:0"];
    let mut program = Program::start(&listeners);
    let (first, second) = (program.ready(), program.ready());
    assert_ne!(first.port(), second.port());
    let mut subscriber = Client::connect(first, "subscriber");
    subscriber.subscribe("t");
    Client::connect(second, "publisher").publish("t", b"across");
    assert_eq!(subscriber.receive_message().1, b"across");
}

#[test]
fn a_listener_beyond_loopback_is_refused_with_what_to_do() {
    let mut program = Program::start(&["--listen", "mqtt://0.0.0.0:0"]);
    let (status, text) = program.end();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("--allow-anonymous"), "{text}");
    let mut program = Program::start(&["--listen", "mqtt://0.0.0.0:0", "--allow-anonymous"]);
    let port = program.ready().port();
    Client::connect(SocketAddr::from(([127, 0, 0, 1], port)), "a").ping();
}

#[test]
fn an_address_in_use_is_told_with_what_to_do() {
    let mut first = Program::start(&["--listen", "mqtt://127.0.0.1:0"]);
    let url = format!("mqtt://{}", first.ready());
    let (status, text) = Program::start(&["--listen", &url]).end();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains(&url) && text.contains("choose another port"), "{text}");
}

#[test]
fn a_wrong_command_line_ends_with_code_2_and_says_what_is_supported() {
    for (arguments, expected) in [
        (&["--listen", "amqp://127.0.0.1"][..], "supported: mqtt, mqtts, ws, wss, unix"),
        (&["--listen", "127.0.0.1:1883"][..], "mqtt://127.0.0.1:1883"),
        (&["--listen", "mqtt://localhost:banana"][..], "65535"),
        (&["--log", "loud"][..], "debug"),
        (&["--tls"][..], "--tls"),
    ] {
        let (status, text) = Program::start(arguments).end();
        assert_eq!(status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn version_and_help_are_told_on_standard_output() {
    for (argument, expected) in
        [("--version", concat!("mqtt-broker-lite ", env!("CARGO_PKG_VERSION"))), ("--help", "URL")]
    {
        let mut program = Program::start(&[argument]);
        let text = program.rest_of_output();
        assert_eq!(program.end().0.code(), Some(0));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
#[cfg(unix)]
fn a_client_cannot_forge_lines_of_the_log() {
    let mut program = Program::start(&["--listen", "mqtt://127.0.0.1:0", "--log", "trace"]);
    let address = program.ready();
    // Control characters are not even accepted; the others break lines, or turn them around.
    for forged in ["me\n2000-01-01T00:00:00Z ERROR forged\u{1b}[31m", "\u{7f}\u{9b}31m"] {
        let mut client = Client::open(address);
        client.send(&connect(forged));
        assert_eq!(client.receive().first, 0x20);
    }
    Client::connect(address, "me\u{2028}2000\u{202e}forged").ping();
    program.signal("-TERM");
    let (_, text) = program.end();
    assert!(text.contains(r"me\u{2028}2000\u{202e}forged"), "the name is logged: {text}");
    assert!(!text.contains(['\u{1b}', '\u{7f}', '\u{9b}', '\u{2028}', '\u{202e}']), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("2000")), "{text}");
}

/// Reads a number from the system's description of a process.
#[cfg(target_os = "linux")]
fn memory_kib(program: &Program, key: &str) -> usize {
    let path = format!("/proc/{}/status", program.child.id());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_packet_of_256_mib_that_is_only_announced_takes_no_memory() {
    let mut program = Program::start(&["--listen", "mqtt://127.0.0.1:0"]);
    let address = program.ready();
    let mut canary = Client::connect(address, "canary");
    let before = memory_kib(&program, "VmSize");
    let mut peers = Vec::new();
    for first in 0..=255u8 {
        let mut peer = Client::open(address);
        peer.send(&[first, 0xff, 0xff, 0xff, 0x7f]);
        peers.push(peer);
    }
    for n in 0..10 {
        let mut client = Client::connect(address, &format!("client-{n}"));
        // As much as may be sent, and one byte of it.
        client.send(&[0x30, 0xff, 0xff, 0xff, 0x01, 0x00]);
        peers.push(client);
    }
    canary.ping();
    let grown = memory_kib(&program, "VmSize").saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
}

#[test]
#[cfg(target_os = "linux")]
fn a_broker_out_of_descriptors_serves_on_does_not_spin_and_recovers() {
    let binary = env!("CARGO_BIN_EXE_mqtt-broker-lite");
    let script = format!("ulimit -n 40; exec '{binary}' --listen mqtt://127.0.0.1:0");
    let mut program = Program::run(Command::new("sh").args(["-c", &script]));
    let address = program.ready();
    let mut canary = Client::connect(address, "canary");
    let crowd: Vec<Client> = (0..60).map(|_| Client::open(address)).collect();
    canary.ping();

    let ticks = || -> u64 {
        let path = format!("/proc/{}/stat", program.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_millis(500));
    let used = ticks() - before;
    assert!(used < 10, "{used} of 50 ticks of the processor's time used while waiting");
    canary.ping();

    drop(crowd);
    let patience = Instant::now();
    Client::connect(address, "late").ping();
    assert!(patience.elapsed() < Duration::from_secs(5));
    program.signal("-TERM");
    let (status, text) = program.end();
    assert_eq!(status.code(), Some(0));
    assert_eq!(text.matches("cannot accept connections").count(), 1, "told once: {text}");
}
