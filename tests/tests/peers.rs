//! Several registrars in one scope: they agree, and they take over from each other.

use std::net::IpAddr;
use std::time::Duration;

use rserpool_core::enrp::{Config, Event, Limit};
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::profile::Profile;
use rserpool_core::wire::{Load, Policy};
use rserpool_tests::scope::{Node, Scope, TableSizes};

const SECOND: Duration = Duration::from_secs(1);
const IDS: [u32; 4] = [0x1111_1111, 0x2222_2222, 0x3333_3333, 0x4444_4444];

/// Registrars that all name each other.
fn registrars(scope: &mut Scope, count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for &id in &IDS[..count] {
        let node = scope.add_peer_registrar(id, &nodes);
        nodes.push(node);
        scope.run_for(SECOND);
    }
    nodes
}

fn homes(scope: &Scope, node: Node) -> Vec<u32> {
    scope.beliefs(node).into_iter().map(|(_, _, RegistrarId(home))| home).collect()
}

/// All of `nodes` believe the same, and each element has a home among `homes`.
fn assert_agreement(scope: &Scope, nodes: &[Node], elements: usize) {
    let first = scope.beliefs(nodes[0]);
    assert_eq!(first.len(), elements, "{first:?}");
    for &node in nodes {
        assert_eq!(scope.beliefs(node), first);
        scope.registrar(node).handlespace().check();
    }
}

#[test]
fn what_registers_at_one_is_known_at_all() {
    let mut scope = Scope::new(Profile::Rsplib, 1);
    let nodes = registrars(&mut scope, 3);
    for place in 0..6 {
        scope.add_element(&[nodes[place % 3]], "Pool", Policy::RoundRobin);
    }
    scope.run_for(SECOND);
    assert_agreement(&scope, &nodes, 6);
    let mut homes = homes(&scope, nodes[0]);
    homes.sort_unstable();
    assert_eq!(homes, [IDS[0], IDS[0], IDS[1], IDS[1], IDS[2], IDS[2]]);
    let audits: u64 = nodes.iter().map(|&it| scope.registrar(it).counters().audits_failed).sum();
    scope.run_for(60 * SECOND);
    assert_agreement(&scope, &nodes, 6);
    let later: u64 = nodes.iter().map(|&it| scope.registrar(it).counters().audits_failed).sum();
    assert_eq!(audits, later, "nothing to repair");
}

#[test]
fn a_late_registrar_gets_the_whole_table() {
    let mut scope = Scope::new(Profile::Rsplib, 2);
    let nodes = registrars(&mut scope, 2);
    for place in 0..300 {
        scope.add_element(&[nodes[place % 2]], &format!("Pool {}", place % 7), Policy::Random);
    }
    scope.run_for(3 * SECOND);
    // It knows one of them, and learns of the other.
    let late = scope.add_peer_registrar(IDS[2], &nodes[..1]);
    scope.run_for(SECOND);
    assert!(scope.registrar(late).has_joined());
    assert_agreement(&scope, &[nodes[0], nodes[1], late], 300);
    scope.add_element(&[nodes[1]], "Pool 1", Policy::Random);
    scope.run_for(SECOND);
    assert_agreement(&scope, &[nodes[0], nodes[1], late], 301);
}

#[test]
fn two_suffice_for_a_takeover() {
    for profile in [Profile::Rsplib, Profile::Rfc] {
        let mut scope = Scope::new(profile, 3);
        let nodes = registrars(&mut scope, 2);
        let both = [nodes[0], nodes[1]];
        for _ in 0..5 {
            scope.add_element(&both[..1], "Pool", Policy::RoundRobin);
        }
        scope.run_for(2 * SECOND);
        assert_eq!(homes(&scope, nodes[1]), [IDS[0]; 5]);
        scope.kill(nodes[0]);
        scope.run_for(2 * SECOND);
        assert_eq!(homes(&scope, nodes[1]), [IDS[1]; 5], "{profile:?}");
        let counters = *scope.registrar(nodes[1]).counters();
        assert_eq!((counters.takeovers, counters.adoptions), (1, 5));
        // And they stay.
        scope.run_for(120 * SECOND);
        assert_eq!(homes(&scope, nodes[1]), [IDS[1]; 5]);
    }
}

