//! The broker as a program: the command line, signals, and logs on standard error.

mod healthcheck;
mod hints;
mod passwd;
mod signals;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use sd_notify::NotifyState;

use mqtt_broker_lite::{Config, FileError, Listen, Listener, Server};

use hints::describe;
use signals::{Signal, Signals};
use tracing_subscriber::filter::LevelFilter;

/// A light MQTT 5 broker.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

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

    /// The certificate of the mqtts and wss listeners named with --listen, in PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,

    /// The private key of that certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// Let clients in that do not prove who they are; without this, and without anything that
    /// proves it, only listeners on the loopback interface are accepted
    #[arg(long)]
    allow_anonymous: bool,

    /// How much to log on standard error
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: Level,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set the password of a user in a password file, which is made if it is not there. The
    /// password is asked for on the terminal, or is the first line of standard input
    Passwd {
        /// The password file
        file: PathBuf,
        /// The name of the user
        user: String,
    },
    /// Ask a running broker for a sign of life; exit code 0 says that it lives
    Healthcheck {
        /// Where it listens, mqtt or unix [default: the first such listener of the configuration]
        #[arg(value_name = "URL")]
        url: Option<Listen>,
        /// The configuration file of the broker
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
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
    fn listener(&self, url: &Listen) -> Listener {
        let mut listener = Listener::from(url.clone());
        if url.is_tls() {
            listener.certificate.clone_from(&self.certificate);
            listener.key.clone_from(&self.key);
        }
        listener
    }

    /// The configuration: what the file says, and above it what the flags say.
    fn config(&self) -> Result<Config, FileError> {
        let mut config = read(self.config.as_deref())?;
        if !self.listen.is_empty() {
            config.listeners = self.listen.iter().map(|url| self.listener(url)).collect();
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

/// What the file says, or the default.
fn read(path: Option<&Path>) -> Result<Config, FileError> {
    path.map_or_else(|| Ok(Config::default()), Config::from_file)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    match &arguments.command {
        Some(Command::Passwd { file, user }) => return passwd::run(file, user),
        Some(Command::Healthcheck { url, config }) => {
            return healthcheck::run(url.as_ref(), &read(config.as_deref())?);
        }
        None => {}
    }
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
    serve(config, arguments)
}

fn serve(config: Config, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        // Before the ready line, so that whoever waits for it may send a signal at once.
        let mut signals = Signals::new()?;
        let mut server = Server::bind(config).await?;
        announce(&server)?;
        notify(&[NotifyState::Ready]);
        loop {
            let signal = tokio::select! {
                signal = signals.next() => signal,
                end = server.stopped() => return Ok(end?),
            };
            match signal {
                Signal::Reload => reload(&server, arguments).await,
                Signal::Stop(signal) => {
                    tracing::info!(signal, "shutting down");
                    notify(&[NotifyState::Stopping]);
                    return Ok(server.shutdown().await?);
                }
            }
        }
    })
}

/// Reads the configuration again. If anything is wrong with it, the old one holds.
async fn reload(server: &Server, arguments: &Arguments) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot tell the service manager of a reload"),
    }
    let reloaded = match arguments.config() {
        Ok(config) => server.reload(config).await.map_err(|error| describe(&error)),
        Err(error) => Err(error.to_string()),
    };
    let status = match reloaded {
        Ok(()) => {
            tracing::info!("the configuration was read again");
            "the configuration was read again".to_owned()
        }
        Err(error) => {
            tracing::error!(%error, "the configuration stays as it was");
            // A notification has a line for each of its parts.
            format!("the configuration stays as it was: {}", error.lines().next().unwrap_or(""))
        }
    };
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Tells the service manager, if there is one that wants to know.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot reach the service manager");
    }
}

/// Says on standard output where the broker listens.
fn announce(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for address in server.addresses() {
        writeln!(out, "listening on {address}")?;
    }
    if let Some(address) = server.metrics_addr() {
        writeln!(out, "metrics on http://{address}/metrics")?;
    }
    out.flush()
}
