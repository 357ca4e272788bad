//! The wire suite for clients: the suite plays the broker with raw bytes, and the client is a
//! command that acts out a scenario.

use std::time::{Duration, Instant};

use crate::{
    finding::Outcome,
    journal::Record,
    proxy::Sabotage,
    statements::Statement,
    suite::{Job, Report, TestResult, run},
};

mod connect;
mod coverage;
mod faults;
mod guest;
mod publish;
mod receive;
mod resume;
mod watch;

pub use coverage::why_untested;
pub(crate) use watch::Watch;

use guest::Stage;

/// A test: what the broker says, and what a client has to do then.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    name: &'static str,
    /// The statements that it asks about.
    pub ids: &'static [&'static str],
    script: Script,
}

#[derive(Debug, Clone, Copy)]
enum Script {
    /// Runs by itself.
    Steps(fn(&Stage) -> Outcome),
    /// Bytes that a client must not put up with.
    Fault(&'static faults::Fault),
}

/// A table of tests: name of the function, statements.
macro_rules! table {
    ($($name:ident: $($id:literal),+;)+) => {
        pub(super) const TESTS: &[super::Test] = &[$(super::Test {
            name: stringify!($name),
            ids: &[$($id),+],
            script: super::Script::Steps($name),
        }),+];
    };
}
use table;

impl Test {
    /// The situation and what must happen, as a sentence.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.replace('_', " ")
    }
}

/// The client under test.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Subject {
    /// The command, with `{port}` and `{scenario}` in it.
    pub command: String,
    /// How long an answer may take.
    pub patience: Duration,
    /// What is broken on purpose between the client and the suite.
    pub sabotage: Option<Sabotage>,
}

impl Subject {
    /// A client that is started by this command.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), patience: Duration::from_secs(5), sabotage: None }
    }
}

/// Every test.
#[must_use]
pub fn tests() -> Vec<Test> {
    let tables = [connect::TESTS, publish::TESTS, receive::TESTS, resume::TESTS];
    let mut all: Vec<Test> = tables.into_iter().flatten().copied().collect();
    all.extend(faults::all().map(|fault| Test {
        name: fault.name,
        ids: fault.ids,
        script: Script::Fault(fault),
    }));
    all
}

/// Runs tests against a client.
#[must_use]
pub fn run_tests(subject: &Subject, tests: &[Test]) -> Vec<TestResult> {
    let jobs: Vec<Job<'_>> = tests
        .iter()
        .map(|test| Job {
            name: test.name(),
            ids: test.ids,
            run: Box::new(|| act(subject, test)),
            is_slow: false,
        })
        .collect();
    run(&jobs)
}

fn act(subject: &Subject, test: &Test) -> (Outcome, Record) {
    let stage = Stage::new(subject);
    let outcome = match test.script {
        Script::Steps(steps) => steps(&stage),
        Script::Fault(fault) => fault.run(&stage),
    };
    (outcome, stage.record())
}

/// Runs the whole suite against a client.
#[must_use]
pub fn judge(subject: &Subject) -> Report {
    let start = Instant::now();
    let results = run_tests(subject, &tests());
    let untold = |statement: &Statement| why_untested(&statement.id).unwrap_or_default().to_owned();
    let name = format!("the client `{}`", subject.command);
    Report::of(name, results, start.elapsed(), untold)
}
