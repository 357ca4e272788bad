//! One topic against one filter: a match, or where to look next.

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

/// What follows the literal beginning of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// `+`; the beginning has its `/` at the end.
    Plus,
    /// `#`; the beginning comes without `/`, as it matches too [MQTT-4.7.1-1].
    Subtree,
    Nothing,
}

/// Cuts a filter, other than `#`, before its first wildcard.
#[inline]
fn cut(filter: &str) -> (&str, Next) {
    let bytes = filter.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let whole = |more| bytes.get(at + 1).is_none_or(|&byte| more && byte == b'/');
        match byte {
            b'/' => start = at + 1,
            b'+' if at == start && whole(true) => {
                return (filter.get(..at).unwrap_or_default(), Next::Plus);
            }
            b'#' if at == start && whole(false) && at > 0 => {
                return (filter.get(..at - 1).unwrap_or_default(), Next::Subtree);
            }
            _ => {}
        }
    }
    (filter, Next::Nothing)
}

/// Where the topics that match a filter can begin.
pub(super) fn first(filter: &str) -> &str {
    if filter == "#" { "" } else { cut(filter).0 }
}

/// Judges a topic. `target` is overwritten for [`Verdict::Seek`], and is above `topic` then.
///
/// The work is one pass over both texts. It goes from `+` to `+`: between them, what matches begins
/// with one text, so it lies in one piece of the order, ahead of the topic or behind it.
pub(super) fn judge(filter: &str, topic: &str, target: &mut String) -> Verdict {
    // [MQTT-4.7.2-1] `%` is what comes after `$`.
    if topic.starts_with('$') && (filter == "#" || filter == "+" || filter.starts_with("+/")) {
        return seek(target, ["%", "", ""]);
    }
    // What is left of the filter, and where what is left of the topic starts.
    let (mut left, mut start) = (filter, 0);
    // What the topic has up to its last level that a `+` has taken.
    let mut taken = None;
    while left != "#" {
        let Some(rest) = topic.get(start..) else {
            // The filter goes on, and the topic has ended with a level that `+` took. What comes
            // before the topics below it differs in that level, and may match.
            return seek(target, [topic, "\0", ""]);
        };
        let before = topic.get(..start).unwrap_or_default();
        let (literal, next) = cut(left);
        let Some(rest) = rest.strip_prefix(literal) else {
            return if rest < literal {
                seek(target, [before, literal, ""])
            } else {
                skip(target, taken)
            };
        };
        match (next, rest.bytes().next()) {
            (Next::Nothing | Next::Subtree, None) | (Next::Subtree, Some(b'/')) => break,
            // Like `a!`, which comes between `a` and `a/`.
            (Next::Subtree, Some(..b'/')) => return seek(target, [before, literal, "/"]),
            (Next::Nothing | Next::Subtree, _) => return skip(target, taken),
            (Next::Plus, _) => {
                let length = rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len());
                let end = start + literal.len() + length;
                taken = topic.get(..end);
                start = end + 1;
                match left.get(literal.len() + "+/".len()..) {
                    Some(more) => left = more,
                    None if start > topic.len() => break,
                    None => return skip(target, taken),
                }
            }
        }
    }
    Verdict::Match
}

fn seek(target: &mut String, parts: [&str; 3]) -> Verdict {
    target.clear();
    target.extend(parts);
    Verdict::Seek
}

/// When everything has been seen that begins like `taken` and `/`: on to the next value of the level
/// that `taken` ends with. `0` is what comes after `/`.
fn skip(target: &mut String, taken: Option<&str>) -> Verdict {
    match taken {
        Some(taken) => seek(target, [taken, "0", ""]),
        None => Verdict::End,
    }
}
