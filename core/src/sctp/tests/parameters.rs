//! Parameters of INIT and INIT ACK: RFC 9260 §3.2.1, §3.3.2, §3.3.3, §5.1.2.

use core::net::IpAddr;
use std::vec;
use std::vec::Vec;

use super::craft::{Bench, PEER, PEER_TAG, Reply, chunk, init_value, packet};
use super::setup::{COOKIE, cookie_ack, cookie_echo, init_ack, opening};
use super::stranger::answer;
use crate::association::DownReason;
use crate::machine::Machine;
use crate::sctp::packet::Tlvs;
use crate::sctp::{Event, Handle};

/// A parameter of five bytes, padded, with these two top bits.
fn unknown(class: u8) -> [u8; 8] {
    [class << 6 | 0x20, 0x77, 0, 5, 9, 0, 0, 0]
}

const HOST_NAME: [u8; 8] = [0, 11, 0, 8, b'a', b'.', b'b', 0];

/// What an INIT ACK has behind its cookie, for an INIT with these parameters; `None` if an ABORT
/// comes back.
fn reported(parameters: &[[u8; 8]]) -> Option<Vec<Vec<u8>>> {
    let replies = answer(0, &[chunk(1, 0, &init_value(PEER_TAG, &parameters.concat()))]);
    let [Reply { tag: PEER_TAG, chunks }] = &replies[..] else { panic!("{replies:?}") };
    let [init_ack] = &chunks[..] else { panic!("{chunks:?}") };
    let tlvs = Tlvs::new(init_ack.get(20..)?);
    (init_ack[0] == 2).then(|| tlvs.skip(1).map(|tlv| tlv.bytes.to_vec()).collect())
}

/// The Unrecognized Parameter that reports it.
fn report(class: u8) -> Vec<u8> {
    [&[0, 8, 0, 9][..], &unknown(class)[..5]].concat()
}

#[test]
fn an_init_with_an_unknown_parameter_of_class_00_is_read_no_further() {
    // The host name behind it would be refused.
    assert_eq!(reported(&[unknown(0), HOST_NAME]), Some(vec![]));
    assert_eq!(reported(&[unknown(3), unknown(0), unknown(3)]), Some(vec![report(3)]));
}

#[test]
fn an_init_with_an_unknown_parameter_of_class_01_is_read_no_further_and_it_is_reported() {
    assert_eq!(reported(&[unknown(1), HOST_NAME]), Some(vec![report(1)]));
    assert_eq!(reported(&[unknown(3), unknown(1), unknown(3)]), Some(vec![report(3), report(1)]));
}

#[test]
fn an_init_with_an_unknown_parameter_of_class_10_is_read_on() {
    assert_eq!(reported(&[unknown(2)]), Some(vec![]));
    assert_eq!(reported(&[unknown(2), HOST_NAME]), None);
    assert_eq!(reported(&[unknown(3), unknown(2), unknown(3)]), Some(vec![report(3); 2]));
}

#[test]
fn an_init_with_an_unknown_parameter_of_class_11_is_read_on_and_it_is_reported() {
    assert_eq!(reported(&[unknown(3)]), Some(vec![report(3)]));
    assert_eq!(reported(&[unknown(3), HOST_NAME]), None);
}

#[test]
fn an_init_ack_with_an_unknown_parameter_is_read_as_its_class_says() {
    for (class, is_reported, stops) in
        [(0, false, true), (1, true, true), (2, false, false), (3, true, false)]
    {
        // Behind the cookie: all is known that must be.
        let mut bench = opening();
        let replies = bench.trade(&[init_ack(&[&COOKIE[..], &unknown(class)].concat())]);
        let mut expected = vec![10];
        expected.extend(is_reported.then_some(9));
        assert_eq!(replies[0].kinds(), expected, "class {class}");
        assert_eq!(replies[0].chunks[0], cookie_echo().chunks[0]);
        if is_reported {
            let cause = [&[0, 8, 0, 12][..], &unknown(class)].concat();
            assert_eq!(replies[0].chunks[1], chunk(9, 0, &cause));
        }
        // Before the cookie: one that stops the reading hides it.
        let mut bench = opening();
        let replies = bench.trade(&[init_ack(&[&unknown(class)[..], &COOKIE].concat())]);
        let first = if stops { 6 } else { 10 };
        assert_eq!(replies[0].kinds()[0], first, "class {class}");
    }
}

#[test]
fn a_host_name_is_refused_wherever_it_stands_and_the_cause_has_it() {
    let mut value = vec![0, 5, 0, 12];
    value.extend(HOST_NAME);
    let abort = Reply { tag: PEER_TAG, chunks: vec![chunk(6, 0, &value)] };
    let types = [0, 12, 0, 8, 0, 5, 0, 6];
    for parameters in [vec![HOST_NAME], vec![types, HOST_NAME], vec![HOST_NAME, unknown(3)]] {
        let parameters = parameters.concat();
        let init = chunk(1, 0, &init_value(PEER_TAG, &parameters));
        assert_eq!(answer(0, &[init]), core::slice::from_ref(&abort));
        let mut bench = opening();
        let replies = bench.trade(&[init_ack(&[&COOKIE[..], &parameters].concat())]);
        assert_eq!(replies, core::slice::from_ref(&abort));
        let [Event::Down { reason, was_up: false, .. }] = bench.host.events[..] else {
            panic!("{:?}", bench.host.events)
        };
        assert_eq!(reason, DownReason::Aborted);
    }
}

fn v4(address: [u8; 4]) -> Vec<u8> {
    [&[0, 5, 0, 8][..], &address].concat()
}

