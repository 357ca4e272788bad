//! One topic against one filter: a match, or where to look next.

use core::cmp::Ordering;

/// What a topic means for a walk through the topics in byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The filter matches it.
    Match,
    /// It does not match, and neither does any topic between it and the target.
    Seek,
    /// Neither it nor any topic behind it matches.
    End,
}

/// Where the topics that match a filter can begin: what stands before its first wildcard.
pub(super) fn first(filter: &str) -> &str {
    let mut start = 0;
    for level in filter.split('/') {
        let end = start + level.len();
        if level == "#" && end == filter.len() {
            // The parent level matches as well, and has no `/` at its end.
            return filter.get(..start.saturating_sub(1)).unwrap_or_default();
        }
        if level == "+" {
            return filter.get(..start).unwrap_or_default();
        }
        start = end + 1;
    }
    filter
}

/// Judges a topic. `target` is overwritten for [`Verdict::Seek`], and is above `topic` then.
///
/// The work is one pass over both texts.
pub(super) fn judge(filter: &str, topic: &str, target: &mut String) -> Verdict {
    let mut seek = |parts: &[&str]| {
        target.clear();
        target.extend(parts.iter().copied());
        Verdict::Seek
    };
    let mut first = true;
    // Where the topic's next level starts; beyond its end when all have been taken.
    let mut start = 0;
    // Where the last level ends that a `+` has taken.
    let mut plus = None;
    let mut levels = filter.split('/').peekable();
    while let Some(wanted) = levels.next() {
        let last = levels.peek().is_none();
        let subtree = last && wanted == "#";
        // [MQTT-4.7.2-1] `%` is what comes after `$`.
        if first && (subtree || wanted == "+") && topic.starts_with('$') {
            return seek(&["%"]);
        }
        first = false;
        // Also when the topic is at its end: `#` stands for the parent level as well.
        if subtree {
            return Verdict::Match;
        }
        let Some(rest) = topic.get(start..) else {
            // The filter goes on below this topic. What comes before the topics there has the same
            // beginning and then a character below `/`: another value for a `+`, but no match for
            // a literal level.
            let free = plus == Some(topic.len());
            return seek(&[topic, if free { "\0" } else { "/" }]);
        };
        let length = rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len());
        let level = rest.get(..length).unwrap_or_default();
        if wanted == "+" {
            plus = Some(start + length);
        } else if level != wanted {
            let before = topic.get(..start).unwrap_or_default();
            return match compare(rest, wanted) {
                Ordering::Less => seek(&[before, wanted]),
                // Only something like `a!` between `a`, which has been passed, and `a/`.
                Ordering::Equal if !last => seek(&[before, wanted, "/"]),
                Ordering::Equal | Ordering::Greater => skip(topic, plus, seek),
            };
        }
        start += length + 1;
    }
    if start > topic.len() { Verdict::Match } else { skip(topic, plus, seek) }
}

/// Compares what is left of a topic with the next literal level, which does not match:
/// less when it is below that level, equal when it is between the level and the level's children,
/// greater when it is above these.
fn compare(rest: &str, wanted: &str) -> Ordering {
    match rest.strip_prefix(wanted) {
        Some(more) if more < "/" => Ordering::Equal,
        Some(_) => Ordering::Greater,
        None => rest.cmp(wanted),
    }
}

/// Everything that begins like the topic up to its last free level has been seen: on to the next
/// value of that level. `0` is what comes after `/`.
fn skip(topic: &str, plus: Option<usize>, mut seek: impl FnMut(&[&str]) -> Verdict) -> Verdict {
    match plus {
        Some(end) => seek(&[topic.get(..end).unwrap_or_default(), "0"]),
        None => Verdict::End,
    }
}
