//! The tree against a sorted map and a naive matcher, and cursors in a tree that changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use proptest::prelude::*;

use super::{Cursor, RetainedTree, Step};

/// Section 4.7, word for word and recursive.
fn naive_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => naive_match(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => {
            wanted == level && naive_match(filter, topic)
        }
        _ => false,
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter == "#" || filter == "+" || filter.starts_with("+/")) {
        return false;
    }
    let filter: Vec<_> = filter.split('/').collect();
    let topic: Vec<_> = topic.split('/').collect();
    naive_match(&filter, &topic)
}

fn level() -> impl Strategy<Value = String> {
    // `!` sorts below `/`, `0` right above it: both come between a topic and its children.
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["", "a!", "a0", "!", "0", "$a", "%", "aa", "é"])
            .prop_map(str::to_owned),
        1 => "[a-z]{1,3}",
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..6).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+".to_owned())];
    (prop::collection::vec(level, 0..6), any::<bool>()).prop_map(|(mut levels, subtree)| {
        if subtree || levels.is_empty() {
            levels.push("#".to_owned());
        }
        levels.join("/")
    })
}

fn collect(tree: &RetainedTree<u32>, filter: &str, budget: usize) -> Vec<(String, u32)> {
    let mut cursor = Cursor::new();
    let mut all = Vec::new();
    loop {
        let mut scan = tree.scan(filter, &mut cursor, budget);
        loop {
            match scan.step() {
                Step::Entry(topic, value) => all.push((topic.to_owned(), *value)),
                Step::ComeAgain => break,
                Step::Done => return all,
            }
        }
    }
}

proptest! {
    /// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1], [MQTT-4.7.3-4].
    #[test]
    fn a_filter_is_given_its_topics_in_order(
        topics in prop::collection::vec((topic(), any::<u32>()), 0..400),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        filters in prop::collection::vec(filter(), 1..20),
        budget in 1..50_usize,
    ) {
        let mut tree = RetainedTree::new();
        let mut model = BTreeMap::new();
        for (topic, value) in &topics {
            prop_assert_eq!(tree.insert(topic, *value), model.insert(topic.clone(), *value));
        }
        if !topics.is_empty() {
            for index in removed {
                let (topic, _) = index.get(&topics);
                prop_assert_eq!(tree.remove(topic), model.remove(topic));
            }
        }
        for filter in &filters {
            let expected: Vec<_> = model
                .iter()
                .filter(|(topic, _)| matches(filter, topic))
                .map(|(topic, value)| (topic.clone(), *value))
                .collect();
            prop_assert_eq!(collect(&tree, filter, budget), expected, "filter {}", filter);
        }
        prop_assert_eq!(tree.len(), model.len());
        prop_assert_eq!(tree.topic_bytes(), model.keys().map(String::len).sum::<usize>());
        for (topic, value) in &model {
            prop_assert_eq!(tree.get(topic), Some(value));
        }
        for (topic, value) in model {
            prop_assert_eq!(tree.remove(&topic), Some(value));
        }
        prop_assert_eq!(tree.memory(), 0);
    }

    #[test]
    fn a_cursor_holds_its_place_while_the_tree_changes(
        topics in prop::collection::btree_set(topic(), 1..300),
        changes in prop::collection::vec((topic(), any::<bool>()), 0..300),
        filter in filter(),
        budget in 1..20_usize,
    ) {
        let mut tree = RetainedTree::new();
        for topic in &topics {
            tree.insert(topic, ());
        }
        let mut untouched: BTreeSet<_> = topics.clone();
        let mut cursor = Cursor::new();
        let mut met = Vec::new();
        let mut changes = changes.into_iter();
        while !cursor.is_done() {
            let mut scan = tree.scan(&filter, &mut cursor, budget);
            while let Step::Entry(topic, ()) = scan.step() {
                met.push(topic.to_owned());
            }
            drop(scan);
            for (topic, insert) in changes.by_ref().take(10) {
                if insert {
                    tree.insert(&topic, ());
                } else {
                    tree.remove(&topic);
                }
                untouched.remove(&topic);
            }
        }
        prop_assert!(met.is_sorted_by(|a, b| a < b), "each at most once, in order");
        prop_assert!(met.iter().all(|topic| matches(&filter, topic)));
        let met: BTreeSet<_> = met.into_iter().collect();
        for topic in untouched.iter().filter(|topic| matches(&filter, topic)) {
            prop_assert!(met.contains(topic), "{} was there all the time", topic);
        }
    }
}

/// The topics that a scan has to look at before it sees the end, and how many of them match.
fn looks<T>(tree: &RetainedTree<T>, filter: &str) -> (usize, usize) {
    let mut cursor = Cursor::new();
    let (mut looks, mut matches) = (0, 0);
    loop {
        let mut scan = tree.scan(filter, &mut cursor, 1);
        match scan.step() {
            Step::Entry(..) => matches += 1,
            Step::ComeAgain => {}
            Step::Done => return (looks, matches),
        }
        looks += 1;
    }
}

