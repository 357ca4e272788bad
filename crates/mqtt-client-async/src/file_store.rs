//! Sessions in files.
//!
//! A file is never changed: the bytes are written to another one beside it, which is synced and
//! takes its name, and then the directory is synced. So a crash at any moment leaves either what
//! was there before or what is there now, and never a part.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::store::{SessionStore, StoredName, StoredSession, in_use};

/// How long to wait for another owner of the file to let go: a client that was dropped a moment ago
/// may still be writing.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest name of a file, as most file systems want it, with what is put behind it.
const LONGEST_NAME: usize = 240;

/// Keeps each session in a file of its own in a directory: what was saved survives the end of the
/// process, however it ends, and once [`save`](StoredSession::save) has returned also a loss of
/// power, as far as the disk tells the truth.
///
/// A file is locked for as long as its client lives, so that no second process goes on with the same
/// session. It holds messages in the clear: the directory is made, where there is none, so that on
/// Unix no other user can read it.
#[derive(Clone, Debug)]
pub struct FileStore {
    directory: PathBuf,
}

impl FileStore {
    /// Keeps sessions in this directory, which is made when it is needed.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The file of a session.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidFilename`] if the Client Identifier is too long for a file's name.
    pub fn path(&self, name: &StoredName) -> io::Result<PathBuf> {
        let file = format!("{}@{}.mqtt", escaped(&name.client_id), escaped(&name.server));
        if file.len() > LONGEST_NAME {
            let text = format!(
                "the client identifier has {} bytes, too many for the name of a file; use a \
                 shorter one, or a `SessionStore` of your own",
                name.client_id.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, text));
        }
        Ok(self.directory.join(file))
    }
}

/// The text with everything escaped that not every file system tells apart in a name. Two texts
/// never become the same.
fn escaped(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(byte.into()),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

impl SessionStore for FileStore {
    fn open(&self, name: &StoredName) -> io::Result<Box<dyn StoredSession>> {
        let path = self.path(name)?;
        make_directory(&self.directory)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))?;
        let begin = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if begin.elapsed() > PATIENCE => {
                    return Err(in_use(name));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
            }
        }
        Ok(Box::new(InFile { path, directory: self.directory.clone(), _lock: lock }))
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Makes the names in a directory as durable as what is in its files.
fn sync_directory(directory: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened, and renaming is as durable as it gets.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

struct InFile {
    path: PathBuf,
    directory: PathBuf,
    /// Held as long as this is.
    _lock: File,
}

impl StoredSession for InFile {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, &self.path)?;
        sync_directory(&self.directory)
    }

    fn remove(&mut self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Ok(()) => sync_directory(&self.directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_file_of_its_own_in_the_directory() {
        let store = FileStore::new("/d");
        let file = |server: &str, client_id: &str| {
            let path = store.path(&StoredName::new(server, client_id)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        assert_eq!(file("localhost:1883", "meter-17"), "/d/meter-17@localhost%3a1883.mqtt");
        assert_eq!(file("h", "../A@b/ü"), "/d/..%2f%41%40b%2f%c3%bc@h.mqtt");
        assert_ne!(file("h", "a"), file("h", "A"), "some systems do not tell case apart");
        let long = store.path(&StoredName::new("h", "x".repeat(300))).unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::InvalidFilename);
        assert!(long.to_string().contains("300 bytes"), "{long}");
    }

    #[test]
    fn what_was_saved_is_there_for_the_next_and_never_for_two_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::new(directory.path().join("made/when/needed"));
        let name = StoredName::new("h:1", "c");
        let mut first = store.open(&name).unwrap();
        assert_eq!(first.load().unwrap(), None);
        first.save(b"one").unwrap();
        first.save(b"two").unwrap();
        assert_eq!(first.load().unwrap().as_deref(), Some(&b"two"[..]));
        assert!(!store.path(&name).unwrap().with_extension("new").exists());
        let busy = store.open(&name).err().unwrap();
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        let mut second = store.open(&name).unwrap();
        assert_eq!(second.load().unwrap().as_deref(), Some(&b"two"[..]));
        second.remove().unwrap();
        second.remove().unwrap();
        assert_eq!(second.load().unwrap(), None);
        assert_eq!(second.location(), store.path(&name).unwrap().display().to_string());
    }

    #[test]
    fn what_a_write_that_was_cut_off_leaves_is_not_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::new(directory.path());
        let name = StoredName::new("h:1", "c");
        store.open(&name).unwrap().save(b"whole").unwrap();
        fs::write(store.path(&name).unwrap().with_extension("new"), b"par").unwrap();
        assert_eq!(store.open(&name).unwrap().load().unwrap().as_deref(), Some(&b"whole"[..]));
    }

    #[cfg(unix)]
    #[test]
    fn no_other_user_can_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let made = directory.path().join("sessions");
        let _open = FileStore::new(&made).open(&StoredName::new("h:1", "c")).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
