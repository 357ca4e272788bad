//! `cargo xtask bench`: measures the crates, with the peers that are installed beside them.

mod broker;
mod callgrind;
mod client;
mod codec;
mod frame;
mod options;
mod session;

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    error::Error,
    process::{cargo, output, program, root, run as succeed, target},
};

const USAGE: &str = "usage: cargo xtask bench [codec|session|broker|client] [OPTIONS]";

/// Runs the benchmark that the first argument names.
pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    let Some((name, args)) = args.split_first() else {
        return Err(Error::new(USAGE));
    };
    match name.as_str() {
        "codec" => codec::run(args),
        "session" => session::run(args),
        "broker" => broker::run(args),
        "client" => client::run(args),
        "relay" => broker::relay(args),
        _ => Err(Error::new(format!("there is no benchmark {name}\n{USAGE}"))),
    }
}

/// Whether this program was built without optimisation.
fn is_debug_build() -> bool {
    cfg!(debug_assertions)
}

/// Runs the same benchmark in a release build of this program.
fn again_in_release(bench: &str, args: &[String]) -> Result<(), Error> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench", bench]);
    succeed(command.args(args))
}

/// Builds a package of the workspace in release, into this program's target folder.
fn build_release(package: &str) -> Result<(), Error> {
    succeed(cargo().args(["build", "--quiet", "--release", "--package", package]))
}

/// Builds the workspace in `xtask/peers/NAME` and returns the folder with its programs.
fn build_peers(name: &str) -> Result<PathBuf, Error> {
    let manifest = root().join("xtask/peers").join(name).join("Cargo.toml");
    let folder = target()?.join("peers");
    let mut command = cargo();
    command.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(manifest);
    succeed(command.arg("--target-dir").arg(&folder))?;
    Ok(folder.join("release"))
}

/// Keeps this process on its core.
fn settle_on(core: usize) -> Result<(), Error> {
    let pid = std::process::id().to_string();
    output(program("taskset").args(["--cpu-list", "--pid", &core.to_string(), &pid])).map(drop)
}

/// User and system time of all threads of the process `pid`, or of this one for `self`.
fn cpu_of(pid: &str) -> Result<Duration, Error> {
    let folder = format!("/proc/{pid}/task");
    let mut nanos = 0;
    for task in fs::read_dir(&folder).map_err(|e| Error::from(e).context(&folder))? {
        let path = task?.path().join("schedstat");
        // A thread may end between the two reads.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        nanos += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// The middle of the values; of two middles their mean; 0 of none.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let above = values.get(values.len() / 2).copied().unwrap_or(0.0);
    if values.len() % 2 == 1 {
        above
    } else {
        let below = values.get((values.len() / 2).wrapping_sub(1)).copied().unwrap_or(0.0);
        f64::midpoint(below, above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0]), 3.0);
        assert_eq!(median([9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