#[test]
fn a_scan_jumps_over_what_cannot_match() {
    let mut tree = RetainedTree::new();
    for site in 0..100 {
        for device in 0..200 {
            tree.insert(&format!("site/{site}/device/{device}/state"), ());
            tree.insert(&format!("site/{site}/device/{device}/name"), ());
        }
    }
    tree.insert("$SYS/uptime", ());
    assert_eq!(looks(&tree, "#"), (40_001, 40_000), "one of them begins with $");
    assert_eq!(looks(&tree, "site/5/device/7/name"), (1, 1));
    assert_eq!(looks(&tree, "nothing/here"), (0, 0));
    assert_eq!(looks(&tree, "zzz/#"), (0, 0));
    let (looked, found) = looks(&tree, "site/5/device/7/#");
    assert_eq!(found, 2);
    assert!(looked <= 4, "{looked}");
    let (looked, found) = looks(&tree, "site/5/device/+/name");
    assert_eq!(found, 200);
    assert!(looked <= 402, "{looked}");
    let (looked, found) = looks(&tree, "site/+/device/7/name");
    assert_eq!(found, 100);
    assert!(looked <= 302, "{looked}");
    let (looked, found) = looks(&tree, "+/x");
    assert_eq!(found, 0);
    assert!(looked <= 3, "{looked}");
}

/// Proves: [MQTT-4.7.2-1].
#[test]
fn wildcards_in_the_first_level_do_not_show_topics_with_a_dollar() {
    let mut tree = RetainedTree::new();
    for (value, topic) in ["$SYS", "$SYS/a", "$a", "", "!", "%", "a/$SYS"].iter().enumerate() {
        tree.insert(topic, value as u32);
    }
    let topics = |filter| -> Vec<String> {
        collect(&tree, filter, 9).into_iter().map(|(topic, _)| topic).collect()
    };
    assert_eq!(topics("#"), ["", "!", "%", "a/$SYS"]);
    assert_eq!(topics("+"), ["", "!", "%"]);
    assert_eq!(topics("+/a"), [""; 0]);
    assert_eq!(topics("+/#"), ["", "!", "%", "a/$SYS"]);
    assert_eq!(topics("$SYS/#"), ["$SYS", "$SYS/a"]);
    assert_eq!(topics("$SYS/+"), ["$SYS/a"]);
}

#[test]
fn the_longest_topics_and_filters_need_no_deep_stack() {
    let work = || {
        let mut tree = RetainedTree::new();
        let topics =
            ["/".repeat(65_535), "/".repeat(65_534), "a/".repeat(32_767), "a".repeat(65_535)];
        for topic in &topics {
            tree.insert(topic, 1);
        }
        for (filter, found) in [
            ("#".to_owned(), 4),
            ("/".repeat(65_534) + "+", 1),
            ("+/".repeat(32_767) + "#", 3),
            ("+/".repeat(32_767) + "+", 1),
            ("a".repeat(65_535), 1),
            ("a".repeat(65_533) + "/#", 0),
        ] {
            let (looked, matched) = looks(&tree, &filter);
            assert_eq!(matched, found);
            assert!(looked <= 5);
        }
    };
    thread::Builder::new().stack_size(256 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn long_topics_do_not_make_leaves_that_are_slow_to_change() {
    let mut tree = RetainedTree::new();
    let topic = |n: usize| format!("{:03}{}", n * 7919 % 1_000, "x".repeat(n * 37 % 20_000));
    for n in 0..1_000 {
        tree.insert(&topic(n), n);
    }
    assert!(tree.leaves.values().all(|leaf| leaf.len() == 1 || leaf.memory() < 40_000));
    assert!(tree.memory() < tree.topic_bytes() * 5 / 4);
    for n in 0..1_000 {
        assert_eq!(tree.remove(&topic(n)), Some(n));
    }
    assert_eq!(tree.memory(), 0);
}

#[test]
fn an_entry_takes_few_bytes() {
    let mut tree = RetainedTree::new();
    for n in 0..100_000_u64 {
        let n = n * 7_919 % 100_000;
        tree.insert(&format!("site/{}/device/{n}/state", n % 997), n);
    }
    let each = (tree.memory() - tree.topic_bytes()) / tree.len();
    assert!(each < size_of::<u64>() + 14, "{each}");
    // The leaves that are left join.
    for n in 0..100_000_u64 {
        if n % 50 != 0 {
            tree.remove(&format!("site/{}/device/{n}/state", n % 997));
        }
    }
    let each = (tree.memory() - tree.topic_bytes()) / tree.len();
    assert!(each < size_of::<u64>() + 25, "{each}");
}
