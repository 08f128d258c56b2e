//! The system calls that neither socket2 nor nix has in a safe form: all `unsafe` of this crate.
//!
//! Options and control data are plain bytes here; what they mean is decided elsewhere.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_void, socklen_t};
#[cfg(feature = "tokio")]
use tokio::io::unix::AsyncFd;

/// What came in by one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) len: usize,
    pub(crate) control_len: usize,
    /// `MSG_*` bits.
    pub(crate) flags: c_int,
}

/// Sets an option of the level SCTP.
pub(crate) fn set_option(fd: BorrowedFd<'_>, name: c_int, value: &[u8]) -> io::Result<()> {
    let len = socklen(value.len())?;
    // SAFETY: pointer and length are those of a slice that outlives the call, and the kernel
    // only reads it.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::IPPROTO_SCTP, name, value.as_ptr().cast(), len)
    };
    check(result).map(drop)
}

/// Reads an option of the level SCTP. What `value` holds before the call is the question, what it
/// holds afterwards the answer, of the length that is returned.
pub(crate) fn option(fd: BorrowedFd<'_>, name: c_int, value: &mut [u8]) -> io::Result<usize> {
    let mut len = socklen(value.len())?;
    // SAFETY: pointer and length are those of a slice that outlives the call and that nobody else
    // has; the kernel writes no more than `len` bytes, and any bytes are valid in it.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_SCTP,
            name,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    check(result)?;
    Ok(value.len().min(len as usize))
}

/// Receives a message or a notification, or a part of one.
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    data: &mut [u8],
    control: &mut [u8],
) -> io::Result<Arrived> {
    let mut buffer =
        libc::iovec { iov_base: data.as_mut_ptr().cast::<c_void>(), iov_len: data.len() };
    // SAFETY: a `msghdr` of zeros is valid: no name, no buffers, no flags. Some C libraries have
    // fields in it that cannot be named here.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut buffer;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len() as _;
    // SAFETY: `message` names one buffer for data and one for control data; both are slices that
    // outlive the call and that nobody else has, with their own lengths.
    let result = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) };
    let len = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
    let control_len = control.len().min(message.msg_controllen as usize);
    Ok(Arrived { len, control_len, flags: message.msg_flags })
}

/// Begins an association with a peer that has all of `addresses` (packed); its number.
pub(crate) fn connect(fd: BorrowedFd<'_>, addresses: &[u8]) -> io::Result<i32> {
    let mut request = ConnectRequest {
        association: 0,
        len: c_int::try_from(addresses.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        addresses: addresses.as_ptr().cast(),
    };
    let mut len = socklen(size_of::<ConnectRequest>())?;
    // SAFETY: `request` is laid out as the kernel's `struct sctp_getaddrs_old` and outlives the
    // call. The kernel reads the addresses from a slice that outlives it, too, and writes the
    // association's number at the beginning of `request` alone.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_SCTP,
            SCTP_SOCKOPT_CONNECTX3,
            (&raw mut request).cast(),
            &raw mut len,
        )
    };
    match check(result) {
        Ok(_) => Ok(request.association),
        // The number is there all the same: how it ends is told by a notification.
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(request.association),
        Err(error) => Err(error),
    }
}

/// Lets tokio watch a socket. What comes out must not be handed out for exchanging the socket.
#[cfg(feature = "tokio")]
pub(crate) fn register(socket: crate::Socket) -> io::Result<AsyncFd<crate::Socket>> {
    // SAFETY: the socket owns its file descriptor, which stays open and the same until the socket
    // is dropped. The one caller keeps the result private and hands out shared references alone.
    let registered = unsafe { AsyncFd::register(socket) };
    registered.map_err(io::Error::from)
}

/// `struct sctp_getaddrs_old`, which libc does not have.
#[repr(C)]
struct ConnectRequest {
    association: i32,
    /// In bytes.
    len: c_int,
    addresses: *const c_void,
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn socklen(len: usize) -> io::Result<socklen_t> {
    socklen_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput.into())
}

const SCTP_SOCKOPT_CONNECTX3: c_int = 111;
