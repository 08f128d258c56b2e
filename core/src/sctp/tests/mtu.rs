//! The MTU of a path: RFC 9260 §6.9, §7.3, §10; RFC 8899; RFC 6951 §5.6.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{Bench, HOST_PORT, PEER, PEER_PORT, PEER_TAG, chunk, init_value, packet};
use super::link::{Host, InFlight, chunk_types};
use crate::association::{Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Config, Connect, Event, Handle, Input, InputError, TooBig};
use crate::time::Instant;

/// IPv4, UDP.
const HEADERS_LEN: usize = 20 + 8;
const PORT: u16 = 3_863;
const HEARTBEAT: u8 = 4;
const PAD: u8 = 0x84;
const DATA: u8 = 0;

/// Two hosts and a link in between that does not take all packets.
struct Narrow {
    hosts: [Host; 2],
    handle: Handle,
    mtu: usize,
    /// Whether the router reports what is too big.
    reports: bool,
    /// Of host 0: when each packet was sent, its size, its chunks, whether IP may fragment it.
    trace: Vec<(Instant, usize, Vec<u8>, bool)>,
}

impl Narrow {
    fn new(config: Config, mtu: usize, reports: bool) -> Self {
        let mut hosts = [Host::new(1, config), Host::new(2, Config::DEFAULT)];
        hosts[1].endpoint.listen(PORT).unwrap();
        let remote = hosts[1].socket_address(PORT);
        let handle = hosts[0].connect(5_000, remote);
        let mut narrow = Self { hosts, handle, mtu, reports, trace: Vec::new() };
        narrow.run();
        assert!(matches!(narrow.hosts[0].events[..], [Event::Up { .. }]));
        narrow.trace.clear();
        narrow
    }

    fn carry(&mut self, from: usize, sent: &InFlight) {
        let len = sent.bytes.len() + HEADERS_LEN;
        let address = self.hosts[from].address;
        if from == 0 {
            let may_fragment = sent.packet.may_fragment;
            self.trace.push((self.hosts[0].now, len, chunk_types(sent), may_fragment));
        }
        if len <= self.mtu || sent.packet.may_fragment {
            let _ = self.hosts[1 - from].take_in(address, sent);
        } else if self.reports {
            let remote = self.hosts[1 - from].address;
            let too_big = TooBig { remote, mtu: self.mtu as u32, quoted: &sent.bytes[..8] };
            let host = &mut self.hosts[from];
            host.endpoint.handle_input(host.now, Input::TooBig(too_big)).unwrap();
        }
    }

