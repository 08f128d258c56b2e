//! The C library usrsctp 0.9.5 as an SCTP peer: Debian's `libusrsctp-dev`, linked statically.
//!
//! The library is one for the whole process. [`Library::in_process`] runs it without sockets,
//! threads or clock: packets go in and out by hand (its address family AF_CONN), time passes when
//! it is told. [`Library::on_udp`] lets it have a UDP socket (RFC 6951) and threads. A process
//! can have one of the two. Only the measurement of round trips looks at the real clock in both.

mod sys;

use std::ffi::{c_int, c_void};
use std::io::{Error, ErrorKind, Result};
use std::mem;
use std::net::SocketAddrV4;
use std::ptr;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use libc::socklen_t;

/// The library, while nobody else in the process uses it: clones and sockets share it.
#[derive(Clone, Debug)]
pub struct Library {
    _only: Rc<MutexGuard<'static, ()>>,
}

/// Who a packet is from: the key of the socket that sends it.
pub type Key = usize;

/// Packets to be sent, in a row, and for each whose it is and how long.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    packets: Vec<(Key, usize)>,
}

static ONLY: Mutex<()> = Mutex::new(());
static INIT: Once = Once::new();
static OUTGOING: Mutex<Outgoing> = Mutex::new(Outgoing { bytes: Vec::new(), packets: Vec::new() });

impl Library {
    /// Without sockets, threads or clock. Waits until nobody else has it.
    #[must_use]
    pub fn in_process() -> Self {
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        INIT.call_once(|| {
            // SAFETY: the first call of the library; the callback lives as long as the process.
            unsafe { sys::usrsctp_init_nothreads(0, Some(take_packet), None) };
        });
        let library = Self { _only: Rc::new(only) };
        library.switch_ecn_off();
        // What was left over by who had it before.
        library.discard();
        library
    }

    /// With a UDP socket on `port` and threads. Waits until nobody else has it.
    #[must_use]
    pub fn on_udp(port: u16) -> Self {
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        INIT.call_once(|| {
            // SAFETY: the first call of the library; without callbacks.
            unsafe { sys::usrsctp_init(port, None, None) };
        });
        let library = Self { _only: Rc::new(only) };
        library.switch_ecn_off();
        library
    }

    /// ECN is experimental, and none of the other stacks has it.
    fn switch_ecn_off(&self) {
        // SAFETY: the library is initialised; the call takes a number.
        unsafe { sys::usrsctp_sysctl_set_sctp_ecn_enable(0) };
    }

    /// Lets time pass.
    pub fn advance(&self, milliseconds: u32) {
        // SAFETY: the library is initialised and has no timer thread.
        unsafe { sys::usrsctp_handle_timers(milliseconds) };
    }

    /// Hands all packets that are to be sent to `take`, with the keys of their senders.
    pub fn output(&self, mut take: impl FnMut(Key, &[u8])) {
        let lock = || OUTGOING.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().packets.is_empty() {
            return;
        }
        // The memory is used again, so that the lock is not held while `take` runs.
        let none = Outgoing { bytes: Vec::new(), packets: Vec::new() };
        let mut outgoing = mem::replace(&mut *lock(), none);
        let mut rest = &outgoing.bytes[..];
        for &(key, len) in &outgoing.packets {
            let (packet, behind) = rest.split_at(len);
            take(key, packet);
            rest = behind;
        }
        outgoing.bytes.clear();
        outgoing.packets.clear();
        let mut now = lock();
        if now.packets.is_empty() {
            *now = outgoing;
        }
    }

    fn discard(&self) {
        self.output(|_, _| {});
    }

    /// A packet came for the socket of `key`.
    pub fn input(&self, key: Key, packet: &[u8]) {
        let (data, len) = (packet.as_ptr().cast(), packet.len());
        // SAFETY: the key is never followed, and the packet is copied.
        unsafe { sys::usrsctp_conninput(ptr::without_provenance_mut(key), data, len, 0) };
    }
}

