//! `cargo xtask ci`: every check in order, then every test. The last lines are the test runner's.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use crate::{
    args::Args,
    cargo_tool::{CARGO_DENY, MDBOOK},
    conformance,
    debian::{self, MOSQUITTO, MOSQUITTO_CLIENTS},
    deny, docs,
    error::Error,
    interop, layers,
    notice::{self, Notice},
    outages,
    process::{cargo, program, root, run as run_program, succeeds},
    sim, tidy,
};

/// Crates that are built by themselves too: in a build of the whole workspace each gets the
/// features that another one asks for.
const PUBLISHED: &[&str] = &[
    "mqtt-codec",
    "mqtt-session",
    "mqtt-client-async",
    "mqtt-client-blocking",
    "mqtt-broker-lite",
];

/// Crates that the workspace does not reach, because they want other tools or other dependencies.
const OWN_WORKSPACES: &[&str] =
    &["crates/mqtt-codec/fuzz/Cargo.toml", "xtask/peers/codec/Cargo.toml"];

const TEST: &[&str] = &["test", "--workspace", "--all-features"];

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    Args::new(args).finish()?;
    let mut steps = Steps::default();
    // What takes no time comes first: most mistakes are found in seconds.
    steps.run("lock file", lock_file);
    steps.run("format", format);
    steps.run("tidy", || tidy::check().map(|()| Vec::new()));
    steps.run("layers", layers::check);
    steps.run("conformance", || conformance::check().map(|()| Vec::new()));
    steps.run("clippy", clippy);
    steps.run("features", features);
    let (mut mdbook, mut cargo_deny) = (None, None);
    steps.run("tools", || {
        mdbook = Some(MDBOOK.ensure());
        cargo_deny = Some(CARGO_DENY.ensure());
        // The steps that need them say what is missing.
        Ok(Vec::new())
    });
    steps.run("docs", || docs::check(&mdbook.take().unwrap_or_else(|| MDBOOK.ensure())));
    steps.run("deny", || deny::check(&cargo_deny.take().unwrap_or_else(|| CARGO_DENY.ensure())));
    steps.run("peers", || Ok(debian::ensure(&[&MOSQUITTO, &MOSQUITTO_CLIENTS])));
    steps.run("sim", sim::check);
    steps.run("outages", outages::check);
    steps.run("interop", interop::check);
    steps.run("build tests", || {
        run_program(cargo().args(TEST).args(["--quiet", "--no-run"])).map(|()| Vec::new())
    });
    println!("\n{}", steps.summary());
    let tests_passed = run_program(cargo().args(TEST).arg("--no-fail-fast")).is_ok();
    if tests_passed && steps.all_passed() {
        return Ok(());
    }
    // Not an error with a text: what the test runner said stays the last word.
    std::process::exit(1);
}

/// Building this program has brought the lock file in step with the manifests. On a build server,
/// where nobody edits, that may not have changed it: others would build with other versions.
fn lock_file() -> Result<Vec<Notice>, Error> {
    if !notice::on_build_server() || !root().join(".git").exists() {
        return Ok(Vec::new());
    }
    run_program(program("git").args(["diff", "--exit-code", "--stat", "--", "Cargo.lock"]))
        .map_err(|error| error.context("Cargo.lock is behind the manifests; commit the new one"))?;
    Ok(Vec::new())
}

fn format() -> Result<Vec<Notice>, Error> {
    if !succeeds(cargo().args(["fmt", "--version"])) {
        return Ok(vec![missing_component("the format of the sources", "rustfmt")]);
    }
    run_program(cargo().args(["fmt", "--all", "--", "--check"]))?;
    for manifest in OWN_WORKSPACES.iter().filter(|manifest| root().join(manifest).is_file()) {
        run_program(cargo().args(["fmt", "--manifest-path", manifest, "--", "--check"]))?;
    }
    Ok(Vec::new())
}

fn clippy() -> Result<Vec<Notice>, Error> {
    lint(&["--workspace", "--all-targets", "--all-features"])
}

