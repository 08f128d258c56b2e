//! What crashes RSPLIB, or makes it lose elements, does nothing to us: the registrar, a pool
//! element and a pool user go on as before.

use std::net::SocketAddr;

use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::asap::{
    self, PoolElement, PoolElementConfig, PoolElementStatus, PoolUser, PoolUserConfig,
    PoolUserEvent, UserTransport,
};
use rserpool_core::association::{AssociationId, Endpoint, Input, Ppid, StreamId, Transmit};
use rserpool_core::enrp::{Config, InputError};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::identifier::PoolHandle;
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::time::Instant;
use rserpool_core::wire::{Cause, Load, Policy};
use rserpool_tests::registrar::*;

const NOW: Instant = Instant::from_millis(1_000);
const HOME: AssociationId = AssociationId(1);
const PROFILES: [Profile; 2] = [Profile::Rsplib, Profile::Rfc];

/// A registrar with an element on association 1.
fn registrar(profile: Profile) -> Bench<HeapStorage> {
    let mut bench =
        Bench::new(Config::new(profile), HeapStorage::new(HeapLimits::for_elements(100)));
    bench.up(1, &["10.0.0.1"]);
    bench.registers(1, "EchoPool", 1, Policy::RoundRobin);
    bench
}

/// The registrar answers on the association of old.
fn assert_serves(bench: &mut Bench<HeapStorage>) {
    bench.said();
    assert_eq!(bench.resolves(1, "EchoPool", Some(1)), [1]);
    bench.registrar.handlespace().check();
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Drains a machine that is connected as association 1 as soon as it wants to be.
fn drain<M>(machine: &mut M) -> Vec<Vec<u8>>
where
    M: for<'a> Machine<Input<'a> = Input<'a>, Transmit = Transmit, Error = asap::InputError>,
{
    let (mut buf, mut said) = ([0; 512], Vec::new());
    while let Some(transmit) = machine.poll_transmit(NOW, &mut buf) {
        match transmit {
            Transmit::Connect { connect, .. } => {
                let (peer_addresses, peer_port) = (&[ip("10.0.0.9")], 3_863);
                let connect = Some(connect);
                let up = Input::Up { association: HOME, connect, peer_addresses, peer_port };
                machine.handle_input(NOW, up).expect("it wanted that");
            }
            Transmit::Message { association: HOME, len, .. } => said.push(buf[..len].to_vec()),
            other => panic!("{other:?}"),
        }
    }
    said
}

fn hears<M>(machine: &mut M, data: &[u8]) -> Result<(), asap::InputError>
where
    M: for<'a> Machine<Input<'a> = Input<'a>, Error = asap::InputError>,
{
    let (association, stream, ppid) = (HOME, StreamId(0), Ppid::ASAP);
    machine.handle_input(NOW, Input::Message { association, stream, ppid, data })
}

fn home() -> Endpoint {
    Endpoint::new(SocketAddr::from(([10, 0, 0, 9], 3_863)))
}

/// An element of EchoPool with the identifier 1, registered.
fn pool_element() -> PoolElement {
    let mut config = PoolElementConfig::new(Profile::Rsplib);
    config.pe_id = Some(rserpool_core::identifier::PeId(1));
    let mut element = PoolElement::new(config, &mut SplitMix64::new(1));
    element.add_registrar(&home()).unwrap();
    let service = UserTransport::sctp(Endpoint::new(SocketAddr::from(([10, 0, 0, 1], 4_000))));
    element.register(NOW, handle("EchoPool"), &service, Policy::RoundRobin).unwrap();
    assert_eq!(drain(&mut element).len(), 1);
    hears(&mut element, &registered("EchoPool", 1)).unwrap();
    assert_eq!(element.status(), PoolElementStatus::Registered);
    drain(&mut element);
    element
}

/// A user that has asked for EchoPool.
fn pool_user() -> PoolUser {
    let mut user = PoolUser::new(PoolUserConfig::new(Profile::Rsplib), &mut SplitMix64::new(1));
    user.add_registrar(&home()).unwrap();
    user.resolve(NOW, handle("EchoPool"), Some(4)).unwrap();
    assert_eq!(drain(&mut user), [resolve("EchoPool", Some(4))]);
    assert!(matches!(user.poll_event(), Some(PoolUserEvent::RegistrarFound { .. })));
    user
}

/// The user takes a sound answer after all.
fn assert_resolves(user: &mut PoolUser) {
    hears(user, &resolved(Policy::RoundRobin, &[element("EchoPool", 1)])).unwrap();
    assert!(matches!(user.poll_event(), Some(PoolUserEvent::Resolved { .. })));
    assert_eq!(user.elements(handle("EchoPool")).len(), 1);
}

/// A message whose pool handle has 33 bytes: the type, the words before the handle, and what
/// follows it.
fn with_33_bytes(kind: u8, before: &str, after: &str) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(hex(before));
    message.extend([0, 9, 0, 37]);
    message.extend([b'x'; 33]);
    message.extend([0; 3]);
    message.extend(hex(after));
    let [.., high, low] = message.len().to_be_bytes();
    (message[2], message[3]) = (high, low);
    message
}

