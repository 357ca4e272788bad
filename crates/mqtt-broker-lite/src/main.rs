//! The broker as a program: the command line, signals, and logs on standard error.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use mqtt_broker_lite::{
    BindError, Config, ConfigFileError, DEFAULT_PORT, Listen, Listener, Server,
};
use tracing_subscriber::filter::LevelFilter;

/// A light MQTT 5 broker.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Read the configuration from this TOML file; other flags stand above it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the configuration and everything that it names, and end
    #[arg(long)]
    check: bool,

    /// Print the default configuration as a file with comments, and end
    #[arg(long)]
    print_default_config: bool,

    /// Where to listen, such as mqtt://127.0.0.1:1883; may be given several times, and takes the
    /// place of all listeners of the configuration file. Port 0 picks a free port [default:
    /// mqtt://127.0.0.1:1883]
    #[arg(long, value_name = "URL")]
    listen: Vec<Listen>,

    /// Let clients in that do not prove who they are; without this, only listeners on the
    /// loopback interface are accepted
    #[arg(long)]
    allow_anonymous: bool,

    /// How much to log on standard error
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: Level,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::OFF,
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

impl Arguments {
    /// The configuration: what the file says, and above it what the flags say.
    fn config(&self) -> Result<Config, ConfigFileError> {
        let mut config = match &self.config {
            Some(path) => Config::from_file(path)?,
            None => Config::default(),
        };
        if !self.listen.is_empty() {
            config.listeners = self.listen.iter().cloned().map(Listener::from).collect();
        }
        config.allow_anonymous |= self.allow_anonymous;
        Ok(config)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(arguments.log))
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed, the exit code has to do.
            let _ = writeln!(io::stderr(), "mqtt-broker-lite: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.print_default_config {
        write!(io::stdout(), "{}", Config::default().commented())?;
        return Ok(());
    }
    let config = arguments.config()?;
    if arguments.check {
        config.check()?;
        writeln!(io::stdout(), "the configuration is in order")?;
        return Ok(());
    }
    serve(config)
}

fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        // Before the ready line, so that whoever waits for it may send a signal at once.
        let mut signals = Signals::new()?;
        let mut server = Server::bind(config).await?;
        announce(&server)?;
        tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, "shutting down");
                server.shutdown().await?;
            }
            end = server.stopped() => end?,
        }
        Ok(())
    })
}

/// Says on standard output where the broker listens.
fn announce(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for address in server.addresses() {
        writeln!(out, "listening on {address}")?;
    }
    out.flush()
}

/// What went wrong and what to do about it.
fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    if let Some(hint) = error.downcast_ref().and_then(hint) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{hint}");
    }
    text
}

fn hint(error: &BindError) -> Option<String> {
    if let BindError::Resolve { .. } = error {
        return Some("Check the spelling of the host, or write its address".to_owned());
    }
    if let BindError::AnonymousBeyondLoopback { .. } = error {
        return Some(
            "Pass --allow-anonymous (allow_anonymous in the file) if every machine that reaches it may publish and subscribe, \
             or listen on 127.0.0.1 or [::1]"
                .to_owned(),
        );
    }
    let BindError::Listen { listen, source } = error else { return None };
    let kind = source.kind();
    if kind == io::ErrorKind::AddrInUse {
        return Some(format!(
            "Another program listens there, maybe another broker: stop it, or choose another \
             port, such as --listen {}",
            with_next_port(listen)
        ));
    }
    if kind == io::ErrorKind::PermissionDenied {
        return Some(
            "Ports below 1024 need a privilege: choose a higher one, or give the program \
             CAP_NET_BIND_SERVICE"
                .to_owned(),
        );
    }
    (kind == io::ErrorKind::AddrNotAvailable).then(|| {
        "This machine does not have that address: name one that it has, or 0.0.0.0 for all of them"
            .to_owned()
    })
}

fn with_next_port(listen: &Listen) -> Listen {
    match listen {
        Listen::Tcp { host, port } => {
            Listen::Tcp { host: host.clone(), port: port.checked_add(1).unwrap_or(DEFAULT_PORT) }
        }
        _ => Listen::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
    }
}

/// The signals that end the program.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one, and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The signals that end the program.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for one, and names it.
    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without the signal, only the end of the server ends the program.
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
