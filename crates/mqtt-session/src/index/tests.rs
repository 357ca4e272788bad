//! The index against a naive model, against hostile input, and its memory.

use std::{collections::BTreeMap, thread};

use proptest::prelude::*;

use super::SubscriptionIndex;

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
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<_> = filter.split('/').collect();
    let topic: Vec<_> = topic.split('/').collect();
    naive_match(&filter, &topic)
}

fn found(index: &SubscriptionIndex<u32, u64>, topic: &str) -> Vec<(String, u32, u64)> {
    let mut all = Vec::new();
    index.for_each_match(topic, |id, subscriber, value| {
        let mut text = String::new();
        assert!(index.filter_text(id, &mut text));
        all.push((text, subscriber, *value));
    });
    all.sort();
    all
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("a".to_owned()),
        2 => Just("b".to_owned()),
        1 => Just(String::new()),
        1 => Just("$a".to_owned()),
        1 => Just("é".to_owned()),
        1 => "[a-z]{3}",
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..8).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(), 1 => Just("+".to_owned())];
    (prop::collection::vec(level, 0..8), any::<bool>()).prop_map(|(mut levels, subtree)| {
        if subtree || levels.is_empty() {
            levels.push("#".to_owned());
        }
        levels.join("/")
    })
}

/// Filters and topics of few different levels and great depth: the walk turns back often, and
/// comes back to levels that it has long forgotten.
fn deep_topic() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![9 => Just("a"), 1 => Just("b")], 1..60)
        .prop_map(|levels| levels.join("/"))
}

fn deep_filter() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![3 => Just("a"), 2 => Just("+")], 1..60)
        .prop_map(|levels| levels.join("/"))
}

#[derive(Clone, Debug)]
enum Call {
    Insert(String, u32, u64),
    Remove(String, u32),
    Match(String),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => (filter(), 0..6_u32, any::<u64>()).prop_map(|(f, s, v)| Call::Insert(f, s, v)),
        2 => (topic(), 0..6_u32, any::<u64>()).prop_map(|(f, s, v)| Call::Insert(f, s, v)),
        2 => (filter(), 0..6_u32).prop_map(|(f, s)| Call::Remove(f, s)),
        1 => (topic(), 0..6_u32).prop_map(|(f, s)| Call::Remove(f, s)),
        4 => topic().prop_map(Call::Match),
    ]
}

proptest! {
    /// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1], [MQTT-4.7.3-4], [MQTT-3.8.4-3],
    /// [MQTT-3.10.4-1].
    #[test]
    fn the_index_agrees_with_a_list_of_filters(calls in prop::collection::vec(call(), 0..200)) {
        let mut index = SubscriptionIndex::new([1, 2]);
        let mut model: BTreeMap<(String, u32), u64> = BTreeMap::new();
        for call in calls {
            match call {
                Call::Insert(filter, subscriber, value) => {
                    let bound = index.match_bound_with(&filter);
                    let (id, old) = index.insert(&filter, subscriber, value);
                    prop_assert_eq!(index.find(&filter), Some(id));
                    prop_assert_eq!(index.get_by_id(id, subscriber), Some(value));
                    prop_assert_eq!(index.match_bound(), bound);
                    prop_assert_eq!(old, model.insert((filter, subscriber), value));
                }
                Call::Remove(filter, subscriber) => {
                    let old = index.remove(&filter, subscriber);
                    prop_assert_eq!(old, model.remove(&(filter, subscriber)));
                }
                Call::Match(topic) => {
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|((filter, _), _)| matches(filter, &topic))
                        .map(|((filter, subscriber), value)| (filter.clone(), *subscriber, *value))
                        .collect();
                    prop_assert_eq!(found(&index, &topic), expected);
                }
            }
            prop_assert_eq!(index.len(), model.len());
        }
        let empty = SubscriptionIndex::<u32, u64>::new([1, 2]);
        for (filter, subscriber) in model.into_keys() {
            prop_assert!(index.remove(&filter, subscriber).is_some());
        }
        prop_assert!(index.is_empty());
        prop_assert_eq!(index.filters(), 0);
        prop_assert!(index.memory() <= empty.memory());
        prop_assert_eq!(index.match_bound(), empty.match_bound());
    }

    #[test]
    fn deep_filters_match_and_no_walk_exceeds_the_bound(
        filters in prop::collection::btree_set(deep_filter(), 0..60),
        topics in prop::collection::vec(deep_topic(), 1..10),
    ) {
        let mut index = SubscriptionIndex::new([3, 4]);
        for filter in &filters {
            index.insert(filter, 1, 0);
        }
        for topic in topics {
            let expected: Vec<_> = filters
                .iter()
                .filter(|filter| matches(filter, &topic))
                .map(|filter| (filter.clone(), 1, 0))
                .collect();
            prop_assert_eq!(found(&index, &topic), expected);
            let entered = index.wild.for_each_match(topic.as_bytes(), |_| {});
            prop_assert!(entered <= index.match_bound());
        }
    }
}

/// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1].
#[test]
fn the_examples_of_section_4_7() {
    let cases: [(&str, &[&str], &[&str]); 11] = [
        (
            "sport/tennis/player1/#",
            &[
                "sport/tennis/player1",
                "sport/tennis/player1/ranking",
                "sport/tennis/player1/score/wimbledon",
            ],
            &["sport/tennis/player10", "sport/tennis"],
        ),
        ("sport/#", &["sport", "sport/", "sport/a"], &["sports", "$SYS"]),
        ("#", &["a", "/", "a/b/c"], &["$SYS/broker"]),
        (
            "sport/tennis/+",
            &["sport/tennis/player1", "sport/tennis/"],
            &["sport/tennis", "sport/tennis/player1/ranking"],
        ),
        ("sport/+", &["sport/"], &["sport"]),
        ("+", &["finance"], &["/finance", "$SYS"]),
        ("+/+", &["/finance"], &["finance", "$SYS/a"]),
        ("/+", &["/finance"], &["finance", "a/finance"]),
        ("+/monitor/Clients", &["a/monitor/Clients"], &["$SYS/monitor/Clients"]),
        ("$SYS/#", &["$SYS", "$SYS/monitor/Clients"], &["SYS/a"]),
        ("$SYS/monitor/+", &["$SYS/monitor/Clients"], &["$SYS/monitor"]),
    ];
    for (filter, hits, misses) in cases {
        let mut index = SubscriptionIndex::new([0, 0]);
        index.insert(filter, 9, 1);
        for topic in hits {
            assert_eq!(found(&index, topic).len(), 1, "{filter} matches {topic}");
        }
        for topic in misses {
            assert_eq!(found(&index, topic), [], "{filter} does not match {topic}");
        }
    }
}

/// Proves: [MQTT-4.7.3-4].
#[test]
fn texts_that_look_alike_are_different() {
    let mut index = SubscriptionIndex::new([0, 0]);
    // Composed and decomposed, upper case, a space, an empty level.
    for filter in ["caf\u{e9}/+", "cafe\u{301}/+", "CAF\u{c9}/+", "caf\u{e9} /+", "caf\u{e9}//+"] {
        index.insert(filter, 1, 0);
    }
    assert_eq!(index.filters(), 5);
    assert_eq!(found(&index, "caf\u{e9}/x"), [("caf\u{e9}/+".to_owned(), 1, 0)]);
}

#[test]
fn matches_come_in_the_same_order_whatever_the_key_and_the_history() {
    let filters = ["a/b", "#", "a/#", "a/b/#", "a/+", "+/b", "+/+", "+/#", "+/b/#"];
    let order = |key, filters: &[&str]| {
        let mut index = SubscriptionIndex::new(key);
        for filter in ["x/+", "a/+/c"] {
            index.insert(filter, 1, ());
        }
        for filter in filters {
            for subscriber in [3, 1, 2] {
                index.insert(filter, subscriber, ());
            }
        }
        index.remove("x/+", 1);
        let mut order = Vec::new();
        index.for_each_match("a/b", |id, subscriber, ()| {
            let mut text = String::new();
            index.filter_text(id, &mut text);
            order.push((text, subscriber));
        });
        order
    };
    let expected = ["a/b", "#", "a/#", "a/b/#", "a/+", "+/#", "+/b/#", "+/b", "+/+"];
    let expected: Vec<_> =
        expected.iter().flat_map(|text| [1, 2, 3].map(|who| ((*text).to_owned(), who))).collect();
    assert_eq!(order([1, 2], &filters), expected);
    let mut reversed = filters;
    reversed.reverse();
    assert_eq!(order([77, 1 << 60], &reversed), expected);
}

