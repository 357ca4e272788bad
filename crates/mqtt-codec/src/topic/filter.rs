//! Topic Filters: what a subscription matches, with `$share` taken apart.

use core::fmt;

use super::{TopicError, TopicName, wildcard_difference};
use crate::text::{self, HIGH};

const SHARE: &str = "$share";

/// What a subscription asks for: a topic, perhaps with wildcards, perhaps shared.
///
/// Building one is the check. [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
/// [MQTT-4.7.3-3] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
///
/// ```
/// use mqtt_codec::{TopicError, TopicFilter, TopicName};
///
/// let filter = TopicFilter::new("$share/workers/job/+")?;
/// assert_eq!(filter.share_name(), Some("workers"));
/// assert_eq!(filter.filter(), "job/+");
/// assert!(filter.matches(TopicName::new("job/7")?));
/// assert_eq!(TopicFilter::new("job/#/done"), Err(TopicError::MultiLevelWildcard));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a> {
    text: &'a str,
    /// Where the filter begins behind `$share/name/`; 0 if it is not shared.
    start: u32,
}

impl<'a> TopicFilter<'a> {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// The first rule that the text breaks.
    pub fn new(filter: &'a str) -> Result<Self, TopicError> {
        if filter.len() > usize::from(u16::MAX) {
            return Err(TopicError::TooLong);
        }
        Self::parse(filter).map_err(|(error, _)| error)
    }

    /// Checks a text of which the length is known to fit, and says where it is wrong.
    #[inline]
    pub(crate) fn parse(filter: &'a str) -> Result<Self, (TopicError, usize)> {
        if filter.is_empty() {
            return Err((TopicError::Empty, 0));
        }
        let start = if filter.starts_with('$') { share_len(filter)? } else { 0 };
        if !is_plainly_right(filter.as_bytes(), start) {
            check_characters(filter, start)?;
        }
        Ok(Self { text: filter, start: start as u32 })
    }

    /// A filter that passed the checks of [`TopicFilter::parse`] before.
    #[inline]
    pub(crate) fn from_checked(filter: &'a str) -> Self {
        let start = if filter.starts_with('$') { share_len(filter).unwrap_or_default() } else { 0 };
        Self { text: filter, start: start as u32 }
    }

