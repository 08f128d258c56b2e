//! Who is there: presences, the peer list, the way into the scope. Read RFC 5353 §3.2 and §3.4
//! before editing.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::association::AssociationId;
use crate::entropy::Entropy;
use crate::handlespace::Storage;
use crate::identifier::RegistrarId;
use crate::time::Instant;
use crate::wire::enrp::{ListResponse, Presence};

use super::super::addresses::sighted;
use super::super::event::{Event, InputError, Limit};
use super::super::registrar::Registrar;
use super::super::tables::{AssociationState, Tables};
use super::Join;
use super::table::{PeerSlot, PeerState, Sync, owes};

/// How long a refused request waits before it is made again.
const REFUSAL_PAUSE: Duration = Duration::from_secs(2);

impl PeerSlot {
    /// When it moves by itself; `may_connect` says whether attempts to reach it are made.
    pub(super) fn next_deadline(&self, may_connect: bool) -> Option<Instant> {
        let mut next = match self.state {
            PeerState::Free => return None,
            // A configured peer is looked for without end.
            PeerState::Unheard if self.is_configured => None,
            _ => Some(self.deadline),
        };
        if self.sync != Sync::Idle {
            next = Instant::earliest(next, Some(self.sync_deadline));
        }
        if self.cursor.is_some() {
            next = Instant::earliest(next, Some(self.cursor_deadline));
        }
        if may_connect && self.is_to_be_connected() && self.connect_at > Instant::ZERO {
            next = Instant::earliest(next, Some(self.connect_at));
        }
        next
    }

    /// Whether an association with it is wanted and not under way.
    pub(super) fn is_to_be_connected(&self) -> bool {
        let is_there =
            matches!(self.state, PeerState::Unheard | PeerState::Active | PeerState::Suspect);
        is_there && self.link.is_none() && self.connect.is_none()
    }
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    pub(super) fn place_of(&mut self, id: RegistrarId) -> Option<usize> {
        let peers = &self.tables.lend().peers;
        // Configured peers that nobody has heard have no identifier yet.
        let is_it = |peer: &PeerSlot| peer.is_used() && peer.is_known() && peer.id == id;
        peers.iter().position(is_it)
    }

    /// Somebody says that there is a peer.
    pub(super) fn name_peer(
        &mut self,
        now: Instant,
        id: RegistrarId,
        addresses: &[IpAddr],
        port: u16,
        is_configured: bool,
    ) -> Option<usize> {
        let patience = self.config.max_time_last_heard + self.config.max_time_no_response;
        let peers = &mut self.tables.lend().peers;
        let free = peers.iter().position(|peer| !peer.is_used())?;
        let (state, deadline) = (PeerState::Unheard, now + patience);
        peers[free] = PeerSlot { state, id, is_configured, deadline, ..PeerSlot::FREE };
        peers[free].set_addresses(addresses.iter().copied(), port);
        Some(free)
    }

    /// A message has come from `sender`: it lives (RFC 5353 §3.4.3), and whoever is new is asked
    /// who it is (§3.4.1).
    pub(super) fn heard_on(
        &mut self,
        now: Instant,
        link_id: AssociationId,
        sender: RegistrarId,
    ) -> Result<usize, InputError> {
        let known = self.place_of(sender);
        let peers = &mut self.tables.lend().peers;
        let tied = peers.iter().position(|peer| peer.link == Some(link_id));
        let place = match (known, tied) {
            (Some(known), Some(tied)) if known == tied => known,
            // A configured peer says for the first time who it is.
            (None, Some(tied)) if peers[tied].id == RegistrarId::UNKNOWN => {
                peers[tied].id = sender;
                tied
            }
            (Some(known), Some(tied)) if peers[tied].id == RegistrarId::UNKNOWN => {
                self.merge_configured(known, tied);
                if let Some(first) = self.first_link_of(known)
                    && !self.replaces_first(first, link_id, sender)
                {
                    self.end_link(link_id, AssociationState::ShutdownOwed);
                    return Err(self.on_second_link(now, known, link_id));
                }
                self.tie(known, link_id);
                known
            }
            (Some(known), _) if self.first_link_of(known).is_some() => {
                return Err(self.on_second_link(now, known, link_id));
            }
            (known, tied) => {
                // A registrar that has come back under another name is another registrar.
                if let Some(tied) = tied {
                    self.tables.lend().peers[tied].link = None;
                    self.suspect(now, tied);
                }
                let place = known.or_else(|| self.admit_stranger(now, link_id, sender));
                let place = place.ok_or_else(|| self.limited(link_id, Limit::Peers))?;
                self.tie(place, link_id);
                place
            }
        };
        self.on_sign_of_peer(now, place);
        Ok(place)
    }