#[test]
fn an_unplugged_registrar_is_noticed_by_its_silence() {
    let mut scope = Scope::new(Profile::Rsplib, 4);
    let nodes = registrars(&mut scope, 3);
    for _ in 0..9 {
        scope.add_element(&[nodes[0]], "Pool", Policy::RoundRobin);
    }
    scope.run_for(2 * SECOND);
    scope.unplug(nodes[0]);
    // Its last presence may be 2.75 s old.
    scope.run_for(7 * SECOND);
    assert_eq!(homes(&scope, nodes[1]), [IDS[0]; 9], "too early");
    scope.run_for(4 * SECOND);
    assert_agreement(&scope, &nodes[1..], 9);
    // In RSPLIB's scope the smaller identifier wins.
    assert_eq!(homes(&scope, nodes[1]), [IDS[1]; 9]);
}

#[test]
fn a_revived_registrar_cannot_delete_what_it_lost() {
    let mut scope = Scope::new(Profile::Rsplib, 5);
    let nodes = registrars(&mut scope, 3);
    for _ in 0..4 {
        scope.add_element(&[nodes[0]], "Pool", Policy::RoundRobin);
    }
    scope.run_for(2 * SECOND);
    scope.pause(nodes[0]);
    scope.run_for(30 * SECOND);
    assert_agreement(&scope, &nodes[1..], 4);
    assert_eq!(homes(&scope, nodes[1]), [IDS[1]; 4]);
    scope.resume(nodes[0]);
    for _ in 0..100 {
        scope.run_for(SECOND / 10);
        assert_eq!(scope.beliefs(nodes[1]).len(), 4);
        assert_eq!(scope.beliefs(nodes[2]).len(), 4);
    }
    scope.run_for(30 * SECOND);
    assert_agreement(&scope, &nodes, 4);
}

#[test]
fn who_stops_hands_its_elements_over() {
    let mut scope = Scope::new(Profile::Rsplib, 6);
    let nodes = registrars(&mut scope, 3);
    for _ in 0..8 {
        scope.add_element(&[nodes[0]], "Pool", Policy::RoundRobin);
    }
    scope.run_for(2 * SECOND);
    scope.stop_registrar(nodes[0]);
    scope.run_for(SECOND);
    assert!(scope.registrar(nodes[0]).is_stopped());
    assert_agreement(&scope, &nodes[1..], 8);
    assert!(homes(&scope, nodes[1]).iter().all(|&home| home != IDS[0]));
}

#[test]
fn a_split_scope_agrees_again() {
    let mut scope = Scope::new(Profile::Rsplib, 7);
    let nodes = registrars(&mut scope, 3);
    for place in 0..6 {
        scope.add_element(&[nodes[place % 3]], "Pool", Policy::RoundRobin);
    }
    scope.run_for(2 * SECOND);
    scope.cut(nodes[0], nodes[1]);
    scope.cut(nodes[0], nodes[2]);
    scope.run_for(40 * SECOND);
    scope.mend();
    scope.run_for(60 * SECOND);
    assert_agreement(&scope, &nodes, 6);
}

#[test]
fn a_registrar_that_restarts_in_place_finds_its_elements_again() {
    let mut scope = Scope::new(Profile::Rsplib, 8);
    let nodes = registrars(&mut scope, 2);
    for _ in 0..3 {
        scope.add_element(&nodes[..1], "Pool", Policy::RoundRobin);
    }
    scope.run_for(2 * SECOND);
    scope.kill(nodes[0]);
    scope.restart_peer_registrar(nodes[0], IDS[0], &nodes[1..]);
    scope.run_for(60 * SECOND);
    assert_agreement(&scope, &nodes, 3);
}

