//! SCTP right over IP (protocol 132), IPv4 and IPv6, through smoltcp's raw sockets and a simulated
//! network: routers that are too narrow, links that are cut.

mod lab;
mod nic;

use std::time::Duration;

use lab::{CLIENT, Lab, Router, SERVER, address};
use rserpool_core::association::DownReason;
use rserpool_core::sctp::{Config, Event};
use rserpool_tests::network::Weather;

const IPV4: usize = 0;
const IPV6: usize = 1;
const BOTH: [usize; 2] = [IPV4, IPV6];
const PATIENCE: Duration = Duration::from_secs(600);
/// Where IP cannot fragment, an MTU is tried before DATA relies on it. Smoltcp does not fragment
/// IPv6.
const UPWARDS: Config = {
    let mut config = Config::DEFAULT;
    config.pmtu_initial = Some(1_280);
    config
};

/// The configuration for a link.
fn config(link: usize) -> Config {
    if link == IPV6 { UPWARDS } else { Config::DEFAULT }
}

fn mtu(lab: &Lab) -> u16 {
    lab.paths()[0].mtu
}

#[test]
fn messages_arrive_in_fair_weather_and_foul() {
    for link in BOTH {
        for (weather, count) in [(Weather::FAIR, 100), (Weather::STORM, 25)] {
            let mut lab = Lab::new(11, weather, config(link), &[link]);
            lab.connect(link);
            lab.run_for(Duration::from_secs(30));
            assert!(lab.transfer(0, count, PATIENCE), "{link} {weather:?}");
            // Where every fifth packet is lost, it looks at times as if the large ones were.
            assert!(mtu(&lab) == 1_500 || weather.loss > 0, "{link}");
            let (packets, too_big) = lab.counts[link];
            assert!(packets > count && too_big == 0, "{:?}", lab.counts);
        }
    }
}

#[test]
fn a_narrow_router_that_reports_is_obeyed() {
    for link in BOTH {
        let mut lab = Lab::new(12, Weather::FAIR, config(link), &[link]);
        lab.routers[link] = Router { mtu: 1_400, reports: true };
        let mut lab = lab.connected(link);
        assert!(lab.transfer(0, 50, PATIENCE), "{link}");
        assert_eq!(mtu(&lab), 1_400, "{link}");
        // At most a window was on its way before the first report came.
        let too_big = lab.counts[link].1;
        assert!((1..=4).contains(&too_big), "{:?}", lab.counts);
        assert!(lab.transfer(50, 100, PATIENCE), "{link}");
        assert_eq!(lab.counts[link].1, too_big);
    }
}

#[test]
fn a_black_hole_is_found_out() {
    for link in BOTH {
        let mut lab = Lab::new(13, Weather::FAIR, config(link), &[link]);
        lab.routers[link] = Router { mtu: 1_396, reports: false };
        let mut lab = lab.connected(link);
        let start = lab.network.now();
        assert!(lab.transfer(0, 50, PATIENCE), "{link}");
        let took = lab.network.now().saturating_duration_since(start);
        println!("link {link}: {took:?}");
        assert!(took < Duration::from_secs(10), "{link}: {took:?}");
        lab.run_for(Duration::from_secs(120));
        assert!(lab.transfer(50, 100, PATIENCE), "{link}");
        assert!((1_381..=1_396).contains(&mtu(&lab)), "{link}: {}", mtu(&lab));
    }
}

#[test]
fn a_route_that_gets_narrow_in_the_middle_of_a_transfer_is_survived() {
    for (narrow, reports) in [(1_300, true), (1_300, false), (1_000, true), (1_000, false)] {
        let mut lab = Lab::new(14, Weather::FAIR, Config::DEFAULT, &[IPV4]).connected(IPV4);
        assert!(lab.transfer(0, 40, PATIENCE));
        lab.routers[IPV4] = Router { mtu: narrow, reports };
        let start = lab.network.now();
        assert!(lab.transfer(40, 80, PATIENCE), "{narrow} {reports}");
        let took = lab.network.now().saturating_duration_since(start);
        println!("to {narrow}, reports {reports}: {took:?}");
        lab.run_for(Duration::from_secs(200));
        let found = usize::from(mtu(&lab));
        assert!((narrow - 16..=narrow).contains(&found), "{narrow} {reports}: {found}");
        // It gets wide again, and that is found out after the raise interval.
        lab.routers[IPV4] = Router::WIDE;
        lab.run_for(Duration::from_secs(700));
        assert!(lab.transfer(80, 120, PATIENCE));
        assert_eq!(mtu(&lab), 1_500, "{narrow} {reports}");
    }
}

