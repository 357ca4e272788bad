//! Who may come in, and what they may do: files, hooks, and what becomes of those that fail.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mqtt_broker_lite::{
    AuthenticateAnswer, AuthenticateRequest, Authenticator, Authorizer, BindError, Config,
    ConnectRequest, ConnectVerdict, Permission, PublishRequest, ReadRequest, Server,
    SubscribeRequest, set_password,
};

use crate::binary::Program;
use crate::client::{Client, connect, connect_as, publish_qos1, subscribe};
use crate::config::{Folder, start};

fn serve(config: Config) -> (Server, SocketAddr) {
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}

/// The reason in the CONNACK for a client with these credentials.
fn knock(address: SocketAddr, client_id: &str, credentials: Option<(&str, &str)>) -> u8 {
    let mut client = Client::open(address);
    client.send(&credentials.map_or_else(
        || connect(client_id),
        |(user, password)| connect_as(client_id, user, password),
    ));
    let connack = client.receive();
    assert_eq!(connack.first, 0x20, "a CONNACK");
    if connack.body[1] != 0 {
        client.expect_end();
    }
    connack.body[1]
}

/// A client that is let in under this name.
fn enter(address: SocketAddr, client_id: &str, user: &str, password: &str) -> Client {
    let mut client = Client::open(address);
    client.send(&connect_as(client_id, user, password));
    assert_eq!(client.receive().body[1], 0x00);
    client
}

/// The reason in the PUBACK for a message to `topic`.
fn puback(client: &mut Client, topic: &str) -> u8 {
    client.send(&publish_qos1(topic, 7, b"x"));
    let puback = client.receive();
    assert_eq!((puback.first, &puback.body[..2]), (0x40, &[0, 7][..]), "a PUBACK");
    puback.body.get(2).copied().unwrap_or(0)
}

/// The reason in the SUBACK for `filter`.
fn suback(client: &mut Client, filter: &str) -> u8 {
    client.send(&subscribe(filter, 0));
    let suback = client.receive();
    assert_eq!(suback.first, 0x90, "a SUBACK");
    *suback.body.last().unwrap()
}

#[test]
fn a_password_opens_the_door_and_nothing_else_does() {
    let folder = Folder::new();
    let path = folder.write("passwords", "");
    set_password(&path, "ann", b"right").unwrap();
    let mut config = Config::free_port();
    config.password_file = Some(path);
    let (_server, address) = serve(config);
    assert_eq!(knock(address, "a", Some(("ann", "right"))), 0x00);
    assert_eq!(knock(address, "a", Some(("ann", "wrong"))), 0x86);
    assert_eq!(knock(address, "a", Some(("ann", ""))), 0x86);
    assert_eq!(knock(address, "a", Some(("bob", "right"))), 0x86);
    assert_eq!(knock(address, "a", None), 0x87);
}

#[test]
fn anonymous_clients_come_in_beside_users_if_that_is_asked_for() {
    let folder = Folder::new();
    let path = folder.write("passwords", "");
    set_password(&path, "ann", b"right").unwrap();
    let mut config = Config::free_port();
    config.password_file = Some(path);
    config.allow_anonymous = true;
    let (_server, address) = serve(config);
    assert_eq!(knock(address, "a", None), 0x00);
    assert_eq!(knock(address, "a", Some(("ann", "wrong"))), 0x86);
    assert_eq!(knock(address, "b", Some(("ann", "right"))), 0x00);
}

#[test]
fn a_session_of_another_user_is_not_taken_over() {
    let folder = Folder::new();
    let path = folder.write("passwords", "");
    set_password(&path, "ann", b"one").unwrap();
    set_password(&path, "bob", b"two").unwrap();
    let mut config = Config::free_port();
    config.password_file = Some(path);
    let (_server, address) = serve(config);
    let mut ann = enter(address, "same", "ann", "one");
    assert_eq!(knock(address, "same", Some(("bob", "two"))), 0x87);
    ann.ping();
}

#[test]
fn an_empty_list_denies_everything() {
    let folder = Folder::new();
    let mut config = Config::free_port();
    config.acl_file = Some(folder.write("acl", ""));
    let (_server, address) = serve(config);
    let mut client = Client::connect(address, "a");
    assert_eq!(puback(&mut client, "t"), 0x87);
    assert_eq!(suback(&mut client, "#"), 0x87);
}

