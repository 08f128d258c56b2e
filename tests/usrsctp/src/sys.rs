//! What `usrsctp.h` (0.9.5) declares, as far as it is used.

use libc::{c_char, c_int, c_uint, c_void, size_t, socklen_t, ssize_t};

/// `struct socket`.
#[repr(C)]
pub(crate) struct Socket {
    _private: [u8; 0],
}

/// `struct sockaddr_conn`, as it is on Linux.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ConnAddress {
    pub(crate) family: u16,
    pub(crate) port_be: u16,
    pub(crate) key: *mut c_void,
}

/// `struct sctp_sndinfo`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SendInfo {
    pub(crate) stream: u16,
    pub(crate) flags: u16,
    pub(crate) ppid_be: u32,
    pub(crate) context: u32,
    pub(crate) association: u32,
}

/// `struct sctp_rcvinfo`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct ReceiveInfo {
    pub(crate) stream: u16,
    pub(crate) ssn: u16,
    pub(crate) flags: u16,
    pub(crate) ppid_be: u32,
    pub(crate) tsn: u32,
    pub(crate) cumulative_tsn: u32,
    pub(crate) context: u32,
    pub(crate) association: u32,
}

/// `struct sctp_event`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) association: u32,
    pub(crate) kind: u16,
    pub(crate) on: u8,
}

/// `struct sctp_paddrparams`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PathParameters {
    pub(crate) address: libc::sockaddr_storage,
    pub(crate) association: u32,
    pub(crate) heartbeat_interval: u32,
    pub(crate) path_mtu: u32,
    pub(crate) flags: u32,
    pub(crate) flow_label: u32,
    pub(crate) retransmissions_max: u16,
    pub(crate) dscp: u8,
}

/// `struct sctp_udpencaps`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct UdpEncapsulation {
    pub(crate) address: libc::sockaddr_storage,
    pub(crate) association: u32,
    pub(crate) port_be: u16,
}

pub(crate) const AF_CONN: c_int = 123;
pub(crate) const MSG_NOTIFICATION: c_int = 0x2000;
pub(crate) const SENDV_SNDINFO: c_uint = 1;

pub(crate) const OPTION_PEER_ADDR_PARAMS: c_int = 0x0a;
pub(crate) const OPTION_EVENT: c_int = 0x1e;
pub(crate) const OPTION_RECVRCVINFO: c_int = 0x1f;
pub(crate) const OPTION_REMOTE_UDP_ENCAPS_PORT: c_int = 0x24;

pub(crate) const SPP_PMTUD_DISABLE: u32 = 0x10;

pub(crate) const FLAG_ABORT: u16 = 0x0200;
pub(crate) const FLAG_UNORDERED: u16 = 0x0400;

pub(crate) const ASSOC_CHANGE: u16 = 1;
pub(crate) const COMM_UP: u16 = 1;
pub(crate) const COMM_LOST: u16 = 2;
pub(crate) const SHUTDOWN_COMP: u16 = 4;
pub(crate) const CANT_STR_ASSOC: u16 = 5;

/// Takes a packet that is to be sent to the peer of `address`.
pub(crate) type Output = unsafe extern "C" fn(*mut c_void, *mut c_void, size_t, u8, u8) -> c_int;
/// Takes a line of the log.
pub(crate) type Log = unsafe extern "C" fn(*const c_char, ...);

unsafe extern "C" {
    pub(crate) fn usrsctp_init(port: u16, output: Option<Output>, log: Option<Log>);
    pub(crate) fn usrsctp_init_nothreads(port: u16, output: Option<Output>, log: Option<Log>);
    pub(crate) fn usrsctp_socket(
        domain: c_int,
        kind: c_int,
        protocol: c_int,
        // Callbacks, which we do without.
        receive: *const c_void,
        send: *const c_void,
        threshold: u32,
        info: *mut c_void,
    ) -> *mut Socket;
    pub(crate) fn usrsctp_setsockopt(
        socket: *mut Socket,
        level: c_int,
        name: c_int,
        value: *const c_void,
        len: socklen_t,
    ) -> c_int;
    pub(crate) fn usrsctp_set_non_blocking(socket: *mut Socket, on: c_int) -> c_int;
    pub(crate) fn usrsctp_bind(
        socket: *mut Socket,
        address: *const c_void,
        len: socklen_t,
    ) -> c_int;
    pub(crate) fn usrsctp_listen(socket: *mut Socket, backlog: c_int) -> c_int;
    pub(crate) fn usrsctp_accept(
        socket: *mut Socket,
        address: *mut c_void,
        len: *mut socklen_t,
    ) -> *mut Socket;
    pub(crate) fn usrsctp_connect(
        socket: *mut Socket,
        address: *const c_void,
        len: socklen_t,
    ) -> c_int;
    pub(crate) fn usrsctp_sendv(
        socket: *mut Socket,
        data: *const c_void,
        len: size_t,
        to: *const c_void,
        to_count: c_int,
        info: *const c_void,
        info_len: socklen_t,
        info_kind: c_uint,
        flags: c_int,
    ) -> ssize_t;
    pub(crate) fn usrsctp_recvv(
        socket: *mut Socket,
        buf: *mut c_void,
        len: size_t,
        from: *mut c_void,
        from_len: *mut socklen_t,
        info: *mut c_void,
        info_len: *mut socklen_t,
        info_kind: *mut c_uint,
        flags: *mut c_int,
    ) -> ssize_t;
    pub(crate) fn usrsctp_shutdown(socket: *mut Socket, how: c_int) -> c_int;
    pub(crate) fn usrsctp_close(socket: *mut Socket);
    pub(crate) fn usrsctp_conninput(key: *mut c_void, packet: *const c_void, len: size_t, ecn: u8);
    pub(crate) fn usrsctp_register_address(key: *mut c_void);
    pub(crate) fn usrsctp_deregister_address(key: *mut c_void);
    pub(crate) fn usrsctp_handle_timers(elapsed_milliseconds: u32);
    pub(crate) fn usrsctp_sysctl_set_sctp_ecn_enable(value: u32) -> c_int;
}
