//! The brokers that the run goes through: ours, which lives through it, and mosquitto, which is
//! killed again and again and keeps its state in a file.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mqtt_broker_lite::{Config, Server};
use tempfile::TempDir;

use crate::Failure;

pub(crate) enum Broker {
    Ours(Box<Server>),
    Mosquitto(Mosquitto),
}

impl Broker {
    pub(crate) async fn ours() -> Result<Self, Failure> {
        Ok(Self::Ours(Box::new(Server::bind(Config::free_port()).await?)))
    }

    /// Mosquitto, if it is installed.
    pub(crate) fn mosquitto() -> Result<Option<Self>, Failure> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
        let mut places = std::env::split_paths(&path).chain(sbin);
        let program =
            places.find_map(|folder| Some(folder.join("mosquitto")).filter(|it| it.is_file()));
        program.map(|program| Mosquitto::start(&program).map(Self::Mosquitto)).transpose()
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ours(_) => "mqtt-broker-lite",
            Self::Mosquitto(_) => "mosquitto",
        }
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        match self {
            Self::Ours(server) => Ok(server.local_addr().ok_or("the broker listens nowhere")?),
            Self::Mosquitto(mosquitto) => Ok(mosquitto.address),
        }
    }

    /// Kills it with SIGKILL and starts it again from its file. False for a broker that is not to be
    /// killed.
    pub(crate) fn kill(&mut self) -> Result<bool, Failure> {
        match self {
            Self::Ours(_) => Ok(false),
            Self::Mosquitto(mosquitto) => mosquitto.restart().map(|()| true),
        }
    }
}

/// A mosquitto with a folder of its own.
pub(crate) struct Mosquitto {
    program: PathBuf,
    folder: TempDir,
    process: Child,
    address: SocketAddr,
}

impl Mosquitto {
    fn start(program: &Path) -> Result<Self, Failure> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let folder = tempfile::tempdir()?;
        // The state is written after every change, which is the most that it promises.
        let config = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {}/\nautosave_on_changes true\nautosave_interval 1\n\
             max_queued_messages 0\nuser root\n",
            address.port(),
            folder.path().display(),
        );
        fs::write(folder.path().join("mosquitto.conf"), config)?;
        let process = Self::spawn(program, folder.path())?;
        let mut mosquitto = Self { program: program.to_owned(), folder, process, address };
        mosquitto.listens()?;
        Ok(mosquitto)
    }

    fn spawn(program: &Path, folder: &Path) -> Result<Child, Failure> {
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("mosquitto.conf"));
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    fn listens(&mut self) -> Result<(), Failure> {
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("mosquitto has ended: {status}").into());
            }
            if begin.elapsed() > Duration::from_secs(10) {
                return Err("mosquitto does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = Self::spawn(&self.program, self.folder.path())?;
        self.listens()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}
