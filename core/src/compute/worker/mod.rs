//! The pool element's side of the work-package protocol.
//!
//! Driven like every machine (see [`machine`](crate::machine)), with one addition: between
//! inputs the driver calls [`Worker::run`] with a budget, as long as that says that there is
//! more to compute. Output is not stored beyond a small buffer per package; when the driver
//! stops pulling, the kernels stop.
//!
//! What is owed stands in the slot or the user that owes it, and is encoded when it is pulled.
//! The one list is that of refusals: bounded, and when it is full a refusal is dropped, which
//! costs the runner its wait for an Accept.

mod report;
mod slot;
mod transmit;

use core::time::Duration;

use heapless::{Deque, Vec};

pub use self::report::{Event, LoadFraction, Stop, WorkerConfig, WorkerError, WorkerStatistics};
use self::slot::{Owed, Phase, Slot};
use super::cookie::{COOKIE_MESSAGE_LEN_MAX, Checkpoint, Control};
use super::kernel::{Budget, KernelError, KernelSet};
use super::protocol::{
    CHUNK_OVERHEAD, FailReason, KernelId, OutputDigest, PLAIN_LEN_MAX, RejectReason,
    RunnerMessage, WorkId,
};
use crate::asap::cookie::CookieKey;
use crate::association::{AssociationId, Input, Ppid, Transmit};
use crate::machine::Machine;
use crate::time::Instant;

/// The least budget of a slice, and the most that a kernel may take from it at once.
pub const BUDGET_MIN: u32 = 1_024;

/// Refusals that are kept for a user who does not pull them.
const REFUSALS_MAX: usize = crate::few(4, 8);
/// Users beyond the table that are sent away at the same time.
const SURPLUS_MAX: usize = 4;
/// Events that are kept for a driver that does not pull them.
const EVENTS_MAX: usize = crate::few(4, 16);

/// Whether it takes packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Open,
    Stopping,
    Stopped,
}

#[derive(Debug)]
struct User {
    association: AssociationId,
    owes_hello: bool,
    owes_pong: Option<u32>,
    refusals: Vec<(WorkId, RejectReason), REFUSALS_MAX>,
    /// When its packages are to show signs of life, if it has any.
    alive_due: Option<Instant>,
}

/// A worker: `SLOTS` packages in work for up to `USERS` job runners, each package with a buffer
/// of `OUTPUT` bytes.
///
/// # Panics
///
/// [`Worker::new`] does not compile for less than one slot, one user or 64 bytes of output.
#[derive(Debug)]
pub struct Worker<K, const SLOTS: usize, const USERS: usize, const OUTPUT: usize> {
    config: WorkerConfig,
    key: CookieKey,
    service: Service,
    users: [Option<User>; USERS],
    slots: [Option<Slot<K, OUTPUT>>; SLOTS],
    surplus: Vec<AssociationId, SURPLUS_MAX>,
    sequence: u64,
    /// The user who was computed for last, and the slot that spoke last.
    turn: usize,
    transmit_turn: usize,
    load_told: LoadFraction,
    events: Deque<Event, EVENTS_MAX>,
    statistics: WorkerStatistics,
}

