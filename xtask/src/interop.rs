//! `cargo xtask interop`: the clients that most programs have, against the broker's binary over
//! every transport: Python's paho-mqtt, npm's mqtt, and that one again on a page in Chromium.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{
    args::Args,
    certificate::{self, Certificate},
    debian::{self, CHROMIUM, OPENSSL},
    error::Error,
    notice::{self, Notice},
    process::{cargo, program, root, run as run_program, succeeds, target},
};

/// Where the scripts are, and what they need.
const SCRIPTS: &str = "tests/interop";

/// The page that a browser shows.
const PAGE: &str = "docs/examples/browser/index.html";

/// Where the broker listens: each of its transports that a client of others speaks.
const LISTENERS: [&str; 4] = [
    "mqtt://127.0.0.1:0",
    "mqtts://127.0.0.1:0",
    "ws://127.0.0.1:0/mqtt",
    "wss://127.0.0.1:0/mqtt",
];

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    Args::new(args).finish()?;
    notice::settle(&check()?)
}

/// Runs what can run here; returns what can't.
pub(crate) fn check() -> Result<Vec<Notice>, Error> {
    let mut notices = debian::ensure(&[&CHROMIUM, &OPENSSL]);
    let folder = target()?.join("interop");
    fs::create_dir_all(&folder)?;
    copy_scripts(&folder)?;
    let python = or_notice(install_paho(&folder), PAHO, &mut notices);
    let has_node = or_notice(install_mqttjs(&folder), MQTTJS, &mut notices).is_some();
    if !OPENSSL.is_installed() {
        return Ok(notices);
    }
    let certificate = certificate::make(&folder)?;
    let broker = Broker::start(&certificate)?;
    for url in &broker.urls {
        if let Some(python) = &python {
            let script = folder.join("paho_client.py");
            run_program(program(python).arg(script).arg(url).arg(&certificate.chain))?;
        }
        if has_node {
            let script = folder.join("mqttjs_client.mjs");
            run_program(program("node").arg(script).arg(url).arg(&certificate.chain))?;
        }
        if has_node && url.starts_with("ws://") && CHROMIUM.is_installed() {
            let script = folder.join("browser.mjs");
            run_program(program("node").arg(script).args([url, PAGE, "/usr/bin/chromium"]))?;
        }
    }
    broker.stop()?;
    Ok(notices)
}

/// What can't be done without a client of others, and how to mend that.
#[derive(Debug, Clone, Copy)]
struct Purpose {
    what: &'static str,
    remedy: &'static str,
}

const PAHO: Purpose = Purpose {
    what: "the broker against Python's paho-mqtt",
    remedy: "install python3 and python3-venv; pip needs a network the first time",
};

const MQTTJS: Purpose = Purpose {
    what: "the broker against npm's mqtt",
    remedy: "install node 20 and npm; npm needs a network the first time",
};

fn or_notice<T>(
    result: Result<T, Error>,
    purpose: Purpose,
    notices: &mut Vec<Notice>,
) -> Option<T> {
    result
        .map_err(|error| {
            notices.push(Notice::required(purpose.what, error.to_string(), purpose.remedy));
        })
        .ok()
}

/// Node looks for packages beside a script, and they don't belong among the sources.
fn copy_scripts(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(root().join(SCRIPTS))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(())
}

/// A Python of our own with the packages that `requirements.txt` names; returns its path.
fn install_paho(folder: &Path) -> Result<PathBuf, Error> {
    let home = folder.join("python");
    let python = home.join("bin/python");
    if !python.is_file() {
        run_program(program("python3").args(["-m", "venv"]).arg(&home))?;
    }
    run_program(
        program(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(folder.join("requirements.txt")),
    )?;
    Ok(python)
}

/// The packages that `package-lock.json` names; nothing is fetched if they are there.
fn install_mqttjs(folder: &Path) -> Result<(), Error> {
    let mut list = program("npm");
    list.args(["ls", "--all", "--prefix"]).arg(folder);
    if succeeds(&mut list) {
        return Ok(());
    }
    run_program(program("npm").args(["ci", "--silent", "--no-audit", "--prefix"]).arg(folder))
}

/// The broker's program, under way.
struct Broker {
    child: Child,
    /// Stays open: what the program says is written into it.
    _output: BufReader<ChildStdout>,
    urls: Vec<String>,
}

impl Broker {
    fn start(certificate: &Certificate) -> Result<Self, Error> {
        run_program(cargo().args(["build", "--quiet", "-p", "mqtt-broker-lite"]))?;
        let mut command = program(target()?.join("debug/mqtt-broker-lite"));
        for listener in LISTENERS {
            command.args(["--listen", listener]);
        }
        command.arg("--certificate").arg(&certificate.chain).arg("--key").arg(&certificate.key);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::from(error).context("mqtt-broker-lite"))?;
        let output = child.stdout.take().ok_or_else(|| Error::new("the broker has no output"))?;
        let mut broker = Self { child, _output: BufReader::new(output), urls: Vec::new() };
        for _ in LISTENERS {
            let mut line = String::new();
            broker._output.read_line(&mut line)?;
            let url = line.trim_end().strip_prefix("listening on ").ok_or_else(|| {
                Error::new(format!("the broker said {line:?} and not where it listens"))
            })?;
            broker.urls.push(url.to_owned());
        }
        Ok(broker)
    }

    /// Asks the program to end, as a service manager does.
    fn stop(mut self) -> Result<(), Error> {
        run_program(Command::new("kill").arg(self.child.id().to_string()))?;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(Error::new(format!("the broker ended with {status}")))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // After `stop` there is nothing left to end.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
