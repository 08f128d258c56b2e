//! One association: its state machine (RFC 9260 §4) over lent memory.
//!
//! Read §4, §5.1 to §5.3, §8 and §9 before editing. Files by event: `packet` (chunks that come
//! in), `handshake` (INIT ACK, cookies, restart), `teardown` (shutdown, abort), `timers`,
//! `transmit` (packets that go out), `path`, `mtu`.

mod handshake;
mod mtu;
mod own;
mod packet;
mod path;
mod probe;
mod status;
mod teardown;
mod timers;
mod transmit;

use core::net::{IpAddr, SocketAddr};

use super::config::Config;
use super::endpoint::{Context, Route, Source};
use super::packet::{Cause, ChunkType};
use super::serial::Tsn;
use super::storage::Lent;
use super::transfer::{
    PathTransfer, PushError, Receiver, ReceiverState, RxDescriptor, Sender, SenderState,
    TxDescriptor,
};
use super::types::{Received, SendError};
use crate::association::{DownReason, Ppid, StreamId};
use crate::time::{Instant, Timer};

pub(super) use handshake::{Refusal, StrangerInit, listed_addresses, refuse};
pub(super) use mtu::{DISCOVERIES, may_fragment_reply};
pub(super) use path::{Addresses, PATHS_MAX, Path};
pub(super) use probe::Probe;
pub use status::{State, Status};

/// Packets or chunks that are to be sent, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed(u8);

impl Owed {
    const NOTHING: Self = Self(0);
    const INIT: Self = Self(1);
    const COOKIE_ECHO: Self = Self(2);
    const COOKIE_ACK: Self = Self(4);
    const SHUTDOWN: Self = Self(8);
    const SHUTDOWN_ACK: Self = Self(16);

    const fn has(self, bit: Self) -> bool {
        self.0 & bit.0 != 0
    }

    const fn add(&mut self, bit: Self) {
        self.0 |= bit.0;
    }

    const fn take(&mut self, bit: Self) -> bool {
        let had = self.has(bit);
        self.0 &= !bit.0;
        had
    }
}

/// What the user is to be told, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Events(u8);

impl Events {
    const NONE: Self = Self(0);
    pub(super) const UP: Self = Self(1);
    pub(super) const RESTARTED: Self = Self(2);
    pub(super) const READABLE: Self = Self(4);
    pub(super) const WRITABLE: Self = Self(8);
    pub(super) const DOWN: Self = Self(16);

    /// Whether nothing is to be told.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn add(&mut self, bit: Self) {
        self.0 |= bit.0;
    }

    /// Takes `bit` away; whether it was there.
    pub(super) const fn take(&mut self, bit: Self) -> bool {
        let had = self.0 & bit.0 != 0;
        self.0 &= !bit.0;
        had
    }
}

/// What is kept of one association (the RFC's TCB). All zero bits until it begins.
#[derive(Debug)]
pub(super) struct Tcb {
    pub(super) state: State,
    /// The peer opened it.
    pub(super) is_passive: bool,
    /// The user was told that it is up.
    pub(super) was_up: bool,
    /// The user has asked for a shutdown.
    is_to_shut_down: bool,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) own_tag: u32,
    /// 0 while it is not known.
    pub(super) peer_tag: u32,
    own_tie: u32,
    peer_tie: u32,
    own_initial_tsn: Tsn,
    owed: Owed,
    pub(super) events: Events,
    /// How it ended, once `state` is closed.
    pub(super) end: (DownReason, Cause),
    /// T1-init, T1-cookie or T2-shutdown, whichever `state` calls for.
    control: Timer,
    /// How often that timer has expired in a row, and when the packet it guards was sent first.
    control_count: u8,
    control_since: Timer,
    /// T5-shutdown-guard.
    guard: Timer,
    /// Unanswered sendings in a row, over all paths.
    error_count: u8,
    /// T3-rtx expiries since data was acknowledged last, counted while shutting down.
    stall_count: u8,
    /// While a COOKIE ECHO is to be sent, the receive buffer holds the cookie and then causes of
    /// an ERROR that goes with it.
    cookie_len: u16,
    report_len: u16,
    /// The length of the message that was refused for lack of room; 0 if none was.
    refused_len: u32,
    /// How many of `paths` there are.
    pub(super) path_count: u8,
    /// The path that the user prefers; the one in use; the one for what was lost on another.
    primary: u8,
    active: u8,
    detour: u8,
    /// Where DATA or a COOKIE ECHO came from last; another one if that has failed since.
    source: u8,
    /// Bit n: the user is to be told about path n.
    pub(super) paths_changed: u8,
    /// The peer has addresses that are not kept.
    pub(super) has_more_addresses: bool,
    pub(super) paths: [Path; PATHS_MAX],
    pub(super) transfers: [PathTransfer; PATHS_MAX],
    sender: SenderState,
    receiver: ReceiverState,
}