    /// A configured peer turns out to be one that was known under another address.
    fn merge_configured(&mut self, known: usize, configured: usize) {
        let peers = &mut self.tables.lend().peers;
        let gone = core::mem::replace(&mut peers[configured], PeerSlot::FREE);
        let peer = &mut peers[known];
        peer.is_configured |= gone.is_configured;
        (peer.addresses, peer.address_count) = (gone.addresses, gone.address_count);
        (peer.port, peer.udp_port) = (gone.port, gone.udp_port);
    }

    fn admit_stranger(
        &mut self,
        now: Instant,
        link_id: AssociationId,
        sender: RegistrarId,
    ) -> Option<usize> {
        let link = *self.link(link_id)?;
        self.name_peer(now, sender, link.addresses(), link.port, false)
    }

    /// The peer lives.
    pub(super) fn on_sign_of_peer(&mut self, now: Instant, place: usize) {
        let is_seeking = matches!(self.peering.join, Join::Seeking { .. });
        let deadline = now + self.config.max_time_last_heard;
        let peer = &mut self.tables.lend().peers[place];
        let before = core::mem::replace(&mut peer.state, PeerState::Active);
        peer.deadline = deadline;
        let (id, is_new) = (peer.id, before == PeerState::Unheard);
        if is_new {
            peer.owes |= owes::PRESENCE_QUESTION | owes::LIST_REQUEST;
        }
        if is_new || matches!(before, PeerState::Claimed | PeerState::Ceded) {
            peer.acks_missing = 0;
            self.tell(Event::PeerUp { peer: id });
        }
        // RFC 5353 §3.2.2.1: whoever was named goes before those that are only heard.
        let peers = &self.tables.lend().peers;
        if is_seeking && (peers[place].is_configured || !peers.iter().any(|it| it.is_configured)) {
            self.take_mentor(now, place);
        }
    }

    fn take_mentor(&mut self, now: Instant, mentor: usize) {
        let (until, sync_deadline) =
            (now + self.config.mentor_timeout, now + self.config.max_time_no_response);
        self.peering.join = Join::Mentored { until, mentor };
        let peer = &mut self.tables.lend().peers[mentor];
        peer.owes |= owes::PRESENCE_QUESTION | owes::LIST_REQUEST;
        (peer.sync, peer.sync_deadline) = (Sync::List, sync_deadline);
    }

    /// A mentor has answered, so it is given more time.
    pub(super) fn encourage_mentor(&mut self, now: Instant, place: usize) {
        if let Join::Mentored { mentor, .. } = self.peering.join
            && mentor == place
        {
            let until = now + self.config.mentor_timeout;
            self.peering.join = Join::Mentored { until, mentor };
        }
    }

    pub(super) fn joined(&mut self) {
        if self.peering.join != Join::Done {
            self.peering.join = Join::Done;
            // Heartbeats, and announces to elements and users, begin now.
            self.peering.heartbeat_at = self.now();
            // The presences of others were not compared until now.
            for peer in self.tables.lend().peers.iter_mut().filter(|peer| peer.is_alive()) {
                peer.owes |= owes::PRESENCE_QUESTION;
            }
            self.tell(Event::Joined);
        }
    }

    pub(super) fn on_join_deadline(&mut self, now: Instant) {
        let next = match self.peering.join {
            Join::Seeking { until } if until <= now => 0,
            Join::Mentored { until, mentor } if until <= now => {
                self.tables.lend().peers[mentor].break_off();
                mentor + 1
            }
            _ => return,
        };
        let peers = &self.tables.lend().peers;
        match (next..peers.len()).find(|&place| peers[place].is_alive()) {
            Some(mentor) => self.take_mentor(now, mentor),
            None => self.joined(),
        }
    }

