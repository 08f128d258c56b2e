//! A user's session with one element of a pool after the other, as a machine: it chooses and
//! connects, carries the cookie, and starts again until the client has what it wants.
//!
//! What is wanted of the host comes out as events: [`CallEvent::Resolve`] is answered by
//! [`SessionCaller::on_resolution`].

use std::collections::VecDeque;
use std::time::Duration;

use rserpool_core::asap::{InputError, ResolvedElement, Session, SessionNews};
use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::identifier::{PeId, PoolHandle};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;

use super::Refusal;

/// A service, on the user's side: what is said to one element at a time.
pub trait Call {
    /// What the user should know.
    type Event;

    /// What its messages are.
    fn ppid(&self) -> Ppid;

    /// An element is there. If it `is_resumed`, the cookie of the last one goes ahead.
    fn on_up(&mut self, now: Instant, is_resumed: bool);

    /// The element says something.
    ///
    /// # Errors
    ///
    /// If it makes no sense; another element is tried then.
    fn on_message(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal>;

    /// The element is gone.
    fn on_down(&mut self, now: Instant);

    /// The element went before it had all that was said; whether it must be said again.
    fn on_undelivered(&mut self, now: Instant) -> bool {
        let _ = now;
        false
    }

    /// Time has passed.
    fn on_timeout(&mut self, now: Instant);

    /// When time matters next.
    fn poll_timeout(&self) -> Option<Instant>;

    /// What to do next.
    fn poll(&mut self, now: Instant) -> Option<Act<Self::Event>>;
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act<E> {
    /// To say this.
    Message(Vec<u8>),
    /// That the user knows.
    Tell(E),
    /// Another element, from a moment on.
    FailOver {
        /// From then on.
        at: Instant,
        /// Which is to go on from the cookie.
        with_cookie: bool,
    },
    /// A new session, from a moment on; this one has done its work.
    Next {
        /// From then on.
        at: Instant,
    },
    /// No more; all is done.
    Finish,
}

/// How patient a caller is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallerConfig {
    /// For an association.
    pub connect_timeout: Duration,
    /// Between two attempts of which the first came to nothing.
    pub retry_delay: Duration,
    /// For a first element, and for another when there is none any more.
    pub patience: Duration,
    /// For all of it.
    pub deadline: Option<Duration>,
}

impl Default for CallerConfig {
    /// 5 s, 250 ms (RSPLIB's), 15 s, and no deadline.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            retry_delay: Duration::from_millis(250),
            patience: Duration::from_secs(15),
            deadline: None,
        }
    }
}

/// What the user of a [`SessionCaller`] should know, or do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEvent<E> {
    /// Resolve the pool to so many elements.
    Resolve {
        /// How many.
        items: u32,
    },
    /// Report an element as unreachable.
    Unreachable {
        /// Which one.
        element: PeId,
    },
    /// A session with an element is up.
    Up {
        /// Which one.
        element: PeId,
        /// It goes on from the cookie of another.
        is_resumed: bool,
    },
    /// An element is given up.
    Lost {
        /// Which one.
        element: PeId,
        /// Why.
        why: Loss,
    },
    /// An element has given a cookie.
    Cookie {
        /// Which one.
        element: PeId,
    },
    /// An element has given a business card: the others that it recommends are tried first when
    /// it fails, without asking a registrar.
    BusinessCard {
        /// Which one.
        element: PeId,
    },
    /// The client says something.
    Client(E),
    /// It is over.
    Finished(Result<(), CallError>),
}

/// Why an element is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// It cannot be reached.
    Unreachable,
    /// Its association is down.
    Down(DownReason),
    /// It says what makes no sense.
    Refused(Refusal),
    /// The client wants another.
    Unwanted,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No element for longer than the caller's patience.
    #[error("no element serves for {} ms", patience.as_millis())]
    NoElement {
        /// That patience.
        patience: Duration,
    },
    /// The deadline has passed.
    #[error("not done within {} ms", deadline.as_millis())]
    Deadline {
        /// That deadline.
        deadline: Duration,
    },
    /// The user gave it up.
    #[error("given up")]
    Cancelled,
}

