//! The index against a naive model, against hostile input, and its memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::SubscriptionIndex;

/// Section 4.7, word for word and recursive.
fn naive_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
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
    /// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1], [MQTT-4.7.3-4], [MQTT-3.10.4-1].
    #[test]
    fn the_index_agrees_with_a_list_of_filters(calls in prop::collection::vec(call(), 0..200)) {
        let mut index = SubscriptionIndex::new([1, 2]);
        let mut model: BTreeMap<(String, u32), u64> = BTreeMap::new();
        for call in calls {
            match call {
                Call::Insert(filter, subscriber, value) => {
                    let (id, old) = index.insert(&filter, subscriber, value);
                    prop_assert_eq!(index.find(&filter), Some(id));
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
        let base = SubscriptionIndex::<u32, u64>::new([1, 2]).memory();
        for (filter, subscriber) in model.into_keys() {
            prop_assert!(index.remove(&filter, subscriber).is_some());
        }
        prop_assert!(index.is_empty());
        prop_assert!(index.memory() <= base);
        prop_assert_eq!(index.match_bound(), 2);
    }
}
