//! The handlespace on every storage: small, middling and on the heap.

use std::net::IpAddr;

use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::handlespace::{
    Cursor, DeadlineKind, Handlespace, Inline, NewElement, Outcome, RegistrationError,
    ResolveError, Resource, Storage,
};
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::time::Instant;
use rserpool_core::wire::{
    Cause, Load, Policy, PolicyType, PoolElement, Protocol, RegistrationLife, TransportBuf,
    TransportUse,
};
use rserpool_tests::handlespace_model::{Limits, drive};

fn heap(limits: Limits) -> Handlespace<HeapStorage> {
    let Limits { elements, pools, owners, blocks } = limits;
    let limits = HeapLimits::for_elements(elements).with_pools(pools);
    Handlespace::new(HeapStorage::new(limits.with_owners(owners).with_blocks(blocks)))
}

#[test]
fn random_commands_agree_with_the_model_on_every_storage() {
    const ROUNDS: u64 = 60;
    for seed in 0..ROUNDS {
        println!("seed {seed}");
        let mut commands = vec![0; 3000];
        SplitMix64::new(seed).fill(&mut commands);
        let tiny = Limits { elements: 8, pools: 3, owners: 2, blocks: 4 };
        drive(&mut Handlespace::new(Inline::<8, 3, 2, 4>::new()), tiny, &commands);
        let small = Limits { elements: 64, pools: 6, owners: 5, blocks: 16 };
        drive(&mut Handlespace::new(Inline::<64, 6, 5, 16>::new()), small, &commands);
        drive(&mut heap(small), small, &commands);
        let large = Limits { elements: 5000, pools: 5000, owners: 100, blocks: 5000 };
        drive(&mut heap(large), large, &commands);
    }
}

/// Runs one test body on every storage: small, middling, heap.
macro_rules! on_every_storage {
    ($($(#[$meta:meta])* fn $name:ident($space:ident) $body:block)*) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            fn body<S: Storage>(mut $space: Handlespace<S>) $body
            body(Handlespace::new(Inline::<8, 2, 2, 2>::new()));
            body(Handlespace::new(Inline::<64, 2, 2, 2>::new()));
            body(heap(Limits { elements: 1000, pools: 2, owners: 2, blocks: 2 }));
        }
    )*};
}

const HOME: RegistrarId = RegistrarId(0x1111_1111);
const PEER: RegistrarId = RegistrarId(0x2222_2222);
const TENTH: Load = Load(u32::MAX / 10);

fn handle(text: &str) -> PoolHandle<'_> {
    PoolHandle::new(text.as_bytes()).unwrap()
}

fn sctp(port: u16, transport_use: TransportUse, addresses: usize) -> TransportBuf<256> {
    let addresses: Vec<IpAddr> =
        (1..=addresses).map(|last| IpAddr::from([10, 0, 0, last as u8])).collect();
    TransportBuf::new(Protocol::Sctp, port, transport_use, &addresses).unwrap()
}

fn register_with<S: Storage>(
    space: &mut Handlespace<S>,
    pool: &str,
    id: u32,
    policy: Policy,
    user: &TransportBuf<256>,
    owner: RegistrarId,
) -> Result<Outcome, RegistrationError> {
    let life = RegistrationLife(300_000);
    let element = PoolElement::new(PeId(id), life, user.as_transport(), policy);
    let new = NewElement { pool: handle(pool), element: &element, owner, association: None };
    space.register(&new).map(|registered| registered.outcome)
}

fn register<S: Storage>(
    space: &mut Handlespace<S>,
    pool: &str,
    id: u32,
    policy: Policy,
) -> Result<Outcome, RegistrationError> {
    let user = sctp(7, TransportUse::Data, 1);
    register_with(space, pool, id, policy, &user, HOME)
}

/// Elements a, b, c and so on.
fn fill<S: Storage>(space: &mut Handlespace<S>, policies: &[Policy]) {
    for (id, policy) in (u32::from(b'a')..).zip(policies) {
        assert_eq!(register(space, "P", id, *policy), Ok(Outcome::New));
    }
}

fn resolve<S: Storage>(space: &mut Handlespace<S>, items: usize) -> String {
    let mut answer = String::new();
    let result = space.resolve(handle("P"), items, &mut SplitMix64::new(1), |view| {
        answer.push(char::from(view.pe_id().0 as u8));
        true
    });
    assert_eq!(result, Ok(answer.len()));
    answer
}