#[test]
fn elements_that_cannot_be_entered_are_told() {
    let mut scope = Scope::new(Profile::Rsplib, 9);
    let nodes = registrars(&mut scope, 2);
    scope.cut(nodes[0], nodes[1]);
    scope.add_element(&nodes[..1], "Pool", Policy::RoundRobin);
    scope.add_element(&nodes[1..], "Pool", Policy::Random);
    scope.run_for(SECOND);
    scope.mend();
    scope.run_for(30 * SECOND);
    let unlearnable: u64 =
        nodes.iter().map(|&it| scope.registrar(it).counters().unlearnable).sum();
    assert!(unlearnable > 0);
    let is_full = |event: &Event| matches!(event, Event::Limited { limit: Limit::Elements, .. });
    assert!(!scope.registrar_events.iter().any(is_full));
}

#[test]
fn a_registrar_that_wakes_up_cannot_delete_by_what_it_reads_late() {
    let mut scope = Scope::new(Profile::Rsplib, 10);
    let nodes = registrars(&mut scope, 3);
    scope.add_element(&nodes, "Pool", Policy::RoundRobin);
    scope.run_for(2 * SECOND);
    let home = homes(&scope, nodes[0])[0];
    let first = IDS.iter().position(|&id| id == home).expect("one of them");
    // It is stopped just before the element renews its registration, which it will read when it
    // goes on, and behind it that the element has left the association.
    scope.run_for(26 * SECOND);
    scope.pause(nodes[first]);
    scope.run_for(25 * SECOND);
    let others: Vec<Node> = nodes.iter().copied().filter(|&node| node != nodes[first]).collect();
    assert_agreement(&scope, &others, 1);
    scope.resume(nodes[first]);
    scope.run_for(SECOND / 10);
    for _ in 0..100 {
        assert_agreement(&scope, &nodes, 1);
        scope.run_for(SECOND / 10);
    }
}

#[test]
fn associations_with_elements_that_do_not_want_to_be_taken_over_end() {
    let mut scope = Scope::new(Profile::Rsplib, 11);
    let nodes = registrars(&mut scope, 2);
    let element = scope.add_element(&nodes[..1], "Pool", Policy::RoundRobin);
    scope.run_for(2 * SECOND);
    // The one registrar does not hear that the element leaves, and takes the other for dead.
    scope.cut(nodes[0], nodes[1]);
    let now = scope.now;
    scope.with_element(element, |element| element.deregister(now)).expect("it is registered");
    scope.run_for(60 * SECOND);
    assert_agreement(&scope, &nodes[1..], 0);
    assert_eq!(scope.registrar(nodes[1]).association_count(), 0);
}

#[test]
fn distances_add_up_from_registrar_to_registrar() {
    let mut scope = Scope::new(Profile::Rsplib, 31);
    let nodes = registrars(&mut scope, 2);
    scope.move_away(nodes[1], Duration::from_millis(100));
    let policy = Policy::LeastUsedDpf { load: Load(0), dpf: Load(1_000), distance: 0 };
    let near = scope.add_element(&[nodes[0]], "Pool", policy);
    let far = scope.add_element(&[nodes[0]], "Pool", policy);
    scope.move_away(far, Duration::from_millis(50));
    // Keep-alives of 5 s measure the way to the elements, and are followed by updates.
    scope.run_for(20 * SECOND);
    let distances = |node| {
        let space = scope.registrar(node).handlespace();
        [near, far].map(|element| {
            let pe_id = scope.element(element).pe_id();
            let index = space.find(PoolHandle::new(b"Pool").unwrap(), pe_id).unwrap();
            space.element(index).policy().distance().unwrap()
        })
    };
    assert_eq!(distances(nodes[0]), [0, 50]);
    assert_eq!(distances(nodes[1]), [100, 150]);
}