#[test]
fn the_list_says_who_may_publish_subscribe_and_read() {
    let folder = Folder::new();
    let passwords = folder.write("passwords", "");
    set_password(&passwords, "ann", b"one").unwrap();
    let mut config = Config::free_port();
    config.password_file = Some(passwords);
    config.allow_anonymous = true;
    config.acl_file = Some(folder.write(
        "acl",
        "topic read news/#\nuser ann\ntopic readwrite #\ntopic deny news/secret\n\
         pattern readwrite own/%c/#\n",
    ));
    let (_server, address) = serve(config);
    let mut ann = enter(address, "ann-1", "ann", "one");
    let mut reader = Client::connect(address, "reader");
    assert_eq!(suback(&mut reader, "news/+"), 0x00);
    assert_eq!(suback(&mut reader, "own/reader/x"), 0x00);
    assert_eq!(suback(&mut reader, "own/ann-1/x"), 0x87);
    assert_eq!(suback(&mut reader, "#"), 0x00, "what may be read is sent");
    assert_eq!(puback(&mut reader, "news/fake"), 0x87);
    assert_eq!(puback(&mut ann, "news/secret"), 0x87);
    assert_eq!(puback(&mut ann, "private"), 0x00);
    assert_eq!(puback(&mut ann, "news/one"), 0x00);
    assert_eq!(reader.receive_message().0, "news/one", "and private was not sent");
}

/// A right belongs to the client, whichever listener it came by.
#[test]
fn the_list_holds_on_every_listener() {
    let folder = Folder::new();
    let mut config = Config::free_port();
    config.listeners.push(config.listeners[0].clone());
    config.acl_file = Some(folder.write("acl", "topic write allowed\n"));
    let (server, _) = serve(config);
    for address in server.addresses() {
        let mut client = Client::connect(address.socket_addr().unwrap(), "a");
        assert_eq!(puback(&mut client, "allowed"), 0x10, "it has no subscribers");
        assert_eq!(puback(&mut client, "other"), 0x87);
    }
}