impl<K: KernelSet, const SLOTS: usize, const USERS: usize, const OUTPUT: usize>
    Worker<K, SLOTS, USERS, OUTPUT>
{
    /// The buffer that [`Machine::poll_transmit`] needs.
    pub const TRANSMIT_LEN_MAX: usize = {
        let mut len = OUTPUT + CHUNK_OVERHEAD;
        if len < COOKIE_MESSAGE_LEN_MAX {
            len = COOKIE_MESSAGE_LEN_MAX;
        }
        if len < PLAIN_LEN_MAX {
            len = PLAIN_LEN_MAX;
        }
        len
    };

    /// A worker that holds nothing. Its cookies are sealed with `key`.
    #[must_use]
    pub const fn new(config: WorkerConfig, key: CookieKey) -> Self {
        const {
            assert!(SLOTS >= 1 && SLOTS <= u16::MAX as usize);
            assert!(USERS >= 1 && OUTPUT >= 64 && OUTPUT <= u16::MAX as usize);
        }
        Self {
            config,
            key,
            service: Service::Open,
            users: [const { None }; USERS],
            slots: [const { None }; SLOTS],
            surplus: Vec::new(),
            sequence: 0,
            turn: 0,
            transmit_turn: 0,
            load_told: LoadFraction(0),
            events: Deque::new(),
            statistics: WorkerStatistics {
                accepted: 0,
                resumed: 0,
                rejected: 0,
                finished: 0,
                failed: 0,
                released: 0,
                cookies: 0,
                output_len: 0,
                events_lost: 0,
            },
        }
    }

    /// Computes one slice of about `units` turns of an innermost loop, at least [`BUDGET_MIN`].
    /// True if there is more to compute now; false until the next input or pulled message.
    ///
    /// Users take turns; of a user's packages the oldest comes first.
    pub fn run(&mut self, units: u32) -> bool {
        let mut budget = Budget::new(units.max(BUDGET_MIN));
        for _ in 0..SLOTS {
            let Some(slot) = self.next_runnable() else { return false };
            slot.step(&mut budget);
            if budget.left() < BUDGET_MIN {
                break;
            }
        }
        self.slots.iter().flatten().any(|slot| slot.phase == Phase::Running)
    }

    /// The share of slots in use.
    #[must_use]
    pub fn load(&self) -> LoadFraction {
        let used = self.slots.iter().flatten().count() as u64;
        LoadFraction((used * u64::from(u32::MAX) / self.slot_count() as u64) as u32)
    }

    /// How many slots it uses.
    fn slot_count(&self) -> usize {
        usize::from(self.config.slot_count).clamp(1, SLOTS)
    }

    /// How many packages it holds.
    #[must_use]
    pub fn held_count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// What it has done.
    #[must_use]
    pub fn statistics(&self) -> &WorkerStatistics {
        &self.statistics
    }

    /// Takes nothing new from now on; [`Event::Stopped`] follows when nothing is held any more.
    pub fn stop(&mut self, how: Stop) {
        if self.service == Service::Open {
            self.service = Service::Stopping;
        }
        if how == Stop::HandOn {
            for slot in self.slots.iter_mut().flatten() {
                if matches!(slot.phase, Phase::Running | Phase::Blocked) {
                    slot.phase = Phase::HandedOn;
                    slot.owed.cookie = slot.computation.progress().done > 0;
                }
            }
        }
    }

    /// Takes packages again after [`Worker::stop`]; those that are being given back still are.
    pub fn reopen(&mut self) {
        self.service = Service::Open;
    }

    /// Whether it computes with `kernel`.
    fn offers(&self, kernel: KernelId) -> bool {
        let index = K::IDS.iter().position(|&id| id == kernel);
        let bit = index.and_then(|index| u32::try_from(index).ok());
        bit.and_then(|bit| 1_u32.checked_shl(bit))
            .is_some_and(|bit| self.config.kernels & bit != 0)
    }

    /// The oldest package of the next user who has one that can be computed.
    fn next_runnable(&mut self) -> Option<&mut Slot<K, OUTPUT>> {
        for ahead in 1..=USERS {
            let place = (self.turn + ahead) % USERS;
            let Some(user) = &self.users[place] else { continue };
            let user = user.association;
            let oldest = |(index, slot): (usize, &Option<Slot<K, OUTPUT>>)| {
                let slot = slot.as_ref()?;
                let runs = slot.user == user && slot.phase == Phase::Running;
                runs.then_some((slot.sequence, index))
            };
            if let Some((_, index)) = self.slots.iter().enumerate().filter_map(oldest).min() {
                self.turn = place;
                return self.slots[index].as_mut();
            }
        }
        None
    }

    fn user(&mut self, association: AssociationId) -> Option<&mut User> {
        self.users.iter_mut().flatten().find(|user| user.association == association)
    }

    fn on_up(&mut self, association: AssociationId) -> Result<(), WorkerError> {
        // Up again without an end between: whoever it is knows nothing of what was before.
        let _ = self.on_down(association);
        let Some(place) = self.users.iter_mut().find(|place| place.is_none()) else {
            let _ = self.surplus.push(association);
            return Err(WorkerError::TooManyUsers);
        };
        *place = Some(User {
            association,
            owes_hello: true,
            owes_pong: None,
            refusals: Vec::new(),
            alive_due: None,
        });
        Ok(())
    }

    fn on_down(&mut self, association: AssociationId) -> Result<(), WorkerError> {
        self.surplus.retain(|&surplus| surplus != association);
        let theirs = |user: &User| user.association == association;
        let place = self.users.iter_mut().find(|place| place.as_ref().is_some_and(theirs));
        *place.ok_or(WorkerError::UnknownUser)? = None;
        self.release(|slot| slot.user == association);
        Ok(())
    }

    fn on_restarted(&mut self, association: AssociationId) -> Result<(), WorkerError> {
        self.user(association).ok_or(WorkerError::UnknownUser)?;
        self.on_up(association)
    }

    fn on_work_message(
        &mut self,
        now: Instant,
        association: AssociationId,
        data: &[u8],
    ) -> Result<(), WorkerError> {
        match RunnerMessage::decode(data).map_err(WorkerError::Decode)? {
            RunnerMessage::Package { work, kernel, deadline_ms, parameters } => {
                let start = match self.offers(kernel) {
                    true => K::start(kernel, parameters),
                    false => Err(KernelError::Unknown),
                };
                let origin = Origin { work, kernel, deadline_ms, parameters, offset: 0 };
                let reason = match start {
                    Err(KernelError::Unknown) => Err(RejectReason::UnknownKernel),
                    Err(_) => Err(RejectReason::BadParameters),
                    Ok(start) => self.take(now, association, origin, OutputDigest::EMPTY, start),
                };
                self.answer(association, work, kernel, false, reason);
            }
            RunnerMessage::Cancel { work } => {
                self.release(|slot| slot.user == association && slot.work == work);
            }
            RunnerMessage::Ping { token } => {
                if let Some(user) = self.user(association) {
                    user.owes_pong = Some(token);
                }
            }
            RunnerMessage::Bye => self.release(|slot| slot.user == association),
        }
        Ok(())
    }

    fn on_control_message(
        &mut self,
        now: Instant,
        association: AssociationId,
        data: &[u8],
    ) -> Result<(), WorkerError> {
        let cookie = match Control::parse(data) {
            Some(Control::CookieEcho(cookie)) => cookie,
            Some(_) => return Ok(()),
            None => return Err(WorkerError::Control),
        };
        let named = Checkpoint::peek(cookie).ok_or(WorkerError::Control)?;
        let (work, kernel) = (named.work, named.kernel);
        let pool = self.config.pool;
        let checkpoint = Checkpoint::open(&self.key, pool.as_handle(), cookie);
        let taken = match checkpoint.ok_or(RejectReason::BadCookie) {
            Ok(checkpoint) => self.resume(now, association, &checkpoint),
            Err(reason) => Err(reason),
        };
        self.answer(association, work, kernel, true, taken);
        Ok(())
    }

    /// Continues from a checkpoint if the kernel confirms all that it says.
    fn resume(
        &mut self,
        now: Instant,
        association: AssociationId,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<(), RejectReason> {
        let &Checkpoint { work, kernel, deadline_ms, offset, total, digest, .. } = checkpoint;
        let parameters = checkpoint.parameters;
        let resumed = match self.offers(kernel) {
            true => K::resume(kernel, parameters, checkpoint.state),
            false => Err(KernelError::Unknown),
        };
        let computation = match resumed {
            Err(KernelError::Unknown) => return Err(RejectReason::UnknownKernel),
            Err(_) => return Err(RejectReason::BadCookie),
            Ok(computation) => computation,
        };
        let fits = computation.emitted_len() == offset
            && computation.output_len() == total
            && computation.progress() == checkpoint.progress();
        if !fits {
            return Err(RejectReason::BadCookie);
        }
        let origin = Origin { work, kernel, deadline_ms, parameters, offset };
        self.take(now, association, origin, digest, computation)
    }

    /// Puts a package into a free slot.
    fn take(
        &mut self,
        now: Instant,
        user: AssociationId,
        origin: Origin<'_>,
        digest: OutputDigest,
        computation: K,
    ) -> Result<(), RejectReason> {
        let Origin { work, kernel, deadline_ms, parameters, offset } = origin;
        if self.service != Service::Open {
            return Err(RejectReason::Stopping);
        }
        if self.slots.iter().flatten().any(|slot| slot.user == user && slot.work == work) {
            return Err(RejectReason::Duplicate);
        }
        let parameters = Vec::from_slice(parameters).map_err(|_| RejectReason::TooLarge)?;
        if computation.output_len() > self.config.output_len_max {
            return Err(RejectReason::TooLarge);
        }
        if self.held_count() >= self.slot_count() {
            return Err(RejectReason::Busy);
        }
        let sequence = self.sequence;
        let place = self.slots.iter_mut().find(|place| place.is_none());
        let place = place.ok_or(RejectReason::Busy)?;
        *place = Some(Slot {
            user,
            work,
            kernel,
            parameters,
            cookie_done: computation.progress().done,
            computation,
            sequence,
            phase: Phase::Running,
            owed: Owed { accept: true, ..Owed::default() },
            offset,
            deadline: deadline_ms.map(|left| now + Duration::from_millis(left.into())),
            cookie_due: now + self.config.cookie_interval,
            digest,
            pending: Vec::new(),
        });
        self.sequence += 1;
        let alive_due = now + self.config.alive_interval;
        if let Some(user) = self.user(user) {
            user.alive_due.get_or_insert(alive_due);
        }
        Ok(())
    }

    /// Counts and tells what came of a package or a cookie, and owes the refusal.
    fn answer(
        &mut self,
        user: AssociationId,
        work: WorkId,
        kernel: KernelId,
        resumed: bool,
        taken: Result<(), RejectReason>,
    ) {
        match taken {
            Ok(()) => {
                self.statistics.accepted += 1;
                self.statistics.resumed += u64::from(resumed);
                self.tell(Event::Accepted { user, work, kernel, resumed });
            }
            Err(reason) => {
                self.statistics.rejected += 1;
                if let Some(user) = self.user(user) {
                    let _ = user.refusals.push((work, reason));
                }
                self.tell(Event::Rejected { user, work, reason });
            }
        }
    }

    /// Drops the packages that `unwanted` picks.
    fn release(&mut self, unwanted: impl Fn(&Slot<K, OUTPUT>) -> bool) {
        for index in 0..SLOTS {
            if let Some(slot) = self.slots[index].take_if(|slot| unwanted(slot)) {
                self.statistics.released += 1;
                self.tell(Event::Released { user: slot.user, work: slot.work });
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
            self.statistics.events_lost += 1;
        }
        let _ = self.events.push_back(event);
    }
}

/// Where a package comes from: a message or a cookie.
struct Origin<'a> {
    work: WorkId,
    kernel: KernelId,
    deadline_ms: Option<u32>,
    parameters: &'a [u8],
    offset: u64,
}

impl<K: KernelSet, const SLOTS: usize, const USERS: usize, const OUTPUT: usize> Machine
    for Worker<K, SLOTS, USERS, OUTPUT>
{
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = Event;
    type Error = WorkerError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), WorkerError> {
        match input {
            Input::Up { association, .. } | Input::UserUp { association, .. } => {
                self.on_up(association)
            }
            Input::Down { association, .. } => self.on_down(association),
            Input::Restarted { association } => self.on_restarted(association),
            Input::ConnectFailed { .. } | Input::RoundTrip { .. } => Ok(()),
            Input::Message { association, ppid, data, .. } => {
                self.user(association).ok_or(WorkerError::UnknownUser)?;
                match ppid {
                    Ppid::COMPUTE => self.on_work_message(now, association, data),
                    Ppid::ASAP => self.on_control_message(now, association, data),
                    _ => Ok(()),
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let cookie_interval = self.config.cookie_interval;
        for slot in self.slots.iter_mut().flatten() {
            if slot.deadline.is_some_and(|deadline| deadline <= now) {
                slot.deadline = None;
                slot.phase = Phase::Failed(FailReason::Deadline);
            }
            if slot.cookie_due <= now {
                slot.cookie_due = now + cookie_interval;
                let running = matches!(slot.phase, Phase::Running | Phase::Blocked);
                slot.owed.cookie |= running && slot.computation.progress().done > slot.cookie_done;
            }
        }
        for user in self.users.iter_mut().flatten() {
            if user.alive_due.is_none_or(|due| due > now) {
                continue;
            }
            user.alive_due = None;
            let association = user.association;
            for slot in self.slots.iter_mut().flatten().filter(|slot| slot.user == association) {
                user.alive_due = Some(now + self.config.alive_interval);
                slot.owed.progress = true;
                slot.owed.flush = !slot.pending.is_empty();
            }
        }
    }

    #[cfg_attr(feature = "small", inline(never))]
    fn poll_timeout(&self) -> Option<Instant> {
        let mut next = None;
        for slot in self.slots.iter().flatten() {
            next = Instant::earliest(next, Some(slot.cookie_due));
            next = Instant::earliest(next, slot.deadline);
        }
        for user in self.users.iter().flatten() {
            next = Instant::earliest(next, user.alive_due);
        }
        next
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if let Some(association) = self.surplus.pop() {
            return Some(Transmit::Abort { association });
        }
        for place in 0..USERS {
            if let Some(transmit) = self.transmit_for_user(place, buf) {
                return Some(transmit);
            }
        }
        for ahead in 0..SLOTS {
            let index = (self.transmit_turn + ahead) % SLOTS;
            if let Some(transmit) = self.transmit_for_slot(now, index, buf) {
                self.transmit_turn = index;
                return Some(transmit);
            }
        }
        None
    }

    fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let load = self.load();
        if load != self.load_told {
            self.load_told = load;
            return Some(Event::LoadChanged { load });
        }
        let silent = self.users.iter().flatten().all(|user| user.refusals.is_empty());
        if self.service == Service::Stopping && self.held_count() == 0 && silent {
            self.service = Service::Stopped;
            return Some(Event::Stopped);
        }
        None
    }
}

#[cfg(test)]
mod tests;