    /// The mentor does not want to; it is asked again, or another one.
    pub(super) fn on_refused_by_mentor(&mut self, now: Instant, place: usize) {
        self.tables.lend().peers[place].sync_deadline = now + REFUSAL_PAUSE;
    }

    pub(super) fn on_presence(&mut self, now: Instant, place: usize, presence: &Presence<'_>) {
        if presence.reply_required {
            self.tables.lend().peers[place].owes |= owes::PRESENCE;
        }
        // RFC 5353 §3.6.1.
        let sum = self.handlespace.checksum(presence.sender);
        let is_same = presence.checksum.is_none_or(|theirs| theirs.0 == sum);
        let knows_any = self.handlespace.count_of(presence.sender) > 0;
        let peer = &mut self.tables.lend().peers[place];
        if peer.sync != Sync::Idle || self.peering.join != Join::Done {
            return;
        }
        // A renewed registration changes no checksum, but when the element's life ends.
        let is_stale = core::mem::take(&mut peer.is_stale) && knows_any;
        if !is_same || is_stale {
            self.counters.audits_failed += u64::from(!is_same);
            self.start_sync(now, place, Sync::Own);
        }
    }

    /// What comes by multicast proves that the sender lives, but not which elements it owns: the
    /// changes before it may be on their way.
    pub(super) fn on_multicast_presence(
        &mut self,
        now: Instant,
        source: SocketAddr,
        presence: &Presence<'_>,
    ) -> Result<(), InputError> {
        if presence.sender == RegistrarId::UNKNOWN {
            return Err(InputError::Unexpected);
        }
        if let Some(place) = self.place_of(presence.sender) {
            // To be heard the first time takes an association.
            if self.tables.lend().peers[place].state != PeerState::Unheard {
                self.on_sign_of_peer(now, place);
            }
            return Ok(());
        }
        let server = presence.server.ok_or(InputError::Unexpected)?;
        let port = server.transport.port();
        if port == 0 {
            return Err(InputError::Unexpected);
        }
        let addresses = sighted(source.ip(), server.transport.addresses());
        match self.name_peer(now, presence.sender, &addresses, port, false) {
            Some(_) => Ok(()),
            None => {
                self.counters.limited += 1;
                Err(InputError::Limited(Limit::Peers))
            }
        }
    }

    pub(super) fn on_list_request(&mut self, place: usize) {
        self.tables.lend().peers[place].owes |= match self.peering.join {
            Join::Done => owes::LIST,
            // RFC 5353 §3.2.2.2: who is not in cannot say who is.
            _ => owes::LIST_REFUSAL,
        };
    }

    pub(super) fn on_list_response(
        &mut self,
        now: Instant,
        place: usize,
        list: &ListResponse<'_>,
    ) {
        let is_awaited = self.tables.lend().peers[place].sync == Sync::List;
        if list.rejected {
            if is_awaited {
                self.on_refused_by_mentor(now, place);
            }
            return;
        }
        self.encourage_mentor(now, place);
        if is_awaited {
            // RFC 5353 §3.2.3: first who is there, then what there is.
            self.start_sync(now, place, Sync::All);
        }
        for server in list.servers {
            let transport = server.transport;
            let is_known = server.id == self.identifier
                || server.id == RegistrarId::UNKNOWN
                || self.place_of(server.id).is_some();
            if is_known || transport.port() == 0 {
                continue;
            }
            let addresses: heapless::Vec<IpAddr, { crate::association::ADDRESSES_MAX }> =
                transport.addresses().take(crate::association::ADDRESSES_MAX).collect();
            // A configured peer that has not said yet who it is may be this one.
            let is_there = |peer: &PeerSlot| {
                peer.is_used()
                    && peer.id == RegistrarId::UNKNOWN
                    && peer.is_at(&addresses, transport.port())
            };
            if self.tables.lend().peers.iter().any(is_there) {
                continue;
            }
            let port = transport.port();
            if self.name_peer(now, server.id, &addresses, port, false).is_none() {
                self.counters.limited += 1;
                return;
            }
        }
    }

