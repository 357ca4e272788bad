//! Topics: the names that messages are published to, and the filters that subscribe to them.

mod filter;
mod name;

pub use filter::TopicFilter;
pub use name::{Levels, TopicName};

pub(crate) use name::{has_name_flags, name_fault};

use crate::error::DecodeRule;
use crate::text;

/// Why a text is no Topic Name or no Topic Filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// No character at all. [MQTT-4.7.3-1]
    #[error("a topic has at least one character")]
    Empty,
    /// More than 65,535 bytes. [MQTT-4.7.3-3]
    #[error("a topic has at most 65,535 bytes")]
    TooLong,
    /// U+0000. [MQTT-4.7.3-2]
    #[error("a topic never contains U+0000")]
    NulCharacter,
    /// A control character, U+0001 to U+001F or U+007F to U+009F.
    #[error("a topic contains no control characters")]
    ControlCharacter,
    /// A Unicode non-character.
    #[error("a topic contains no Unicode non-characters")]
    NonCharacter,
    /// `+` or `#` in a Topic Name. [MQTT-3.3.2-2] [MQTT-4.7.0-1]
    #[error("a Topic Name contains neither `+` nor `#`")]
    Wildcard,
    /// `#` that is not the whole last level of a filter. [MQTT-4.7.1-1]
    #[error("`#` stands alone in the last level of a filter")]
    MultiLevelWildcard,
    /// `+` that is not a whole level of a filter. [MQTT-4.7.1-2]
    #[error("`+` stands alone in a level of a filter")]
    SingleLevelWildcard,
    /// `$share` without a share name behind it. [MQTT-4.8.2-1]
    #[error("`$share/` is followed by a share name")]
    ShareNameMissing,
    /// A share name with `+` or `#`. [MQTT-4.8.2-2]
    #[error("a share name contains neither `+` nor `#`")]
    ShareNameWildcard,
    /// A share name without a filter behind it. [MQTT-4.8.2-2]
    #[error("a share name is followed by `/` and a filter")]
    ShareFilterMissing,
}

impl TopicError {
    /// Whether the form of a Shared Subscription is broken, which is a Protocol Error, and not
    /// that of a plain filter, which makes the packet malformed.
    pub(crate) const fn is_share_fault(self) -> bool {
        matches!(self, Self::ShareNameMissing | Self::ShareNameWildcard | Self::ShareFilterMissing)
    }
}

impl From<TopicError> for DecodeRule {
    /// The rule that a Topic Filter of a packet breaks. Character faults are those of any text.
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::NulCharacter => Self::NulCharacter,
            TopicError::ControlCharacter => Self::ControlCharacter,
            TopicError::NonCharacter => Self::NonCharacter,
            TopicError::Empty
            | TopicError::TooLong
            | TopicError::Wildcard
            | TopicError::MultiLevelWildcard
            | TopicError::SingleLevelWildcard
            | TopicError::ShareNameMissing
            | TopicError::ShareNameWildcard
            | TopicError::ShareFilterMissing => Self::TopicFilter(error),
        }
    }
}

/// Eight bytes of a topic, with 0 for each that is a wildcard.
#[inline(always)]
const fn wildcard_difference(word: u64) -> u64 {
    // The two wildcards differ in one bit.
    const BIT: u8 = b'+' ^ b'#';
    (word | text::repeat(BIT)) ^ text::repeat(b'+' | BIT)
}
