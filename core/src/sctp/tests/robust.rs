//! What hostile bytes, random drivers and hostile networks cannot do.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{Bench, PEER_TAG, chunk, data, init_value, packet};
use super::link::{Host, InFlight, run_for};
use crate::association::{Ppid, StreamId};
use crate::entropy::{Entropy, SplitMix64};
use crate::machine::Machine;
use crate::sctp::{Config, Event};

/// One packet of each kind, for the tag `tag`.
fn samples(bench: &Bench, cookie: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let tag = bench.host_tag;
    let acked = bench.has_received(0);
    let sack = [&acked[..], &[0, 1, 0, 0, 0, 1, 0, 1, 0, 2, 0, 3, 0, 0, 0, 9]].concat();
    let unknown_parameter = [0xc0, 0x77, 0, 5, 9, 0, 0, 0];
    [
        (0, chunk(1, 0, &init_value(PEER_TAG, &unknown_parameter))),
        (tag, chunk(2, 0, &init_value(PEER_TAG, &[0, 7, 0, 8, 1, 2, 3, 4]))),
        (tag, chunk(10, 0, cookie)),
        (tag, chunk(11, 0, &[])),
        (tag, data(1_000, b"hello")),
        (tag, chunk(3, 0, &sack)),
        (tag, chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4])),
        (tag, chunk(5, 0, &[0, 1, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8])),
        (tag, chunk(6, 0, &[0, 12, 0, 6, 1, 2])),
        (tag, chunk(7, 0, &acked)),
        (tag, chunk(8, 0, &[])),
        (tag, chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1])),
        (tag, chunk(14, 0, &[])),
        (tag, chunk(0xff, 0, &[1, 2, 3])),
    ]
    .into()
}

#[test]
fn no_truncation_panics() {
    let mut bench = Bench::established();
    let cookie = [0x55; 116];
    let samples = samples(&bench, &cookie);
    for (tag, chunks) in samples {
        for len in 0..chunks.len() {
            let mut bench = Bench { host_tag: bench.host_tag, ..Bench::established() };
            let _ = bench.give(packet(tag, &[chunks[..len].to_vec()]));
            let _ = bench.replies();
        }
    }
    for len in 0..12 {
        assert!(bench.give(vec![0; len]).is_err());
    }
}

#[test]
fn no_mutation_panics() {
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let mut bench = Bench::established();
        let samples = samples(&bench, &[0x55; 116]);
        for _ in 0..30 {
            let count = 1 + random.below(4) as usize;
            let mut chunks = Vec::new();
            for _ in 0..count {
                let index = random.below(samples.len() as u64) as usize;
                let mut chunk = samples[index].1.clone();
                for _ in 0..random.below(4) {
                    let at = random.below(chunk.len() as u64) as usize;
                    chunk[at] = random.next_u32() as u8;
                }
                chunks.push(chunk);
            }
            let tag = if random.below(8) == 0 { 0 } else { bench.host_tag };
            let _ = bench.give(packet(tag, &chunks));
            let _ = bench.replies();
            if random.below(4) == 0 {
                bench.host.let_pass(Duration::from_millis(random.below(3_000)));
            }
        }
    }
}

#[test]
fn no_random_bytes_panic() {
    let mut random = SplitMix64::new(11);
    let mut bench = Bench::established();
    for _ in 0..20_000 {
        let mut body = vec![0; random.below(80) as usize];
        random.fill(&mut body);
        let _ = bench.give(packet(bench.host_tag, &[body]));
        let _ = bench.replies();
    }
}

/// The contract: whatever comes in whatever order, a drained machine is silent, its next deadline
/// lies ahead, and it stays within its storage.
#[test]
fn the_machine_contract_holds_with_random_inputs() {
    for seed in 0..60 {
        let mut random = SplitMix64::new(seed);
        let mut hosts = [Host::new(1, Config::DEFAULT), Host::new(2, Config::DEFAULT)];
        hosts.iter_mut().for_each(|host| host.endpoint.listen(3_863).unwrap());
        let mut wire: Vec<(usize, InFlight)> = Vec::new();
        let mut handles = [Vec::new(), Vec::new()];
        for _ in 0..400 {
            let at = random.below(2) as usize;
            let remote = hosts[1 - at].socket_address(3_863);
            let (from, host) = (hosts[1 - at].address, &mut hosts[at]);
            act(&mut random, host, &handles[at], remote);
            for _ in 0..random.below(4) {
                if wire.is_empty() {
                    break;
                }
                let index = random.below(wire.len() as u64) as usize;
                let (to, sent) = wire.swap_remove(index);
                if to == at && random.below(10) > 0 {
                    let _ = host.take_in(from, &sent);
                }
            }
            wire.extend(host.drain().into_iter().map(|sent| (1 - at, sent)));
            assert!(host.endpoint.poll_event().is_none(), "seed {seed}");
            host.endpoint.handle_timeout(host.now);
            wire.extend(host.drain().into_iter().map(|sent| (1 - at, sent)));
            let next = host.endpoint.poll_timeout();
            assert!(next.is_none_or(|next| next > host.now), "seed {seed}: {next:?}");
            handles[at].extend(host.events.drain(..).filter_map(|event| match event {
                Event::Up { handle, .. } => Some(handle),
                _ => None,
            }));
        }
    }
}

fn act(
    random: &mut SplitMix64,
    host: &mut Host,
    handles: &[crate::sctp::Handle],
    remote: core::net::SocketAddr,
) {
    let now = host.now;
    let index = random.below(handles.len().max(1) as u64) as usize;
    let handle = handles.get(index).copied();
    match (random.below(12), handle) {
        (0, _) => {
            let udp = Some(super::link::UDP);
            let connect = crate::sctp::Connect { local_port: 0, remote, udp };
            let _ = host.endpoint.connect(now, connect);
        }
        (1, Some(handle)) => {
            let _ = host.endpoint.shutdown(now, handle);
        }
        (2, Some(handle)) => {
            let _ = host.endpoint.abort(now, handle);
        }
        (3..=7, Some(handle)) => {
            let data = vec![7; 1 + random.below(2_100) as usize];
            let stream = StreamId(random.below(6) as u16);
            let unordered = random.below(2) == 0;
            let _ = host.endpoint.send(now, handle, stream, Ppid(1), unordered, &data);
        }
        _ => {
            host.now = now + Duration::from_millis(random.below(2_000));
            host.endpoint.handle_timeout(host.now);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let life = || {
        let (mut a, mut b, handle, _) = super::link::connected();
        a.endpoint.send(a.now, handle, StreamId(0), Ppid(1), false, &[9; 1_900]).unwrap();
        let sent = a.drain();
        let _ = run_for(&mut a, &mut b, Duration::from_secs(100));
        std::format!("{sent:?} {:?}", a.endpoint)
    };
    assert_eq!(life(), life());
}
