//! A whole scope: a registrar, pool elements and pool users find each other, fail and go on.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rserpool_core::enrp::{Event, RemovalReason};
use rserpool_core::identifier::PoolHandle;
use rserpool_core::profile::Profile;
use rserpool_core::wire::Policy;
use rserpool_tests::scope::{Node, Scope};

const PROFILES: [Profile; 2] = [Profile::Rsplib, Profile::Rfc];
const WAIT: Duration = Duration::from_secs(20);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn started(profile: Profile, seed: u64, elements: usize) -> (Scope, Node, Vec<Node>, Node) {
    let mut scope = Scope::new(profile, seed);
    let registrar = scope.add_registrar();
    let elements: Vec<Node> = (0..elements)
        .map(|_| scope.add_element(&[registrar], "Pool", Policy::RoundRobin))
        .collect();
    let user = scope.add_user(&[registrar]);
    scope.run_for(seconds(1));
    (scope, registrar, elements, user)
}

fn count(scope: &Scope, registrar: Node) -> usize {
    scope.registrar(registrar).handlespace().element_count()
}

fn removals(scope: &mut Scope) -> Vec<RemovalReason> {
    let events = std::mem::take(&mut scope.registrar_events);
    let reasons = events.into_iter().filter_map(|event| match event {
        Event::ElementRemoved { reason, .. } => Some(reason),
        _ => None,
    });
    reasons.collect()
}

/// What a pool user does: resolves, and reports elements that do not answer, until one does.
fn served(scope: &mut Scope, user: Node) -> Option<IpAddr> {
    for _ in 0..10 {
        let found = scope.resolve(user, "Pool", WAIT)?;
        let address = *found.first()?;
        if scope.is_alive(address) {
            return Some(address);
        }
        let pool = PoolHandle::new(b"Pool").unwrap();
        let now = scope.now;
        let dead = scope.with_user(user, |user| {
            let element = user.elements(pool).first().expect("resolved").id;
            user.report_unreachable(now, pool, element).map(|()| element)
        });
        assert!(dead.is_ok());
        scope.run_for(ms(250));
    }
    None
}

#[test]
fn users_are_spread_over_the_elements() {
    for profile in PROFILES {
        let (mut scope, registrar, elements, user) = started(profile, 1, 5);
        assert_eq!(count(&scope, registrar), 5);
        let served: BTreeSet<IpAddr> =
            (0..5).map(|_| served(&mut scope, user).expect("served")).collect();
        assert_eq!(served, elements.iter().map(|element| element.address()).collect());
    }
}

#[test]
fn an_hour_of_quiet_loses_nobody() {
    for profile in PROFILES {
        let (mut scope, registrar, elements, user) = started(profile, 2, 20);
        scope.run_for(seconds(3_600));
        assert_eq!(count(&scope, registrar), 20);
        assert_eq!(removals(&mut scope), []);
        let counters = *scope.registrar(registrar).counters();
        assert_eq!(counters.keep_alive_timeouts, 0);
        // Now and then a registration crosses a keep-alive, and its acknowledgement is late.
        assert!(counters.keep_alives - counters.keep_alive_acks < 20, "{counters:?}");
        assert!(counters.reregistrations > 20 * 3, "{counters:?}");
        assert!(served(&mut scope, user).is_some());
        for element in elements {
            let now = scope.now;
            scope.with_element(element, |element| element.deregister(now)).unwrap();
        }
        scope.run_for(seconds(1));
        assert_eq!(count(&scope, registrar), 0);
        assert!(removals(&mut scope).iter().all(|&reason| reason == RemovalReason::Deregistered));
    }
}

#[test]
fn a_killed_element_is_gone_at_once() {
    for profile in PROFILES {
        let (mut scope, registrar, elements, user) = started(profile, 3, 3);
        scope.kill(elements[1]);
        scope.run_for(ms(20));
        assert_eq!(count(&scope, registrar), 2);
        for _ in 0..6 {
            let address = served(&mut scope, user).expect("served");
            assert_ne!(address, elements[1].address());
        }
    }
}

#[test]
fn an_unplugged_element_is_found_out_by_its_first_user() {
    for profile in PROFILES {
        let (mut scope, registrar, elements, user) = started(profile, 4, 3);
        scope.unplug(elements[0]);
        for _ in 0..3 {
            assert_ne!(served(&mut scope, user), None, "the others serve meanwhile");
        }
        // The probe fails after keep_alive_timeout.
        scope.run_for(seconds(6));
        assert_eq!(count(&scope, registrar), 2);
        assert_eq!(removals(&mut scope), [RemovalReason::Unreachable]);
    }
}

#[test]
fn an_unplugged_element_is_found_out_without_users() {
    for (profile, within) in [(Profile::Rsplib, 13), (Profile::Rfc, 51)] {
        let (mut scope, registrar, elements, _) = started(profile, 5, 3);
        scope.unplug(elements[2]);
        scope.run_for(seconds(within));
        assert_eq!(count(&scope, registrar), 2);
        assert_eq!(removals(&mut scope), [RemovalReason::KeepAliveTimeout]);
    }
}