#[test]
fn a_wrong_file_keeps_the_broker_from_starting_and_is_told_with_its_lines() {
    let folder = Folder::new();
    let mut config = Config::free_port();
    config.acl_file = Some(folder.write("acl", "topic read a\ntopic read\ntopic a/#/b\n"));
    let error = Server::bind_blocking(config).unwrap_err();
    assert!(matches!(error, BindError::File(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("acl:3: ") && !text.contains("acl:1: "), "{text}");

    folder.write("passwords", "ann:\n");
    let file = folder.write("broker.toml", "[access]\npassword_file = 'passwords'\n");
    for arguments in [&[][..], &["--check"][..]] {
        let (status, text) = start(&file, arguments).end();
        assert_eq!(status.code(), Some(1));
        assert!(text.contains("passwords:1: the hash is missing"), "{text}");
    }
}

#[test]
fn with_a_password_file_a_listener_may_be_reached_from_elsewhere() {
    let folder = Folder::new();
    let passwords = folder.write("passwords", "");
    set_password(&passwords, "ann", b"one").unwrap();
    let mut config = Config::free_port();
    config.listeners = vec!["mqtt://0.0.0.0:0".parse().unwrap()];
    assert!(matches!(config.check(), Err(BindError::AnonymousBeyondLoopback { .. })));
    config.password_file = Some(passwords);
    config.check().unwrap();
}

#[test]
fn the_program_sets_passwords_that_its_broker_takes() {
    let folder = Folder::new();
    let passwords = folder.write("passwords", "# users\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqtt-broker-lite"))
        .arg("passwd")
        .arg(&passwords)
        .arg("ann")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"the word\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!fs::read_to_string(&passwords).unwrap().contains("the word"));
    let file = folder.write("broker.toml", "[access]\npassword_file = 'passwords'\n");
    let mut program = start(&file, &["--listen", "mqtt://127.0.0.1:0"]);
    let address = program.ready();
    assert_eq!(knock(address, "a", Some(("ann", "the word"))), 0x00);
    // The line is what tools that watch the log look for.
    assert_eq!(knock(address, "a\u{2028}b", Some(("ann", "other"))), 0x86);
    program.signal("-TERM");
    let (_, log) = program.end();
    let expected = "authentication failed address=127.0.0.1 reason=0x86 user=\"ann\"";
    assert!(log.contains(expected), "{log}");
    assert!(!log.contains('\u{2028}'), "names are escaped: {log}");
    let empty = Program::start(&["passwd", passwords.to_str().unwrap(), "bob"]).end();
    assert_eq!(empty.0.code(), Some(1), "an empty password is refused: {}", empty.1);
}

#[test]
fn many_wrong_passwords_keep_nobody_else_waiting() {
    let folder = Folder::new();
    let passwords = folder.write("passwords", "");
    set_password(&passwords, "ann", b"one").unwrap();
    let mut config = Config::free_port();
    config.password_file = Some(passwords);
    config.password_threads = 1.try_into().unwrap();
    config.password_checks = 2.try_into().unwrap();
    let (_server, address) = serve(config);
    let mut ann = enter(address, "ann", "ann", "one");
    let mut crowd: Vec<Client> = (0..20).map(|_| Client::open(address)).collect();
    for (number, client) in crowd.iter_mut().enumerate() {
        client.send(&connect_as(&format!("c{number}"), "ann", "guess"));
    }
    ann.ping();
    let reasons: Vec<u8> = crowd.iter_mut().map(|client| client.receive().body[1]).collect();
    assert!(reasons.contains(&0x89), "over the bound the broker is busy: {reasons:x?}");
    assert!(reasons.contains(&0x86), "and others are checked: {reasons:x?}");
    assert!(reasons.iter().all(|reason| [0x86, 0x89].contains(reason)), "{reasons:x?}");
}

/// Does what the client identifier asks for.
struct Whims;

impl Authenticator for Whims {
    async fn connect(&self, request: &ConnectRequest) -> ConnectVerdict {
        match (request.client_id(), request.authentication_round()) {
            ("panic", _) => panic!("as the test wants"),
            ("slow", _) => std::future::pending().await,
            ("abstain", _) => ConnectVerdict::Abstain,
            ("steps", 0) => ConnectVerdict::Challenge("what?".into()),
            (name, _) => ConnectVerdict::accept(name),
        }
    }

    async fn authenticate(&self, request: &AuthenticateRequest) -> Option<AuthenticateAnswer> {
        assert_ne!(request.authentication_data(), Some(&b"panic"[..]), "as the test wants");
        Some(AuthenticateAnswer::Accept(None))
    }
}

impl Authorizer for Whims {
    async fn publish(&self, request: &PublishRequest) -> Permission {
        match request.topic() {
            "panic" => panic!("as the test wants"),
            "slow" => std::future::pending().await,
            "allow" => Permission::Allow,
            "deny" => Permission::Deny,
            _ => Permission::Abstain,
        }
    }

    async fn subscribe(&self, request: &SubscribeRequest, filter: &str) -> Permission {
        assert!(request.identity().is_some());
        match filter {
            "panic" => panic!("as the test wants"),
            "#" | "allow" => Permission::Allow,
            _ => Permission::Abstain,
        }
    }
}

/// Asks the next one first.
struct Never;

impl Authenticator for Never {
    async fn connect(&self, _: &ConnectRequest) -> ConnectVerdict {
        ConnectVerdict::Abstain
    }
}

fn with_whims() -> Config {
    let mut config = Config::free_port();
    config.authenticate_with(Never);
    config.authenticate_with(Whims);
    config.authorize_with(Whims);
    config
}

#[test]
fn hooks_are_asked_in_order_and_the_end_of_the_chain_denies() {
    let (_server, address) = serve(with_whims());
    assert_eq!(knock(address, "abstain", None), 0x87);
    assert_eq!(knock(address, "abstain", Some(("ann", "one"))), 0x86);
    let mut client = Client::connect(address, "ann");
    assert_eq!(puback(&mut client, "allow"), 0x10);
    assert_eq!(puback(&mut client, "deny"), 0x87);
    assert_eq!(puback(&mut client, "other"), 0x87);
    assert_eq!(suback(&mut client, "allow"), 0x00);
    assert_eq!(suback(&mut client, "other"), 0x87);
}

#[test]
fn a_hook_that_panics_hurts_its_connection_alone() {
    let (_server, address) = serve(with_whims());
    let mut canary = Client::connect(address, "canary");
    assert_eq!(knock(address, "panic", None), 0x83);
    canary.ping();
    let mut client = Client::connect(address, "ann");
    assert_eq!(puback(&mut client, "panic"), 0x83);
    assert_eq!(suback(&mut client, "panic"), 0x83);
    assert_eq!(puback(&mut client, "allow"), 0x10);
    canary.ping();
}

#[test]
fn a_hook_that_never_answers_hurts_its_connection_alone() {
    let mut config = with_whims();
    config.broker.decisions.timeout = Duration::from_millis(300);
    let (_server, address) = serve(config);
    let mut slow = Client::open(address);
    slow.send(&connect("slow"));
    let mut publisher = Client::connect(address, "ann");
    publisher.send(&publish_qos1("slow", 1, b""));
    let began = Instant::now();
    for number in 0..20 {
        let mut client = Client::connect(address, &format!("client-{number}"));
        assert_eq!(puback(&mut client, "allow"), 0x10);
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(slow.receive().body[1] >= 0x80, "refused in the end");
    assert!(publisher.receive().body[2] >= 0x80, "denied in the end");
}

#[test]
fn what_a_client_may_read_is_asked_and_asked_again_when_rights_change() {
    struct Readers(Arc<AtomicBool>);
    impl Authorizer for Readers {
        async fn publish(&self, _: &PublishRequest) -> Permission {
            Permission::Allow
        }
        async fn subscribe(&self, _: &SubscribeRequest, _: &str) -> Permission {
            Permission::Allow
        }
        async fn read(&self, request: &ReadRequest) -> Permission {
            let open = self.0.load(Ordering::Relaxed) || request.topic() != "secret";
            if open { Permission::Allow } else { Permission::Deny }
        }
    }
    let open = Arc::new(AtomicBool::new(true));
    let mut config = Config::free_port();
    config.authorize_with(Readers(Arc::clone(&open)));
    let (server, address) = serve(config);
    let mut reader = Client::connect(address, "reader");
    reader.subscribe("#");
    let mut writer = Client::connect(address, "writer");
    writer.publish("secret", b"1");
    assert_eq!(reader.receive_message().1, b"1");
    open.store(false, Ordering::Relaxed);
    server.rights_changed(Some("reader"));
    writer.publish("secret", b"2");
    writer.publish("open", b"3");
    assert_eq!(reader.receive_message().1, b"3");
}

/// CONNECT and AUTH with the method "m".
fn with_method(first: u8, head: &[u8], data: &[u8]) -> Vec<u8> {
    let mut properties = b"\x15\x00\x01m\x16\x00".to_vec();
    properties.push(u8::try_from(data.len()).unwrap());
    properties.extend_from_slice(data);
    let mut body = head.to_vec();
    body.push(u8::try_from(properties.len()).unwrap());
    body.extend_from_slice(&properties);
    if first == 0x10 {
        body.extend_from_slice(b"\x00\x05steps");
    }
    let mut packet = vec![first, u8::try_from(body.len()).unwrap()];
    packet.extend_from_slice(&body);
    packet
}

/// Proves: [MQTT-4.12.0-2], [MQTT-4.12.1-2]
#[test]
fn an_authentication_in_steps_is_the_hooks() {
    let (_server, address) = serve(with_whims());
    let mut client = Client::open(address);
    client.send(&with_method(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c", b"hello"));
    let auth = client.receive();
    assert_eq!((auth.first, auth.body[0]), (0xf0, 0x18), "AUTH: continue");
    assert!(auth.body.ends_with(b"what?"));
    client.send(&with_method(0xf0, &[0x18], b"this"));
    assert_eq!((client.receive().first, 0x00), (0x20, 0x00), "CONNACK");
    client.send(&with_method(0xf0, &[0x19], b"again"));
    let auth = client.receive();
    assert_eq!((auth.first, auth.body.first().copied().unwrap_or(0)), (0xf0, 0x00));
    client.send(&with_method(0xf0, &[0x19], b"panic"));
    client.expect_disconnect(0x83);
}
