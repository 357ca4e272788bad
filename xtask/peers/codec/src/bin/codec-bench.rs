//! `codec-bench LIBRARY CASE JOB COUNT`: one job, for a tool that counts its instructions.

use std::process::ExitCode;

use codec_bench::{Job, run};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [library, case, job, count] => count
            .parse()
            .map_err(|_| format!("{count} is not a number"))
            .and_then(|count| run(library, case, Job::named(job)?, count)),
        _ => Err("usage: codec-bench LIBRARY CASE decode|encode|check COUNT".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
