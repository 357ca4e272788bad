//! Whether the current thread runs async tasks, and so must not wait.

use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::coop;

use crate::background;
use crate::error::InsideRuntime;

/// Fails on a thread that must not wait.
pub(crate) fn may_wait() -> Result<(), InsideRuntime> {
    let runs_tasks = background::is_current() || (Handle::try_current().is_ok() && has_budget());
    if runs_tasks { Err(InsideRuntime) } else { Ok(()) }
}

/// Whether tokio expects the code that runs here to yield.
///
/// A runtime is current also where waiting is fine: in `spawn_blocking`, in `block_in_place`, and
/// on a thread that only entered it. What tells them apart is that tokio gives a task a budget of
/// operations, and none to code that may block. The budget shows by running out; afterwards the
/// first operation taken from it is given back, and all others with it.
fn has_budget() -> bool {
    /// More operations than a budget has: tokio counts them in a byte.
    const ENOUGH: usize = 256;

    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(_first) = coop::poll_proceed(&mut cx) else { return true };
    (0..ENOUGH).any(|_| match coop::poll_proceed(&mut cx) {
        Poll::Ready(operation) => {
            operation.made_progress();
            false
        }
        Poll::Pending => true,
    })
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Handle};
    use tokio::task::{self, coop};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    #[test]
    fn a_plain_thread_may_wait() {
        assert_eq!(may_wait(), Ok(()));
    }

    #[test]
    fn a_thread_that_only_entered_a_runtime_may_wait() {
        let runtime = runtime();
        let _entered = runtime.enter();
        assert!(Handle::try_current().is_ok());
        assert_eq!(may_wait(), Ok(()));
    }

    #[test]
    fn the_future_of_block_on_must_not_wait() {
        let error = runtime().block_on(async { may_wait() }).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("mqtt-client-async") && text.contains("spawn_blocking"), "{text}");
        let current = Builder::new_current_thread().build().unwrap();
        assert_eq!(current.block_on(async { may_wait() }), Err(InsideRuntime));
        let local = task::LocalSet::new();
        assert_eq!(local.block_on(&current, async { may_wait() }), Err(InsideRuntime));
    }

    #[test]
    fn a_task_must_not_wait_and_its_blocking_parts_may() {
        let runtime = runtime();
        let answers = runtime.block_on(runtime.spawn(async {
            let before = may_wait();
            let on_pool = task::spawn_blocking(may_wait).await.unwrap();
            let in_place = task::block_in_place(may_wait);
            (before, on_pool, in_place, may_wait())
        }));
        let expected = (Err(InsideRuntime), Ok(()), Ok(()), Err(InsideRuntime));
        assert_eq!(answers.unwrap(), expected);
    }

    #[test]
    fn asking_leaves_the_budget_as_it_was() {
        runtime().block_on(async {
            for _ in 0..1000 {
                assert_eq!(may_wait(), Err(InsideRuntime));
            }
            assert!(coop::has_budget_remaining());
        });
    }

    #[test]
    fn a_task_that_has_used_up_its_budget_must_not_wait_either() {
        runtime().block_on(async {
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(operation) = coop::poll_proceed(&mut cx) {
                operation.made_progress();
            }
            assert_eq!(may_wait(), Err(InsideRuntime));
            assert!(!coop::has_budget_remaining());
        });
    }
}
