//! A board's node among registrars and users, in virtual time.
#![cfg(feature = "element")]

mod world;

use std::time::Duration;

use rserpool_core::asap::{PoolElementEvent, PoolElementStatus};
use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::compute::cookie::Control;
use rserpool_core::compute::kernels::{
    Fractal, FractalKind, FractalTile, Synthetic, SyntheticLoad,
};
use rserpool_core::compute::{
    self, FailReason, Kernel, RejectReason, RunnerMessage, WorkerMessage,
};
use rserpool_core::enrp;
use rserpool_core::identifier::{PeId, PoolHandle};
use rserpool_core::wire::{Load, Policy};
use rserpool_firmware::{Command, Event};
use rserpool_tests::network::Weather;
use world::{RegistrarPlan, World, address, computed, work};

const SETTINGS: &str = "registrar=10.77.0.1:3863 id=0x17 rereg=20000 life=60000";

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A board, registered at a registrar at place 0.
fn registered(seed: u64, weather: Weather, settings: &str, plan: RegistrarPlan) -> World {
    let mut world = World::new(seed, weather, settings);
    world.add_registrar(1, plan);
    world.run_until(seconds(30), is_registered);
    world
}

fn is_registered(world: &mut World) -> bool {
    world.node.status().membership == PoolElementStatus::Registered
}

/// The same with a user at place 1 who has called and heard Hello.
fn with_user(seed: u64, weather: Weather, plan: RegistrarPlan) -> World {
    let mut world = registered(seed, weather, SETTINGS, plan);
    let user = world.add_user(9);
    let now = world.now();
    world.peers[user].call(now, 7_000);
    world.run_until(seconds(120), |world| !world.peers[user].inbox.is_empty());
    world
}

fn tile(height: u32, iterations: u32) -> Vec<u8> {
    let tile = FractalTile {
        kind: FractalKind::Mandelbrot,
        left: -2.0,
        top: 1.0,
        step: 0.03,
        x: 0,
        y: 0,
        width: 64,
        height,
        iterations_max: iterations,
    };
    let mut buf = [0; 128];
    let len = tile.encode(&mut buf).unwrap();
    buf[..len].to_vec()
}

fn synthetic(count: u64) -> Vec<u8> {
    let mut buf = [0; 32];
    let len = SyntheticLoad { count, seed: 3 }.encode(&mut buf).unwrap();
    buf[..len].to_vec()
}

fn registered_policy(world: &World) -> Option<Policy> {
    let handlespace = world.peers[0].registrar.as_ref().unwrap().handlespace();
    let index = handlespace.find(PoolHandle::new(b"ComputePool").unwrap(), PeId(0x17))?;
    Some(handlespace.element(index).policy())
}

#[test]
fn it_registers_and_stays_registered() {
    let mut world = registered(1, Weather::FAIR, SETTINGS, RegistrarPlan::default());
    assert_eq!(world.peers[0].element_count(), 1);
    world.run_for(seconds(600));
    assert_eq!(world.peers[0].element_count(), 1);
    let updates = world.peers[0].registrar_events.iter();
    let updates = updates.filter(|event| matches!(event, enrp::Event::ElementUpdated { .. }));
    assert!((28..=31).contains(&updates.count()), "every 20 s");
    let (sent, answered) = world.peers[0].keep_alives;
    assert!(sent >= 60 && sent - answered <= 1, "{sent} {answered}");
    assert_eq!(world.registered_count(), 1, "renewals are not told");
}

#[test]
fn it_says_what_it_can_hold() {
    let world = with_user(2, Weather::FAIR, RegistrarPlan::default());
    let [WorkerMessage::Hello { limits, kernels }] = world.peers[1].said()[..] else { panic!() };
    assert_eq!((limits.slot_count, limits.chunk_len_max), (2, 480));
    assert_eq!(kernels.iter().count(), 4);
}