    /// The whole text, with `$share/name/` where it is shared. UNSUBSCRIBE needs this form.
    #[inline]
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The part that is matched against Topic Names: the text without `$share/name/`.
    #[inline]
    #[must_use]
    pub fn filter(&self) -> &'a str {
        self.text.get(self.start as usize..).unwrap_or_default()
    }

    /// The share name of a Shared Subscription.
    #[must_use]
    pub fn share_name(&self) -> Option<&'a str> {
        let end = (self.start as usize).checked_sub(1)?;
        self.text.get(SHARE.len() + 1..end)
    }

    /// Whether this is the filter of a Shared Subscription.
    #[inline]
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.start != 0
    }

    /// Whether the filter has `+` or `#`, and so can match more than one topic.
    #[must_use]
    pub fn has_wildcards(&self) -> bool {
        // A share name has no wildcards, so the whole text answers.
        self.text.bytes().any(|byte| byte == b'+' || byte == b'#')
    }

    /// Whether a message of this topic is for the subscription.
    ///
    /// Characters are compared exactly [MQTT-4.7.3-4], `a/#` also matches `a`, and a filter that
    /// begins with a wildcard does not match a name that begins with `$` [MQTT-4.7.2-1].
    #[must_use]
    pub fn matches(&self, topic: TopicName<'_>) -> bool {
        let filter = self.filter();
        // [MQTT-4.7.2-1]
        if topic.is_reserved() && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.levels();
        for level in filter.split('/') {
            if level == "#" {
                return true;
            }
            match names.next() {
                Some(name) if level == "+" || level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

/// How many bytes `$share/name/` takes, 0 if the filter is not shared.
fn share_len(filter: &str) -> Result<usize, (TopicError, usize)> {
    let Some(behind) = filter.strip_prefix(SHARE) else {
        return Ok(0);
    };
    if behind.is_empty() {
        return Err((TopicError::ShareNameMissing, SHARE.len()));
    }
    let Some(behind) = behind.strip_prefix('/') else {
        return Ok(0);
    };
    let name_start = SHARE.len() + 1;
    let (name, rest) = match behind.split_once('/') {
        Some((name, rest)) => (name, Some(rest)),
        None => (behind, None),
    };
    // [MQTT-4.8.2-1]
    if name.is_empty() {
        return Err((TopicError::ShareNameMissing, name_start));
    }
    // [MQTT-4.8.2-2]
    if let Some(at) = name.find(['+', '#']) {
        return Err((TopicError::ShareNameWildcard, name_start + at));
    }
    let filter_start = name_start + name.len() + 1;
    match rest {
        Some(rest) if !rest.is_empty() => Ok(filter_start),
        _ => Err((TopicError::ShareFilterMissing, filter.len())),
    }
}

/// Whether a filter that begins at byte `start` is ASCII without control characters and its
/// wildcards fill whole levels. A filter for which this is not so need not be wrong.
#[inline(always)]
fn is_plainly_right(filter: &[u8], start: usize) -> bool {
    // Eight bytes at a time; those left over at the end together with what stands before them.
    let Some(last) = filter.last_chunk::<8>() else {
        let mut word = [b'a'; 8];
        for (slot, byte) in word.iter_mut().zip(filter) {
            *slot = *byte;
        }
        return is_word_right(filter, start, 0, word);
    };
    let (words, rest) = filter.as_chunks::<8>();
    words.iter().enumerate().all(|(index, word)| is_word_right(filter, start, index * 8, *word))
        && (rest.is_empty() || is_word_right(filter, start, filter.len() - 8, *last))
}

/// [`is_plainly_right`] for eight bytes that begin at byte `at`.
#[inline(always)]
fn is_word_right(filter: &[u8], start: usize, at: usize, bytes: [u8; 8]) -> bool {
    let word = u64::from_le_bytes(bytes);
    if text::identifier_flags(word) & HIGH != 0 {
        return false;
    }
    // All bytes are ASCII now, so a difference that is not 0 takes the high bit away.
    let mut wildcards = HIGH.wrapping_sub(wildcard_difference(word)) & HIGH;
    while wildcards != 0 {
        if check_wildcard(filter, start, at + wildcards.trailing_zeros() as usize / 8).is_err() {
            return false;
        }
        wildcards &= wildcards - 1;
    }
    true
}

/// Checks the characters of a filter that begins at byte `start` one by one.
#[inline(never)]
fn check_characters(filter: &str, start: usize) -> Result<(), (TopicError, usize)> {
    if let Some(fault) = text::first_fault(filter, true) {
        return Err((fault.kind.into(), fault.at));
    }
    filter
        .match_indices(['+', '#'])
        .try_for_each(|(at, _)| check_wildcard(filter.as_bytes(), start, at))
}

/// Checks the wildcard at byte `at` of a filter that begins at byte `start`.
#[inline(always)]
fn check_wildcard(filter: &[u8], start: usize, at: usize) -> Result<(), (TopicError, usize)> {
    let opens = at == start || filter.get(at.wrapping_sub(1)) == Some(&b'/');
    let next = filter.get(at + 1);
    if filter.get(at) == Some(&b'#') {
        // [MQTT-4.7.1-1]
        if opens && next.is_none() { Ok(()) } else { Err((TopicError::MultiLevelWildcard, at)) }
    } else {
        // [MQTT-4.7.1-2]
        let whole = opens && next.is_none_or(|next| *next == b'/');
        if whole { Ok(()) } else { Err((TopicError::SingleLevelWildcard, at)) }
    }
}

impl AsRef<str> for TopicFilter<'_> {
    fn as_ref(&self) -> &str {
        self.text
    }
}

impl<'a> TryFrom<&'a str> for TopicFilter<'a> {
    type Error = TopicError;

    fn try_from(filter: &'a str) -> Result<Self, TopicError> {
        Self::new(filter)
    }
}

impl fmt::Debug for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for TopicFilter<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text)
    }
}

#[cfg(feature = "serde")]
impl<'de: 'a, 'a> serde::Deserialize<'de> for TopicFilter<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<&str>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
