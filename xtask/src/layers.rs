//! `cargo xtask layers`: arrows between our crates point downward only, and the two crates of the
//! protocol reach no socket, no clock and no randomness.

use std::path::PathBuf;

use crate::{
    args::Args,
    error::Error,
    notice::{self, Notice},
    process::{cargo, output, program, read, root, run as run_program},
};

mod graph;
#[cfg(test)]
mod tests;

use graph::{Graph, Kind};

/// Each of our crates and what it may depend on. A crate that is not named here is a finding.
const LAYERS: &[Layer] = &[
    Layer { name: "mqtt-codec", may_use: &[] },
    Layer { name: "mqtt-session", may_use: &["mqtt-codec"] },
    Layer { name: "mqtt-client-async", may_use: &["mqtt-codec", "mqtt-session"] },
    Layer {
        name: "mqtt-client-blocking",
        may_use: &["mqtt-codec", "mqtt-session", "mqtt-client-async"],
    },
    Layer { name: "mqtt-broker-lite", may_use: &["mqtt-codec", "mqtt-session"] },
    Layer { name: "mqtt-tests", may_use: PUBLISHED },
    Layer {
        name: "mqtt-conformance",
        may_use: &[
            "mqtt-codec",
            "mqtt-tests",
            "mqtt-client-async",
            "mqtt-client-blocking",
            "mqtt-broker-lite",
        ],
    },
    Layer { name: "mqtt-book", may_use: PUBLISHED },
    Layer { name: "xtask", may_use: &[] },
];

/// The crates that others can use.
const PUBLISHED: &[&str] = &[
    "mqtt-codec",
    "mqtt-session",
    "mqtt-client-async",
    "mqtt-client-blocking",
    "mqtt-broker-lite",
];

/// What the tests of any crate may use: it is never published, so its arrows bind nobody.
const TEST_HELPERS: &str = "mqtt-tests";

/// The crates that only compute. Time, entropy and bytes are handed to them.
const PURE: &[&str] = &["mqtt-codec", "mqtt-session"];

/// Crates that do what a pure crate must not.
const IMPURE: &[(&str, &[&str])] = &[
    (
        "does I/O",
        &[
            "async-io",
            "async-std",
            "futures-io",
            "hyper",
            "libc",
            "mio",
            "native-tls",
            "nix",
            "openssl",
            "polling",
            "rustix",
            "rustls",
            "smol",
            "socket2",
            "tokio",
            "tokio-rustls",
            "tokio-util",
            "winapi",
            "windows-sys",
        ],
    ),
    (
        "reads a clock",
        &["chrono", "coarsetime", "instant", "jiff", "minstant", "quanta", "time", "web-time"],
    ),
    (
        "draws randomness",
        &[
            "ahash",
            "const-random",
            "fastrand",
            "getrandom",
            "oorandom",
            "rand",
            "rand_core",
            "uuid",
        ],
    ),
];

/// What the lint in a pure crate has to forbid, as `clippy.toml` spells it.
const FORBIDDEN_CALLS: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::fs::File",
    "std::fs::read",
    "std::fs::write",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
];

/// How many crates a build may need. Each is one more to read, to audit and to wait for.
const CEILINGS: &[Ceiling] = &[
    Ceiling {
        name: "mqtt-codec",
        options: &["-e", "normal,no-proc-macro"],
        count_itself: false,
        at_most: 3,
    },
    Ceiling {
        name: "mqtt-session",
        options: &["-e", "normal,no-proc-macro"],
        count_itself: false,
        at_most: 5,
    },
    Ceiling {
        name: "mqtt-client-async",
        options: &["-e", "normal", "--no-default-features"],
        count_itself: true,
        at_most: 20,
    },
];

/// Builds that prove what the other checks only look for.
const PROOFS: &[Proof] = &[
    Proof {
        target: "wasm32-unknown-unknown",
        crates: PURE,
        shows: "that the protocol calls no operating system",
    },
    Proof {
        target: "thumbv7em-none-eabi",
        crates: &["mqtt-codec"],
        shows: "that the codec needs no standard library",
    },
];

struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
}

struct Proof {
    target: &'static str,
    crates: &'static [&'static str],
    shows: &'static str,
}

struct Ceiling {
    name: &'static str,
    options: &'static [&'static str],
    count_itself: bool,
    at_most: usize,
}

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    Args::new(args).finish()?;
    notice::settle(&check()?)
}

