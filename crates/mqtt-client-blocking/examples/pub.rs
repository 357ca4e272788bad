//! Publishes a message, or each line of the standard input:
//! `pub URL TOPIC PAYLOAD [--qos N] [--retain] [--cafile FILE] [--cert FILE --key FILE]`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command does")]

#[path = "shared/tls.rs"]
mod tls;

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, BufRead};
use std::process::ExitCode;
use std::time::Duration;

use mqtt_client_blocking::{Client, EnqueueError, QoS};

use self::tls::TlsFlags;

const USAGE: &str = "usage: pub URL TOPIC PAYLOAD [--qos 0|1|2] [--retain]\n\
                     \x20          [--cafile FILE] [--cert FILE --key FILE]\n\
                     URL is mqtt://, mqtts:// or unix://, and ws:// or wss:// with `--features websocket`\n\
                     PAYLOAD `-` publishes each line of the standard input\n\
                     example: pub mqtt://localhost:1883 sensor/7 21.5 --qos 1";

/// How many lines are under way at once.
const WINDOW: usize = 100;

struct Options {
    url: String,
    topic: String,
    payload: String,
    qos: QoS,
    retain: bool,
    tls: TlsFlags,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut places = Vec::new();
    let (mut qos, mut retain) = (QoS::AtMostOnce, false);
    let mut tls = TlsFlags::default();
    while let Some(arg) = args.next() {
        if let Some(file) = tls.place(&arg) {
            *file = Some(args.next().ok_or_else(|| format!("{arg} needs a file"))?);
            continue;
        }
        match arg.as_str() {
            "--qos" => qos = parse_qos(&args.next().ok_or("--qos needs a value")?)?,
            "--retain" => retain = true,
            "--help" | "-h" => return Err(String::new()),
            flag if flag.starts_with("--") => return Err(format!("{flag} is not known")),
            _ => places.push(arg),
        }
    }
    let [url, topic, payload] =
        places.try_into().map_err(|_| "give a URL, a topic and a payload".to_owned())?;
    Ok(Options { url, topic, payload, qos, retain, tls })
}

fn parse_qos(text: &str) -> Result<QoS, String> {
    let number: Option<u8> = text.parse().ok();
    let qos = number.and_then(|number| QoS::try_from(number).ok());
    qos.ok_or_else(|| format!("--qos: {text} is not 0, 1 or 2"))
}

fn run(mut options: Options) -> Result<(), Box<dyn Error>> {
    let tls = std::mem::take(&mut options.tls);
    let client = tls.apply(Client::builder(&options.url))?.connect()?;
    if options.payload == "-" {
        publish_lines(&client, &options)?;
    } else {
        let message = client.publish(&options.topic, options.payload);
        message.qos(options.qos).retain(options.retain).send()?;
    }
    let closed = client.close().drain(Duration::from_secs(10)).wait()?;
    if !closed.cause.is_disconnected() {
        return Err(closed.cause.into());
    }
    Ok(())
}

fn publish_lines(client: &Client, options: &Options) -> Result<(), Box<dyn Error>> {
    let mut pending = VecDeque::new();
    for line in io::stdin().lock().split(b'\n') {
        let message = client.publish(&options.topic, line?);
        let message = message.qos(options.qos).retain(options.retain);
        if options.qos == QoS::AtMostOnce {
            message.send()?;
            continue;
        }
        match message.enqueue() {
            Ok(word) => pending.push_back(word),
            Err(EnqueueError::Full(message)) => {
                message.send()?;
            }
            Err(EnqueueError::Failed(error)) => return Err(error.into()),
        }
        if pending.len() >= WINDOW
            && let Some(word) = pending.pop_front()
        {
            word.wait()?;
        }
    }
    for word in pending {
        word.wait()?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) if error.is_empty() => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