#[test]
fn an_identifier_stands_for_its_filter_while_anybody_subscribes_to_it() {
    let mut index = SubscriptionIndex::new([1, 2]);
    for filter in ["a/b", "a/+", "a/#", "#", "+", "/", "", "//+", "+/#"] {
        let (id, _) = index.insert(filter, 1, 10);
        assert_eq!(index.insert(filter, 2, 20), (id, None));
        assert_eq!(index.remove(filter, 1), Some(10));
        let mut text = String::from("> ");
        assert!(index.filter_text(id, &mut text));
        assert_eq!(text, format!("> {filter}"));
        assert_eq!(index.remove_by_id(id, 1), None, "not any more");
        assert_eq!(index.get_by_id(id, 2), Some(20));
        assert_eq!(index.remove_by_id(id, 2), Some(20));
        assert!(!index.filter_text(id, &mut text));
        assert_eq!(index.remove_by_id(id, 2), None);
        assert_eq!(index.find(filter), None);
    }
}

#[test]
fn a_filter_has_thousands_of_subscribers_in_order() {
    let mut index = SubscriptionIndex::new([1, 2]);
    for n in 0..5_000_u32 {
        index.insert("all/+", n.wrapping_mul(2_654_435_761) % 5_003, u64::from(n));
    }
    let mut subscribers = Vec::new();
    index.for_each_match("all/x", |_, subscriber, _| subscribers.push(subscriber));
    assert_eq!(subscribers.len(), index.len());
    assert!(subscribers.is_sorted_by(|a, b| a < b));
    for subscriber in subscribers {
        assert!(index.remove("all/+", subscriber).is_some());
    }
    assert!(index.memory() <= SubscriptionIndex::<u32, u64>::new([1, 2]).memory());
}

/// A small generator, so that runs repeat.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn churn_gives_all_memory_back() {
    let mut index = SubscriptionIndex::new([1, 2]);
    index.insert("stays/+", 1, 0);
    index.insert("stays", 1, 0);
    let before = index.memory();
    let mut state = 0x1234_5678_9abc_def1;
    let mut held = Vec::new();
    let mut most = 0;
    for _ in 0..40_000 {
        if held.len() < 5_000 || random(&mut state).is_multiple_of(2) {
            let (a, b, c) = (random(&mut state) % 100, random(&mut state), random(&mut state) % 9);
            let filter = match random(&mut state) % 5 {
                0 => format!("a{a}/+/b{b}"),
                1 => format!("a{a}/b{b}/#"),
                _ => format!("a{a}/{b}/c{c}"),
            };
            let subscriber = (random(&mut state) % 100) as u32;
            index.insert(&filter, subscriber, b);
            held.push((filter, subscriber));
            most = most.max(index.memory());
        } else {
            let at = random(&mut state) as usize % held.len();
            let (filter, subscriber) = held.swap_remove(at);
            assert!(index.remove(&filter, subscriber).is_some());
        }
    }
    assert!(most > 500_000, "it was something: {most}");
    for (filter, subscriber) in held {
        assert!(index.remove(&filter, subscriber).is_some());
    }
    assert_eq!(index.len(), 2);
    assert!(index.memory() <= before, "{} bytes of {before}", index.memory());
}

#[test]
fn a_hundred_thousand_filters_of_one_shape_cost_what_one_costs() {
    let mut index = SubscriptionIndex::new([1, 2]);
    for n in 0..100_000_u32 {
        index.insert(&format!("+/+/a{n}/+/b/#"), n, 0);
    }
    // The empty shape, five more, and the exact filters.
    assert_eq!(index.match_bound(), 7);
    assert_eq!(index.wild.for_each_match(b"x/x/a777/x/b/c/d", |_| {}), 6);
    assert!(index.memory() < 20_000_000, "{}", index.memory());
}

