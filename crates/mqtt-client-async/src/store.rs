//! Where a session is kept beyond the life of its client: the interface, and one that keeps it in
//! memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which session is meant: each server knows one by each Client Identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct StoredName {
    /// The server: host and port, or what else was connected to.
    pub server: String,
    /// The Client Identifier.
    pub client_id: String,
}

impl StoredName {
    /// The session of this client with this server.
    pub fn new(server: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self { server: server.into(), client_id: client_id.into() }
    }
}

impl fmt::Display for StoredName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session of `{}` with {}", self.client_id, self.server)
    }
}

/// Keeps sessions beyond the life of their client, for
/// [`ClientBuilder::session_store`](crate::ClientBuilder::session_store).
///
/// Its methods are called on threads that may block.
pub trait SessionStore: Send + Sync + 'static {
    /// Opens the place of one session, whether there is one or not.
    ///
    /// # Errors
    ///
    /// Whatever speaks against it; above all that somebody else has it open. Two clients that go on
    /// with the same session would break each other's promises.
    fn open(&self, name: &StoredName) -> io::Result<Box<dyn StoredSession>>;
}

impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    fn open(&self, name: &StoredName) -> io::Result<Box<dyn StoredSession>> {
        (**self).open(name)
    }
}

/// The place of one session, held by its client. One method is called at a time, on a thread that
/// may block.
pub trait StoredSession: Send + 'static {
    /// What was saved last; `None` if nothing was, or if it was removed.
    ///
    /// # Errors
    ///
    /// Whatever went wrong.
    fn load(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Puts `bytes` in the place of what was there. When this returns, they must outlive whatever
    /// the store is meant to protect from; if it fails, or the process ends meanwhile, what was
    /// there before must still be.
    ///
    /// # Errors
    ///
    /// Whatever went wrong.
    fn save(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Forgets what was saved. It is no error if nothing was.
    ///
    /// # Errors
    ///
    /// Whatever went wrong.
    fn remove(&mut self) -> io::Result<()>;

    /// Where it is, for messages to people.
    fn location(&self) -> String;
}

/// Keeps sessions in memory: from one client to the next in the same process, and no longer. Clones
/// share what they keep.
///
/// A client without any store keeps its session in memory as well, for as long as it lives itself;
/// this is for a session that is to outlive its client.
#[derive(Clone, Default)]
pub struct MemoryStore {
    sessions: Arc<Mutex<BTreeMap<StoredName, Kept>>>,
}

#[derive(Default)]
struct Kept {
    bytes: Option<Vec<u8>>,
    is_open: bool,
}

impl MemoryStore {
    /// A store that keeps nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StoredName, Kept>> {
        // Nothing panics while it holds the lock.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    /// Tells which sessions are there, never what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

impl SessionStore for MemoryStore {
    fn open(&self, name: &StoredName) -> io::Result<Box<dyn StoredSession>> {
        let mut sessions = self.lock();
        let kept = sessions.entry(name.clone()).or_default();
        if std::mem::replace(&mut kept.is_open, true) {
            return Err(in_use(name));
        }
        drop(sessions);
        Ok(Box::new(InMemory { store: self.clone(), name: name.clone() }))
    }
}

/// Somebody else has the session.
pub(crate) fn in_use(name: &StoredName) -> io::Error {
    let text = format!("{name} is in use by another client; close that one first");
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}

struct InMemory {
    store: MemoryStore,
    name: StoredName,
}

impl InMemory {
    fn with<R>(&self, call: impl FnOnce(&mut Kept) -> R) -> R {
        call(self.store.lock().entry(self.name.clone()).or_default())
    }
}

impl StoredSession for InMemory {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.with(|kept| kept.bytes.clone()))
    }

    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|kept| kept.bytes = Some(bytes.to_vec()));
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        self.with(|kept| kept.bytes = None);
        Ok(())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        let mut sessions = self.store.lock();
        if let Some(kept) = sessions.get_mut(&self.name) {
            kept.is_open = false;
            if kept.bytes.is_none() {
                sessions.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_kept_for_each_server_and_client_and_has_one_owner_at_a_time() {
        let store = MemoryStore::new();
        let name = StoredName::new("a:1883", "c");
        let mut first = store.open(&name).unwrap();
        assert_eq!(first.load().unwrap(), None);
        first.save(b"one").unwrap();
        let busy = store.clone().open(&name).err().unwrap();
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        assert!(busy.to_string().contains("`c` with a:1883"), "{busy}");
        let mut other = store.open(&StoredName::new("b:1883", "c")).unwrap();
        assert_eq!(other.load().unwrap(), None);
        drop(first);
        let mut second = store.open(&name).unwrap();
        assert_eq!(second.load().unwrap().as_deref(), Some(&b"one"[..]));
        second.remove().unwrap();
        drop((second, other));
        assert_eq!(format!("{store:?}"), "{}");
    }
}