/// What a caller has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStatistics {
    /// Sessions that were up.
    pub sessions: u64,
    /// Elements that were given up.
    pub failovers: u64,
    /// Sessions that went on from a cookie.
    pub resumed: u64,
    /// Cookies that came.
    pub cookies: u64,
    /// Business cards that came.
    pub business_cards: u64,
    /// Messages of the service that went out, and their bytes.
    pub sent: Traffic,
    /// Messages of the service that came in, and their bytes.
    pub received: Traffic,
}

/// Messages, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub messages: u64,
    /// Of how many bytes in all.
    pub bytes: u64,
}

impl Traffic {
    fn count(&mut self, len: usize) {
        self.messages += 1;
        self.bytes += len as u64;
    }
}

/// A client and its session.
#[derive(Debug)]
pub struct SessionCaller<C: Call> {
    client: C,
    session: Session<32>,
    config: CallerConfig,
    stage: Stage,
    /// Since when there is no session, if there is none.
    alone_since: Option<Instant>,
    deadline: Option<Instant>,
    last_connect: u32,
    /// What must be said to the transport, in this order.
    owed: VecDeque<Transmit>,
    events: VecDeque<CallEvent<C::Event>>,
    statistics: CallStatistics,
}

#[derive(Clone, Debug)]
enum Stage {
    Waiting { until: Instant },
    Resolving,
    Connecting { connect: ConnectId, give_up_at: Instant },
    Up { association: AssociationId, has_heard: bool },
    Leaving { association: AssociationId, abort_at: Instant, next: Option<Instant> },
    Closed,
}

impl<C: Call> SessionCaller<C> {
    /// The longest message: as long as a transport takes.
    pub const TRANSMIT_LEN_MAX: usize = 256 << 10;

    /// A caller that begins at once.
    #[must_use]
    pub fn new(now: Instant, client: C, pool: PoolHandle<'_>, config: CallerConfig) -> Self {
        let mut caller = Self {
            client,
            session: Session::new(pool),
            config,
            stage: Stage::Waiting { until: now },
            alone_since: Some(now),
            deadline: config.deadline.map(|deadline| now + deadline),
            last_connect: 0,
            owed: VecDeque::new(),
            events: VecDeque::new(),
            statistics: CallStatistics::default(),
        };
        caller.handle_timeout(now);
        caller
    }

    /// What became of the pool's resolution; `None` if it did not succeed.
    pub fn on_resolution(&mut self, now: Instant, elements: Option<&[ResolvedElement]>) {
        let Stage::Resolving = self.stage else { return };
        if let Some(elements) = elements {
            self.session.offer(elements);
        }
        self.choose(now);
    }

    /// Gives it up.
    pub fn cancel(&mut self) {
        self.finish(Err(CallError::Cancelled));
    }

