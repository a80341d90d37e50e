//! Connections with bounds.
//!
//! In: a socket that listens. Out: at most [`CONNECTIONS_MAX`] connections at a time. Invariant: a peer that does nothing,
//! or next to nothing, or does not stop, loses its connection: after [`IDLE_MAX`] without a byte, after
//! [`CONNECTION_TIME_MAX`] whatever it does, and after [`REQUEST_BYTES_MAX`] bytes of requests.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time; further ones wait in the queue of the system.
pub const CONNECTIONS_MAX: usize = 64;
/// Time without a byte in either direction. Longer than any answer takes to be made.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Life of a connection; who has more to ask opens another one.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);
/// Bytes of all requests of a connection.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Wait after a connection could not be taken (no descriptors are left, say).
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Takes connections.
pub(super) struct BoundedListener {
    inner: TcpListener,
    free: Arc<Semaphore>,
}

impl BoundedListener {
    pub(super) fn new(inner: TcpListener) -> Self {
        Self {
            inner,
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl axum::serve::Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        let Ok(place) = Arc::clone(&self.free).acquire_owned().await else {
            // Only a semaphore that was closed refuses, and nobody closes this one.
            return pending().await;
        };
        loop {
            match self.inner.accept().await {
                Ok((stream, address)) => return (BoundedStream::new(stream, place), address),
                Err(_) => sleep(RETRY_AFTER).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that ends.
pub(super) struct BoundedStream {
    inner: TcpStream,
    idle: Pin<Box<Sleep>>,
    life: Pin<Box<Sleep>>,
    asked_bytes: usize,
    _place: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn new(inner: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self {
            inner,
            idle: Box::pin(sleep(IDLE_MAX)),
            life: Box::pin(sleep(CONNECTION_TIME_MAX)),
            asked_bytes: 0,
            _place: place,
        }
    }

    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_over =
            self.life.as_mut().poll(context).is_ready() || self.idle.as_mut().poll(context).is_ready();
        if is_over {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn has_moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_time(context)?;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let n_read = buffer.filled().len() - before;
        if n_read > 0 {
            self.has_moved();
            self.asked_bytes += n_read;
            if self.asked_bytes > REQUEST_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        polled
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_time(context)?;
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        if polled.is_ready() {
            self.has_moved();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
