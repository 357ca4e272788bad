//! Each statement with the code that obeys it and the tests that prove it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    citing::cited,
    proofs::proofs,
    runner::{Outcome, Target, Test, locate},
};
use crate::{
    error::Error,
    tidy::{File, citations},
};

/// All statements, in the order of their list.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) rows: Vec<Row>,
}

/// A statement.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) text: String,
    /// Why the project does not obey, if it does not.
    pub(super) exception: Option<String>,
    /// Files that cite it.
    pub(super) code: Vec<String>,
    pub(super) tests: Vec<Proved>,
}

/// A test that proves a statement.
#[derive(Debug)]
pub(super) struct Proved {
    pub(super) test: Test,
    /// How it ended, once it ran.
    pub(super) outcome: Option<Outcome>,
}

impl Matrix {
    pub(super) fn collect(files: &[File], targets: &[Target]) -> Result<Self, Error> {
        let list = files.iter().find(|file| file.path == citations::STATEMENTS);
        let mut rows: Vec<Row> = list.into_iter().flat_map(rows).collect();
        let index: BTreeMap<String, usize> =
            rows.iter().enumerate().map(|(index, row)| (row.id.clone(), index)).collect();
        let mut faults = Vec::new();
        for file in files {
            for id in cited(file) {
                if let Some(row) = index.get(&id).and_then(|&index| rows.get_mut(index)) {
                    row.code.push(file.path.clone());
                }
            }
            let proofs = proofs(file).unwrap_or_else(|fault| {
                faults.push(fault);
                Vec::new()
            });
            for proof in proofs {
                let Some(test) = locate(targets, &file.path, &proof.name) else {
                    faults.push(format!("{}: no test program holds {}", file.path, proof.name));
                    continue;
                };
                for id in &proof.ids {
                    if let Some(row) = index.get(id).and_then(|&index| rows.get_mut(index)) {
                        row.tests.push(Proved { test: test.clone(), outcome: None });
                    }
                }
            }
        }
        Error::from_findings(&faults, "proofs that nobody can run")?;
        Ok(Self { rows })
    }

    /// The test programs that hold proofs.
    pub(super) fn targets(&self) -> BTreeSet<Target> {
        let tests = self.rows.iter().flat_map(|row| &row.tests);
        tests.map(|proved| proved.test.target.clone()).collect()
    }

    /// Enters how the tests ended.
    pub(super) fn enter(&mut self, results: &BTreeMap<Test, Outcome>) {
        for proved in self.rows.iter_mut().flat_map(|row| &mut row.tests) {
            proved.outcome = results.get(&proved.test).copied();
        }
    }

    /// Statements that no code cites or no test names, although there is no exception.
    pub(super) fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for row in self.rows.iter().filter(|row| row.exception.is_none()) {
            let (id, text) = (&row.id, &row.text);
            if row.code.is_empty() {
                gaps.push(format!("{id}: no code under crates/*/src cites it: {text}"));
            }
            if row.tests.is_empty() {
                gaps.push(format!("{id}: no test proves it: {text}"));
            }
        }
        gaps
    }

    /// Proofs that did not pass.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for row in &self.rows {
            for proved in &row.tests {
                let how = match proved.outcome {
                    Some(Outcome::Passed) => continue,
                    Some(Outcome::Failed) => "failed",
                    None => "did not run",
                };
                failures.push(format!("{}: {} {how}", row.id, proved.name()));
            }
        }
        failures
    }
}

impl Row {
    /// What the last column says.
    pub(super) fn result(&self) -> &'static str {
        let all = |outcome| self.tests.iter().all(|proved| proved.outcome == outcome);
        match &self.exception {
            Some(_) => "exception",
            None if self.code.is_empty() || self.tests.is_empty() => "OPEN",
            None if all(Some(Outcome::Passed)) => "passed",
            None if all(None) => "not run",
            None => "FAILED",
        }
    }
}

impl Proved {
    /// Program and name of the test.
    pub(super) fn name(&self) -> String {
        let Test { target, name } = &self.test;
        format!("{}/{} {name}", target.package, target.name)
    }
}

fn rows(list: &File) -> Vec<Row> {
    let value = |statement: &citations::Statement<'_>, key| {
        statement.value(key).map(|value| value.replace("\\\"", "\"").replace("\\\\", "\\"))
    };
    citations::statements(list)
        .iter()
        .map(|statement| Row {
            id: value(statement, "id").unwrap_or_default(),
            role: value(statement, "role").unwrap_or_default(),
            text: value(statement, "text").unwrap_or_default(),
            exception: value(statement, "exception"),
            code: Vec::new(),
            tests: Vec::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(code: &str, exception: &str) -> Matrix {
        let id = format!("[MQTT-{}]", "9.1-1");
        let list = format!(
            "[[statement]]\nid = \"{id}\"\nrole = \"both\"\ntext = \"A \\\"rule\\\".\"\n{exception}"
        );
        let file = |path: &str, text: String| File { path: path.to_owned(), text };
        let files = [
            file(citations::STATEMENTS, list),
            file("crates/a/src/lib.rs", code.replace("ID", &id)),
        ];
        let targets = super::super::runner::targets().unwrap();
        Matrix::collect(&files, &targets).unwrap()
    }

    #[test]
    fn a_statement_needs_code_and_a_test() {
        let open = matrix("//! Nothing.\n", "");
        assert_eq!(open.gaps().len(), 2);
        assert_eq!(open.rows[0].text, "A \"rule\".");
        assert_eq!(open.rows[0].result(), "OPEN");
        assert_eq!(matrix("// ID\n", "").gaps().len(), 1);
    }

    #[test]
    fn an_exception_needs_neither() {
        let excused = matrix("//! Nothing.\n", "exception = \"why\"\n");
        assert!(excused.gaps().is_empty());
        assert_eq!(excused.rows[0].result(), "exception");
    }
}