/// What successive resolutions answer.
fn answers<S: Storage>(space: &mut Handlespace<S>, items: usize, count: usize) -> String {
    (0..count).map(|_| resolve(space, items)).collect::<Vec<_>>().join(" ")
}

fn wrr(weight: u32) -> Policy {
    Policy::WeightedRoundRobin { weight }
}

fn priority(priority: u32) -> Policy {
    Policy::Priority { priority }
}

fn least_used(load: u32) -> Policy {
    Policy::LeastUsed { load: Load(load) }
}

fn degrading(load: u32, degradation: u32) -> Policy {
    Policy::LeastUsedDegradation { load: Load(load), degradation: Load(degradation) }
}

on_every_storage! {
    fn round_robin_takes_turns(space) {
        fill(&mut space, &[Policy::RoundRobin; 3]);
        assert_eq!(answers(&mut space, 1, 6), "a b c a b c");
        // The order advances by one for each answer, however long.
        assert_eq!(answers(&mut space, 2, 4), "ab bc ca ab");
        assert_eq!(answers(&mut space, 9, 2), "bca cab");
    }

    fn a_newcomer_queues_at_the_end(space) {
        fill(&mut space, &[Policy::RoundRobin; 2]);
        assert_eq!(answers(&mut space, 1, 1), "a");
        register(&mut space, "P", u32::from(b'z'), Policy::RoundRobin).unwrap();
        assert_eq!(answers(&mut space, 1, 4), "b a z b");
    }

    fn a_re_registration_keeps_its_turn(space) {
        fill(&mut space, &[Policy::RoundRobin; 3]);
        assert_eq!(answers(&mut space, 1, 1), "a");
        let again = register(&mut space, "P", u32::from(b'b'), Policy::RoundRobin);
        assert_eq!(again, Ok(Outcome::Updated));
        assert_eq!(answers(&mut space, 1, 3), "b c a");
    }

    fn weighted_round_robin_of_equal_weights_is_round_robin(space) {
        fill(&mut space, &[wrr(5), wrr(5), wrr(5)]);
        assert_eq!(answers(&mut space, 1, 6), "a b c a b c");
        assert_eq!(answers(&mut space, 2, 4), "ab bc ca ab");
    }

    fn weighted_round_robin_spreads_its_picks(space) {
        fill(&mut space, &[wrr(4), wrr(2), wrr(1), wrr(1)]);
        let picks = answers(&mut space, 1, 800).replace(' ', "");
        for (element, count) in [('a', 400), ('b', 200), ('c', 100), ('d', 100)] {
            assert_eq!(picks.matches(element).count(), count, "{element}");
        }
        // Every eight answers in a row have their shares, give or take one.
        for window in picks.as_bytes().windows(8) {
            let count = |element| window.iter().filter(|&&pick| pick == element).count();
            assert!((3..=5).contains(&count(b'a')), "{}", window.escape_ascii());
            assert!((1..=3).contains(&count(b'b')), "{}", window.escape_ascii());
            assert!(count(b'c') <= 2 && count(b'd') <= 2, "{}", window.escape_ascii());
        }
    }

    fn weight_zero_is_never_selected(space) {
        fill(&mut space, &[wrr(0), wrr(1)]);
        assert_eq!(answers(&mut space, 2, 3), "b b b");
        register(&mut space, "P", u32::from(b'b'), wrr(0)).unwrap();
        let result = space.resolve(handle("P"), 1, &mut SplitMix64::new(1), |_| true);
        assert_eq!(result, Err(ResolveError::NothingSelectable));
        register(&mut space, "P", u32::from(b'a'), wrr(2)).unwrap();
        assert_eq!(answers(&mut space, 2, 2), "a a");
    }

    fn higher_priorities_come_first_and_equal_ones_take_turns(space) {
        fill(&mut space, &[priority(1), priority(9), priority(9)]);
        assert_eq!(answers(&mut space, 3, 4), "bca cba bca cba");
    }

    fn the_least_used_come_first_and_equal_ones_take_turns(space) {
        fill(&mut space, &[least_used(0), least_used(0), least_used(100)]);
        assert_eq!(answers(&mut space, 3, 4), "abc bac abc bac");
        register(&mut space, "P", u32::from(b'a'), least_used(200)).unwrap();
        assert_eq!(answers(&mut space, 3, 2), "bca bca");
    }

    fn degradation_counts_each_selection_once(space) {
        // RFC 5356 §5.2.2; RSPLIB counts twice and answers "a a a b".
        let tenth = TENTH.0;
        fill(&mut space, &[degrading(0, tenth), degrading(5 * tenth, tenth)]);
        assert_eq!(answers(&mut space, 1, 9), "a a a a a b a b a");
    }

    fn telling_the_load_resets_degradation(space) {
        fill(&mut space, &[degrading(0, 1000), degrading(0, 3000)]);
        assert_eq!(answers(&mut space, 1, 6), "a b a a b a");
        register(&mut space, "P", u32::from(b'a'), degrading(0, 1000)).unwrap();
        assert_eq!(answers(&mut space, 1, 4), "a a a a");
    }

    fn priority_least_used_forgets(space) {
        let half = 5 * TENTH.0;
        let policy = |degradation| Policy::PriorityLeastUsed { load: Load(half), degradation };
        fill(&mut space, &[policy(TENTH), policy(Load(half))]);
        assert_eq!(answers(&mut space, 1, 4), "a a a a");
    }

    fn priority_least_used_sorts_and_equal_ones_take_turns(space) {
        let policy = |load, degradation| Policy::PriorityLeastUsed {
            load: Load(load),
            degradation: Load(degradation),
        };
        // The sums are 9, 5 and 5.
        fill(&mut space, &[policy(1, 8), policy(5, 0), policy(2, 3)]);
        assert_eq!(answers(&mut space, 3, 4), "bca cba bca cba");
        assert_eq!(answers(&mut space, 1, 2), "b c");
    }

    fn several_may_be_charged(space) {
        space.set_charge_max(2);
        fill(&mut space, &[Policy::RoundRobin; 4]);
        assert_eq!(answers(&mut space, 2, 3), "ab cd ab");
        assert_eq!(answers(&mut space, 3, 2), "cda abc");
    }

    fn who_finds_no_room_in_the_answer_is_not_charged(space) {
        fill(&mut space, &[Policy::RoundRobin; 2]);
        let result = space.resolve(handle("P"), 2, &mut SplitMix64::new(1), |_| false);
        assert_eq!(result, Ok(0));
        assert_eq!(answers(&mut space, 1, 2), "a b");
    }

    fn the_first_element_defines_the_pool(space) {
        let tcp = TransportBuf::new(Protocol::Tcp, 7, TransportUse::Data, &[[10, 0, 0, 1].into()]);
        let (tcp, control) = (tcp.unwrap(), sctp(7, TransportUse::DataPlusControl, 1));
        fill(&mut space, &[Policy::RoundRobin]);
        let mut other = |id, policy, user: &_| {
            register_with(&mut space, "P", id, policy, user, HOME).map_err(|error| error.cause())
        };
        // The same tests for a new element (2) and for a known one (a).
        for id in [2, u32::from(b'a')] {
            let plain = sctp(7, TransportUse::Data, 1);
            let rr = Policy::RoundRobin;
            assert_eq!(other(id, Policy::Random, &plain), Err(Cause::INCONSISTENT_POOL_POLICY));
            assert_eq!(other(id, rr, &tcp), Err(Cause::INCONSISTENT_TRANSPORT_TYPE));
            assert_eq!(other(id, rr, &control), Err(Cause::INCONSISTENT_DATA_CONTROL));
        }
        assert_eq!(space.element_count(), 1);
    }

    fn invalid_values_are_refused(space) {
        let portless = sctp(0, TransportUse::Data, 1);
        let result = register_with(&mut space, "P", 1, Policy::Random, &portless, HOME);
        assert_eq!(result.unwrap_err().cause(), Cause::INVALID_VALUES);
        let result = register(&mut space, "P", 0, Policy::Random);
        assert_eq!(result.unwrap_err().cause(), Cause::INVALID_VALUES);
        let policy = Policy::Unknown { policy_type: PolicyType(0xb000_9999) };
        let result = register(&mut space, "P", 1, policy);
        assert_eq!(result.unwrap_err().cause(), Cause::INCONSISTENT_POOL_POLICY);
        assert_eq!((space.element_count(), space.pool_count()), (0, 0));
    }

    fn full_is_lack_of_resources_and_room_comes_back(space) {
        let most = space.storage().slots().elements.len().max(8);
        let mut count = 0;
        let refused = loop {
            match register(&mut space, "P", count + 1, Policy::Random) {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(count as usize >= most);
        assert_eq!(refused, RegistrationError::Full(Resource::Elements));
        assert_eq!(refused.cause(), Cause::LACK_OF_RESOURCES);
        assert_eq!(register(&mut space, "P", 1, Policy::Random), Ok(Outcome::Updated));
        assert!(space.deregister(handle("P"), PeId(1)));
        assert_eq!(register(&mut space, "P", 9999, Policy::Random), Ok(Outcome::New));
        space.check();
    }

    fn pools_owners_and_blocks_have_limits_too(space) {
        let rr = Policy::RoundRobin;
        for pool in ["P", "Q"] {
            assert_eq!(register(&mut space, pool, 1, rr), Ok(Outcome::New));
        }
        let full = |resource| Err(RegistrationError::Full(resource));
        assert_eq!(register(&mut space, "R", 1, rr), full(Resource::Pools));
        let (short, long) = (sctp(7, TransportUse::Data, 1), sctp(7, TransportUse::Data, 8));
        let mut add = |id, user, owner| register_with(&mut space, "P", id, rr, user, owner);
        assert_eq!(add(2, &short, PEER), Ok(Outcome::New));
        assert_eq!(add(3, &short, RegistrarId(3)), full(Resource::Owners));
        assert_eq!(add(3, &long, HOME), Ok(Outcome::New));
        assert_eq!(add(4, &long, HOME), Ok(Outcome::New));
        assert_eq!(add(5, &long, HOME), full(Resource::Blocks));
        assert_eq!(add(3, &long, HOME), Ok(Outcome::Updated));
        assert_eq!(add(4, &short, HOME), Ok(Outcome::Updated));
        assert_eq!(add(5, &long, HOME), Ok(Outcome::New));
        let view = space.element(space.find(handle("P"), PeId(5)).unwrap());
        assert_eq!(view.user_transport().as_bytes(), long.as_transport().as_bytes());
    }

    fn a_pool_vanishes_with_its_last_element(space) {
        fill(&mut space, &[Policy::RoundRobin; 2]);
        assert!(space.deregister(handle("P"), PeId(u32::from(b'a'))));
        assert_eq!(space.pool_count(), 1);
        assert!(space.deregister(handle("P"), PeId(u32::from(b'b'))));
        assert_eq!(space.pool_count(), 0);
        assert!(!space.deregister(handle("P"), PeId(u32::from(b'b'))));
        let result = space.resolve(handle("P"), 1, &mut SplitMix64::new(1), |_| true);
        assert_eq!(result, Err(ResolveError::UnknownPool));
        // The next first element may define it anew.
        assert_eq!(register(&mut space, "P", 1, Policy::Random), Ok(Outcome::New));
    }

    fn checksums_follow_ownership(space) {
        register(&mut space, "PingPongPool", 0xaaaa_0001, Policy::RoundRobin).unwrap();
        let index = space.find(handle("PingPongPool"), PeId(0xaaaa_0001)).unwrap();
        assert_eq!((space.checksum(HOME), space.checksum(PEER)), (0x17d1, 0xffff));
        space.set_owner(index, PEER).unwrap();
        assert_eq!((space.checksum(HOME), space.checksum(PEER)), (0xffff, 0x17d1));
        assert_eq!((space.count_of(HOME), space.count_of(PEER)), (0, 1));
    }

    fn deadlines_come_earliest_first(space) {
        fill(&mut space, &[Policy::RoundRobin; 3]);
        let index = |id: u8| space.find(handle("P"), PeId(u32::from(id))).unwrap();
        let [a, b, c] = [b'a', b'b', b'c'].map(index);
        let at = Instant::from_millis;
        space.set_deadline(a, at(30), DeadlineKind(1));
        space.set_deadline(b, at(20), DeadlineKind(2));
        space.set_deadline(c, at(20), DeadlineKind(3));
        space.set_deadline(a, at(10), DeadlineKind(4));
        assert_eq!(space.next_deadline(), Some(at(10)));
        assert_eq!(space.pop_deadline(at(9)), None);
        assert_eq!(space.pop_deadline(at(20)), Some((a, DeadlineKind(4))));
        assert_eq!(space.pop_deadline(at(20)), Some((b, DeadlineKind(2))));
        space.clear_deadline(c);
        assert_eq!(space.next_deadline(), None);
    }

    fn random_draws_are_in_proportion_to_weight(space) {
        let weights = [1, 2, 3, 0, 4];
        fill(&mut space, &weights.map(|weight| Policy::WeightedRandom { weight }));
        let mut random = SplitMix64::new(0x5eed);
        // Of the first draws, and of all when two are drawn: no repetition, no weight 0.
        let mut firsts = [0.0; 5];
        const DRAWS: u32 = 20_000;
        for _ in 0..DRAWS {
            let mut drawn = Vec::new();
            let count = space.resolve(handle("P"), 4, &mut random, |view| {
                drawn.push(view.pe_id().0 - u32::from(b'a'));
                true
            });
            assert_eq!(count, Ok(4));
            firsts[drawn[0] as usize] += 1.0;
            drawn.sort_unstable();
            assert_eq!(drawn, [0, 1, 2, 4]);
        }
        for (weight, count) in weights.iter().zip(firsts) {
            let expected = f64::from(DRAWS) * f64::from(*weight) / 10.0;
            // Five standard deviations of a binomial distribution are below 350.
            assert!((count - expected).abs() < 350.0, "weight {weight}: {count}");
        }
    }

    fn the_second_draw_is_in_proportion_to_what_is_left(space) {
        fill(&mut space, &[1, 2, 7].map(|weight| Policy::WeightedRandom { weight }));
        let mut random = SplitMix64::new(0x5eed);
        let mut pairs = std::collections::BTreeMap::new();
        const DRAWS: u32 = 20_000;
        for _ in 0..DRAWS {
            let mut pair = String::new();
            let result = space.resolve(handle("P"), 2, &mut random, |view| {
                pair.push(char::from(view.pe_id().0 as u8));
                true
            });
            assert_eq!(result, Ok(2));
            *pairs.entry(pair).or_insert(0) += 1;
        }
        let table = [
            ("ab", 0.1 * 2.0 / 9.0),
            ("ac", 0.1 * 7.0 / 9.0),
            ("ba", 0.2 * 1.0 / 8.0),
            ("bc", 0.2 * 7.0 / 8.0),
            ("ca", 0.7 * 1.0 / 3.0),
            ("cb", 0.7 * 2.0 / 3.0),
        ];
        for (pair, probability) in table {
            let difference = f64::from(pairs[pair]) - f64::from(DRAWS) * probability;
            assert!(difference.abs() < 350.0, "{pair}: {} times", pairs[pair]);
        }
    }
}

#[test]
fn the_elements_of_an_owner_come_in_the_order_of_all_be_they_few_or_many() {
    let mut space = heap(Limits { elements: 1000, pools: 40, owners: 4, blocks: 2 });
    let user = sctp(7, TransportUse::Data, 1);
    for id in 1..=900 {
        let owner = match id % 25 {
            0 => 2,
            1 if id < 200 => 3,
            _ => 1,
        };
        let (pool, owner) = (format!("Pool{}", id * 7 % 37), RegistrarId(owner));
        register_with(&mut space, &pool, id, Policy::RoundRobin, &user, owner).unwrap();
    }
    for (owner, count) in [(1, 856), (2, 36), (3, 8), (4, 0)] {
        let owner = RegistrarId(owner);
        let mut expected = Vec::new();
        space.walk_after(None, None, |view| {
            if view.home() == owner {
                expected.push(view.index());
            }
            true
        });
        assert_eq!(expected.len(), count);
        let mut walked = Vec::new();
        space.walk_after(None, Some(owner), |view| {
            walked.push(view.index());
            true
        });
        assert_eq!(walked, expected);
        // And from each of them on.
        for (place, &index) in expected.iter().enumerate() {
            let view = space.element(index);
            let cursor = Cursor { pool: view.pool().to_buf(), pe_id: view.pe_id() };
            let next = space.next_after(Some(&cursor), Some(owner));
            assert_eq!(next, expected.get(place + 1).copied());
        }
    }
}
