//! The pool element machine: registers, stays registered, answers keep-alives, leaves.
//!
//! Read RFC 5352 §3.1, §3.2, §3.4, §3.6 and §3.7 before editing this folder.
//!
//! - this file: the machine's surface, its state, and the user's commands;
//! - `inputs.rs`: what messages and associations do to it;
//! - `output.rs`: what it owes and how that is encoded.
//!
//! One machine is one pool element. Absent: handle resolution ([`PoolUser`](super::PoolUser)),
//! cookies and business cards of sessions ([`session`](super::session)).

mod inputs;
mod output;
#[cfg(test)]
mod state_table;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use heapless::{Deque, Vec};

use super::announce::on_server_announce;
use super::answer::{InputError, OwedError};
use super::hunt::{Outcome, RegistrarsFull, ServerHunt};
use super::timers::Timers;
use super::user_transport::{UserTransport, UserTransportBuf, UserTransportError, encode};
use crate::association::{AssociationId, Endpoint, Input, Transmit};
use crate::entropy::{Entropy, SplitMix64};
use crate::fmt::debug;
use crate::identifier::{PeId, PoolHandle, PoolHandleBuf, RegistrarId};
use crate::machine::Machine;
use crate::profile::Profile;
use crate::time::{Instant, Span};
use crate::wire::{Cause, Load, Policy};

/// The longest message that a pool element sends; [`Machine::poll_transmit`] needs that much room.
pub const POOL_ELEMENT_MESSAGE_LEN_MAX: usize = 320;

/// How a pool element behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolElementConfig {
    /// Whose habits decide where RFC and RSPLIB differ.
    pub profile: Profile,
    /// Timers and thresholds.
    pub timers: Timers,
    /// The element's identifier; `None` takes a random one (RFC 5352 §3.1, R2.2).
    pub pe_id: Option<PeId>,
    /// A load that changes by this much is registered at once, less with the next registration.
    pub load_step: Load,
}

impl PoolElementConfig {
    /// The defaults of `profile`: a random identifier, loads to the percent.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        Self { profile, timers: Timers::of(profile), pe_id: None, load_step: Load(u32::MAX / 100) }
    }
}

impl Default for PoolElementConfig {
    fn default() -> Self {
        Self::new(Profile::default())
    }
}

/// What the user of a pool element should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PoolElementEvent {
    /// There is an association to a registrar.
    RegistrarFound {
        /// That association.
        association: AssociationId,
    },
    /// The association to the registrar is gone, or was given up; another is being hunted.
    RegistrarLost,
    /// No registrar could be reached; the hunt goes on after a pause.
    NoRegistrar,
    /// A registrar has taken over this element by a keep-alive (RFC 5352 §3.4).
    HomeChanged {
        /// The new home.
        registrar: RegistrarId,
    },
    /// The element is in its pool. Renewals are not reported, unless with a warning.
    Registered {
        /// What the registrar changed or warns of (RFC 5352 §2.2.3).
        warning: Option<Cause>,
    },
    /// A registrar does not want it.
    Rejected {
        /// Why, if it says so.
        cause: Option<Cause>,
        /// When it is tried again by itself; never if `None`.
        retry_in: Option<Duration>,
    },
    /// MAX-REG-ATTEMPT registrations in a row went unanswered.
    RegistrationFailed {
        /// When it is tried again by itself; never if `None`.
        retry_in: Option<Duration>,
    },
    /// The registrar says that the registration's life is over; it is renewed at once.
    Expired,
    /// The element is out of its pool, as it was asked.
    Deregistered {
        /// What the registrar had against it, if anything: then it may still be listed until its
        /// registration's life is over.
        cause: Option<Cause>,
    },
    /// MAX-REG-ATTEMPT deregistrations in a row went unanswered; given up. The element is listed
    /// until a keep-alive to it fails or its registration's life is over.
    DeregistrationFailed,
}

