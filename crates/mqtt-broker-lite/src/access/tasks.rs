//! Where decisions are taken that may take a while: a small runtime of the server's own, with a
//! bound on password checks.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::{Answer, Chain};
use crate::config::Config;
use crate::error::BindError;
use crate::inbox::{Command, Inbox};

/// The runtime of hooks and password checks.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// `None` once it is shut down.
    runtime: Option<Runtime>,
    inbox: Arc<Inbox>,
    checks: Checks,
    /// The broker has given its own answer by then.
    timeout: Duration,
}

impl Tasks {
    /// A runtime, if somebody of `chain` needs it.
    ///
    /// # Errors
    ///
    /// When the operating system has no thread left.
    pub(crate) fn if_needed(
        chain: &Chain,
        config: &Config,
        inbox: &Arc<Inbox>,
    ) -> Result<Option<Self>, BindError> {
        chain.checks_elsewhere().then(|| Self::new(config, Arc::clone(inbox))).transpose()
    }

    fn new(config: &Config, inbox: Arc<Inbox>) -> Result<Self, BindError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.hook_threads.get().into())
            .thread_name("mqtt-hooks")
            .enable_all()
            .build()
            .map_err(BindError::Start)?;
        Ok(Self {
            runtime: Some(runtime),
            inbox,
            checks: Checks::new(config),
            timeout: config.broker.decisions.timeout,
        })
    }

    /// Takes a decision, and has its answer brought to the broker, if it comes in time.
    pub(super) fn spawn(&self, decision: impl Future<Output = Answer> + Send + 'static) {
        let Some(runtime) = &self.runtime else { return };
        let (inbox, patience) = (Arc::clone(&self.inbox), self.timeout);
        runtime.spawn(async move {
            match timeout(patience, decision).await {
                Ok(answer) => inbox.send(Command::Answer(answer)),
                Err(_) => tracing::warn!("a decision about a client took too long"),
            }
        });
    }

    /// The bound on password checks.
    pub(super) fn checks(&self) -> Checks {
        self.checks.clone()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody waits for the answers any more, and a hook that blocks must not keep the
            // broker from its end.
            runtime.shutdown_background();
        }
    }
}

/// The hook panicked.
#[derive(Debug)]
pub(super) struct Panicked;

/// Polls `future`, and ends with an error where it panics.
pub(super) async fn guarded<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // After a panic the future is not polled again, so nobody meets what it left behind but
        // the hook itself, which answers for its own state.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => {
                tracing::error!("a hook panicked; its client is refused");
                Poll::Ready(Err(Panicked))
            }
        }
    })
    .await
}

/// The bound on password checks: how many run, and how many may wait.
#[derive(Clone, Debug)]
pub(super) struct Checks {
    #[cfg(feature = "files")]
    inner: Arc<bounded::Inner>,
}

#[cfg(not(feature = "files"))]
impl Checks {
    fn new(_: &Config) -> Self {
        Self {}
    }
}

#[cfg(feature = "files")]
mod bounded {
    use std::sync::Arc;

    use mqtt_codec::ConnectReason;
    use tokio::sync::Semaphore;
    use tokio::task::spawn_blocking;

    use super::super::passwords::Passwords;
    use super::{Checks, Config};

    #[derive(Debug)]
    pub(super) struct Inner {
        running: Semaphore,
        under_way: Arc<Semaphore>,
    }

    impl Checks {
        pub(super) fn new(config: &Config) -> Self {
            let running = Semaphore::new(config.password_threads.get().into());
            let under_way = Arc::new(Semaphore::new(config.password_checks.get().into()));
            Self { inner: Arc::new(Inner { running, under_way }) }
        }

        /// Whether `user` has this password; `None` if there is no such user.
        pub(in crate::access) async fn verify(
            &self,
            passwords: &Arc<Passwords>,
            user: &str,
            password: &[u8],
        ) -> Result<Option<bool>, ConnectReason> {
            let Ok(_waiting) = self.inner.under_way.try_acquire() else {
                return Err(ConnectReason::ServerBusy);
            };
            // A client that gives up, or is out of time, gives its place up with this future.
            let Ok(_running) = self.inner.running.acquire().await else {
                return Err(ConnectReason::ServerUnavailable);
            };
            let (passwords, user) = (Arc::clone(passwords), user.to_owned());
            let password = password.to_owned();
            spawn_blocking(move || passwords.verify(&user, &password))
                .await
                .map_err(|_| ConnectReason::ImplementationSpecificError)
        }
    }
}
