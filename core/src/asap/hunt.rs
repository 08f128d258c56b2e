//! The server hunt: which registrars are known, which one is home, and how to get one.
//!
//! Read RFC 5352 §3.6, §3.7 before editing this file.
//!
//! Shared by [`PoolElement`](super::PoolElement) and [`PoolUser`](super::PoolUser). A hunt goes in
//! rounds. In a round every known registrar is asked at most once, at most three at a time,
//! staggered; the first that comes up is home and the others are cancelled. When T5 expires the
//! candidates of the moment are given up for others and T5 doubles. When a round is through,
//! the user is told, and the next begins after a pause that doubles.
//!
//! A hunt may run beside a home that does not answer (RFC 5352 §3.7.2); a registrar that comes
//! up then replaces it.

use core::net::IpAddr;

use heapless::Vec;

use super::timers::Timers;
use crate::association::{AssociationId, ConnectId, Endpoint, Transmit};
use crate::entropy::{Entropy, roughly_below};
use crate::identifier::RegistrarId;
use crate::time::{Instant, Span};

/// The most registrars that are known at a time; fewer on boards (feature `small`).
pub const REGISTRARS_MAX: usize = crate::few(4, 8);

/// RFC 5352 §3.6, SH1: the most registrars that are asked at the same time.
pub const CANDIDATES_MAX: usize = 3;

/// The most registrars that are known from the announces of one host, so that one host alone
/// cannot fill the list.
const ANNOUNCED_PER_HOST_MAX: usize = REGISTRARS_MAX / 2;

/// The list of registrars is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RegistrarsFull;

impl core::fmt::Display for RegistrarsFull {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "at most {REGISTRARS_MAX} registrars can be known at a time")
    }
}

impl core::error::Error for RegistrarsFull {}

/// What the owner of a hunt must react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing.
    None,
    /// There is a (new) home.
    Found,
    /// A round is through without a home; the hunt goes on after a pause.
    Exhausted,
}

/// The registrar in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) association: AssociationId,
    /// Its identifier, as soon as it is known.
    pub(crate) registrar: RegistrarId,
    /// Its place in the list; none if it came by itself (home change).
    known: Option<u8>,
    /// It has said something sensible.
    confirmed: bool,
}

#[derive(Clone, Debug)]
struct Known {
    endpoint: Endpoint,
    registrar: RegistrarId,
    /// Who announced it; none if it was configured.
    announced_by: Option<IpAddr>,
    /// The end of T7-ENRPoutdate; configured registrars never expire.
    expires: Instant,
    /// Until then it is asked after all the others.
    dead_until: Instant,
    /// Asked in this round already.
    asked: bool,
    /// Asked only after all others.
    is_last_resort: bool,
}

impl Known {
    fn new(
        endpoint: &Endpoint,
        registrar: RegistrarId,
        announced_by: Option<IpAddr>,
        expires: Instant,
    ) -> Self {
        let (endpoint, dead_until) = (endpoint.clone(), Instant::ZERO);
        let (asked, is_last_resort) = (false, false);
        Self { endpoint, registrar, announced_by, expires, dead_until, asked, is_last_resort }
    }

    /// Whether `announced` is this one. Of a configured registrar one address may be enough to
    /// know, and announces say nothing of its UDP port.
    fn is(&self, announced: &Endpoint) -> bool {
        let Endpoint { addresses, port, .. } = &self.endpoint;
        let mut of_both = announced.addresses.iter().map(|address| addresses.contains(address));
        let is_same = match self.announced_by {
            // The address that announced comes first, and that may be each of them in turn.
            Some(_) => addresses.len() == announced.addresses.len() && of_both.all(|both| both),
            None => of_both.any(|both| both),
        };
        *port == announced.port && is_same
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    connect: ConnectId,
    known: u8,
    /// The request to connect has been pulled.
    started: bool,
}

#[derive(Clone, Debug)]
enum Hunting {
    Idle,
    Active { t5: Instant, next_start: Instant, candidates: Vec<Candidate, CANDIDATES_MAX> },
    Paused { until: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Abort(AssociationId),
    Shutdown(AssociationId),
}

#[derive(Clone, Debug)]
pub(crate) struct ServerHunt {
    pub(crate) timers: Timers,
    known: [Option<Known>; REGISTRARS_MAX],
    home: Option<Home>,
    hunting: Hunting,
    t5: Span,
    pause: Span,
    next_connect: u32,
    /// The last home was lost before it said anything: asking it again must not become a loop.
    lost_unconfirmed: bool,
    /// A newcomer that ends a pause is not asked before: a flood of announces must not become a
    /// flood of attempts.
    newcomer_after: Instant,
    /// Attempts to cancel. One that does not fit is aborted when it comes up.
    cancels: Vec<ConnectId, { 2 * CANDIDATES_MAX }>,
    closings: Vec<Closing, CLOSINGS_MAX>,
}

impl ServerHunt {
    // Inlined, so that it is built where it stays and not on the stack.
    #[inline]
    pub(crate) fn new(timers: Timers) -> Self {
        Self {
            timers,
            known: [const { None }; REGISTRARS_MAX],
            home: None,
            hunting: Hunting::Idle,
            t5: Span::of(timers.t5_server_hunt),
            pause: Span::of(timers.hunt_pause_min),
            next_connect: 0,
            lost_unconfirmed: false,
            newcomer_after: Instant::ZERO,
            cancels: Vec::new(),
            closings: Vec::new(),
        }
    }

