//! The MTU of each path (RFC 9260 §7.3, RFC 8899, RFC 4820).
//!
//! A path starts with the MTU that is right nearly everywhere, and nothing is sent to confirm it.
//! It is lowered when ICMP reports that a packet was too big, and when what is large is lost
//! again and again without a word (a black hole). Then HEARTBEATs padded to the size in question
//! search for a larger one, one at a time, and only where the peer has just answered, so that an
//! idle or dead path is not troubled. Where nothing is known to be lost, nothing is sent.
//!
//! Boards leave all of it out: they have no [`Discovery`].

use super::path::place;
use super::{Association, Owed, Probe, Tcb};
use crate::sctp::config::{Config, MTU_MIN, MTU_MIN_IPV6, chunks_len_max, headers_len};
use crate::sctp::endpoint::Context;
use crate::sctp::packet::CommonHeader;
use crate::sctp::transfer::Sender;
use crate::time::{Instant, Timer};

/// How many [`Discovery`] a path has.
pub(in crate::sctp) const DISCOVERIES: usize = crate::few(0, 1);

/// What is known of the MTU of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discovery {
    /// The largest packet that is sent (PLPMTU).
    current: u16,
    /// The largest that may yet turn out to work.
    ceiling: u16,
    /// The size to try next, or being tried; 0 while no search is on.
    candidate: u16,
    /// How often it was tried in vain.
    probe_count: u8,
    /// The HEARTBEAT that is due or under way is padded to `candidate`.
    is_probing: bool,
    /// Bytes of chunks in the largest packet with DATA since nothing was in flight, or T3-rtx
    /// expired.
    sent_len_max: u16,
    /// Expiries of T3-rtx in a row that large packets may be the reason of.
    timeout_count: u8,
    /// An answer from the path begins a search, or goes on with it, from this time on.
    search_at: Timer,
}

impl Discovery {
    /// Of no path: all bits zero.
    pub(super) const EMPTY: Self = Self {
        current: 0,
        ceiling: 0,
        candidate: 0,
        probe_count: 0,
        is_probing: false,
        sent_len_max: 0,
        timeout_count: 0,
        search_at: Timer::OFF,
    };

    /// Starts with `current`; a search follows if more is thinkable.
    fn start(config: &Config) -> Self {
        let mut discovery = Self { current: config.pmtu_initial(), ..Self::EMPTY };
        discovery.rest_until(config, Some(Instant::ZERO));
        discovery
    }

    /// Ends a search; another one begins at `at`, unless there is nothing to be found.
    fn rest_until(&mut self, config: &Config, at: Option<Instant>) {
        let is_largest = self.current >= aligned(config.mtu());
        self.search_at = at.filter(|_| !is_largest).map_or(Timer::OFF, Timer::at);
        self.candidate = 0;
        self.probe_count = 0;
        self.is_probing = false;
        self.timeout_count = 0;
    }

    /// The size that halves what is left to search; `None` if that is not worth a packet.
    fn next_candidate(&self) -> Option<u16> {
        let left = self.ceiling.saturating_sub(self.current);
        (left >= STEP_MIN).then(|| (self.current + left.div_ceil(2)).next_multiple_of(4))
    }

    /// Goes on to the next size, or ends the search.
    fn advance(&mut self, config: &Config, now: Instant) {
        self.probe_count = 0;
        match self.next_candidate() {
            Some(candidate) => self.candidate = candidate.min(self.ceiling),
            None => {
                let next = config.pmtu_raise_interval.map(|interval| now + interval);
                self.rest_until(config, next);
            }
        }
    }
}

/// A search ends when less than this, in bytes, is left to gain.
const STEP_MIN: u16 = 16;

/// Packets are multiples of 4 bytes long.
const fn aligned(mtu: u16) -> u16 {
    mtu & !3
}

impl Tcb {
    /// The largest IP packet for a path.
    pub(super) fn mtu(&self, config: &Config, index: usize) -> u16 {
        match self.path(index).mtu.first() {
            Some(discovery) if config.discovers_pmtu() => discovery.current.min(config.mtu()),
            _ => config.mtu(),
        }
    }