const PE_ID: &str = "000e0008 00000001";

#[test]
fn a_handle_of_33_bytes_is_refused_by_a_registrar() {
    let element = "000a0028 00000001 00000000 00015f90
        00040010 0fa00001 00010008 0a000001 00080008 00000001";
    for profile in PROFILES {
        let mut bench = registrar(profile);
        let parameter = &with_33_bytes(0, "", "")[4..41];
        for (kind, after) in
            [(1, element), (2, PE_ID), (5, ""), (5, "803f0008 00000001"), (8, PE_ID), (9, PE_ID)]
        {
            let message = with_33_bytes(kind, "", after);
            assert_eq!(bench.hears(1, message), Err(InputError::Malformed), "type {kind}");
            let refusal = error(Cause::INVALID_VALUES, parameter);
            assert_eq!(bench.said(), [Said::Message(1, refusal)], "type {kind}");
            assert_serves(&mut bench);
        }
    }
}

#[test]
fn a_handle_of_33_bytes_is_refused_by_a_pool_element() {
    let mut element = pool_element();
    for (kind, before, after) in [(3, "", PE_ID), (4, "", PE_ID), (7, "11111111", PE_ID)] {
        let message = with_33_bytes(kind, before, after);
        let refused = hears(&mut element, &message);
        let cause = Some(Cause::INVALID_VALUES);
        assert_eq!(refused, Err(asap::InputError::Malformed { cause }), "type {kind}");
        assert_eq!(drain(&mut element).len(), 1, "an error");
        assert_eq!(element.status(), PoolElementStatus::Registered);
    }
    hears(&mut element, &keep_alive("EchoPool", 1)).unwrap();
    assert_eq!(drain(&mut element), [alive("EchoPool", 1)]);
}

#[test]
fn a_handle_of_33_bytes_is_refused_by_a_pool_user() {
    let mut user = pool_user();
    let refused = hears(&mut user, &with_33_bytes(6, "", "000c0008 00090004"));
    let cause = Some(Cause::INVALID_VALUES);
    assert_eq!(refused, Err(asap::InputError::Malformed { cause }));
    assert_eq!(drain(&mut user).len(), 1, "an error");
    assert_resolves(&mut user);
    assert!(PoolHandle::new(&[b'x'; 33]).is_err(), "and it cannot ask for one");
}