#[test]
fn a_package_comes_back_right_while_keep_alives_are_answered() {
    let plan = RegistrarPlan { keep_alive: millis(300), ..RegistrarPlan::default() };
    let mut world = with_user(3, Weather::FAIR, plan);
    let parameters = tile(48, 20_000);
    let now = world.now();
    let before = world.peers[0].keep_alives;
    world.peers[1].give(now, 1, Fractal::ID, &parameters);
    world.run_until(seconds(300), |world| world.peers[1].is_done(1));
    assert_eq!(world.peers[1].output(1, 0), computed(Fractal::ID, &parameters));
    let (sent, answered) = world.peers[0].keep_alives;
    let busy = world.now().saturating_duration_since(now);
    assert!(busy > seconds(2), "{busy:?} is too short to mean anything");
    assert!(answered - before.1 >= 5, "{answered}");
    assert!(sent - answered <= 1);
    let gone = |event: &enrp::Event| matches!(event, enrp::Event::ElementRemoved { .. });
    assert!(!world.peers[0].registrar_events.iter().any(gone));
}

#[test]
fn the_load_is_registered_as_it_changes() {
    let mut world = with_user(4, Weather::FAIR, RegistrarPlan::default());
    assert_eq!(registered_policy(&world), Some(Policy::LeastUsed { load: Load(0) }));
    let now = world.now();
    world.peers[1].give(now, 1, Synthetic::ID, &synthetic(2_000_000));
    let half = Some(Policy::LeastUsed { load: Load(u32::MAX / 2) });
    world.run_until(seconds(1), |world| registered_policy(world) == half);
    world.peers[1].give(now, 2, Synthetic::ID, &synthetic(2_000_000));
    let full = Some(Policy::LeastUsed { load: Load(u32::MAX) });
    world.run_until(seconds(2), |world| registered_policy(world) == full);
    world.run_until(seconds(60), |world| world.peers[1].is_done(2));
    let idle = Some(Policy::LeastUsed { load: Load(0) });
    world.run_until(seconds(2), |world| registered_policy(world) == idle);
}

#[test]
fn many_short_packages_do_not_flood_the_registrar() {
    let mut world = with_user(5, Weather::FAIR, RegistrarPlan::default());
    world.peers[0].registrar_events.clear();
    let start = world.now();
    for package in 0..100 {
        let now = world.now();
        world.peers[1].give(now, package, Synthetic::ID, &synthetic(10));
        world.run_until(seconds(5), |world| world.peers[1].is_done(package));
    }
    let span = world.now().saturating_duration_since(start);
    let updates = world.peers[0].registrar_events.len() as u128;
    assert!(
        updates <= span.as_millis() / 500 + span.as_millis() / 20_000 + 2,
        "{updates} in {span:?}"
    );
}

#[test]
fn a_package_goes_on_from_its_cookie_on_another_board() {
    let mut world = with_user(6, Weather::FAIR, RegistrarPlan::default());
    let parameters = tile(32, 500);
    let now = world.now();
    world.peers[1].give(now, 1, Fractal::ID, &parameters);
    world.run_until(seconds(60), |world| world.peers[1].cookies().len() >= 2);
    let cookie = world.peers[1].cookies().last().unwrap().to_vec();
    let whole = computed(Fractal::ID, &parameters);

    let mut other = with_user(7, Weather::FAIR, RegistrarPlan::default());
    let Some(Control::Cookie(cookie)) = Control::parse(&cookie) else { panic!() };
    let mut echo = [0; 512];
    let len = Control::write_echo(cookie, &mut echo).unwrap();
    let now = other.now();
    other.peers[1].send(now, StreamId(0), Ppid::ASAP, &echo[..len]);
    other.run_until(seconds(300), |world| world.peers[1].is_done(1));
    let accepted = other.peers[1].said().into_iter().find_map(|message| match message {
        WorkerMessage::Accept { offset, .. } => Some(offset),
        _ => None,
    });
    let offset = accepted.unwrap();
    assert!(offset > 0 && offset < whole.len() as u64, "{offset}");
    let place = usize::try_from(offset).unwrap();
    assert_eq!(other.peers[1].output(1, offset), whole[place..]);
    let resumed =
        |event: &compute::Event| matches!(event, compute::Event::Accepted { resumed: true, .. });
    assert!(other.work_events().iter().any(resumed));
}

