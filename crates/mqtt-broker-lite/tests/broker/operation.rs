//! The broker in operation: reloading, service managers, health, `$SYS` topics and metrics.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mqtt_broker_lite::{Config, ReloadError, Server, set_password};

use crate::binary::Program;
use crate::client::{
    Client, PATIENCE, connect, connect_with, packet, publish_qos1, put_text, subscribe,
};
use crate::config::{Folder, start};

/// Sends SIGHUP and waits until the log says that it was dealt with.
fn hang_up(program: &mut Program) -> String {
    program.signal("-HUP");
    program.log_line(|line| line.contains("the configuration"))
}

/// Publishes with QoS 1; the reason in the PUBACK.
fn publish(client: &mut Client, topic: &str, payload: &[u8]) -> u8 {
    client.send(&publish_qos1(topic, 9, payload));
    let puback = client.receive();
    assert_eq!(puback.first, 0x40, "a PUBACK");
    puback.body.get(2).copied().unwrap_or(0)
}

fn resume(address: SocketAddr, client_id: &str, expected_session: u8) -> Client {
    let mut client = Client::open(address);
    // Clean Start 0, Session Expiry Interval 1 hour.
    client.send(&connect_with(client_id, 0x00, b"\x11\x00\x00\x0e\x10", b""));
    let connack = client.receive();
    assert_eq!(connack.body[..2], [expected_session, 0x00]);
    client
}

const OPEN: &str = "topic readwrite open\ntopic readwrite secret\n";
const REVOKED: &str = "topic readwrite open\n";

fn with_list(folder: &Folder, list: &str) -> Program {
    folder.write("acl", list);
    let file = folder.write(
        "broker.toml",
        "[[listener]]\nurl = 'mqtt://127.0.0.1:0'\n[access]\nacl_file = 'acl'\n",
    );
    start(&file, &["--log", "info"])
}

#[test]
fn a_right_that_is_taken_away_is_gone_for_a_live_subscription() {
    let folder = Folder::new();
    let mut program = with_list(&folder, OPEN);
    let address = program.ready();
    let mut reader = Client::connect(address, "reader");
    reader.subscribe("+");
    let mut writer = Client::connect(address, "writer");
    assert_eq!(publish(&mut writer, "secret", b"1"), 0x00);
    assert_eq!(reader.receive_message().1, b"1");
    // Only reading is taken away.
    folder.write("acl", "topic readwrite open\ntopic write secret\n");
    hang_up(&mut program);
    assert_eq!(publish(&mut writer, "secret", b"2"), 0x00);
    assert_eq!(publish(&mut writer, "open", b"3"), 0x00);
    assert_eq!(reader.receive_message().1, b"3");
    // And given back.
    folder.write("acl", OPEN);
    hang_up(&mut program);
    publish(&mut writer, "secret", b"4");
    assert_eq!(reader.receive_message().1, b"4");
}

#[test]
fn a_right_that_is_taken_away_is_gone_for_retained_messages() {
    let folder = Folder::new();
    let mut program = with_list(&folder, OPEN);
    let address = program.ready();
    let mut writer = Client::connect(address, "writer");
    for topic in ["secret", "open"] {
        let mut retained = publish_qos1(topic, 9, topic.as_bytes());
        retained[0] |= 0x01;
        writer.send(&retained);
        writer.receive();
    }
    folder.write("acl", REVOKED);
    hang_up(&mut program);
    let mut reader = Client::connect(address, "reader");
    reader.send(&subscribe("secret", 0));
    assert_eq!(reader.receive().body.last(), Some(&0x87));
    reader.subscribe("+");
    assert_eq!(reader.receive_message().0, "open");
    reader.ping();
}

#[test]
fn a_right_that_is_taken_away_is_gone_for_queued_messages() {
    let folder = Folder::new();
    let mut program = with_list(&folder, OPEN);
    let address = program.ready();
    let mut reader = resume(address, "reader", 0);
    reader.send(&subscribe("+", 1));
    reader.receive();
    drop(reader);
    let mut writer = Client::connect(address, "writer");
    for topic in ["secret", "open"] {
        assert_eq!(publish(&mut writer, topic, topic.as_bytes()), 0x00);
    }
    folder.write("acl", REVOKED);
    hang_up(&mut program);
    let mut reader = resume(address, "reader", 1);
    let message = reader.receive();
    assert_eq!(message.first & 0xf6, 0x32, "a PUBLISH with QoS 1");
    assert!(message.body.ends_with(b"open"), "and not the other: {:?}", message.body);
    reader.ping();
}

