//! How threads wait: for a future, for one of many messages, and for the end of a connection.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

thread_local! {
    /// What wakes this thread. Kept, because a thread waits for many futures one after another.
    static OWN: Arc<Bell> = Arc::new(Bell::default());
}

/// Waits for a future until the deadline, if there is one; `None` if it is over.
pub(crate) fn wait_for<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    // While the thread ends, its own bell may be gone already.
    let bell = OWN.try_with(Arc::clone).unwrap_or_default();
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        let heard = bell.rings();
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        if !bell.wait(heard, deadline) {
            return match future.as_mut().poll(&mut cx) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            };
        }
    }
}

/// Waits for a future for as long as it takes.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        // Without a deadline this comes back with an output only.
        if let Some(output) = wait_for(future.as_mut(), None) {
            return output;
        }
    }
}

/// When `timeout` from now is; `None` if that is too far away to ever come.
pub(crate) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// What wakes threads, one at each ring.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct BellState {
    rings: u64,
    /// Threads that wait. Nobody is called, at the price of a call to the system, if there is none.
    waiting: usize,
}

impl Bell {
    /// How often it has rung, to [`wait`](Self::wait) for the next time.
    pub(crate) fn rings(&self) -> u64 {
        self.lock().rings
    }

    /// Sleeps until it rings after those `heard`; false if the deadline comes first.
    pub(crate) fn wait(&self, heard: u64, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        loop {
            if state.rings != heard {
                state.waiting -= 1;
                return true;
            }
            state = match deadline {
                None => self.rung.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.waiting -= 1;
                        return false;
                    }
                    let woken = self.rung.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Wakes one of the threads that wait.
    pub(crate) fn ring(&self) {
        let mut state = self.lock();
        state.rings = state.rings.wrapping_add(1);
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.rung.notify_one();
        }
    }

    /// Wakes another thread, if any waits: for what is left of what this one was woken for.
    pub(crate) fn pass_on(&self) {
        if self.lock().waiting > 0 {
            self.ring();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BellState> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// Opens once, and lets through everybody who waits before it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.lock() = true;
        self.opened.notify_all();
    }

    /// Waits until it is open.
    pub(crate) fn wait(&self) {
        let opened = self.opened.wait_while(self.lock(), |is_open| !*is_open);
        drop(opened.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until it is open, and no longer than this.
    pub(crate) fn wait_timeout(&self, timeout: Duration) {
        let opened = self.opened.wait_timeout_while(self.lock(), timeout, |is_open| !*is_open);
        drop(opened.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        // Nothing panics while it holds the lock.
        self.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
