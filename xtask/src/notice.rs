//! What a check could not do on this machine, and whether that is a failure.

use std::fmt;

use crate::error::Error;

/// A part of a check that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    what: String,
    why: String,
    remedy: String,
    required: bool,
}

impl Notice {
    /// A part that a build server has to run: with `CI=true` leaving it out is a failure.
    pub(crate) fn required(
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), why: why.into(), remedy: remedy.into(), required: true }
    }

    /// A part that is good to have and never a failure.
    pub(crate) fn optional(
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { required: false, ..Self::required(what, why, remedy) }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LEFT OUT: {}\n  why:  {}\n  then: {}", self.what, self.why, self.remedy)
    }
}

/// Whether this is a build server, where a check that is left out must not look like success.
pub(crate) fn on_build_server() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Shows the notices, and turns a required one into an error on a build server.
pub(crate) fn settle(notices: &[Notice]) -> Result<(), Error> {
    for notice in notices {
        eprintln!("{notice}");
    }
    judge(notices, on_build_server())
}

fn judge(notices: &[Notice], on_build_server: bool) -> Result<(), Error> {
    if !on_build_server {
        return Ok(());
    }
    let required: Vec<&str> = notices
        .iter()
        .filter(|notice| notice.required)
        .map(|notice| notice.what.as_str())
        .collect();
    if required.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!("with CI=true nothing may be left out: {}", required.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_out_a_required_part_fails_on_a_build_server_only() {
        let notices = [Notice::required("the book", "no mdbook", "install it")];
        assert!(judge(&notices, false).is_ok());
        let error = judge(&notices, true).unwrap_err().to_string();
        assert!(error.contains("the book"), "{error}");
    }

    #[test]
    fn leaving_out_an_optional_part_never_fails() {
        let notices = [Notice::optional("wasm", "no target", "rustup target add")];
        assert!(judge(&notices, true).is_ok());
    }

    #[test]
    fn a_notice_says_what_why_and_what_to_do() {
        let text = Notice::required("the book", "no mdbook", "install it").to_string();
        assert_eq!(text, "LEFT OUT: the book\n  why:  no mdbook\n  then: install it");
    }
}
