//! Sockets that a tokio runtime watches.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{Received, SendInfo, Socket, sys};

/// A [`Socket`] that wakes a task of tokio when it can go on (feature `tokio`).
///
/// It hands its socket out for reading only, so that nobody can exchange what the runtime watches.
#[derive(Debug)]
pub struct AsyncSocket(AsyncFd<Socket>);

impl AsyncSocket {
    /// Lets the runtime watch `socket`.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one that does no I/O.
    pub fn new(socket: Socket) -> io::Result<Self> {
        sys::register(socket).map(Self)
    }

    /// The socket, for everything but waiting.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        self.0.get_ref()
    }

    /// Whether there may be something to [`recv`](Self::recv); otherwise the task is woken then.
    ///
    /// # Errors
    ///
    /// If the runtime is shutting down.
    pub fn poll_recv_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_read_ready(context))?.retain_ready();
        Poll::Ready(Ok(()))
    }

    /// Whether there may be room to [`send`](Self::send); otherwise the task is woken then.
    ///
    /// # Errors
    ///
    /// If the runtime is shutting down.
    pub fn poll_send_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_write_ready(context))?.retain_ready();
        Poll::Ready(Ok(()))
    }

    /// As [`Socket::recv`]; after `WouldBlock` [`poll_recv_ready`](Self::poll_recv_ready) waits.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.0.try_io(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// As [`Socket::send`]; after `WouldBlock` [`poll_send_ready`](Self::poll_send_ready) waits.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`].
    pub fn send(&self, info: SendInfo, data: &[u8]) -> io::Result<()> {
        self.0.try_io(Interest::WRITABLE, |socket| socket.send(info, data))
    }
}
