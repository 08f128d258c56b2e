//! Several addresses on both sides: RFC 9260 §5.4, §6.4, §8.2, §8.3, RFC 7829.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::link::{Host, InFlight, chunk_types};
use crate::association::{DownReason, Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Config, Event, Handle, PathError, PathStatus};
use crate::time::Instant;

/// Two hosts on several networks. Host n has the address 10.i.0.n on network i.
struct Networks {
    hosts: [Host; 2],
    /// Whether network i carries packets.
    is_up: [bool; 3],
    /// Network and chunk types of each packet that was sent, and by whom.
    trace: Vec<(usize, usize, Vec<u8>)>,
}

const A: usize = 0;
const B: usize = 1;
const HEARTBEAT: u8 = 4;

fn address(network: usize, host: usize) -> IpAddr {
    Ipv4Addr::new(10, network as u8, 0, host as u8 + 1).into()
}

fn network_of(remote: IpAddr) -> usize {
    match remote {
        IpAddr::V4(address) => usize::from(address.octets()[1]),
        IpAddr::V6(_) => panic!("{remote}"),
    }
}

impl Networks {
    fn new(config: Config) -> Self {
        let mut hosts = [Host::new(1, config), Host::new(2, config)];
        for (index, host) in hosts.iter_mut().enumerate() {
            let addresses = [address(0, index), address(1, index)];
            host.endpoint.set_addresses(&addresses).unwrap();
        }
        hosts[B].endpoint.listen(3_863).unwrap();
        Self { hosts, is_up: [true; 3], trace: Vec::new() }
    }

    /// An association that is up, its paths confirmed, and what was said until then forgotten.
    fn connected(config: Config) -> (Self, [Handle; 2]) {
        let mut networks = Self::new(config);
        let remote = networks.hosts[B].socket_address(3_863);
        let handle = networks.hosts[A].connect(5_000, remote);
        networks.run_for(Duration::from_secs(5));
        let Some(&Event::Up { handle: other, .. }) = networks.hosts[B].events.first() else {
            panic!("{:?}", networks.hosts[B].events)
        };
        networks.forget();
        (networks, [handle, other])
    }

    fn forget(&mut self) {
        self.trace.clear();
        self.hosts.iter_mut().for_each(|host| host.events.clear());
    }

    fn carry(&mut self, from: usize, sent: &InFlight) {
        let network = network_of(sent.packet.remote);
        self.trace.push((from, network, chunk_types(sent)));
        let to = 1 - from;
        if self.is_up[network] && sent.packet.remote == address(network, to) {
            let host = &mut self.hosts[to];
            host.address = sent.packet.remote;
            let _ = host.take_in(address(network, from), sent);
        }
    }

