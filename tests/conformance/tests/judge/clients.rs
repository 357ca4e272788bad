//! Our own clients before the wire suite, as they are and with one behaviour at a time broken by a
//! proxy.

use std::{
    collections::BTreeSet,
    env,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use mqtt_conformance::{
    Verdict,
    client::{self, Subject, Test},
    proxy::Sabotage,
    report, statements,
};

use crate::{AT_LEAST_PERCENT, PATIENCE, Row, client_hears, client_overlooks, client_says};

/// The command of an example of this package, which cargo builds with its tests.
fn command(name: &str) -> String {
    let tests = env::current_exe().unwrap();
    let folder = tests.parent().unwrap().parent().unwrap().join("examples");
    let program = folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    let there = program.is_file();
    assert!(there, "{} is missing: cargo build -p mqtt-conformance --examples", program.display());
    format!("'{}' {{port}} {{scenario}}", program.display())
}

fn passes(name: &str) {
    let judged = client::judge(&Subject::new(&command(name)));
    let wrong = judged.count("fail") + judged.count("weak");
    assert_eq!(wrong, 0, "{}", report::text(&judged));
    let skipped: Vec<&str> = judged
        .statements
        .iter()
        .filter(|result| matches!(result.verdict, Some(Verdict::Skipped(_))))
        .map(|result| result.statement.id.as_str())
        .collect();
    // Neither client names an Authentication Method.
    assert_eq!(skipped, ["[MQTT-3.1.2-30]"]);
    for result in &judged.statements {
        let id = &result.statement.id;
        let reason = client::why_untested(id);
        assert_eq!(result.verdict.is_some(), reason.is_none(), "{id}: {reason:?}");
    }
}

#[test]
fn the_asynchronous_client_passes() {
    passes("conformance-async");
}

#[test]
fn the_blocking_client_passes() {
    passes("conformance-blocking");
}

#[test]
fn a_client_behind_an_honest_proxy_passes() {
    // With the patience of the other tests: what they notice is not that they don't wait.
    let mut subject = Subject::new(&command("conformance-async"));
    subject.patience = PATIENCE;
    subject.sabotage = Some(Sabotage::Overlooks(|_| false));
    let judged = client::judge(&subject);
    let wrong = judged.count("fail") + judged.count("weak");
    assert_eq!(wrong, 0, "{}", report::text(&judged));
}

fn tables() -> Vec<&'static Row> {
    [client_overlooks::TABLE, client_hears::TABLE, client_says::TABLE]
        .into_iter()
        .flatten()
        .collect()
}

/// The statements of a row that did not notice.
fn unnoticed(row: &Row, command: &str, tests: &[Test]) -> Vec<String> {
    let mut subject = Subject::new(command);
    subject.patience = PATIENCE;
    subject.sabotage = Some(row.how);
    let is_asked = |id: &&str| tests.iter().any(|test| test.ids.contains(id));
    let asks = |test: &&Test| test.ids.iter().any(|id| row.caught_by.contains(id));
    let chosen: Vec<Test> = match row.caught_by.iter().all(is_asked) {
        true => tests.iter().filter(asks).copied().collect(),
        // Every packet is watched for it, so any traffic does.
        false => tests.iter().filter(|test| test.name().contains("published")).copied().collect(),
    };
    let results = client::run_tests(&subject, &chosen);
    let notices = |id: &&&str| {
        results.iter().any(|result| {
            let failed = matches!(result.verdict, Verdict::Fail(_) | Verdict::Weak(_));
            failed && result.ids.contains(id)
                || result.record.breaches.iter().any(|(breached, _)| breached == *id)
        })
    };
    let missed = row.caught_by.iter().filter(|id| !notices(id));
    missed.map(|id| format!("{id} did not notice: {}", row.what)).collect()
}

#[test]
fn every_broken_behaviour_of_a_client_is_noticed_by_the_statement_that_it_breaks() {
    let (rows, tests, command) = (tables(), client::tests(), command("conformance-async"));
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = unnoticed(row, &command, &tests);
                    missed.lock().unwrap().extend(found);
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} of {} rows:\n{}", missed.len(), rows.len(), missed.join("\n"));
}

#[test]
fn nearly_every_statement_about_clients_has_its_broken_behaviour() {
    let rows = tables();
    let judged: BTreeSet<&str> = rows.iter().flat_map(|row| row.caught_by).copied().collect();
    let on_the_wire: Vec<&str> = statements()
        .iter()
        .map(|statement| statement.id.as_str())
        .filter(|id| client::why_untested(id).is_none())
        .collect();
    let without: Vec<&str> =
        on_the_wire.iter().filter(|id| !judged.contains(*id)).copied().collect();
    let percent = 100 * (on_the_wire.len() - without.len()) / on_the_wire.len();
    assert!(percent >= AT_LEAST_PERCENT, "{percent} %, without: {}", without.join(" "));
    eprintln!(
        "{} broken behaviours for {} of {} statements; none for {}",
        rows.len(),
        on_the_wire.len() - without.len(),
        on_the_wire.len(),
        without.join(" ")
    );
}