    /// RFC 5353 §3.4.2, and RSPLIB's habit of varying the interval by an eighth.
    pub(super) fn on_heartbeat(&mut self, now: Instant) {
        let cycle = self.config.peer_heartbeat_cycle;
        let micros = u64::try_from(cycle.as_micros()).unwrap_or(u64::MAX).max(8);
        let jitter = self.entropy.below(micros / 4 + 1);
        self.peering.heartbeat_at = now + Duration::from_micros(micros - micros / 8 + jitter);
        if self.peering.join == Join::Done {
            self.peering.is_multicast_owed = true;
        }
        for peer in self.tables.lend().peers.iter_mut().filter(|peer| peer.is_used()) {
            if peer.link.is_some() {
                peer.owes |= owes::PRESENCE;
            }
        }
    }

    /// Says to all that we live.
    pub(super) fn insist(&mut self) {
        self.peering.is_multicast_owed = true;
        for peer in self.tables.lend().peers.iter_mut().filter(|peer| peer.is_used()) {
            peer.owes |= owes::PRESENCE;
        }
    }

    /// RFC 5353 §3.4.3: who is silent is asked.
    pub(super) fn suspect(&mut self, now: Instant, place: usize) {
        let deadline = now + self.config.max_time_no_response;
        let peer = &mut self.tables.lend().peers[place];
        if peer.state == PeerState::Active {
            (peer.state, peer.deadline) = (PeerState::Suspect, deadline);
            peer.owes |= owes::PRESENCE_QUESTION;
            peer.connect_at = peer.connect_at.max(now);
        }
    }

    pub(super) fn on_peer_deadline(&mut self, now: Instant, place: usize) {
        let peer = &mut self.tables.lend().peers[place];
        if peer.cursor.is_some() && peer.cursor_deadline <= now {
            peer.cursor = None;
        }
        if peer.sync != Sync::Idle && peer.sync_deadline <= now {
            match self.peering.join {
                Join::Mentored { mentor, .. } if mentor == place => {
                    let sync_deadline = now + self.config.max_time_no_response;
                    peer.sync_deadline = sync_deadline;
                    peer.owes |= match peer.sync {
                        Sync::List => owes::LIST_REQUEST,
                        _ => owes::TABLE_REQUEST,
                    };
                }
                _ => peer.break_off(),
            }
        }
        let peer = &self.tables.lend().peers[place];
        if peer.deadline > now {
            return;
        }
        let (state, is_configured) = (peer.state, peer.is_configured);
        let is_linked = peer.link.is_some();
        match state {
            PeerState::Free => {}
            PeerState::Unheard if is_configured => {}
            PeerState::Active => self.suspect(now, place),
            // Nothing has come of its takeover, and it was not asked whether it lives.
            PeerState::Ceded if is_linked => {
                self.tables.lend().peers[place].state = PeerState::Active;
                self.suspect(now, place);
            }
            PeerState::Unheard | PeerState::Suspect if self.asks_second(now, place) => {}
            // Who was never heard may own what the mentor knew of.
            PeerState::Unheard | PeerState::Suspect | PeerState::Ceded => {
                self.on_peer_dead(now, place);
            }
            PeerState::Claimed => self.take_over(now, place),
        }
    }

    /// Forgets a peer; a configured one may come back.
    pub(super) fn drop_peer(&mut self, place: usize) {
        let peer = &mut self.tables.lend().peers[place];
        let gone = *peer;
        *peer = if gone.is_configured {
            PeerSlot {
                state: PeerState::Unheard,
                id: RegistrarId::UNKNOWN,
                owes: 0,
                sync: Sync::Idle,
                cursor: None,
                link: None,
                acks_missing: 0,
                acks_owed: 0,
                ack_owed: RegistrarId::UNKNOWN,
                ..gone
            }
        } else {
            PeerSlot::FREE
        };
        let bit = 1_u64 << place;
        for peer in self.tables.lend().peers.iter_mut() {
            peer.acks_missing &= !bit;
            peer.acks_owed &= !bit;
        }
        if let Some(link) = gone.link {
            self.end_link(link, AssociationState::AbortOwed);
        }
        if let Join::Mentored { until, mentor } = self.peering.join
            && mentor == place
        {
            self.peering.join = Join::Seeking { until };
        }
        if gone.state != PeerState::Unheard {
            self.tell(Event::PeerDown { peer: gone.id });
        }
    }
}
