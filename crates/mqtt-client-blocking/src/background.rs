//! The one thread that moves the bytes of all connections.
//!
//! Whoever needs it holds it: callers while they connect, and each connection until its driver has
//! ended. It ends with the last of them, and the next connection starts another.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use mqtt_client_async::Driver;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wait::Gate;

static BACKGROUND: Mutex<Weak<Background>> = Mutex::new(Weak::new());

/// How long a thread that looked up a name stays for the next one.
const LOOKUP_KEPT: Duration = Duration::from_secs(1);

thread_local! {
    static IS_CURRENT: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the thread in the background.
pub(crate) fn is_current() -> bool {
    IS_CURRENT.try_with(Cell::get).unwrap_or_default()
}

/// The thread, for those who need it.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    /// Dropped with the last one who needs the thread, which tells it.
    _needed: oneshot::Sender<Infallible>,
}

impl Background {
    /// The thread that runs, or a new one.
    pub(crate) fn acquire() -> io::Result<Arc<Self>> {
        let mut running = BACKGROUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(background) = running.upgrade() {
            return Ok(background);
        }
        let background = Arc::new(Self::start()?);
        *running = Arc::downgrade(&background);
        Ok(background)
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .thread_name("mqtt-lookup")
            .thread_keep_alive(LOOKUP_KEPT)
            .build()?;
        let handle = runtime.handle().clone();
        let (needed, is_needed) = oneshot::channel();
        thread::Builder::new().name("mqtt-client".to_owned()).spawn(move || {
            IS_CURRENT.set(true);
            // Nothing is ever sent: this is the end.
            if let Ok(never) = runtime.block_on(is_needed) {
                match never {}
            }
            // A name that is still being looked up is nobody's concern any more.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _needed: needed })
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a driver. The gate opens when it has ended and its transport is closed.
    pub(crate) fn run<S>(self: Arc<Self>, driver: Driver<S>) -> Arc<Gate>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let ended = Arc::new(Gate::default());
        let running = Running { ended: Arc::clone(&ended), background: self };
        let background = Arc::clone(&running.background);
        background.spawn(async move {
            let _running = running;
            // Why it has ended is told by the handles, to whoever asks.
            drop(driver.await);
        });
        ended
    }
}

/// Held while a driver runs, however it ends.
struct Running {
    ended: Arc<Gate>,
    background: Arc<Background>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ended.open();
    }
}
