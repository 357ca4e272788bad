//! A client under measurement: started on its own core, watched through `/proc`, ended on drop.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    rows::{Library, Row},
    server::Server,
};
use crate::{bench, error::Error};

/// How long a client may take until it connects.
const START: Duration = Duration::from_secs(20);

/// What a run has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// User and system time of the client for each message, in microseconds.
    pub(super) micros: f64,
    /// The most memory that it held, in bytes.
    pub(super) memory: u64,
}

struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs one row with one client.
pub(super) fn measure(
    row: &Row,
    library: &Library,
    programs: &Path,
    count: usize,
    core: usize,
) -> Result<Measured, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(programs.join(library.program));
    command.args([library.name, row.direction.word()]);
    command.args([row.qos.to_string(), row.size.to_string(), count.to_string(), port.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Client(command.spawn()?);
    let pid = client.0.id().to_string();
    let outcome = serve(&listener, &mut client, row, count, &pid);
    outcome.map_err(|error| {
        // What it says of it before it is ended.
        let _ended = client.0.kill();
        let said = client.0.stderr.take().map(BufReader::new);
        let line = said.and_then(|said| said.lines().next()).and_then(Result::ok);
        error.context(line.unwrap_or_else(|| library.name.to_owned()))
    })
}

fn serve(
    listener: &TcpListener,
    client: &mut Client,
    row: &Row,
    count: usize,
    pid: &str,
) -> Result<Measured, Error> {
    let stdout = client.0.stdout.take().ok_or_else(|| Error::new("no standard output"))?;
    let mut server = Server::new(accept(listener, client)?, row, count)?;
    server.accept()?;
    let before = bench::cpu_of(pid)?;
    server.serve()?;
    done(stdout)?;
    let used = bench::cpu_of(pid)?.saturating_sub(before);
    Ok(Measured { micros: used.as_secs_f64() * 1e6 / count as f64, memory: most_memory(pid)? })
}

/// The connection of the client, unless it ends before.
fn accept(listener: &TcpListener, client: &mut Client) -> Result<std::net::TcpStream, Error> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + START;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = client.0.try_wait()? {
            return Err(Error::new(format!("it ended with {status}")));
        }
        if Instant::now() > deadline {
            return Err(Error::new("it does not connect"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the client says that its work is done.
fn done(stdout: ChildStdout) -> Result<(), Error> {
    let line = BufReader::new(stdout).lines().next().transpose()?;
    match line.as_deref() {
        Some("done") => Ok(()),
        _ => Err(Error::new("it ended without having done its work")),
    }
}

/// The most resident memory that a process has held, in bytes.
fn most_memory(pid: &str) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| Error::from(error).context(&path))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .ok_or_else(|| Error::new(format!("no VmHWM in {path}")))?;
    Ok(kib * 1024)
}