#[test]
fn a_right_that_is_taken_away_is_gone_for_wills() {
    let folder = Folder::new();
    let mut program = with_list(&folder, OPEN);
    let address = program.ready();
    let mut reader = Client::connect(address, "reader");
    reader.subscribe("+");
    let dying: Vec<Client> = ["secret", "open"]
        .map(|topic| {
            let mut client = Client::open(address);
            let mut will = vec![0x00];
            put_text(&mut will, topic);
            put_text(&mut will, "gone");
            client.send(&connect_with(&format!("dying-{topic}"), 0x06, b"", &will));
            assert_eq!(client.receive().body[1], 0x00);
            client
        })
        .into();
    // Reading stays, so that only the right to publish can keep it back.
    folder.write("acl", "topic readwrite open\ntopic read secret\n");
    hang_up(&mut program);
    drop(dying);
    assert_eq!(reader.receive_message().0, "open");
    reader.ping();
}

/// Row H6 of the hostile inputs.
#[test]
fn a_reload_of_what_is_wrong_changes_nothing() {
    let folder = Folder::new();
    let mut program = with_list(&folder, OPEN);
    let address = program.ready();
    let mut writer = Client::connect(address, "writer");
    let listener = "[[listener]]\nurl = 'mqtt://127.0.0.1:0'\n";
    let access = "[access]\nacl_file = 'acl'\n";
    for (config, list, expected) in [
        ("[limits\n".to_owned(), REVOKED, "stays as it was"),
        (format!("{listener}[access]\nacl_file = 'missing'\n"), REVOKED, "cannot read"),
        (format!("{listener}{access}"), "topic\n", "acl:1: the topic is missing"),
        (format!("{listener}{access}[limits]\nconnections = 5\n"), REVOKED, "limits.connections"),
        (format!("{listener}{listener}{access}"), REVOKED, "number of listeners"),
        (listener.to_owned(), REVOKED, "asked about what they may do"),
        (format!("{listener}{access}password_file = 'none'\n"), REVOKED, "who they are"),
        ("[[listener]]\nurl = 'mqtts://127.0.0.1:0'\n".to_owned() + access, REVOKED, "`url`"),
    ] {
        folder.write("broker.toml", &config);
        folder.write("acl", list);
        let line = hang_up(&mut program);
        assert!(line.contains("stays as it was") && line.contains(expected), "{expected}: {line}");
        assert_eq!(publish(&mut writer, "secret", b""), 0x10, "{expected}");
    }
    // An empty list is one that denies everything, and no mistake.
    folder.write("broker.toml", &format!("{listener}{access}"));
    folder.write("acl", "");
    assert!(hang_up(&mut program).contains("was read again"));
    assert_eq!(publish(&mut writer, "secret", b""), 0x87);
    program.signal("-TERM");
    assert_eq!(program.end().0.code(), Some(0));
}

/// Row H6 of the hostile inputs.
#[test]
#[cfg(target_os = "linux")]
fn a_reload_without_descriptors_changes_nothing() {
    let folder = Folder::new();
    folder.write("acl", REVOKED);
    let file = folder.write(
        "broker.toml",
        "[[listener]]\nurl = 'mqtt://127.0.0.1:0'\n[access]\nacl_file = 'acl'\n",
    );
    let script = format!(
        "ulimit -n 40; exec '{}' --config '{}' --log info",
        env!("CARGO_BIN_EXE_mqtt-broker-lite"),
        file.display()
    );
    let mut program = Program::run(Command::new("sh").args(["-c", &script]));
    let address = program.ready();
    let mut writer = Client::connect(address, "writer");
    let crowd: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    program.log_line(|line| line.contains("cannot accept connections"));
    folder.write("acl", OPEN);
    let line = hang_up(&mut program);
    assert!(line.contains("stays as it was"), "{line}");
    assert_eq!(publish(&mut writer, "secret", b""), 0x87, "the old rights hold");
    drop(crowd);
}

#[test]
#[cfg(feature = "tls")]
fn certificates_are_read_again_and_connections_stay() {
    use crate::tls::Authority;
    let (first, second) = (Authority::new(), Authority::new());
    let (certificate, key) = first.server();
    let folder = Folder::new();
    let file = folder.write(
        "broker.toml",
        &format!(
            "[[listener]]\nurl = 'mqtts://127.0.0.1:0'\ncertificate = '{}'\nkey = '{}'\n",
            certificate.display(),
            key.display()
        ),
    );
    let mut program = start(&file, &["--log", "info"]);
    let address = program.ready_over("mqtts");
    let mut before = first.connect(address, None);
    before.introduce("before");
    let (new_certificate, new_key) = second.server();
    fs::copy(new_certificate, &certificate).unwrap();
    let line = hang_up(&mut program);
    assert!(line.contains("cannot be used"), "a certificate without its key: {line}");
    first.connect(address, None).introduce("still");
    fs::copy(new_key, &key).unwrap();
    assert!(hang_up(&mut program).contains("was read again"));
    second.connect(address, None).introduce("after");
    before.ping();
}

