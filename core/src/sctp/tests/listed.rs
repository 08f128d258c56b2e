//! Addresses that an INIT lists and that are somebody else's: RFC 9260 §5.1.2, §5.2.2, §5.4. The
//! attacker knows the ports, has an address of its own and sees no packet of others.

use core::net::{IpAddr, Ipv4Addr};
use std::vec::Vec;

use super::craft::{Bench, PEER, PEER_TAG, Reply, chunk, data, init_value, packet};
use super::link::chunk_types;
use crate::sctp::{Event, InputError};

const COOKIE_ACK: u8 = 11;
const ABORT: u8 = 6;
const ATTACKER: IpAddr = v4(66);
const ATTACKER_TAG: u32 = 0x0a0a_0a0a;
/// The last byte of the address of [`PEER`].
const VICTIM: u8 = 9;

const fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// Addresses as an INIT lists them.
fn listed(lasts: &[u8]) -> Vec<u8> {
    lasts.iter().flat_map(|&last| [0, 5, 0, 8, 10, 0, 0, last]).collect()
}

/// Sends an INIT; the tag and cookie of the INIT ACK, or what else came.
fn init_from(
    bench: &mut Bench,
    from: IpAddr,
    tag: u32,
    lasts: &[u8],
) -> Result<(u32, Vec<u8>), Vec<Reply>> {
    let init = chunk(1, 0, &init_value(tag, &listed(lasts)));
    let _ = bench.give_from(from, packet(0, &[init]));
    let replies = bench.replies();
    let Some(init_ack) = replies.first().map(|reply| &reply.chunks[0]) else {
        return Err(replies);
    };
    if init_ack[0] != 2 {
        return Err(replies);
    }
    let own_tag = u32::from_be_bytes(init_ack[4..8].try_into().unwrap());
    let cookie = crate::sctp::packet::Tlvs::new(&init_ack[20..]).next().unwrap();
    Ok((own_tag, cookie.value.to_vec()))
}

fn echo(
    bench: &mut Bench,
    from: IpAddr,
    (tag, cookie): &(u32, Vec<u8>),
) -> Result<(), InputError> {
    bench.give_from(from, packet(*tag, &[chunk(10, 0, cookie)]))
}

/// Where the host sends chunks of a kind now.
fn ways_of(bench: &mut Bench, kind: u8) -> Vec<IpAddr> {
    let sent = bench.host.drain().into_iter();
    sent.filter(|sent| chunk_types(sent).contains(&kind)).map(|sent| sent.packet.remote).collect()
}

fn up_count(bench: &Bench) -> usize {
    bench.host.events.iter().filter(|event| matches!(event, Event::Up { .. })).count()
}

fn assert_peer_is_heard(bench: &mut Bench) {
    let before = bench.host.messages.len();
    assert_eq!(bench.give(packet(bench.host_tag, &[data(1_000, b"hello")])), Ok(()));
    let _ = bench.replies();
    assert_eq!(bench.host.messages.len(), before + 1);
}

#[test]
fn an_init_cannot_hide_the_address_of_another_behind_repetitions() {
    let mut bench = Bench::established();
    let lasts = [67, 67, 67, 67, 67, 67, 67, 67, VICTIM];
    let refused = init_from(&mut bench, ATTACKER, ATTACKER_TAG, &lasts).unwrap_err();
    assert_eq!(refused[0].kinds(), [ABORT]);
    assert_peer_is_heard(&mut bench);
}

#[test]
fn an_init_cannot_hide_the_address_of_another_behind_one_that_nobody_confirmed() {
    let mut bench = Bench::established();
    // An association of the attacker that lists 10.0.0.67, where nobody answers.
    let cookie = init_from(&mut bench, ATTACKER, ATTACKER_TAG, &[67]).unwrap();
    assert_eq!(echo(&mut bench, ATTACKER, &cookie), Ok(()));
    let _ = bench.replies();
    let refused = init_from(&mut bench, v4(68), ATTACKER_TAG, &[67, VICTIM]).unwrap_err();
    assert_eq!(refused[0].kinds(), [ABORT]);
    assert_peer_is_heard(&mut bench);
}

