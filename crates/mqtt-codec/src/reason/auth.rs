//! The reason codes of AUTH.

use super::conversions;

/// Where an authentication exchange stands: the reason code of AUTH. [MQTT-3.15.2-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum AuthReason {
    /// The authentication succeeded. Only a server says this.
    Success = 0x00,
    /// Another step of the authentication exchange is needed.
    ContinueAuthentication = 0x18,
    /// The client begins a new authentication on the open connection.
    ReAuthenticate = 0x19,
}

conversions! {
    AuthReason {
        Success => Success, "Success";
        ContinueAuthentication => ContinueAuthentication, "Continue authentication";
        ReAuthenticate => ReAuthenticate, "Re-authenticate";
    }
}
