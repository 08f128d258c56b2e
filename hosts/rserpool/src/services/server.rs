//! All sessions of an element, as one machine: it decides nothing about a protocol, and waits for
//! nobody. Absent: back-pressure; what an association cannot send yet waits in the transport, so
//! services bound what they say (see their limits).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use rserpool_core::asap::{Control, InputError, ResolvedElement, emit_cookie, read_control};
use rserpool_core::association::{AssociationId, Input, Ppid, StreamId, Transmit};
use rserpool_core::compute::Stop;
use rserpool_core::identifier::{PeId, PoolHandleBuf};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;
use rserpool_core::wire::Load;

use super::cards::{Card, Cards};
use super::codec::ParseError;
use super::scripting::{Outcome, Run};

/// A service, on the element's side: what becomes of its sessions.
///
/// What is owed is pulled by [`poll`](Self::poll); a session that computes does so in
/// [`run`](Self::run), a slice at a time.
pub trait Serve {
    /// What is known of one session.
    type Session;

    /// What its messages are.
    fn ppid(&self) -> Ppid;

    /// A user has come; `None` sends it away.
    fn open(&mut self, now: Instant) -> Option<Self::Session>;

    /// A user is gone.
    fn close(&mut self, now: Instant, session: Self::Session) {
        let _ = (now, session);
    }

    /// A user says something.
    ///
    /// # Errors
    ///
    /// If that ends the session.
    fn on_message(
        &mut self,
        now: Instant,
        session: &mut Self::Session,
        data: &[u8],
    ) -> Result<(), Refusal>;

    /// A user shows the cookie of another element.
    ///
    /// # Errors
    ///
    /// If that ends the session.
    fn on_cookie_echo(
        &mut self,
        now: Instant,
        session: &mut Self::Session,
        cookie: &[u8],
    ) -> Result<(), Refusal> {
        let _ = (now, session, cookie);
        Err(Refusal::Unexpected)
    }

    /// A script of the session has ended.
    fn on_outcome(&mut self, now: Instant, session: &mut Self::Session, outcome: Outcome) {
        let _ = (now, session, outcome);
    }

    /// Time has passed.
    fn on_timeout(&mut self, now: Instant, session: &mut Self::Session) {
        let _ = (now, session);
    }

    /// When time matters next.
    fn poll_timeout(&self, session: &Self::Session) -> Option<Instant> {
        let _ = session;
        None
    }

    /// What is owed next.
    fn poll(&mut self, now: Instant, session: &mut Self::Session) -> Option<Output>;

    /// Computes for about `units`; whether there is more to compute.
    fn run(&mut self, now: Instant, session: &mut Self::Session, units: u32) -> bool {
        let _ = (now, session, units);
        false
    }

    /// The element leaves: what the next one needs is owed now, and then [`Output::Close`].
    fn hand_on(&mut self, now: Instant, session: &mut Self::Session);

    /// The share of what it can take that is taken, from 0 to 1.
    fn load(&self) -> f64;
}

/// What a session says or wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A message of the service.
    Message(Vec<u8>),
    /// A cookie, for the user to keep.
    Cookie(Vec<u8>),
    /// A script, to be run outside.
    Run(Run),
    /// The end.
    Close,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The message cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The message does not belong here.
    #[error("this message does not belong here")]
    Unexpected,
    /// More than the element takes.
    #[error("more than {0}, which is as much as the element takes")]
    TooMuch(u64),
}

/// What the user of a [`SessionServer`] should know, or do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A session has begun.
    Opened {
        /// Which one.
        association: AssociationId,
    },
    /// There are too many sessions for another.
    Full,
    /// A session goes on that began at another element.
    Resumed {
        /// Which one.
        association: AssociationId,
    },
    /// What the user said ends the session.
    Refused {
        /// Which one.
        association: AssociationId,
        /// Why.
        why: Refusal,
    },
    /// A session is over.
    Closed {
        /// Which one.
        association: AssociationId,
    },
    /// A script is to be run; [`SessionServer::finish`] takes what came of it.
    Run {
        /// For which session.
        association: AssociationId,
        /// The script.
        run: Run,
    },
    /// The load has changed.
    LoadChanged(Load),
    /// Nothing is served any more.
    Stopped,
}

