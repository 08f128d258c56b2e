//! The user of an endpoint, who checks that all comes once, whole, in order and from one peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::association::{DownReason, Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, Status, UdpPorts,
};
use rserpool_core::time::Instant;

use super::wire::{ATTACKER, Parcel, SCTP_PORT, UDP_PORT, address};
use crate::fuzz_targets::sctp_data::check_packet;

type Host = Endpoint<Inline<SLOTS, 2_048, 2_048, 8>, SplitMix64>;

/// How many associations an endpoint has memory for.
const SLOTS: usize = 2;

/// Names an association for ever: the endpoint's incarnation, and the handle in it.
pub(super) type Key = (u32, Handle);

/// A message that was sent: all that is needed to know it again.
#[derive(Debug)]
pub(super) struct Sent {
    by: Key,
    stream: u16,
    unordered: bool,
    len: usize,
    was_seen: bool,
}

/// What the user knows of an association.
#[derive(Debug, Default)]
struct Known {
    is_up: bool,
    /// The peer's association that messages come from, once one came.
    peer: Option<Key>,
    /// The last ordered message of each stream.
    last: BTreeMap<u16, u32>,
    /// How it ended.
    end: Option<DownReason>,
    /// It went on without interruption.
    is_whole: bool,
}

/// One endpoint, its user, and its clock.
pub(super) struct Side {
    index: usize,
    endpoint: Box<Host>,
    incarnation: u32,
    is_in_udp: bool,
    config: Config,
    addresses: usize,
    /// What this clock shows while the world's shows `now`.
    clock: fn(Instant, Duration) -> Instant,
    skew: Duration,
    known: BTreeMap<Key, Known>,
    connect_count: u32,
    /// Messages that this side sent, by number.
    pub(super) sent: Vec<Sent>,
    pub(super) is_reading: bool,
}

impl Side {
    pub(super) fn new(index: usize, is_in_udp: bool, addresses: usize, config: Config) -> Self {
        let mut side = Self {
            index,
            endpoint: Box::new(Host::new(config, SplitMix64::new(0), [0; 32], Inline::new())),
            incarnation: 0,
            is_in_udp,
            config,
            addresses,
            clock: |now, _| now,
            skew: Duration::ZERO,
            known: BTreeMap::new(),
            connect_count: 0,
            sent: Vec::new(),
            is_reading: true,
        };
        side.restart();
        side
    }

    /// Loses all memory of associations, as a crash does.
    pub(super) fn restart(&mut self) {
        self.incarnation += 1;
        let seed = u64::from(self.incarnation) * 2 + self.index as u64;
        let secret = [seed as u8; 32];
        *self.endpoint = Host::new(self.config, SplitMix64::new(seed), secret, Inline::new());
        self.endpoint.listen(SCTP_PORT).expect("it is the first port");
        let own: Vec<_> = (0..self.addresses).map(|net| address(self.index, net)).collect();
        self.endpoint.set_addresses(&own).expect("there are two at most");
    }

    /// Sets the clock ahead or back.
    pub(super) fn set_clock(&mut self, is_ahead: bool, skew: Duration) {
        self.clock = if is_ahead {
            |now, skew| now + skew
        } else {
            |now, skew| {
                Instant::from_micros(now.as_micros().saturating_sub(skew.as_micros() as u64))
            }
        };
        self.skew = skew;
    }

    fn clock(&self, now: Instant) -> Instant {
        (self.clock)(now, self.skew)
    }

