//! What the broker is installed with: the unit of systemd and the configuration beside it.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::binary::Program;
use crate::client::{Client, connect, connect_as};
use crate::config::Folder;

fn packaged(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    fs::read_to_string(path).unwrap()
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let folder = Folder::new();
    let unit = packaged("mqtt-broker-lite.service");
    let installed = "ExecStart=/usr/local/bin/mqtt-broker-lite ";
    assert!(unit.contains(installed), "{unit}");
    let here = format!("ExecStart={} ", env!("CARGO_BIN_EXE_mqtt-broker-lite"));
    let path = folder.write("mqtt-broker-lite.service", &unit.replace(installed, &here));
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            // Past the capture of the test's output: whoever runs the tests has to see it.
            let note = "NOT CHECKED: the unit, for there is no systemd-analyze\n";
            return io::stderr().write_all(note.as_bytes()).unwrap();
        }
    };
    // It ends with 0 after lines that it ignores, and tells of other units of the machine too.
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(!told.contains("mqtt-broker-lite"), "{told}");
}

#[test]
fn the_configuration_serves_users_of_its_password_file_with_the_rights_of_its_list() {
    let folder = Folder::new();
    let config = folder.write("broker.toml", &packaged("broker.toml"));
    let config = config.to_str().unwrap();
    let passwords = folder.write("passwords", "");
    let mut passwd = Command::new(env!("CARGO_BIN_EXE_mqtt-broker-lite"))
        .args(["passwd", passwords.to_str().unwrap(), "ann"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    passwd.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    assert!(passwd.wait().unwrap().success());
    folder.write("acl", "user ann\ntopic readwrite home/#\n");
    let (status, text) = Program::start(&["--config", config, "--check"]).end();
    assert!(status.success(), "{text}");

    // The port of the file may be taken here.
    let arguments = ["--config", config, "--listen", "mqtt://127.0.0.1:0"];
    let mut program = Program::start(&arguments);
    let address = program.ready();
    for (password, expected) in [("wrong", 0x86), ("secret", 0x00)] {
        let mut client = Client::open(address);
        client.send(&connect_as("phone", "ann", password));
        assert_eq!(client.receive().body[1], expected);
    }
    let mut nobody = Client::open(address);
    nobody.send(&connect("phone"));
    assert_eq!(nobody.receive().body[1], 0x87);
}