/// What the library calls to send a packet.
unsafe extern "C" fn take_packet(
    key: *mut c_void,
    packet: *mut c_void,
    len: usize,
    _tos: u8,
    _do_not_fragment: u8,
) -> c_int {
    // SAFETY: the library hands over a packet of this length, which nobody else writes meanwhile.
    let packet = unsafe { std::slice::from_raw_parts(packet.cast::<u8>(), len) };
    let mut outgoing = OUTGOING.lock().unwrap_or_else(PoisonError::into_inner);
    outgoing.bytes.extend_from_slice(packet);
    outgoing.packets.push((key.addr(), len));
    0
}

/// What came of [`Socket::recv`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message, or a part of one.
    Message {
        /// The stream.
        stream: u16,
        /// What it is said to be.
        ppid: u32,
        /// Whether it was sent unordered.
        unordered: bool,
        /// How many bytes of the buffer it takes.
        len: usize,
        /// Whether the message ends here.
        is_end: bool,
    },
    /// The association is up.
    Up,
    /// It ended gracefully.
    Ended,
    /// It was aborted, or the peer did not answer.
    Lost {
        /// The error cause of an ABORT, 0 if none came.
        cause: u16,
    },
    /// Something else happened.
    Other,
}

/// A one-to-one socket.
#[derive(Debug)]
pub struct Socket {
    raw: *mut sys::Socket,
    /// Of AF_CONN, and the one that it was accepted from has not registered it.
    key: Option<Key>,
    library: Library,
}

impl Library {
    /// A socket that does not block and whose packets go by hand; `port` is its SCTP port. `key`
    /// tells it from the others and is not 0; buffers are of `buffer_len` bytes each way, packets
    /// of at most `mtu` bytes.
    ///
    /// # Errors
    ///
    /// If the library refuses.
    pub fn conn_socket(&self, key: Key, port: u16, buffer_len: u32, mtu: u32) -> Result<Socket> {
        // SAFETY: the key is never followed.
        unsafe { sys::usrsctp_register_address(ptr::without_provenance_mut(key)) };
        let socket = self.socket(sys::AF_CONN, Some(key))?;
        // SAFETY: the socket is open.
        check(unsafe { sys::usrsctp_set_non_blocking(socket.raw, 1) })?;
        for name in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
            socket.set(libc::SOL_SOCKET, name, &(buffer_len as c_int))?;
        }
        let path = sys::PathParameters {
            address: no_address(),
            association: 0,
            heartbeat_interval: 0,
            path_mtu: mtu,
            flags: sys::SPP_PMTUD_DISABLE,
            flow_label: 0,
            retransmissions_max: 0,
            dscp: 0,
        };
        socket.set(libc::IPPROTO_SCTP, sys::OPTION_PEER_ADDR_PARAMS, &path)?;
        socket.bind(&conn_address(key, port))?;
        Ok(socket)
    }

    /// A socket that blocks and sends UDP from the library's port to `udp_port`.
    ///
    /// # Errors
    ///
    /// If the library refuses.
    pub fn udp_socket(&self, local: SocketAddrV4, udp_port: u16) -> Result<Socket> {
        let socket = self.socket(libc::AF_INET, None)?;
        let encapsulation = sys::UdpEncapsulation {
            address: no_address(),
            association: 0,
            port_be: udp_port.to_be(),
        };
        socket.set(libc::IPPROTO_SCTP, sys::OPTION_REMOTE_UDP_ENCAPS_PORT, &encapsulation)?;
        socket.bind(&inet_address(local))?;
        Ok(socket)
    }

    fn socket(&self, family: c_int, key: Option<Key>) -> Result<Socket> {
        let (kind, protocol) = (libc::SOCK_STREAM, libc::IPPROTO_SCTP);
        // SAFETY: the library is initialised; there are no callbacks.
        let raw = unsafe {
            let none = ptr::null();
            sys::usrsctp_socket(family, kind, protocol, none, none, 0, ptr::null_mut())
        };
        if raw.is_null() {
            return Err(Error::last_os_error());
        }
        let socket = Socket { raw, key, library: self.clone() };
        let event = sys::Event { association: 0, kind: sys::ASSOC_CHANGE, on: 1 };
        socket.set(libc::IPPROTO_SCTP, sys::OPTION_EVENT, &event)?;
        let on: c_int = 1;
        socket.set(libc::IPPROTO_SCTP, sys::OPTION_RECVRCVINFO, &on)?;
        Ok(socket)
    }
}