    fn run(&mut self) {
        loop {
            let [from_a, from_b] = [A, B].map(|host| self.hosts[host].drain());
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            from_a.iter().for_each(|sent| self.carry(A, sent));
            from_b.iter().for_each(|sent| self.carry(B, sent));
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.hosts[A].now + span;
        self.run();
        loop {
            let timeouts = [A, B].map(|host| self.hosts[host].endpoint.poll_timeout());
            let next = Instant::earliest(timeouts[0], timeouts[1]);
            let next = next.filter(|&next| next <= end).unwrap_or(end).max(self.hosts[A].now);
            for host in &mut self.hosts {
                host.now = next;
                host.endpoint.handle_timeout(next);
            }
            self.run();
            if next == end {
                return;
            }
        }
    }

    fn send(&mut self, handle: Handle, text: &[u8]) {
        let host = &mut self.hosts[A];
        host.endpoint.send(host.now, handle, StreamId(0), Ppid::ASAP, false, text).unwrap();
    }

    fn paths(&self, host: usize, handle: Handle) -> Vec<PathStatus> {
        let endpoint = &self.hosts[host].endpoint;
        (0..).map_while(|index| endpoint.path(handle, index)).collect()
    }

    /// The networks that packets of `from` with a chunk of this type took.
    fn ways_of(&self, from: usize, kind: u8) -> Vec<usize> {
        let is_wanted =
            |(host, _, kinds): &&(usize, usize, Vec<u8>)| *host == from && kinds.contains(&kind);
        self.trace.iter().filter(is_wanted).map(|&(_, network, _)| network).collect()
    }

    fn path_events(&self, host: usize) -> Vec<(usize, bool)> {
        let events = self.hosts[host].events.iter();
        events
            .filter_map(|event| match *event {
                Event::Path { remote, is_reachable, .. } => {
                    Some((network_of(remote), is_reachable))
                }
                _ => None,
            })
            .collect()
    }
}

#[test]
fn both_sides_learn_and_confirm_all_addresses() {
    let (networks, handles) = Networks::connected(Config::DEFAULT);
    for host in [A, B] {
        let paths = networks.paths(host, handles[host]);
        let remotes: Vec<IpAddr> = paths.iter().map(|path| path.remote).collect();
        assert_eq!(remotes, [address(0, 1 - host), address(1, 1 - host)]);
        assert!(paths.iter().all(|path| path.is_confirmed && path.is_reachable));
        assert!(paths[0].is_primary && paths[0].is_active);
        assert!(paths[1].srtt.is_some(), "the probe measured it");
    }
}

#[test]
fn an_address_is_probed_before_it_is_used() {
    let mut networks = Networks::new(Config::DEFAULT);
    networks.is_up[1] = false;
    let remote = networks.hosts[B].socket_address(3_863);
    let handle = networks.hosts[A].connect(5_000, remote);
    networks.run_for(Duration::from_secs(20));
    // Nobody answers there, so nothing but HEARTBEATs goes there, and none is held against the
    // peer.
    networks.is_up[0] = false;
    networks.send(handle, b"lost");
    networks.run_for(Duration::from_secs(20));
    for (_, network, kinds) in &networks.trace {
        assert!(*network == 0 || *kinds == [HEARTBEAT], "{kinds:?}");
    }
    assert!(!networks.paths(A, handle)[1].is_confirmed);
    assert!(networks.hosts[B].messages.is_empty());
}

#[test]
fn an_address_that_never_answers_does_not_end_the_association() {
    let mut networks = Networks::new(Config::DEFAULT);
    networks.is_up[1] = false;
    let remote = networks.hosts[B].socket_address(3_863);
    let handle = networks.hosts[A].connect(5_000, remote);
    networks.run_for(Duration::from_secs(4_000));
    assert_eq!(networks.path_events(A), [(1, false)]);
    networks.send(handle, b"still there");
    networks.run();
    assert_eq!(networks.hosts[B].messages.len(), 1);
}

#[test]
fn lost_data_takes_another_path_after_one_timeout() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    networks.is_up[0] = false;
    networks.send(handle, b"detour");
    networks.run_for(Duration::from_millis(999));
    assert!(networks.hosts[B].messages.is_empty());
    networks.run_for(Duration::from_millis(2));
    assert_eq!(networks.hosts[B].messages.len(), 1);
    assert_eq!(networks.ways_of(A, 0), [0, 1]);
    // The SACK goes back the way that the data came.
    assert_eq!(networks.ways_of(B, 3), [1]);
}

#[test]
fn a_path_that_does_not_answer_is_left_and_returned_to() {
    let config = Config {
        rto_initial: Duration::from_millis(100),
        rto_min: Duration::from_millis(100),
        rto_max: Duration::from_millis(400),
        heartbeat_interval: Some(Duration::from_secs(1)),
        ..Config::DEFAULT
    };
    let (mut networks, [handle, _]) = Networks::connected(config);
    networks.is_up[0] = false;
    for _ in 0..40 {
        networks.send(handle, b"on");
        networks.run_for(Duration::from_millis(500));
    }
    assert_eq!(networks.hosts[B].messages.len(), 40);
    assert_eq!(networks.path_events(A), [(0, false)]);
    let paths = networks.paths(A, handle);
    assert!(paths[0].is_primary && !paths[0].is_active && paths[1].is_active);
    // New data goes straight to the path that works.
    networks.forget();
    networks.send(handle, b"straight");
    networks.run();
    assert_eq!(networks.ways_of(A, 0), [1]);
    // The primary path answers a probe and is used again.
    networks.is_up[0] = true;
    networks.run_for(Duration::from_secs(3));
    assert_eq!(networks.path_events(A), [(0, true)]);
    networks.forget();
    networks.send(handle, b"back");
    networks.run();
    assert_eq!(networks.ways_of(A, 0), [0]);
    assert_eq!(networks.hosts[B].messages.len(), 42);
}

