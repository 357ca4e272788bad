//! A report as text for people, and as JSON and JUnit for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::suite::{Report, StatementResult, Verdict};

/// What the statement came out as.
fn word(result: &StatementResult) -> &'static str {
    result.verdict.as_ref().map_or("untested", Verdict::word)
}

fn detail(result: &StatementResult) -> &str {
    result.verdict.as_ref().map_or(&result.untold, Verdict::detail)
}

/// The report for people: what is not a plain pass, with the transcript of what failed, and the
/// figures.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = format!("{}\n", report.subject);
    for wanted in ["fail", "weak", "skipped"] {
        for result in report.statements.iter().filter(|result| word(result) == wanted) {
            // Writing to a string cannot fail.
            let _ =
                write!(out, "\n{wanted:8} {}  {}\n", result.statement.id, result.statement.text);
            let _ = writeln!(out, "         {}", detail(result));
            for line in &result.transcript {
                let _ = writeln!(out, "         | {line}");
            }
        }
    }
    let _ = write!(out, "\n{}\n", summary(report));
    out
}

/// One line with the figures.
#[must_use]
pub fn summary(report: &Report) -> String {
    format!(
        "{} statements: {} pass, {} weak, {} fail, {} skipped, {} not seen on the wire; {} tests \
         in {:.1} s",
        report.statements.len(),
        report.count("pass"),
        report.count("weak"),
        report.count("fail"),
        report.count("skipped"),
        report.count("untested"),
        report.tests.len(),
        report.took.as_secs_f64()
    )
}

/// The report as JSON: every statement with its result, every test with what it took.
#[must_use]
pub fn json(report: &Report) -> String {
    let statements: Vec<Value> = report
        .statements
        .iter()
        .map(|result| {
            json!({
                "id": result.statement.id,
                "role": result.statement.role,
                "text": result.statement.text,
                "result": word(result),
                "detail": detail(result),
                "tests": result.tests,
                "transcript": result.transcript,
            })
        })
        .collect();
    let tests: Vec<Value> = report
        .tests
        .iter()
        .map(|test| {
            json!({
                "name": test.name,
                "statements": test.ids,
                "result": test.verdict.word(),
                "detail": test.verdict.detail(),
                "seconds": test.took.as_secs_f64(),
            })
        })
        .collect();
    let all = json!({
        "subject": report.subject,
        "seconds": report.took.as_secs_f64(),
        "statements": statements,
        "tests": tests,
    });
    format!("{all:#}\n")
}

/// The report as JUnit writes one: a test case for each statement.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        escaped(&report.subject),
        report.statements.len(),
        report.count("fail"),
        report.count("skipped") + report.count("untested"),
        report.took.as_secs_f64()
    );
    for result in &report.statements {
        let _ = write!(
            out,
            "  <testcase classname=\"{}\" name=\"{} {}\"",
            escaped(&result.statement.role),
            escaped(&result.statement.id),
            escaped(&result.statement.text)
        );
        let detail = escaped(detail(result));
        let body = match &result.verdict {
            Some(Verdict::Pass) => None,
            // A recommendation that is not followed is no failure, but is to be seen.
            Some(Verdict::Weak(_)) => Some(format!("<system-out>weak: {detail}</system-out>")),
            Some(Verdict::Fail(_)) => {
                let transcript = escaped(&result.transcript.join("\n"));
                Some(format!("<failure message=\"{detail}\">{transcript}</failure>"))
            }
            Some(Verdict::Skipped(_)) | None => Some(format!("<skipped message=\"{detail}\"/>")),
        };
        let _ = match body {
            None => writeln!(out, "/>"),
            Some(body) => writeln!(out, ">\n    {body}\n  </testcase>"),
        };
    }
    out.push_str("</testsuite>\n");
    out
}

/// Text as XML has it; characters that XML cannot have are shown as U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            _ if character < ' ' => out.push('\u{FFFD}'),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{journal::Record, suite::TestResult};

    fn report() -> Report {
        let test = |id, verdict: Verdict, line: &str| TestResult {
            name: format!("asks {}", verdict.word()),
            ids: vec![id],
            verdict,
            record: Record { transcript: vec![line.to_owned()], ..Record::default() },
            took: Duration::from_millis(10),
        };
        let tests = vec![
            test("[MQTT-1.5.4-1]", Verdict::Pass, "a"),
            test("[MQTT-1.5.4-2]", Verdict::Fail("it <broke> & fell".to_owned()), "b \u{1}"),
            test("[MQTT-1.5.4-3]", Verdict::Weak("so so".to_owned()), "c"),
            test("[MQTT-1.5.5-1]", Verdict::Skipped("no \"way\"".to_owned()), "d"),
        ];
        let untold = |_: &crate::statements::Statement| "nobody sees it".to_owned();
        Report::of("a broker".to_owned(), tests, Duration::from_secs(1), untold)
    }

    #[test]
    fn the_figures_count_statements() {
        assert_eq!(
            summary(&report()),
            "317 statements: 1 pass, 1 weak, 1 fail, 1 skipped, 313 not seen on the wire; 4 tests \
             in 1.0 s"
        );
    }

    #[test]
    fn people_read_what_is_not_a_plain_pass() {
        let text = text(&report());
        assert!(text.contains("fail     [MQTT-1.5.4-2]"), "{text}");
        assert!(text.contains("| b \u{1}"), "{text}");
        assert!(text.contains("so so") && text.contains("no \"way\""), "{text}");
        assert!(!text.contains("[MQTT-1.5.4-1]"), "{text}");
    }

    #[test]
    fn machines_read_every_statement() {
        let value: Value = serde_json::from_str(&json(&report())).unwrap();
        assert_eq!(value["statements"].as_array().unwrap().len(), 317);
        assert_eq!(value["statements"][1]["result"], "fail");
        assert_eq!(value["statements"][1]["transcript"][0], "b \u{1}");
        assert_eq!(value["tests"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn junit_has_a_case_for_each_statement_and_escapes_what_it_must() {
        let xml = junit(&report());
        assert_eq!(xml.matches("<testcase").count(), 317);
        assert!(xml.contains("failures=\"1\" skipped=\"314\""), "{xml}");
        assert!(xml.contains("it &lt;broke&gt; &amp; fell\">b \u{FFFD}</failure>"), "{xml}");
        assert!(xml.contains("<skipped message=\"asks") || xml.contains("no &quot;way&quot;"));
    }
}