/// The sessions of a service.
#[derive(Debug)]
pub struct SessionServer<S: Serve> {
    service: S,
    sessions: BTreeMap<AssociationId, Slot<S::Session>>,
    session_count_max: usize,
    /// Those that are sent away before they are sessions.
    unwanted: VecDeque<AssociationId>,
    /// Whose turn it was last.
    turn: AssociationId,
    load: Load,
    service_state: State,
    /// If users get any.
    cards: Option<Cards>,
    /// How many sessions there have been.
    opened_count: usize,
    events: VecDeque<ServerEvent>,
}

#[derive(Debug)]
struct Slot<T> {
    session: T,
    stage: Stage,
    card: Card,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The user broke the rules.
    ToAbort,
    /// It was asked to go.
    Leaving {
        abort_at: Instant,
    },
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    Stopping,
    Stopped,
}

impl<S: Serve> SessionServer<S> {
    /// The longest message: as long as a transport takes.
    pub const TRANSMIT_LEN_MAX: usize = 256 << 10;

    /// Serves at most `session_count_max` sessions at a time.
    #[must_use]
    pub fn new(service: S, session_count_max: usize) -> Self {
        Self {
            service,
            sessions: BTreeMap::new(),
            session_count_max,
            unwanted: VecDeque::new(),
            turn: AssociationId(0),
            load: Load::MIN,
            service_state: State::Serving,
            cards: None,
            opened_count: 0,
            events: VecDeque::new(),
        }
    }

    /// Gives each user a business card (RFC 5352 §3.9) of the element `pe_id` of `pool`, once
    /// [`set_elements`](Self::set_elements) has said who else is there.
    ///
    /// RSPLIB's users cannot read business cards.
    pub fn give_cards(&mut self, pool: PoolHandleBuf, pe_id: PeId) {
        self.cards = Some(Cards::new(pool, pe_id));
    }

