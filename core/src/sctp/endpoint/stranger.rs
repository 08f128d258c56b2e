//! Packets that belong to no association: RFC 9260 §5.1, §8.4.

use core::net::IpAddr;

use heapless::Vec;

use super::context::{Context, Source};
use super::engine::Engine;
use super::replies::REFLECTED;
use super::table::Table;
use crate::entropy::Entropy;
use crate::sctp::association::{
    Association, PATHS_MAX, Refusal, State, StrangerInit, Tcb, listed_addresses, refuse,
};
use crate::sctp::cookie::Cookie;
use crate::sctp::packet::{Cause, Chunk, ChunkType, Chunks, CommonHeader, Init};
use crate::sctp::serial::Tsn;
use crate::sctp::storage::{Slot, Storage};
use crate::sctp::types::InputError;
use crate::time::Instant;

impl Engine {
    /// Answers a stranger, or does not. The rules are tried in the order of RFC 9260 §8.4.
    pub(super) fn on_stranger(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        source: &Source,
        header: &CommonHeader,
        chunks: Chunks<'_>,
    ) -> Result<(), InputError> {
        let mut walk = chunks;
        let first = walk.next().ok_or(InputError::Malformed)?;
        let is_alone = walk.next().is_none();
        if chunks.contain(ChunkType::ABORT) {
            return Err(InputError::OutOfTheBlue);
        }
        let ports = (header.destination_port, header.source_port);
        // RFC 9260 §8.5.1 A.
        let init = match Chunk::parse(first) {
            Chunk::Init(init) if header.tag == 0 && is_alone && init.tag != 0 => Some(init),
            _ if header.tag == 0 => return Err(InputError::OutOfTheBlue),
            // RFC 9260 §12.3.
            _ if ChunkType(first.kind) == ChunkType::INIT => return Err(InputError::OutOfTheBlue),
            _ => None,
        };
        if let Some(init) = init
            && let Some(peer) = self.peer_that_lists(storage.slots(), source, ports, &init)
        {
            return self.on_init_of_peer(now, storage, entropy, source, peer, &init);
        }
        let mut context =
            Context { now, entropy: &mut *entropy, shared: &mut self.shared, source };
        // Nobody has a cookie of ours without having answered from where it went: a flood of
        // rubbish must not keep those out.
        if ChunkType(first.kind) == ChunkType::COOKIE_ECHO {
            let cookie = context.open_cookie(first.value, ports, header.tag);
            let cookie = cookie.ok_or(InputError::OutOfTheBlue)?;
            return self.on_stranger_cookie(now, storage, entropy, source, &cookie, chunks);
        }
        if !context.may_answer_stranger() {
            return Err(InputError::OutOfTheBlue);
        }
        if let Some(init) = init {
            self.on_stranger_init(now, storage, entropy, source, ports, &init);
            return Ok(());
        }
        let route = source.route(ports.0, ports.1, header.tag);
        let is_answered_with_abort = !chunks.contain(ChunkType::SHUTDOWN_COMPLETE)
            && !chunks.contain(ChunkType::COOKIE_ACK)
            && !reports_stale_cookie(chunks);
        let answer = match chunks.contain(ChunkType::SHUTDOWN_ACK) {
            true => Some(ChunkType::SHUTDOWN_COMPLETE),
            false => is_answered_with_abort.then_some(ChunkType::ABORT),
        };
        if let Some(kind) = answer {
            self.shared.replies.push_cause(&route, kind, REFLECTED, Cause::NONE, &[]);
        }
        Err(InputError::OutOfTheBlue)
    }

    /// The association with one of the addresses that an INIT lists, and that address. RFC 9260
    /// §5.1.2.
    fn peer_that_lists(
        &self,
        slots: &[Slot],
        source: &Source,
        ports: (u16, u16),
        init: &Init<'_>,
    ) -> Option<(usize, IpAddr)> {
        // Boards know one address of a peer, and whom it is of.
        if PATHS_MAX == 1 {
            return None;
        }
        let mut different: Vec<IpAddr, LISTED_MAX> = Vec::new();
        for address in listed_addresses(init, source.remote) {
            if !different.contains(&address) && different.push(address).is_err() {
                break;
            }
        }
        self.peer_at_one_of(slots, ports, source.remote, different.into_iter())
    }

    /// The association whose peer is at one of the addresses that somebody at `remote` lists, and
    /// that address.
    fn peer_at_one_of(
        &self,
        slots: &[Slot],
        ports: (u16, u16),
        remote: IpAddr,
        mut listed: impl Iterator<Item = IpAddr>,
    ) -> Option<(usize, IpAddr)> {
        // Many machines have the same private addresses: one that is listed, and no more, proves
        // nothing. And who has addresses that are not kept may well write from one of them.
        listed.find_map(|at| {
            let is_of = |tcb: &Tcb| {
                tcb.is_confirmed_at(at) && (!tcb.has_more_addresses || tcb.is_at(remote))
            };
            Some((self.table.find_by(slots, ports, is_of)?, at))
        })
    }