#[test]
fn elements_come_back_to_a_registrar_that_has_forgotten_them() {
    for profile in PROFILES {
        let (mut scope, registrar, _, user) = started(profile, 6, 10);
        scope.kill(registrar);
        scope.run_for(seconds(3));
        scope.restart_registrar(registrar);
        scope.run_for(seconds(120));
        assert_eq!(count(&scope, registrar), 10);
        assert!(served(&mut scope, user).is_some());
    }
}

#[test]
fn cut_associations_do_not_last() {
    for profile in PROFILES {
        for seed in 100..110 {
            println!("seed {seed}");
            let (mut scope, registrar, elements, user) = started(profile, seed, 8);
            for _ in 0..60 {
                scope.cut_one();
                scope.run_for(ms(700));
                assert!(count(&scope, registrar) <= 8);
            }
            scope.run_for(seconds(120));
            assert_eq!(count(&scope, registrar), 8);
            let found: BTreeSet<IpAddr> =
                (0..8).filter_map(|_| served(&mut scope, user)).collect();
            assert_eq!(found, elements.iter().map(|element| element.address()).collect());
            // Nothing piles up.
            assert!(scope.association_count() <= 9, "{}", scope.association_count());
            let of_registrar = scope.registrar(registrar).association_count();
            assert_eq!(of_registrar as usize, scope.association_count());
        }
    }
}

#[test]
fn many_elements_and_users_at_once() {
    let mut scope = Scope::new(Profile::Rsplib, 7);
    let registrar = scope.add_registrar();
    let pools = ["Alpha", "Beta", "Pool"];
    let policies = [Policy::RoundRobin, Policy::Random, Policy::WeightedRoundRobin { weight: 3 }];
    for place in 0..90 {
        scope.add_element(&[registrar], pools[place % 3], policies[place % 3]);
    }
    let users: Vec<Node> = (0..40).map(|_| scope.add_user(&[registrar])).collect();
    scope.run_for(seconds(2));
    assert_eq!(count(&scope, registrar), 90);
    assert_eq!(scope.registrar(registrar).handlespace().pool_count(), 3);
    let mut found = BTreeSet::new();
    for &user in &users {
        found.extend(served(&mut scope, user));
    }
    assert_eq!(found.len(), 30, "weighted round robin with equal weights goes round");
    assert_eq!(removals(&mut scope), []);
}

#[test]
fn the_same_seed_is_the_same_scope() {
    let digest = |seed| {
        let (mut scope, registrar, elements, user) = started(Profile::Rsplib, seed, 6);
        scope.unplug(elements[3]);
        for _ in 0..30 {
            scope.cut_one();
            served(&mut scope, user);
            scope.run_for(ms(900));
        }
        (scope.message_count, format!("{:?}", scope.registrar(registrar).counters()))
    };
    assert_eq!(digest(8), digest(8));
    assert_ne!(digest(8), digest(9));
}

/// The addresses that a user believes to be in the pool it watches, in the order of numbers.
fn watched(scope: &mut Scope, user: Node) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = scope.with_user(user, |user| {
        let elements = user.elements(PoolHandle::new(b"Pool").unwrap()).iter();
        elements.map(|element| element.transport.endpoint.addresses[0]).collect()
    });
    addresses.sort_unstable();
    addresses
}

#[test]
fn a_user_that_watches_knows_of_each_change_and_survives_its_registrar() {
    for profile in PROFILES {
        let (mut scope, registrar, mut elements, user) = started(profile, 23, 2);
        let addresses = |elements: &[Node]| -> Vec<IpAddr> {
            elements.iter().map(|it| it.address()).collect()
        };
        let pool = PoolHandle::new(b"Pool").unwrap();
        let now = scope.now;
        scope.with_user(user, |user| user.watch(now, pool)).unwrap();
        scope.run_for(seconds(1));
        assert_eq!(watched(&mut scope, user), addresses(&elements));
        elements.push(scope.add_element(&[registrar], "Pool", Policy::RoundRobin));
        scope.run_for(seconds(1));
        assert_eq!(watched(&mut scope, user), addresses(&elements));
        scope.kill(elements.remove(0));
        scope.run_for(seconds(1));
        assert_eq!(watched(&mut scope, user), addresses(&elements));
        // The registrar forgets who wants to be told; elements and user come back to it.
        scope.kill(registrar);
        scope.run_for(seconds(2));
        scope.restart_registrar(registrar);
        scope.run_for(seconds(120));
        elements.push(scope.add_element(&[registrar], "Pool", Policy::RoundRobin));
        scope.run_for(seconds(2));
        assert_eq!(watched(&mut scope, user), addresses(&elements), "{profile:?}");
        assert!(scope.registrar(registrar).subscription_count() == 1);
    }
}
