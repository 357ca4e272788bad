//! `codec-allocations LIBRARY CASE JOB COUNT`: prints how often the job allocated memory.
//!
//! A program of its own, because counting takes instructions.

use std::{alloc::System, process::ExitCode};

use codec_bench::{Job, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [library, case, job, count] => {
            count.parse().map_err(|_| format!("{count} is not a number")).and_then(|count| {
                let region = Region::new(ALLOCATOR);
                run(library, case, Job::named(job)?, count)?;
                let stats = region.change();
                Ok(stats.allocations + stats.reallocations)
            })
        }
        _ => Err("usage: codec-allocations LIBRARY CASE decode|encode COUNT".to_owned()),
    };
    match result {
        Ok(allocations) => {
            println!("{allocations}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