#[test]
fn a_password_file_is_read_again() {
    let folder = Folder::new();
    let path = folder.write("passwords", "");
    set_password(&path, "ann", b"old").unwrap();
    let mut config = Config::free_port();
    config.password_file = Some(path.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let server = Server::bind(config.clone()).await.unwrap();
        let address = server.local_addr().unwrap();
        let knock = |password: &str| {
            let mut client = Client::open(address);
            client.send(&crate::client::connect_as("a", "ann", password));
            client.receive().body[1]
        };
        assert_eq!(knock("old"), 0x00);
        set_password(&path, "ann", b"new").unwrap();
        assert_eq!(knock("new"), 0x86);
        server.reload(config.clone()).await.unwrap();
        assert_eq!(knock("new"), 0x00);
        assert_eq!(knock("old"), 0x86);
        config.broker.limits.sessions = 1;
        let error = server.reload(config).await.unwrap_err();
        assert!(matches!(&error, ReloadError::NeedsRestart { settings } if settings == &["limits.sessions"]));
        server.shutdown().await.unwrap();
    });
}

#[test]
fn the_service_manager_hears_of_start_reload_and_end() {
    let folder = Folder::new();
    let path = folder.write("x", "").with_file_name("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let file = folder.write("broker.toml", "[[listener]]\nurl = 'mqtt://127.0.0.1:0'\n");
    let mut program = Program::run(
        Command::new(env!("CARGO_BIN_EXE_mqtt-broker-lite"))
            .args(["--config", file.to_str().unwrap()])
            .env("NOTIFY_SOCKET", &path),
    );
    program.ready();
    let next = || {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(next().contains("READY=1"));
    program.signal("-HUP");
    let reloading = next();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="));
    let ready = next();
    assert!(ready.contains("READY=1") && ready.contains("STATUS=the configuration was read again"));
    folder.write("broker.toml", "[limits]\nREADY=0 = 1\nsubscription = 1\n");
    program.signal("-HUP");
    assert!(next().contains("RELOADING=1"));
    let ready = next();
    let lines: Vec<&str> = ready.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "READY=1"), "{ready}");
    assert!(lines[1].starts_with("STATUS=the configuration stays as it was: "), "{ready}");
    program.signal("-TERM");
    assert!(next().contains("STOPPING=1"));
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn a_health_check_tells_a_broker_that_lives_from_one_that_does_not() {
    let folder = Folder::new();
    let passwords = folder.write("passwords", "");
    set_password(&passwords, "ann", b"x").unwrap();
    let socket = folder.write("y", "").with_file_name("socket");
    let file = folder.write(
        "broker.toml",
        &format!(
            "[[listener]]\nurl = 'unix://{}'\n[access]\npassword_file = 'passwords'\n",
            socket.display()
        ),
    );
    let check = |arguments: &[&str]| {
        let mut all = vec!["healthcheck"];
        all.extend_from_slice(arguments);
        Program::start(&all).end()
    };
    let by_file = ["--config", file.to_str().unwrap()];
    assert_eq!(check(&by_file).0.code(), Some(1), "it does not run yet");
    let url = format!("unix://{}", socket.display());
    let mut program = start(&file, &["--listen", &url, "--listen", "mqtt://127.0.0.1:0"]);
    let line = program.line();
    assert_eq!(line, format!("listening on {url}\n"));
    let tcp = format!("mqtt://{}", program.ready());
    for arguments in [&by_file[..], &[&url], &[&tcp]] {
        let (status, text) = check(arguments);
        assert_eq!(status.code(), Some(0), "{arguments:?}: {text}");
    }
    program.signal("-TERM");
    let (_, log) = program.end();
    assert_eq!(log, "", "a health check is no failed authentication");
    let (status, text) = check(&[&tcp]);
    assert_eq!(status.code(), Some(1));
    assert!(text.contains(&format!("no broker answers at {tcp}: ")), "{text}");
}

#[test]
fn sys_topics_have_mosquittos_names() {
    let mut config = Config::free_port();
    config.sys_interval = Duration::from_millis(50);
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    let mut all = Client::connect(address, "all");
    all.subscribe("#");
    let mut client = Client::connect(address, "a");
    client.subscribe("$SYS/#");
    let mut seen = std::collections::BTreeMap::new();
    let began = Instant::now();
    while seen.get("$SYS/broker/clients/connected").is_none_or(|count| count != "2")
        || seen.len() < 15
    {
        let (topic, payload) = client.receive_message();
        seen.insert(topic, String::from_utf8(payload).unwrap());
        assert!(began.elapsed() < PATIENCE, "{seen:?}");
    }
    assert!(seen["$SYS/broker/version"].starts_with("mqtt-broker-lite "), "{seen:?}");
    assert!(seen["$SYS/broker/uptime"].ends_with(" seconds"), "{seen:?}");
    // Clients cannot write there, and a `#` does not see it.
    assert_eq!(publish(&mut all, "$SYS/broker/uptime", b"x"), 0x87);
    all.ping();
}

fn get(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn metrics_are_served_where_they_are_asked_for() {
    let mut config = Config::free_port();
    config.metrics = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.broker.limits.queued_messages = 1;
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    let metrics = server.metrics_addr().unwrap();
    let mut reader = resume(address, "re\"ader", 0);
    reader.send(&subscribe("t", 1));
    reader.receive();
    drop(reader);
    let mut writer = Client::connect(address, "writer");
    // The broker hears of the end by itself.
    let began = Instant::now();
    while !get(metrics, "GET /metrics HTTP/1.1\r\n\r\n").contains("mqtt_clients_connected 1\n") {
        assert!(began.elapsed() < PATIENCE);
    }
    for _ in 0..3 {
        publish(&mut writer, "t", b"x");
    }
    let response = get(metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    for line in [
        "mqtt_messages_dropped_total{by=\"queue_full\"} 2\n",
        "mqtt_publishes_received_total{by=\"1\"} 3\n",
        "mqtt_sessions 2\n",
    ] {
        assert!(response.contains(line), "{line}: {response}");
    }
    assert!(!response.contains("ader"), "no client is named");
    assert!(get(metrics, "GET /healthz HTTP/1.0\r\n\r\n").ends_with("alive\n"));
    assert!(get(metrics, "GET /other HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(get(metrics, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(get(metrics, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let mut silent = TcpStream::connect(metrics).unwrap();
    server.shutdown_blocking().unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0, "it ends with the broker");
}

/// Row H2 of the hostile inputs.
#[test]
fn a_client_that_wants_no_keep_alive_is_held_to_the_brokers() {
    let mut config = Config::free_port();
    config.broker.keep_alive_ceiling = Some(1.try_into().unwrap());
    let server = Server::bind_blocking(config).unwrap();
    for keep_alive in [[0, 0], [0xff, 0xff]] {
        let mut client = Client::open(server.local_addr().unwrap());
        let mut packet = connect("a");
        let at = packet.windows(2).position(|two| two == [0x00, 0x3c]).unwrap();
        packet[at..at + 2].copy_from_slice(&keep_alive);
        client.send(&packet);
        let connack = client.receive();
        assert!(
            connack.body.windows(3).any(|three| three == [0x13, 0x00, 0x01]),
            "Server Keep Alive"
        );
        client.expect_disconnect(0x8d);
    }
}

/// Row H7 of the hostile inputs.
#[test]
fn a_crowd_and_one_that_does_not_read_are_shut_down_in_time() {
    let mut program = Program::start(&["--listen", "mqtt://127.0.0.1:0"]);
    let address = program.ready();
    let mut stuck = Client::connect(address, "stuck");
    stuck.subscribe("t");
    let mut crowd: Vec<Client> =
        (0..400).map(|number| Client::connect(address, &format!("client-{number}"))).collect();
    let payload = vec![0; 1024 * 1024];
    for _ in 0..12 {
        crowd[0].publish("t", &payload);
    }
    crowd[0].ping();
    let began = Instant::now();
    program.signal("-TERM");
    for client in &mut crowd {
        client.expect_disconnect(0x8b);
    }
    assert_eq!(program.end().0.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// Row H1 of the hostile inputs: what never looks at the wall clock cannot be misled by it.
#[test]
fn nothing_that_decides_reads_the_wall_clock() {
    fn search(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                search(&path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("SystemTime"), "{}", path.display());
            }
        }
    }
    search(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    search(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../mqtt-session/src/broker")));
}

/// A packet that no client sends, to see that the helpers build what they say.
#[test]
fn a_packet_of_the_helpers_has_its_length() {
    assert_eq!(packet(0xc0, &[]), [0xc0, 0x00]);
    assert_eq!(packet(0x30, &[0; 200])[..3], [0x30, 0xc8, 0x01]);
}
