//! Keep-alives, probes, unreachable reports and expiry: how elements are watched over. Read
//! RFC 5352 §3.4 and §3.5, and RFC 5355 §2.13 and §2.14 before editing.
//!
//! An element has one deadline, and what it stands for follows from the element's flags:
//!
//! ```text
//!              interval +-50 %            answered
//!   KEEP_ALIVE ---------------> AWAITING ----------> KEEP_ALIVE
//!       |   ^                    |    ^                  (a probe: by way of HOLD,
//!       |   | probe_interval_min |    | report            which lasts probe_interval_min)
//!       |  HOLD <----------------+    |
//!       +-----------------------------+
//!   AWAITING --keep_alive_timeout--> association aborted, its elements removed
//!   any --end of the registration life--> removed; a peer's element, if the peer does not name it
//! ```

use core::time::Duration;

use crate::association::{AssociationId, Ppid, StreamId, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::{DeadlineKind, ElementIndex, Storage};
use crate::identifier::{PeId, PoolHandle};
use crate::time::Instant;
use crate::wire::RegistrationLife;
use crate::wire::asap::EndpointKeepAlive;

use super::addresses;
use super::event::{InputError, Limit, RemovalReason};
use super::registrar::Registrar;
use super::tables::{HandleBytes, ReplyKind, ReplySlot, ReportSlot, Tables};

/// The registrar's flags of an element.
pub(super) mod flag {
    /// A keep-alive was sent and has not been answered.
    pub(in super::super) const AWAITING: u8 = 1;
    /// That keep-alive is the probe that an unreachable report demands.
    pub(in super::super) const PROBE: u8 = 2;
    /// A probe was answered a moment ago.
    pub(in super::super) const HOLD: u8 = 4;
    /// A report came during the hold.
    pub(in super::super) const REPORTED: u8 = 8;
    /// Another association wants the element's identifier.
    pub(in super::super) const CHALLENGED: u8 = 16;

    /// The keep-alive asks the element to take us as its home.
    pub(in super::super) const HOME: u8 = 32;
    /// We want to be the element's home, and it has not said yes yet.
    pub(in super::super) const ADOPTED: u8 = 64;
    /// Its registration seems to have ended, and its home was asked for its table.
    pub(in super::super) const DOUBTED: u8 = 128;

    /// What a sign of life ends.
    pub(in super::super) const WATCH: u8 = AWAITING | PROBE | HOLD | REPORTED;
}

/// The one thing that an element can owe: a keep-alive.
const OWES_KEEP_ALIVE: u8 = 1;

/// What an element's deadline stands for.
const KEEP_ALIVE: DeadlineKind = DeadlineKind(0);
pub(super) const KEEP_ALIVE_TIMEOUT: DeadlineKind = DeadlineKind(1);
const HOLD_OVER: DeadlineKind = DeadlineKind(2);
const EXPIRY: DeadlineKind = DeadlineKind(3);
pub(super) const ADOPTION: DeadlineKind = DeadlineKind(4);

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// Notes when the registration ends, if this registrar's elements expire.
    pub(super) fn note_expiry(
        &mut self,
        now: Instant,
        index: ElementIndex,
        life: RegistrationLife,
    ) {
        if self.config.expire_own_elements {
            self.note_end(now, index, life);
        } else {
            self.handlespace.scratch_mut(index).expires_s = 0;
        }
    }

    /// Notes when the registration ends. Those of peers always do, unless they are renewed.
    pub(super) fn note_end(&mut self, now: Instant, index: ElementIndex, life: RegistrationLife) {
        let end = now + self.config.registration_life(life.0);
        let scratch = self.handlespace.scratch_mut(index);
        scratch.flags &= !flag::DOUBTED;
        scratch.expires_s = match life {
            RegistrationLife::INFINITE => 0,
            _ => in_seconds(end),
        };
    }

    /// An element whose registration seems to have ended has a moment left.
    pub(super) fn doubt(&mut self, now: Instant, index: ElementIndex, patience: Duration) {
        let scratch = self.handlespace.scratch_mut(index);
        scratch.flags |= flag::DOUBTED;
        scratch.expires_s = in_seconds(now + patience);
        self.wait_for_end(index);
    }

    /// Waits for nothing but the end of the registration.
    pub(super) fn wait_for_end(&mut self, index: ElementIndex) {
        self.set_deadline(index, None, EXPIRY);
    }

    /// The element is on no association any more, and only waits for its end.
    pub(super) fn detach(&mut self, index: ElementIndex) {
        let association = self.handlespace.element(index).association();
        self.handlespace.scratch_mut(index).flags &= !flag::WATCH;
        self.handlespace.set_association(index, None);
        self.count_element_of(association, -1);
        self.wait_for_end(index);
    }

    /// Sets the element's deadline, or the end of its registration if that comes first.
    pub(super) fn set_deadline(
        &mut self,
        index: ElementIndex,
        at: Option<Instant>,
        kind: DeadlineKind,
    ) {
        let expires_s = self.handlespace.element(index).scratch().expires_s;
        let expiry = (expires_s != 0)
            .then(|| Instant::from_micros(u64::from(expires_s).saturating_mul(1_000_000)));
        match (at, expiry) {
            (Some(at), Some(expiry)) if expiry <= at => {
                self.handlespace.set_deadline(index, expiry, EXPIRY);
            }
            (Some(at), _) => self.handlespace.set_deadline(index, at, kind),
            (None, Some(expiry)) => self.handlespace.set_deadline(index, expiry, EXPIRY),
            (None, None) => self.handlespace.clear_deadline(index),
        }
    }

    /// Starts the wait for the next periodic keep-alive: half to one and a half of the interval
    /// (RFC 5352 §3.5), so that elements that came together do not stay together.
    pub(super) fn start_keep_alive(&mut self, now: Instant, index: ElementIndex) {
        self.handlespace.scratch_mut(index).flags &= !flag::WATCH;
        let interval = self.config.keep_alive_interval;
        let at = (!interval.is_zero()).then(|| {
            let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
            let jitter = self.entropy.below(micros.saturating_add(1));
            now + interval / 2 + Duration::from_micros(jitter)
        });
        self.set_deadline(index, at, KEEP_ALIVE);
    }

    /// Sends a keep-alive at once and waits for the answer.
    pub(super) fn send_keep_alive(&mut self, now: Instant, index: ElementIndex, flags: u8) {
        let scratch = self.handlespace.scratch_mut(index);
        scratch.flags = (scratch.flags & !flag::WATCH) | flag::AWAITING | flags;
        self.handlespace.owe(index, OWES_KEEP_ALIVE);
        let at = now + self.config.keep_alive_timeout;
        self.set_deadline(index, Some(at), KEEP_ALIVE_TIMEOUT);
    }

    /// The next keep-alive to send, if any is owed.
    pub(super) fn next_keep_alive(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        // Each round takes one element off the queue.
        while let Some((index, _)) = self.handlespace.next_owing() {
            let view = self.handlespace.element(index);
            // A sign of life may have come since.
            let is_awaiting = view.scratch().flags & flag::AWAITING != 0;
            let Some(association) = view.association().filter(|_| is_awaiting) else {
                continue;
            };
            let is_home_wanted = view.scratch().flags & flag::HOME != 0;
            let (us, pool) = (self.identifier, view.pool());
            let message = EndpointKeepAlive::new(is_home_wanted, us, pool, view.pe_id());
            let emitted = message.emit(buf);
            if self.up(association).is_none() {
                continue;
            }
            let Ok(len) = emitted else {
                self.counters.unsendable += 1;
                continue;
            };
            self.counters.keep_alives += 1;
            let (stream, ppid) = (StreamId(0), Ppid::ASAP);
            return Some(Transmit::Message { association, stream, ppid, len });
        }
        None
    }

    pub(super) fn on_keep_alive_ack(
        &mut self,
        now: Instant,
        id: AssociationId,
        pool: PoolHandle<'_>,
        pe_id: PeId,
    ) -> Result<(), InputError> {
        let Some(index) = self.handlespace.find(pool, pe_id) else {
            return Ok(());
        };
        let view = self.handlespace.element(index);
        let flags = view.scratch().flags;
        // Only the element itself can say that it lives.
        if view.association() != Some(id) || flags & flag::AWAITING == 0 {
            return Ok(());
        }
        self.counters.keep_alive_acks += 1;
        self.on_sign_of_life(index);
        if flags & flag::HOME != 0 {
            self.adopted(now, index);
        }
        if flags & flag::PROBE != 0 && !self.config.probe_interval_min.is_zero() {
            let scratch = self.handlespace.scratch_mut(index);
            scratch.flags = (scratch.flags & !flag::WATCH) | flag::HOLD;
            let at = now + self.config.probe_interval_min;
            self.set_deadline(index, Some(at), HOLD_OVER);
        } else {
            self.start_keep_alive(now, index);
        }
        Ok(())
    }

    pub(super) fn on_endpoint_unreachable(
        &mut self,
        now: Instant,
        id: AssociationId,
        pool: PoolHandle<'_>,
        pe_id: PeId,
    ) -> Result<(), InputError> {
        let limit = self.config.unreachable_rate;
        let slot = self.up(id).ok_or(InputError::UnknownAssociation)?;
        let reporter = addresses::reporter(slot.addresses());
        if !slot.unreachables.admit(now, limit) {
            return Err(self.limited(id, Limit::UnreachableRate));
        }
        let Some(index) = self.handlespace.find(pool, pe_id) else {
            return Ok(());
        };
        self.counters.unreachable_reports += 1;
        let counted = self.count_report(index, reporter);
        // RFC 5352 §3.5: remove when the count exceeds MAX-BAD-PE-REPORT.
        let max = self.config.max_bad_pe_reports;
        if max != u8::MAX && self.handlespace.element(index).scratch().bad_reports > max {
            self.remove_element(now, index, RemovalReason::BadReports);
            return Ok(());
        }
        // Who is not its home cannot reach it.
        let view = self.handlespace.element(index);
        if view.home() == self.identifier && view.scratch().flags & flag::ADOPTED == 0 {
            self.probe(now, index);
        }
        match counted {
            true => Ok(()),
            false => Err(self.limited(id, Limit::Reports)),
        }
    }

    /// RFC 5352 §3.5: a report demands a keep-alive at once. One that is under way will do, and
    /// after an answered one a moment passes, so that reports cannot flood the element.
    pub(super) fn probe(&mut self, now: Instant, index: ElementIndex) {
        let scratch = self.handlespace.scratch_mut(index);
        if scratch.flags & flag::AWAITING != 0 {
            scratch.flags |= flag::PROBE;
        } else if scratch.flags & flag::HOLD != 0 {
            scratch.flags |= flag::REPORTED;
        } else {
            self.send_keep_alive(now, index, flag::PROBE);
        }
    }

    /// Counts a report unless the same reporter has reported the same element already. Returns
    /// false if it should have counted but cannot be remembered.
    fn count_report(&mut self, index: ElementIndex, reporter: u64) -> bool {
        let mut of_reporter = 0;
        let mut free = None;
        for (place, slot) in self.tables.lend().reports.iter().enumerate() {
            match slot.element {
                None => free = free.or(Some(place)),
                Some(element) if slot.reporter == reporter => {
                    if element == index {
                        return true;
                    }
                    of_reporter += 1;
                }
                Some(_) => {}
            }
        }
        let Some(place) = free.filter(|_| of_reporter < self.config.reports_per_reporter_max)
        else {
            return false;
        };
        self.tables.lend().reports[place] = ReportSlot { element: Some(index), reporter };
        let scratch = self.handlespace.scratch_mut(index);
        scratch.bad_reports = scratch.bad_reports.saturating_add(1);
        true
    }

    /// The element has registered again, or is going: what was reported counts no more.
    pub(super) fn forget_reports_about(&mut self, index: ElementIndex) {
        let scratch = self.handlespace.scratch_mut(index);
        if core::mem::take(&mut scratch.bad_reports) == 0 {
            return;
        }
        for slot in self.tables.lend().reports.iter_mut() {
            if slot.element == Some(index) {
                *slot = ReportSlot::FREE;
            }
        }
    }

    /// Does what is due of all elements. It stops early where replies wait to be drained; the
    /// deadlines that are left make it be called again.
    pub(super) fn on_element_deadlines(&mut self, now: Instant) {
        // Each round removes an element or moves its deadline behind `now`; the exception is a
        // time-out of zero, which removes the element in the next round.
        while self.has_reply_room(1) {
            let Some((index, kind)) = self.handlespace.pop_deadline(now) else {
                return;
            };
            match kind {
                KEEP_ALIVE => self.send_keep_alive(now, index, 0),
                KEEP_ALIVE_TIMEOUT => self.on_keep_alive_timeout(now, index),
                HOLD_OVER => self.on_hold_over(now, index),
                ADOPTION => self.on_adoption_due(now, index),
                _ => self.on_expiry(now, index),
            }
        }
    }

    fn on_keep_alive_timeout(&mut self, now: Instant, index: ElementIndex) {
        self.counters.keep_alive_timeouts += 1;
        let view = self.handlespace.element(index);
        let association = view.association();
        if view.scratch().flags & flag::ADOPTED != 0 {
            self.give_up_adoption(now, index);
            return;
        }
        let reason = match view.scratch().flags & flag::PROBE {
            0 => RemovalReason::KeepAliveTimeout,
            _ => RemovalReason::Unreachable,
        };
        self.remove_element(now, index, reason);
        if let Some(association) = association {
            self.abort(now, association, RemovalReason::AssociationAborted);
        }
    }

    fn on_hold_over(&mut self, now: Instant, index: ElementIndex) {
        if self.handlespace.element(index).scratch().flags & flag::REPORTED != 0 {
            self.send_keep_alive(now, index, flag::PROBE);
        } else {
            self.start_keep_alive(now, index);
        }
    }

    /// RFC 5352 §3.2: an element whose registration ends is told so.
    fn on_expiry(&mut self, now: Instant, index: ElementIndex) {
        if self.asks_home(now, index) {
            return;
        }
        let view = self.handlespace.element(index);
        let (pool, pe_id) = (HandleBytes::new(view.pool()), view.pe_id());
        let association = view.association();
        self.remove_element(now, index, RemovalReason::Expired);
        if let Some(id) = association
            && self.up(id).is_some()
        {
            self.reply(ReplySlot::about(ReplyKind::Deregistered, id, pool, pe_id));
        }
    }
}

/// A time as elements keep it: in whole seconds, and not before it.
fn in_seconds(at: Instant) -> u32 {
    u32::try_from(at.as_micros().div_ceil(1_000_000)).unwrap_or(0)
}