    /// Whether it is over, and nothing is owed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed) && self.owed.is_empty() && self.events.is_empty()
    }

    /// What it has seen.
    #[must_use]
    pub fn statistics(&self) -> CallStatistics {
        self.statistics
    }

    /// The client, when it is over.
    #[must_use]
    pub fn into_client(self) -> C {
        self.client
    }

    fn resolve(&mut self) {
        // The registrar's policy chooses one; after a failure a few more are wanted, since the
        // one may be the one that failed.
        let has_failed = self.statistics.failovers > 0;
        let items = if has_failed { ITEMS_AFTER_FAILURE } else { 1 };
        self.stage = Stage::Resolving;
        self.events.push_back(CallEvent::Resolve { items });
    }

    /// Connects to the next element, or waits for another resolution.
    fn choose(&mut self, now: Instant) {
        let Some(element) = self.session.next_element() else {
            self.session.forgive();
            self.stage = Stage::Waiting { until: now + self.config.retry_delay };
            return;
        };
        let endpoint: Endpoint = element.transport.endpoint.clone();
        self.last_connect = self.last_connect.wrapping_add(1);
        let connect = ConnectId(self.last_connect);
        self.stage = Stage::Connecting { connect, give_up_at: now + self.config.connect_timeout };
        self.owed.push_back(Transmit::Connect { connect, endpoint });
    }

    fn on_up(&mut self, now: Instant, association: AssociationId) {
        let Some(element) = self.session.current() else { return };
        self.session.on_up(association);
        let is_resumed = self.session.cookie().is_some();
        self.stage = Stage::Up { association, has_heard: false };
        self.alone_since = None;
        self.statistics.sessions += 1;
        self.statistics.resumed += u64::from(is_resumed);
        self.events.push_back(CallEvent::Up { element, is_resumed });
        self.client.on_up(now, is_resumed);
    }

    /// Gives the element up; another is looked for from `at` on.
    fn lose(&mut self, now: Instant, why: Loss, at: Instant) {
        if let Stage::Up { .. } = self.stage {
            self.client.on_down(now);
        }
        let is_silent = matches!(why, Loss::Unreachable | Loss::Down(DownReason::Lost));
        if let Some(element) = self.session.on_failed() {
            self.statistics.failovers += 1;
            self.events.push_back(CallEvent::Lost { element, why });
            if is_silent {
                self.events.push_back(CallEvent::Unreachable { element });
            }
        }
        self.alone_since.get_or_insert(now);
        self.stage = Stage::Waiting { until: at };
        if at <= now {
            self.look_for_another(now);
        }
    }

    /// Connects to the element that a business card recommends, or asks for some.
    fn look_for_another(&mut self, now: Instant) {
        match self.session.has_recommendation() {
            true => self.choose(now),
            false => self.resolve(),
        }
    }

    fn on_message(
        &mut self,
        now: Instant,
        from: AssociationId,
        ppid: Ppid,
        data: &[u8],
    ) -> Result<(), InputError> {
        let Stage::Up { association, has_heard } = &mut self.stage else {
            return Err(InputError::Unexpected);
        };
        if *association != from {
            return Err(InputError::Unexpected);
        }
        if ppid == Ppid::ASAP {
            let news = self.session.on_control(from, data)?;
            let Some(element) = self.session.current() else { return Ok(()) };
            match news {
                SessionNews::Cookie => {
                    self.statistics.cookies += 1;
                    self.events.push_back(CallEvent::Cookie { element });
                }
                SessionNews::FailoverOrder => {
                    self.statistics.business_cards += 1;
                    self.events.push_back(CallEvent::BusinessCard { element });
                }
                _ => {}
            }
            return Ok(());
        }
        if ppid != self.client.ppid() {
            return Err(InputError::Unexpected);
        }
        if !*has_heard {
            *has_heard = true;
            // It serves: what failed before may have come back.
            self.session.forgive();
        }
        self.statistics.received.count(data.len());
        if let Err(why) = self.client.on_message(now, data) {
            self.owed.push_back(Transmit::Abort { association: from });
            self.lose(now, Loss::Refused(why), now + self.config.retry_delay);
        }
        Ok(())
    }

    fn on_down(&mut self, now: Instant, gone: AssociationId, reason: DownReason) {
        match self.stage {
            Stage::Up { association, has_heard } if association == gone => {
                // An element that is full sends users away without a word.
                let delay = if has_heard { Duration::ZERO } else { self.config.retry_delay };
                self.lose(now, Loss::Down(reason), now + delay);
            }
            Stage::Leaving { association, next, .. } if association == gone => {
                if reason != DownReason::Shutdown && self.client.on_undelivered(now) {
                    self.lose(now, Loss::Down(reason), now);
                    return;
                }
                match next {
                    Some(at) => self.wait_for_next(now, at),
                    None => self.finish(Ok(())),
                }
            }
            _ => {}
        }
    }

    fn wait_for_next(&mut self, now: Instant, at: Instant) {
        self.session.begin_anew();
        self.alone_since = Some(at.max(now));
        self.stage = Stage::Waiting { until: at };
        if at <= now {
            self.resolve();
        }
    }

    fn finish(&mut self, result: Result<(), CallError>) {
        match self.stage {
            Stage::Closed => return,
            Stage::Connecting { connect, .. } => {
                self.owed.push_back(Transmit::CancelConnect { connect });
            }
            Stage::Up { association, .. } => {
                self.owed.push_back(Transmit::Shutdown { association });
            }
            _ => {}
        }
        self.stage = Stage::Closed;
        self.events.push_back(CallEvent::Finished(result));
    }

    /// Says what the client wants to say; does the rest of what it wants.
    fn transmit_of_client(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        loop {
            let Stage::Up { association, .. } = self.stage else { return None };
            if let Some(control) = self.session.poll_control(buf) {
                return Some(control);
            }
            match self.client.poll(now)? {
                Act::Message(bytes) => {
                    let len = bytes.len();
                    buf.get_mut(..len)?.copy_from_slice(&bytes);
                    self.statistics.sent.count(len);
                    let (stream, ppid) = (StreamId(0), self.client.ppid());
                    return Some(Transmit::Message { association, stream, ppid, len });
                }
                Act::Tell(event) => self.events.push_back(CallEvent::Client(event)),
                Act::FailOver { at, with_cookie } => {
                    if !with_cookie {
                        self.session.drop_cookie();
                    }
                    self.lose(now, Loss::Unwanted, at);
                    return Some(Transmit::Abort { association });
                }
                Act::Next { at } => return Some(self.leave(now, association, Some(at))),
                Act::Finish => return Some(self.leave(now, association, None)),
            }
        }
    }

    fn leave(
        &mut self,
        now: Instant,
        association: AssociationId,
        next: Option<Instant>,
    ) -> Transmit {
        let abort_at = now + LEAVE_PATIENCE;
        self.stage = Stage::Leaving { association, abort_at, next };
        Transmit::Shutdown { association }
    }
}