impl Socket {
    /// Takes associations from now on.
    ///
    /// # Errors
    ///
    /// If the library refuses.
    pub fn listen(&self) -> Result<()> {
        // SAFETY: the socket is open.
        check(unsafe { sys::usrsctp_listen(self.raw, 1) })
    }

    /// The next association; `WouldBlock` if there is none and the socket does not block.
    ///
    /// # Errors
    ///
    /// If the library refuses.
    pub fn accept(&self) -> Result<Socket> {
        // SAFETY: the socket is open; nobody asks for the address.
        let raw = unsafe {
            sys::usrsctp_accept(self.raw, ptr::null_mut(), ptr::null_mut::<socklen_t>())
        };
        if raw.is_null() {
            return Err(Error::last_os_error());
        }
        let socket = Socket { raw, key: None, library: self.library.clone() };
        if self.key.is_some() {
            // SAFETY: the socket is open.
            check(unsafe { sys::usrsctp_set_non_blocking(raw, 1) })?;
        }
        Ok(socket)
    }

    /// Opens an association to `port` of whoever gets the packets of this socket.
    ///
    /// # Errors
    ///
    /// If the library refuses, or if the socket is not of AF_CONN.
    pub fn connect_conn(&self, port: u16) -> Result<()> {
        let key = self.key.ok_or(ErrorKind::Unsupported)?;
        match self.connect(&conn_address(key, port)) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            result => result,
        }
    }

    /// Opens an association by UDP; waits until it is up.
    ///
    /// # Errors
    ///
    /// If the peer does not answer.
    pub fn connect_udp(&self, remote: SocketAddrV4) -> Result<()> {
        self.connect(&inet_address(remote))
    }

    /// Queues a message; `WouldBlock` if there is no room and the socket does not block.
    ///
    /// # Errors
    ///
    /// If the association is not up.
    pub fn send(&self, stream: u16, ppid: u32, unordered: bool, data: &[u8]) -> Result<()> {
        let flags = if unordered { sys::FLAG_UNORDERED } else { 0 };
        self.send_with(stream, ppid, flags, data)
    }

    /// Aborts the association.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn abort(&self) -> Result<()> {
        self.send_with(0, 0, sys::FLAG_ABORT, &[])
    }

    fn send_with(&self, stream: u16, ppid: u32, flags: u16, data: &[u8]) -> Result<()> {
        let ppid_be = ppid.to_be();
        let info = sys::SendInfo { stream, flags, ppid_be, context: 0, association: 0 };
        // SAFETY: data and information are read, and have the lengths that are given.
        let sent = unsafe {
            sys::usrsctp_sendv(
                self.raw,
                data.as_ptr().cast(),
                data.len(),
                ptr::null(),
                0,
                (&raw const info).cast(),
                mem::size_of_val(&info) as socklen_t,
                sys::SENDV_SNDINFO,
                0,
            )
        };
        if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    /// The next message, part of a message, or event. `WouldBlock` if there is none and the
    /// socket does not block.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the peer sends no more; else what the library says.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Received> {
        let mut info = sys::ReceiveInfo::default();
        let mut info_len = mem::size_of_val(&info) as socklen_t;
        let (mut from_len, mut info_kind, mut flags) = (0, 0, 0);
        // SAFETY: the buffer and the information are written up to the lengths that are given;
        // nobody asks for the address.
        let len = unsafe {
            sys::usrsctp_recvv(
                self.raw,
                buf.as_mut_ptr().cast(),
                buf.len(),
                ptr::null_mut(),
                &raw mut from_len,
                (&raw mut info).cast(),
                &raw mut info_len,
                &raw mut info_kind,
                &raw mut flags,
            )
        };
        match usize::try_from(len) {
            Err(_) => Err(Error::last_os_error()),
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) if flags & sys::MSG_NOTIFICATION != 0 => {
                Ok(notification(buf.get(..len).unwrap_or_default()))
            }
            Ok(len) => Ok(Received::Message {
                stream: info.stream,
                ppid: u32::from_be(info.ppid_be),
                unordered: info.flags & sys::FLAG_UNORDERED != 0,
                len,
                is_end: flags & libc::MSG_EOR != 0,
            }),
        }
    }

    /// Ends the association when all is delivered.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn shutdown(&self) -> Result<()> {
        // SAFETY: the socket is open.
        check(unsafe { sys::usrsctp_shutdown(self.raw, libc::SHUT_WR) })
    }

    fn set<T>(&self, level: c_int, name: c_int, value: &T) -> Result<()> {
        let (data, len) = (ptr::from_ref(value).cast(), mem::size_of::<T>() as socklen_t);
        // SAFETY: the value is read, and has this length.
        check(unsafe { sys::usrsctp_setsockopt(self.raw, level, name, data, len) })
    }

    fn bind<T>(&self, address: &T) -> Result<()> {
        let (data, len) = (ptr::from_ref(address).cast(), mem::size_of::<T>() as socklen_t);
        // SAFETY: the address is read, and has this length.
        check(unsafe { sys::usrsctp_bind(self.raw, data, len) })
    }

    fn connect<T>(&self, address: &T) -> Result<()> {
        let (data, len) = (ptr::from_ref(address).cast(), mem::size_of::<T>() as socklen_t);
        // SAFETY: the address is read, and has this length.
        check(unsafe { sys::usrsctp_connect(self.raw, data, len) })
    }
}