#[test]
fn a_path_is_given_up_after_path_max_retrans() {
    let config = Config {
        rto_initial: Duration::from_millis(100),
        rto_min: Duration::from_millis(100),
        rto_max: Duration::from_millis(100),
        heartbeat_interval: None,
        path_retransmissions_max: 2,
        potentially_failed_retransmissions_max: 2,
        sack_delay: Duration::from_millis(10),
        ..Config::DEFAULT
    };
    let (mut networks, [handle, _]) = Networks::connected(config);
    networks.is_up[0] = false;
    for sent in 1..=4 {
        networks.send(handle, b"x");
        networks.run_for(Duration::from_millis(150));
        let is_left = sent > 2;
        assert_eq!(networks.paths(A, handle)[0].is_reachable, !is_left, "after {sent}");
    }
    assert_eq!(networks.ways_of(A, 0), [0, 1, 0, 1, 0, 1, 1]);
}

#[test]
fn with_all_paths_cut_the_association_is_lost() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    networks.is_up = [false; 3];
    networks.send(handle, b"x");
    networks.run_for(Duration::from_secs(3_600));
    let lost = networks.hosts[A]
        .events
        .iter()
        .any(|event| matches!(event, Event::Down { reason: DownReason::Lost, was_up: true, .. }));
    assert!(lost, "{:?}", networks.hosts[A].events);
}

#[test]
fn the_next_address_is_tried_if_the_first_does_not_answer() {
    let mut networks = Networks::new(Config::DEFAULT);
    networks.is_up[0] = false;
    let remote = networks.hosts[B].socket_address(3_863);
    let handle = networks.hosts[A].connect(5_000, remote);
    let now = networks.hosts[A].now;
    networks.hosts[A].endpoint.add_address(now, handle, address(1, B)).unwrap();
    networks.run_for(Duration::from_millis(1_100));
    assert_eq!(networks.ways_of(A, 1), [0, 1]);
    assert!(matches!(networks.hosts[A].events[..], [Event::Up { .. }]));
    networks.send(handle, b"x");
    networks.run_for(Duration::from_secs(2));
    assert_eq!(networks.hosts[B].messages.len(), 1);
    let now = networks.hosts[A].now;
    let late = networks.hosts[A].endpoint.add_address(now, handle, address(2, B));
    assert_eq!(late, Err(PathError::Refused));
}

#[test]
fn the_user_chooses_the_primary_path() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    let now = networks.hosts[A].now;
    networks.hosts[A].endpoint.set_primary(now, handle, address(1, B)).unwrap();
    networks.send(handle, b"x");
    networks.run();
    assert_eq!(networks.ways_of(A, 0), [1]);
    let unknown = networks.hosts[A].endpoint.set_primary(now, handle, address(2, B));
    assert_eq!(unknown, Err(PathError::Unknown));
    assert_eq!(networks.hosts[A].endpoint.peer(handle).unwrap().ip(), address(1, B));
}

#[test]
fn a_shutdown_survives_a_cut() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    networks.is_up[0] = false;
    let now = networks.hosts[A].now;
    networks.hosts[A].endpoint.shutdown(now, handle).unwrap();
    networks.run_for(Duration::from_secs(10));
    for host in &networks.hosts {
        let down = Event::Down { handle, was_up: true, reason: DownReason::Shutdown, cause: 0 };
        assert!(host.events.contains(&down), "{:?}", host.events);
    }
}

