//! Six hours of a small scope: how often its timers have acted by then.
//!
//! Two registrars, an element and two users, by the profile of the RFC, on a network that loses
//! nothing but what is cut. Every count follows from the timers of RFC 5352 §7 and RFC 9260 §16.

use core::time::Duration;

use rserpool_core::asap::{PoolElement, PoolElementConfig, PoolElementStatus, PoolUserConfig};
use rserpool_core::asap::{PoolUser, UserTransport};
use rserpool_core::association::Endpoint;
use rserpool_core::enrp::{Config, InlineTables, Registrar};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::Inline;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::profile::Profile;
use rserpool_core::wire::Policy;

use crate::scope::{Body, Clock, Node, PORT, Scope, address};

/// How long [`hours`] goes on, at least.
pub const HOURS: Duration = Duration::from_secs(6 * 3_600);

/// How often things happened in [`hours`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    /// T4-reregistration: registrations again with the first registrar.
    pub reregistrations: u64,
    /// Keep-alives of the first registrar.
    pub keep_alives: u64,
    /// Of these, not answered in time.
    pub keep_alive_timeouts: u64,
    /// HEARTBEATs of an idle association, from one end.
    pub heartbeats: u32,
    /// Rounds of the hunt (T5-Serverhunt) that found nobody.
    pub fruitless_hunts: u32,
    /// T6-Serverannounce: announces of one registrar.
    pub announces: u32,
}

const REGISTRAR: usize = 0;
const OTHER_REGISTRAR: usize = 1;
const ELEMENT: usize = 2;
const USER: usize = 3;
/// A user that knows no registrar but those that announce themselves.
const LISTENER: usize = 4;

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// Lives through the hours and checks the counts.
///
/// # Panics
///
/// If a count is not what the timers say.
pub fn hours(clock: &mut impl Clock) -> Hours {
    let start = clock.now();
    let mut scope = Scope::new(clock, nodes());
    let mut counts = Hours::default();
    three_quiet_hours(&mut scope, &mut counts);
    an_hour_without_home(&mut scope, &mut counts);
    an_hour_without_anybody(&mut scope, &mut counts);
    an_hour_of_announces(&mut scope, &mut counts);
    a_deregistration_that_nobody_hears(&mut scope);
    assert!(scope.now().saturating_duration_since(start) >= HOURS, "that was too short");
    counts
}

fn nodes() -> [Node; 5] {
    let mut element = PoolElementConfig::new(Profile::Rfc);
    element.pe_id = Some(PeId(7));
    let mut element = PoolElement::new(element, &mut SplitMix64::new(1));
    let mut user = user();
    for number in [REGISTRAR, OTHER_REGISTRAR] {
        element.add_registrar(&at(number)).expect("room");
        user.add_registrar(&at(number)).expect("room");
    }
    [
        node(REGISTRAR, Body::Registrar(registrar(REGISTRAR))),
        node(OTHER_REGISTRAR, Body::Registrar(registrar(OTHER_REGISTRAR))),
        node(ELEMENT, Body::Element(element)),
        node(USER, Body::User(user)),
        node(LISTENER, Body::User(self::user())),
    ]
}

fn node(number: usize, body: Body) -> Node {
    Node::new(number as u8, body)
}

fn registrar(number: usize) -> crate::scope::SmallRegistrar {
    let mut config = Config::new(Profile::Rfc);
    config.identifier = RegistrarId(number as u32 + 1);
    let random = SplitMix64::new(number as u64);
    Registrar::new(config, Inline::new(), InlineTables::new(), random)
}

fn user() -> crate::scope::SmallUser {
    PoolUser::new(PoolUserConfig::new(Profile::Rfc), &mut SplitMix64::new(2))
}

fn at(number: usize) -> Endpoint {
    Endpoint::new((address(number as u8), PORT).into())
}

fn pool() -> PoolHandle<'static> {
    PoolHandle::new(b"Hours").expect("a handle")
}

type Hourly<'c, C> = Scope<'c, C, 5>;

impl<C: Clock> Hourly<'_, C> {
    fn run_for(&mut self, span: Duration) {
        self.run_until(self.now() + span);
    }

    /// Asks a user for the pool and waits until its time is up. Whether it got an answer.
    fn resolves(&mut self, user: usize) -> bool {
        let (now, before) = (self.now(), self.nodes[user].told);
        self.nodes[user].user().resolve(now, pool(), None).expect("room");
        self.nodes[user].drain(now);
        // T1 and its repetitions.
        self.run_for(MINUTE * 5);
        let told = self.nodes[user].told;
        assert_eq!(told.resolved + told.unresolved, before.resolved + before.unresolved + 1);
        told.resolved > before.resolved
    }
}