#[test]
fn a_cookie_is_refused_if_an_address_that_its_init_listed_is_anothers_by_now() {
    let mut bench = Bench::listening();
    let cookie = init_from(&mut bench, ATTACKER, ATTACKER_TAG, &[VICTIM]).unwrap();
    let own = bench.cookie(&[]);
    assert_eq!(bench.give(packet(bench.host_tag, &[chunk(10, 0, &own)])), Ok(()));
    let _ = bench.replies();
    assert_eq!(echo(&mut bench, ATTACKER, &cookie), Err(InputError::OutOfPlace));
    assert_eq!(bench.replies(), []);
    assert_eq!(up_count(&bench), 1);
    assert_peer_is_heard(&mut bench);
}

#[test]
fn who_lists_the_address_of_a_peer_with_many_addresses_takes_nothing_from_it() {
    let mut bench = Bench::listening();
    // More than are kept: such a peer may write from where we do not know it.
    let own = bench.cookie(&listed(&[101, 102, 103, 104, 105]));
    assert_eq!(bench.give(packet(bench.host_tag, &[chunk(10, 0, &own)])), Ok(()));
    let _ = bench.replies();
    let cookie = init_from(&mut bench, ATTACKER, ATTACKER_TAG, &[VICTIM]).unwrap();
    assert_eq!(echo(&mut bench, ATTACKER, &cookie), Ok(()));
    let _ = bench.replies();
    assert_peer_is_heard(&mut bench);
    // It can also begin anew: its INIT is no stranger's.
    let (tag, cookie) = init_from(&mut bench, PEER, 0x0c0c_0c0c, &[101, 102]).unwrap();
    assert_eq!(echo(&mut bench, PEER, &(tag, cookie)), Ok(()));
    assert_eq!(ways_of(&mut bench, COOKIE_ACK), [PEER]);
    assert_eq!(up_count(&bench), 2);
    assert!(bench.host.events.iter().any(|event| matches!(event, Event::Restarted { .. })));
}

#[test]
fn who_lists_the_address_of_somebody_keeps_it_from_no_association() {
    let mut bench = Bench::listening();
    let cookie = init_from(&mut bench, ATTACKER, ATTACKER_TAG, &[VICTIM]).unwrap();
    assert_eq!(echo(&mut bench, ATTACKER, &cookie), Ok(()));
    let _ = bench.replies();
    let own = init_from(&mut bench, PEER, PEER_TAG, &[]).unwrap();
    bench.host_tag = own.0;
    assert_eq!(echo(&mut bench, PEER, &own), Ok(()));
    assert_eq!(ways_of(&mut bench, COOKIE_ACK), [PEER]);
    assert_eq!(up_count(&bench), 2);
    assert!(!bench.host.events.iter().any(|event| matches!(event, Event::Restarted { .. })));
    assert_peer_is_heard(&mut bench);
}

#[test]
fn a_restart_begins_with_the_address_that_its_cookie_went_to() {
    let mut bench = Bench::listening();
    let own = bench.cookie(&listed(&[10, 11]));
    assert_eq!(bench.give(packet(bench.host_tag, &[chunk(10, 0, &own)])), Ok(()));
    let _ = bench.replies();
    let Some(&Event::Up { handle, .. }) = bench.host.events.first() else { panic!() };
    // The peer begins anew at 10.0.0.10, which nobody has confirmed, and lists where it is known
    // to be. It has one address less.
    let cookie = init_from(&mut bench, v4(10), 0x0c0c_0c0c, &[VICTIM]).unwrap();
    assert_eq!(echo(&mut bench, v4(10), &cookie), Ok(()));
    assert_eq!(ways_of(&mut bench, COOKIE_ACK), [v4(10)]);
    assert_eq!(up_count(&bench), 1);
    assert_eq!(bench.host.events[1..], [Event::Restarted { handle }]);
    let paths = (0..).map_while(|index| bench.host.endpoint.path(handle, index));
    let paths: Vec<_> = paths
        .map(|path| (path.remote, path.is_confirmed, path.is_primary, path.is_active))
        .collect();
    assert_eq!(paths, [(v4(10), true, true, true), (PEER, false, false, false)]);
}