    /// Takes the elements of the pool, the one to be preferred first, for the business cards.
    /// Users whose card is out of date get another.
    pub fn set_elements(&mut self, elements: &[ResolvedElement]) {
        if let Some(cards) = &mut self.cards {
            cards.set_elements(elements);
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Takes no more sessions; [`ServerEvent::Stopped`] follows when all are over, which
    /// [`Stop::HandOn`] hastens.
    pub fn stop(&mut self, now: Instant, how: Stop) {
        if self.service_state == State::Serving {
            self.service_state = State::Stopping;
        }
        if how == Stop::HandOn {
            for slot in self.sessions.values_mut() {
                self.service.hand_on(now, &mut slot.session);
            }
        }
        self.after();
    }

    /// Computes for about `units` for the session whose turn it is; whether there is more.
    pub fn run(&mut self, now: Instant, units: u32) -> bool {
        let turns: Vec<_> = self.turns().collect();
        for association in turns {
            let Some(slot) = self.sessions.get_mut(&association) else { continue };
            if slot.stage == Stage::Open && self.service.run(now, &mut slot.session, units) {
                self.turn = association;
                return true;
            }
        }
        false
    }

    /// A script has ended.
    pub fn finish(&mut self, now: Instant, association: AssociationId, outcome: Outcome) {
        if let Some(slot) = self.sessions.get_mut(&association) {
            self.service.on_outcome(now, &mut slot.session, outcome);
        }
        self.after();
    }

    fn open(&mut self, now: Instant, association: AssociationId) {
        let is_full = self.sessions.len() >= self.session_count_max;
        let is_serving = self.service_state == State::Serving;
        let opened = (is_serving && !is_full).then(|| self.service.open(now)).flatten();
        match opened {
            Some(session) => {
                let card = Card::new(self.opened_count);
                self.opened_count = self.opened_count.wrapping_add(1);
                self.sessions.insert(association, Slot { session, stage: Stage::Open, card });
                self.events.push_back(ServerEvent::Opened { association });
            }
            None => {
                self.unwanted.push_back(association);
                self.events.push_back(ServerEvent::Full);
            }
        }
    }

    fn close(&mut self, now: Instant, association: AssociationId) {
        self.unwanted.retain(|&unwanted| unwanted != association);
        if let Some(slot) = self.sessions.remove(&association) {
            self.service.close(now, slot.session);
            self.events.push_back(ServerEvent::Closed { association });
        }
    }

    fn on_message(
        &mut self,
        now: Instant,
        association: AssociationId,
        ppid: Ppid,
        data: &[u8],
    ) -> Result<(), InputError> {
        let slot = self.sessions.get_mut(&association).ok_or(InputError::Unexpected)?;
        if slot.stage != Stage::Open {
            // It may not know yet.
            return Ok(());
        }
        let result = if ppid == Ppid::ASAP {
            let Control::CookieEcho(cookie) = read_control(data)? else {
                return Err(InputError::Unexpected);
            };
            let result = self.service.on_cookie_echo(now, &mut slot.session, cookie);
            if result.is_ok() {
                self.events.push_back(ServerEvent::Resumed { association });
            }
            result
        } else if ppid == self.service.ppid() {
            self.service.on_message(now, &mut slot.session, data)
        } else {
            return Err(InputError::Unexpected);
        };
        if let Err(why) = result {
            slot.stage = Stage::ToAbort;
            self.events.push_back(ServerEvent::Refused { association, why });
        }
        Ok(())
    }

    /// What every mutation may change.
    fn after(&mut self) {
        let load = Load((self.service.load().clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32);
        if load != self.load {
            self.load = load;
            self.events.retain(|event| !matches!(event, ServerEvent::LoadChanged(_)));
            self.events.push_back(ServerEvent::LoadChanged(load));
        }
        if self.service_state == State::Stopping && self.sessions.is_empty() {
            self.service_state = State::Stopped;
            self.events.push_back(ServerEvent::Stopped);
        }
    }

    /// All sessions, beginning behind the one whose turn it was last.
    fn turns(&self) -> impl Iterator<Item = AssociationId> {
        let behind = self.sessions.range((Bound::Excluded(self.turn), Bound::Unbounded));
        let before = self.sessions.range(..=self.turn);
        behind.chain(before).map(|(&association, _)| association)
    }

    fn transmit_to(
        &mut self,
        now: Instant,
        association: AssociationId,
        buf: &mut [u8],
    ) -> Option<Transmit> {
        let slot = self.sessions.get_mut(&association)?;
        match slot.stage {
            Stage::ToAbort => {
                slot.stage = Stage::Gone;
                return Some(Transmit::Abort { association });
            }
            Stage::Leaving { .. } | Stage::Gone => return None,
            Stage::Open => {}
        }
        let stream = StreamId(0);
        if let Some(len) = self.cards.as_ref().and_then(|cards| cards.poll(&mut slot.card, buf)) {
            return Some(Transmit::Message { association, stream, ppid: Ppid::ASAP, len });
        }
        loop {
            let (ppid, len) = match self.service.poll(now, &mut slot.session)? {
                Output::Message(bytes) => {
                    buf.get_mut(..bytes.len())?.copy_from_slice(&bytes);
                    (self.service.ppid(), bytes.len())
                }
                Output::Cookie(cookie) => (Ppid::ASAP, emit_cookie(&cookie, buf).ok()?),
                Output::Run(run) => {
                    self.events.push_back(ServerEvent::Run { association, run });
                    continue;
                }
                Output::Close => {
                    slot.stage = Stage::Leaving { abort_at: now + LEAVE_PATIENCE };
                    return Some(Transmit::Shutdown { association });
                }
            };
            return Some(Transmit::Message { association, stream, ppid, len });
        }
    }
}

impl<S: Serve> Machine for SessionServer<S> {
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = ServerEvent;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        let result = match input {
            Input::Up { association, .. } => {
                self.open(now, association);
                Ok(())
            }
            Input::Message { association, ppid, data, .. } => {
                self.on_message(now, association, ppid, data)
            }
            Input::Restarted { association } => {
                self.close(now, association);
                self.open(now, association);
                Ok(())
            }
            Input::Down { association, .. } => {
                self.close(now, association);
                Ok(())
            }
            Input::RoundTrip { .. } => Ok(()),
            _ => Err(InputError::Unexpected),
        };
        self.after();
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        for slot in self.sessions.values_mut() {
            match slot.stage {
                Stage::Open
                    if self.service.poll_timeout(&slot.session).is_some_and(|due| due <= now) =>
                {
                    self.service.on_timeout(now, &mut slot.session);
                }
                Stage::Leaving { abort_at } if abort_at <= now => slot.stage = Stage::ToAbort,
                _ => {}
            }
        }
        self.after();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let due = self.sessions.values().filter_map(|slot| match slot.stage {
            Stage::Open => self.service.poll_timeout(&slot.session),
            Stage::Leaving { abort_at } => Some(abort_at),
            Stage::ToAbort | Stage::Gone => None,
        });
        due.min()
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if let Some(association) = self.unwanted.pop_front() {
            return Some(Transmit::Shutdown { association });
        }
        let turns: Vec<_> = self.turns().collect();
        for association in turns {
            if let Some(transmit) = self.transmit_to(now, association, buf) {
                self.turn = association;
                return Some(transmit);
            }
        }
        None
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }
}

/// How long a user may take to go when asked.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
