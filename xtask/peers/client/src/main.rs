//! One client of one library, for `cargo xtask bench client`:
//! `client-bench LIBRARY publish|receive QOS SIZE COUNT PORT`.
//!
//! It does its work against the server on that port of this machine, prints `done`, and waits until
//! its standard input ends, so that its processor time can be read meanwhile.

mod library;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use bytes::Bytes;
use library::{floor, flowsdk, mqtt5, ours, rumqttc, rumqttc_next};

/// The topic of every message; 20 bytes.
const TOPIC: &str = "sensor/bldg-07/temp1";

/// How many messages are under way at QoS 1 and 2. The server says the same in CONNACK.
const WINDOW: usize = 100;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a client is to do.
struct Task {
    qos: u8,
    payload: Bytes,
    count: usize,
    port: u16,
}

fn task(args: &[String]) -> Result<Task, Failure> {
    let [qos, size, count, port] = args else {
        return Err("usage: client-bench LIBRARY publish|receive QOS SIZE COUNT PORT".into());
    };
    let payload = Bytes::from(vec![b'x'; size.parse()?]);
    Ok(Task { qos: qos.parse()?, payload, count: count.parse()?, port: port.parse()? })
}

/// Runs a future on one thread, as every library here can.
fn block_on<F: Future<Output = Result<(), Failure>>>(future: F) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

fn run(args: &[String]) -> Result<(), Failure> {
    let [library, direction, rest @ ..] = args else { return Err("no library".into()) };
    let task = task(rest)?;
    match (library.as_str(), direction.as_str()) {
        ("floor", "publish") => floor::publish(&task),
        ("floor", "receive") => floor::receive(&task),
        ("mqtt-client-async", "publish") => block_on(ours::publish(&task)),
        ("mqtt-client-async", "receive") => block_on(ours::receive(&task)),
        ("rumqttc", "publish") => block_on(rumqttc::publish(&task)),
        ("rumqttc", "receive") => block_on(rumqttc::receive(&task)),
        ("rumqttc-next", "publish") => block_on(rumqttc_next::publish(&task)),
        ("rumqttc-next", "receive") => block_on(rumqttc_next::receive(&task)),
        ("flowsdk", "publish") => block_on(flowsdk::publish(&task)),
        ("flowsdk", "receive") => block_on(flowsdk::receive(&task)),
        ("mqtt5", "publish") => block_on(mqtt5::publish(task)),
        ("mqtt5", "receive") => block_on(mqtt5::receive(&task)),
        _ => Err(format!("there is no {library} that can {direction}").into()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&args) {
        eprintln!("{}: {error}", args.join(" "));
        return ExitCode::FAILURE;
    }
    println!("done");
    // Nobody may be there to tell, or to end this.
    let _told = io::stdout().flush();
    let _ended = io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