fn features() -> Result<Vec<Notice>, Error> {
    for name in PUBLISHED {
        for options in [&["--no-default-features"][..], &[]] {
            let notices = lint(&[&["--package", name], options].concat())?;
            if !notices.is_empty() {
                return Ok(notices);
            }
        }
    }
    Ok(Vec::new())
}

fn lint(selection: &[&str]) -> Result<Vec<Notice>, Error> {
    if !succeeds(cargo().args(["clippy", "--version"])) {
        return Ok(vec![missing_component("the lints of the sources", "clippy")]);
    }
    run_program(
        cargo().args(["clippy", "--quiet"]).args(selection).args(["--", "--deny", "warnings"]),
    )?;
    Ok(Vec::new())
}

fn missing_component(what: &str, component: &str) -> Notice {
    Notice::required(
        what,
        format!("the toolchain has no {component}"),
        format!("rustup component add {component}"),
    )
}

/// What was done, how it ended and how long it took.
#[derive(Debug, Default)]
struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Passed,
    LeftOut,
    Failed,
}

impl Steps {
    fn run(&mut self, name: &'static str, check: impl FnOnce() -> Result<Vec<Notice>, Error>) {
        println!("== {name}");
        let started = Instant::now();
        let result = check().and_then(|notices| {
            notice::settle(&notices)?;
            Ok(if notices.is_empty() { End::Passed } else { End::LeftOut })
        });
        let end = result.unwrap_or_else(|error| {
            eprintln!("{name}: {error}");
            End::Failed
        });
        let took = started.elapsed();
        println!("-- {name}: {}, {:.1} s", end.words(), took.as_secs_f64());
        self.done.push(Step { name, took, end });
    }

    fn all_passed(&self) -> bool {
        self.done.iter().all(|step| step.end != End::Failed)
    }

    fn summary(&self) -> String {
        let mut text = String::new();
        let width = self.done.iter().map(|step| step.name.len()).max().unwrap_or(0);
        let mut total = Duration::ZERO;
        for step in &self.done {
            total += step.took;
            let (name, seconds) = (step.name, step.took.as_secs_f64());
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:width$}  {seconds:7.1} s  {}", step.end.words());
        }
        let _ = writeln!(text, "{:width$}  {:7.1} s", "so far", total.as_secs_f64());
        let failed: Vec<&str> =
            self.done.iter().filter(|step| step.end == End::Failed).map(|step| step.name).collect();
        if !failed.is_empty() {
            let _ = writeln!(
                text,
                "FAILED: {}. The tests run all the same, and the exit code will be 1.",
                failed.join(", ")
            );
        }
        text
    }
}

impl End {
    fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::LeftOut => "passed, with a part LEFT OUT (see above)",
            Self::Failed => "FAILED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(ends: &[(&'static str, End)]) -> Steps {
        let took = Duration::from_millis(1500);
        Steps { done: ends.iter().map(|&(name, end)| Step { name, took, end }).collect() }
    }

    #[test]
    fn the_summary_has_a_line_a_step_and_the_sum() {
        let steps = steps(&[("format", End::Passed), ("docs", End::LeftOut)]);
        assert_eq!(
            steps.summary(),
            "format      1.5 s  passed\n\
             docs        1.5 s  passed, with a part LEFT OUT (see above)\n\
             so far      3.0 s\n"
        );
        assert!(steps.all_passed());
    }

    #[test]
    fn the_summary_ends_with_what_failed() {
        let steps = steps(&[("format", End::Failed), ("docs", End::Passed)]);
        assert!(!steps.all_passed());
        assert!(
            steps.summary().ends_with(
                "FAILED: format. The tests run all the same, and the exit code will be 1.\n"
            ),
            "{}",
            steps.summary()
        );
    }

    #[test]
    fn a_step_that_fails_does_not_stop_the_next() {
        let mut steps = Steps::default();
        steps.run("first", || Err(Error::new("broken")));
        steps.run("second", || Ok(Vec::new()));
        let ends: Vec<End> = steps.done.iter().map(|step| step.end).collect();
        assert_eq!(ends, [End::Failed, End::Passed]);
    }
}
