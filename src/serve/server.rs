//! The server on a thread of its own.
//!
//! In: an address, a guard and a board. Out: answers. Invariants: the address is bound before this returns, so that a
//! wrong one is an error of the start; the thread ends when the server is dropped, whoever is still connected.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::answer::{Site, answer};
use super::board::Board;
use super::guard::Guard;
use super::listener::BoundedListener;
use crate::report::html::live_page;

/// Threads on which large answers are made.
const WORKERS_MAX: usize = 2;

/// Why there is no server.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Threads or timers cannot be had.
    #[error("cannot start a server: {0}")]
    Start(#[from] io::Error),
}

/// How to serve.
#[derive(Debug)]
pub struct Settings {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who may ask.
    pub guard: Guard,
    /// A loop that has not turned for this long is not healthy.
    pub stalled_after: Duration,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the address and begins to answer.
    ///
    /// # Errors
    /// When the address cannot be had, or no thread.
    pub fn start(settings: Settings, board: Arc<Board>) -> Result<Self, ServerError> {
        let address = settings.address;
        let wrong = |error| ServerError::Address { address, error };
        let listener = TcpListener::bind(address).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(WORKERS_MAX)
            .build()?;
        let site = Arc::new(Site {
            board,
            guard: settings.guard,
            page: live_page(),
            stalled_after: settings.stalled_after,
        });
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("serve".to_owned())
            .spawn(move || serve(&runtime, listener, site, stopped))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(runtime: &Runtime, listener: TcpListener, site: Arc<Site>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        // It was put into the mode that this asks for.
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            return;
        };
        let router = Router::new().fallback(answer).with_state(site);
        let serving = axum::serve(BoundedListener::new(listener), router);
        tokio::spawn(serving.into_future());
        // An answer that is being sent is cut: the loop that it speaks of ends.
        let _ = stopped.await;
    });
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}
