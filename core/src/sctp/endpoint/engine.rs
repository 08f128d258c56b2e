//! What an endpoint does, for any storage and any source of randomness.

use core::net::{IpAddr, SocketAddr};

use heapless::{Deque, Vec};

use super::context::{Context, Shared, Source};
use super::replies::{Replies, TokenBucket, Written};
use super::table::{Queue, Table};
use crate::entropy::{Entropy, roughly_below};
use crate::sctp::association::{Association, Events, State, Tcb, may_fragment_reply};
use crate::sctp::config::Config;
use crate::sctp::cookie::CookieKeys;
use crate::sctp::packet::{Chunks, CommonHeader, checksum_is_right};
use crate::sctp::statistics::Statistics;
use crate::sctp::storage::{Slot, Storage};
use crate::sctp::types::{
    Connect, ConnectError, Datagram, Event, Handle, Input, InputError, ListenError, Packet,
    Received, TooBig, Unreachable,
};
use crate::time::Instant;

/// An endpoint but for its storage and entropy.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) shared: Shared,
    pub(super) table: Table,
}

impl Shared {
    /// Whether a peer may open an association on `port`.
    pub(super) fn accepts(&self, port: u16) -> bool {
        self.config.accept && self.ports.contains(&port)
    }
}

/// The slot that `handle` names, if it still does.
pub(super) fn index_of(slots: &[Slot], handle: Handle) -> Option<usize> {
    let index = handle.index as usize;
    (Table::generation(slots, index) == Some(handle.generation)).then_some(index)
}

impl Engine {
    // Inlined and in one expression, so that it is built where it stays and not on the stack.
    #[inline]
    pub(super) const fn new(config: Config, secret: [u8; 32]) -> Self {
        Self {
            shared: Shared {
                parameters: config.transfer(),
                config,
                statistics: Statistics::ZERO,
                replies: Replies::new(),
                keys: CookieKeys::new(secret),
                bucket: TokenBucket::new(),
                ports: Vec::new(),
                addresses: Vec::new(),
                spent_tags: Deque::new(),
            },
            table: Table::new(),
        }
    }

    pub(super) fn configure(&mut self, config: Config) {
        self.shared.parameters = config.transfer();
        self.shared.config = config;
    }

    pub(super) fn listen(&mut self, port: u16) -> Result<(), ListenError> {
        if port == 0 {
            return Err(ListenError::BadPort);
        }
        if self.shared.ports.contains(&port) {
            return Ok(());
        }
        self.shared.ports.push(port).map_err(|_| ListenError::Full)
    }

    pub(super) fn unlisten(&mut self, port: u16) {
        self.shared.ports.retain(|&listening| listening != port);
    }

    pub(super) fn connect(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        connect: Connect,
    ) -> Result<Handle, ConnectError> {
        let remote = connect.remote;
        if !is_unicast(remote.ip()) || remote.ip().is_unspecified() || remote.port() == 0 {
            return Err(ConnectError::BadAddress);
        }
        let local_port = match connect.local_port {
            0 => self.free_port(storage.slots(), entropy, remote).ok_or(ConnectError::Full)?,
            port if self.is_taken(storage.slots(), port, remote) => {
                return Err(ConnectError::Exists);
            }
            port => port,
        };
        let index = self.table.take(storage.slots_mut()).ok_or(ConnectError::Full)?;
        let connect = Connect { local_port, ..connect };
        self.with(now, storage, entropy, &Source::NOWHERE, index, |association, context| {
            association.open(context, &connect);
        });
        let slots = storage.slots_mut();
        self.table.hash(slots, index);
        let generation = Table::generation(slots, index).ok_or(ConnectError::Full)?;
        Ok(Handle { index: index as u32, generation })
    }

    fn is_taken(&self, slots: &[Slot], port: u16, remote: SocketAddr) -> bool {
        self.table.find(slots, (port, remote.port()), remote.ip(), 0).is_some()
    }