#[test]
fn a_cut_in_the_middle_of_a_transfer_is_survived_over_the_other_link() {
    for first in BOTH {
        let second = 1 - first;
        let tuned = {
            let mut config = UPWARDS;
            config.rto_initial = Duration::from_millis(200);
            config.rto_min = Duration::from_millis(100);
            config.rto_max = Duration::from_millis(400);
            config.heartbeat_interval = Some(Duration::from_secs(1));
            config
        };
        for (name, config) in [("default", UPWARDS), ("tuned", tuned)] {
            let mut lab = Lab::new(16, Weather::FAIR, config, &BOTH).connected(first);
            assert!(lab.transfer(0, 40, PATIENCE));
            lab.cut(first);
            let start = lab.network.now();
            assert!(lab.transfer(40, 41, PATIENCE));
            let stall = lab.network.now().saturating_duration_since(start);
            assert!(lab.transfer(41, 120, PATIENCE));
            println!("link {first}, {name} timers: {stall:?} without progress");
            let bound = if name == "default" { 2_000 } else { 500 };
            assert!(stall < Duration::from_millis(bound), "{stall:?}");
            lab.run_for(Duration::from_secs(120));
            let [cut, other] = &lab.paths()[..] else { panic!("{:?}", lab.paths()) };
            assert_eq!(
                (cut.remote, other.remote),
                (address(first, SERVER), address(second, SERVER))
            );
            assert!(other.is_active && other.is_reachable, "{other:?}");
            // The link works again, and so the primary path is used again.
            lab.network.heal();
            lab.run_for(Duration::from_secs(120));
            let before = lab.counts.clone();
            assert!(lab.transfer(120, 160, PATIENCE));
            assert!(lab.paths()[0].is_active);
            assert!(lab.counts[first].0 > before[first].0 + 50, "{before:?} {:?}", lab.counts);
        }
    }
}

#[test]
fn each_path_has_its_own_mtu_and_messages_are_cut_for_the_smallest() {
    let mut lab = Lab::new(17, Weather::FAIR, UPWARDS, &BOTH);
    lab.routers[IPV4] = Router { mtu: 1_460, reports: true };
    lab.routers[IPV6] = Router { mtu: 1_300, reports: true };
    let mut lab = lab.connected(IPV4);
    assert!(lab.transfer(0, 40, PATIENCE));
    lab.run_for(Duration::from_secs(60));
    let mtus: Vec<_> = lab.paths().iter().map(|path| path.mtu).collect();
    assert_eq!(mtus, [1_460, 1_300]);
    let client = &lab.hosts[CLIENT];
    let status = client.endpoint.status(client.handle.unwrap()).unwrap();
    assert_eq!(status.fragment_len, 1_300 - 40 - 12 - 16);
    // So what is lost on one link fits the other.
    let too_big = [lab.counts[IPV4].1, lab.counts[IPV6].1];
    lab.cut(IPV4);
    assert!(lab.transfer(40, 80, PATIENCE));
    assert_eq!([lab.counts[IPV4].1, lab.counts[IPV6].1], too_big);
}

#[test]
fn a_host_without_sctp_says_so_at_once() {
    for link in BOTH {
        let mut lab = Lab::new(18, Weather::FAIR, Config::DEFAULT, &[link]);
        lab.silence_server();
        lab.connect(link);
        lab.run_for(Duration::from_millis(100));
        let events = &lab.hosts[CLIENT].events;
        let is_refused = |event: &Event| {
            matches!(event, Event::Down { was_up: false, reason: DownReason::Aborted, .. })
        };
        assert!(events.iter().any(|(_, event)| is_refused(event)), "{link}: {events:?}");
    }
}
