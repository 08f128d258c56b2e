//! Ways to the peer: addresses, encapsulation, health, and which is used (RFC 9260 §5.4, §6.4,
//! §8.2, §8.3; RFC 7829 §3, §4).

use core::net::{IpAddr, Ipv4Addr};

use super::mtu::{DISCOVERIES, Discovery};
use super::{Association, Probe, Tcb};
use crate::sctp::config::Config;
use crate::sctp::endpoint::{Context, Source};
use crate::sctp::transfer::PathTransfer;
use crate::sctp::types::{Event, Handle, PathStatus, UdpPorts};
use crate::time::Span;

/// How many addresses of a peer are used. Boards use the one that they know.
pub(in crate::sctp) const PATHS_MAX: usize = crate::few(1, 4);

/// The place of a path, for which there always is one.
pub(super) const fn place(index: usize) -> usize {
    if index < PATHS_MAX { index } else { 0 }
}

/// A destination address and what is known of it, data transfer apart.
#[derive(Debug)]
pub(in crate::sctp) struct Path {
    /// Where our packets come from; unspecified until the peer wrote to us.
    pub(in crate::sctp) local: IpAddr,
    pub(in crate::sctp) remote: IpAddr,
    pub(in crate::sctp) udp: Option<UdpPorts>,
    /// Sendings in a row that were not answered.
    pub(in crate::sctp) error_count: u8,
    /// The peer is really there, so that more than probes may be sent.
    pub(in crate::sctp) is_confirmed: bool,
    pub(super) health: Health,
    pub(in crate::sctp) probe: Probe,
    /// Its MTU, where that is found out.
    pub(super) mtu: [Discovery; DISCOVERIES],
}

impl Path {
    pub(in crate::sctp) const EMPTY: Self = Self {
        local: UNSPECIFIED,
        remote: UNSPECIFIED,
        udp: None,
        error_count: 0,
        is_confirmed: false,
        health: Health::Active,
        probe: Probe::Off,
        mtu: [Discovery::EMPTY; DISCOVERIES],
    };

    /// Whether data can be sent here with hope.
    pub(super) fn is_usable(&self) -> bool {
        self.is_confirmed && self.health == Health::Active
    }

    /// Whether the user is told that the peer can be reached here.
    const fn is_reachable(&self) -> bool {
        self.is_confirmed && !matches!(self.health, Health::Inactive)
    }

    /// The less, the better for data; those that work are equal. RFC 7829 §3.2, §4.1.
    const fn rank(&self) -> (Health, u8) {
        match self.health {
            Health::Active => (Health::Active, 0),
            health => (health, self.error_count),
        }
    }
}

/// The state of a destination address (RFC 9260 §8.2, RFC 7829 §3.2), from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// As far as is known, it works.
    Active = 0,
    /// More sendings in a row than PotentiallyFailed.Max.Retrans were not answered.
    PotentiallyFailed,
    /// More than Path.Max.Retrans.
    Inactive,
}

/// The peer's further addresses, as an INIT lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sctp) struct Addresses {
    /// The first of them; unspecified where there is none.
    pub(in crate::sctp) first: [IpAddr; PATHS_MAX - 1],
    /// There are more than are kept.
    pub(in crate::sctp) has_more: bool,
}

impl Addresses {
    pub(in crate::sctp) const NONE: Self =
        Self { first: [UNSPECIFIED; PATHS_MAX - 1], has_more: false };

    /// Adds an address, if there is room.
    pub(in crate::sctp) fn add(&mut self, address: IpAddr) {
        if self.first.contains(&address) {
            return;
        }
        match self.first.iter_mut().find(|place| place.is_unspecified()) {
            Some(place) => *place = address,
            None => self.has_more = true,
        }
    }

    /// Those that there are.
    pub(in crate::sctp) fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.first.into_iter().filter(|address| !address.is_unspecified())
    }
}