#[test]
fn a_shutdown_finds_the_path_that_works_now() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    networks.is_up[0] = false;
    networks.send(handle, b"x");
    networks.run_for(Duration::from_millis(1_500));
    assert!(networks.paths(A, handle)[0].is_potentially_failed);
    networks.is_up = [true, false, true];
    let now = networks.hosts[A].now;
    networks.hosts[A].endpoint.shutdown(now, handle).unwrap();
    networks.run_for(Duration::from_secs(2));
    for host in &networks.hosts {
        let down = Event::Down { handle, was_up: true, reason: DownReason::Shutdown, cause: 0 };
        assert!(host.events.contains(&down), "{:?}", host.events);
    }
}

#[test]
fn one_address_alone_is_not_listed() {
    let mut networks = Networks::new(Config::DEFAULT);
    networks.hosts[A].endpoint.set_addresses(&[address(0, A)]).unwrap();
    let remote = networks.hosts[B].socket_address(3_863);
    networks.hosts[A].connect(5_000, remote);
    let init = networks.hosts[A].drain();
    // Fixed fields and the supported address types.
    assert_eq!(vec![init[0].bytes.len()], [12 + 20 + 8 - 2 + 2]);
    assert!(networks.hosts[A].endpoint.set_addresses(&[address(0, A); 5]).is_err());
}