impl Tcb {
    pub(super) const EMPTY: Self = Self {
        state: State::Closed,
        is_passive: false,
        was_up: false,
        is_to_shut_down: false,
        local_port: 0,
        remote_port: 0,
        own_tag: 0,
        peer_tag: 0,
        own_tie: 0,
        peer_tie: 0,
        own_initial_tsn: Tsn(0),
        owed: Owed::NOTHING,
        events: Events::NONE,
        end: (DownReason::Shutdown, Cause::NONE),
        control: Timer::OFF,
        control_count: 0,
        control_since: Timer::OFF,
        guard: Timer::OFF,
        error_count: 0,
        stall_count: 0,
        cookie_len: 0,
        report_len: 0,
        refused_len: 0,
        path_count: 0,
        primary: 0,
        active: 0,
        detour: 0,
        source: 0,
        paths_changed: 0,
        has_more_addresses: false,
        paths: [const { Path::EMPTY }; PATHS_MAX],
        transfers: [const { PathTransfer::EMPTY }; PATHS_MAX],
        sender: SenderState::EMPTY,
        receiver: ReceiverState::EMPTY,
    };

    /// Whether `address` is one of the peer's.
    pub(super) fn is_at(&self, address: IpAddr) -> bool {
        self.path_to(address).is_some()
    }

    /// The peer's address and SCTP port.
    pub(super) fn peer(&self) -> SocketAddr {
        SocketAddr::new(self.path(self.primary()).remote, self.remote_port)
    }

    /// How packets to the peer are labelled.
    pub(super) fn route(&self) -> Route {
        self.route_by(self.active())
    }

    /// The way back to where a packet came from, RFC 9260 §6.4; the path in use if none did.
    fn route_to(&self, source: &Source) -> Route {
        if source.remote.is_unspecified() {
            return self.route();
        }
        source.route(self.local_port, self.remote_port, self.peer_tag)
    }

    /// Notes where a packet came from that is to be answered later. RFC 9260 §6.4.
    fn note_source(&mut self, source: &Source) {
        self.source = self.path_to(source.remote).unwrap_or(self.active()) as u8;
    }

    #[cfg_attr(feature = "small", inline(never))]
    fn route_by(&self, index: usize) -> Route {
        let path = self.path(index);
        Route {
            local: path.local,
            remote: path.remote,
            udp: path.udp,
            local_port: self.local_port,
            remote_port: self.remote_port,
            tag: self.peer_tag,
        }
    }

    /// Streams that we may send on.
    pub(super) const fn outbound_streams(&self) -> u16 {
        self.sender.stream_count()
    }

    /// Streams that the peer may send on.
    pub(super) const fn inbound_streams(&self) -> u16 {
        self.receiver.stream_count()
    }

    /// Whether there is a message for the user.
    pub(super) const fn is_readable(&self) -> bool {
        self.receiver.is_readable()
    }