fn v6(address: &str) -> Vec<u8> {
    let address: core::net::Ipv6Addr = address.parse().unwrap();
    [&[0, 6, 0, 20][..], &address.octets()].concat()
}

/// The peer's addresses after an association with these parameters came up.
fn learned(parameters: &[Vec<u8>], is_active: bool) -> Vec<IpAddr> {
    let parameters = parameters.concat();
    let (bench, handle) = match is_active {
        true => {
            let mut bench = opening();
            bench.trade(&[init_ack(&[&COOKIE[..], &parameters].concat())]);
            bench.trade(&[chunk(11, 0, &[])]);
            let handle = bench.handle.unwrap();
            (bench, handle)
        }
        false => {
            let mut bench = Bench::listening();
            let cookie = bench.cookie(&parameters);
            let echo = packet(bench.host_tag, &[chunk(10, 0, &cookie)]);
            bench.give(echo).unwrap();
            let handle = first_up(&mut bench);
            (bench, handle)
        }
    };
    let endpoint = &bench.host.endpoint;
    (0..).map_while(|index| endpoint.path(handle, index)).map(|path| path.remote).collect()
}

fn first_up(bench: &mut Bench) -> Handle {
    match bench.host.endpoint.poll_event() {
        Some(Event::Up { handle, .. }) => handle,
        other => panic!("{other:?}"),
    }
}

#[test]
fn addresses_in_an_init_or_init_ack_are_learned_beside_its_source() {
    for is_active in [false, true] {
        assert_eq!(learned(&[], is_active), [PEER]);
        let two = [v4([10, 0, 0, 77]), v6("2001:db8::1")];
        let expected = [PEER, "10.0.0.77".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(learned(&two, is_active), expected, "{is_active}");
    }
}

#[test]
fn addresses_that_are_no_way_to_a_peer_are_not_learned() {
    let useless = [
        v4([224, 0, 0, 1]),
        v4([255, 255, 255, 255]),
        v4([0, 0, 0, 0]),
        v4([127, 0, 0, 1]),
        v4([10, 0, 0, 9]),
        v6("::"),
        v6("ff02::1"),
        v6("::1"),
        // Addresses of other lengths than an address has.
        vec![0, 5, 0, 4],
        vec![0, 5, 0, 7, 1, 2, 3, 0],
        vec![0, 6, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    for is_active in [false, true] {
        for address in &useless {
            let learned = learned(&[address.clone(), v4([10, 0, 0, 77])], is_active);
            assert_eq!(learned, [PEER, "10.0.0.77".parse().unwrap()], "{address:?}");
        }
    }
}

#[test]
fn an_address_that_is_listed_twice_is_learned_once_and_too_many_are_no_error() {
    for is_active in [false, true] {
        let twice = [v4([10, 0, 0, 77]), v4([10, 0, 0, 77])];
        assert_eq!(learned(&twice, is_active).len(), 2);
        let many: Vec<_> = (100..120).map(|last| v4([10, 0, 0, last])).collect();
        assert_eq!(learned(&many, is_active).len(), 4);
    }
}

#[test]
fn two_peers_may_list_the_same_private_address() {
    let shared = v4([172, 17, 0, 1]);
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&shared);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(PEER_TAG)]);
    let other: IpAddr = "10.0.0.10".parse().unwrap();
    let init = packet(0, &[chunk(1, 0, &init_value(0x0c0c_0c0c, &shared))]);
    bench.give_from(other, init).unwrap();
    let replies = bench.replies();
    assert_eq!((replies[0].tag, replies[0].kinds()), (0x0c0c_0c0c, vec![2]));
    let cookie = Tlvs::new(&replies[0].chunks[0][20..]).next().unwrap().value.to_vec();
    let tag = u32::from_be_bytes(replies[0].chunks[0][4..8].try_into().unwrap());
    bench.give_from(other, packet(tag, &[chunk(10, 0, &cookie)])).unwrap();
    assert_eq!(bench.replies(), [cookie_ack(0x0c0c_0c0c)]);
    let ups = bench.host.events.iter().filter(|event| matches!(event, Event::Up { .. }));
    assert_eq!(ups.count(), 2);
}

#[test]
fn supported_address_types_and_cookie_preservative_change_nothing_for_one_address() {
    for parameters in [
        vec![0, 12, 0, 6, 0, 5, 0, 0],
        vec![0, 12, 0, 6, 0, 6, 0, 0],
        vec![0, 12, 0, 8, 0, 5, 0, 6],
        vec![0, 12, 0, 4],
        vec![0, 9, 0, 8, 0, 0, 0x27, 0x10],
    ] {
        let mut bench = Bench::listening();
        let cookie = bench.cookie(&parameters);
        assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(PEER_TAG)]);
    }
}

#[test]
fn an_init_or_init_ack_that_is_too_short_for_its_fields_is_dropped() {
    for len in 0..16 {
        let init = chunk(1, 0, &init_value(PEER_TAG, &[])[..len]);
        assert_eq!(answer(0, &[init]), [], "{len}");
        let mut bench = opening();
        assert_eq!(bench.trade(&[chunk(2, 0, &init_value(PEER_TAG, &[])[..len])]), []);
        assert_eq!(bench.host.events, []);
    }
}

#[test]
fn parameters_that_do_not_fit_their_chunk_are_never_read_beyond_it() {
    for len in 0..=255 {
        let parameters = [0xc0, 0x77, 0, len, 1, 2, 3, 4];
        let replies = answer(0, &[chunk(1, 0, &init_value(PEER_TAG, &parameters))]);
        for init_ack in replies.iter().flat_map(|reply| &reply.chunks) {
            assert!(init_ack.len() < 300);
        }
    }
}