    /// Bytes of chunks in the largest packet on a path.
    pub(super) fn chunks_len_max(&self, config: &Config, index: usize) -> usize {
        let path = self.path(index);
        chunks_len_max(self.mtu(config, index), path.remote, path.udp.is_some())
    }

    /// The longest DATA chunk to queue, for whichever path it takes (AMDCS).
    pub(super) fn chunk_len_max(&self, config: &Config) -> u16 {
        let least = (0..self.path_count()).map(|index| self.chunks_len_max(config, index)).min();
        u16::try_from(least.unwrap_or(0)).unwrap_or(u16::MAX)
    }

    /// Bytes of chunks in the padded HEARTBEAT that a path is to be sent.
    pub(super) fn probe_len(&self, index: usize) -> Option<usize> {
        let path = self.path(index);
        let discovery = path.mtu.first().filter(|it| it.is_probing && path.probe.is_due())?;
        Some(chunks_len_max(discovery.candidate, path.remote, path.udp.is_some()))
    }
}

impl Association<'_> {
    /// Forgets what was found out about a path.
    pub(super) fn start_mtu(&mut self, config: &Config, index: usize) {
        if let Some(discovery) = self.tcb.path_mut(index).mtu.first_mut() {
            *discovery = Discovery::start(config);
        }
    }

    /// A router says that a packet to this path did not fit a link of `reported` bytes, 0 if it
    /// does not say of how many. RFC 8899 §4.6.
    pub(in crate::sctp) fn on_too_big(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        reported: u32,
    ) {
        // An old router, and most likely what it means is the largest packet.
        if reported == 0 && self.is_probing_mtu(index) {
            self.give_up_candidate(context, index);
            return;
        }
        let config = context.shared.config;
        let is_ipv6 = self.tcb.path(index).remote.is_ipv6();
        let current = self.tcb.mtu(&config, index);
        let base = config.pmtu_base(is_ipv6);
        let reported = match u16::try_from(reported).unwrap_or(u16::MAX) {
            0 if current > base => base,
            // RFC 8201 §4: no link is so small.
            small if is_ipv6 && small < MTU_MIN_IPV6 => return,
            reported => reported.max(MTU_MIN),
        };
        let raise_at = config.pmtu_raise_interval.map(|interval| context.now + interval);
        if reported < current {
            self.lower_mtu(context, index, reported, raise_at);
            self.resend(index);
            return;
        }
        let path = self.tcb.path_mut(index);
        let Some(discovery) = path.mtu.first_mut() else { return };
        if !discovery.is_probing || reported >= discovery.candidate {
            return;
        }
        discovery.ceiling = aligned(reported);
        discovery.candidate = discovery.ceiling;
        discovery.probe_count = 0;
        if discovery.candidate <= discovery.current {
            discovery.rest_until(&config, raise_at);
        }
        self.next_probe(context, index);
    }

    /// A packet with DATA and `len` bytes of chunks goes out on a path.
    pub(super) fn note_sent(&mut self, index: usize, len: usize) {
        if let Some(discovery) = self.tcb.path_mut(index).mtu.first_mut() {
            discovery.sent_len_max = discovery.sent_len_max.max(len as u16);
        }
    }

    /// T3-rtx expired: perhaps because large packets are lost on the way, and nobody says so. RFC
    /// 8899 §4.3: then the base MTU is used, and where that does not help either, after twice as
    /// many more, the least.
    pub(super) fn suspect_black_hole(&mut self, context: &mut Context<'_>, index: usize) {
        let config = context.shared.config;
        // All of it is sent again.
        let sent = self.tcb.path_mut(index).mtu.first_mut();
        let sent_len_max = sent.map_or(0, |it| core::mem::take(&mut it.sent_len_max));
        let mut count_max = config.pmtu_timeouts_max;
        if !config.discovers_pmtu() || count_max == 0 {
            return;
        }
        let to = self.smaller_mtu(&config, index);
        if to < config.pmtu_base(self.tcb.path(index).remote.is_ipv6()) {
            count_max = count_max.saturating_mul(2);
        }
        let is_large =
            u32::from(sent_len_max) > self.len_of(to, index) && self.tcb.mtu(&config, index) > to;
        let Some(discovery) = self.tcb.path_mut(index).mtu.first_mut().filter(|_| is_large) else {
            return;
        };
        discovery.timeout_count = discovery.timeout_count.saturating_add(1);
        if discovery.timeout_count >= count_max {
            self.lower_mtu(context, index, to, Some(context.now));
        }
    }

    /// What to fall back to on a path.
    fn smaller_mtu(&self, config: &Config, index: usize) -> u16 {
        let is_ipv6 = self.tcb.path(index).remote.is_ipv6();
        let base = config.pmtu_base(is_ipv6);
        match self.tcb.mtu(config, index) > base {
            true => base,
            false if is_ipv6 => MTU_MIN_IPV6,
            false => MTU_MIN,
        }
    }

    /// Bytes of chunks in a packet of `mtu` bytes on a path.
    fn len_of(&self, mtu: u16, index: usize) -> u32 {
        let path = self.tcb.path(index);
        chunks_len_max(mtu, path.remote, path.udp.is_some()) as u32
    }

    /// The MTU of a path is less than was thought. A search begins at `search_at`.
    fn lower_mtu(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        to: u16,
        search_at: Option<Instant>,
    ) {
        let config = context.shared.config;
        let Some(discovery) = self.tcb.path_mut(index).mtu.first_mut() else { return };
        let was_probing = discovery.is_probing;
        discovery.current = to;
        discovery.rest_until(&config, search_at);
        if was_probing {
            self.wait_for_probe(context, index);
        }
        self.apply_mtu(&config, index);
        // What was never sent can be cut anew; what was cannot. RFC 9260 §6.9.
        let chunk_len_max = self.tcb.chunk_len_max(&config);
        self.sender().recut(chunk_len_max);
    }

    /// Lets data transfer know the MTU of a path (PMDCS).
    fn apply_mtu(&mut self, config: &Config, index: usize) {
        let chunk_len_max = self.tcb.chunks_len_max(config, index) as u32;
        self.tcb.transfer_mut(index).set_chunk_len_max(chunk_len_max);
    }

    /// What is in flight on a path was dropped: it is sent again at once.
    pub(super) fn resend(&mut self, index: usize) {
        let mut sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        sender.resend(index as u8, &mut self.tcb.transfers[place(index)]);
        if sender.has_lost() && self.tcb.path(index).is_usable() {
            self.tcb.detour = index as u8;
        }
    }

    /// The peer answered on a path; whether a padded HEARTBEAT is due now. `acked_len` bytes of
    /// chunks were acknowledged, and with them the oldest that was in flight.
    pub(super) fn on_mtu_answer(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        acked_len: u32,
    ) -> bool {
        let flight = self.tcb.transfer(index).flight();
        let Some(discovery) = self.tcb.path_mut(index).mtu.first_mut() else { return false };
        if flight == 0 {
            discovery.sent_len_max = 0;
        }
        if discovery.timeout_count > 0 {
            let smaller = self.smaller_mtu(&context.shared.config, index);
            if acked_len > self.len_of(smaller, index) {
                self.tcb.path_mut(index).mtu.iter_mut().for_each(|it| it.timeout_count = 0);
            }
        }
        self.tcb.path(index).mtu.iter().any(|it| it.search_at.is_due(context.now))
            && self.search(context, index)
    }

    /// Tries the next size, unless the path is being probed already.
    fn search(&mut self, context: &mut Context<'_>, index: usize) -> bool {
        let config = context.shared.config;
        let is_free = matches!(self.tcb.path(index).probe, Probe::Off | Probe::Waiting { .. });
        if !is_free || !config.discovers_pmtu() || !self.tcb.state.sends_data() {
            return false;
        }
        let path = self.tcb.path_mut(index);
        let is_usable = path.is_usable();
        let Some(discovery) = path.mtu.first_mut().filter(|_| is_usable) else { return false };
        if discovery.candidate == 0 {
            discovery.ceiling = aligned(config.mtu());
            discovery.candidate = discovery.ceiling;
        }
        if discovery.candidate <= discovery.current {
            discovery.rest_until(&config, None);
            return false;
        }
        discovery.is_probing = true;
        path.probe = Probe::due(context.entropy);
        true
    }

    /// Goes on with the search, or waits for the next HEARTBEAT.
    fn next_probe(&mut self, context: &mut Context<'_>, index: usize) {
        self.wait_for_probe(context, index);
        let is_searching = self.tcb.path(index).mtu.iter().any(|it| it.candidate > 0);
        if is_searching {
            self.search(context, index);
        }
    }

    /// A HEARTBEAT was answered: if it was padded, the path takes packets of that size.
    pub(super) fn on_probe_answered(&mut self, context: &mut Context<'_>, index: usize) {
        let (config, now) = (context.shared.config, context.now);
        let path = self.tcb.path_mut(index);
        if let Some(discovery) = path.mtu.first_mut().filter(|it| it.is_probing) {
            discovery.is_probing = false;
            discovery.current = discovery.candidate;
            discovery.advance(&config, now);
            self.apply_mtu(&config, index);
        }
    }

    /// A HEARTBEAT was not answered; whether it was a padded one. Its loss says nothing about the
    /// path but its MTU. RFC 8899 §3.
    pub(super) fn on_probe_lost(&mut self, context: &mut Context<'_>, index: usize) -> bool {
        let config = context.shared.config;
        let Some(discovery) = self.tcb.path_mut(index).mtu.first_mut() else { return false };
        if !discovery.is_probing {
            return false;
        }
        discovery.is_probing = false;
        discovery.probe_count = discovery.probe_count.saturating_add(1);
        if discovery.probe_count < config.pmtu_probes_max {
            self.next_probe(context, index);
            return true;
        }
        self.give_up_candidate(context, index);
        true
    }

    /// Whether a padded HEARTBEAT is under way.
    fn is_probing_mtu(&self, index: usize) -> bool {
        let path = self.tcb.path(index);
        let is_sent = matches!(path.probe, Probe::Sent { .. });
        is_sent && path.mtu.iter().any(|discovery| discovery.is_probing)
    }

    /// The size being tried is too large.
    fn give_up_candidate(&mut self, context: &mut Context<'_>, index: usize) {
        let (config, now) = (context.shared.config, context.now);
        let Some(discovery) = self.tcb.path_mut(index).mtu.first_mut() else { return };
        discovery.is_probing = false;
        discovery.ceiling = discovery.candidate.saturating_sub(4);
        discovery.advance(&config, now);
        // Before the next size it must be known that the path is alive.
        self.probe_now(context, index);
    }

    /// The size of what goes next on a path, if that is too large for a packet of `chunks_len`
    /// bytes of chunks, and IP has to fragment it: a DATA chunk that was cut when the MTU was
    /// larger (RFC 9260 §6.9), or a cookie, which is as long as the peer made it (§5.1).
    pub(super) fn oversize(&mut self, index: usize, chunks_len: usize) -> Option<usize> {
        if self.tcb.owed.has(Owed::COOKIE_ECHO) {
            return Some((4 + usize::from(self.tcb.cookie_len)).next_multiple_of(4));
        }
        let may_send = self.tcb.state.sends_data() && self.tcb.path(index).is_confirmed;
        if !may_send || !self.wants_to_send(index) {
            return None;
        }
        let size = self.sender().next_size() as usize;
        (size > chunks_len).then_some(size)
    }
}

/// Whether a packet with `chunks_len` bytes of chunks that no path is responsible for may be
/// fragmented: it is not known what fits.
pub(in crate::sctp) fn may_fragment_reply(
    config: &Config,
    packet: &crate::sctp::types::Packet,
) -> bool {
    let headers_len = headers_len(packet.remote, packet.udp.is_some()) - CommonHeader::LEN;
    let base = config.pmtu_base(packet.remote.is_ipv6());
    !config.discovers_pmtu() || headers_len + packet.len > usize::from(base)
}
