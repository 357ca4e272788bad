//! What a test has to say against an implementation.

/// Why a test did not end as the standard wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The implementation broke the statement.
    Fail(String),
    /// The situation can't be brought about: the implementation does not offer what it needs.
    Skip(String),
}

/// How a step of a test ends.
pub type Outcome<T = ()> = Result<T, Finding>;

/// The end of a test whose statement is broken.
pub(crate) fn fail<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Finding::Fail(what.into()))
}

/// The end of a test that can't be run here.
pub(crate) fn skip<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Finding::Skip(why.into()))
}

/// Goes on only if `holds`.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Finding::Fail(otherwise())) }
}
