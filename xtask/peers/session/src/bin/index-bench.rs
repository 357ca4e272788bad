//! `index-bench COUNT`: times a subscription index with as many filters.
//!
//! Prints nanoseconds to add a filter, to match a topic that one filter matches, to match one that
//! none does, and to remove a filter; then bytes a filter by the index's own account.

use std::process::ExitCode;

use session_bench::index::Sample;

fn main() -> ExitCode {
    let Some(count) = std::env::args().nth(1).and_then(|count| count.parse().ok()) else {
        eprintln!("usage: index-bench COUNT");
        return ExitCode::FAILURE;
    };
    match Sample::new(count).measure() {
        Ok(figures) => {
            let (add, hit, miss) = (figures.add, figures.hit, figures.miss);
            println!("{add} {hit} {miss} {} {}", figures.remove, figures.accounted);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
