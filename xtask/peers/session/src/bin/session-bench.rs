//! `session-bench LIBRARY QOS COUNT`: exchanges, for a tool that counts their instructions.

use std::process::ExitCode;

use session_bench::run;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [library, qos, count] => match (qos.parse(), count.parse()) {
            (Ok(qos), Ok(count)) => run(library, qos, count),
            _ => Err(format!("{qos} {count}: not two numbers")),
        },
        _ => Err("usage: session-bench LIBRARY QOS COUNT".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
