//! Registrars that are found by their announces: whole scopes without configuration, floods of
//! forged announces, and what RSPLIB's registrars were recorded to say.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rserpool::capture::{Capture, Carrier};
use rserpool_core::asap::{PoolElement, PoolElementConfig, UserTransport};
use rserpool_core::association::{Endpoint, Ppid, Transmit};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::identifier::PoolHandle;
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::time::Instant;
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::{Load, Policy};
use rserpool_tests::scope::{Node, Scope};

const PROFILES: [Profile; 2] = [Profile::Rsplib, Profile::Rfc];
const WAIT: Duration = Duration::from_secs(20);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn count(scope: &Scope, registrar: Node) -> usize {
    scope.registrar(registrar).handlespace().element_count()
}

#[test]
fn a_scope_configures_itself() {
    for profile in PROFILES {
        let mut scope = Scope::new(profile, 1);
        let elements: Vec<Node> =
            (0..4).map(|_| scope.add_element(&[], "Pool", Policy::RoundRobin)).collect();
        let user = scope.add_user(&[]);
        scope.run_for(seconds(3));
        let registrar = scope.add_announced_registrar();
        scope.run_for(seconds(3));
        assert_eq!(count(&scope, registrar), 4);
        let found: BTreeSet<IpAddr> =
            (0..4).map(|_| scope.resolve(user, "Pool", WAIT).expect("resolved")[0]).collect();
        assert_eq!(found, elements.iter().map(|element| element.address()).collect());
        // Announces go on, and nobody changes its home for them.
        scope.run_for(seconds(600));
        assert_eq!(count(&scope, registrar), 4);
        assert_eq!(scope.registrar(registrar).counters().removals, 0);
    }
}

#[test]
fn another_announced_registrar_takes_the_place_of_a_dead_one() {
    for profile in PROFILES {
        for seed in 1..20 {
            println!("seed {seed}");
            let mut scope = Scope::new(profile, seed);
            // Announces are datagrams: every fourth gets lost.
            scope.weather.datagram_loss = 64;
            let first = scope.add_announced_registrar();
            scope.add_element(&[], "Pool", Policy::RoundRobin);
            scope.run_for(seconds(10));
            assert_eq!(count(&scope, first), 1);
            let second = scope.add_announced_registrar();
            scope.run_for(seconds(10));
            scope.kill(first);
            scope.run_for(seconds(70));
            assert_eq!(count(&scope, second), 1);
        }
    }
}

#[test]
fn a_configured_registrar_is_preferred_to_an_announced_one() {
    for seed in 1..20 {
        let mut scope = Scope::new(Profile::Rsplib, seed);
        let configured = scope.add_registrar();
        let announced = scope.add_announced_registrar();
        scope.run_for(seconds(2));
        scope.kill(configured);
        scope.add_element(&[configured], "Pool", Policy::RoundRobin);
        scope.run_for(seconds(2));
        assert_eq!(count(&scope, announced), 1, "seed {seed}: the configured one is dead");
        scope.restart_registrar(configured);
        scope.add_element(&[configured], "Pool", Policy::RoundRobin);
        scope.run_for(seconds(2));
        assert_eq!(count(&scope, configured), 1, "seed {seed}");
    }
}

#[test]
fn forged_announces_do_not_keep_elements_from_their_registrars() {
    for seed in 1..10 {
        println!("seed {seed}");
        let mut scope = Scope::new(Profile::Rsplib, seed);
        let configured = scope.add_registrar();
        let element = scope.add_element(&[configured], "Pool", Policy::RoundRobin);
        let homeless = scope.add_element(&[], "Pool", Policy::RoundRobin);
        let announced = scope.add_announced_registrar();
        for round in 0_u32..20_000 {
            let [_, b, c, d] = round.to_be_bytes();
            // Each from another source, 1000 of them a second, and nobody is there.
            let source = SocketAddr::from(([192, b, c, d], 3_863));
            scope.flood(source, &[10, 0, 0, 8, 66, b, c, d]);
            scope.run_for(Duration::from_millis(1));
            if round == 10_000 {
                scope.kill(configured);
                scope.run_for(Duration::from_millis(50));
                scope.restart_registrar(configured);
            }
        }
        let home = scope.element(element).pe_id();
        let holds = |registrar: Node, id| {
            let mut held = false;
            scope.registrar(registrar).handlespace().walk_after(None, None, |view| {
                held |= view.pe_id() == id;
                true
            });
            held
        };
        // While its own one was dead it may have found the other.
        assert!(holds(configured, home) || holds(announced, home));
        assert!(holds(announced, scope.element(homeless).pe_id()), "it announced itself first");
    }
}

fn captures(prefix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let entries = fs::read_dir(folder).expect("the captures");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".pcapng") && name.starts_with(prefix)
    });
    paths.sort();
    paths
}

/// The announces of a capture, and where its elements and users sent their first request.
fn recorded(path: &Path) -> (Vec<(SocketAddr, Vec<u8>)>, Option<SocketAddr>) {
    let (mut announces, mut asked) = (Vec::new(), None);
    for message in Capture::open(path).expect("a capture") {
        let message = message.expect("a frame");
        match message.carrier {
            Carrier::Udp if message.data.first() == Some(&10) => {
                announces.push((message.source, message.data));
            }
            Carrier::Sctp { ppid: Ppid::ASAP, .. } if matches!(message.data[0], 1 | 5) => {
                asked = asked.or(Some(message.destination));
            }
            _ => {}
        }
    }
    (announces, asked)
}

/// Where an element that hears only this announce looks for its registrar.
fn hunted(source: SocketAddr, announce: &[u8]) -> Option<SocketAddr> {
    let config = PoolElementConfig::new(Profile::Rsplib);
    let mut element = PoolElement::new(config, &mut SplitMix64::new(1));
    let now = Instant::from_millis(1);
    element.handle_announce(now, source, announce).ok()?;
    let pool = PoolHandle::new(b"Pool").expect("a handle");
    let service = UserTransport::sctp(Endpoint::new(SocketAddr::from(([10, 77, 0, 21], 4_000))));
    element.register(now, pool, &service, Policy::LeastUsed { load: Load(0) }).expect("taken");
    match element.poll_transmit(now, &mut [0; 512]) {
        Some(Transmit::Connect { endpoint, .. }) => {
            Some(SocketAddr::new(endpoint.addresses[0], endpoint.port))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rsplibs_registrars_are_found_where_its_own_elements_find_them() {
    let mut seen = 0;
    for path in captures("") {
        let (announces, asked) = recorded(&path);
        for (source, announce) in announces {
            // RSPLIB takes server information in an announce; the RFC does not, and nobody sends
            // it.
            if path.ends_with("crafted-announce-2.pcapng") {
                assert_eq!(hunted(source, &announce), None);
                continue;
            }
            let found = hunted(source, &announce).expect("a registrar");
            assert!(matches!(AsapMessage::parse(&announce), Ok(AsapMessage::ServerAnnounce(_))));
            // RSPLIB's registrars, and the ones made by hand, announce themselves alone.
            let is_crafted = path.to_string_lossy().contains("crafted-announce");
            match asked {
                Some(asked) if is_crafted => assert_eq!(found, asked, "{}", path.display()),
                _ => assert_eq!(found, source, "{}", path.display()),
            }
            seen += 1;
        }
    }
    assert!(seen > 1_000, "{seen}");
}