    /// Adds a configured registrar; it never expires.
    pub(crate) fn add_static(&mut self, endpoint: &Endpoint) -> Result<(), RegistrarsFull> {
        let mut known = self.known.iter_mut().flatten();
        if let Some(known) = known.find(|known| known.endpoint == *endpoint) {
            (known.announced_by, known.expires) = (None, Instant::NEVER);
            return Ok(());
        }
        let place = |known: &Known| known.announced_by.is_some();
        self.insert(place, Known::new(endpoint, RegistrarId::UNKNOWN, None, Instant::NEVER))
    }

    /// Adds a configured registrar that is asked only after all others.
    pub(crate) fn add_last_resort(&mut self, endpoint: &Endpoint) -> Result<(), RegistrarsFull> {
        self.add_static(endpoint)?;
        let mut known = self.known.iter_mut().flatten();
        if let Some(known) = known.find(|known| known.endpoint == *endpoint) {
            known.is_last_resort = true;
        }
        Ok(())
    }

    /// Adds or renews a registrar that `source` announced (T7-ENRPoutdate).
    pub(crate) fn add_announced(
        &mut self,
        now: Instant,
        source: IpAddr,
        endpoint: &Endpoint,
        registrar: RegistrarId,
    ) -> Result<(), RegistrarsFull> {
        let expires = now + self.timers.t7_enrp_outdate;
        if let Some(known) = self.known.iter_mut().flatten().find(|known| known.is(endpoint)) {
            known.expires = known.expires.max(expires);
            if registrar != RegistrarId::UNKNOWN {
                known.registrar = registrar;
            }
            return Ok(());
        }
        let is_of_source =
            |known: &&Known| known.announced_by == Some(source) && known.expires > now;
        if self.known.iter().flatten().filter(is_of_source).count() >= ANNOUNCED_PER_HOST_MAX {
            return Err(RegistrarsFull);
        }
        // What is past its time gives way, and between two rounds what did not answer. What
        // announces itself and was not tried stays, however many others come.
        let is_between_rounds = !matches!(self.hunting, Hunting::Active { .. });
        let place = |known: &Known| {
            let is_dead = is_between_rounds && known.dead_until > now;
            known.announced_by.is_some() && (known.expires <= now || is_dead)
        };
        self.insert(place, Known::new(endpoint, registrar, Some(source), expires))?;
        // A newcomer ends the pause, but the others are not asked again before its end.
        if matches!(self.hunting, Hunting::Paused { .. }) && self.any_to_ask() {
            let at = self.newcomer_after.max(now);
            self.newcomer_after = at + self.timers.t6_server_announce;
            self.activate(at);
        }
        Ok(())
    }

    /// Puts `new` where nobody is, or in place of one that is not in use and that `may_go`.
    fn insert(
        &mut self,
        may_go: impl Fn(&Known) -> bool,
        new: Known,
    ) -> Result<(), RegistrarsFull> {
        let is_free = |index: &usize| self.known[*index].is_none();
        let gives_way = |index: &usize| {
            self.known[*index].as_ref().is_some_and(&may_go) && !self.in_use(*index)
        };
        let index = (0..REGISTRARS_MAX).find(is_free);
        let index = index.or_else(|| (0..REGISTRARS_MAX).find(gives_way)).ok_or(RegistrarsFull)?;
        self.known[index] = Some(new);
        Ok(())
    }

    fn in_use(&self, index: usize) -> bool {
        let is = |known: u8| usize::from(known) == index;
        self.home.and_then(|home| home.known).is_some_and(is)
            || self.candidates().iter().any(|candidate| is(candidate.known))
    }

    fn candidates(&self) -> &[Candidate] {
        match &self.hunting {
            Hunting::Active { candidates, .. } => candidates,
            Hunting::Idle | Hunting::Paused { .. } => &[],
        }
    }

    pub(crate) fn home(&self) -> Option<Home> {
        self.home
    }

    pub(crate) fn is_home(&self, association: AssociationId) -> bool {
        self.home.is_some_and(|home| home.association == association)
    }

    /// Notes what identifier the home registrar calls itself; true if that is news.
    pub(crate) fn set_home_registrar(&mut self, registrar: RegistrarId) -> bool {
        let Some(home) = &mut self.home else { return false };
        let changed = home.registrar != registrar;
        home.registrar = registrar;
        changed
    }