impl<C: Call> Machine for SessionCaller<C> {
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = CallEvent<C::Event>;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        match (input, &self.stage) {
            (
                Input::Up { association, connect: Some(connect), .. },
                &Stage::Connecting { connect: wanted, .. },
            ) if connect == wanted => self.on_up(now, association),
            (Input::Up { association, .. }, _) => {
                self.owed.push_back(Transmit::Abort { association });
            }
            (Input::ConnectFailed { connect }, &Stage::Connecting { connect: wanted, .. })
                if connect == wanted =>
            {
                self.lose(now, Loss::Unreachable, now + self.config.retry_delay);
            }
            (Input::Message { association, ppid, data, .. }, _) => {
                return self.on_message(now, association, ppid, data);
            }
            (Input::Restarted { association }, &Stage::Up { association: ours, .. })
                if association == ours =>
            {
                // The element has forgotten us.
                self.owed.push_back(Transmit::Abort { association });
                self.lose(now, Loss::Down(DownReason::Aborted), now);
            }
            (Input::Down { association, reason }, _) => self.on_down(now, association, reason),
            _ => {}
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let (Some(at), Some(deadline)) = (self.deadline, self.config.deadline)
            && at <= now
        {
            self.finish(Err(CallError::Deadline { deadline }));
        }
        let patience = self.config.patience;
        if self.alone_since.is_some_and(|since| since + patience <= now) {
            self.finish(Err(CallError::NoElement { patience }));
        }
        match self.stage {
            Stage::Waiting { until } if until <= now => self.look_for_another(now),
            Stage::Connecting { connect, give_up_at } if give_up_at <= now => {
                self.owed.push_back(Transmit::CancelConnect { connect });
                self.lose(now, Loss::Unreachable, now);
            }
            Stage::Up { .. } if self.client.poll_timeout().is_some_and(|due| due <= now) => {
                self.client.on_timeout(now);
            }
            Stage::Leaving { association, abort_at, next } if abort_at <= now => {
                self.owed.push_back(Transmit::Abort { association });
                // It will come as the end of the association.
                let abort_at = Instant::NEVER;
                self.stage = Stage::Leaving { association, abort_at, next };
            }
            _ => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let due = match self.stage {
            Stage::Closed => return None,
            Stage::Waiting { until } => Some(until),
            Stage::Resolving => None,
            Stage::Connecting { give_up_at, .. } => Some(give_up_at),
            Stage::Up { .. } => self.client.poll_timeout(),
            Stage::Leaving { abort_at, .. } => Some(abort_at),
        };
        let alone = self.alone_since.map(|since| since + self.config.patience);
        Instant::earliest(due, Instant::earliest(alone, self.deadline))
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        match self.owed.pop_front() {
            Some(transmit) => Some(transmit),
            None => self.transmit_of_client(now, buf),
        }
    }

    fn poll_event(&mut self) -> Option<CallEvent<C::Event>> {
        self.events.pop_front()
    }
}

/// How many elements are asked for when one has failed.
const ITEMS_AFTER_FAILURE: u32 = 4;

/// How long an element may take to let us go.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