#[test]
fn weights_of_zero_leave_nothing_to_select() {
    for policy in [
        Policy::WeightedRandom { weight: 0 },
        Policy::WeightedRoundRobin { weight: 0 },
        Policy::WeightedRandomDpf { weight: 0, dpf: Load(1), distance: 0 },
    ] {
        let mut bench = registrar(Profile::Rsplib);
        bench.up(2, &["10.0.0.2"]);
        bench.registers(2, "Weights", 2, policy);
        bench.hears(1, resolve("Weights", Some(3))).unwrap();
        let answer = not_resolved("Weights", Cause::LACK_OF_RESOURCES);
        assert_eq!(bench.said(), [Said::Message(1, answer)], "{policy:?}");
        bench.hears(1, subscribe("Weights", Some(3))).unwrap();
        let answer = not_resolved("Weights", Cause::LACK_OF_RESOURCES);
        assert_eq!(bench.said(), [Said::Message(1, answer)], "{policy:?}");
        assert_serves(&mut bench);
    }
}

#[test]
fn weights_of_zero_in_an_answer_are_taken_by_a_pool_user() {
    let mut user = pool_user();
    let policy = Policy::WeightedRandom { weight: 0 };
    let none = Element { policy, ..element("EchoPool", 1) };
    hears(&mut user, &resolved(policy, &[none])).unwrap();
    assert!(matches!(user.poll_event(), Some(PoolUserEvent::Resolved { .. })));
    // From its cache, too.
    for _ in 0..3 {
        user.resolve(NOW, handle("EchoPool"), Some(1)).unwrap();
        drain(&mut user);
    }
}

#[test]
fn policies_mixed_in_one_answer_are_sorted_out_by_a_pool_user() {
    let mut user = pool_user();
    let priority = Policy::Priority { priority: 7 };
    let mixed = [
        element("EchoPool", 1),
        Element { policy: priority, ..element("EchoPool", 2) },
        element("EchoPool", 3),
    ];
    hears(&mut user, &resolved(Policy::RoundRobin, &mixed)).unwrap();
    assert!(matches!(user.poll_event(), Some(PoolUserEvent::Resolved { .. })));
    let known = user.elements(handle("EchoPool")).iter().map(|element| element.id.0);
    assert!(known.eq([1, 3]));
}

#[test]
fn policies_mixed_in_one_pool_are_refused_by_a_registrar() {
    let mut bench = registrar(Profile::Rsplib);
    let policy = Policy::Priority { priority: 7 };
    let mixed =
        register(&Element { policy, addresses: vec![ip("10.0.0.1")], ..element("EchoPool", 2) });
    let cause = Cause::INCONSISTENT_POOL_POLICY;
    assert_eq!(bench.hears(1, mixed), Err(InputError::Rejected(cause)));
    assert_serves(&mut bench);
}

#[test]
fn policies_known_by_name_only_are_refused_by_a_registrar() {
    // PriorityLeastUsedDPF and PriorityLeastUsedDegradationDPF.
    for kind in ["b0002004", "b0002005"] {
        let mut bench = registrar(Profile::Rsplib);
        let message = hex(&format!(
            "01000044 0009000a 4e6577506f6f 0000
             000a0034 00000007 00000000 00015f90
             00040010 0fa00001 00010008 0a000001 00080014 {kind} 00000000 00000000 00000000"
        ));
        let cause = Cause::INCONSISTENT_POOL_POLICY;
        assert_eq!(bench.hears(1, message), Err(InputError::Rejected(cause)), "{kind}");
        assert_serves(&mut bench);
    }
}

#[test]
fn an_address_of_255_is_not_loopback_and_not_usable() {
    let mut bench = registrar(Profile::Rsplib);
    let far = Element { addresses: vec![ip("255.1.2.3")], ..element("EchoPool", 5) };
    let cause = Cause::INVALID_VALUES;
    assert_eq!(bench.hears(1, register(&far)), Err(InputError::Rejected(cause)));
    assert_serves(&mut bench);
}

#[test]
fn the_padding_of_skipped_parameters_is_skipped() {
    let mut bench = registrar(Profile::Rsplib);
    // A parameter of 5 bytes that may be skipped, between the handle and the option.
    let message = hex("05000024 0009000c 4563686f506f6f6c 80990005 01000000 803f0008 00000001");
    let message = [&message[..2], &[0, 32], &message[4..]].concat();
    bench.hears(1, message).unwrap();
    let said = bench.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_serves(&mut bench);
}
