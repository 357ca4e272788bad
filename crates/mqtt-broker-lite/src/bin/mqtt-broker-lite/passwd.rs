//! `mqtt-broker-lite passwd`: sets a password in a password file.

use std::error::Error;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;

use mqtt_broker_lite::set_password;

/// Asks for the password of `user` and writes it to `file`.
pub(crate) fn run(file: &Path, user: &str) -> Result<(), Box<dyn Error>> {
    let password = if io::stdin().is_terminal() { from_terminal()? } else { from_input()? };
    if password.is_empty() {
        return Err("the password is empty".into());
    }
    set_password(file, user, password.as_bytes())?;
    Ok(())
}

/// Twice, and without an echo.
fn from_terminal() -> Result<String, Box<dyn Error>> {
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("The same again: ")? != password {
        return Err("the two passwords differ".into());
    }
    Ok(password)
}

/// The first line of standard input.
fn from_input() -> Result<String, Box<dyn Error>> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
