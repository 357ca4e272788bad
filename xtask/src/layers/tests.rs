//! Each rule of the layers against a small made-up workspace.

use super::*;

/// A workspace as `cargo metadata` describes it: each of our crates with what it declares, then
/// everybody's linked dependencies.
fn workspace(ours: &[(&str, &[(&str, &str)])], linked: &[(&str, &[&str])]) -> Graph {
    let mut names: Vec<&str> = ours.iter().map(|(name, _)| *name).collect();
    let members = serde_json::Value::from(names.clone());
    for (name, dependencies) in linked {
        names.push(name);
        names.extend(*dependencies);
    }
    names.sort_unstable();
    names.dedup();
    let packages: Vec<_> = names
        .iter()
        .map(|name| {
            let declared = ours.iter().find(|(own, _)| own == name).map_or(&[][..], |own| own.1);
            let dependencies: Vec<_> = declared
                .iter()
                .map(|(name, kind)| match *kind {
                    "normal" => serde_json::json!({ "name": name, "kind": null }),
                    kind => serde_json::json!({ "name": name, "kind": kind }),
                })
                .collect();
            serde_json::json!({ "id": name, "name": name, "dependencies": dependencies })
        })
        .collect();
    let nodes: Vec<_> = linked
        .iter()
        .map(|(name, dependencies)| {
            let deps: Vec<_> = dependencies
                .iter()
                .map(|name| serde_json::json!({ "pkg": name, "dep_kinds": [{ "kind": null }] }))
                .collect();
            serde_json::json!({ "id": name, "deps": deps })
        })
        .collect();
    let metadata = serde_json::json!({
        "packages": packages,
        "workspace_members": members,
        "resolve": { "nodes": nodes },
    });
    Graph::parse(&metadata.to_string()).unwrap()
}

#[test]
fn arrows_that_point_downward_are_fine() {
    let graph = workspace(
        &[
            ("mqtt-codec", &[]),
            ("mqtt-session", &[("mqtt-codec", "normal")]),
            ("mqtt-client-async", &[("mqtt-session", "normal"), ("mqtt-tests", "dev")]),
            ("mqtt-client-blocking", &[("mqtt-client-async", "normal")]),
            ("mqtt-broker-lite", &[("mqtt-session", "normal")]),
            ("mqtt-tests", &[("mqtt-broker-lite", "normal")]),
            ("xtask", &[]),
        ],
        &[],
    );
    assert_eq!(upward_arrows(&graph), Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_upward_is_found_whatever_it_is_for() {
    for kind in ["normal", "build", "dev"] {
        let graph =
            workspace(&[("mqtt-codec", &[("mqtt-session", kind)]), ("mqtt-session", &[])], &[]);
        let findings = upward_arrows(&graph);
        assert_eq!(findings.len(), 1, "{kind}");
        assert!(findings[0].starts_with("mqtt-codec -> mqtt-session"), "{findings:?}");
        assert!(findings[0].contains("fix:"), "{findings:?}");
    }
}

#[test]
fn an_arrow_between_the_drivers_is_found() {
    let graph = workspace(
        &[("mqtt-broker-lite", &[("mqtt-client-async", "dev")]), ("mqtt-client-async", &[])],
        &[],
    );
    assert_eq!(upward_arrows(&graph).len(), 1);
}

#[test]
fn test_helpers_are_for_tests_only() {
    let graph = workspace(&[("mqtt-codec", &[("mqtt-tests", "normal")]), ("mqtt-tests", &[])], &[]);
    assert_eq!(upward_arrows(&graph).len(), 1);
}

#[test]
fn this_program_depends_on_none_of_our_crates() {
    let graph = workspace(&[("xtask", &[("mqtt-codec", "normal")]), ("mqtt-codec", &[])], &[]);
    assert_eq!(upward_arrows(&graph).len(), 1);
}

#[test]
fn a_crate_without_a_layer_is_found() {
    let graph = workspace(&[("mqtt-new", &[])], &[]);
    let findings = upward_arrows(&graph);
    assert!(findings[0].starts_with("mqtt-new: this crate has no layer"), "{findings:?}");
}

#[test]
fn a_clock_or_a_socket_behind_another_crate_is_found_with_the_way_to_it() {
    let graph = workspace(
        &[("mqtt-session", &[]), ("mqtt-codec", &[])],
        &[("mqtt-session", &["helper"]), ("helper", &["deeper"]), ("deeper", &["libc"])],
    );
    let findings = impure_reach(&graph);
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].starts_with("mqtt-session -> helper -> deeper -> libc: libc does I/O"),
        "{findings:?}"
    );
}

#[test]
fn the_drivers_may_reach_everything() {
    let graph = workspace(&[("mqtt-client-async", &[])], &[("mqtt-client-async", &["tokio"])]);
    assert_eq!(impure_reach(&graph), Vec::<String>::new());
}

#[test]
fn what_only_tests_link_is_no_reach() {
    let metadata = serde_json::json!({
        "packages": [
            { "id": "s", "name": "mqtt-session", "dependencies": [] },
            { "id": "r", "name": "rand", "dependencies": [] },
        ],
        "workspace_members": ["s"],
        "resolve": { "nodes": [
            { "id": "s", "deps": [{ "pkg": "r", "dep_kinds": [{ "kind": "dev" }] }] },
        ] },
    });
    let graph = Graph::parse(&metadata.to_string()).unwrap();
    assert_eq!(impure_reach(&graph), Vec::<String>::new());
}

#[test]
fn a_lint_file_that_lacks_a_call_or_a_line_of_the_root_file_is_found() {
    let root_lints = "# why\nallow-unwrap-in-tests = true\n";
    let calls: Vec<String> = FORBIDDEN_CALLS.iter().map(|call| format!("\"{call}\",")).collect();
    let complete = format!("allow-unwrap-in-tests = true\n{}", calls.join("\n"));
    assert_eq!(lint_gaps("f", &complete, root_lints), Vec::<String>::new());
    let without_clock = complete.replace("std::time::Instant::now", "");
    assert_eq!(lint_gaps("f", &without_clock, root_lints).len(), 1);
    let without_line = complete.replace("allow-unwrap", "allow-expect");
    assert_eq!(lint_gaps("f", &without_line, root_lints).len(), 1);
    assert_eq!(lint_gaps("f", "", root_lints).len(), FORBIDDEN_CALLS.len() + 1);
}

#[test]
fn crates_are_counted_once_however_often_the_tree_shows_them() {
    let tree = "mqtt-session v0.1.0 (/src/mqtt-session)\nbytes v1.12.2\n\
                mqtt-codec v0.1.0 (/src/mqtt-codec)\nbytes v1.12.2 (*)\n";
    let ceiling = |count_itself, at_most| Ceiling {
        name: "mqtt-session",
        options: &[],
        count_itself,
        at_most,
    };
    assert_eq!(above_ceiling(&ceiling(false, 2), tree), None);
    assert_eq!(above_ceiling(&ceiling(true, 3), tree), None);
    let finding = above_ceiling(&ceiling(false, 1), tree).unwrap();
    assert!(finding.starts_with("mqtt-session: 2 crates, at most 1"), "{finding}");
}
