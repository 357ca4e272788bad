//! The test programs of the workspace: which there are, what their tests are called, how they end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    error::Error,
    process::{cargo, output, program, root},
};

/// A test program: a library, a binary or an integration test of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) package: String,
    pub(super) name: String,
    /// The file it begins in, from the root of the workspace.
    source: String,
    /// The kind that cargo names.
    kind: String,
}

/// A test: its program and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    pub(super) target: Target,
    pub(super) name: String,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
}

/// Every target of the workspace that can hold tests.
pub(super) fn targets() -> Result<Vec<Target>, Error> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata = parse(&metadata)?;
    let root = root();
    let mut found = Vec::new();
    for package in list(&metadata, "packages") {
        for target in list(package, "targets") {
            let source = std::path::Path::new(text(target, "src_path"));
            let source = source.strip_prefix(&root).unwrap_or(source);
            found.push(Target {
                package: text(package, "name").to_owned(),
                name: text(target, "name").to_owned(),
                source: source.to_string_lossy().replace('\\', "/"),
                kind: kind(target),
            });
        }
    }
    found.sort();
    Ok(found)
}

/// The test that a function of a file is; `None` if no target holds the file.
pub(super) fn locate(targets: &[Target], path: &str, function: &str) -> Option<Test> {
    if let Some(target) = targets.iter().find(|target| target.source == path) {
        return Some(Test { target: target.clone(), name: function.to_owned() });
    }
    // A file below a target's folder is a module of it. Of several in one folder (a library and a
    // binary, or the integration tests) it is the one that is named like the folder below, else
    // the library.
    let in_folder = |target: &&Target| {
        let folder = target.source.rsplit_once('/').map_or("", |(folder, _)| folder);
        path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    let longest = targets.iter().filter(in_folder).map(|target| folder(target).len()).max()?;
    let candidates: Vec<&Target> =
        targets.iter().filter(in_folder).filter(|t| folder(t).len() == longest).collect();
    let rest = path.get(longest + 1..)?;
    let first = rest.split('/').next().unwrap_or_default();
    let target = candidates
        .iter()
        .find(|target| target.source.ends_with(&format!("/{first}.rs")))
        .or_else(|| candidates.iter().find(|target| target.kind == "lib"))
        .or_else(|| candidates.first())?;
    let module = rest.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module).replace('/', "::");
    Some(Test { target: (*target).clone(), name: format!("{module}::{function}") })
}

fn folder(target: &Target) -> &str {
    target.source.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Builds every test program once and runs those in `wanted`; how each of their tests ended.
pub(super) fn run(wanted: &BTreeSet<Target>) -> Result<BTreeMap<Test, Outcome>, Error> {
    let messages = output(cargo().args([
        "test",
        "--workspace",
        "--all-features",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]))?;
    let mut results = BTreeMap::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message = parse(line)?;
        let Some(executable) = message.get("executable").and_then(Value::as_str) else { continue };
        let is_test = message.pointer("/profile/test").and_then(Value::as_bool) == Some(true);
        let Some(target) = message.get("target").filter(|_| is_test) else { continue };
        let (name, kind) = (text(target, "name"), kind(target));
        let manifest = text(&message, "manifest_path");
        let folder = manifest.strip_suffix("Cargo.toml").unwrap_or(manifest);
        let ours = |target: &&Target| {
            let source = root().join(&target.source);
            target.name == name && target.kind == kind && source.starts_with(folder)
        };
        let Some(target) = wanted.iter().find(ours) else { continue };
        eprintln!("running the tests of {} {}", target.package, target.name);
        // Two threads at least: with one, a line is begun before the test has ended, and what the
        // test prints stands in the middle of it.
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
        let mut tests = program(executable);
        tests.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
        tests.arg(format!("--test-threads={threads}"));
        let ended = tests.output().map_err(|error| Error::from(error).context(executable))?;
        let said = String::from_utf8_lossy(&ended.stdout);
        for (name, outcome) in said.lines().filter_map(result) {
            results.insert(Test { target: target.clone(), name: name.to_owned() }, outcome);
        }
        if !ended.status.success() {
            eprintln!("{said}{}", String::from_utf8_lossy(&ended.stderr));
        }
    }
    Ok(results)
}

/// What a line of the test runner says about a test.
fn result(line: &str) -> Option<(&str, Outcome)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    Some((name, if outcome == "ok" { Outcome::Passed } else { Outcome::Failed }))
}

fn parse(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| Error::new(format!("what cargo says: {error}")))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn kind(target: &Value) -> String {
    list(target, "kind").filter_map(Value::as_str).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(source: &str, kind: &str) -> Target {
        let name = source.rsplit('/').next().unwrap_or_default().replace(".rs", "");
        Target { package: "a".to_owned(), name, source: source.to_owned(), kind: kind.to_owned() }
    }

    fn located(path: &str) -> (String, String) {
        let targets = [
            target("crates/a/src/lib.rs", "lib"),
            target("crates/a/src/main.rs", "bin"),
            target("crates/a/tests/one.rs", "test"),
            target("crates/a/tests/two.rs", "test"),
            target("crates/a/tests/many/main.rs", "test"),
        ];
        let test = locate(&targets, path, "f").unwrap();
        (test.target.source, test.name)
    }

    #[test]
    fn a_function_is_found_where_the_runner_has_it() {
        let test = |path, source: &str, name: &str| {
            assert_eq!(located(path), (source.to_owned(), name.to_owned()));
        };
        test("crates/a/src/b/c.rs", "crates/a/src/lib.rs", "b::c::f");
        test("crates/a/src/b/mod.rs", "crates/a/src/lib.rs", "b::f");
        test("crates/a/src/main.rs", "crates/a/src/main.rs", "f");
        test("crates/a/tests/two.rs", "crates/a/tests/two.rs", "f");
        test("crates/a/tests/many/main.rs", "crates/a/tests/many/main.rs", "f");
        test("crates/a/tests/many/x.rs", "crates/a/tests/many/main.rs", "x::f");
    }

    #[test]
    fn a_line_of_the_runner_is_read() {
        assert_eq!(result("test a::b ... ok"), Some(("a::b", Outcome::Passed)));
        assert_eq!(result("test a - should panic ... ok"), Some(("a", Outcome::Passed)));
        assert_eq!(result("test a ... FAILED"), Some(("a", Outcome::Failed)));
        assert_eq!(result("test a ... ignored"), Some(("a", Outcome::Failed)));
        assert_eq!(result("test result: ok. 3 passed"), None);
    }
}
