//! Topic Names: where a message is published to.

use core::fmt;

use super::{TopicError, wildcard_difference};
use crate::text::{self, repeat};

/// The name of the topic of a message: at least one character, and no wildcard.
///
/// Building one is the check, so a `TopicName` can always be sent.
/// [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]
///
/// ```
/// use mqtt_codec::{TopicError, TopicName};
///
/// let topic = TopicName::new("sensor/7/temperature")?;
/// assert_eq!(topic.levels().count(), 3);
/// assert_eq!(TopicName::new("sensor/+"), Err(TopicError::Wildcard));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
// The bytes: they are checked when they come in, and most of what is done with a topic, comparing
// and sending it, does not ask the standard library to check them again.
pub struct TopicName<'a>(&'a [u8]);

impl<'a> TopicName<'a> {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// The first rule that the text breaks.
    pub fn new(name: &'a str) -> Result<Self, TopicError> {
        if name.is_empty() {
            return Err(TopicError::Empty);
        }
        if name.len() > usize::from(u16::MAX) {
            return Err(TopicError::TooLong);
        }
        if has_name_flags(name.as_bytes())
            && let Some((error, _)) = name_fault(name)
        {
            return Err(error);
        }
        Ok(Self(name.as_bytes()))
    }

    /// A name that passed the checks of [`TopicName::new`] before.
    #[inline(always)]
    pub(crate) const fn from_checked(name: &'a [u8]) -> Self {
        Self(name)
    }

    /// The whole name. Each call goes through its characters; where bytes do,
    /// [`as_bytes`](Self::as_bytes) costs nothing.
    #[inline]
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        text::checked(self.0)
    }

    /// The whole name as UTF-8.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The levels between the `/`, which may be empty: `/a` has two.
    #[must_use]
    pub fn levels(&self) -> Levels<'a> {
        Levels(self.as_str().split('/'))
    }

    /// Whether the name begins with `$`, so that a filter which begins with a wildcard does not
    /// match it. [MQTT-4.7.2-1]
    #[inline]
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        matches!(self.0, [b'$', ..])
    }
}

/// The levels of a topic, from the first to the last. Made by [`TopicName::levels`].
#[derive(Debug, Clone)]
pub struct Levels<'a>(core::str::Split<'a, char>);

impl<'a> Iterator for Levels<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }
}

/// Whether a byte of a name is not ASCII, a control character, `+` or `#`.
#[inline(always)]
pub(crate) fn has_name_flags(bytes: &[u8]) -> bool {
    text::any(bytes, b' ', |word| {
        text::identifier_flags(word) | wildcard_difference(word).wrapping_sub(repeat(0x01))
    })
}

/// The first thing wrong with the characters of a name, and where it stands.
#[inline(never)]
pub(crate) fn name_fault(name: &str) -> Option<(TopicError, usize)> {
    let fault = text::first_fault(name, true).map(|fault| (fault.kind.into(), fault.at));
    // [MQTT-3.3.2-2] [MQTT-4.7.0-1]
    let wildcard = name.find(['+', '#']).map(|at| (TopicError::Wildcard, at));
    match (fault, wildcard) {
        (Some(fault), Some(wildcard)) if wildcard.1 < fault.1 => Some(wildcard),
        (Some(fault), _) => Some(fault),
        (None, wildcard) => wildcard,
    }
}

impl AsRef<str> for TopicName<'_> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl<'a> TryFrom<&'a str> for TopicName<'a> {
    type Error = TopicError;

    fn try_from(name: &'a str) -> Result<Self, TopicError> {
        Self::new(name)
    }
}

impl fmt::Debug for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for TopicName<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de: 'a, 'a> serde::Deserialize<'de> for TopicName<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<&str>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