    /// When time has something to do here next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let mut first = self.control.earlier(self.guard);
        for (path, transfer) in self.paths.iter().zip(&self.transfers).take(self.path_count()) {
            first = first.earlier(path.probe.timer()).earlier(transfer.t3_rtx());
        }
        first.earlier(self.receiver.sack_timer()).get()
    }

    fn end(&mut self, reason: DownReason, cause: Cause) {
        self.state = State::Closed;
        self.end = (reason, cause);
        self.owed = Owed::NOTHING;
        self.control = Timer::OFF;
        self.guard = Timer::OFF;
        self.paths.iter_mut().for_each(|path| path.probe = Probe::Off);
        self.events.add(Events::DOWN);
    }
}

/// An association at work: what is kept of it with the memory that is lent for it.
pub(super) struct Association<'s> {
    pub(super) tcb: &'s mut Tcb,
    tx: &'s mut [u8],
    rx: &'s mut [u8],
    tx_descriptors: &'s mut [TxDescriptor],
    rx_descriptors: &'s mut [RxDescriptor],
}

impl<'s> Association<'s> {
    /// Puts an association together.
    pub(super) fn new(lent: Lent<'s>) -> Self {
        Self {
            tcb: &mut lent.slot.tcb,
            tx: lent.tx,
            rx: lent.rx,
            tx_descriptors: lent.tx_descriptors,
            rx_descriptors: lent.rx_descriptors,
        }
    }

    fn sender(&mut self) -> Sender<'_> {
        Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors)
    }

    fn receiver(&mut self) -> Receiver<'_> {
        Receiver::new(&mut self.tcb.receiver, self.rx, self.rx_descriptors)
    }

    /// Queues a message of the user.
    pub(super) fn send(
        &mut self,
        config: &Config,
        stream: StreamId,
        ppid: Ppid,
        unordered: bool,
        data: &[u8],
    ) -> Result<(), SendError> {
        let refused_len = u32::try_from(data.len()).unwrap_or(u32::MAX).max(1);
        match self.tcb.state {
            State::CookieWait | State::CookieEchoed => {
                // All of the buffer will be free; one too long even for it is refused then.
                self.tcb.refused_len = 1;
                return Err(SendError::Full);
            }
            State::Established => {}
            _ => return Err(SendError::Closed),
        }
        let chunk_len_max = self.tcb.chunk_len_max(config);
        let pushed = self.sender().push(stream.0, ppid.0, unordered, data, chunk_len_max);
        pushed.map_err(|error| match error {
            PushError::Full => {
                self.tcb.refused_len = refused_len;
                SendError::Full
            }
            PushError::TooLong => SendError::TooLong,
            PushError::NoSuchStream => SendError::NoSuchStream,
            PushError::Empty => SendError::Empty,
        })
    }

    /// Whether a message of `len` bytes could be queued now.
    pub(super) fn is_writable(&mut self, config: &Config, len: usize) -> bool {
        let chunk_len_max = self.tcb.chunk_len_max(config);
        self.tcb.state == State::Established && self.sender().is_writable(len, chunk_len_max)
    }

    /// Tells the user that there is room again, if there was not and is now.
    fn notice_room(&mut self, config: &Config) {
        let (wanted, chunk_len_max) = (self.tcb.refused_len, self.tcb.chunk_len_max(config));
        if wanted > 0 && self.sender().is_writable(wanted as usize, chunk_len_max) {
            self.tcb.refused_len = 0;
            self.tcb.events.add(Events::WRITABLE);
        }
    }

    /// The next message for the user.
    pub(super) fn receive(&mut self, buf: &mut [u8]) -> Option<Received> {
        let message = self.receiver().pop(buf)?;
        Some(Received {
            stream: StreamId(message.stream),
            ppid: Ppid(message.ppid),
            unordered: message.unordered,
            len: message.len,
        })
    }

    /// The peer does not answer any more. It is told nevertheless: perhaps it hears us, and only
    /// its answers get lost.
    fn lose(&mut self, context: &mut Context<'_>) {
        if self.tcb.peer_tag != 0 {
            let route = self.tcb.route();
            let replies = &mut context.shared.replies;
            replies.push_cause(&route, ChunkType::ABORT, 0, Cause::NONE, &[]);
        }
        context.shared.statistics.lost += 1;
        self.tcb.end(DownReason::Lost, Cause::NONE);
    }
}