    /// Starts to hunt. If a hunt is on already it goes on, perhaps with whom it could not ask
    /// before: the home that is home no more.
    pub(crate) fn start(&mut self, now: Instant, random: &mut dyn Entropy) -> Outcome {
        match self.hunting {
            Hunting::Idle => {}
            Hunting::Active { .. } => return self.advance(now, random),
            Hunting::Paused { .. } => return Outcome::None,
        }
        let is_dead = |known: &Known| known.dead_until > now;
        if core::mem::take(&mut self.lost_unconfirmed) && self.known.iter().flatten().all(is_dead)
        {
            self.pause(now, random);
            return Outcome::None;
        }
        self.begin(now);
        self.advance(now, random)
    }

    /// The home has answered: it is more than an association, and a hunt beside it is over.
    pub(crate) fn confirm_home(&mut self) {
        if let Some(home) = &mut self.home {
            home.confirmed = true;
            self.pause = Span::of(self.timers.hunt_pause_min);
            self.end_hunt();
        }
    }

    /// Ends the hunt, if one is on, and closes the home association gracefully.
    pub(crate) fn stop(&mut self) {
        self.end_hunt();
        if let Some(home) = self.home.take() {
            self.close(Closing::Shutdown(home.association));
        }
        self.t5 = Span::of(self.timers.t5_server_hunt);
        self.pause = Span::of(self.timers.hunt_pause_min);
        self.lost_unconfirmed = false;
    }

    /// Gives the home up because it does not answer (RFC 5352 §3.1, §3.2).
    pub(crate) fn give_up_home(&mut self, now: Instant) -> Option<AssociationId> {
        let home = self.home.take()?;
        self.mark_dead(now, home.known);
        self.close(Closing::Abort(home.association));
        Some(home.association)
    }

    /// Takes the sender of a keep-alive with H flag as home (RFC 5352 §3.4, KA2.4).
    pub(crate) fn adopt(&mut self, association: AssociationId, registrar: RegistrarId) {
        self.end_hunt();
        let home = Home { association, registrar, known: None, confirmed: true };
        if let Some(old) = self.home.replace(home) {
            self.close(Closing::Abort(old.association));
        }
    }

    /// RFC 5352 §3.6, SH3 and SH6: an association that we asked for is up.
    pub(crate) fn on_up(&mut self, association: AssociationId, connect: ConnectId) -> Outcome {
        let candidate = self.candidates().iter().find(|candidate| candidate.connect == connect);
        let Some(&candidate) = candidate else {
            // It was cancelled, and the cancellation crossed with this.
            self.close(Closing::Abort(association));
            return Outcome::None;
        };
        self.forget(connect);
        self.end_hunt();
        self.t5 = Span::of(self.timers.t5_server_hunt);
        let mut registrar = RegistrarId::UNKNOWN;
        if let Some(known) = &mut self.known[usize::from(candidate.known)] {
            known.dead_until = Instant::ZERO;
            registrar = known.registrar;
        }
        let known = Some(candidate.known);
        let home = Home { association, registrar, known, confirmed: false };
        if let Some(old) = self.home.replace(home) {
            self.close(Closing::Abort(old.association));
        }
        Outcome::Found
    }

    /// RFC 5352 §3.6, SH4: an attempt failed; the next registrar is asked at once.
    pub(crate) fn on_connect_failed(
        &mut self,
        now: Instant,
        connect: ConnectId,
        random: &mut dyn Entropy,
    ) -> Outcome {
        let Some(candidate) = self.forget(connect) else { return Outcome::None };
        self.mark_dead(now, Some(candidate.known));
        if let Hunting::Active { next_start, .. } = &mut self.hunting {
            *next_start = now;
        }
        self.advance(now, random)
    }

    /// An association is gone; true if it was the home.
    pub(crate) fn on_down(&mut self, now: Instant, association: AssociationId) -> bool {
        self.closings.retain(|closing| {
            !matches!(closing, Closing::Abort(a) | Closing::Shutdown(a) if *a == association)
        });
        if !self.is_home(association) {
            return false;
        }
        if let Some(home) = self.home.take() {
            self.mark_dead(now, home.known);
            self.lost_unconfirmed = !home.confirmed;
        }
        true
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, random: &mut dyn Entropy) -> Outcome {
        match self.hunting {
            Hunting::Idle => Outcome::None,
            Hunting::Paused { until } if now >= until => {
                self.begin(now);
                self.advance(now, random)
            }
            Hunting::Active { t5, .. } if now >= t5 => self.on_t5_server_hunt(now, random),
            Hunting::Active { .. } => self.advance(now, random),
            Hunting::Paused { .. } => Outcome::None,
        }
    }

    /// RFC 5352 §3.6, SH5: other candidates, and twice the time for them.
    fn on_t5_server_hunt(&mut self, now: Instant, random: &mut dyn Entropy) -> Outcome {
        let Hunting::Active { candidates, .. } = &mut self.hunting else { return Outcome::None };
        let given_up = core::mem::take(candidates);
        for candidate in &given_up {
            self.mark_dead(now, Some(candidate.known));
            self.cancel(candidate);
        }
        self.t5 = self.t5.doubled().min(Span::of(self.timers.retran_max));
        if let Hunting::Active { t5, next_start, .. } = &mut self.hunting {
            *t5 = now + self.t5;
            *next_start = now;
        }
        self.advance(now, random)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.hunting {
            Hunting::Idle => None,
            Hunting::Paused { until } => Some(*until),
            Hunting::Active { t5, next_start, candidates } => {
                let more = !candidates.is_full() && self.any_to_ask();
                Instant::earliest(Some(*t5), more.then_some(*next_start))
            }
        }
    }

