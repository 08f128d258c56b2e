//! Several registrars in one scope: they agree, and they take over from each other.

use std::time::Duration;

use rserpool_core::enrp::{Event, Limit};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::identifier::{PoolHandle, RegistrarId};
use rserpool_core::profile::Profile;
use rserpool_core::wire::{Load, Policy};
use rserpool_tests::scope::{Node, Scope};

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

/// Blows from a seed, then calm: in the end all registrars that live agree, and each element that
/// lives has exactly one home.
fn swarm(seed: u64) {
    let mut random = SplitMix64::new(seed);
    let mut below = |end: u64| random.below(end);
    let profile = if below(4) == 0 { Profile::Rfc } else { Profile::Rsplib };
    let mut scope = Scope::new(profile, seed);
    scope.is_stubborn = true;
    let nodes = registrars(&mut scope, 3);
    let (mut elements, mut dead, mut paused) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 + below(9) {
        let first = below(3) as usize;
        let hunted = [nodes[first], nodes[(first + 1) % 3], nodes[(first + 2) % 3]];
        let pool = ["Pool A", "Pool B"][below(2) as usize];
        elements.push(scope.add_element(&hunted, pool, Policy::LeastUsed { load: Load(7) }));
    }
    scope.run_for(Duration::from_millis(below(3_000)));
    for _ in 0..4 + below(12) {
        let node = nodes[below(3) as usize];
        match below(9) {
            0 if dead.len() + paused.len() < 2 && !paused.contains(&node) => {
                scope.kill(node);
                dead.push(node);
            }
            1 | 2 => {
                if let Some(node) = dead.pop() {
                    restart(&mut scope, &nodes, node);
                }
            }
            3 if !dead.contains(&node) => {
                scope.pause(node);
                paused.push(node);
            }
            4 => paused.drain(..).for_each(|node| scope.resume(node)),
            5 => scope.cut(node, nodes[below(3) as usize]),
            6 => scope.mend(),
            7 if elements.len() > 1 => {
                let element = elements.swap_remove(below(elements.len() as u64) as usize);
                scope.kill(element);
            }
            _ => drop(scope.cut_one()),
        }
        scope.run_for(Duration::from_millis(below(20_000)));
    }
    scope.mend();
    paused.into_iter().for_each(|node| scope.resume(node));
    dead.into_iter().for_each(|node| restart(&mut scope, &nodes, node));
    let calm = if profile == Profile::Rfc { 600 } else { 180 };
    scope.run_for(calm * SECOND);
    assert_agreement(&scope, &nodes, elements.len());
    for &node in &nodes {
        let beliefs = scope.beliefs(node);
        assert!(beliefs.iter().all(|(_, _, home)| IDS.contains(&home.0)), "{beliefs:?}");
    }
}

fn restart(scope: &mut Scope, nodes: &[Node], node: Node) {
    let place = nodes.iter().position(|&other| other == node).expect("one of them");
    let others: Vec<Node> = nodes.iter().copied().filter(|&other| other != node).collect();
    scope.restart_peer_registrar(node, IDS[place], &others);
}

#[test]
fn whatever_happens_all_agree_in_the_end() {
    let seeds = std::env::var("RSERPOOL_SEEDS").ok().and_then(|text| text.parse().ok());
    let first = std::env::var("RSERPOOL_SEED").ok().and_then(|text| text.parse().ok());
    let first: u64 = first.unwrap_or(1);
    for seed in first..first + seeds.unwrap_or(60) {
        let result = std::panic::catch_unwind(|| swarm(seed));
        if let Err(panic) = result {
            eprintln!(
                "seed {seed}: RSERPOOL_SEED={seed} RSERPOOL_SEEDS=1 cargo test -p rserpool-tests \
                 --test peers whatever"
            );
            std::panic::resume_unwind(panic);
        }
    }
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