#[test]
fn elements_spread_to_a_registrar_that_comes_late_if_takeovers_are_suggested() {
    for is_suggested in [false, true] {
        let mut scope = Scope::new(Profile::Rsplib, 41);
        let add = |scope: &mut Scope, id, peers: &[Node]| {
            let mut config = Config::new(Profile::Rsplib);
            config.identifier = RegistrarId(id);
            config.suggest_takeover = is_suggested;
            scope.add_registrar_with(config, peers)
        };
        let first = add(&mut scope, IDS[0], &[]);
        scope.run_for(SECOND);
        let elements: Vec<Node> =
            (0..12).map(|_| scope.add_element(&[first], "Pool", Policy::RoundRobin)).collect();
        scope.run_for(SECOND);
        let second = add(&mut scope, IDS[1], &[first]);
        // Suggested are those that register again, every 30 s.
        scope.run_for(120 * SECOND);
        assert_agreement(&scope, &[first, second], 12);
        let best = |element: &Node| {
            let PeId(id) = scope.element(*element).pe_id();
            if is_suggested && IDS[1] ^ id > IDS[0] ^ id { IDS[1] } else { IDS[0] }
        };
        let mut expected: Vec<u32> = elements.iter().map(best).collect();
        let mut homes = homes(&scope, first);
        expected.sort_unstable();
        homes.sort_unstable();
        assert_eq!(homes, expected);
        assert_eq!(homes.contains(&IDS[1]), is_suggested);
    }
}

/// Two registrars name each other, or one the other, by this address, another, or both.
fn ways_to_name(node: Node) -> [Vec<IpAddr>; 4] {
    let (one, other) = (node.address(), node.other_address());
    [vec![], vec![one], vec![other], vec![other, one]]
}

#[test]
fn registrars_that_reach_each_other_at_once_keep_one_association() {
    let mut seed = 0;
    let mut wrong = Vec::new();
    for profile in [Profile::Rsplib, Profile::Rfc] {
        for (there, here) in (0..4).flat_map(|there| (0..4).map(move |here| (there, here))) {
            // The later one is started up to 12 ms later; a way takes up to 5 ms.
            let lags = (0..12).step_by(3).filter(|_| there + here > 0);
            for lag in lags {
                for ids in [[1, 3], [3, 1]] {
                    seed += 1;
                    let found = reach_each_other(profile, seed, ids, [there, here], lag);
                    if !found.is_empty() {
                        let at = format!("{profile:?} {seed}: {ids:?} {there} {here} {lag} ms");
                        wrong.push(format!("{at}: {found}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seed}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong in the end.
fn reach_each_other(
    profile: Profile,
    seed: u64,
    ids: [u32; 2],
    ways: [usize; 2],
    lag: u64,
) -> String {
    let mut scope = Scope::new(profile, seed);
    let nodes = [scope.add_empty(), scope.add_empty()];
    for place in [0, 1] {
        let mut config = Config::new(profile);
        config.identifier = RegistrarId(ids[place]);
        let peers = &ways_to_name(nodes[1 - place])[ways[place]];
        scope.start_registrar_among(nodes[place], config, TableSizes::AMPLE, peers);
        scope.add_element(&[nodes[place]], "Pool", Policy::RoundRobin);
        scope.run_for(Duration::from_millis(lag));
    }
    let mut wrong = String::new();
    let mut check = |is_right: bool, what: &str| {
        if !is_right {
            wrong += what;
        }
    };
    let agree = |scope: &Scope| {
        let agreed = scope.beliefs(nodes[0]);
        agreed.len() == 2 && scope.beliefs(nodes[1]) == agreed
    };
    scope.run_for(10 * SECOND);
    check(agree(&scope), "no agreement; ");
    let ever = scope.associations_ever();
    // One of the two, one with each element, and those of which nothing came.
    check(ever <= 8, &format!("{ever} associations; "));
    for _ in 0..20 {
        scope.run_for(10 * SECOND);
        check(agree(&scope), "no agreement later; ");
    }
    let later = scope.associations_ever() - ever;
    check(later == 0, &format!("{later} associations later; "));
    let left = scope.association_count();
    check(left == 3, &format!("{left} associations left; "));
    for event in &scope.registrar_events {
        let is_trouble = matches!(event, Event::TakeoverStarted { .. } | Event::PeerDown { .. });
        check(!is_trouble, &format!("{event:?}; "));
    }
    wrong
}