    /// What the hunt owes: cancellations, closings, attempts.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(connect) = self.cancels.pop() {
            return Some(Transmit::CancelConnect { connect });
        }
        if let Some(closing) = self.closings.pop() {
            return Some(match closing {
                Closing::Abort(association) => Transmit::Abort { association },
                Closing::Shutdown(association) => Transmit::Shutdown { association },
            });
        }
        let Hunting::Active { candidates, .. } = &mut self.hunting else { return None };
        let candidate = candidates.iter_mut().find(|candidate| !candidate.started)?;
        candidate.started = true;
        let known = self.known[usize::from(candidate.known)].as_ref();
        let endpoint = known.map(|known| known.endpoint.clone()).unwrap_or_default();
        Some(Transmit::Connect { connect: candidate.connect, endpoint })
    }

    /// Begins a round.
    fn begin(&mut self, now: Instant) {
        for known in self.known.iter_mut().flatten() {
            known.asked = false;
        }
        self.activate(now);
    }

    /// Goes on with the round at `at`.
    fn activate(&mut self, at: Instant) {
        let t5 = at + self.t5;
        self.hunting = Hunting::Active { t5, next_start: at, candidates: Vec::new() };
    }

    /// RFC 5352 §3.6, SH1: asks as many as may and are due; notices the end of a round.
    fn advance(&mut self, now: Instant, random: &mut dyn Entropy) -> Outcome {
        for _ in 0..CANDIDATES_MAX {
            let Hunting::Active { next_start, candidates, .. } = &self.hunting else { break };
            if now < *next_start || candidates.is_full() {
                break;
            }
            let Some(index) = self.choose(now, random) else { break };
            self.ask(now, index);
        }
        if self.candidates().is_empty() && !self.any_to_ask() {
            return self.on_round_over(now, random);
        }
        Outcome::None
    }

    fn ask(&mut self, now: Instant, index: u8) {
        let connect = ConnectId(self.next_connect);
        self.next_connect = self.next_connect.wrapping_add(1);
        if let Some(known) = &mut self.known[usize::from(index)] {
            known.asked = true;
        }
        if let Hunting::Active { next_start, candidates, .. } = &mut self.hunting {
            *next_start = now + self.timers.hunt_stagger;
            let pushed = candidates.push(Candidate { connect, known: index, started: false });
            debug_assert!(pushed.is_ok(), "advance() asks only while there is room");
        }
    }

    fn on_round_over(&mut self, now: Instant, random: &mut dyn Entropy) -> Outcome {
        if self.home.is_some() {
            // Nobody else: whoever hunted beside the home stays with it.
            self.hunting = Hunting::Idle;
            return Outcome::None;
        }
        self.pause(now, random);
        Outcome::Exhausted
    }

    fn pause(&mut self, now: Instant, random: &mut dyn Entropy) {
        // An eighth more or less, so that boards switched on together do not stay together.
        let (pause, eighth) = (self.pause.0, self.pause.0 / 8);
        let jitter = roughly_below(random, eighth.saturating_mul(2));
        let pause = Span((pause - eighth).saturating_add(jitter)).max(PAUSE_MIN);
        self.hunting = Hunting::Paused { until: now + pause };
        self.pause = self.pause.doubled().min(Span::of(self.timers.retran_max));
    }

    fn may_ask(&self, index: usize) -> bool {
        let is_home =
            self.home.and_then(|home| home.known).is_some_and(|known| usize::from(known) == index);
        !is_home && self.known[index].as_ref().is_some_and(|known| !known.asked)
    }

    fn any_to_ask(&self) -> bool {
        (0..REGISTRARS_MAX).any(|index| self.may_ask(index))
    }

    /// One that was not asked yet, at random among the best: configured ones before announced
    /// ones, those that failed of late only after these, and last resorts after all.
    fn choose(&mut self, now: Instant, random: &mut dyn Entropy) -> Option<u8> {
        for index in 0..REGISTRARS_MAX {
            if !self.in_use(index) && self.known[index].as_ref().is_some_and(|k| k.expires <= now)
            {
                self.known[index] = None;
            }
        }
        // The lower the better.
        let ranks: [u8; REGISTRARS_MAX] = core::array::from_fn(|index| match &self.known[index] {
            Some(known) if self.may_ask(index) => {
                let (is_announced, is_dead) =
                    (known.announced_by.is_some(), known.dead_until > now);
                u8::from(known.is_last_resort) << 2
                    | u8::from(is_dead) << 1
                    | u8::from(is_announced)
            }
            _ => NOT_TO_ASK,
        });
        let best = ranks.iter().copied().min().filter(|&best| best != NOT_TO_ASK)?;
        let best_count = ranks.iter().filter(|&&rank| rank == best).count();
        let mut pick = roughly_below(random, best_count as u32);
        for (rank, index) in ranks.into_iter().zip(0_u8..) {
            if rank == best {
                if pick == 0 {
                    return Some(index);
                }
                pick -= 1;
            }
        }
        None
    }