    /// How long until something is due; at least a microsecond.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let next = self.endpoint.poll_timeout()?;
        let wait = next.saturating_duration_since(self.clock(now));
        Some(wait.max(Duration::from_micros(1)))
    }

    pub(super) fn connect(&mut self, now: Instant, net: usize, has_any_port: bool) {
        if self.connect_count == CONNECTS_MAX {
            return;
        }
        self.connect_count += 1;
        let remote = SocketAddr::new(address(1 - self.index, net % self.addresses), SCTP_PORT);
        let udp = self.is_in_udp.then_some(UdpPorts { local: UDP_PORT, remote: UDP_PORT });
        let local_port = if has_any_port { 0 } else { SCTP_PORT };
        let now = self.clock(now);
        let connect = Connect { local_port, remote, udp };
        if let Ok(handle) = self.endpoint.connect(now, connect) {
            let is_new = self.known.insert((self.incarnation, handle), Known::WHOLE);
            assert!(is_new.is_none(), "{handle:?} is named twice");
            if net >= self.addresses {
                let other = address(1 - self.index, net + 1);
                let _ = self.endpoint.add_address(now, handle, other);
            }
        }
    }

    /// The associations that are not over, oldest first.
    fn open(&self) -> Vec<Handle> {
        let mine = self.known.iter().filter(|((incarnation, _), known)| {
            *incarnation == self.incarnation && known.end.is_none()
        });
        mine.map(|((_, handle), _)| *handle).collect()
    }

    fn chosen(&self, argument: u8) -> Option<Handle> {
        let open = self.open();
        open.get(usize::from(argument) % open.len().max(1)).copied()
    }

    pub(super) fn send(&mut self, now: Instant, argument: u8) {
        let Some(handle) = self.chosen(argument >> 6) else { return };
        let number = self.sent.len() as u32;
        let len = [4, 60, 700, 1_500][usize::from(argument & 3)];
        let (stream, unordered) = (u16::from(argument >> 3 & 3), argument & 4 != 0);
        let data = text(self.index, number, len);
        let now = self.clock(now);
        let (to, ppid) = (StreamId(stream), Ppid(number));
        if self.endpoint.send(now, handle, to, ppid, unordered, &data).is_ok() {
            let by = (self.incarnation, handle);
            self.sent.push(Sent { by, stream, unordered, len, was_seen: false });
        }
    }

    /// Ends an association, gracefully or at once.
    pub(super) fn close(&mut self, now: Instant, argument: u8, at_once: bool) {
        let Some(handle) = self.chosen(argument) else { return };
        let now = self.clock(now);
        let closed = match at_once {
            true => self.endpoint.abort(now, handle),
            false => self.endpoint.shutdown(now, handle),
        };
        // It may be over without our having been told.
        let _ = closed;
    }

    pub(super) fn close_all(&mut self, now: Instant) {
        for index in 0..self.open().len() {
            self.close(now, index as u8, false);
        }
    }

    pub(super) fn prefer(&mut self, now: Instant, net: usize) {
        for handle in self.open() {
            let to = address(1 - self.index, net);
            let _ = self.endpoint.set_primary(self.clock(now), handle, to);
        }
    }

    pub(super) fn take_in(&mut self, now: Instant, parcel: &Parcel) {
        let Parcel { from: remote, to: local, udp, ref bytes } = *parcel;
        let udp = udp.map(|(remote, local)| UdpPorts { local, remote });
        let datagram = Datagram { local, remote, udp, payload: bytes };
        let _ = self.endpoint.handle_input(self.clock(now), Input::Datagram(datagram));
    }

    pub(super) fn take_in_unreachable(&mut self, now: Instant, remote: IpAddr, quoted: &[u8]) {
        let error = rserpool_core::sctp::Unreachable { remote, quoted };
        let _ = self.endpoint.handle_input(self.clock(now), Input::Unreachable(error));
    }

    /// If the endpoint believes it, no path to `remote` has a larger MTU any more.
    pub(super) fn take_in_too_big(
        &mut self,
        now: Instant,
        remote: IpAddr,
        mtu: u32,
        quoted: &[u8],
    ) {
        let error = rserpool_core::sctp::TooBig { remote, mtu, quoted };
        let result = self.endpoint.handle_input(self.clock(now), Input::TooBig(error));
        if result.is_ok() && mtu > 0 {
            let endpoint = &self.endpoint;
            let paths = |handle| (0..).map_while(move |index| endpoint.path(handle, index));
            let mtus = self.open().into_iter().flat_map(paths).filter(|it| it.remote == remote);
            let least = mtus.map(|path| u32::from(path.mtu)).min();
            assert!(least.is_some_and(|least| least <= mtu.max(576)), "{least:?} and not {mtu}");
        }
    }

    /// All memory can be used again: for as many associations as ever.
    pub(super) fn check_memory(&mut self, now: Instant) {
        for place in 0..SLOTS {
            let remote = SocketAddr::new(ATTACKER, SCTP_PORT + place as u16);
            let connect = Connect { local_port: SCTP_PORT, remote, udp: None };
            let connected = self.endpoint.connect(self.clock(now), connect);
            assert!(connected.is_ok(), "{connected:?}: place {place} is not free");
        }
    }

    /// Does what is due.
    pub(super) fn pass_time(&mut self, now: Instant) {
        self.endpoint.handle_timeout(self.clock(now));
    }

    /// All that it has to send now.
    pub(super) fn drain(&mut self, now: Instant) -> Vec<Parcel> {
        let now = self.clock(now);
        let mut parcels = Vec::new();
        let mut buf = [0; 1_500];
        while let Some(packet) = self.endpoint.poll_transmit(now, &mut buf) {
            assert!(parcels.len() < PACKETS_MAX, "it does not fall silent");
            let bytes = buf[..packet.len].to_vec();
            check_packet(&bytes);
            // Where it does not matter, from the address in the same net.
            let net = usize::from(packet.remote == address(1 - self.index, 1));
            let from = packet.local.unwrap_or(address(self.index, net));
            let udp = packet.udp.map(|udp| (udp.local, udp.remote));
            parcels.push(Parcel { from, to: packet.remote, udp, bytes });
        }
        parcels
    }

    /// Nothing that was due is still to be done.
    pub(super) fn check_timers(&self, now: Instant) {
        let (next, now) = (self.endpoint.poll_timeout(), self.clock(now));
        assert!(next.is_none_or(|next| next > now), "{next:?} is not after {now:?}");
    }

    /// Takes in events, and messages from `writer` if this user reads.
    pub(super) fn attend(&mut self, now: Instant, writer: &mut [Sent], is_honest: bool) {
        loop {
            if self.is_reading {
                self.read(now, writer, is_honest);
            }
            let Some(event) = self.endpoint.poll_event() else { break };
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: Event) {
        let key = |handle| (self.incarnation, handle);
        match event {
            Event::Up { handle, passive, .. } => {
                let known = self.known.entry(key(handle)).or_insert(Known::WHOLE);
                assert!(!known.is_up && known.end.is_none(), "{handle:?} came up twice");
                assert!(passive || known.peer.is_none());
                known.is_up = true;
            }
            Event::Restarted { handle } => {
                let known = self.known.get_mut(&key(handle)).expect("it was up");
                assert!(known.is_up && known.end.is_none());
                *known = Known { is_up: true, ..Known::default() };
            }
            Event::Down { handle, was_up, reason, .. } => {
                let known = self.known.get_mut(&key(handle)).expect("it was opened");
                assert!(known.end.is_none(), "{handle:?} ended twice");
                assert_eq!(known.is_up, was_up);
                known.end = Some(reason);
                assert_eq!(self.endpoint.status(handle), None);
            }
            Event::Readable { handle } | Event::Writable { handle } => {
                let known = self.known.get(&key(handle)).expect("it was up");
                assert!(known.is_up && known.end.is_none());
            }
            _ => {}
        }
    }

    fn read(&mut self, now: Instant, writer: &mut [Sent], is_honest: bool) {
        let mut buf = [0; 2_048];
        for handle in self.open() {
            let now = self.clock(now);
            while let Some(received) = self.endpoint.recv(now, handle, &mut buf) {
                assert!(received.len > 0);
                if !is_honest {
                    continue;
                }
                let number = received.ppid.0;
                let sent = writer.get_mut(number as usize).expect("nobody sent it");
                let is_right = buf[..received.len] == text(1 - self.index, number, sent.len)
                    && received.stream.0 == sent.stream
                    && received.unordered == sent.unordered;
                assert!(is_right, "message {number} is broken: {sent:?} {received:?}");
                assert!(!sent.was_seen, "message {number} came twice");
                sent.was_seen = true;
                let key = (self.incarnation, handle);
                let known = self.known.get_mut(&key).expect("it is open");
                let peer = *known.peer.get_or_insert(sent.by);
                assert_eq!(peer, sent.by, "two peers on one association");
                if !sent.unordered {
                    let last = known.last.insert(sent.stream, number);
                    assert!(last.is_none_or(|last| last < number), "{number} is out of order");
                }
            }
        }
    }

    /// What the associations are doing.
    pub(super) fn statuses(&self) -> Vec<Option<Status>> {
        self.open().into_iter().map(|handle| self.endpoint.status(handle)).collect()
    }

    /// Whether no association is left, nor anything to wait for.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_idle = self.endpoint.poll_timeout().is_none();
        self.open().is_empty() && is_idle
    }

    pub(super) fn describe(&self, now: Instant) -> String {
        format!("side {}: {:?}, waits {:?}", self.index, self.statuses(), self.wait(now))
    }

    /// Where both ends of an association agree that it was shut down, all that was sent arrived.
    pub(super) fn check_complete(&self, writer: &[Sent], writers_ends: &Self) {
        let is_graceful =
            |known: &Known| known.is_whole && known.end == Some(DownReason::Shutdown);
        for known in self.known.values().filter(|known| is_graceful(known)) {
            let Some(peer) = known.peer else { continue };
            if writers_ends.known.get(&peer).is_some_and(is_graceful) {
                let lost = writer.iter().position(|sent| sent.by == peer && !sent.was_seen);
                assert_eq!(lost, None, "a graceful end lost a message of {peer:?}");
            }
        }
    }
}

impl Known {
    const WHOLE: Self =
        Self { is_up: false, peer: None, last: BTreeMap::new(), end: None, is_whole: true };
}

/// What message `number` of a side says.
fn text(side: usize, number: u32, len: usize) -> Vec<u8> {
    let mut data = vec![number as u8 ^ side as u8; len];
    data[..4].copy_from_slice(&number.to_be_bytes());
    data
}

/// More packets than one event may release.
const PACKETS_MAX: usize = 600;
/// Associations that a user opens; more than an endpoint remembers having ended would not do.
const CONNECTS_MAX: u32 = 12;
