//! The transports at mosquitto, which shares no code with this project.
//!
//! Where mosquitto is not installed these tests say so and pass, except in CI. Many builds of it
//! have no WebSocket; that is said too.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mqtt_client_async::{Client, QoS, Tls};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::pki::Authority;

/// Bytes of the largest message.
const LARGE: usize = 300_000;

/// Bytes of the largest message over WebSocket, where mosquitto takes few at a time.
const FRAMES: usize = 20_000;

/// A mosquitto of one test.
struct Mosquitto {
    process: Child,
    folder: TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.process.kill();
        self.process.wait().unwrap();
    }
}

/// Where it is installed; it is an error in CI if it is not.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    let mut places = std::env::split_paths(&path).chain(sbin);
    let found =
        places.find_map(|folder| Some(folder.join("mosquitto")).filter(|file| file.is_file()));
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "mosquitto is needed in CI: install it"
        );
        eprintln!("SKIPPED: mosquitto is not installed");
    }
    found
}

impl Mosquitto {
    /// Starts it with what `config` writes for a port, in the folder of its files. `None` if it
    /// ends by itself.
    fn start(program: &PathBuf, port: u16, config: &str, folder: TempDir) -> Option<Self> {
        let file = folder.path().join("mosquitto.conf");
        fs::write(&file, config).unwrap();
        let process = Command::new(program)
            .arg("-c")
            .arg(&file)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut broker = Self { process, folder };
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if broker.process.try_wait().unwrap().is_some() {
                return None;
            }
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(broker);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("mosquitto does not listen");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A folder with the files of a server for `localhost`, that its user can read.
fn server_files(authority: &Authority, clients: &Authority) -> TempDir {
    let folder = TempDir::new().unwrap();
    let identity = authority.issue("localhost");
    for (name, text) in [
        ("server.pem", &identity.certificate),
        ("server.key", &identity.key),
        ("ca.pem", &clients.pem),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Publishes to itself at each QoS, and receives it.
async fn exchange(client: Client, largest: usize) {
    let mut messages = client.subscribe("a/b").qos(QoS::ExactlyOnce).await.unwrap();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for size in [0, 10, largest] {
            client.publish("a/b", vec![b'x'; size]).qos(qos).send().await.unwrap();
            let message = timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
            assert_eq!((message.qos(), message.payload().len()), (qos, size));
        }
    }
    assert!(client.close().await.cause.is_disconnected());
}

#[tokio::test]
async fn tls_with_and_without_a_client_certificate() {
    let Some(program) = program() else { return };
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let files = "cafile ca.pem\ncertfile server.pem\nkeyfile server.key";
    let (open, closed) = (free_port(), free_port());
    let config = format!(
        "allow_anonymous true\nlistener {open} 127.0.0.1\n{files}\n\
         listener {closed} 127.0.0.1\n{files}\nrequire_certificate true\n"
    );
    let folder = server_files(&authority, &clients);
    let broker = Mosquitto::start(&program, closed, &config, folder).expect("mosquitto starts");
    let trusting = Tls::new().roots_pem(&*authority.pem);
    let connect = async |port: u16, tls: Tls| {
        Client::builder(&format!("mqtts://localhost:{port}")).tls(tls).connect().await
    };
    exchange(connect(open, trusting.clone()).await.unwrap(), LARGE).await;
    let device = clients.issue("device");
    let tls = trusting.clone().client_certificate_pem(device.certificate, device.key);
    exchange(connect(closed, tls).await.unwrap(), LARGE).await;
    let error = connect(closed, trusting).await.unwrap_err();
    assert!(error.to_string().contains("client certificate"), "{error}");
    let stranger = Tls::new().roots_pem(Authority::new("strangers").pem);
    let error = connect(open, stranger).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    drop(broker);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket() {
    let Some(program) = program() else { return };
    let (port, folder) = (free_port(), TempDir::new().unwrap());
    let config = format!(
        "allow_anonymous true\nlistener 0 {}\nlistener {port} 127.0.0.1\n",
        folder.path().join("mqtt.sock").display()
    );
    let Some(broker) = Mosquitto::start(&program, port, &config, folder) else {
        eprintln!("SKIPPED: this build of mosquitto has no Unix sockets");
        return;
    };
    let socket = broker.folder.path().join("mqtt.sock");
    let client = Client::builder(&format!("unix://{}", socket.display())).connect().await.unwrap();
    exchange(client, LARGE).await;
}

#[tokio::test]
async fn websocket_and_secure_websocket() {
    let Some(program) = program() else { return };
    let authority = Authority::new("root");
    let (plain, secure, tcp) = (free_port(), free_port(), free_port());
    // Without a listener for TCP Debian's mosquitto finds that it has none at all, and ends.
    let config = format!(
        "allow_anonymous true\nlistener {tcp} 127.0.0.1\n\
         listener {plain} 127.0.0.1\nprotocol websockets\n\
         listener {secure} 127.0.0.1\nprotocol websockets\ncertfile server.pem\nkeyfile server.key\n"
    );
    let folder = server_files(&authority, &authority);
    let Some(broker) = Mosquitto::start(&program, tcp, &config, folder) else {
        eprintln!("SKIPPED: this build of mosquitto has no WebSocket");
        return;
    };
    exchange(patient(&format!("ws://localhost:{plain}"), Tls::new()).await, FRAMES).await;
    let tls = Tls::new().roots_pem(&*authority.pem);
    exchange(patient(&format!("wss://localhost:{secure}"), tls).await, FRAMES).await;
    drop(broker);
}

/// A client of a broker that listens for TCP: its library for WebSocket begins later, and resets
/// connections that come before it is ready for them.
async fn patient(address: &str, tls: Tls) -> Client {
    let start = Instant::now();
    loop {
        match Client::builder(address).tls(tls.clone()).connect().await {
            Ok(client) => return client,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