const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Tcb {
    /// How many addresses of the peer are known.
    pub(super) const fn path_count(&self) -> usize {
        // Boards need not ask.
        if PATHS_MAX == 1 { 1 } else { self.path_count as usize }
    }

    pub(super) const fn path(&self, index: usize) -> &Path {
        &self.paths[place(index)]
    }

    pub(super) const fn path_mut(&mut self, index: usize) -> &mut Path {
        &mut self.paths[place(index)]
    }

    pub(super) const fn transfer(&self, index: usize) -> &PathTransfer {
        &self.transfers[place(index)]
    }

    pub(super) const fn transfer_mut(&mut self, index: usize) -> &mut PathTransfer {
        &mut self.transfers[place(index)]
    }

    /// The path that is used as long as it works.
    pub(super) const fn primary(&self) -> usize {
        place(self.primary as usize)
    }

    /// The path that new data and control chunks take.
    pub(super) const fn active(&self) -> usize {
        place(self.active as usize)
    }

    /// Whether a path is used for more than probes, however bad it may be.
    pub(super) const fn needs(&self, index: usize) -> bool {
        let index = index as u8;
        PATHS_MAX == 1 || index == self.active || index == self.detour || index == self.source
    }

    /// The path to an address of the peer.
    pub(in crate::sctp) fn path_to(&self, address: IpAddr) -> Option<usize> {
        (0..self.path_count()).find(|&index| self.path(index).remote == address)
    }

    /// Whether `is_it` is true of a path other than `index`.
    fn has_other(&self, index: usize, is_it: impl Fn(&Path) -> bool) -> bool {
        (0..self.path_count()).any(|other| other != index && is_it(self.path(other)))
    }

    /// The path for data now that `index` has failed it: the best, and of several the one that
    /// comes after it in turn. RFC 9260 §6.4.1, RFC 7829 §3.2, §4.1.
    pub(super) fn best_after(&self, index: usize) -> usize {
        let count = self.path_count();
        if PATHS_MAX == 1 {
            return index;
        }
        let in_turn = (1..=count).map(|step| (index + step) % count);
        let confirmed = in_turn.filter(|&other| self.path(other).is_confirmed);
        confirmed.min_by_key(|&other| self.path(other).rank()).unwrap_or(index)
    }

    /// Whether `address` is one of the peer's, and more than something that was listed.
    pub(in crate::sctp) fn is_confirmed_at(&self, address: IpAddr) -> bool {
        self.path_to(address).is_some_and(|index| self.path(index).is_confirmed)
    }

    /// Whether there is something that the user should know.
    pub(in crate::sctp) const fn has_events(&self) -> bool {
        !self.events.is_empty() || self.paths_changed != 0
    }

    /// What became of a path since the user was told.
    pub(in crate::sctp) fn next_path_event(&mut self, handle: Handle) -> Option<Event> {
        if PATHS_MAX == 1 || self.paths_changed == 0 {
            return None;
        }
        let index = self.paths_changed.trailing_zeros() as usize;
        self.paths_changed &= self.paths_changed - 1;
        let path = self.path(index);
        Some(Event::Path { handle, remote: path.remote, is_reachable: path.is_reachable() })
    }

    /// What the user may know of a path.
    pub(in crate::sctp) fn path_status(
        &self,
        config: &Config,
        index: usize,
    ) -> Option<PathStatus> {
        let path = (index < self.path_count()).then(|| self.path(index))?;
        let transfer = self.transfer(index);
        Some(PathStatus {
            remote: path.remote,
            is_primary: index == self.primary(),
            is_active: index == self.active(),
            is_confirmed: path.is_confirmed,
            is_reachable: path.health != Health::Inactive,
            is_potentially_failed: path.health == Health::PotentiallyFailed,
            srtt: transfer.srtt().map(Span::to_duration),
            rto: transfer.rto().to_duration(),
            mtu: self.mtu(config, index),
        })
    }
}

