//! The pool user machine: resolves pool handles, caches the answers, reports dead elements.
//!
//! Read RFC 5352 §3.3, §3.5, §3.6 and §3.7 before editing this folder.
//!
//! - this file: the machine's surface and the user's commands;
//! - `pools.rs`: the cache, the requests that fill it, and what a response must be like;
//! - `inputs.rs`: what timers, messages and associations do; `output.rs`: what is owed;
//! - `watch.rs`: pools whose changes the user wants to hear of (the S bit).
//!
//! Absent: sessions ([`session`](super::session)).

mod inputs;
mod output;
mod pools;
#[cfg(test)]
mod selection_tests;
#[cfg(test)]
mod state_table;
#[cfg(test)]
mod tests;
mod watch;
#[cfg(test)]
mod watch_tests;

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use heapless::{Deque, Vec};

use super::announce::on_server_announce;
use super::answer::{InputError, OwedError};
use super::hunt::{Outcome, RegistrarsFull, ServerHunt};
use super::timers::Timers;
use crate::association::{AssociationId, Endpoint, Input, Transmit};
use crate::entropy::{Entropy, SplitMix64};
use crate::fmt::debug;
use crate::identifier::{PeId, PoolHandle, PoolHandleBuf, RegistrarId};
use crate::machine::Machine;
use crate::profile::Profile;
use crate::time::Instant;
use crate::wire::Cause;

pub use pools::ResolvedElement;
use pools::{Pool, Request, Watch};

/// The longest message that a pool user sends; [`Machine::poll_transmit`] needs that much room.
pub const POOL_USER_MESSAGE_LEN_MAX: usize = 192;

/// Who has a cache asks for at least so many elements; our own. RSPLIB leaves their number to the
/// registrar then.
pub const CACHE_ITEMS_MIN: u32 = 8;

/// How a pool user behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolUserConfig {
    /// Whose habits decide where RFC and RSPLIB differ.
    pub profile: Profile,
    /// Timers and thresholds.
    pub timers: Timers,
    /// How often a registrar is asked for a pool that is watched, if it does not tell of changes
    /// or does not know the pool.
    pub watch_interval: Duration,
}

impl PoolUserConfig {
    /// The defaults of `profile`.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        Self { profile, timers: Timers::of(profile), watch_interval: Duration::from_secs(5) }
    }
}

impl Default for PoolUserConfig {
    fn default() -> Self {
        Self::new(Profile::default())
    }
}

/// A handle resolution, numbered by the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ResolutionId(pub u32);

/// What the user of a pool user should know. Every resolution ends in exactly one of the first
/// four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PoolUserEvent {
    /// The pool is resolved: see [`PoolUser::elements`], at the latest before the next resolution.
    Resolved {
        /// Which resolution.
        resolution: ResolutionId,
        /// Which pool.
        pool: PoolHandleBuf,
    },
    /// There is no such pool.
    UnknownPool {
        /// Which resolution.
        resolution: ResolutionId,
        /// Which pool.
        pool: PoolHandleBuf,
    },
    /// No registrar could be reached in time.
    NoRegistrar {
        /// Which resolution.
        resolution: ResolutionId,
        /// Which pool.
        pool: PoolHandleBuf,
    },
    /// The registrar could not, or would not, resolve the pool, or did not answer.
    Failed {
        /// Which resolution.
        resolution: ResolutionId,
        /// Which pool.
        pool: PoolHandleBuf,
        /// Why.
        reason: ResolutionFailure,
    },
    /// There is an association to a registrar.
    RegistrarFound {
        /// That association.
        association: AssociationId,
    },
    /// The association to the registrar is gone, or was given up.
    RegistrarLost,
    /// The registrar has told anew what there is in a pool that is watched: see
    /// [`PoolUser::elements`]; none if there is no such pool any more.
    Updated {
        /// Which pool.
        pool: PoolHandleBuf,
    },
}

/// Why a pool was not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ResolutionFailure {
    /// The registrar gave this cause.
    Rejected {
        /// The cause.
        cause: Cause,
    },
    /// The registrar did not answer, not even when asked MAX-REQUEST-RETRANSMIT times more.
    Timeout,
    /// The answer lists no element that could be used.
    NoUsableElement,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PoolUserFull {
    /// As many pools are being resolved as there is room for.
    Pools,
    /// As many resolutions wait as there is room for.
    Resolutions,
    /// As many unreachable elements were reported in the last second as may be.
    Reports,
}

impl fmt::Display for PoolUserFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pools => "too many pools are being resolved at once",
            Self::Resolutions => "too many resolutions wait for an answer",
            Self::Reports => "too many unreachable elements were reported in the last second",
        })
    }
}

