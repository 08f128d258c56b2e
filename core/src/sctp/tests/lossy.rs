//! Whole lives of associations over a network that loses, repeats and delays packets.

use core::time::Duration;
use std::vec::Vec;

use super::link::{Host, InFlight};
use crate::association::{DownReason, Ppid, StreamId};
use crate::entropy::{Entropy, SplitMix64};
use crate::machine::Machine;
use crate::sctp::{Config, Event, Handle, SendError};
use crate::time::Instant;

/// Two hosts, and the packets between them with the time that each arrives at.
struct Network {
    hosts: [Host; 2],
    flying: Vec<(Instant, usize, InFlight)>,
    random: SplitMix64,
    loss_percent: u64,
}

impl Network {
    fn new(seed: u64, loss_percent: u64) -> Self {
        let mut hosts = [Host::new(1, Config::DEFAULT), Host::new(2, Config::DEFAULT)];
        hosts[1].endpoint.listen(3_863).unwrap();
        Self { hosts, flying: Vec::new(), random: SplitMix64::new(seed), loss_percent }
    }

    fn drain(&mut self) {
        for from in 0..2 {
            for sent in self.hosts[from].drain() {
                for _ in 0..=u64::from(self.random.below(50) == 0) {
                    if self.random.below(100) >= self.loss_percent {
                        let delay = Duration::from_millis(5 + self.random.below(20));
                        let at = self.hosts[from].now + delay;
                        self.flying.push((at, 1 - from, sent.clone()));
                    }
                }
            }
        }
    }

    /// Goes on to the next packet or deadline; whether there was one.
    fn step(&mut self) -> bool {
        self.drain();
        let deadline = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout()).min();
        let first = self.flying.iter().enumerate().min_by_key(|(_, flying)| flying.0);
        let first = first.map(|(index, &(at, ..))| (index, at));
        let Some(now) = Instant::earliest(deadline, first.map(|(_, at)| at)) else {
            return false;
        };
        for host in &mut self.hosts {
            host.now = host.now.max(now);
        }
        match first {
            Some((index, at)) if at <= now => {
                let (_, to, sent) = self.flying.swap_remove(index);
                let from = self.hosts[1 - to].address;
                let _ = self.hosts[to].take_in(from, &sent);
            }
            _ => self.hosts.iter_mut().for_each(|host| host.endpoint.handle_timeout(now)),
        }
        self.drain();
        true
    }
}

fn message(index: usize) -> Vec<u8> {
    let len = 1 + index * 97 % 1_900;
    (0..len).map(|at| (at + index) as u8).collect()
}

/// Both sides send `count` messages, then the first shuts down; gives how long that took.
fn life(seed: u64, loss_percent: u64, count: usize) -> Duration {
    let mut network = Network::new(seed, loss_percent);
    let remote = network.hosts[1].socket_address(3_863);
    let mut handles: [Option<Handle>; 2] = [None; 2];
    network.hosts[0].connect(5_000, remote);
    let mut sent = [0; 2];
    let mut is_shut_down = false;
    for _ in 0..1_000_000 {
        for at in 0..2 {
            let host = &mut network.hosts[at];
            if let Some(Event::Up { handle, .. }) = host.events.first() {
                handles[at] = Some(*handle);
            }
            let Some(handle) = handles[at] else { continue };
            while sent[at] < count {
                let data = message(sent[at]);
                let result =
                    host.endpoint.send(host.now, handle, StreamId(1), Ppid(1), false, &data);
                match result {
                    Ok(()) => sent[at] += 1,
                    Err(SendError::Full) => break,
                    Err(error) => panic!("seed {seed}: {error} after {:?}", host.events),
                }
            }
        }
        let is_done = network.hosts.iter().all(|host| host.messages.len() == count);
        if is_done && !is_shut_down {
            is_shut_down = true;
            let host = &mut network.hosts[0];
            host.endpoint.shutdown(host.now, handles[0].unwrap()).unwrap();
        }
        if !network.step() {
            break;
        }
    }
    for host in &network.hosts {
        let expected: Vec<_> =
            (0..count).map(|index| (StreamId(1), Ppid(1), message(index))).collect();
        assert_eq!(host.messages.len(), count, "seed {seed}: {:?}", host.events);
        assert!(host.messages == expected, "seed {seed}");
        let last = host.events.last();
        let reason = DownReason::Shutdown;
        assert!(matches!(last, Some(Event::Down { reason: r, .. }) if *r == reason), "{last:?}");
    }
    network.hosts[0].now.saturating_duration_since(Instant::from_millis(1_000))
}

#[test]
fn all_arrives_over_a_perfect_network() {
    let took = life(1, 0, 200);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn all_arrives_with_20_percent_loss() {
    let spans: Vec<_> = (0..20).map(|seed| life(seed, 20, 60)).collect();
    assert!(spans.iter().all(|&span| span < Duration::from_secs(1_200)), "{spans:?}");
}
