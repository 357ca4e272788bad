//! A process under measurement: started on its own core, watched through `/proc`, ended on drop.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{
    dial,
    meter::Cores,
    peers::{NamedConfig, Need, Peer, Program, Ready},
};
use crate::{
    bench, certificate,
    error::Error,
    process::{program, root, run, target},
};

/// How long a broker may take until it serves.
const START: Duration = Duration::from_secs(20);

/// A broker that was started for one run.
#[derive(Debug)]
pub(super) struct Broker {
    child: Child,
    /// What carries the load's plain connections to a broker that listens for another transport.
    front: Option<Child>,
    address: SocketAddr,
    folder: PathBuf,
}

impl Broker {
    /// Starts `peer` on its core and waits until it serves.
    pub(super) fn start(
        peer: &'static Peer,
        cores: Cores,
        named: Option<&NamedConfig>,
    ) -> Result<Self, Error> {
        let ready = named.and_then(|named| named.ready).unwrap_or(peer.ready);
        let port = match ready {
            Ready::Line(_) => 0,
            Ready::Serves => free_port()?,
        };
        let folder = fresh_folder()?;
        let config = folder.join("broker.toml");
        let mut words =
            vec![("{port}", port.to_string()), ("{config}", config.display().to_string())];
        words.push(("{spare}", free_port()?.to_string()));
        if named.is_some_and(|named| named.need == Need::Tls) {
            let made = certificate::make(&folder)?;
            words.push(("{certificate}", made.chain.display().to_string()));
            words.push(("{key}", made.key.display().to_string()));
        }
        let fill = |text: &str| {
            words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
        };
        let text = format!("{}{}", peer.config, named.map_or("", |named| named.config));
        fs::write(&config, fill(&text))?;

        let installed = Installed::find(peer)?;
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &cores.broker.to_string()]).arg(&installed.program);
        let named_args = named.map_or(&[][..], |named| named.args);
        command.args(peer.args.iter().chain(named_args).map(|arg| fill(arg)));
        let log = fs::File::create(folder.join("stderr"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command.current_dir(installed.folder.as_deref().unwrap_or(&folder));
        let child = command
            .spawn()
            .map_err(|error| Error::from(error).context(format!("starting {}", peer.name)))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut broker = Self { child, front: None, address, folder };
        let need = named.map(|named| named.need);
        broker.wait_until_ready(peer, ready, need, cores.load).map_err(|error| {
            let log = fs::read_to_string(broker.folder.join("stderr")).unwrap_or_default();
            error.context(format!("{} does not start: {}", peer.name, log.trim()))
        })?;
        Ok(broker)
    }

    fn wait_until_ready(
        &mut self,
        peer: &Peer,
        ready: Ready,
        need: Option<Need>,
        load_core: usize,
    ) -> Result<(), Error> {
        let stdout = self.child.stdout.take().ok_or_else(|| Error::new("no standard output"))?;
        let (lines, arriving) = mpsc::channel();
        // Goes on reading until the broker ends, so that a full pipe never blocks it.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    continue;
                }
            }
        });
        let deadline = Instant::now() + START;
        match ready {
            Ready::Line(prefix) => loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let line = arriving
                    .recv_timeout(left)
                    .map_err(|_| Error::new(format!("no line {prefix}PORT on standard output")))?;
                if let Some(port) = line.strip_prefix(prefix) {
                    let port = port.trim().trim_end_matches('/').parse().map_err(|_| {
                        Error::new(format!("no port at the end of the ready line {line}"))
                    })?;
                    self.address.set_port(port);
                    return self.put_front(need, load_core);
                }
            },
            Ready::Serves => loop {
                if self.front.is_none() {
                    self.put_front(need, load_core)?;
                }
                match dial::connect(self.address, peer.protocol, "ready") {
                    Ok(_) => return Ok(()),
                    Err(error) if Instant::now() > deadline => return Err(error),
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
                if let Some(status) = self.child.try_wait()? {
                    return Err(Error::new(format!("it ended with {status}")));
                }
            },
        }
    }

    /// Starts what the load needs to reach a listener of another transport, and goes there from
    /// now on.
    fn put_front(&mut self, need: Option<Need>, core: usize) -> Result<(), Error> {
        let over = match need {
            Some(Need::Tls) => "tls",
            Some(Need::WebSocket) => "ws",
            _ => return Ok(()),
        };
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &core.to_string()]).arg(front_program()?);
        command.args([over, &self.address.port().to_string()]);
        if over == "tls" {
            command.arg(self.folder.join("certificate.pem"));
        }
        let log = fs::File::create(self.folder.join("front"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut front = command.spawn().map_err(|error| Error::from(error).context("the front"))?;
        let mut line = String::new();
        if let Some(stdout) = front.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        self.front = Some(front);
        let port = line.trim().parse().map_err(|_| Error::new("the front does not start"))?;
        self.address.set_port(port);
        Ok(())
    }

    /// Where the load connects.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// User and system time of all its threads.
    pub(super) fn cpu(&self) -> Result<Duration, Error> {
        bench::cpu_of(&self.child.id().to_string())
    }

    /// Resident memory in bytes.
    pub(super) fn resident(&self) -> Result<u64, Error> {
        // `status` lags behind by a batch of pages on every core; the roll-up counts them.
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = fs::read_to_string(&path).map_err(|e| Error::from(e).context(&path))?;
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("Rss:"))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
            .ok_or_else(|| Error::new(format!("no Rss in {path}")))?;
        Ok(kib * 1024)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // A broker that ended by itself was reported by the row; there is nothing left to do.
        for child in [&mut self.child].into_iter().chain(&mut self.front) {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

/// How long the given cores were busy, with anything, since the machine started.
pub(super) fn busy(cores: &[usize]) -> Result<Duration, Error> {
    let text = fs::read_to_string("/proc/stat")?;
    let mut ticks = 0;
    for core in cores {
        let name = format!("cpu{core} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
        let columns: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap_or(0)).collect();
        // user, nice, system, then idle and waiting for a disk, then interrupts and stolen time.
        ticks += columns.iter().take(3).chain(columns.iter().skip(5).take(3)).sum::<u64>();
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// What a peer calls itself: the first line of its version output.
pub(super) fn version(peer: &Peer) -> Result<String, Error> {
    let installed = Installed::find(peer)?;
    let mut command = Command::new(&installed.program);
    if let Some(folder) = &installed.folder {
        command.current_dir(folder);
    }
    let output = command.args(peer.version_args).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or(peer.name).trim().to_owned())
}

/// Whether a peer can be started here.
pub(super) fn is_installed(peer: &Peer) -> bool {
    Installed::find(peer).is_ok()
}

/// A peer's program on this machine.
struct Installed {
    program: PathBuf,
    /// Where it has to be started, if that matters.
    folder: Option<PathBuf>,
}

impl Installed {
    fn find(peer: &Peer) -> Result<Self, Error> {
        let (program, folder) = match peer.program {
            Program::Workspace(name) => (beside_this_program()?.join(name), None),
            Program::Relay => (std::env::current_exe()?, None),
            Program::Installed(name) => (in_path(name)?, None),
            Program::Crate(name, version) => {
                let program = crate_folder(name, version)?.join("bin").join(name);
                if !program.is_file() {
                    return Err(Error::new(format!("{name} is not installed: use --install")));
                }
                (program, None)
            }
            Program::Node(name) => {
                let folder = node_folder(name)?;
                if !folder.join("node_modules").is_dir() {
                    return Err(Error::new(format!("{name} is not installed: use --install")));
                }
                (in_path("node")?, Some(folder))
            }
        };
        Ok(Self { program, folder })
    }
}

/// Installs a peer that comes from a registry, by its lock file, into the target folder.
pub(super) fn install(peer: &Peer) -> Result<(), Error> {
    let name = match peer.program {
        Program::Node(name) => name,
        Program::Crate(name, version) => {
            let folder = crate_folder(name, version)?;
            let wanted = format!("{name}@{version}");
            return run(program("cargo")
                .args(["install", "--locked", &wanted, "--root"])
                .arg(folder));
        }
        Program::Workspace(_) | Program::Installed(_) | Program::Relay => return Ok(()),
    };
    let folder = node_folder(name)?;
    fs::create_dir_all(&folder)?;
    for file in fs::read_dir(root().join("xtask/peers").join(name))? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    run(program("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))
}

fn node_folder(name: &str) -> Result<PathBuf, Error> {
    Ok(target()?.join("peers").join(name))
}

fn crate_folder(name: &str, version: &str) -> Result<PathBuf, Error> {
    Ok(target()?.join("peers").join(format!("{name}-{version}")))
}

/// The program between the load and other transports, as [`super::run`] has built it.
fn front_program() -> Result<PathBuf, Error> {
    Ok(target()?.join("peers/release/front"))
}

fn in_path(name: &str) -> Result<PathBuf, Error> {
    std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
        // Debian keeps servers where an ordinary user's PATH does not look.
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::new(format!("{name} is not installed")))
}

/// The folder of this program's profile: Cargo puts the workspace's other programs there too.
fn beside_this_program() -> Result<PathBuf, Error> {
    let this = std::env::current_exe()?;
    this.parent().map(Path::to_path_buf).ok_or_else(|| Error::new("this program has no folder"))
}

fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn fresh_folder() -> Result<PathBuf, Error> {
    let name = format!("mqtt-bench-{}-{}", std::process::id(), free_port()?);
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
