//! A mosquitto of one test, and its command-line clients.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mqtt_client_async::{Client, PubAckReason, QoS};

/// A process that does not outlive the test.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// A mosquitto of this test alone.
pub(crate) struct Mosquitto {
    process: Running,
    port: u16,
    /// Its configuration, removed with it.
    config: PathBuf,
}

impl Mosquitto {
    /// Starts it on a free port; `None` if it is not installed, which is an error in CI.
    pub(crate) fn start() -> Option<Self> {
        let programs = [program("mosquitto"), program("mosquitto_pub"), program("mosquitto_sub")];
        let [Some(broker), Some(_), Some(_)] = programs else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "mosquitto and mosquitto-clients are needed in CI: install them"
            );
            eprintln!("SKIPPED: mosquitto or mosquitto-clients is not installed");
            return None;
        };
        // Another process may take the port in between; then the next one is tried.
        (0..10)
            .find_map(|_| Self::start_on(&broker, free_port()))
            .map_or_else(|| panic!("mosquitto did not start on any of ten free ports"), Some)
    }

    fn start_on(broker: &Path, port: u16) -> Option<Self> {
        let config = std::env::temp_dir().join(format!("mqtt-client-async-{port}.conf"));
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
        std::fs::write(&config, text).unwrap();
        let process = Command::new(broker)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut broker = Self { process: Running(process), port, config };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if broker.process.0.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Some(broker);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub(crate) async fn client(&self) -> Client {
        Client::builder(&self.url()).connect().await.unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// One of mosquitto's clients, with the options that all calls need.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name).unwrap());
        command.args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command
    }

    /// Publishes with `mosquitto_pub`.
    pub(crate) fn publish(&self, topic: &str, payload: &[u8], qos: QoS, options: &[&str]) {
        let file = self.config.with_extension(format!("{}.payload", u8::from(qos)));
        std::fs::write(&file, payload).unwrap();
        let mut command = self.command("mosquitto_pub");
        command.args(["-t", topic, "-q", &u8::from(qos).to_string(), "-f"]).arg(&file);
        let status = command.args(options).status().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(status.success());
    }

    /// Subscribes with `mosquitto_sub`, and returns once the broker has granted it.
    pub(crate) async fn subscribe(
        &self,
        client: &Client,
        topic: &str,
        qos: QoS,
        count: u32,
    ) -> Running {
        let mut command = self.command("mosquitto_sub");
        command.args(["-t", topic, "-t", "ready", "-q", &u8::from(qos).to_string()]);
        // The messages that show that it is there are told apart by their length, and end no line.
        command.args(["-N", "-W", "30", "-C", &(count + 1).to_string()]);
        let child = Running(command.stdout(Stdio::piped()).spawn().unwrap());
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(20), "mosquitto_sub does not subscribe");
            let word = client.publish("ready", "").qos(QoS::AtLeastOnce).send().await.unwrap();
            if word.reason() != PubAckReason::NoMatchingSubscribers {
                return child;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        std::fs::remove_file(&self.config).unwrap();
    }
}

/// Where a program is installed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    std::env::split_paths(&path)
        .chain(sbin)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A port that nobody uses, and that no other test of this process was given.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// What the process prints until it ends, which it does with success.
pub(crate) async fn output(mut child: Running) -> Vec<u8> {
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        child.0.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
        assert!(child.0.wait().unwrap().success());
        bytes
    })
    .await
    .unwrap()
}
