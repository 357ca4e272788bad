//! The handle of a running broker.

use std::any::Any;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use tokio::io::DuplexStream;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::driver::Driver;
use crate::error::{BindError, ServerError, Stopped};
use crate::inbox::{Command, Inbox};
use crate::listen::Address;
use crate::status::Status;

/// A broker that runs on a thread of its own.
///
/// The futures of this type need no particular runtime, and none at all to be made. Each method
/// that waits exists twice: async, and with `_blocking` in its name for code without a runtime.
///
/// Dropping the handle stops the broker like [`shutdown`](Self::shutdown), without waiting for
/// it.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<Address>,
    metrics: Option<SocketAddr>,
    inbox: Arc<Inbox>,
    /// The configuration that holds.
    #[cfg(feature = "files")]
    config: tokio::sync::Mutex<Config>,
    /// How the thread ended, until that was told.
    end: Option<oneshot::Receiver<Result<(), ServerError>>>,
    thread: Option<JoinHandle<()>>,
}

const _: () = {
    const fn is_shared_between_threads<T: Send + Sync>() {}
    is_shared_between_threads::<Server>();
};

/// Bytes that wait in each direction of [`Server::connect`].
const LOCAL_BUFFER: usize = 64 * 1024;

/// What the thread tells once it listens.
#[derive(Debug)]
struct Ready {
    addresses: Vec<Address>,
    metrics: Option<SocketAddr>,
    inbox: Arc<Inbox>,
}

impl Server {
    /// Starts a broker and returns once it accepts connections.
    ///
    /// Names are resolved and sockets bound on the broker's own thread, so nothing here blocks.
    /// Dropping the future before it is ready stops the broker again.
    ///
    /// # Errors
    ///
    /// [`BindError`] when a listener cannot be had or is not allowed, or the operating system
    /// has no thread, descriptor or random numbers for the broker. Nothing stays open then.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let running = config.clone();
        Self::start(running, move |ready| serve(config, ready)).await
    }

    /// Starts a broker and waits until it accepts connections. Not for async code, whose thread
    /// it would block; see [`bind`](Self::bind).
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_blocking(config: Config) -> Result<Self, BindError> {
        block_on(Self::bind(config))
    }

    /// Runs `body` on a new thread and waits for what it tells.
    async fn start(
        config: Config,
        body: impl FnOnce(oneshot::Sender<Result<Ready, BindError>>) -> Result<(), ServerError>
        + Send
        + 'static,
    ) -> Result<Self, BindError> {
        let (ready, is_ready) = oneshot::channel();
        let (ended, mut end) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("mqtt-broker".to_owned())
            .spawn(move || {
                let result = panic::catch_unwind(AssertUnwindSafe(|| body(ready)));
                let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
                if let Err(Err(error)) = ended.send(result) {
                    // Nobody holds the handle any more.
                    tracing::error!(%error, "broker ended");
                }
            })
            .map_err(BindError::Start)?;
        match is_ready.await {
            Ok(Ok(Ready { addresses, metrics, inbox })) => {
                #[cfg(not(feature = "files"))]
                drop(config);
                Ok(Self {
                    addresses,
                    metrics,
                    inbox,
                    #[cfg(feature = "files")]
                    config: tokio::sync::Mutex::new(config),
                    end: Some(end),
                    thread: Some(thread),
                })
            }
            Ok(Err(error)) => Err(error),
            // The sender went without a word: the thread is over or about to be.
            Err(_) => Err(match (&mut end).await {
                Ok(Err(error)) => BindError::Server(error),
                Ok(Ok(())) | Err(_) => {
                    BindError::Start(io::Error::other("the thread ended before it was ready"))
                }
            }),
        }
    }

    /// Every address that the broker listens on, in the order of the configured listeners; a
    /// host name may have brought several. Port 0 is replaced by the port that was found.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The address of the first listener that has a socket address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.iter().find_map(Address::socket_addr)
    }

    /// Where metrics are served, with the port that was found
    /// ([`Config::metrics`](crate::Config::metrics)).
    pub const fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// A connection to the broker without a socket: what is written to it, the broker reads, as
    /// from any other client. Give it to a client library that takes a stream, and publish and
    /// subscribe with that.
    ///
    /// Decisions about it are taken as for others; its peer has no address. If the broker has
    /// stopped, or takes no more connections, it is closed.
    pub fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(LOCAL_BUFFER);
        self.inbox.send(Command::Connect(theirs));
        ours
    }

    /// What the broker has counted, and what it holds.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the broker has stopped.
    pub async fn status(&self) -> Result<Status, Stopped> {
        let (reply, status) = oneshot::channel();
        self.inbox.send(Command::Status(reply));
        status.await.map_err(|_| Stopped)
    }

    /// Replaces the configuration, if all of it can be: files that it names are read again,
    /// certificates and rights included, and hold for whatever happens from here on. Rights are
    /// asked about again for what waits already. Connections stay.
    ///
    /// What cannot change while the broker runs has to be the same in both: listeners, limits
    /// and whether anybody is asked about clients at all.
    ///
    /// # Errors
    ///
    /// [`ReloadError`](crate::ReloadError) when anything is not as it should be. Nothing has
    /// changed then.
    #[cfg(feature = "files")]
    pub async fn reload(&self, config: Config) -> Result<(), crate::ReloadError> {
        let mut running = self.config.lock().await;
        let (old, new, inbox) = (running.clone(), config.clone(), Arc::clone(&self.inbox));
        let (ready, prepared) = oneshot::channel();
        // Files are read elsewhere: this may run on a thread that must not block.
        thread::Builder::new()
            .name("mqtt-reload".to_owned())
            .spawn(move || {
                // Who waits may have lost interest.
                let _ = ready.send(crate::reload::Reload::prepare(&old, &new, &inbox));
            })
            .map_err(BindError::Start)?;
        let prepared = prepared.await.map_err(|_| crate::ReloadError::Stopped)??;
        let (done, is_done) = oneshot::channel();
        self.inbox.send(Command::Reload(Box::new(prepared), done));
        is_done.await.map_err(|_| crate::ReloadError::Stopped)?;
        *running = config;
        Ok(())
    }

    /// Says that what clients may do has changed, for one client identifier or for all: each
    /// client is asked about again before it is sent another message
    /// ([`Authorizer::read`](crate::Authorizer::read)), what was queued for it included.
    pub fn rights_changed(&self, client_id: Option<&str>) {
        self.inbox.send(Command::RightsChanged(client_id.map(Into::into)));
    }

    /// Stops the broker: it listens no more, every client gets DISCONNECT with reason 0x8B
    /// (server shutting down), and once they have all that waits for them, or after
    /// [`Config::shutdown_timeout`] whatever they do, the connections are closed. The ports are
    /// free when this returns.
    ///
    /// Dropping the future does not take the request back.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when something else had ended the broker already.
    pub async fn shutdown(mut self) -> Result<(), ServerError> {
        self.inbox.send(Command::Stop);
        self.stopped().await
    }

    /// Stops the broker and waits until it has stopped. Not for async code; see
    /// [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown).
    pub fn shutdown_blocking(self) -> Result<(), ServerError> {
        block_on(self.shutdown())
    }

    /// Waits until the broker has stopped. As long as this handle lives, only a failure stops
    /// it; an error is reported once.
    ///
    /// # Errors
    ///
    /// [`ServerError`] says what ended the broker.
    pub async fn stopped(&mut self) -> Result<(), ServerError> {
        let Some(end) = &mut self.end else { return Ok(()) };
        let result = end.await;
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It has told its end as the last thing it does, so this takes no time, and its
            // panics were caught.
            let _ = thread.join();
        }
        result.unwrap_or_else(|_| {
            Err(ServerError::Panicked { message: "it ended without a word".to_owned() })
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.end.is_some() {
            self.inbox.send(Command::Stop);
        }
    }
}

