//! The brokers that the killed processes publish to.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mqtt_broker_lite::{Config, Server};
use tempfile::TempDir;

/// A broker of one test.
pub(crate) struct Broker {
    url: String,
    /// What ends with it.
    _held: Held,
}

/// What keeps a broker running.
#[expect(dead_code, reason = "it is held to be dropped")]
enum Held {
    Ours(Box<Server>),
    Mosquitto(Running, TempDir),
}

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Broker {
    /// The one of this project, in this process.
    pub(crate) async fn ours() -> Self {
        let server = Server::bind(Config::free_port()).await.unwrap();
        let url = server.addresses().first().unwrap().to_string();
        Self { url, _held: Held::Ours(Box::new(server)) }
    }

    /// Mosquitto; `None` if it is not installed, which is an error in CI.
    pub(crate) fn mosquitto() -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "mosquitto is needed in CI: install it"
            );
            eprintln!("SKIPPED: mosquitto is not installed");
            return None;
        };
        // Another process may take the port in between; then the next one is tried.
        let started = (0..10).find_map(|_| Self::start(&program));
        started.map_or_else(|| panic!("mosquitto did not start on any of ten free ports"), Some)
    }

    fn start(program: &PathBuf) -> Option<Self> {
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mosquitto.conf");
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n\
             max_inflight_messages 0\n"
        );
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Running(command.spawn().unwrap());
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if process.0.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                let url = format!("mqtt://127.0.0.1:{port}");
                return Some(Self { url, _held: Held::Mosquitto(process, folder) });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    let mut places = std::env::split_paths(&path).chain(sbin);
    places.find_map(|folder| Some(folder.join("mosquitto")).filter(|file| file.is_file()))
}