    fn mark_dead(&mut self, now: Instant, known: Option<u8>) {
        let known = known.and_then(|known| self.known[usize::from(known)].as_mut());
        if let Some(known) = known {
            known.dead_until = now + self.timers.dead_memory;
        }
    }

    fn forget(&mut self, connect: ConnectId) -> Option<Candidate> {
        let Hunting::Active { candidates, .. } = &mut self.hunting else { return None };
        let index = candidates.iter().position(|candidate| candidate.connect == connect)?;
        Some(candidates.swap_remove(index))
    }

    fn cancel(&mut self, candidate: &Candidate) {
        if candidate.started {
            // If there is no room, on_up() aborts it should it come up.
            let _ = self.cancels.push(candidate.connect);
        }
    }

    fn end_hunt(&mut self) {
        if let Hunting::Active { candidates, .. } =
            core::mem::replace(&mut self.hunting, Hunting::Idle)
        {
            for candidate in &candidates {
                self.cancel(candidate);
            }
        }
    }

    fn close(&mut self, closing: Closing) {
        // A driver that drains after every mutation never fills this; see CLOSINGS_MAX.
        let _ = self.closings.push(closing);
    }
}

/// No mutation closes more than two associations, so a drained list never overflows.
const CLOSINGS_MAX: usize = crate::few(4, 8);

/// However a pause is configured, it is one.
const NOT_TO_ASK: u8 = u8::MAX;
const PAUSE_MIN: Span = Span(1_000);

