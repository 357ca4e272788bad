//! Prints the payload of each message on a line:
//! `sub URL FILTER [--qos N] [--count N] [--cafile FILE] [--cert FILE --key FILE]`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command does")]

#[path = "shared/tls.rs"]
mod tls;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use mqtt_client_blocking::{Client, QoS};

use self::tls::TlsFlags;

const USAGE: &str = "usage: sub URL FILTER [--qos 0|1|2] [--count N]\n\
                     \x20          [--cafile FILE] [--cert FILE --key FILE]\n\
                     URL is mqtt://, mqtts:// or unix://, and ws:// or wss:// with `--features websocket`\n\
                     example: sub mqtt://localhost:1883 'sensor/#' --qos 1";

struct Options {
    url: String,
    filter: String,
    qos: QoS,
    count: Option<u64>,
    tls: TlsFlags,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut places = Vec::new();
    let (mut qos, mut count) = (QoS::AtMostOnce, None);
    let mut tls = TlsFlags::default();
    while let Some(arg) = args.next() {
        if let Some(file) = tls.place(&arg) {
            *file = Some(args.next().ok_or_else(|| format!("{arg} needs a file"))?);
            continue;
        }
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--qos" => qos = parse_qos(&value()?)?,
            "--count" => {
                let value = value()?;
                count = Some(value.parse().map_err(|_| format!("--count: {value} is no number"))?);
            }
            "--help" | "-h" => return Err(String::new()),
            flag if flag.starts_with("--") => return Err(format!("{flag} is not known")),
            _ => places.push(arg),
        }
    }
    let [url, filter] =
        places.try_into().map_err(|_| "give a URL and a topic filter".to_owned())?;
    Ok(Options { url, filter, qos, count, tls })
}

fn parse_qos(text: &str) -> Result<QoS, String> {
    let number: Option<u8> = text.parse().ok();
    let qos = number.and_then(|number| QoS::try_from(number).ok());
    qos.ok_or_else(|| format!("--qos: {text} is not 0, 1 or 2"))
}

fn run(mut options: Options) -> Result<(), Box<dyn Error>> {
    let tls = std::mem::take(&mut options.tls);
    let client = tls.apply(Client::builder(&options.url))?.connect()?;
    let messages = client.subscribe(&options.filter).qos(options.qos).wait()?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for _ in 0..options.count.unwrap_or(u64::MAX) {
        // Whatever has come is printed before waiting for more.
        let message = match messages.try_recv()? {
            Some(message) => message,
            None => {
                out.flush()?;
                messages.recv()?
            }
        };
        out.write_all(message.payload())?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    drop(messages);
    client.close().wait()?;
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
