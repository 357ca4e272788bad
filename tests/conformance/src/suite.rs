//! Runs tests side by side and gathers what they say about each statement.

use std::{
    any::Any,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    finding::{Finding, Outcome},
    journal::Record,
    statements::{Statement, statements},
};

/// How many tests run at once. They wait far more than they work.
const SIDE_BY_SIDE: usize = 24;

/// What a test has found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestResult {
    /// A sentence: the situation and what must happen.
    pub name: String,
    /// The statements that it asks about.
    pub ids: Vec<&'static str>,
    /// How it ended.
    pub verdict: Verdict,
    /// Everything that was said, and what the referee saw.
    pub record: Record,
    /// How long it took.
    pub took: Duration,
}

/// How a test, or a statement, comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It holds, but not in the way that the standard recommends; with what was otherwise.
    Weak(String),
    /// It could not be tried; with the reason.
    Skipped(String),
    /// It is broken; with how.
    Fail(String),
}

impl Verdict {
    /// One word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Weak(_) => "weak",
            Self::Skipped(_) => "skipped",
            Self::Fail(_) => "fail",
        }
    }

    /// What is to be said beside the word.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Weak(detail) | Self::Skipped(detail) | Self::Fail(detail) => detail,
        }
    }
}

/// What a suite is made of.
pub(crate) struct Job<'a> {
    pub(crate) name: String,
    pub(crate) ids: &'a [&'static str],
    /// Runs the test; the record is what it left.
    pub(crate) run: Box<dyn Fn() -> (Outcome, Record) + Send + Sync + 'a>,
    /// Those that wait for the clock begin first.
    pub(crate) is_slow: bool,
}

/// Runs every job; results come in the order of the jobs.
pub(crate) fn run(jobs: &[Job<'_>]) -> Vec<TestResult> {
    let mut order: Vec<&Job<'_>> = jobs.iter().collect();
    order.sort_by_key(|job| !job.is_slow);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(order.len()) {
            scope.spawn(|| {
                while let Some(job) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run_one(job);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let place = |result: &TestResult| jobs.iter().position(|job| job.name == result.name);
    done.sort_by_key(place);
    done
}

fn run_one(job: &Job<'_>) -> TestResult {
    let start = Instant::now();
    let (outcome, record) =
        catch_unwind(AssertUnwindSafe(|| (job.run)())).unwrap_or_else(|panic| {
            (
                Err(Finding::Fail(format!("the test itself broke: {}", told(&*panic)))),
                Record::default(),
            )
        });
    let verdict = match outcome {
        Err(Finding::Fail(how)) => Verdict::Fail(how),
        Err(Finding::Skip(why)) => Verdict::Skipped(why),
        Ok(()) if record.weak.is_empty() => Verdict::Pass,
        Ok(()) => Verdict::Weak(record.weak.join("; ")),
    };
    let (name, ids) = (job.name.clone(), job.ids.to_vec());
    TestResult { name, ids, verdict, record, took: start.elapsed() }
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// What all tests together say about a statement.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StatementResult {
    /// The statement.
    pub statement: &'static Statement,
    /// How it comes out; `None` where nothing on the wire can tell, and `untold` says why.
    pub verdict: Option<Verdict>,
    /// Why there is no verdict.
    pub untold: String,
    /// The names of the tests that ask about it.
    pub tests: Vec<String>,
    /// The transcript of the test that broke it.
    pub transcript: Vec<String>,
}

/// The whole report.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// Who was tested.
    pub subject: String,
    /// Every statement, in the order of the list.
    pub statements: Vec<StatementResult>,
    /// Every test.
    pub tests: Vec<TestResult>,
    /// How long all of it took.
    pub took: Duration,
}

impl Report {
    /// Puts the results of tests together. `untold` says why a statement has no test.
    pub(crate) fn of(
        subject: String,
        tests: Vec<TestResult>,
        took: Duration,
        untold: impl Fn(&Statement) -> String,
    ) -> Self {
        let results = statements().iter().map(|statement| judge(statement, &tests, &untold));
        Self { subject, statements: results.collect(), tests, took }
    }

    /// The result of a statement.
    #[must_use]
    pub fn statement(&self, id: &str) -> Option<&StatementResult> {
        self.statements.iter().find(|result| result.statement.id == id)
    }

    /// How many statements came out with this word; `untested` for those without a verdict.
    #[must_use]
    pub fn count(&self, word: &str) -> usize {
        let own = |result: &&StatementResult| {
            result.verdict.as_ref().map_or("untested", Verdict::word) == word
        };
        self.statements.iter().filter(own).count()
    }
}

fn judge(
    statement: &'static Statement,
    tests: &[TestResult],
    untold: &impl Fn(&Statement) -> String,
) -> StatementResult {
    let asks = |test: &&TestResult| test.ids.contains(&statement.id.as_str());
    let names: Vec<String> = tests.iter().filter(asks).map(|test| test.name.clone()).collect();
    let mut result = StatementResult {
        statement,
        verdict: None,
        untold: String::new(),
        tests: names,
        transcript: Vec::new(),
    };
    for test in tests {
        let breach = test.record.breaches.iter().find(|(id, _)| *id == statement.id);
        let failed = match (&test.verdict, breach) {
            (_, Some((_, how))) => Some(how.clone()),
            (Verdict::Fail(how), None) if asks(&test) => Some(how.clone()),
            _ => None,
        };
        if let Some(how) = failed {
            result.verdict = Some(Verdict::Fail(format!("{}: {how}", test.name)));
            result.transcript.clone_from(&test.record.transcript);
            return result;
        }
    }
    let with = |word| tests.iter().filter(asks).find(|test| test.verdict.word() == word);
    let details = |word| {
        let tests = tests.iter().filter(asks).filter(|test| test.verdict.word() == word);
        let texts: BTreeSet<&str> = tests.map(|test| test.verdict.detail()).collect();
        texts.into_iter().collect::<Vec<_>>().join("; ")
    };
    let observed = tests.iter().any(|test| test.record.observed.contains(statement.id.as_str()));
    result.verdict = if with("weak").is_some() {
        Some(Verdict::Weak(details("weak")))
    } else if with("pass").is_some() || observed {
        Some(Verdict::Pass)
    } else if with("skipped").is_some() {
        Some(Verdict::Skipped(details("skipped")))
    } else {
        result.untold = untold(statement);
        None
    };
    result
}
