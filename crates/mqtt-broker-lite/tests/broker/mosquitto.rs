//! Clients of another project, as Debian has them in `mosquitto-clients`.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use mqtt_broker_lite::{Config, Server};

/// Whether the clients are there. Where they must be (`CI=true`), their absence is a failure.
fn clients_are_installed() -> bool {
    let installed = ["mosquitto_pub", "mosquitto_sub"].iter().all(|program| {
        // `--help` ends with code 1 here and 0 there; what counts is that it runs.
        Command::new(program)
            .arg("--help")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    });
    if !installed {
        // Past the capture of the test's output: whoever runs the tests has to see it.
        let note = "NOT CHECKED: mosquitto_pub and mosquitto_sub are not installed \
                    (Debian: apt-get install mosquitto-clients)\n";
        io::stderr().write_all(note.as_bytes()).unwrap();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "they must be there in CI");
    }
    installed
}

struct Broker {
    server: Server,
    port: String,
}

impl Broker {
    fn start() -> Self {
        let server = Server::bind_blocking(Config::free_port()).unwrap();
        let port = server.local_addr().unwrap().port().to_string();
        Self { server, port }
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &self.port]).args(arguments);
        command
    }

    /// A subscriber to `filter` whose subscription is granted, and who ends after `count`
    /// messages.
    fn subscribe(&self, filter: &str, qos: &str, count: usize) -> Subscriber {
        // The program tells nothing of a grant as it happens, but writes out each message as it
        // comes: a retained one, asked for in the same SUBSCRIBE, tells.
        self.publish("granted", "0", &["-r", "-m", "now"]);
        let count = (count + 1).to_string();
        let mut child = self
            .client("mosquitto_sub", &["-t", "granted", "-t", filter, "-q", qos, "-C", &count])
            .args(["-W", "20", "-F", "%q %r %t %p"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        assert_eq!(first, "0 1 granted now\n");
        Subscriber { child, output }
    }

    fn publish(&self, topic: &str, qos: &str, arguments: &[&str]) {
        let status =
            self.client("mosquitto_pub", &["-t", topic, "-q", qos]).args(arguments).status();
        assert!(status.unwrap().success(), "mosquitto_pub failed");
    }
}

struct Subscriber {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Subscriber {
    /// Waits for its end; the messages that it got, as `QoS retain topic payload`.
    fn messages(mut self) -> Vec<String> {
        let messages = self.output.lines().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success(), "mosquitto_sub failed");
        messages
    }
}

#[test]
fn messages_of_every_qos_pass() {
    if !clients_are_installed() {
        return;
    }
    let broker = Broker::start();
    for qos in ["0", "1", "2"] {
        let subscriber = broker.subscribe("room/#", qos, 2);
        broker.publish("room/kitchen", qos, &["-m", "first"]);
        broker.publish("room/hall", qos, &["-m", "second"]);
        let expected = [format!("{qos} 0 room/kitchen first"), format!("{qos} 0 room/hall second")];
        assert_eq!(subscriber.messages(), expected);
    }
    broker.server.shutdown_blocking().unwrap();
}

/// Proves: [MQTT-3.3.1-5], [MQTT-3.3.1-9]
#[test]
fn a_retained_message_meets_a_later_subscriber() {
    if !clients_are_installed() {
        return;
    }
    let broker = Broker::start();
    broker.publish("the/state", "1", &["-r", "-m", "old"]);
    broker.publish("the/state", "1", &["-r", "-m", "new"]);
    broker.publish("a/state", "1", &["-r", "-m", "here"]);
    broker.publish("a/state", "1", &["-r", "-n"]);
    let subscriber = broker.subscribe("+/state", "1", 1);
    assert_eq!(subscriber.messages(), ["1 1 the/state new"]);
}

#[test]
fn a_payload_of_a_mebibyte_passes() {
    if !clients_are_installed() {
        return;
    }
    let broker = Broker::start();
    let payload: String =
        (0..1024 * 1024u32).map(|n| char::from(b'a' + (n % 251 % 26) as u8)).collect();
    for qos in ["0", "1", "2"] {
        let subscriber = broker.subscribe("large", qos, 1);
        let mut publisher = broker
            .client("mosquitto_pub", &["-t", "large", "-q", qos, "-s"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        publisher.stdin.take().unwrap().write_all(payload.as_bytes()).unwrap();
        assert!(publisher.wait().unwrap().success());
        let messages = subscriber.messages();
        assert_eq!(messages.len(), 1);
        assert!(messages[0] == format!("{qos} 0 large {payload}"), "the payload changed");
    }
}

#[test]
fn many_lines_of_one_publisher_pass_in_order() {
    if !clients_are_installed() {
        return;
    }
    let broker = Broker::start();
    for qos in ["0", "1", "2"] {
        let subscriber = broker.subscribe("lines", qos, 200);
        let mut publisher = broker
            .client("mosquitto_pub", &["-t", "lines", "-q", qos, "-l"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: String = (0..200).map(|n| format!("line {n}\n")).collect();
        publisher.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(publisher.wait().unwrap().success());
        let expected: Vec<String> = (0..200).map(|n| format!("{qos} 0 lines line {n}")).collect();
        assert_eq!(subscriber.messages(), expected);
    }
}