#[test]
fn a_cookie_of_another_pool_key_is_refused() {
    let mut world = with_user(8, Weather::FAIR, RegistrarPlan::default());
    let now = world.now();
    world.peers[1].give(now, 1, Fractal::ID, &tile(32, 500));
    world.run_until(seconds(60), |world| !world.peers[1].cookies().is_empty());
    let cookie = world.peers[1].cookies()[0].to_vec();
    let Some(Control::Cookie(cookie)) = Control::parse(&cookie) else { panic!() };
    let mut echo = [0; 512];
    let len = Control::write_echo(cookie, &mut echo).unwrap();

    let key = format!("{SETTINGS} key={}", "5a".repeat(32));
    let mut other = registered(9, Weather::FAIR, &key, RegistrarPlan::default());
    let user = other.add_user(9);
    let now = other.now();
    other.peers[user].call(now, 7_000);
    other.run_until(seconds(5), |world| world.peers[user].is_up);
    let now = other.now();
    other.peers[user].send(now, StreamId(0), Ppid::ASAP, &echo[..len]);
    let refusal = WorkerMessage::Reject { work: work(1), reason: RejectReason::BadCookie };
    other.run_until(seconds(5), |world| world.peers[user].said().contains(&refusal));
}

#[test]
fn when_its_registrar_dies_it_finds_another() {
    let settings = format!("{SETTINGS} registrar=10.77.0.1:3863 registrar=10.77.0.2:3863");
    let mut world = World::new(10, Weather::FAIR, &settings);
    world.add_registrar(1, RegistrarPlan::default());
    world.add_registrar(2, RegistrarPlan::default());
    world.run_until(seconds(30), is_registered);
    let home = (0..2).find(|&place| world.peers[place].element_count() == 1).unwrap();
    world.peers[home].kill();
    world.run_until(seconds(90), |world| world.peers[1 - home].element_count() == 1);
    let lost = Event::Membership(PoolElementEvent::RegistrarLost);
    assert!(world.told(lost));
    world.run_until(seconds(5), is_registered);
}

#[test]
fn a_job_goes_on_while_the_registrar_dies() {
    let settings = format!("{SETTINGS} registrar=10.77.0.1:3863 registrar=10.77.0.2:3863");
    let mut world = World::new(11, Weather::FAIR, &settings);
    world.add_registrar(1, RegistrarPlan::default());
    world.add_registrar(2, RegistrarPlan::default());
    world.run_until(seconds(30), is_registered);
    let user = world.add_user(9);
    let now = world.now();
    world.peers[user].call(now, 7_000);
    world.run_until(seconds(5), |world| world.peers[user].is_up);
    let home = (0..2).find(|&place| world.peers[place].element_count() == 1).unwrap();
    let parameters = tile(64, 1_000);
    let now = world.now();
    world.peers[user].give(now, 1, Fractal::ID, &parameters);
    world.run_for(seconds(1));
    world.peers[home].kill();
    world.run_until(seconds(600), |world| world.peers[user].is_done(1));
    assert_eq!(world.peers[user].output(1, 0), computed(Fractal::ID, &parameters));
    world.run_until(seconds(60), |world| world.peers[1 - home].element_count() == 1);
}