#[test]
fn rt_i_11_3_two_dead_paths_take_turns_and_back_off_each_by_itself() {
    let config = Config {
        rto_initial: Duration::from_millis(100),
        rto_min: Duration::from_millis(100),
        rto_max: Duration::from_millis(800),
        heartbeat_interval: None,
        ..Config::DEFAULT
    };
    let (mut networks, [handle, _]) = Networks::connected(config);
    networks.is_up = [false; 3];
    networks.send(handle, b"nobody hears it");
    networks.run();
    let mut spans = Vec::new();
    while spans.len() < 7 {
        let host = &mut networks.hosts[A];
        let at = host.endpoint.poll_timeout().unwrap();
        spans.push(at.saturating_duration_since(host.now).as_millis());
        host.now = at;
        host.endpoint.handle_timeout(at);
        networks.run();
    }
    assert_eq!(spans, [100, 100, 200, 200, 400, 400, 800]);
    assert_eq!(networks.ways_of(A, 0), [0, 1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn an_association_comes_up_though_the_first_path_dies_before_the_cookie() {
    let mut networks = Networks::new(Config::DEFAULT);
    let remote = networks.hosts[B].socket_address(3_863);
    let handle = networks.hosts[A].connect(5_000, remote);
    let now = networks.hosts[A].now;
    networks.hosts[A].endpoint.add_address(now, handle, address(1, B)).unwrap();
    let init = networks.hosts[A].drain();
    init.iter().for_each(|sent| networks.carry(A, sent));
    let ack = networks.hosts[B].drain();
    ack.iter().for_each(|sent| networks.carry(B, sent));
    networks.is_up[0] = false;
    networks.run_for(Duration::from_millis(1_100));
    assert_eq!((networks.ways_of(A, 10), networks.ways_of(B, 11)), (vec![0, 1], vec![1]));
    let events = &networks.hosts[A].events;
    assert!(matches!(events[..], [Event::Up { .. }, ..]), "{events:?}");
}

#[test]
fn heartbeats_count_against_the_peer_only_on_the_path_in_use() {
    // A single one that counts is enough.
    let config = Config { association_retransmissions_max: 0, ..Config::DEFAULT };
    let (mut networks, [handle, _]) = Networks::connected(config);
    networks.is_up[1] = false;
    networks.run_for(Duration::from_secs(3_600));
    assert_eq!(networks.path_events(A), [(1, false)]);
    networks.send(handle, b"still there");
    networks.run();
    assert_eq!(networks.hosts[B].messages.len(), 1);
    networks.is_up[0] = false;
    networks.run_for(Duration::from_secs(120));
    let down = Event::Down { handle, was_up: true, reason: DownReason::Lost, cause: 0 };
    assert_eq!(networks.hosts[A].events.last(), Some(&down));
}

/// Sends every 100 ms while the first network is down; the longest time in which nothing arrives.
fn longest_stall(config: Config) -> Duration {
    const STEP: Duration = Duration::from_millis(100);
    let (mut networks, [handle, _]) = Networks::connected(config);
    networks.is_up[0] = false;
    let (mut stall, mut longest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..700 {
        let host = &mut networks.hosts[A];
        let _ = host.endpoint.send(host.now, handle, StreamId(0), Ppid(0), false, b"on");
        let arrived = networks.hosts[B].messages.len();
        networks.run_for(STEP);
        let is_stalled = networks.hosts[B].messages.len() == arrived;
        stall = if is_stalled { stall + STEP } else { Duration::ZERO };
        longest = longest.max(stall);
    }
    assert_eq!(networks.path_events(A), [(0, false)]);
    longest
}

#[test]
fn a_dead_primary_stalls_a_transfer_for_one_rto() {
    assert!(longest_stall(Config::DEFAULT) <= Duration::from_secs(1));
    // As RFC 9260 has it without RFC 7829: up to the last wait before Path.Max.Retrans.
    let without = Config { potentially_failed_retransmissions_max: 5, ..Config::DEFAULT };
    assert!(longest_stall(without) > Duration::from_secs(31));
}

#[test]
fn a_path_that_may_have_failed_is_probed_every_rto() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    networks.is_up[0] = false;
    networks.send(handle, b"x");
    networks.run_for(Duration::from_millis(1_500));
    let path = networks.paths(A, handle)[0];
    assert!(path.is_potentially_failed && path.is_reachable && path.is_primary);
    assert!(!path.is_active);
    let mut seconds = Vec::new();
    for second in 1..=185 {
        let probes =
            networks.ways_of(A, HEARTBEAT).iter().filter(|&&network| network == 0).count();
        if probes > seconds.len() {
            seconds.push(second);
        }
        networks.run_for(Duration::from_secs(1));
    }
    // Unanswered after 2, 4, 8, 16 and 32 s, and then, inactive, after HB.interval and an RTO.
    assert_eq!(seconds[..5], [1, 3, 7, 15, 31]);
    assert!((123..=185).contains(&seconds[5]), "{seconds:?}");
    assert_eq!(seconds.len(), 6);
    assert_eq!(networks.path_events(A), [(0, false)]);
    let path = networks.paths(A, handle)[0];
    assert!(!path.is_potentially_failed && !path.is_reachable);
}

#[test]
fn a_path_that_may_have_failed_returns_with_an_answer() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    networks.is_up[0] = false;
    networks.send(handle, b"x");
    networks.run_for(Duration::from_millis(1_500));
    networks.send(handle, b"y");
    networks.run();
    networks.is_up[0] = true;
    networks.run_for(Duration::from_secs(2));
    let path = networks.paths(A, handle)[0];
    assert!(path.is_active && !path.is_potentially_failed);
    networks.send(handle, b"z");
    networks.run();
    assert_eq!(networks.ways_of(A, 0), [0, 1, 1, 0]);
    assert_eq!(networks.path_events(A), [], "users are not bothered with it");
}

#[test]
fn of_paths_that_all_may_have_failed_the_one_with_the_fewest_errors_is_used() {
    let config = Config {
        rto_initial: Duration::from_millis(100),
        rto_min: Duration::from_millis(100),
        rto_max: Duration::from_millis(100),
        heartbeat_interval: Some(Duration::from_secs(1)),
        path_retransmissions_max: 50,
        association_retransmissions_max: 50,
        ..Config::DEFAULT
    };
    let (mut networks, [handle, _]) = Networks::connected(config);
    networks.is_up[1] = false;
    networks.run_for(Duration::from_secs(2));
    assert!(networks.paths(A, handle)[1].is_potentially_failed);
    networks.is_up[0] = false;
    networks.forget();
    networks.send(handle, b"x");
    networks.run_for(Duration::from_millis(450));
    // The other path has more errors, and gets more with each probe.
    assert_eq!(networks.ways_of(A, 0), [0; 5]);
    assert!(networks.paths(A, handle).iter().all(|path| path.is_potentially_failed));
    // With the network its probes are answered, and what was lost takes it.
    networks.is_up[1] = true;
    networks.run_for(Duration::from_millis(200));
    assert_eq!(networks.hosts[B].messages.len(), 1);
    assert!(networks.paths(A, handle)[1].is_active);
}

#[test]
fn only_data_that_took_no_other_path_vouches_for_one_that_may_have_failed() {
    let config = Config { heartbeat_interval: None, ..Config::DEFAULT };
    let (mut networks, [handle, _]) = Networks::connected(config);
    networks.is_up[0] = false;
    networks.send(handle, b"x");
    networks.run_for(Duration::from_secs(2));
    networks.is_up = [true, false, true];
    networks.send(handle, b"y");
    networks.run_for(Duration::from_secs(2));
    assert_eq!(networks.ways_of(A, 0), [0, 1, 1, 0]);
    assert_eq!(networks.hosts[B].messages.len(), 2);
    let failed = |networks: &Networks| {
        networks.paths(A, handle).iter().map(|path| path.is_potentially_failed).collect::<Vec<_>>()
    };
    // Perhaps it was the first copy that arrived.
    assert_eq!(failed(&networks), [true, true]);
    networks.send(handle, b"z");
    networks.run_for(Duration::from_secs(1));
    assert_eq!(networks.ways_of(A, 0)[4..], [0]);
    assert_eq!(failed(&networks), [false, true]);
    assert_eq!(networks.ways_of(A, HEARTBEAT), [], "they are switched off");
}

#[test]
fn the_only_path_does_not_count_as_potentially_failed() {
    let mut networks = Networks::new(Config::DEFAULT);
    for (index, host) in networks.hosts.iter_mut().enumerate() {
        host.endpoint.set_addresses(&[address(0, index)]).unwrap();
    }
    let remote = networks.hosts[B].socket_address(3_863);
    let handle = networks.hosts[A].connect(5_000, remote);
    networks.run_for(Duration::from_secs(1));
    networks.is_up[0] = false;
    networks.send(handle, b"x");
    networks.run_for(Duration::from_secs(20));
    assert!(!networks.paths(A, handle)[0].is_potentially_failed);
    assert_eq!(networks.ways_of(A, HEARTBEAT), []);
}

#[test]
fn the_path_that_answers_first_takes_what_waits_for_the_other() {
    let (mut networks, [handle, _]) = Networks::connected(Config::DEFAULT);
    networks.is_up = [false; 3];
    // More than the one packet that a path takes after its T3-rtx expired.
    for _ in 0..3 {
        networks.send(handle, &[7; 600]);
    }
    // By now one is under way by the other path, with a timer of half a minute.
    networks.run_for(Duration::from_secs(20));
    networks.is_up[0] = true;
    while networks.paths(A, handle)[0].is_potentially_failed {
        networks.run_for(Duration::from_millis(100));
    }
    assert_eq!(networks.hosts[B].messages.len(), 3);
}

#[test]
fn a_probe_of_a_path_that_may_have_failed_takes_no_sack_along() {
    let (mut networks, [handle, other]) = Networks::connected(Config::DEFAULT);
    networks.is_up[0] = false;
    networks.send(handle, b"x");
    networks.run_for(Duration::from_millis(1_500));
    assert!(networks.paths(A, handle)[0].is_potentially_failed);
    // The next HEARTBEAT is due at the same time as the SACK.
    let due = networks.hosts[A].endpoint.poll_timeout().unwrap();
    let wait = due.saturating_duration_since(networks.hosts[A].now);
    networks.run_for(wait - Config::DEFAULT.sack_delay);
    let host = &mut networks.hosts[B];
    host.endpoint.set_primary(host.now, other, address(1, A)).unwrap();
    // The first one is acknowledged at once.
    for text in [b"1", b"2"] {
        let host = &mut networks.hosts[B];
        host.endpoint.send(host.now, other, StreamId(0), Ppid(0), false, text).unwrap();
        networks.run();
    }
    networks.forget();
    networks.run_for(Config::DEFAULT.sack_delay);
    assert_eq!(networks.ways_of(A, HEARTBEAT), [0]);
    assert_eq!(networks.ways_of(A, 3), [1]);
}
