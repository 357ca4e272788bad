//! Every check and every report of this workspace, one module per command.
//!
//! `cargo xtask` without a command lists them. This file only dispatches.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks on standard output and standard error"
)]

use std::process::ExitCode;

mod args;
mod bench;
mod cargo_tool;
mod certificate;
mod ci;
mod conformance;
mod debian;
mod deny;
mod docs;
mod error;
mod fuzz;
mod interop;
mod layers;
mod notice;
mod outages;
mod process;
mod sim;
mod tidy;

use error::Error;

struct Command {
    name: &'static str,
    /// What may stand behind the name.
    args: &'static str,
    /// What it promises, in a few words; the book has more.
    promise: &'static str,
    run: fn(&[String]) -> Result<(), Error>,
}

const COMMANDS: &[Command] = &[
    Command { name: "ci", args: "", promise: "every check, then every test", run: ci::run },
    Command {
        name: "tidy",
        args: "",
        promise: "files and texts keep the rules that no compiler checks",
        run: tidy::run,
    },
    Command {
        name: "layers",
        args: "",
        promise: "arrows between crates point downward; the protocol does no I/O",
        run: layers::run,
    },
    Command {
        name: "docs",
        args: "",
        promise: "the API documentation and the book build without a warning",
        run: docs::run,
    },
    Command {
        name: "deny",
        args: "",
        promise: "dependencies: which, under what licence, from where",
        run: deny::run,
    },
    Command {
        name: "conformance",
        args: "[--fresh | --broker URL | --client COMMAND] [OPTIONS]",
        promise: "every statement of the standard is obeyed and proved",
        run: conformance::run,
    },
    Command {
        name: "fuzz",
        args: "--seconds N [--target NAME]",
        promise: "no input makes the codec fail",
        run: fuzz::run,
    },
    Command {
        name: "sim",
        args: "--seconds N | --exhaustive | --sabotage",
        promise: "no fault of network, clock or store breaks an invariant",
        run: sim::run,
    },
    Command {
        name: "interop",
        args: "",
        promise: "the clients of others reach the broker over every transport",
        run: interop::run,
    },
    Command {
        name: "outages",
        args: "[--seconds N] [--seed S]",
        promise: "no outage of network or broker loses or doubles a message",
        run: outages::run,
    },
    Command {
        name: "bench",
        args: "[codec|session|broker] [OPTIONS]",
        promise: "what the crates cost",
        run: bench::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, args)) = args.split_first() else {
        eprintln!("{}", usage());
        return ExitCode::FAILURE;
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        if matches!(name.as_str(), "help" | "--help" | "-h") {
            println!("{}", usage());
            return ExitCode::SUCCESS;
        }
        eprintln!("xtask: there is no command {name}\n\n{}", usage());
        return ExitCode::FAILURE;
    };
    match (command.run)(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND\n");
    for Command { name, args, promise, .. } in COMMANDS {
        text.push_str(&format!("\n  {:38}  {promise}", format!("{name} {args}")));
    }
    text
}