#[test]
fn on_command_it_finishes_deregisters_and_says_so() {
    let mut world = with_user(12, Weather::FAIR, RegistrarPlan::default());
    let now = world.now();
    world.peers[1].give(now, 1, Synthetic::ID, &synthetic(100_000));
    world.run_until(seconds(5), |world| world.node.status().package_count == 1);
    world.command(Command::Stop);
    world.run_until(seconds(5), |world| world.told(Event::Stopped));
    assert!(world.peers[1].is_done(1));
    assert_eq!(world.peers[0].element_count(), 0);
    let removed = world.peers[0].registrar_events.iter().find_map(|event| match event {
        enrp::Event::ElementRemoved { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(removed, Some(enrp::RemovalReason::Deregistered));
    world.run_for(seconds(60));
    assert_eq!(world.peers[0].element_count(), 0, "it stays out");
    world.command(Command::Start);
    world.run_until(seconds(30), |world| world.peers[0].element_count() == 1);
}

#[test]
fn what_takes_too_long_is_handed_on_with_its_state() {
    let mut world = with_user(13, Weather::FAIR, RegistrarPlan::default());
    let now = world.now();
    world.peers[1].give(now, 1, Fractal::ID, &tile(64, 50_000));
    world.run_for(seconds(1));
    world.command(Command::Stop);
    let asked = world.now();
    world.run_until(seconds(6), |world| world.told(Event::Stopped));
    assert!(world.now().saturating_duration_since(asked) >= seconds(2), "there was grace");
    let refusal = WorkerMessage::Reject { work: work(1), reason: RejectReason::Stopping };
    assert!(world.peers[1].said().contains(&refusal));
    assert!(!world.peers[1].cookies().is_empty());
}

#[test]
fn without_anybody_to_say_goodbye_to_it_still_stops() {
    let mut world = with_user(14, Weather::FAIR, RegistrarPlan::default());
    world.peers[0].kill();
    world.peers[1].kill();
    world.command(Command::Stop);
    world.run_until(seconds(6), |world| world.told(Event::Stopped));
}

#[test]
fn a_short_loss_of_the_link_harms_nobody() {
    let mut world = with_user(15, Weather::FAIR, RegistrarPlan::default());
    let parameters = tile(64, 500);
    let now = world.now();
    world.peers[1].give(now, 1, Fractal::ID, &parameters);
    world.run_for(seconds(1));
    world.set_link(false);
    world.run_for(millis(2_500));
    world.set_link(true);
    world.run_until(seconds(300), |world| world.peers[1].is_done(1));
    assert_eq!(world.peers[1].output(1, 0), computed(Fractal::ID, &parameters));
    assert!(!world.told(Event::LinkLost));
    assert_eq!(world.registered_count(), 1);
}

#[test]
fn after_a_long_loss_of_the_link_it_is_back_at_once() {
    let mut world = with_user(16, Weather::FAIR, RegistrarPlan::default());
    let now = world.now();
    world.peers[1].give(now, 1, Fractal::ID, &tile(64, 50_000));
    world.run_for(seconds(1));
    world.set_link(false);
    world.run_for(seconds(60));
    assert!(world.told(Event::LinkLost));
    let status = world.node.status();
    assert_eq!((status.association_count, status.package_count), (0, 0));
    assert_eq!(status.membership, PoolElementStatus::Idle);
    world.set_link(true);
    world.run_until(seconds(1), is_registered);
    assert_eq!(world.peers[0].element_count(), 1);
}

#[test]
fn another_address_is_registered_anew() {
    let mut world = registered(17, Weather::FAIR, SETTINGS, RegistrarPlan::default());
    let now = world.now();
    world.node.link_up(now, address(6));
    world.run_for(millis(1));
    assert_eq!(world.node.status().association_count, 0);
}

#[test]
fn a_registrar_without_port_9899_is_found_by_its_other_lane() {
    let plan = RegistrarPlan { udp_port: Some(13_863), ..RegistrarPlan::default() };
    let mut world = World::new(18, Weather::FAIR, SETTINGS);
    world.add_registrar(1, plan);
    let start = world.now();
    world.run_until(seconds(1), is_registered);
    assert!(world.now().saturating_duration_since(start) < millis(500));
    assert_eq!(world.sent[0], (address(1), Some(9_899)));
    assert_eq!(world.sent[1], (address(1), Some(13_863)));
    assert!(world.sent[2..].iter().all(|&to| to == (address(1), Some(13_863))));
}

#[test]
fn a_configured_lane_is_the_only_one_tried() {
    let plan = RegistrarPlan { udp_port: Some(40_000), ..RegistrarPlan::default() };
    let settings = "registrar=10.77.0.1:3863/40000 id=0x17";
    let world = registered(19, Weather::FAIR, settings, plan);
    assert!(world.sent.iter().all(|&to| to == (address(1), Some(40_000))));
}

#[test]
fn right_over_ip_there_are_no_udp_ports() {
    let plan = RegistrarPlan { udp_port: None, ..RegistrarPlan::default() };
    let settings = format!("{SETTINGS} transport=raw");
    let mut world = registered(20, Weather::FAIR, &settings, plan);
    world.run_for(seconds(10));
    assert!(world.sent.iter().all(|&to| to == (address(1), None)));
}

#[test]
fn a_registrar_that_announces_itself_is_enough() {
    let mut world = World::new(21, Weather::FAIR, "registrar=none id=0x17");
    world.add_registrar(1, RegistrarPlan::default());
    world.run_for(seconds(20));
    assert_eq!(world.node.status().membership, PoolElementStatus::Hunting);
    let announce = b"\x0a\x00\x00\x18\x11\x11\x11\x11\
        \x00\x04\x00\x10\x0f\x17\x00\x00\x00\x01\x00\x08\x0a\x4d\x00\x01";
    let now = world.now();
    world.node.handle_announce(now, (address(1), 40_000).into(), announce);
    world.node.handle_announce(now, (address(1), 40_000).into(), b"rubbish");
    world.run_until(seconds(1), is_registered);
}

#[test]
fn a_second_user_is_sent_away_and_served_when_the_first_has_left() {
    let mut world = with_user(22, Weather::FAIR, RegistrarPlan::default());
    let second = world.add_user(10);
    let now = world.now();
    world.peers[second].call(now, 7_000);
    world.run_until(seconds(5), |world| world.peers[second].down_count == 1);
    assert!(world.peers[1].is_up);
    world.peers[1].kill();
    world.run_for(seconds(90));
    assert_eq!(world.node.status().association_count, 1, "a user who is gone is given up");
    let now = world.now();
    world.peers[second].call(now, 7_000);
    world.run_until(seconds(5), |world| !world.peers[second].inbox.is_empty());
}

#[test]
fn a_passed_deadline_ends_a_package() {
    let mut world = with_user(23, Weather::FAIR, RegistrarPlan::default());
    let now = world.now();
    let parameters = &tile(64, 50_000);
    let message = RunnerMessage::Package {
        work: work(1),
        kernel: Fractal::ID,
        deadline_ms: Some(500),
        parameters,
    };
    world.peers[1].say(now, &message);
    let failed = WorkerMessage::Failed { work: work(1), reason: FailReason::Deadline };
    world.run_until(seconds(2), |world| world.peers[1].said().contains(&failed));
}

/// One packet of ten is lost, one of ten comes twice, most overtake others.
const FOUL: Weather = Weather { loss: 100, ..Weather::STORM };

#[test]
fn through_foul_weather_packages_come_back_right() {
    for seed in 100..120 {
        let mut world = with_user(seed, FOUL, RegistrarPlan::default());
        let now = world.now();
        let blocks = [tile(8, 200), tile(12, 100)];
        for (package, parameters) in (0..).zip(&blocks) {
            world.peers[1].give(now, package, Fractal::ID, parameters);
        }
        world.run_until(seconds(300), |world| {
            !world.peers[1].is_up || (0..2).all(|package| world.peers[1].is_done(package))
        });
        assert!(world.peers[1].is_up, "seed {seed}: 10 % loss is no reason to give up");
        for (package, parameters) in (0..).zip(&blocks) {
            let expected = computed(Fractal::ID, parameters);
            assert_eq!(world.peers[1].output(package, 0), expected, "seed {seed}");
        }
    }
}
