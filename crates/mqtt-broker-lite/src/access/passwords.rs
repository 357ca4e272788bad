//! The password file: who proves an identity by user name and password.
//!
//! A line is `user:hash`. Hashes are argon2id as PHC strings, which is what `passwd` writes, and
//! the PBKDF2 form of mosquitto 2, `$7$iterations$salt$hash`.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, Params};
use base64ct::{Base64, Encoding as _};
use sha2::Sha512;

use crate::files::{FileError, Problem, each_line};

/// Users and what their passwords hash to.
#[derive(Debug, Default)]
pub(crate) struct Passwords {
    users: HashMap<Box<str>, Hash>,
    /// What the password of a user that does not exist is held against, so that it takes as long.
    decoy: Option<Hash>,
}

#[derive(Clone, Debug)]
enum Hash {
    Argon2(Box<PasswordHash>),
    Pbkdf2(Box<Pbkdf2>),
}

/// PBKDF2 with HMAC-SHA-512.
#[derive(Clone, Debug)]
struct Pbkdf2 {
    iterations: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// KiB that one argon2 hash may take. A line that asks for more is a slip.
const MOST_MEMORY: u32 = 1024 * 1024;
/// Passes of an argon2 hash, and iterations of PBKDF2, that a line may ask for.
const MOST_PASSES: u32 = 1000;
const MOST_ITERATIONS: u32 = 100_000_000;

impl Passwords {
    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut passwords = Self::default();
        each_line(text, |line| {
            let (user, hash) = line
                .split_once(':')
                .ok_or("a line is USER:HASH; write it with mqtt-broker-lite passwd")?;
            check_user(user)?;
            let hash = Hash::parse(hash)?;
            passwords.decoy = Some(hash.clone());
            match passwords.users.insert(user.into(), hash) {
                None => Ok(()),
                Some(_) => Err(format!("the user {user:?} stands in the file twice")),
            }
        })?;
        Ok(passwords)
    }

    /// Whether `user` has this password; `None` for a user that is not in the file, which takes
    /// as long to say. That is tens of milliseconds of one core.
    pub(crate) fn verify(&self, user: &str, password: &[u8]) -> Option<bool> {
        let found = self.users.get(user);
        let result = found.or(self.decoy.as_ref()).map(|hash| hash.verify(password));
        found.and(result)
    }
}

fn check_user(user: &str) -> Result<(), String> {
    if user.is_empty() {
        return Err("the name of the user is missing".to_owned());
    }
    if user.contains(char::is_control) || user.contains(':') || user != user.trim() {
        return Err(format!("{user:?} cannot stand in a password file"));
    }
    if user.starts_with('#') {
        return Err(format!("{user:?} would be a comment"));
    }
    Ok(())
}

impl Hash {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the hash is missing: nobody comes in without a password".to_owned());
        }
        if let Some(rest) = text.strip_prefix("$7$") {
            return Ok(Self::Pbkdf2(Box::new(Pbkdf2::parse(rest)?)));
        }
        if !text.starts_with("$argon2") {
            return Err("the hash is neither argon2 nor mosquitto's $7$: write the line with \
                        mqtt-broker-lite passwd"
                .to_owned());
        }
        let wrong = |what: &dyn std::fmt::Display| format!("the argon2 hash is wrong: {what}");
        let hash = PasswordHash::new(text).map_err(|error| wrong(&error))?;
        let params = Params::try_from(&hash).map_err(|error| wrong(&error))?;
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
            return Err(wrong(&"it asks for more than 1 GiB or 1,000 passes"));
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(wrong(&"it has no salt or no hash"));
        }
        argon2::Algorithm::try_from(hash.algorithm.as_str()).map_err(|error| wrong(&error))?;
        if let Some(version) = hash.version {
            argon2::Version::try_from(version).map_err(|error| wrong(&error))?;
        }
        Ok(Self::Argon2(Box::new(hash)))
    }

    fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Self::Pbkdf2(hash) => hash.verify(password),
        }
    }
}