#[test]
fn filters_made_to_be_slow_raise_the_bound_and_can_be_refused() {
    const LIMIT: usize = 4_096;
    let mut index = SubscriptionIndex::new([1, 2]);
    let mut refused = 0;
    for bits in 0..1_u32 << 14 {
        let levels = (0..14).map(|level| if bits >> level & 1 == 0 { "x" } else { "+" });
        let filter = levels.chain(["+", "no"]).collect::<Vec<_>>().join("/");
        if index.match_bound_with(&filter) > LIMIT {
            refused += 1;
        } else {
            index.insert(&filter, bits, 0);
        }
    }
    assert!(refused > 10_000, "{refused}");
    assert!(index.match_bound() <= LIMIT);
    let topic = ["x"; 15].join("/") + "/yes";
    assert!(index.wild.for_each_match(topic.as_bytes(), |_| {}) <= LIMIT);
    let honest = index.match_bound_with("plant/+/line/+/temperature");
    assert!(honest <= index.match_bound() + 5, "an ordinary filter adds at most its levels");
}

#[test]
fn the_longest_filters_and_topics_need_no_deep_stack() {
    let work = || {
        let mut index = SubscriptionIndex::new([1, 2]);
        let filters = [
            "/".repeat(65_535),
            "/".repeat(65_534) + "+",
            "+/".repeat(32_767) + "#",
            "a".repeat(65_535),
            "a".repeat(65_533) + "/+",
            "+".repeat(65_535),
        ];
        let mut ids = Vec::new();
        for filter in &filters {
            let (id, _) = index.insert(filter, 1, 0);
            let mut text = String::new();
            assert!(index.filter_text(id, &mut text));
            assert!(text == *filter);
            ids.push(id);
        }
        let topics =
            ["/".repeat(65_535), "/".repeat(65_534), "a/".repeat(32_767), "a".repeat(65_533) + "/"];
        let counts = topics.map(|topic| {
            let mut count = 0;
            index.for_each_match(&topic, |_, _, _| count += 1);
            count
        });
        // All but the last are matched by the one with `#` after 32,767 levels.
        assert_eq!(counts, [2, 2, 1, 1]);
        for id in ids {
            assert!(index.remove_by_id(id, 1).is_some());
        }
        assert!(index.memory() <= SubscriptionIndex::<u32, u64>::new([1, 2]).memory());
    };
    thread::Builder::new().stack_size(256 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn any_string_is_safe() {
    let mut index = SubscriptionIndex::new([1, 2]);
    let strange =
        ["", "#/a", "a#", "a/#/b", "a+/b", "+a", "##", "#+", "\0", "a\0/+", "/#/", "+/#/+"];
    for (n, text) in strange.iter().enumerate() {
        index.insert(text, 1, n as u64);
        let mut back = String::new();
        let id = index.find(text).unwrap();
        assert!(index.filter_text(id, &mut back));
        assert_eq!(back, *text);
    }
    for topic in strange {
        let own = matches(topic, topic);
        let found = found(&index, topic);
        assert_eq!(found.iter().any(|(filter, _, _)| filter == topic), own, "{topic}");
    }
    for text in strange {
        assert!(!index.is_empty());
        assert!(index.remove(text, 1).is_some());
    }
    assert!(index.is_empty());
}

#[test]
fn the_index_is_the_size_it_says() {
    let mut index = SubscriptionIndex::<u32, (u8, u32)>::new([1, 2]);
    for n in 0..100_000 {
        index.insert(&format!("fleet/{}/vehicle/{n}/telemetry", n % 500), n % 10, (0, 0));
    }
    let each = index.memory() / index.filters();
    assert!(each < 80, "{each} bytes a filter with a text of 32");
}

#[test]
fn a_filter_with_many_subscribers_is_the_size_it_says() {
    let mut index = SubscriptionIndex::<u32, u64>::new([1, 2]);
    let bare = index.memory();
    for subscriber in 0..10_000 {
        index.insert("t", subscriber, 0);
    }
    let each = (index.memory() - bare) / 10_000;
    let entry = size_of::<(u32, u64)>();
    assert!((entry..=2 * entry + 1).contains(&each), "{each} bytes for an entry of {entry}");
}