    /// An INIT that does not come from where the peer is known to be. The answer to one that
    /// crosses ours goes to an address that our user named. RFC 9260 §5.2.1, §5.2.2.
    fn on_init_of_peer(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        source: &Source,
        (index, listed): (usize, IpAddr),
        init: &Init<'_>,
    ) -> Result<(), InputError> {
        let tcb = storage.slots().get(index).map(|slot| &slot.tcb);
        let has_crossed = tcb.is_some_and(|tcb| tcb.state == State::CookieWait);
        let remote = if has_crossed { listed } else { source.remote };
        let source = Source { remote, ..*source };
        let handled = self.with(now, storage, entropy, &source, index, |association, context| {
            association.on_init(context, init)
        });
        handled.unwrap_or(Err(InputError::OutOfTheBlue))
    }

    fn on_stranger_init(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        source: &Source,
        ports: (u16, u16),
        init: &Init<'_>,
    ) {
        let route = source.route(ports.0, ports.1, init.tag);
        let free = self.table.next_free(storage.slots());
        let lent = free.and_then(|index| storage.lend(index));
        let mut context = Context { now, entropy, shared: &mut self.shared, source };
        let refusal = if !context.shared.accepts(ports.0) {
            Err(Refusal { cause: Cause::NONE, info: &[] })
        } else if let Some(lent) = lent {
            let answer = StrangerInit {
                own_tag: context.random_tag(),
                own_initial_tsn: Tsn(context.entropy.next_u32()),
                ties: (0, 0),
                a_rwnd: Association::new(lent).window_to_offer(),
            };
            answer.answer(&mut context, ports, init)
        } else {
            context.shared.statistics.refused += 1;
            Err(Refusal { cause: Cause::OUT_OF_RESOURCE, info: &[] })
        };
        if let Err(refusal) = refusal {
            refuse(&mut context, &route, &refusal);
        }
    }

    fn on_stranger_cookie(
        &mut self,
        now: Instant,
        storage: &mut dyn Storage,
        entropy: &mut dyn Entropy,
        source: &Source,
        cookie: &Cookie,
        chunks: Chunks<'_>,
    ) -> Result<(), InputError> {
        let (local_port, remote_port) = (cookie.local_port, cookie.remote_port);
        let (slots, ports) = (storage.slots(), (local_port, remote_port));
        // The peer may send the cookie from another of its addresses than it sent the INIT. And
        // what the INIT listed may have become somebody's since: the tie tags tell whose it is.
        let existing = self.table.find(slots, ports, cookie.remote, 0).or_else(|| {
            let others = cookie.others.iter();
            self.peer_at_one_of(slots, ports, cookie.remote, others).map(|(index, _)| index)
        });
        if let Some(index) = existing {
            return self
                .with(now, storage, entropy, source, index, |association, context| {
                    association.on_packet(context, cookie.own_tag, chunks)
                })
                .unwrap_or(Err(InputError::OutOfTheBlue));
        }
        if self.shared.spent_tags.iter().any(|&tag| tag == cookie.own_tag) {
            return Err(InputError::OutOfTheBlue);
        }
        let mut context =
            Context { now, entropy: &mut *entropy, shared: &mut self.shared, source };
        if let Some(staleness) = cookie.staleness(now, context.shared.config.cookie_life) {
            context.report_stale_cookie(cookie, staleness);
            return Err(InputError::OutOfTheBlue);
        }
        let index =
            context.shared.accepts(local_port).then(|| self.table.take(storage.slots_mut()));
        let Some(index) = index.flatten() else {
            context.shared.statistics.refused += 1;
            // Who has the cookie may send it as often as he likes, and from anywhere.
            if context.may_answer_stranger() {
                let route = source.route(local_port, remote_port, cookie.peer_tag);
                let refusal = Refusal { cause: Cause::OUT_OF_RESOURCE, info: &[] };
                refuse(&mut context, &route, &refusal);
            }
            return Err(InputError::OutOfTheBlue);
        };
        let handled = self.with(now, storage, entropy, source, index, |association, context| {
            association.open_from_cookie(context, cookie, chunks)
        });
        if Table::is_up(storage.slots(), index) {
            self.table.hash(storage.slots_mut(), index);
        }
        handled.unwrap_or(Ok(()))
    }
}

/// How many different addresses of an INIT are looked up; an association keeps the first of them.
const LISTED_MAX: usize = 8;
const _: () = assert!(LISTED_MAX + 1 >= PATHS_MAX, "all that are kept are looked up");

fn reports_stale_cookie(chunks: Chunks<'_>) -> bool {
    chunks.into_iter().any(|raw| match Chunk::parse(raw) {
        Chunk::Error { mut causes } => {
            causes.any(|cause| Cause(cause.kind) == Cause::STALE_COOKIE)
        }
        _ => false,
    })
}