/// The element registers and stays registered; a user has asked once and falls idle.
fn three_quiet_hours<C: Clock>(scope: &mut Hourly<'_, C>, counts: &mut Hours) {
    scope.nodes[OTHER_REGISTRAR].is_cut = true;
    let now = scope.now();
    let transport = UserTransport::sctp(at(ELEMENT));
    let element = scope.nodes[ELEMENT].element();
    element.register(now, pool(), &transport, Policy::RoundRobin).expect("a registration");
    scope.nodes[ELEMENT].drain(now);
    scope.run_for(MINUTE * 2);
    assert!(scope.resolves(USER));
    let before = scope.nodes[USER].told;
    scope.run_for(HOUR * 3);

    // 3 hours and 7 minutes: T4 is 600 s.
    let found = *scope.nodes[REGISTRAR].registrar().counters();
    assert_eq!((found.registrations, found.reregistrations), (1, 18));
    // One in 15 to 45 s, evenly spread: 374 on the average, with a deviation of 5.6.
    assert!((346..=402).contains(&found.keep_alives), "{} keep-alives", found.keep_alives);
    assert_eq!((found.keep_alive_acks, found.keep_alive_timeouts), (found.keep_alives, 0));
    // HB.interval is 30 s, and the RTO, 1 s give or take a half, comes on top.
    let told = scope.nodes[USER].told;
    let heartbeats = told.heartbeats - before.heartbeats;
    assert!((342..=367).contains(&heartbeats), "{heartbeats} heartbeats");
    assert_eq!(told.registrar_lost, 0);
    assert_eq!(scope.nodes[ELEMENT].told.registered, 1);
    counts.reregistrations = found.reregistrations;
    counts.keep_alives = found.keep_alives;
    counts.heartbeats = heartbeats;
}

/// The home falls silent, the other registrar comes up.
fn an_hour_without_home<C: Clock>(scope: &mut Hourly<'_, C>, counts: &mut Hours) {
    scope.nodes[REGISTRAR].is_cut = true;
    scope.nodes[OTHER_REGISTRAR].is_cut = false;
    scope.run_for(HOUR);
    // At T4 at the latest the element notices: two registrations that T2 (30 s) finds unanswered.
    let found = *scope.nodes[OTHER_REGISTRAR].registrar().counters();
    assert_eq!(found.registrations, 1);
    assert!((4..=5).contains(&found.reregistrations), "{} times again", found.reregistrations);
    assert_eq!(scope.nodes[ELEMENT].told.registrar_found, 2);
    // The silent one has given the element up, too.
    let left = *scope.nodes[REGISTRAR].registrar().counters();
    assert_eq!((left.keep_alive_timeouts, left.removals), (1, 1));
    counts.keep_alive_timeouts = left.keep_alive_timeouts;
}

/// No registrar at all.
fn an_hour_without_anybody<C: Clock>(scope: &mut Hourly<'_, C>, counts: &mut Hours) {
    scope.nodes[OTHER_REGISTRAR].is_cut = true;
    assert!(!scope.resolves(USER));
    scope.run_for(HOUR - MINUTE * 5);
    assert_eq!(scope.nodes[ELEMENT].element().status(), PoolElementStatus::Hunting);
    // Once T5 and the pause have both grown to RETRAN-MAX, a round takes two minutes; before, at
    // most a quarter of an hour goes by until the loss is noticed.
    let rounds = scope.nodes[ELEMENT].told.no_registrar;
    assert!((20..=50).contains(&rounds), "{rounds} rounds");
    counts.fruitless_hunts = rounds;
}

/// Both registrars are back, and announce themselves.
fn an_hour_of_announces<C: Clock>(scope: &mut Hourly<'_, C>, counts: &mut Hours) {
    assert!(!scope.resolves(LISTENER), "nobody has announced anything");
    for number in [REGISTRAR, OTHER_REGISTRAR] {
        let now = scope.now();
        scope.nodes[number].is_cut = false;
        let registrar = scope.nodes[number].registrar();
        registrar.start_announcing(now, &at(number)).expect("an address");
        scope.nodes[number].drain(now);
    }
    scope.run_for(HOUR - MINUTE * 5);
    assert_eq!(scope.nodes[ELEMENT].element().status(), PoolElementStatus::Registered);
    assert!(scope.resolves(LISTENER), "the registrars have announced themselves");
    // The two share T6: each announces every two seconds.
    let announces = scope.nodes[REGISTRAR].told.announces;
    assert!((1_790..=1_810).contains(&announces), "{announces} announces");
    counts.announces = announces;
    // They fall silent, and by T7 (5 s) they are forgotten.
    for number in [REGISTRAR, OTHER_REGISTRAR] {
        scope.nodes[number].registrar().stop_announcing();
    }
    scope.nodes[LISTENER].user().stop();
    let now = scope.now();
    scope.nodes[LISTENER].drain(now);
    scope.run_for(MINUTE);
    assert!(!scope.resolves(LISTENER), "T7 is over");
    assert_eq!(scope.nodes[REGISTRAR].told.announces, announces);
}

/// T3-deregistration: nobody answers.
fn a_deregistration_that_nobody_hears<C: Clock>(scope: &mut Hourly<'_, C>) {
    scope.nodes[REGISTRAR].is_cut = true;
    scope.nodes[OTHER_REGISTRAR].is_cut = true;
    let now = scope.now();
    scope.nodes[ELEMENT].element().deregister(now).expect("it is registered");
    scope.nodes[ELEMENT].drain(now);
    // MAX-REG-ATTEMPT is 2, and T3 30 s.
    scope.run_for(Duration::from_secs(59));
    assert_eq!(scope.nodes[ELEMENT].told.deregistration_failed, 0);
    scope.run_for(MINUTE * 3);
    assert_eq!(scope.nodes[ELEMENT].told.deregistration_failed, 1);
    assert_eq!(scope.nodes[ELEMENT].element().status(), PoolElementStatus::Idle);
}