impl Drop for Socket {
    /// Ends the association in the background, if there is one.
    fn drop(&mut self) {
        // SAFETY: the socket is open and not used any more.
        unsafe { sys::usrsctp_close(self.raw) };
        if let Some(key) = self.key {
            // SAFETY: the key was registered, and is never followed.
            unsafe { sys::usrsctp_deregister_address(ptr::without_provenance_mut(key)) };
        }
    }
}

/// `struct sctp_assoc_change` starts with type, flags, length, state and error.
fn notification(bytes: &[u8]) -> Received {
    let field = |at: usize| {
        let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.map(|&bytes| u16::from_ne_bytes(bytes))
    };
    match (field(0), field(8)) {
        (Some(sys::ASSOC_CHANGE), Some(sys::COMM_UP)) => Received::Up,
        (Some(sys::ASSOC_CHANGE), Some(sys::SHUTDOWN_COMP)) => Received::Ended,
        (Some(sys::ASSOC_CHANGE), Some(sys::COMM_LOST | sys::CANT_STR_ASSOC)) => {
            Received::Lost { cause: field(10).unwrap_or(0) }
        }
        _ => Received::Other,
    }
}

fn conn_address(key: Key, port: u16) -> sys::ConnAddress {
    let key = ptr::without_provenance_mut(key);
    sys::ConnAddress { family: sys::AF_CONN as u16, port_be: port.to_be(), key }
}

fn inet_address(address: SocketAddrV4) -> libc::sockaddr_in {
    let host = u32::from(*address.ip()).to_be();
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: host },
        sin_zero: [0; 8],
    }
}

/// Stands for all addresses.
fn no_address() -> libc::sockaddr_storage {
    // SAFETY: zeros are an address of no family.
    unsafe { mem::zeroed() }
}

fn check(result: c_int) -> Result<()> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
