//! A broker of another project before the wire suite: what it does otherwise is known and
//! explained, and nothing else shows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mqtt_conformance::{Expected, Profile, Target, broker};

/// The version that the list of differences is about.
const VERSION: &str = "2.0.11";

/// A mosquitto that ends with the test.
struct Mosquitto {
    child: Child,
    config: PathBuf,
    port: u16,
}

impl Mosquitto {
    fn start(program: &PathBuf) -> Option<Self> {
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = env::temp_dir().join(format!("mqtt-conformance-{port}.conf"));
        fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
        let mut child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) && child.try_wait().unwrap().is_none() {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Some(Self { child, config, port });
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Somebody else may have taken the port.
        let _killed = child.kill();
        child.wait().unwrap();
        fs::remove_file(&config).unwrap();
        None
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        self.child.wait().unwrap();
        fs::remove_file(&self.config).unwrap();
    }
}

/// The program, if the version that is known is installed; in CI some version has to be.
fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let Some(program) = folders.map(|folder| folder.join("mosquitto")).find(|path| path.is_file())
    else {
        assert!(env::var("CI").as_deref() != Ok("true"), "mosquitto is needed in CI");
        eprintln!("SKIPPED: mosquitto is not installed");
        return None;
    };
    let said = Command::new(&program).arg("-h").output().unwrap();
    if String::from_utf8_lossy(&said.stdout).contains(&format!("version {VERSION}")) {
        return Some(program);
    }
    eprintln!("SKIPPED: this mosquitto is not version {VERSION}");
    None
}

#[test]
fn mosquitto_differs_where_it_is_known_to() {
    let Some(program) = program() else { return };
    let mosquitto = (0..10).find_map(|_| Mosquitto::start(&program)).unwrap();
    let address = format!("127.0.0.1:{}", mosquitto.port);
    let target = Target::reach(&address, Profile::default(), "mosq").unwrap();
    let judged = broker::judge(&target);
    let expected = Expected::parse(include_str!("../expected-mosquitto.toml")).unwrap();
    let surprises = expected.surprises(&judged);
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
