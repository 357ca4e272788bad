//! The few topics and filters that simulated clients use, as small numbers.

use std::sync::LazyLock;

/// Topics by number.
pub const TOPICS: [&str; 8] =
    ["a", "a/b", "a/b/c", "long/topic/one", "long/topic/two", "w", "s/x", "s/y"];

/// Filters by number. The first ones are plain; those from [`FIRST_SHARED`] on are shared, and
/// what one of them matches is matched by no other, so that each message to a group is told apart.
pub const FILTERS: [&str; 11] = [
    "a",
    "a/+",
    "a/#",
    "+/topic/+",
    "long/topic/one",
    "+",
    "a/b/c",
    "w",
    "long/#",
    "$share/g/s/x",
    "$share/h/+/y",
];

/// The number of the first shared filter.
pub const FIRST_SHARED: usize = 9;

/// The most clients of one schedule.
pub const CLIENTS: usize = 6;

/// Client identifiers by number.
pub const CLIENT_IDS: [&str; CLIENTS] = ["c0", "c1", "c2", "c3", "c4", "c5"];

/// The filters that match each topic, a bit each.
static MATCHING: LazyLock<[u16; TOPICS.len()]> = LazyLock::new(|| {
    let mut matching = [0; TOPICS.len()];
    for (set, topic) in matching.iter_mut().zip(TOPICS) {
        for (number, filter) in FILTERS.iter().enumerate() {
            let plain = match filter.strip_prefix("$share/") {
                Some(rest) => rest.split_once('/').expect("a name and a filter").1,
                None => filter,
            };
            *set |= u16::from(matches(plain, topic)) << number;
        }
    }
    matching
});

/// The filters that match each topic, a bit each.
pub(super) fn matching() -> &'static [u16; TOPICS.len()] {
    &MATCHING
}

/// The number of a topic.
pub(super) fn topic(name: &str) -> Option<u8> {
    TOPICS.iter().position(|topic| *topic == name).map(|at| at as u8)
}

/// The number of a filter.
pub(super) fn filter(text: &str) -> Option<u8> {
    FILTERS.iter().position(|filter| *filter == text).map(|at| at as u8)
}

/// The number of a client identifier.
pub(super) fn client(id: &str) -> Option<usize> {
    CLIENT_IDS.iter().position(|known| *known == id)
}

fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, level) if Some(wanted) == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_matched_by_the_filters_of_the_standard() {
        for (filter, topic, is_match) in [
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/+", "a", false),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("+", "w", true),
            ("+/topic/+", "long/topic/one", true),
            ("long/topic/one", "long/topic/two", false),
        ] {
            assert_eq!(matches(filter, topic), is_match, "{filter} {topic}");
        }
    }
}