impl Pbkdf2 {
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('$');
        let (Some(iterations), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("a $7$ hash is $7$ITERATIONS$SALT$HASH".to_owned());
        };
        let iterations: u32 = iterations
            .parse()
            .ok()
            .filter(|number| (1..=MOST_ITERATIONS).contains(number))
            .ok_or_else(|| format!("{iterations:?} is no number of iterations"))?;
        let decode = |what: &str, text: &str| {
            Base64::decode_vec(text).map_err(|_| format!("the {what} of the $7$ hash is no base64"))
        };
        let (salt, hash) = (decode("salt", salt)?, decode("hash", hash)?);
        if salt.len() < 8 || hash.len() != 64 {
            return Err("a $7$ hash has a salt of 8 bytes or more, and 64 bytes of hash".to_owned());
        }
        Ok(Self { iterations, salt, hash })
    }

    fn verify(&self, password: &[u8]) -> bool {
        let mut hash = [0; 64];
        pbkdf2::pbkdf2_hmac::<Sha512>(password, &self.salt, self.iterations, &mut hash);
        // How long it takes must not tell how much of it is right.
        let difference =
            hash.iter().zip(&self.hash).fold(0, |all, (one, other)| all | (one ^ other));
        difference == 0 && hash.len() == self.hash.len()
    }
}

/// Sets the password of `user` in the password file `path`, which is made if it is not there.
/// Other lines stay as they are. The file is replaced as a whole, so that a broker that reads it
/// meets either the old one or the new one; the new one has the mode and, on Unix, the owner and
/// the group of the old one.
///
/// # Errors
///
/// [`FileError`] when the file cannot be read or written, which includes that its owner cannot be
/// kept, or when what stands in it, or the name of the user, is not what a password file may hold.
pub fn set_password(path: impl AsRef<Path>, user: &str, password: &[u8]) -> Result<(), FileError> {
    let path = path.as_ref();
    let content = |reason: String| FileError::Content {
        path: Some(path.to_owned()),
        problems: vec![Problem { line: 1, reason }],
    };
    check_user(user).map_err(content)?;
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(FileError::Read { path: path.to_owned(), source }),
    };
    Passwords::parse(&old)
        .map_err(|problems| FileError::Content { path: Some(path.to_owned()), problems })?;
    let hash = Argon2::default()
        .hash_password(password)
        .map_err(|error| content(format!("the password cannot be hashed: {error}")))?;
    let line = format!("{user}:{hash}");
    let mut found = false;
    let mut lines: Vec<&str> = Vec::new();
    for old in old.lines() {
        let is_users = old.trim().split_once(':').is_some_and(|(name, _)| name == user);
        found |= is_users;
        lines.push(if is_users { &line } else { old });
    }
    if !found {
        lines.push(&line);
    }
    let text = lines.join("\n") + "\n";
    replace(path, &text).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Replaces the file `path` by one with this text, which only its owner may read, unless more