/// Binds and serves: the whole life of the broker's thread.
fn serve(
    config: Config,
    ready: oneshot::Sender<Result<Ready, BindError>>,
) -> Result<(), ServerError> {
    let driver = match Driver::bind(config) {
        Ok(driver) => driver,
        Err(error) => {
            // Without a receiver nobody wants to know.
            let _ = ready.send(Err(error));
            return Ok(());
        }
    };
    let told = ready.send(Ok(Ready {
        addresses: driver.addresses(),
        metrics: driver.metrics(),
        inbox: driver.inbox(),
    }));
    match told {
        Ok(()) => driver.run(),
        // The caller lost interest while we were binding.
        Err(_) => Ok(()),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ServerError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    ServerError::Panicked { message }
}

/// Runs `future` on this thread, which sleeps in between.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_broker_before_it_is_ready_surfaces_at_bind() {
        let error = block_on(Server::start(Config::free_port(), |_ready| panic!("out of order")))
            .unwrap_err();
        assert!(
            matches!(&error, BindError::Server(ServerError::Panicked { message }) if message == "out of order"),
            "{error:?}"
        );
    }

    #[test]
    fn a_panic_of_the_running_broker_surfaces_at_the_handle() {
        let mut server = block_on(Server::start(Config::free_port(), |ready| {
            let driver = Driver::bind(Config::free_port()).unwrap();
            let told = Ready {
                addresses: driver.addresses(),
                metrics: driver.metrics(),
                inbox: driver.inbox(),
            };
            ready.send(Ok(told)).unwrap();
            panic!("out of order")
        }))
        .unwrap();
        let error = block_on(server.stopped()).unwrap_err();
        assert_eq!(error.to_string(), "the broker's thread panicked: out of order");
        // It is reported once, and shutting down what is over is no error.
        server.shutdown_blocking().unwrap();
    }

    #[test]
    fn a_bind_that_is_given_up_leaves_no_listener_behind() {
        let (sent, received) = std::sync::mpsc::channel();
        let future = Server::start(Config::free_port(), move |ready| {
            let driver = Driver::bind(Config::free_port()).unwrap();
            sent.send(driver.addresses()).unwrap();
            // The caller is gone by now.
            while !ready.is_closed() {
                thread::yield_now();
            }
            Ok(())
        });
        let mut future = Box::pin(future);
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        let address = received.recv().unwrap()[0].socket_addr().unwrap();
        drop(future);
        // Binding succeeds as soon as the thread has seen that nobody waits.
        while std::net::TcpListener::bind(address).is_err() {
            thread::yield_now();
        }
    }
}
