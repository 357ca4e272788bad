//! What is known of an implementation: the statements that it does not pass, and why.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    statements::statement,
    suite::{Report, Verdict},
};

/// The differences that an implementation is known for. Every other statement has to pass, or to be
/// skipped.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expected {
    /// Each of them.
    #[serde(default)]
    pub difference: Vec<Difference>,
}

/// A statement that does not pass.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Difference {
    /// The statement, with brackets.
    pub id: String,
    /// `fail` or `weak`.
    pub result: String,
    /// What the implementation does instead.
    pub why: String,
}

impl Expected {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for difference in &expected.difference {
            let Difference { id, result, why } = difference;
            if statement(id).is_none() {
                return Err(format!("there is no statement {id}"));
            }
            if !matches!(result.as_str(), "fail" | "weak") {
                return Err(format!("{id}: the result is fail or weak, not {result}"));
            }
            if why.is_empty() {
                return Err(format!("{id}: why is that so?"));
            }
        }
        Ok(expected)
    }

    /// What came out otherwise than it is expected to, a line each.
    #[must_use]
    pub fn surprises(&self, report: &Report) -> Vec<String> {
        let known: BTreeMap<&str, &str> = self
            .difference
            .iter()
            .map(|difference| (difference.id.as_str(), difference.result.as_str()))
            .collect();
        let mut surprises = Vec::new();
        for result in &report.statements {
            let id = result.statement.id.as_str();
            let came = match &result.verdict {
                Some(verdict @ (Verdict::Fail(_) | Verdict::Weak(_))) => verdict.word(),
                _ => "pass",
            };
            let due = known.get(id).copied().unwrap_or("pass");
            if came != due {
                let detail = result.verdict.as_ref().map_or("", Verdict::detail);
                surprises.push(format!("{id}: {came}, and {due} was expected: {detail}"));
            }
        }
        surprises
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{journal::Record, suite::TestResult};

    fn report(verdict: Verdict) -> Report {
        let test = TestResult {
            name: "a test".to_owned(),
            ids: vec!["[MQTT-1.5.4-1]"],
            verdict,
            record: Record::default(),
            took: Duration::ZERO,
        };
        let untold = |_: &crate::statements::Statement| String::new();
        Report::of("a broker".to_owned(), vec![test], Duration::ZERO, untold)
    }

    const KNOWN: &str =
        "[[difference]]\nid = \"[MQTT-1.5.4-1]\"\nresult = \"fail\"\nwhy = \"it does\"\n";

    #[test]
    fn what_is_known_is_no_surprise_and_everything_else_is() {
        let failed = report(Verdict::Fail("so".to_owned()));
        assert!(Expected::parse(KNOWN).unwrap().surprises(&failed).is_empty());
        assert_eq!(Expected::default().surprises(&failed).len(), 1);
        // What is mended is to be taken from the list.
        assert_eq!(Expected::parse(KNOWN).unwrap().surprises(&report(Verdict::Pass)).len(), 1);
        assert!(Expected::default().surprises(&report(Verdict::Skipped(String::new()))).is_empty());
    }

    #[test]
    fn a_list_that_says_nothing_is_refused() {
        assert!(Expected::parse(&KNOWN.replace("1.5.4-1", "9.9.9-9")).is_err());
        assert!(Expected::parse(&KNOWN.replace("fail", "pass")).is_err());
        assert!(Expected::parse(&KNOWN.replace("it does", "")).is_err());
        assert!(Expected::parse("surprise = 1").is_err());
    }
}