/// could read the one before. Who owned that one owns this one: root sets passwords for a broker
/// that runs as somebody else.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| match fs::metadata(path) {
            Ok(old) => {
                keep_owner(&file, &old).and_then(|()| file.set_permissions(old.permissions()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What went wrong first is told.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Gives `file` the owner and the group of `old`.
#[cfg(unix)]
fn keep_owner(file: &fs::File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    fchown(file, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &fs::File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by mosquitto_passwd 2.0 for the password "secret".
    const MOSQUITTO: &str = "u:$7$101$CEPUXBFhnem99TJg$qtAJ2+JYlXVWsUaPfAJVr8Le4Nfgq61QaDSUSWCNvPIRY16l5URd4bHDoV8gTuW+K5mrAGlTzygcud0YOq9x1w==";

    fn assert_yes(verified: Option<bool>) {
        assert_eq!(verified, Some(true));
    }

    fn assert_no(verified: Option<bool>) {
        assert_eq!(verified, Some(false));
    }

    #[test]
    fn a_line_of_mosquittos_is_read() {
        let passwords = Passwords::parse(MOSQUITTO).unwrap();
        assert_yes(passwords.verify("u", b"secret"));
        assert_no(passwords.verify("u", b"Secret"));
        assert_no(passwords.verify("u", b""));
        assert_eq!(passwords.verify("U", b"secret"), None, "there is no such user");
    }

    #[test]
    fn a_password_that_was_set_is_the_users() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        fs::write(&path, format!("# mine\n{MOSQUITTO}\n")).unwrap();
        set_password(&path, "ann", b"one").unwrap();
        set_password(&path, "ann", b"two").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("# mine") && text.contains("ann:$argon2id$v=19$"), "{text}");
        let passwords = Passwords::parse(&text).unwrap();
        assert_yes(passwords.verify("u", b"secret"));
        assert_yes(passwords.verify("ann", b"two"));
        assert_no(passwords.verify("ann", b"one"));
    }

    #[test]
    #[cfg(unix)]
    fn a_new_file_is_for_its_owner_alone_and_an_old_one_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        set_password(&path, "ann", b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        set_password(&path, "bob", b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    #[cfg(unix)]
    fn a_file_of_somebody_else_stays_theirs() {
        use std::os::unix::fs::{MetadataExt as _, chown};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        set_password(&path, "ann", b"one").unwrap();
        // Another group that we belong to, or any other owner if we are root.
        let theirs = match chown(&path, Some(4711), Some(4712)) {
            Ok(()) => (4711, 4712),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                let groups = std::process::Command::new("id").arg("-G").output().unwrap().stdout;
                let groups = String::from_utf8(groups).unwrap();
                let group = groups.split_whitespace().last().unwrap().parse().unwrap();
                chown(&path, None, Some(group)).unwrap();
                (fs::metadata(&path).unwrap().uid(), group)
            }
        };
        set_password(&path, "bob", b"two").unwrap();
        let new = fs::metadata(&path).unwrap();
        assert_eq!((new.uid(), new.gid()), theirs);
    }

    #[test]
    fn a_file_that_is_wrong_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        fs::write(&path, "plain\n").unwrap();
        assert!(matches!(set_password(&path, "ann", b"x"), Err(FileError::Content { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "plain\n");
        for user in ["", "a:b", "a\nb", "#a", " a"] {
            assert!(set_password(folder.path().join("other"), user, b"x").is_err(), "{user:?}");
        }
        assert!(!folder.path().join("other").exists());
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let text = format!(
            "{MOSQUITTO}\nann\nann:\n:x\nann:secret\n{MOSQUITTO}\nb:$6$aa$bb\nb:$7$0$aa$bb\n\
             b:$7$1$!$bb\nb:$7$1$YWE=$YWE=\nb:$argon2id$v=19$m=4294967295,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFh\n\
             b:$argon2id$v=19$m=19456,t=2,p=1\nb:$argon2id$v=18$m=19456,t=2,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFh\n"
        );
        let problems = Passwords::parse(&text).unwrap_err();
        let told: Vec<_> = problems.iter().map(|problem| problem.to_string()).collect();
        let starts = [
            "line 2: a line is USER:HASH",
            "line 3: the hash is missing",
            "line 4: the name of the user is missing",
            "line 5: the hash is neither",
            "line 6: the user \"u\" stands in the file twice",
            "line 7: the hash is neither",
            "line 8: \"0\" is no number of iterations",
            "line 9: the salt of the $7$ hash is no base64",
            "line 10: a $7$ hash has a salt",
            "line 11: the argon2 hash is wrong: it asks for more",
            "line 12: the argon2 hash is wrong",
            "line 13: the argon2 hash is wrong",
        ];
        assert_eq!(told.len(), starts.len(), "{told:#?}");
        for (told, start) in told.iter().zip(starts) {
            assert!(told.starts_with(start), "{told} / {start}");
        }
    }
}
