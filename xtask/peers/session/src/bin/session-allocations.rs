//! `session-allocations LIBRARY QOS COUNT`: prints how often the exchanges allocated memory.
//! `session-allocations index COUNT`: prints the bytes that an index with as many filters holds.
//!
//! A program of its own, because counting takes instructions.

use std::{alloc::System, process::ExitCode};

use session_bench::{index::Sample, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match count(&args) {
        Ok(count) => {
            println!("{count}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn count(args: &[String]) -> Result<usize, String> {
    let number = |text: &String| text.parse().map_err(|_| format!("{text} is not a number"));
    match args {
        [index, count] if index == "index" => {
            let sample = Sample::new(number(count)?);
            let region = Region::new(ALLOCATOR);
            let index = sample.index();
            let stats = region.change();
            drop(index);
            Ok(stats.bytes_allocated.saturating_sub(stats.bytes_deallocated))
        }
        [library, qos, count] => {
            let qos = qos.parse().map_err(|_| format!("{qos} is not a QoS"))?;
            let region = Region::new(ALLOCATOR);
            run(library, qos, number(count)?)?;
            let stats = region.change();
            Ok(stats.allocations + stats.reallocations)
        }
        _ => Err("usage: session-allocations LIBRARY QOS COUNT | index COUNT".to_owned()),
    }
}