    /// A port from the ephemeral range that has no association with `remote`.
    fn free_port(
        &self,
        slots: &[Slot],
        entropy: &mut dyn Entropy,
        remote: SocketAddr,
    ) -> Option<u16> {
        const FIRST: u16 = 49_152;
        const TRIES: usize = 64;
        (0..TRIES)
            .map(|_| FIRST + roughly_below(entropy, u32::from(u16::MAX - FIRST) + 1) as u16)
            .find(|&port| !self.is_taken(slots, port, remote))
    }

    /// Works on one association, and notes what it then owes.
    pub(super) fn with<R>(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        source: &Source,
        index: usize,
        work: impl FnOnce(&mut Association<'_>, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut result = None;
        let mut work = Some(work);
        let work = &mut |association: &mut Association<'_>, context: &mut Context<'_>| {
            result = work.take().map(|work| work(association, context));
        };
        self.with_any(now, storage, entropy, source, index, work);
        result
    }

    /// The same, compiled once.
    fn with_any(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        source: &Source,
        index: usize,
        work: &mut dyn FnMut(&mut Association<'_>, &mut Context<'_>),
    ) {
        let Some(lent) = storage.lend(index) else { return };
        let context = &mut Context { now, entropy, shared: &mut self.shared, source };
        work(&mut Association::new(lent), context);
        self.settle(storage.slots_mut(), index);
    }

    /// Notes what an association owes after it was worked on.
    fn settle(&mut self, slots: &mut [Slot], index: usize) {
        let Some(Slot { tcb, .. }) = slots.get(index) else { return };
        let (deadline, is_closed) = (tcb.deadline(), tcb.state == State::Closed);
        let has_events = tcb.has_events();
        self.table.schedule(slots, index, deadline);
        self.table.enqueue(slots, Queue::Transmit, index);
        if has_events {
            self.table.enqueue(slots, Queue::Event, index);
        }
        if is_closed {
            self.table.unhash(slots, index);
        }
    }

    /// Does what the user wants of an association; not of one that is over.
    pub(super) fn with_handle<R>(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        handle: Handle,
        work: impl FnOnce(&mut Association<'_>, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let index = index_of(storage.slots(), handle)
            .filter(|&index| Table::is_up(storage.slots(), index))?;
        self.with(now, storage, entropy, &Source::NOWHERE, index, work)
    }

    /// Reads a message; the last ones can be read until the user is told that it is over.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        handle: Handle,
        buf: &mut [u8],
    ) -> Option<Received> {
        let index = index_of(storage.slots(), handle)?;
        // Users ask until there is nothing more.
        if !storage.slots().get(index)?.tcb.is_readable() {
            return None;
        }
        let received = self
            .with(now, storage, entropy, &Source::NOWHERE, index, |association, _| {
                association.receive(buf)
            })
            .flatten();
        self.shared.statistics.messages_in += u64::from(received.is_some());
        received
    }

    pub(super) fn on_input(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        input: Input<'_>,
    ) -> Result<(), InputError> {
        match input {
            Input::Datagram(datagram) => {
                let result = self.on_datagram(now, storage, entropy, &datagram);
                let statistics = &mut self.shared.statistics;
                statistics.packets_in += 1;
                match result {
                    Err(InputError::Malformed) => statistics.malformed += 1,
                    Err(InputError::OutOfTheBlue) => statistics.out_of_the_blue += 1,
                    Err(InputError::WrongTag) => statistics.wrong_tag += 1,
                    Err(InputError::OutOfPlace) | Ok(()) => {}
                }
                result
            }
            Input::Unreachable(unreachable) => {
                self.on_unreachable(now, storage, entropy, &unreachable)
            }
            Input::TooBig(too_big) => self.on_too_big(now, storage, entropy, &too_big),
        }
    }

    fn on_datagram(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        datagram: &Datagram<'_>,
    ) -> Result<(), InputError> {
        let Datagram { local, remote, udp, payload } = *datagram;
        let (chunks, header) = CommonHeader::parse(payload).map_err(|_| InputError::Malformed)?;
        if header.source_port == 0
            || header.destination_port == 0
            || !is_unicast(local)
            || !is_unicast(remote)
            || remote.is_unspecified()
            || !checksum_is_right(payload)
        {
            return Err(InputError::Malformed);
        }
        let chunks = Chunks::new(chunks);
        let source = &Source { local, remote, udp };
        let ports = (header.destination_port, header.source_port);
        let found = self.table.find(storage.slots(), ports, remote, header.tag);
        let result = found.and_then(|index| {
            self.with(now, storage, entropy, source, index, |association, context| {
                association.on_packet(context, header.tag, chunks)
            })
        });
        match result.unwrap_or(Err(InputError::OutOfTheBlue)) {
            Err(InputError::OutOfTheBlue) => {
                self.on_stranger(now, storage, entropy, source, &header, chunks)
            }
            result => result,
        }
    }

    fn on_unreachable(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        unreachable: &Unreachable<'_>,
    ) -> Result<(), InputError> {
        let slots = storage.slots();
        let (index, path) = self.find_quoted(slots, unreachable.remote, unreachable.quoted)?;
        self.with(now, storage, entropy, &Source::NOWHERE, index, |association, context| {
            association.on_unreachable(context, path);
        });
        Ok(())
    }

    /// RFC 9260 §10 ICMP7.
    fn on_too_big(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        too_big: &TooBig<'_>,
    ) -> Result<(), InputError> {
        let slots = storage.slots();
        let (index, path) = self.find_quoted(slots, too_big.remote, too_big.quoted)?;
        if !self.shared.config.discovers_pmtu() {
            return Ok(());
        }
        self.with(now, storage, entropy, &Source::NOWHERE, index, |association, context| {
            association.on_too_big(context, path, too_big.mtu);
        });
        Ok(())
    }

    /// The association and path that an ICMP error is about. RFC 9260 §10 ICMP5, ICMP6: the
    /// quoted packet must prove that we sent it.
    fn find_quoted(
        &self,
        slots: &[Slot],
        remote: IpAddr,
        quoted: &[u8],
    ) -> Result<(usize, usize), InputError> {
        let &[s0, s1, d0, d1, t0, t1, t2, t3] =
            quoted.first_chunk().ok_or(InputError::Malformed)?;
        let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        let tag = u32::from_be_bytes([t0, t1, t2, t3]);
        let is_proven = |tcb: &Tcb| match tag {
            0 => quotes_our_init(tcb, quoted),
            tag => tag == tcb.peer_tag,
        };
        let is_it = |tcb: &Tcb| tcb.is_at(remote) && is_proven(tcb);
        let Some(index) = self.table.find_by(slots, ports, is_it) else {
            let other = self.table.find_by(slots, ports, |tcb| tcb.is_at(remote));
            return Err(other.map_or(InputError::OutOfTheBlue, |_| InputError::WrongTag));
        };
        let path = slots.get(index).and_then(|slot| slot.tcb.path_to(remote));
        Ok((index, path.ok_or(InputError::OutOfTheBlue)?))
    }

    pub(super) fn on_time(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
    ) {
        // Each association has a handful of timers, and each that is due is dealt with at once.
        let turns_max = storage.slots().len();
        for _ in 0..turns_max {
            let Some((deadline, index)) = self.table.first_due(storage.slots()) else { break };
            if deadline > now {
                break;
            }
            self.with(now, storage, entropy, &Source::NOWHERE, index, |association, context| {
                association.on_time(context);
            });
        }
    }

    pub(super) fn next_deadline(&self, storage: &dyn Storage) -> Option<Instant> {
        self.table.next_deadline(storage.slots())
    }

    pub(super) fn next_packet(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        buf: &mut [u8],
    ) -> Option<Packet> {
        if let Some(written) = self.shared.replies.pop(buf) {
            self.shared.statistics.packets_out += 1;
            return self.bundle(now, storage, entropy, written, buf);
        }
        // Each turn takes one association out of the queue; only one that sends goes back.
        while let Some(index) = self.table.dequeue(storage.slots_mut(), Queue::Transmit) {
            let mut association = Association::new(storage.lend(index)?);
            let source = &Source::NOWHERE;
            let mut context =
                Context { now, entropy: &mut *entropy, shared: &mut self.shared, source };
            let packet = association.transmit(&mut context, buf);
            let deadline = association.tcb.deadline();
            let slots = storage.slots_mut();
            self.table.schedule(slots, index, deadline);
            if packet.is_some() {
                self.table.enqueue(slots, Queue::Transmit, index);
                self.shared.statistics.packets_out += 1;
                return packet;
            }
        }
        None
    }

    /// Lets what the association owes follow a reply in its packet. RFC 9260 §6.10.
    fn bundle(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        written: Written,
        buf: &mut [u8],
    ) -> Option<Packet> {
        let Written { route, mut len, is_open } = written;
        let ports = (route.local_port, route.remote_port);
        let is_its = |tcb: &Tcb| tcb.peer_tag == route.tag && tcb.is_at(route.remote);
        let index = is_open.then(|| self.table.find_by(storage.slots(), ports, is_its)).flatten();
        if let Some(index) = index {
            self.with(now, storage, entropy, &Source::NOWHERE, index, |association, context| {
                len = association.transmit_behind(context, route.remote, buf, len);
            });
        }
        let packet = route.finish(buf, len)?;
        let may_fragment = may_fragment_reply(&self.shared.config, &packet);
        Some(Packet { may_fragment, ..packet })
    }

    pub(super) fn next_event(&mut self, storage: &mut dyn Storage) -> Option<Event> {
        // Each turn takes one association out of the queue; only one with more events goes back.
        while let Some(index) = self.table.dequeue(storage.slots_mut(), Queue::Event) {
            let Some(generation) = Table::generation(storage.slots(), index) else { continue };
            let handle = Handle { index: index as u32, generation };
            let mut association = Association::new(storage.lend(index)?);
            let event = association.next_event(handle);
            let own_tag = association.tcb.own_tag;
            let has_more = association.tcb.has_events();
            let slots = storage.slots_mut();
            if has_more {
                self.table.enqueue(slots, Queue::Event, index);
            }
            if matches!(event, Some(Event::Down { .. })) {
                self.shared.spend_tag(own_tag);
                self.table.free(slots, index);
            }
            if event.is_some() {
                return event;
            }
        }
        None
    }
}

impl Association<'_> {
    fn next_event(&mut self, handle: Handle) -> Option<Event> {
        let has_messages = self.tcb.is_readable();
        let tcb = &mut *self.tcb;
        if tcb.events.take(Events::UP) {
            return Some(Event::Up {
                handle,
                passive: tcb.is_passive,
                local_port: tcb.local_port,
                remote: tcb.peer(),
                outbound_streams: tcb.outbound_streams(),
                inbound_streams: tcb.inbound_streams(),
            });
        }
        if tcb.events.take(Events::RESTARTED) {
            return Some(Event::Restarted { handle });
        }
        if let Some(event) = tcb.next_path_event(handle) {
            return Some(event);
        }
        if tcb.events.take(Events::READABLE) && has_messages {
            return Some(Event::Readable { handle });
        }
        if tcb.events.take(Events::WRITABLE) && tcb.state != State::Closed {
            return Some(Event::Writable { handle });
        }
        let (reason, cause) = tcb.end;
        tcb.events.take(Events::DOWN).then_some(Event::Down {
            handle,
            was_up: tcb.was_up,
            reason,
            cause: cause.0,
        })
    }
}

/// Whether an ICMP error quotes enough of our INIT to be believed. RFC 9260 §10 ICMP6, ICMP8.
fn quotes_our_init(tcb: &Tcb, quoted: &[u8]) -> bool {
    tcb.state == State::CookieWait
        && quoted.get(CommonHeader::LEN) == Some(&1)
        && quoted.get(16..20) == Some(&tcb.own_tag.to_be_bytes())
}

pub(in crate::sctp) fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_multicast(),
    }
}
