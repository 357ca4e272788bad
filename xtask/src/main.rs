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
mod ci;
mod debian;
mod deny;
mod docs;
mod error;
mod fuzz;
mod layers;
mod notice;
mod process;
mod tidy;

use error::Error;

/// A command: its name, what it takes and does, and the function that does it.
struct Command {
    name: &'static str,
    usage: &'static str,
    run: fn(&[String]) -> Result<(), Error>,
}

const COMMANDS: &[Command] = &[
    Command { name: "ci", usage: "ci                every check, then every test", run: ci::run },
    Command {
        name: "layers",
        usage: "layers            arrows between crates point downward only",
        run: layers::run,
    },
    Command {
        name: "tidy",
        usage: "tidy              the rules for files and texts",
        run: tidy::run,
    },
    Command { name: "docs", usage: "docs              rustdoc and the book", run: docs::run },
    Command {
        name: "deny",
        usage: "deny              dependencies and their licences",
        run: deny::run,
    },
    Command { name: "fuzz", usage: "fuzz --seconds N [--target NAME]", run: fuzz::run },
    Command { name: "bench", usage: "bench [codec|session|broker]", run: bench::run },
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
    let mut text = String::from("usage: cargo xtask COMMAND\n\ncommands:");
    for command in COMMANDS {
        text.push_str("\n  ");
        text.push_str(command.usage);
    }
    text
}