/// Where a pool element stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PoolElementStatus {
    /// In no pool, and not asked to be.
    Idle,
    /// Wants to register and has no registrar.
    Hunting,
    /// Waits for the answer to a registration.
    Registering,
    /// In the pool.
    Registered,
    /// Rejected, or not answered too often; waits to try again, or for a change by the user.
    Holding,
    /// Waits for the answer to a deregistration, or for a registrar to send it to.
    Deregistering,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CommandError {
    /// The element is in, or leaving, another pool: deregister it first and await the event.
    OtherPool,
    /// The element is leaving its pool: await the event.
    Leaving,
    /// The element is in no pool.
    NotRegistered,
    /// The transport cannot be registered.
    Transport(UserTransportError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherPool => f.write_str("registered in another pool: deregister first"),
            Self::Leaving => f.write_str("a deregistration is under way: await its end"),
            Self::NotRegistered => f.write_str("not registered in any pool"),
            Self::Transport(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for CommandError {}

/// A pool element (RFC 5352): see [`PoolElementEvent`] for what it tells and
/// [`machine`](crate::machine) for how it is driven.
///
/// The driver must connect from a local port on which it also listens, and hand inbound
/// associations to this machine: registrars that take the element over come that way.
///
/// ```
/// use core::net::SocketAddr;
/// use rserpool_core::asap::{
///     POOL_ELEMENT_MESSAGE_LEN_MAX, PoolElement, PoolElementConfig, PoolElementEvent,
///     UserTransport,
/// };
/// use rserpool_core::association::{AssociationId, Endpoint, Input, Ppid, StreamId, Transmit};
/// use rserpool_core::entropy::SplitMix64;
/// use rserpool_core::identifier::PoolHandle;
/// use rserpool_core::machine::Machine;
/// use rserpool_core::time::Instant;
/// use rserpool_core::wire::{Policy, asap::RegistrationResponse};
///
/// let now = Instant::ZERO;
/// let mut buf = [0; POOL_ELEMENT_MESSAGE_LEN_MAX];
/// // Use the system's generator instead; this one is for examples.
/// let mut random = SplitMix64::new(1);
/// let mut element = PoolElement::new(PoolElementConfig::default(), &mut random);
/// element.add_registrar(&Endpoint::new(SocketAddr::from(([10, 77, 0, 11], 3863))))?;
///
/// let pool = PoolHandle::new(b"ComputePool")?;
/// let service = UserTransport::sctp(Endpoint::new(SocketAddr::from(([10, 77, 0, 21], 7001))));
/// element.register(now, pool, &service, Policy::RoundRobin)?;
///
/// // Drain: the machine wants an association to the registrar.
/// let Some(Transmit::Connect { connect, .. }) = element.poll_transmit(now, &mut buf) else {
///     panic!("it hunts");
/// };
/// // The driver connects, and tells.
/// let association = AssociationId(1);
/// element.handle_input(now, Input::Up {
///     association,
///     connect: Some(connect),
///     peer_addresses: &[[10, 77, 0, 11].into()],
///     peer_port: 3863,
/// })?;
/// assert_eq!(
///     element.poll_event(),
///     Some(PoolElementEvent::RegistrarFound { association }),
/// );
/// // The registration goes out; its bytes are in `buf`.
/// assert!(matches!(
///     element.poll_transmit(now, &mut buf),
///     Some(Transmit::Message { len: 60, .. }),
/// ));
///
/// // The registrar grants it.
/// let mut answer = [0; 64];
/// let len = RegistrationResponse::granted(pool, element.pe_id()).emit(&mut answer)?;
/// element.handle_input(now, Input::Message {
///     association,
///     stream: StreamId(0),
///     ppid: Ppid::ASAP,
///     data: &answer[..len],
/// })?;
/// assert_eq!(element.poll_event(), Some(PoolElementEvent::Registered { warning: None }));
/// // RSPLIB's profile registers again after 30 s.
/// assert_eq!(element.poll_timeout(), Some(Instant::from_millis(30_000)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PoolElement {
    profile: Profile,
    load_step: Load,
    pe_id: PeId,
    random: SplitMix64,
    hunt: ServerHunt,
    membership: Option<Membership>,
    state: State,
    /// Associations that are owed an acknowledgement of a keep-alive. Several keep-alives on one
    /// association collapse; one from an association too many is not answered and will recur.
    acks: Vec<AssociationId, ACKS_MAX>,
    owed_error: Option<OwedError>,
    events: Deque<PoolElementEvent, EVENTS_MAX>,
}

/// What is registered.
#[derive(Clone, Debug)]
struct Membership {
    pool: PoolHandleBuf,
    transport: UserTransportBuf,
    policy: Policy,
    /// The policy in the last registration that was sent.
    sent: Option<Policy>,
    /// Something changed since then that must not wait.
    changed: bool,
    /// Requests sent in a row without an answer.
    attempts: u8,
    /// The pause before the next try, should MAX-REG-ATTEMPT be reached; none: as long as T2.
    pause: Option<Span>,
    /// The user knows that the element is registered.
    reported: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Hunting,
    /// A registration is owed (`t2` is none) or sent.
    Registering {
        t2: Option<Instant>,
    },
    Registered {
        t4: Instant,
    },
    Holding {
        retry: Option<Instant>,
    },
    /// A deregistration is owed, as soon as there is a registrar, or sent.
    Deregistering {
        t3: Instant,
        owed: bool,
    },
}

impl PoolElement {
    /// A pool element in no pool, that knows no registrar. `random` is needed only here.
    #[must_use]
    pub fn new(config: PoolElementConfig, random: &mut impl Entropy) -> Self {
        // RSPLIB rejects the identifier 0.
        let random_id = PeId(random.next_u32().max(1));
        let seed = random.next_u64();
        Self {
            pe_id: config.pe_id.unwrap_or(random_id),
            random: SplitMix64::new(seed),
            hunt: ServerHunt::new(config.timers),
            profile: config.profile,
            load_step: config.load_step,
            membership: None,
            state: State::Idle,
            acks: Vec::new(),
            owed_error: None,
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

    /// Adds a registrar that is asked only when no other one answers, as one on the element's own
    /// machine by a loopback address: who registers there cannot be reached from elsewhere.
    ///
    /// # Errors
    ///
    /// As for [`add_registrar`](Self::add_registrar).
    pub fn add_last_resort(&mut self, endpoint: &Endpoint) -> Result<(), RegistrarsFull> {
        self.hunt.add_last_resort(endpoint)
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
        on_server_announce(&mut self.hunt, self.profile, now, source, bytes)
    }

    /// Registers the element in `pool`, or changes how it is registered there: at once, and again
    /// and again until [`deregister`](Self::deregister) (RFC 5352 §3.1).
    ///
    /// # Errors
    ///
    /// If it is in another pool or leaving one, or if `transport` cannot be registered.
    pub fn register(
        &mut self,
        now: Instant,
        pool: PoolHandle<'_>,
        transport: &UserTransport,
        policy: Policy,
    ) -> Result<(), CommandError> {
        if let Some(membership) = &self.membership {
            if membership.pool.as_handle() != pool {
                return Err(CommandError::OtherPool);
            }
            if matches!(self.state, State::Deregistering { .. }) {
                return Err(CommandError::Leaving);
            }
        }
        let transport = encode(transport).map_err(CommandError::Transport)?;
        let membership = self.membership.get_or_insert(Membership {
            pool: pool.to_buf(),
            transport,
            policy,
            sent: None,
            changed: true,
            attempts: 0,
            pause: None,
            reported: false,
        });
        membership.transport = transport;
        membership.policy = policy;
        self.register_anew(now);
        Ok(())
    }

    /// Changes the element's policy values. A load that changed by
    /// [`load_step`](PoolElementConfig::load_step) or more since it was last registered, and any
    /// other change, is registered at once; a smaller one with the next registration.
    ///
    /// # Errors
    ///
    /// If the element is in no pool or leaving it.
    pub fn update_policy(&mut self, now: Instant, policy: Policy) -> Result<(), CommandError> {
        let Some(membership) = &mut self.membership else {
            return Err(CommandError::NotRegistered);
        };
        if matches!(self.state, State::Deregistering { .. }) {
            return Err(CommandError::Leaving);
        }
        membership.policy = policy;
        let step = self.load_step;
        if membership.sent.is_none_or(|sent| is_notable_change(sent, policy, step)) {
            self.register_anew(now);
        }
        Ok(())
    }

    /// Takes the element out of its pool (RFC 5352 §3.2) and, when that is done, closes the
    /// association to the registrar.
    ///
    /// # Errors
    ///
    /// If the element is in no pool or leaving it already.
    pub fn deregister(&mut self, now: Instant) -> Result<(), CommandError> {
        let Some(membership) = &mut self.membership else {
            return Err(CommandError::NotRegistered);
        };
        if matches!(self.state, State::Deregistering { .. }) {
            return Err(CommandError::Leaving);
        }
        membership.attempts = 0;
        if membership.sent.is_none() {
            self.finish(PoolElementEvent::Deregistered { cause: None });
            return Ok(());
        }
        self.owe_deregistration(now);
        self.hunt_if_homeless(now);
        Ok(())
    }

    /// Forgets the pool at once, without a word to the registrar but the end of the association,
    /// on which the registrar removes the element.
    pub fn stop(&mut self) {
        self.hunt.stop();
        self.acks.clear();
        self.owed_error = None;
        self.membership = None;
        self.state = State::Idle;
    }

    /// The element's identifier.
    #[must_use]
    pub const fn pe_id(&self) -> PeId {
        self.pe_id
    }

    /// Where the element stands.
    #[must_use]
    pub const fn status(&self) -> PoolElementStatus {
        match self.state {
            State::Idle => PoolElementStatus::Idle,
            State::Hunting => PoolElementStatus::Hunting,
            State::Registering { .. } => PoolElementStatus::Registering,
            State::Registered { .. } => PoolElementStatus::Registered,
            State::Holding { .. } => PoolElementStatus::Holding,
            State::Deregistering { .. } => PoolElementStatus::Deregistering,
        }
    }

    /// The home registrar; [`RegistrarId::UNKNOWN`] as long as it has not said who it is, `None`
    /// if there is none.
    #[must_use]
    pub fn home(&self) -> Option<RegistrarId> {
        self.hunt.home().map(|home| home.registrar)
    }

    /// The association with the home registrar.
    #[must_use]
    pub fn home_association(&self) -> Option<AssociationId> {
        self.hunt.home().map(|home| home.association)
    }

    /// Something must be registered without waiting for T4.
    fn register_anew(&mut self, now: Instant) {
        let Some(membership) = &mut self.membership else { return };
        membership.changed = true;
        match self.state {
            // Whatever is sent next has the news in it.
            State::Hunting | State::Registering { t2: None } => {}
            // Sent already: on_registration_response() sends again.
            State::Registering { t2: Some(_) } | State::Deregistering { .. } => {}
            State::Idle | State::Registered { .. } | State::Holding { .. } => {
                membership.attempts = 0;
                self.owe_registration(now);
            }
        }
    }

    /// RFC 5352 §3.1: registers with the home registrar, or hunts one first.
    fn owe_registration(&mut self, now: Instant) {
        if self.hunt.home().is_some() {
            self.state = State::Registering { t2: None };
        } else {
            self.state = State::Hunting;
            self.hunt_if_homeless(now);
        }
    }

    fn owe_deregistration(&mut self, now: Instant) {
        let t3 = now + self.hunt.timers.t3_deregistration;
        self.state = State::Deregistering { t3, owed: true };
    }

    fn hunt_if_homeless(&mut self, now: Instant) {
        if self.hunt.home().is_none() {
            let outcome = self.hunt.start(now, &mut self.random);
            self.on_hunt(now, outcome);
        }
    }

    fn on_hunt(&mut self, now: Instant, outcome: Outcome) {
        match outcome {
            Outcome::None => {}
            Outcome::Exhausted => self.tell(PoolElementEvent::NoRegistrar),
            Outcome::Found => self.on_registrar_found(now),
        }
    }

    fn on_registrar_found(&mut self, now: Instant) {
        if let Some(home) = self.hunt.home() {
            self.tell(PoolElementEvent::RegistrarFound { association: home.association });
        }
        self.use_new_home(now);
    }

    /// RFC 5352 §3.1, §3.2: whatever the old home was asked is asked of the new one.
    fn use_new_home(&mut self, now: Instant) {
        match self.state {
            State::Idle => self.hunt.stop(),
            State::Deregistering { .. } => self.owe_deregistration(now),
            State::Hunting
            | State::Registering { .. }
            | State::Registered { .. }
            | State::Holding { .. } => self.owe_registration(now),
        }
    }

    const fn own_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle | State::Hunting => None,
            State::Registering { t2 } => t2,
            State::Registered { t4 } => Some(t4),
            State::Holding { retry } => retry,
            State::Deregistering { t3, .. } => Some(t3),
        }
    }

    /// The element is out of its pool, one way or another.
    fn finish(&mut self, event: PoolElementEvent) {
        self.stop();
        self.tell(event);
    }

    fn tell(&mut self, event: PoolElementEvent) {
        debug!("pool element {:?}: {:?}", self.pe_id, event);
        if self.events.is_full() {
            // Nobody has drained for a long time: the latest news count.
            let _ = self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }
}

impl Machine for PoolElement {
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = PoolElementEvent;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        self.on_input(now, input)
    }

    fn handle_timeout(&mut self, now: Instant) {
        let outcome = self.hunt.handle_timeout(now, &mut self.random);
        self.on_hunt(now, outcome);
        match self.state {
            State::Registering { t2: Some(t2) } if now >= t2 => self.on_t2_registration(now),
            State::Deregistering { t3, .. } if now >= t3 => self.on_t3_deregistration(now),
            State::Registered { t4 } if now >= t4 => self.owe_registration(now),
            State::Holding { retry: Some(retry) } if now >= retry => self.owe_registration(now),
            _ => {}
        }
    }

    #[cfg_attr(feature = "small", inline(never))]
    fn poll_timeout(&self) -> Option<Instant> {
        Instant::earliest(self.own_timeout(), self.hunt.poll_timeout())
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.next_transmit(now, buf)
    }

    fn poll_event(&mut self) -> Option<PoolElementEvent> {
        self.events.pop_front()
    }
}

const ACKS_MAX: usize = 8;
/// No mutation tells more than three things.
const EVENTS_MAX: usize = crate::few(4, 8);

/// Whether the change is worth a registration of its own.
fn is_notable_change(sent: Policy, new: Policy, step: Load) -> bool {
    match (without_load(sent), without_load(new)) {
        ((sent, Some(before)), (new, Some(after))) if sent == new => {
            before.0.abs_diff(after.0) >= step.0.max(1)
        }
        _ => sent != new,
    }
}

/// The policy with the load set to nothing, and the load, if it has one.
const fn without_load(mut policy: Policy) -> (Policy, Option<Load>) {
    let load = match &mut policy {
        Policy::LeastUsed { load }
        | Policy::LeastUsedDegradation { load, .. }
        | Policy::PriorityLeastUsed { load, .. }
        | Policy::RandomizedLeastUsed { load }
        | Policy::RandomizedPriorityLeastUsed { load, .. }
        | Policy::RandomizedLeastUsedDegradation { load, .. }
        | Policy::PriorityLeastUsedDegradation { load, .. }
        | Policy::RandomizedPriorityLeastUsedDegradation { load, .. }
        | Policy::LeastUsedDpf { load, .. }
        | Policy::LeastUsedDegradationDpf { load, .. } => load,
        _ => return (policy, None),
    };
    let before = core::mem::replace(load, Load::MIN);
    (policy, Some(before))
}