impl Association<'_> {
    /// Begins with one path, which is not probed yet.
    pub(super) fn start_paths(&mut self, context: &Context<'_>, first: Path) {
        self.tcb.paths[0] = first;
        self.tcb.path_count = 1;
        self.start_path(context, 0);
    }

    /// Adds a path to another address of the peer, if there is room and it is new.
    pub(super) fn learn(&mut self, context: &Context<'_>, remote: IpAddr, is_confirmed: bool) {
        let index = self.tcb.path_count();
        if self.tcb.path_to(remote).is_some() {
            return;
        }
        if index >= PATHS_MAX {
            self.tcb.has_more_addresses = true;
            return;
        }
        let udp = self.tcb.path(0).udp;
        *self.tcb.path_mut(index) = Path { remote, udp, is_confirmed, ..Path::EMPTY };
        self.tcb.path_count += 1;
        self.start_path(context, index);
    }

    /// Learns all that an INIT or INIT ACK lists.
    pub(super) fn learn_all(&mut self, context: &Context<'_>, addresses: &Addresses) {
        for address in addresses.iter() {
            self.learn(context, address, false);
        }
        self.tcb.has_more_addresses |= addresses.has_more;
    }

    /// Starts data transfer on a path afresh.
    pub(super) fn start_path(&mut self, context: &Context<'_>, index: usize) {
        let config = &context.shared.config;
        self.start_mtu(config, index);
        let chunk_len_max = self.tcb.chunks_len_max(config, index);
        let is_ipv6 = self.tcb.path(index).remote.is_ipv6();
        let transfer = self.tcb.transfer_mut(index);
        transfer.start(&context.shared.parameters, chunk_len_max as u16, is_ipv6);
    }

    /// Sends to the UDP port that the peer's packets come from. RFC 6951 §5.4.
    pub(super) fn follow(&mut self, source: &Source) {
        if let Some(index) = self.tcb.path_to(source.remote) {
            let path = self.tcb.path_mut(index);
            path.udp = source.udp;
            path.local = source.local;
        }
    }

    /// Lets the paths that nobody has confirmed be probed, one a timeout, and the others when
    /// they are idle. RFC 9260 §5.4.
    pub(super) fn start_probes(&mut self, context: &mut Context<'_>) {
        let mut wait = Span::ZERO;
        for index in 0..self.tcb.path_count() {
            if self.tcb.path(index).is_confirmed {
                self.wait_for_probe(context, index);
                continue;
            }
            self.tcb.path_mut(index).probe = Probe::waiting(context.now + wait);
            wait = Span(wait.0.saturating_add(self.tcb.transfer(index).rto().0));
        }
    }

    /// Counts an unanswered sending; whether that ended the association. One of DATA `counts`
    /// against the peer, one of a HEARTBEAT only on the path in use. RFC 9260 §8.1, §8.2.
    pub(super) fn count_error(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        counts: bool,
    ) -> bool {
        let path = self.tcb.path_mut(index);
        path.error_count = path.error_count.saturating_add(1);
        let is_confirmed = path.is_confirmed;
        self.worsen(context, index);
        // RFC 9260 §5.4: an address that nobody vouched for says nothing about the peer.
        if !is_confirmed || !counts {
            return false;
        }
        self.tcb.error_count = self.tcb.error_count.saturating_add(1);
        let is_lost = self.tcb.error_count > context.shared.config.association_retransmissions_max;
        if is_lost {
            self.lose(context);
        }
        is_lost
    }

    /// Gives a path up that surely leads nowhere, if another one may work; whether it was so.
    pub(super) fn give_up_path(&mut self, context: &mut Context<'_>, index: usize) -> bool {
        if PATHS_MAX == 1 || !self.tcb.has_other(index, Path::is_reachable) {
            return false;
        }
        let count = context.shared.config.path_retransmissions_max.saturating_add(1);
        let path = self.tcb.path_mut(index);
        path.error_count = path.error_count.max(count);
        self.worsen(context, index);
        true
    }

    /// Judges a path by its error count. RFC 9260 §8.2, RFC 7829 §3.2.
    fn worsen(&mut self, context: &mut Context<'_>, index: usize) {
        // Boards go on at the only path that there is.
        if PATHS_MAX == 1 {
            return;
        }
        let config = &context.shared.config;
        let (failed_max, path_max) =
            (config.potentially_failed_retransmissions_max, config.path_retransmissions_max);
        // An address that was only listed is no other way.
        let has_others = self.tcb.has_other(index, |other| other.is_confirmed);
        let path = self.tcb.path_mut(index);
        let health = match path.error_count {
            count if count > path_max => Health::Inactive,
            count if count > failed_max && path.is_confirmed && has_others => {
                Health::PotentiallyFailed
            }
            _ => return,
        };
        let was = core::mem::replace(&mut path.health, health);
        if health == Health::Inactive && was != health {
            self.note_path(index);
        } else if health == Health::PotentiallyFailed && path.probe.is_waiting() {
            self.probe_now(context, index);
        }
        let best = self.tcb.best_after(index) as u8;
        let tcb = &mut *self.tcb;
        for used in [&mut tcb.active, &mut tcb.detour, &mut tcb.source] {
            if usize::from(*used) == index {
                *used = best;
            }
        }
    }

    /// The peer answered on a path.
    pub(super) fn clear_errors(&mut self, index: usize) {
        self.tcb.error_count = 0;
        let path = self.tcb.path_mut(index);
        path.error_count = 0;
        if !path.is_usable() {
            self.on_path_works(index);
        }
        // The primary path is used again as soon as it works. RFC 9260 §6.4.
        if index == self.tcb.primary() || !self.tcb.path(self.tcb.active()).is_usable() {
            self.tcb.active = index as u8;
        }
    }

    /// A path works now that may have failed, or was not confirmed.
    fn on_path_works(&mut self, index: usize) {
        let path = self.tcb.path_mut(index);
        let is_news = !path.is_reachable();
        path.health = Health::Active;
        path.is_confirmed = true;
        if is_news {
            self.note_path(index);
        }
        if PATHS_MAX == 1 {
            return;
        }
        // What is under way by those that may have failed need not wait for their timers, which
        // have backed off.
        for other in 0..self.tcb.path_count() {
            if !self.tcb.path(other).is_usable() && self.tcb.transfer(other).flight() > 0 {
                self.resend(other);
            }
        }
        if !self.tcb.path(usize::from(self.tcb.detour)).is_usable() {
            self.tcb.detour = index as u8;
        }
    }

    /// The user is to be told what has become of a path.
    fn note_path(&mut self, index: usize) {
        if PATHS_MAX > 1 && self.tcb.path_count() > 1 && self.tcb.was_up {
            self.tcb.paths_changed |= 1 << place(index);
        }
    }

    /// The association is up: the user is to be told of paths that were given up before.
    pub(super) fn note_given_up(&mut self) {
        for index in 0..self.tcb.path_count() {
            if self.tcb.path(index).health == Health::Inactive {
                self.note_path(index);
            }
        }
    }

    /// The user wants another address of the peer to be used, before the peer has named any.
    pub(in crate::sctp) fn add_address(&mut self, context: &Context<'_>, remote: IpAddr) -> bool {
        let is_early = self.tcb.state == super::State::CookieWait;
        if is_early {
            self.learn(context, remote, true);
        }
        is_early && self.tcb.path_to(remote).is_some()
    }

    /// The user prefers an address of the peer. RFC 9260 §11.1.5.
    pub(in crate::sctp) fn set_primary(&mut self, remote: IpAddr) -> bool {
        let Some(index) = self.tcb.path_to(remote) else { return false };
        self.tcb.primary = index as u8;
        if self.tcb.path(index).is_usable() {
            self.tcb.active = index as u8;
        }
        true
    }
}