impl core::error::Error for PoolUserFull {}

/// A pool user (RFC 5352): see [`PoolUserEvent`] for what it tells and
/// [`machine`](crate::machine) for how it is driven.
///
/// It knows up to `POOLS` pools at a time with up to `ELEMENTS` elements each, and up to
/// `WAITING` resolutions may wait for their answer.
///
/// ```
/// use core::net::SocketAddr;
/// use rserpool_core::asap::{
///     POOL_USER_MESSAGE_LEN_MAX, PoolUser, PoolUserConfig, PoolUserEvent,
/// };
/// use rserpool_core::association::{AssociationId, Endpoint, Input, Ppid, StreamId, Transmit};
/// use rserpool_core::entropy::SplitMix64;
/// use rserpool_core::identifier::PoolHandle;
/// use rserpool_core::machine::Machine;
/// use rserpool_core::time::Instant;
/// use rserpool_core::wire::asap::HandleResolutionResponse;
/// use rserpool_core::wire::{Cause, OperationError};
///
/// let now = Instant::ZERO;
/// let mut buf = [0; POOL_USER_MESSAGE_LEN_MAX];
/// // Use the system's generator instead; this one is for examples.
/// let mut random = SplitMix64::new(1);
/// let mut user: PoolUser = PoolUser::new(PoolUserConfig::default(), &mut random);
/// user.add_registrar(&Endpoint::new(SocketAddr::from(([10, 77, 0, 11], 3863))))?;
///
/// let pool = PoolHandle::new(b"ComputePool")?;
/// let resolution = user.resolve(now, pool, Some(4))?;
///
/// // Drain: the machine wants an association to the registrar; the driver connects, and tells.
/// let Some(Transmit::Connect { connect, .. }) = user.poll_transmit(now, &mut buf) else {
///     panic!("it hunts");
/// };
/// let association = AssociationId(1);
/// user.handle_input(now, Input::Up {
///     association,
///     connect: Some(connect),
///     peer_addresses: &[[10, 77, 0, 11].into()],
///     peer_port: 3863,
/// })?;
/// assert_eq!(user.poll_event(), Some(PoolUserEvent::RegistrarFound { association }));
/// // The request goes out; its bytes are in `buf`.
/// assert!(matches!(user.poll_transmit(now, &mut buf), Some(Transmit::Message { .. })));
///
/// // The registrar knows no such pool. Had it listed elements, `elements` would give them.
/// let mut answer = [0; 64];
/// let error = OperationError::new(Cause::UNKNOWN_POOL_HANDLE, &[]);
/// let len = HandleResolutionResponse::refused(pool, error).emit(&mut answer)?;
/// user.handle_input(now, Input::Message {
///     association,
///     stream: StreamId(0),
///     ppid: Ppid::ASAP,
///     data: &answer[..len],
/// })?;
/// let unknown = PoolUserEvent::UnknownPool { resolution, pool: pool.to_buf() };
/// assert_eq!(user.poll_event(), Some(unknown));
/// assert!(user.elements(pool).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PoolUser<const POOLS: usize = 4, const ELEMENTS: usize = 8, const WAITING: usize = 8> {
    config: PoolUserConfig,
    random: SplitMix64,
    hunt: ServerHunt,
    pools: Vec<Pool<ELEMENTS>, POOLS>,
    waiting: Vec<Waiting, WAITING>,
    next_resolution: u32,
    reports: Vec<Report, REPORTS_MAX>,
    owed_error: Option<OwedError>,
    /// When the association to the registrar was last of use.
    last_use: Instant,
    events: Deque<PoolUserEvent, EVENTS_MAX>,
}

/// A resolution that the user has not heard of yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    resolution: ResolutionId,
    pool: PoolHandleBuf,
    items: u32,
    end: Option<End>,
}

/// How a resolution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Resolved,
    UnknownPool,
    NoRegistrar,
    Failed(ResolutionFailure),
}

/// An unreachable element to report, or reported of late.
#[derive(Clone, Copy, Debug)]
struct Report {
    pool: PoolHandleBuf,
    pe_id: PeId,
    sent: Option<Instant>,
}

