//! The wire suite for brokers: every statement whose breaking shows on the wire, one file for each
//! area of the standard.

use std::time::Instant;

use crate::{
    finding::Outcome,
    statements::Statement,
    suite::{Job, Report, TestResult, run},
    target::Target,
    trial::Trial,
};

/// A table of tests: name of the function, statements.
macro_rules! table {
    ($($name:ident: $($id:literal),+;)+) => {
        table! { @with false $($name: $($id),+;)+ }
    };
    (slow $($name:ident: $($id:literal),+;)+) => {
        table! { @with true $($name: $($id),+;)+ }
    };
    (@with $slow:literal $($name:ident: $($id:literal),+;)+) => {
        pub(super) const TESTS: &[super::Test] = &[$(super::Test {
            name: stringify!($name),
            ids: &[$($id),+],
            is_slow: $slow,
            script: super::Script::Steps($name),
        }),+];
    };
}
mod acknowledge;
mod alias;
mod authenticate;
mod connack;
mod connect;
mod coverage;
mod disconnect;
mod expiry;
mod flow;
mod forward;
mod keep_alive;
mod limits;
mod malformed;
mod overlap;
mod refusals;
mod resume;
mod retain;
mod session;
mod shared;
mod subscribe;
mod topics;
mod unsubscribe;
mod will;

pub use coverage::why_untested;

/// A test: a situation, and what a broker has to do in it.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// The name of its function.
    name: &'static str,
    /// The statements that it asks about.
    pub ids: &'static [&'static str],
    /// Whether it waits for a time of the protocol to pass.
    is_slow: bool,
    script: Script,
}

#[derive(Debug, Clone, Copy)]
enum Script {
    /// Runs by itself.
    Steps(fn(&Trial) -> Outcome),
    /// Bytes that end the connection.
    Refused(&'static refusals::Refusal),
}

impl Test {
    /// The situation and what must happen, as a sentence.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.replace('_', " ")
    }

    fn run(&self, target: &Target, number: usize) -> (Outcome, crate::journal::Record) {
        let trial = Trial::new(target, number);
        let outcome = match self.script {
            Script::Steps(steps) => steps(&trial),
            Script::Refused(refusal) => refusal.run(&trial),
        };
        (outcome, trial.finish())
    }
}

/// Every test.
#[must_use]
pub fn tests() -> Vec<Test> {
    let tables = [
        acknowledge::TESTS,
        alias::TESTS,
        authenticate::TESTS,
        connack::TESTS,
        connect::TESTS,
        disconnect::TESTS,
        expiry::TESTS,
        flow::TESTS,
        forward::TESTS,
        keep_alive::TESTS,
        limits::TESTS,
        overlap::TESTS,
        resume::TESTS,
        retain::TESTS,
        session::TESTS,
        shared::TESTS,
        subscribe::TESTS,
        topics::TESTS,
        unsubscribe::TESTS,
        will::TESTS,
    ];
    let mut all: Vec<Test> = tables.into_iter().flatten().copied().collect();
    let refused = refusals::all().map(|refusal| Test {
        name: refusal.name,
        ids: refusal.ids,
        is_slow: false,
        script: Script::Refused(refusal),
    });
    all.extend(refused);
    all
}

/// Runs tests against a broker.
#[must_use]
pub fn run_tests(target: &Target, tests: &[Test]) -> Vec<TestResult> {
    let jobs: Vec<Job<'_>> = tests
        .iter()
        .enumerate()
        .map(|(number, test)| Job {
            name: test.name(),
            ids: test.ids,
            run: Box::new(move || test.run(target, number)),
            is_slow: test.is_slow,
        })
        .collect();
    run(&jobs)
}

/// Runs the whole suite against a broker.
#[must_use]
pub fn judge(target: &Target) -> Report {
    let start = Instant::now();
    let results = run_tests(target, &tests());
    let subject = format!("the broker at {}", target.address());
    let untold = |statement: &Statement| why_untested(&statement.id).unwrap_or_default().to_owned();
    Report::of(subject, results, start.elapsed(), untold)
}