    fn run(&mut self) {
        loop {
            let [from_a, from_b] = [0, 1].map(|host| self.hosts[host].drain());
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            from_a.iter().for_each(|sent| self.carry(0, sent));
            from_b.iter().for_each(|sent| self.carry(1, sent));
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.hosts[0].now + span;
        self.run();
        loop {
            let timeouts = [0, 1].map(|host| self.hosts[host].endpoint.poll_timeout());
            let next = Instant::earliest(timeouts[0], timeouts[1]);
            let next = next.filter(|&next| next <= end).unwrap_or(end).max(self.hosts[0].now);
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

    fn send(&mut self, len: usize) {
        let host = &mut self.hosts[0];
        let message = vec![len as u8; len];
        host.endpoint
            .send(host.now, self.handle, StreamId(0), Ppid::ASAP, false, &message)
            .unwrap();
    }

    /// Sends a message, and whether it arrives.
    fn arrives(&mut self, len: usize) -> bool {
        let before = self.hosts[1].messages.len();
        self.send(len);
        self.run();
        let messages = &self.hosts[1].messages;
        messages.len() == before + 1 && messages[before].2 == vec![len as u8; len]
    }

    fn mtu(&self) -> u16 {
        self.hosts[0].endpoint.path(self.handle, 0).unwrap().mtu
    }

    fn report(&mut self, mtu: u32, quoted: &[u8]) -> Result<(), InputError> {
        let too_big = TooBig { remote: self.hosts[1].address, mtu, quoted };
        let host = &mut self.hosts[0];
        host.endpoint.handle_input(host.now, Input::TooBig(too_big))
    }

    /// The start of a packet of ours.
    fn quoted(&mut self) -> Vec<u8> {
        self.send(1);
        let sent = self.hosts[0].drain().remove(0);
        self.carry(0, &sent);
        self.run();
        self.trace.clear();
        sent.bytes[..8].to_vec()
    }

    /// Sizes of the padded HEARTBEATs so far.
    fn probes(&self) -> Vec<usize> {
        let probes = self.trace.iter().filter(|(_, _, kinds, _)| kinds.contains(&PAD));
        probes.map(|&(_, len, ..)| len).collect()
    }
}

/// No heartbeats but those that look for an MTU.
const QUIET: Config = Config { heartbeat_interval: None, ..Config::DEFAULT };

#[test]
fn a_path_starts_with_the_mtu_of_the_configuration() {
    let mut narrow = Narrow::new(QUIET, 1_500, false);
    assert!(narrow.arrives(1_700));
    narrow.run_for(Duration::from_secs(10_000));
    assert_eq!(narrow.mtu(), 1_500);
    // Nothing is found out where nothing gets lost, and IP fragments nothing.
    assert_eq!(narrow.probes(), []);
    assert_eq!(narrow.trace[0].1, 1_500);
    assert!(narrow.trace.iter().all(|&(.., may_fragment)| !may_fragment));
}

#[test]
fn what_is_reported_as_too_big_is_sent_again_at_once_and_smaller() {
    let mut narrow = Narrow::new(QUIET, 1_400, true);
    assert!(narrow.arrives(1_700));
    assert_eq!(narrow.mtu(), 1_400);
    // The first chunk had its TSN already: IP has to fragment it. RFC 9260 §6.9.
    let sizes: Vec<_> = narrow.trace.iter().map(|&(_, len, _, may)| (len, may)).collect();
    assert_eq!(sizes[0], (1_500, false));
    assert!(sizes.contains(&(1_500, true)), "{sizes:?}");
    narrow.trace.clear();
    assert!(narrow.arrives(1_700));
    assert!(narrow.trace.iter().all(|&(_, len, _, may)| len <= 1_400 && !may));
    let status = narrow.hosts[0].endpoint.status(narrow.handle).unwrap();
    assert_eq!(usize::from(status.fragment_len), 1_400 - HEADERS_LEN - 12 - 16);
}

#[test]
fn a_report_needs_the_verification_tag() {
    let mut narrow = Narrow::new(QUIET, 1_500, false);
    let quoted = narrow.quoted();
    assert_eq!(narrow.report(1_300, &quoted[..7]), Err(InputError::Malformed));
    let mut forged = quoted.clone();
    forged[7] ^= 1;
    assert_eq!(narrow.report(1_300, &forged), Err(InputError::WrongTag));
    let mut stray = quoted.clone();
    stray[1] ^= 1;
    assert_eq!(narrow.report(1_300, &stray), Err(InputError::OutOfTheBlue));
    // A report that says nothing new.
    narrow.report(1_500, &quoted).unwrap();
    narrow.report(70_000, &quoted).unwrap();
    assert_eq!(narrow.mtu(), 1_500);
    narrow.report(1_300, &quoted).unwrap();
    assert_eq!(narrow.mtu(), 1_300);
}

#[test]
fn a_report_about_an_init_needs_its_initiate_tag() {
    let mut host = Host::new(1, QUIET);
    let remote = Host::new(2, QUIET).socket_address(PORT);
    let handle = host.connect(5_000, remote);
    let init = host.drain().remove(0).bytes;
    let mut report = |quoted: &[u8]| {
        let too_big = TooBig { remote: remote.ip(), mtu: 1_000, quoted };
        host.endpoint.handle_input(host.now, Input::TooBig(too_big))
    };
    assert_eq!(report(&init[..8]), Err(InputError::WrongTag));
    assert_eq!(report(&init[..20]), Ok(()));
    assert_eq!(host.endpoint.path(handle, 0).unwrap().mtu, 1_000);
}

#[test]
fn a_report_goes_no_lower_than_what_every_host_takes() {
    let mut narrow = Narrow::new(QUIET, 1_500, false);
    let quoted = narrow.quoted();
    for (reported, mtu) in [(577, 577), (576, 576), (68, 576)] {
        narrow.report(reported, &quoted).unwrap();
        assert_eq!(narrow.mtu(), mtu);
    }
    // There, IP may fragment: smaller ones are not made.
    assert!(narrow.arrives(1_000));
    assert!(narrow.trace.iter().all(|&(_, len, _, may)| len <= 576 && may));
    // An old router does not say what would fit.
    let mut narrow = Narrow::new(QUIET, 1_500, false);
    let quoted = narrow.quoted();
    narrow.report(0, &quoted).unwrap();
    assert_eq!(narrow.mtu(), 1_200);
    narrow.report(0, &quoted).unwrap();
    assert_eq!(narrow.mtu(), 576);
}

#[test]
fn a_report_over_ipv6_below_1280_is_ignored() {
    let mut host = Host::new(1, QUIET);
    let remote = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
    let connect = Connect { local_port: 5_000, remote: (remote, PORT).into(), udp: None };
    let handle = host.endpoint.connect(host.now, connect).unwrap();
    let init = host.drain().remove(0).bytes;
    for (reported, mtu) in [(1_279, 1_500), (0, 1_280), (0, 1_280), (1_280, 1_280)] {
        let too_big = TooBig { remote, mtu: reported, quoted: &init };
        host.endpoint.handle_input(host.now, Input::TooBig(too_big)).unwrap();
        assert_eq!(host.endpoint.path(handle, 0).unwrap().mtu, mtu, "{reported}");
    }
}

#[test]
fn a_black_hole_is_noticed_at_the_second_timeout() {
    let mut narrow = Narrow::new(Config::DEFAULT, 1_300, false);
    assert!(!narrow.arrives(1_700));
    narrow.run_for(Duration::from_millis(2_999));
    assert_eq!((narrow.mtu(), narrow.hosts[1].messages.len()), (1_500, 0));
    narrow.run_for(Duration::from_millis(1));
    assert_eq!(narrow.hosts[1].messages.len(), 1, "{:?}", narrow.trace);
    // Then the largest that works is searched for, with no more than three tries each.
    narrow.run_for(Duration::from_secs(120));
    let probes = narrow.probes();
    assert!((1_285..=1_300).contains(&narrow.mtu()), "{} {probes:?}", narrow.mtu());
    assert_eq!(probes[..4], [1_500, 1_500, 1_500, 1_348]);
    assert!(probes.len() <= 20, "{probes:?}");
    narrow.trace.clear();
    assert!(narrow.arrives(1_700));
    assert!(narrow.trace.iter().all(|&(_, len, _, may)| len <= 1_300 && !may));
}

#[test]
fn a_black_hole_below_the_base_is_noticed_four_timeouts_later() {
    let mut narrow = Narrow::new(QUIET, 1_000, false);
    assert!(!narrow.arrives(1_700));
    // 1 s and 2 s, then the first chunk, whose TSN is taken, gets through in fragments.
    narrow.run_for(Duration::from_secs(3));
    assert_eq!((narrow.mtu(), narrow.hosts[1].messages.len()), (1_200, 1));
    assert!(!narrow.arrives(1_700));
    // The timeout has backed off to 4 s already.
    narrow.run_for(Duration::from_millis(59_999));
    assert_eq!((narrow.mtu(), narrow.hosts[1].messages.len()), (1_200, 1));
    narrow.run_for(Duration::from_millis(1));
    assert_eq!((narrow.mtu(), narrow.hosts[1].messages.len()), (576, 2));
    // What is sent now may be fragmented, but not what is to find out what fits.
    for _ in 0..60 {
        narrow.run_for(Duration::from_secs(5));
        assert!(narrow.arrives(10));
    }
    assert!((985..=1_000).contains(&narrow.mtu()), "{}", narrow.mtu());
}

#[test]
fn losses_of_what_is_small_say_nothing_about_the_mtu() {
    let mut narrow = Narrow::new(QUIET, 1_500, false);
    narrow.mtu = 0;
    narrow.send(1_000);
    narrow.run_for(Duration::from_secs(20));
    assert_eq!(narrow.mtu(), 1_500);
    // Nor does a single timeout, or one after what is large got through.
    narrow.mtu = 1_500;
    narrow.run_for(Duration::from_secs(60));
    for _ in 0..3 {
        narrow.mtu = 0;
        narrow.send(1_700);
        narrow.run();
        narrow.mtu = 1_500;
        narrow.run_for(Duration::from_secs(60));
        assert_eq!(narrow.mtu(), 1_500);
    }
    assert_eq!(narrow.hosts[1].messages.len(), 4);
}

#[test]
fn the_number_of_timeouts_is_configured() {
    for (count, seconds) in [(1, 1), (2, 3), (3, 7)] {
        let config = Config { pmtu_timeouts_max: count, ..QUIET };
        let mut narrow = Narrow::new(config, 1_300, false);
        narrow.send(1_700);
        narrow.run_for(Duration::from_millis(seconds * 1_000 - 1));
        assert_eq!(narrow.mtu(), 1_500, "{count}");
        narrow.run_for(Duration::from_millis(1));
        assert!(narrow.mtu() < 1_500, "{count}");
    }
    let mut narrow = Narrow::new(Config { pmtu_timeouts_max: 0, ..QUIET }, 1_300, false);
    narrow.send(1_700);
    narrow.run_for(Duration::from_secs(600));
    assert!(narrow.hosts[1].messages.is_empty());
}

#[test]
fn from_a_small_mtu_one_padded_heartbeat_leads_up() {
    let config = Config { pmtu_initial: Some(1_200), ..QUIET };
    let mut narrow = Narrow::new(config, 1_500, false);
    assert_eq!(narrow.mtu(), 1_200);
    assert!(narrow.arrives(1_700));
    assert!(narrow.trace[0].1 <= 1_200);
    assert_eq!(narrow.probes(), [1_500]);
    assert_eq!(narrow.mtu(), 1_500);
    assert!(narrow.trace.iter().any(|(_, _, kinds, may)| kinds == &[HEARTBEAT, PAD] && !may));
    // A search begins only where the peer answers.
    let narrow = &mut Narrow::new(config, 1_500, false);
    narrow.run_for(Duration::from_secs(100));
    assert_eq!(narrow.probes(), []);
}

#[test]
fn the_initial_and_the_base_mtu_stay_within_bounds() {
    let mtu_of = |config| Narrow::new(config, 1_500, false).mtu();
    assert_eq!(mtu_of(Config { pmtu_initial: Some(0), ..QUIET }), 576);
    assert_eq!(mtu_of(Config { pmtu_initial: Some(9_000), ..QUIET }), 1_500);
    assert_eq!(mtu_of(Config { mtu: 0, ..QUIET }), 576);
    for (base, mtu) in [(0, 576), (1_200, 1_200), (9_000, 1_500)] {
        let config = Config { pmtu_base: base, ..QUIET };
        let mut narrow = Narrow::new(config, 1_500, false);
        let quoted = narrow.quoted();
        narrow.report(0, &quoted).unwrap();
        // From the base on, an old router's report leads to the least.
        assert_eq!(narrow.mtu(), if base == 9_000 { 576 } else { mtu }, "{base}");
    }
}

#[test]
fn a_lost_padded_heartbeat_counts_as_no_error() {
    let config = Config {
        pmtu_initial: Some(1_200),
        path_retransmissions_max: 0,
        association_retransmissions_max: 0,
        ..QUIET
    };
    let mut narrow = Narrow::new(config, 1_250, false);
    for _ in 0..40 {
        assert!(narrow.arrives(700));
        narrow.run_for(Duration::from_millis(1_500));
    }
    assert!(narrow.probes().len() > 6, "{:?}", narrow.probes());
    assert!((1_235..=1_250).contains(&narrow.mtu()), "{}", narrow.mtu());
    let path = narrow.hosts[0].endpoint.path(narrow.handle, 0).unwrap();
    assert!(path.is_reachable);
    assert_eq!(path.rto, Duration::from_secs(1));
}

#[test]
fn a_search_counts_its_probes_and_lets_heartbeats_watch_the_path() {
    let config = Config { pmtu_initial: Some(1_200), pmtu_probes_max: 2, ..Config::DEFAULT };
    let mut narrow = Narrow::new(config, 1_300, false);
    // The first HEARTBEAT on the idle path is answered.
    narrow.run_for(Duration::from_secs(60));
    let probes = narrow.probes();
    assert_eq!(probes[..3], [1_500, 1_500, 1_348], "{probes:?}");
    let plain = narrow.trace.iter().filter(|(_, _, kinds, _)| kinds == &[HEARTBEAT]).count();
    assert!(plain >= 2, "{:?}", narrow.trace);
    // A path that is cut while the search is on is noticed all the same.
    let mut narrow = Narrow::new(config, 1_300, false);
    narrow.run_for(Duration::from_secs(33));
    narrow.mtu = 0;
    narrow.run_for(Duration::from_secs(300));
    assert!(!narrow.hosts[0].endpoint.path(narrow.handle, 0).unwrap().is_reachable);
}

#[test]
fn after_the_raise_interval_a_larger_mtu_is_looked_for() {
    let mut narrow = Narrow::new(QUIET, 1_400, true);
    assert!(narrow.arrives(1_700));
    narrow.mtu = 1_500;
    narrow.run_for(Duration::from_secs(599));
    assert!(narrow.arrives(10));
    narrow.run_for(Duration::from_millis(900));
    assert_eq!((narrow.mtu(), narrow.probes().len()), (1_400, 0));
    narrow.run_for(Duration::from_millis(100));
    assert!(narrow.arrives(10));
    narrow.run_for(Duration::from_millis(200));
    assert_eq!((narrow.mtu(), narrow.probes()), (1_500, vec![1_500]));
    // A report about a probe ends the search where it should.
    let mut narrow = Narrow::new(QUIET, 1_300, true);
    assert!(narrow.arrives(1_700));
    narrow.mtu = 1_436;
    narrow.run_for(Duration::from_secs(600));
    assert!(narrow.arrives(10));
    narrow.run_for(Duration::from_millis(200));
    assert_eq!((narrow.mtu(), narrow.probes()), (1_436, vec![1_500, 1_436]));
    let config = Config { pmtu_raise_interval: None, ..QUIET };
    let mut narrow = Narrow::new(config, 1_300, true);
    assert!(narrow.arrives(1_700));
    narrow.mtu = 1_500;
    narrow.run_for(Duration::from_secs(100_000));
    assert!(narrow.arrives(10));
    narrow.run_for(Duration::from_secs(10));
    assert_eq!((narrow.mtu(), narrow.probes().len()), (1_300, 0));
}

#[test]
fn without_discovery_ip_may_fragment_everything() {
    let config = Config { pmtu_discovery: false, ..QUIET };
    let mut narrow = Narrow::new(config, 1_300, true);
    assert!(narrow.arrives(1_700));
    assert!(narrow.trace.iter().all(|&(.., may_fragment)| may_fragment));
    let quoted = narrow.quoted();
    assert_eq!(narrow.report(1_300, &quoted), Ok(()));
    assert_eq!(narrow.mtu(), 1_500);
}

#[test]
fn the_smallest_path_decides_how_messages_are_cut() {
    let second: IpAddr = Ipv4Addr::new(10, 1, 0, 2).into();
    let mut host = Host::new(1, QUIET);
    let mut peer = Host::new(2, QUIET);
    peer.endpoint.listen(PORT).unwrap();
    let handle = host.connect(5_000, peer.socket_address(PORT));
    host.endpoint.add_address(host.now, handle, second).unwrap();
    super::link::run(&mut host, &mut peer);
    let fragment_len = |host: &Host| host.endpoint.status(handle).unwrap().fragment_len;
    assert_eq!(fragment_len(&host), 1_500 - 28 - 12 - 16);
    let now = host.now;
    host.endpoint.send(now, handle, StreamId(0), Ppid::ASAP, false, b"x").unwrap();
    let quoted = host.drain().remove(0).bytes;
    let too_big = TooBig { remote: second, mtu: 1_000, quoted: &quoted };
    host.endpoint.handle_input(now, Input::TooBig(too_big)).unwrap();
    let mtus: Vec<_> = (0..2).map(|path| host.endpoint.path(handle, path).unwrap().mtu).collect();
    assert_eq!(mtus, [1_500, 1_000]);
    assert_eq!(fragment_len(&host), 1_000 - 28 - 12 - 16);
}

#[test]
fn what_was_not_sent_yet_is_cut_anew() {
    let mut narrow = Narrow::new(QUIET, 1_500, true);
    let quoted = narrow.quoted();
    narrow.send(1_700);
    narrow.report(700, &quoted).unwrap();
    narrow.run();
    let data = narrow.trace.iter().filter(|(_, _, kinds, _)| kinds.contains(&DATA));
    let sizes: Vec<_> = data.map(|&(_, len, _, may)| (len, may)).collect();
    assert_eq!(sizes, [(700, false), (700, false), (484, false)]);
    assert_eq!(narrow.hosts[1].messages.last().unwrap().2, vec![1_700_usize as u8; 1_700]);
}

#[test]
fn an_old_routers_report_about_a_probe_leaves_the_mtu_that_works() {
    for initial in [1_200, 1_300] {
        let config = Config { pmtu_initial: Some(initial), ..Config::DEFAULT };
        let mut narrow = Narrow::new(config, 1_400, false);
        // The answer to what is quoted begins a search.
        let quoted = narrow.quoted();
        narrow.report(0, &quoted).unwrap();
        assert_eq!(narrow.mtu(), initial);
        // The search goes on below what was tried.
        narrow.run_for(Duration::from_secs(60));
        assert!(narrow.probes()[0] < 1_500, "{:?}", narrow.probes());
        assert!((1_385..=1_400).contains(&narrow.mtu()), "{}", narrow.mtu());
    }
}

#[test]
fn many_small_packets_in_flight_are_no_large_one() {
    let config = Config { pmtu_timeouts_max: 1, ..QUIET };
    let mut narrow = Narrow::new(config, 1_500, false);
    // What is large and was acknowledged does not count either.
    assert!(narrow.arrives(1_700));
    narrow.mtu = 0;
    // Each goes out by itself.
    for _ in 0..2 {
        narrow.send(800);
        narrow.run();
    }
    narrow.run_for(Duration::from_secs(20));
    let sizes = narrow.trace.iter().map(|&(_, len, ..)| len);
    assert!(sizes.skip(2).all(|len| len <= 1_000), "{:?}", narrow.trace);
    assert_eq!(narrow.mtu(), 1_500);
}

#[test]
fn a_cookie_larger_than_the_mtu_goes_in_fragments() {
    let mut host = Host::new(1, Config { pmtu_initial: Some(576), ..Config::DEFAULT });
    let _ = host.connect(HOST_PORT, (PEER, PEER_PORT).into());
    let own_tag = u32::from_be_bytes(host.drain()[0].bytes[16..20].try_into().unwrap());
    let cookie = [7; 1_000];
    // State Cookie, and something unknown to be reported, for which no room is left.
    let parameters = [&[0, 7, 0x03, 0xec][..], &cookie, &[0xc0, 0x99, 0, 4]].concat();
    let init_ack = chunk(2, 0, &init_value(PEER_TAG, &parameters));
    let mut bench = Bench { host, handle: None, host_tag: own_tag, host_tsn: 0 };
    bench.give(packet(own_tag, &[init_ack])).unwrap();
    for _ in 0..2 {
        let sent = bench.host.drain();
        assert_eq!((sent.len(), chunk_types(&sent[0])), (1, vec![10]));
        assert_eq!(sent[0].bytes[16..], cookie);
        assert!(sent[0].packet.may_fragment);
        // T1-cookie.
        bench.host.let_pass(Duration::from_secs(1));
    }
}

#[test]
fn no_padded_heartbeat_goes_behind_an_error() {
    let host = Host::new(1, Config { pmtu_initial: Some(1_280), ..Config::DEFAULT });
    let mut bench = Bench { host, handle: None, host_tag: 0, host_tsn: 0 };
    bench.host.endpoint.listen(HOST_PORT).unwrap();
    let cookie = bench.cookie(&[]);
    bench.give(packet(bench.host_tag, &[chunk(10, 0, &cookie)])).unwrap();
    bench.replies();
    let Some(Event::Up { handle, .. }) = bench.host.events.pop() else { panic!() };
    let host = &mut bench.host;
    host.endpoint.send(host.now, handle, StreamId(0), Ppid(0), false, b"x").unwrap();
    bench.replies();
    // The answer begins a search, and what follows is reported.
    let sack = [&bench.has_received(1)[..], &[0, 1, 0, 0, 0, 0, 0, 0]].concat();
    let chunks = [chunk(3, 0, &sack), chunk(0xef, 0, b"unknown")];
    bench.give(packet(bench.host_tag, &chunks)).unwrap();
    let sent = bench.host.drain();
    let kinds: Vec<_> = sent.iter().map(chunk_types).collect();
    assert_eq!(kinds, [vec![9], vec![HEARTBEAT, PAD]]);
    assert_eq!(sent[1].bytes.len() + 20, 1_500);
}