/// The well-known port of ASAP (RFC 5352 §8.2).
pub const ASAP_PORT: u16 = 3863;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SplitMix64;
    use crate::profile::Profile;
    use core::net::SocketAddr;
    use std::vec;

    const MS: fn(u64) -> Instant = Instant::from_millis;

    fn endpoint(last: u8) -> Endpoint {
        Endpoint::new(SocketAddr::from(([10, 77, 0, last], 3863)))
    }

    struct Trace {
        hunt: ServerHunt,
        random: SplitMix64,
    }

    impl Trace {
        fn with_registrars(count: u8) -> Self {
            let mut hunt = ServerHunt::new(Timers::of(Profile::Rsplib));
            for last in 11..11 + count {
                hunt.add_static(&endpoint(last)).unwrap();
            }
            Self { hunt, random: SplitMix64::new(1) }
        }

        fn start(&mut self, at: u64) -> Outcome {
            self.hunt.start(MS(at), &mut self.random)
        }

        fn timeout(&mut self, at: u64) -> Outcome {
            self.hunt.handle_timeout(MS(at), &mut self.random)
        }

        /// The registrar at 10.77.0.`last` announces itself; `last` is its identifier, too.
        fn announced(&mut self, at: u64, last: u8) -> Result<(), RegistrarsFull> {
            let (endpoint, id) = (endpoint(last), RegistrarId(last.into()));
            self.hunt.add_announced(MS(at), endpoint.addresses[0], &endpoint, id)
        }

        fn failed(&mut self, at: u64, connect: u32) -> Outcome {
            self.hunt.on_connect_failed(MS(at), ConnectId(connect), &mut self.random)
        }

        /// The numbers of the attempts, and the cancellations, that are owed now.
        fn drain(&mut self) -> (vec::Vec<u32>, vec::Vec<u32>, vec::Vec<u32>) {
            let (mut connects, mut cancels, mut aborts) = (vec![], vec![], vec![]);
            while let Some(transmit) = self.hunt.poll_transmit() {
                match transmit {
                    Transmit::Connect { connect, .. } => connects.push(connect.0),
                    Transmit::CancelConnect { connect } => cancels.push(connect.0),
                    Transmit::Abort { association } => aborts.push(association.0),
                    other => panic!("{other:?}"),
                }
            }
            cancels.sort_unstable();
            (connects, cancels, aborts)
        }
    }

    #[test]
    fn candidates_are_staggered_and_at_most_three() {
        let mut trace = Trace::with_registrars(5);
        assert_eq!(trace.start(0), Outcome::None);
        assert_eq!(trace.drain().0, [0]);
        assert_eq!(trace.hunt.poll_timeout(), Some(MS(200)));
        trace.timeout(199);
        assert_eq!(trace.drain().0, []);
        trace.timeout(200);
        assert_eq!(trace.drain().0, [1]);
        trace.timeout(400);
        assert_eq!(trace.drain().0, [2]);
        assert_eq!(trace.hunt.poll_timeout(), Some(MS(7_500)), "no fourth before T5");
    }

    #[test]
    fn the_first_that_is_up_wins_and_the_others_are_cancelled() {
        let mut trace = Trace::with_registrars(3);
        trace.start(0);
        trace.timeout(200);
        trace.timeout(400);
        trace.drain();
        assert_eq!(trace.hunt.on_up(AssociationId(7), ConnectId(1)), Outcome::Found);
        assert_eq!(trace.drain(), (vec![], vec![0, 2], vec![]));
        assert!(trace.hunt.is_home(AssociationId(7)));
        assert_eq!(trace.hunt.poll_timeout(), None);
    }

    #[test]
    fn one_that_is_up_after_it_was_cancelled_is_aborted() {
        let mut trace = Trace::with_registrars(2);
        trace.start(0);
        trace.timeout(200);
        trace.drain();
        trace.hunt.on_up(AssociationId(7), ConnectId(1));
        trace.drain();
        assert_eq!(trace.hunt.on_up(AssociationId(8), ConnectId(0)), Outcome::None);
        assert_eq!(trace.drain(), (vec![], vec![], vec![8]));
        assert!(trace.hunt.is_home(AssociationId(7)));
    }

    #[test]
    fn a_failed_candidate_is_followed_by_another_at_once() {
        let mut trace = Trace::with_registrars(2);
        trace.start(0);
        trace.drain();
        assert_eq!(trace.failed(3, 0), Outcome::None);
        assert_eq!(trace.drain().0, [1]);
        assert_eq!(trace.failed(5, 1), Outcome::Exhausted);
    }

    #[test]
    fn t5_gives_up_the_candidates_and_doubles_up_to_its_ceiling() {
        let mut trace = Trace::with_registrars(1);
        let mut now = 0;
        trace.start(now);
        for t5_ms in [7_500, 15_000, 30_000, 30_000, 30_000] {
            assert_eq!(trace.drain().0.len(), 1);
            assert_eq!(trace.hunt.poll_timeout(), Some(MS(now + t5_ms)));
            now += t5_ms;
            assert_eq!(trace.timeout(now), Outcome::Exhausted);
            assert_eq!(trace.drain().1.len(), 1, "the candidate is cancelled");
            // The pause after the round.
            now = trace.hunt.poll_timeout().unwrap().as_micros().div_ceil(1_000);
            assert_eq!(trace.timeout(now), Outcome::None);
        }
    }

    #[test]
    fn t5_continues_with_registrars_not_asked_yet() {
        let mut trace = Trace::with_registrars(5);
        trace.start(0);
        trace.timeout(200);
        trace.timeout(400);
        assert_eq!(trace.drain().0, [0, 1, 2]);
        assert_eq!(trace.timeout(7_500), Outcome::None);
        assert_eq!(trace.drain(), (vec![3], vec![0, 1, 2], vec![]));
        assert_eq!(trace.hunt.poll_timeout(), Some(MS(7_700)));
    }

    #[test]
    fn pauses_double_up_to_retran_max_and_start_afresh_after_success() {
        let mut trace = Trace::with_registrars(1);
        let mut now = 0;
        trace.start(now);
        let mut connect = 0;
        for pause_ms in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            trace.drain();
            assert_eq!(trace.failed(now, connect), Outcome::Exhausted);
            connect += 1;
            let next = trace.hunt.poll_timeout().unwrap();
            let pause = next.saturating_duration_since(MS(now)).as_millis();
            assert!((pause_ms * 7 / 8..pause_ms * 9 / 8).contains(&(pause as u64)), "{pause}");
            now = next.as_micros().div_ceil(1_000);
            assert_eq!(trace.timeout(now), Outcome::None);
        }
        trace.drain();
        trace.hunt.on_up(AssociationId(1), ConnectId(connect));
        trace.hunt.confirm_home();
        assert!(trace.hunt.on_down(MS(now), AssociationId(1)));
        trace.start(now);
        trace.failed(now, connect + 1);
        let pause = trace.hunt.poll_timeout().unwrap().saturating_duration_since(MS(now));
        assert!(pause < core::time::Duration::from_millis(300), "{pause:?}");
    }

    #[test]
    fn a_registrar_that_hangs_up_at_once_is_not_called_in_a_loop() {
        let mut trace = Trace::with_registrars(1);
        trace.start(0);
        trace.drain();
        trace.hunt.on_up(AssociationId(1), ConnectId(0));
        trace.hunt.on_down(MS(0), AssociationId(1));
        trace.start(0);
        assert_eq!(trace.drain().0, []);
        assert!(trace.hunt.poll_timeout().unwrap() >= MS(218));
        trace.timeout(300);
        assert_eq!(trace.drain().0, [1]);
        // One that has spoken is called back at once.
        trace.hunt.on_up(AssociationId(2), ConnectId(1));
        trace.hunt.confirm_home();
        trace.hunt.on_down(MS(400), AssociationId(2));
        trace.start(400);
        assert_eq!(trace.drain().0, [2]);
    }

    #[test]
    fn a_registrar_that_failed_is_asked_after_the_others() {
        for seed in 0..50 {
            let mut trace = Trace::with_registrars(3);
            trace.random = SplitMix64::new(seed);
            trace.start(0);
            let Some(Transmit::Connect { endpoint: dead, .. }) = trace.hunt.poll_transmit() else {
                panic!("no attempt");
            };
            trace.hunt.on_up(AssociationId(1), ConnectId(0));
            trace.hunt.on_down(MS(1_000), AssociationId(1));
            trace.start(1_000);
            trace.timeout(1_200);
            trace.timeout(1_400);
            let mut order = vec![];
            while let Some(Transmit::Connect { endpoint, .. }) = trace.hunt.poll_transmit() {
                order.push(endpoint);
            }
            assert_eq!(order.len(), 3);
            assert_eq!(order[2], dead, "seed {seed}");
        }
    }

    #[test]
    fn nobody_known_is_an_exhausted_round_until_an_announce_comes() {
        let mut trace = Trace::with_registrars(0);
        assert_eq!(trace.start(0), Outcome::Exhausted);
        trace.announced(10, 11).unwrap();
        assert_eq!(trace.hunt.poll_timeout(), Some(MS(10)));
        assert_eq!(trace.timeout(10), Outcome::None);
        assert_eq!(trace.drain().0, [0]);
        assert_eq!(trace.hunt.on_up(AssociationId(1), ConnectId(0)), Outcome::Found);
        assert_eq!(trace.hunt.home().unwrap().registrar, RegistrarId(11));
    }

    #[test]
    fn t7_forgets_an_announced_registrar_after_5_s() {
        for (asked_at, expected) in [(4_999, Outcome::None), (5_000, Outcome::Exhausted)] {
            let mut trace = Trace::with_registrars(0);
            trace.announced(0, 11).unwrap();
            assert_eq!(trace.start(asked_at), expected);
        }
    }

    #[test]
    fn another_announce_starts_t7_again() {
        for (asked_at, expected) in [(8_999, Outcome::None), (9_000, Outcome::Exhausted)] {
            let mut trace = Trace::with_registrars(0);
            trace.announced(0, 11).unwrap();
            trace.announced(4_000, 11).unwrap();
            assert_eq!(trace.start(asked_at), expected);
        }
    }

    #[test]
    fn announces_neither_overflow_nor_displace_anybody() {
        let mut trace = Trace::with_registrars(2);
        for last in 13..19 {
            trace.announced(0, last).unwrap();
        }
        let full = trace.announced(1, 99);
        assert_eq!(full, Err(RegistrarsFull));
        // After T7 there is room again.
        trace.announced(5_000, 99).unwrap();
    }

    /// Whom the attempts that are owed now go to, by the last byte of the address.
    fn asked(trace: &mut Trace) -> vec::Vec<u8> {
        let mut asked = vec![];
        while let Some(transmit) = trace.hunt.poll_transmit() {
            if let Transmit::Connect { endpoint, .. } = transmit {
                let Some(IpAddr::V4(address)) = endpoint.addresses.first() else { panic!() };
                asked.push(address.octets()[3]);
            }
        }
        asked
    }

    #[test]
    fn configured_registrars_are_asked_before_announced_ones() {
        for seed in 0..50 {
            let mut trace = Trace::with_registrars(1);
            trace.random = SplitMix64::new(seed);
            trace.announced(0, 50).unwrap();
            trace.announced(0, 51).unwrap();
            trace.start(0);
            trace.timeout(200);
            trace.timeout(400);
            let mut order = asked(&mut trace);
            assert_eq!(order.remove(0), 11, "seed {seed}");
            order.sort_unstable();
            assert_eq!(order, [50, 51]);
        }
    }

    #[test]
    fn a_last_resort_is_asked_after_all_others() {
        let mut trace = Trace::with_registrars(1);
        trace.start(0);
        trace.drain();
        trace.hunt.on_up(AssociationId(1), ConnectId(0));
        trace.hunt.confirm_home();
        trace.hunt.add_last_resort(&endpoint(99)).unwrap();
        trace.announced(1, 50).unwrap();
        trace.hunt.on_down(MS(1), AssociationId(1));
        trace.start(1);
        trace.timeout(201);
        trace.timeout(401);
        assert_eq!(asked(&mut trace), [50, 11, 99], "even after one that has failed");
    }

    #[test]
    fn an_announce_of_a_configured_registrar_adds_only_its_identifier() {
        let mut trace = Trace::with_registrars(1);
        trace.hunt = ServerHunt::new(Timers::of(Profile::Rsplib));
        trace.hunt.add_static(&Endpoint { udp_port: Some(13_863), ..endpoint(11) }).unwrap();
        trace.announced(0, 11).unwrap();
        trace.start(6_000);
        let Some(Transmit::Connect { endpoint, connect }) = trace.hunt.poll_transmit() else {
            panic!("a configured registrar does not expire");
        };
        assert_eq!(endpoint.udp_port, Some(13_863));
        trace.timeout(6_200);
        assert_eq!(trace.drain().0, [], "there is one registrar");
        trace.hunt.on_up(AssociationId(1), connect);
        assert_eq!(trace.hunt.home().unwrap().registrar, RegistrarId(11));
    }

    #[test]
    fn a_registrar_heard_on_two_interfaces_is_one() {
        let mut trace = Trace::with_registrars(0);
        let mut both = endpoint(11);
        both.addresses.push(endpoint(12).addresses[0]).unwrap();
        for source in [11, 12] {
            let source = endpoint(source).addresses[0];
            trace.hunt.add_announced(MS(0), source, &both, RegistrarId(1)).unwrap();
            both.addresses.swap(0, 1);
        }
        trace.start(0);
        trace.timeout(200);
        assert_eq!(trace.drain().0, [0]);
    }

    #[test]
    fn one_host_announces_half_a_list_at_most() {
        let mut trace = Trace::with_registrars(0);
        let one = endpoint(66).addresses[0];
        for last in 1..=10 {
            let added = trace.hunt.add_announced(MS(0), one, &endpoint(last), RegistrarId(1));
            assert_eq!(added.is_ok(), usize::from(last) <= ANNOUNCED_PER_HOST_MAX, "{last}");
        }
        trace.announced(0, 11).unwrap();
    }

    #[test]
    fn a_configured_registrar_displaces_an_announced_one() {
        let mut trace = Trace::with_registrars(0);
        for last in 1..=8 {
            trace.announced(0, last).unwrap();
        }
        trace.hunt.add_static(&endpoint(99)).unwrap();
        trace.start(0);
        assert_eq!(asked(&mut trace), [99]);
    }

    #[test]
    fn what_did_not_answer_gives_way_to_newcomers_in_the_pause() {
        let mut trace = Trace::with_registrars(0);
        for last in 1..=8 {
            trace.announced(0, last).unwrap();
        }
        trace.start(0);
        for connect in 0..8 {
            assert_eq!(trace.announced(0, 99), Err(RegistrarsFull), "the round is on");
            trace.drain();
            trace.failed(1, connect);
        }
        trace.announced(2, 99).unwrap();
        trace.timeout(2);
        assert_eq!(asked(&mut trace), [99]);
    }

    #[test]
    fn a_flood_of_announces_is_no_flood_of_attempts() {
        let mut trace = Trace::with_registrars(0);
        assert_eq!(trace.start(0), Outcome::Exhausted);
        let mut attempt_count = 0;
        let seconds = if cfg!(miri) { 1 } else { 10 };
        // A new forged registrar each millisecond, and each refuses at once.
        for at in 1..=seconds * 1_000_u32 {
            let [.., high, low] = at.to_be_bytes();
            let endpoint = Endpoint::new(SocketAddr::from(([10, 66, high, low], 3863)));
            let (source, id) = (endpoint.addresses[0], RegistrarId(at));
            let _ = trace.hunt.add_announced(MS(at.into()), source, &endpoint, id);
            if trace.hunt.poll_timeout().is_some_and(|due| due <= MS(at.into())) {
                trace.timeout(at.into());
            }
            for connect in trace.drain().0 {
                attempt_count += 1;
                trace.failed(at.into(), connect);
            }
        }
        let bound = (seconds + 1) * REGISTRARS_MAX as u32;
        assert!((seconds..=bound).contains(&attempt_count), "{attempt_count}");
    }

    #[test]
    fn a_hunt_beside_the_home_never_asks_the_home_itself() {
        let mut trace = Trace::with_registrars(1);
        trace.start(0);
        trace.drain();
        trace.hunt.on_up(AssociationId(1), ConnectId(0));
        assert_eq!(trace.start(100), Outcome::None);
        assert_eq!(trace.drain(), (vec![], vec![], vec![]));
        assert_eq!(trace.hunt.poll_timeout(), None);
    }

    #[test]
    fn a_home_given_up_while_another_is_hunted_is_asked_again_after_the_others() {
        let mut trace = Trace::with_registrars(2);
        trace.start(0);
        trace.drain();
        trace.hunt.on_up(AssociationId(1), ConnectId(0));
        trace.start(100);
        assert_eq!(trace.drain().0, [1]);
        trace.timeout(300);
        trace.hunt.give_up_home(MS(500));
        trace.start(500);
        assert_eq!(trace.drain(), (vec![2], vec![], vec![1]));
        assert!(trace.hunt.poll_timeout().unwrap() > MS(500), "no start is overdue");
    }

    #[test]
    fn a_home_found_beside_the_old_one_replaces_it() {
        let mut trace = Trace::with_registrars(2);
        trace.start(0);
        trace.drain();
        trace.hunt.on_up(AssociationId(1), ConnectId(0));
        trace.start(100);
        assert_eq!(trace.drain().0, [1]);
        assert_eq!(trace.hunt.on_up(AssociationId(2), ConnectId(1)), Outcome::Found);
        assert_eq!(trace.drain(), (vec![], vec![], vec![1]));
    }
}
