//! `cargo xtask fuzz`.

use crate::error::Error;

pub(crate) fn run(_args: &[String]) -> Result<(), Error> {
    Err(Error::new("not written"))
}