/// Checks every promise of this page; returns what could not be checked here.
pub(crate) fn check() -> Result<Vec<Notice>, Error> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--all-features"]))?;
    let graph = Graph::parse(&metadata)?;
    let mut findings = upward_arrows(&graph);
    findings.extend(impure_reach(&graph));
    let root_lints = read("clippy.toml")?;
    for name in PURE {
        let path = format!("crates/{name}/clippy.toml");
        if root().join(&path).is_file() {
            findings.extend(lint_gaps(&path, &read(&path)?, &root_lints));
        } else {
            findings.push(format!(
                "{path}: the crate has no lints of its own\n    \
                 fix: forbid what it must not call, as crates/mqtt-session/clippy.toml does"
            ));
        }
    }
    for ceiling in CEILINGS {
        let tree = output(
            cargo()
                .args(["tree", "--prefix", "none", "--package", ceiling.name])
                .args(ceiling.options),
        )?;
        findings.extend(above_ceiling(ceiling, &tree));
    }
    Error::from_findings(&findings, "breaches of the layers (see the book, Architecture)")?;
    let mut notices = Vec::new();
    for proof in PROOFS {
        notices.extend(prove(proof)?);
    }
    Ok(notices)
}

fn upward_arrows(graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for package in graph.ours() {
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == package.name) else {
            findings.push(format!(
                "{}: this crate has no layer\n    fix: give it one in xtask/src/layers.rs, LAYERS",
                package.name
            ));
            continue;
        };
        for (dependency, kind) in &package.declared {
            let for_tests = *kind == Kind::Dev && dependency == TEST_HELPERS;
            if for_tests || layer.may_use.contains(&dependency.as_str()) {
                continue;
            }
            findings.push(format!(
                "{} -> {dependency} ({kind}): this arrow does not point downward\n    \
                 fix: move what {} needs into a crate below it ({})",
                package.name,
                package.name,
                if layer.may_use.is_empty() {
                    "it has none of ours".to_owned()
                } else {
                    layer.may_use.join(", ")
                }
            ));
        }
    }
    findings
}

fn impure_reach(graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for start in PURE {
        for path in graph.paths_from(start) {
            let Some(last) = path.last() else { continue };
            for (does, names) in IMPURE {
                if names.contains(last) {
                    findings.push(format!(
                        "{}: {last} {does}\n    fix: take what it gives as an argument of the \
                         call, or do it in a driver",
                        path.join(" -> ")
                    ));
                }
            }
        }
    }
    findings
}

fn lint_gaps(path: &str, lints: &str, root_lints: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for call in FORBIDDEN_CALLS {
        if !lints.contains(&format!("\"{call}\"")) {
            findings.push(format!(
                "{path}: {call} is not forbidden\n    \
                 fix: add it to disallowed-methods or disallowed-types"
            ));
        }
    }
    // Clippy reads the nearest file only, so what the root file says has to be said again.
    for line in root_lints.lines().filter(|line| line.contains(" = ")) {
        if !lints.lines().any(|own| own == line) {
            findings.push(format!(
                "{path}: `{line}` of the root file is missing\n    fix: repeat the line"
            ));
        }
    }
    findings
}

fn above_ceiling(ceiling: &Ceiling, tree: &str) -> Option<String> {
    let mut crates: Vec<&str> = tree
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            let version = rest.split(' ').next()?;
            line.get(..name.len() + 1 + version.len())
        })
        .collect();
    crates.sort_unstable();
    crates.dedup();
    if !ceiling.count_itself {
        crates.retain(|found| !found.starts_with(&format!("{} ", ceiling.name)));
    }
    if crates.len() <= ceiling.at_most {
        return None;
    }
    Some(format!(
        "{}: {} crates, at most {} are allowed: {}\n    fix: do without one of them",
        ceiling.name,
        crates.len(),
        ceiling.at_most,
        crates.join(", ")
    ))
}

fn prove(proof: &Proof) -> Result<Option<Notice>, Error> {
    let library =
        output(program("rustc").args(["--print", "target-libdir", "--target", proof.target]))?;
    if !PathBuf::from(library.trim()).is_dir() {
        return Ok(Some(Notice::optional(
            format!(
                "the proof {}: {} for {}",
                proof.shows,
                proof.crates.join(" and "),
                proof.target
            ),
            "that target is not installed",
            format!("rustup target add {}", proof.target),
        )));
    }
    let mut build = cargo();
    build.args(["build", "--quiet", "--lib", "--target", proof.target]);
    for name in proof.crates {
        build.args(["--package", name]);
    }
    run_program(&mut build)?;
    Ok(None)
}