impl<const POOLS: usize, const ELEMENTS: usize, const WAITING: usize>
    PoolUser<POOLS, ELEMENTS, WAITING>
{
    /// A pool user that knows no pool and no registrar. `random` is needed only here.
    #[must_use]
    pub fn new(config: PoolUserConfig, random: &mut impl Entropy) -> Self {
        Self {
            random: SplitMix64::new(random.next_u64()),
            hunt: ServerHunt::new(config.timers),
            config,
            pools: Vec::new(),
            waiting: Vec::new(),
            next_resolution: 0,
            reports: Vec::new(),
            owed_error: None,
            last_use: Instant::ZERO,
            events: Deque::new(),
        }
    }

    /// Adds a registrar to the configured ones.
    ///
    /// # Errors
    ///
    /// If there are [`REGISTRARS_MAX`](super::REGISTRARS_MAX) already.
    pub fn add_registrar(&mut self, endpoint: &Endpoint) -> Result<(), RegistrarsFull> {
        self.hunt.add_static(endpoint)
    }

    /// Takes a Server Announce that came from `source` by multicast (RFC 5352 §3.6).
    ///
    /// # Errors
    ///
    /// If it is none, names no SCTP transport, or if there is no room for another registrar.
    pub fn handle_announce(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), InputError> {
        on_server_announce(&mut self.hunt, self.config.profile, now, source, bytes)
    }

    /// Resolves `pool` to at most `items` elements, in the order of preference; `None` leaves
    /// their number to the registrar. Answered by one of the first four [`PoolUserEvent`]s: from
    /// the cache if what it holds is younger than
    /// [`stale_cache`](Timers::stale_cache), otherwise by the registrar. Resolutions of one pool
    /// at the same time share a request. With a cache at least [`CACHE_ITEMS_MIN`] elements are
    /// asked for, so that there is something to select from.
    ///
    /// # Errors
    ///
    /// If too many resolutions wait already.
    pub fn resolve(
        &mut self,
        now: Instant,
        pool: PoolHandle<'_>,
        items: Option<u32>,
    ) -> Result<ResolutionId, PoolUserFull> {
        if self.waiting.is_full() {
            return Err(PoolUserFull::Resolutions);
        }
        let wanted = match items {
            Some(items) if !self.config.timers.stale_cache.is_zero() => items.max(CACHE_ITEMS_MIN),
            items => items.unwrap_or(0),
        };
        let items = wanted.min(u32::try_from(ELEMENTS).unwrap_or(u32::MAX));
        let index = self.pool_index(now, pool).ok_or(PoolUserFull::Pools)?;
        let entry = &mut self.pools[index];
        let end = entry.is_fresh(now, items).then_some(End::Resolved);
        if end.is_some() {
            entry.select(&mut self.random);
        } else {
            let t1 = now + self.config.timers.t1_request;
            entry.want(items, t1);
        }
        let resolution = ResolutionId(self.next_resolution);
        self.next_resolution = self.next_resolution.wrapping_add(1);
        let _ = self.waiting.push(Waiting { resolution, pool: pool.to_buf(), items, end });
        if end.is_none() {
            self.hunt_if_homeless(now);
        }
        Ok(resolution)
    }

    /// The elements of `pool` as last resolved, the preferred one first; none if it was not
    /// resolved, or so long ago that it had to make room.
    #[must_use]
    pub fn elements(&self, pool: PoolHandle<'_>) -> &[ResolvedElement] {
        let entry = self.pools.iter().find(|entry| entry.handle.as_handle() == pool);
        entry.map_or(&[], |entry| &entry.elements)
    }

    /// Forgets what the cache holds of `pool` (RFC 5352 §6.4).
    pub fn purge(&mut self, pool: PoolHandle<'_>) {
        if let Some(entry) = self.pools.iter_mut().find(|entry| entry.handle.as_handle() == pool) {
            entry.elements.clear();
        }
    }

    /// Tells the registrar that an element to which you sent does not answer (RFC 5352 §3.5), and
    /// forgets it here. The same element is reported at most once a second.
    ///
    /// # Errors
    ///
    /// If there were too many such reports in the last second; the registrar finds out by itself.
    pub fn report_unreachable(
        &mut self,
        now: Instant,
        pool: PoolHandle<'_>,
        pe_id: PeId,
    ) -> Result<(), PoolUserFull> {
        if let Some(entry) = self.pools.iter_mut().find(|entry| entry.handle.as_handle() == pool) {
            entry.remove(pe_id);
        }
        self.reports.retain(|report| report.sent.is_none_or(|sent| now < sent + REPORT_INTERVAL));
        let is_known = |report: &Report| report.pool.as_handle() == pool && report.pe_id == pe_id;
        if self.reports.iter().any(is_known) {
            return Ok(());
        }
        let report = Report { pool: pool.to_buf(), pe_id, sent: None };
        self.reports.push(report).map_err(|_| PoolUserFull::Reports)?;
        self.hunt_if_homeless(now);
        Ok(())
    }

    /// Closes the association to the registrar and ends all resolutions without an answer.
    pub fn stop(&mut self) {
        self.hunt.stop();
        self.waiting.clear();
        self.reports.clear();
        self.owed_error = None;
        for pool in &mut self.pools {
            pool.request = None;
            (pool.watch, pool.is_news) = (Watch::No, false);
        }
    }

    /// The registrar in use; [`RegistrarId::UNKNOWN`] as long as nothing has said who it is,
    /// `None` if there is none.
    #[must_use]
    pub fn home(&self) -> Option<RegistrarId> {
        self.hunt.home().map(|home| home.registrar)
    }

    /// The association with the registrar in use.
    #[must_use]
    pub fn home_association(&self) -> Option<AssociationId> {
        self.hunt.home().map(|home| home.association)
    }

    /// The place of `pool`, made if there is room or a pool that nobody waits for.
    fn pool_index(&mut self, now: Instant, pool: PoolHandle<'_>) -> Option<usize> {
        let known = self.pools.iter().position(|entry| entry.handle.as_handle() == pool);
        if let Some(index) = known {
            self.pools[index].last_use = now;
            return Some(index);
        }
        if self.pools.is_full() {
            let waited_for = |entry: &Pool<ELEMENTS>| {
                entry.request.is_some()
                    || entry.watch != Watch::No
                    || self.waiting.iter().any(|waiting| waiting.pool == entry.handle)
            };
            let free = (0..self.pools.len()).filter(|&index| !waited_for(&self.pools[index]));
            let oldest = free.min_by_key(|&index| self.pools[index].last_use)?;
            self.pools.swap_remove(oldest);
        }
        self.pools.push(Pool::new(pool, now)).ok()?;
        Some(self.pools.len() - 1)
    }

    fn hunt_if_homeless(&mut self, now: Instant) {
        if self.hunt.home().is_none() {
            let outcome = self.hunt.start(now, &mut self.random);
            self.on_hunt(now, outcome);
        }
    }

    fn on_hunt(&mut self, now: Instant, outcome: Outcome) {
        if outcome == Outcome::Found
            && let Some(home) = self.hunt.home()
        {
            self.tell(PoolUserEvent::RegistrarFound { association: home.association });
            self.lose_subscriptions(now);
            self.ask_again();
            self.last_use = now;
        }
    }

    /// Whatever the old registrar was asked is asked of the new one (RFC 5352 §3.3).
    fn ask_again(&mut self) {
        for request in self.pools.iter_mut().filter_map(|pool| pool.request.as_mut()) {
            request.sent = false;
        }
    }

    fn wants_registrar(&self) -> bool {
        let is_of_use =
            |pool: &Pool<ELEMENTS>| pool.request.is_some() || pool.watch == Watch::Subscribed;
        self.pools.iter().any(is_of_use) || self.reports.iter().any(|report| report.sent.is_none())
    }

    /// When the association to the registrar is closed because nobody needs it.
    fn idle_deadline(&self) -> Option<Instant> {
        let idle_close = self.config.timers.idle_close?;
        let idle = self.hunt.home().is_some() && !self.wants_registrar();
        idle.then_some(self.last_use + idle_close)
    }

    fn tell(&mut self, event: PoolUserEvent) {
        debug!("pool user: {:?}", event);
        if self.events.is_full() {
            // Nobody has drained for a long time: the latest news count.
            let _ = self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }
}

impl<const POOLS: usize, const ELEMENTS: usize, const WAITING: usize> Machine
    for PoolUser<POOLS, ELEMENTS, WAITING>
{
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = PoolUserEvent;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        self.on_input(now, input)
    }

    fn handle_timeout(&mut self, now: Instant) {
        let outcome = self.hunt.handle_timeout(now, &mut self.random);
        self.on_hunt(now, outcome);
        for index in 0..self.pools.len() {
            if self.pools[index].request.is_some_and(|request| now >= request.t1) {
                self.on_t1_request(now, index);
            }
        }
        self.on_watch_due(now);
        if self.idle_deadline().is_some_and(|deadline| now >= deadline) {
            self.hunt.stop();
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let requests = self.pools.iter().filter_map(|pool| pool.request.as_ref());
        let t1 = requests.map(|request: &Request| request.t1).min();
        let own = Instant::earliest(t1, self.idle_deadline());
        let own = Instant::earliest(own, self.watch_deadline());
        Instant::earliest(own, self.hunt.poll_timeout())
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.next_transmit(now, buf)
    }

    fn poll_event(&mut self) -> Option<PoolUserEvent> {
        self.events.pop_front().or_else(|| self.next_end()).or_else(|| self.next_news())
    }
}

const REPORTS_MAX: usize = 8;
/// RFC 5352 §9.1, threat 8: reports are limited.
const REPORT_INTERVAL: core::time::Duration = core::time::Duration::from_secs(1);
const EVENTS_MAX: usize = 4;
