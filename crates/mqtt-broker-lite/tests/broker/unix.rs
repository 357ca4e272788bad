//! Unix sockets: served like others, and careful with what stands at their path.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use mqtt_broker_lite::{BindError, Config, Server};

use crate::client::{Client, PATIENCE};

fn config(path: &Path) -> Config {
    let mut config = Config::free_port();
    config.listeners = vec![format!("unix://{}", path.display()).parse().unwrap()];
    config
}

fn connect(path: &Path) -> Client<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client { stream }
}

#[test]
fn clients_of_a_unix_socket_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker");
    let server = Server::bind_blocking(config(&path)).unwrap();
    assert_eq!(server.addresses()[0].to_string(), format!("unix://{}", path.display()));
    let mut reader = connect(&path);
    reader.introduce("reader");
    reader.subscribe("t");
    let mut writer = connect(&path);
    writer.introduce("writer");
    let payload = vec![7; 300_000];
    writer.publish("t", &payload);
    assert_eq!(reader.receive_message(), ("t".to_owned(), payload));
    let stopping = std::thread::spawn(|| server.shutdown_blocking());
    reader.expect_disconnect(0x8b);
    stopping.join().unwrap().unwrap();
    assert!(!path.exists(), "the file goes with the socket");
}

#[test]
fn the_socket_is_for_the_owner_and_the_group_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, expected) in [(None, 0o660), (Some(0o600), 0o600)] {
        let path = folder.path().join("broker");
        let mut config = config(&path);
        if let Some(mode) = mode {
            config.listeners[0].mode = mode;
        }
        let server = Server::bind_blocking(config).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, expected);
        server.shutdown_blocking().unwrap();
    }
}

/// Row G8 of the hostile inputs.
#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let link = folder.path().join("link");
    symlink(&file, &link).unwrap();
    let to_nowhere = folder.path().join("to-nowhere");
    symlink(folder.path().join("nowhere"), &to_nowhere).unwrap();
    for path in [&file, &link, &to_nowhere, &folder.path().to_owned()] {
        let error = Server::bind_blocking(config(path)).unwrap_err();
        let BindError::Listen { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.kind(), ErrorKind::AlreadyExists, "{error}");
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "precious");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "nobody listens, and the file is there");
    let server = Server::bind_blocking(config(&path)).unwrap();
    connect(&path).introduce("a");
    let error = Server::bind_blocking(config(&path)).unwrap_err();
    let BindError::Listen { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), ErrorKind::AddrInUse);
    connect(&path).introduce("b");
    drop(server);
}
