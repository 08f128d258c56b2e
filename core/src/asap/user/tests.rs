//! Traces of a pool user. Bytes without comment are RSPLIB's, from the captures.

use super::*;
use crate::asap::trace::{Trace, bytes, registrar};
use core::time::Duration;
use std::format;
use std::string::String;
use std::vec::Vec;

const RESOLUTION: &str = "0500001c0009001050696e67506f6e67506f6f6c803f000800000001";
pub(super) const RESPONSE: &str = "060000440009001050696e67506f6e67506f6f6c0008000800000001\
    000a0028aaaa00011111111100015f9000040010cc6d0001000100080a4d00150008000800000001";
/// The same of a user with a cache, which wants some to select from: as many as it has room for.
const RESOLUTION_OF_SOME: &str = "0500001c0009001050696e67506f6e67506f6f6c803f000800000004";
const UNREACHABLE: &str = "0900001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
const UNKNOWN_POOL: &str = "0600001c0009000e4e6f53756368506f6f6c0000000c000800090004";
/// Two elements, made by hand in `crafted-fake-registrar-pu`.
const TWO: &str = "0600006c0009001050696e67506f6e67506f6f6c0008000800000001\
    000a0028aaaa0001999999990000ea60000400101b590000000100080a4d00150008000800000001\
    000a0028aaaa0002999999990000ea60000400101b5a0000000100080a4d00160008000800000001";
/// ASAP Error, cause 0x0010 (invalid message).
pub(super) const ERROR: &str = "0e00000c000c000800100004";

fn pool(handle: &'static [u8]) -> PoolHandle<'static> {
    PoolHandle::new(handle).unwrap()
}

pub(super) fn ping_pong() -> PoolHandle<'static> {
    pool(b"PingPongPool")
}

pub(super) type User = PoolUser<2, 4, 4>;

fn user_with(timers: Timers, registrars: u8) -> Trace<User> {
    let config = PoolUserConfig { timers, ..PoolUserConfig::new(Profile::Rsplib) };
    let mut user = User::new(config, &mut SplitMix64::new(1));
    for last in 11..11 + registrars {
        user.add_registrar(&registrar(last)).unwrap();
    }
    Trace::new(user)
}

pub(super) fn user(registrars: u8) -> Trace<User> {
    user_with(Timers::of(Profile::Rsplib), registrars)
}

pub(super) fn user_with_cache(milliseconds: u64) -> Trace<User> {
    let mut timers = Timers::of(Profile::Rsplib);
    timers.stale_cache = Duration::from_millis(milliseconds);
    user_with(timers, 1)
}

impl Trace<User> {
    pub(super) fn resolve(
        &mut self,
        handle: PoolHandle<'_>,
        items: u32,
    ) -> Result<u32, PoolUserFull> {
        let resolve = |user: &mut User, now| user.resolve(now, handle, Some(items));
        self.command(resolve).map(|resolution| resolution.0)
    }

    fn report(&mut self, pe_id: u32) -> Result<(), PoolUserFull> {
        self.command(|user, now| user.report_unreachable(now, ping_pong(), PeId(pe_id)))
    }

    fn elements(&self) -> Vec<u32> {
        self.machine.elements(ping_pong()).iter().map(|element| element.id.0).collect()
    }
}

fn resolved(resolution: u32) -> String {
    format!("Resolved {{ resolution: ResolutionId({resolution}), pool: \"PingPongPool\" }}")
}

/// A user that has asked for one element of the PingPongPool over association 1, at 0 ms.
fn asked(registrars: u8) -> Trace<User> {
    let mut trace = user(registrars);
    trace.resolve(ping_pong(), 1).unwrap();
    trace.up(1, 0);
    let lines = trace.lines();
    assert!(lines[0].starts_with("connect 0 to "));
    assert_eq!(lines[1], format!("1> {RESOLUTION}"));
    assert_eq!(lines[2], "RegistrarFound { association: AssociationId(1) }");
    trace
}

#[test]
fn resolves_byte_for_byte_as_rsplib_does() {
    let mut trace = asked(1);
    trace.receive(1, RESPONSE).unwrap();
    assert_eq!(trace.lines(), [resolved(0)]);
    let [element] = trace.machine.elements(ping_pong()) else { panic!("not one element") };
    assert_eq!(element.id, PeId(0xaaaa_0001));
    assert_eq!(element.home, RegistrarId(0x1111_1111));
    assert_eq!(format!("{}", element.transport.endpoint), "10.77.0.21:52333");
    assert_eq!(element.transport.transport_use, crate::wire::TransportUse::DataPlusControl);
    assert_eq!(element.policy, crate::wire::Policy::RoundRobin);
}

#[test]
fn without_a_number_of_items_the_option_is_left_out() {
    let mut trace = user(1);
    trace.command(|user, now| user.resolve(now, ping_pong(), None)).unwrap();
    trace.up(1, 0);
    assert_eq!(trace.lines()[1], "1> 050000140009001050696e67506f6e67506f6f6c");
}

#[test]
fn more_items_than_there_is_room_for_are_not_asked_for() {
    let mut trace = user(1);
    trace.resolve(ping_pong(), u32::MAX).unwrap();
    trace.up(1, 0);
    assert!(trace.lines()[1].ends_with("803f000800000004"));
}

#[test]
fn an_unknown_pool_is_told_by_the_error_without_any_flag() {
    let mut trace = user(1);
    trace.resolve(pool(b"NoSuchPool"), 1).unwrap();
    trace.up(1, 0);
    trace.log();
    trace.receive(1, UNKNOWN_POOL).unwrap();
    assert_eq!(
        trace.lines(),
        ["UnknownPool { resolution: ResolutionId(0), pool: \"NoSuchPool\" }"]
    );
}

#[test]
fn other_causes_are_failures() {
    let mut trace = asked(1);
    // Lack of resources.
    trace.receive(1, "0600001c0009001050696e67506f6e67506f6f6c000c000800060004").unwrap();
    let lines = trace.lines();
    assert!(lines[0].contains("Rejected { cause: Cause(6) }"), "{lines:?}");
}

#[test]
fn t1_asks_again_and_hunts_beside_up_to_max_request_retransmit() {
    let mut trace = asked(1);
    trace.run_until(2_999);
    assert_eq!(trace.log(), [""; 0]);
    trace.run_until(8_999);
    assert_eq!(
        trace.log(),
        [format!("3000 1> {RESOLUTION}"), format!("6000 1> {RESOLUTION}")],
        "there is nobody else to hunt"
    );
    trace.run_until(9_000);
    assert_eq!(
        trace.log(),
        [
            "9000 abort 1",
            "9000 RegistrarLost",
            "9000 Failed { resolution: ResolutionId(0), pool: \"PingPongPool\", reason: Timeout }"
        ]
    );
    assert_eq!(trace.machine.poll_timeout(), None);
}

#[test]
fn another_registrar_found_after_t1_replaces_the_silent_one() {
    let mut trace = asked(2);
    trace.run_until(3_000);
    let lines = trace.lines();
    assert!(lines[0].starts_with("connect 1 to "), "{lines:?}");
    assert_eq!(lines[1], format!("1> {RESOLUTION}"));
    trace.up(2, 1);
    let lines = trace.lines();
    assert_eq!(lines[0], "abort 1");
    assert_eq!(lines[1], format!("2> {RESOLUTION}"));
    assert_eq!(trace.receive(1, RESPONSE), Err(InputError::Unexpected));
    trace.receive(2, RESPONSE).unwrap();
    assert_eq!(trace.lines(), [resolved(0)]);
}

#[test]
fn a_registrar_that_answers_after_t1_ends_the_matter() {
    let mut trace = asked(2);
    trace.run_until(3_000);
    trace.log();
    trace.receive(1, RESPONSE).unwrap();
    // It stays: the hunt beside it is over.
    assert_eq!(trace.lines(), ["cancel 1".into(), resolved(0)]);
    trace.up(2, 1);
    assert_eq!(trace.lines(), ["abort 2"]);
    // What was asked twice is answered twice.
    assert_eq!(trace.receive(1, RESPONSE), Err(InputError::Unexpected));
}

#[test]
fn a_registrar_that_dies_is_replaced_and_asked_at_once() {
    let mut trace = asked(2);
    trace.run_until(100);
    trace.down(1);
    let lines = trace.log();
    assert!(lines[0].starts_with("100 connect 1 to "), "{lines:?}");
    assert_eq!(lines[1], "100 RegistrarLost");
    trace.up(2, 1);
    assert_eq!(trace.lines()[0], format!("2> {RESOLUTION}"));
}

#[test]
fn a_dead_registrar_is_not_replaced_before_it_is_needed() {
    let mut trace = asked(1);
    trace.receive(1, RESPONSE).unwrap();
    trace.log();
    trace.down(1);
    assert_eq!(trace.lines(), ["RegistrarLost"]);
    assert_eq!(trace.machine.poll_timeout(), None);
    trace.resolve(ping_pong(), 1).unwrap();
    assert_eq!(trace.lines(), ["connect 1 to 10.77.0.11:3863"]);
}

#[test]
fn no_registrar_is_told_in_time_and_the_next_resolution_finds_it() {
    let mut trace = user(1);
    trace.resolve(ping_pong(), 1).unwrap();
    for connect in 0..40 {
        trace.refused(connect);
        let next = trace.machine.poll_timeout();
        let Some(next) = next.filter(|&next| next < Instant::from_millis(9_000)) else { break };
        trace.run_until(next.as_micros().div_ceil(1_000));
    }
    trace.run_until(9_000);
    let lines = trace.log();
    assert_eq!(
        lines.last().unwrap(),
        "9000 NoRegistrar { resolution: ResolutionId(0), pool: \"PingPongPool\" }"
    );
    assert_eq!(trace.machine.poll_timeout(), None, "nobody needs one now");
    trace.resolve(ping_pong(), 1).unwrap();
    let lines = trace.lines();
    let connect: u32 = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    trace.up(1, connect);
    trace.receive(1, RESPONSE).unwrap();
    assert_eq!(trace.lines().last().unwrap(), &resolved(1));
}

#[test]
fn resolutions_of_one_pool_share_a_request() {
    let mut trace = asked(1);
    trace.resolve(ping_pong(), 1).unwrap();
    trace.resolve(ping_pong(), 0).unwrap();
    assert_eq!(trace.lines(), [""; 0]);
    trace.receive(1, RESPONSE).unwrap();
    assert_eq!(trace.lines(), [resolved(0), resolved(1), resolved(2)]);
}

#[test]
fn who_wants_more_than_was_asked_for_is_asked_for_again() {
    let mut trace = asked(1);
    trace.resolve(ping_pong(), 2).unwrap();
    trace.receive(1, RESPONSE).unwrap();
    let again = RESOLUTION.replace("00000001", "00000002");
    assert_eq!(trace.lines(), [format!("1> {again}"), resolved(0)]);
    trace.receive(1, TWO).unwrap();
    assert_eq!(trace.lines(), [resolved(1)]);
    assert_eq!(trace.elements(), [0xaaaa_0001, 0xaaaa_0002]);
}

#[test]
fn too_many_resolutions_or_pools_are_refused() {
    let mut trace = user(1);
    for resolution in 0..4 {
        assert_eq!(trace.resolve(ping_pong(), 1), Ok(resolution));
    }
    assert_eq!(trace.resolve(ping_pong(), 1), Err(PoolUserFull::Resolutions));
    let mut trace = user(1);
    trace.resolve(pool(b"a"), 1).unwrap();
    trace.resolve(pool(b"b"), 1).unwrap();
    assert_eq!(trace.resolve(pool(b"c"), 1), Err(PoolUserFull::Pools));
}

#[test]
fn the_pool_resolved_longest_ago_makes_room() {
    let mut trace = asked(1);
    trace.receive(1, RESPONSE).unwrap();
    trace.run_until(10);
    trace.resolve(pool(b"NoSuchPool"), 1).unwrap();
    trace.receive(1, UNKNOWN_POOL).unwrap();
    assert_eq!(trace.elements(), [0xaaaa_0001]);
    trace.run_until(20);
    trace.resolve(pool(b"c"), 1).unwrap();
    assert_eq!(trace.elements(), [0; 0]);
}

#[test]
fn the_cache_answers_until_it_is_stale() {
    let mut trace = user_with_cache(1_000);
    trace.resolve(ping_pong(), 1).unwrap();
    trace.up(1, 0);
    trace.receive(1, RESPONSE).unwrap();
    trace.log();
    trace.run_until(999);
    trace.resolve(ping_pong(), 1).unwrap();
    assert_eq!(trace.lines(), [resolved(1)]);
    trace.run_until(1_000);
    trace.resolve(ping_pong(), 1).unwrap();
    assert_eq!(trace.lines(), [format!("1> {RESOLUTION_OF_SOME}")]);
}

#[test]
fn the_cache_takes_turns_with_round_robin() {
    let mut trace = user_with_cache(60_000);
    trace.resolve(ping_pong(), 2).unwrap();
    trace.up(1, 0);
    trace.receive(1, TWO).unwrap();
    assert_eq!(trace.elements(), [0xaaaa_0001, 0xaaaa_0002]);
    trace.resolve(ping_pong(), 2).unwrap();
    assert_eq!(trace.elements(), [0xaaaa_0002, 0xaaaa_0001]);
}

#[test]
fn the_cache_keeps_the_order_of_priorities() {
    let mut trace = user_with_cache(60_000);
    trace.resolve(ping_pong(), 2).unwrap();
    trace.up(1, 0);
    let by_priority = "060000780009001050696e67506f6e67506f6f6c0008000c0000000500000009\
        000a002caaaa0001999999990000ea60000400101b590000000100080a4d00150008000c0000000500000009\
        000a002caaaa0002999999990000ea60000400101b5a0000000100080a4d00160008000c0000000500000007";
    trace.receive(1, by_priority).unwrap();
    for _ in 0..2 {
        assert_eq!(trace.elements(), [0xaaaa_0001, 0xaaaa_0002]);
        trace.resolve(ping_pong(), 2).unwrap();
    }
}

#[test]
fn a_purged_pool_is_asked_for() {
    let mut trace = user_with_cache(60_000);
    trace.resolve(ping_pong(), 1).unwrap();
    trace.up(1, 0);
    trace.receive(1, RESPONSE).unwrap();
    trace.log();
    trace.command(|user, _| user.purge(ping_pong()));
    trace.resolve(ping_pong(), 1).unwrap();
    assert_eq!(trace.lines(), [format!("1> {RESOLUTION_OF_SOME}")]);
}

#[test]
fn unreachable_elements_are_reported_once_and_forgotten() {
    let mut trace = user_with_cache(60_000);
    trace.resolve(ping_pong(), 1).unwrap();
    trace.up(1, 0);
    trace.receive(1, RESPONSE).unwrap();
    trace.log();
    trace.report(0xaaaa_0001).unwrap();
    trace.report(0xaaaa_0001).unwrap();
    assert_eq!(trace.lines(), [format!("1> {UNREACHABLE}")]);
    assert_eq!(trace.elements(), [0; 0]);
    trace.resolve(ping_pong(), 1).unwrap();
    assert_eq!(trace.lines(), [format!("1> {RESOLUTION_OF_SOME}")], "the cache is of no use");
    // A second later it is another event.
    trace.run_until(1_000);
    trace.report(0xaaaa_0001).unwrap();
    assert_eq!(trace.lines(), [format!("1> {UNREACHABLE}")]);
}

#[test]
fn reports_are_limited() {
    let mut trace = user(1);
    for pe_id in 1..=REPORTS_MAX as u32 {
        trace.report(pe_id).unwrap();
    }
    assert_eq!(trace.report(99), Err(PoolUserFull::Reports));
    trace.up(1, 0);
    let reports = trace.lines().iter().filter(|line| line.starts_with("1> 0900")).count();
    assert_eq!(reports, REPORTS_MAX);
    assert_eq!(trace.report(99), Err(PoolUserFull::Reports));
    trace.run_until(1_000);
    trace.report(99).unwrap();
}

#[test]
fn a_report_without_registrar_starts_a_hunt() {
    let mut trace = user(1);
    trace.report(0xaaaa_0001).unwrap();
    trace.up(1, 0);
    assert_eq!(
        trace.lines(),
        [
            "connect 0 to 10.77.0.11:3863".into(),
            format!("1> {UNREACHABLE}"),
            "RegistrarFound { association: AssociationId(1) }".into()
        ]
    );
}

#[test]
fn an_idle_association_is_closed() {
    let mut trace = asked(1);
    trace.run_until(10);
    trace.receive(1, RESPONSE).unwrap();
    trace.log();
    trace.run_until(30_009);
    assert_eq!(trace.log(), [""; 0]);
    trace.run_until(30_010);
    assert_eq!(trace.log(), ["30010 shutdown 1"]);
    trace.down(1);
    assert_eq!(trace.log(), [""; 0]);
}

fn answered_with(response: &str) -> (Vec<String>, Vec<u32>) {
    let mut trace = asked(1);
    trace.receive(1, response).unwrap();
    (trace.lines(), trace.elements())
}

#[test]
fn a_response_without_element_is_a_failure() {
    let (lines, _) = answered_with("0600001c0009001050696e67506f6e67506f6f6c0008000800000001");
    assert!(lines[0].ends_with("reason: NoUsableElement }"), "{lines:?}");
}

#[test]
fn a_response_without_policy_means_round_robin() {
    // Made by hand in `crafted-fake-registrar-pu`; RFC 5352 §2.2.6.
    let (lines, elements) = answered_with(
        "0600003c0009001050696e67506f6e67506f6f6c\
         000a0028aaaa0001999999990000ea60000400101b590000000100080a4d00150008000800000001",
    );
    assert_eq!((lines, elements), ([resolved(0)].into(), [0xaaaa_0001].into()));
}

#[test]
fn elements_of_another_policy_are_left_out() {
    // Made by hand in `crafted-fake-registrar-pu`, where it crashes RSPLIB's user.
    let (lines, elements) = answered_with(
        "060000700009001050696e67506f6e67506f6f6c0008000800000001\
         000a0028aaaa0001999999990000ea60000400101b590000000100080a4d00150008000800000001\
         000a002caaaa0005999999990000ea60000400101b5d0000000100080a4d00180008000c4000000100000005",
    );
    assert_eq!((lines, elements), ([resolved(0)].into(), [0xaaaa_0001].into()));
}

#[test]
fn an_unknown_policy_is_no_obstacle() {
    // Made by hand in `crafted-fake-registrar-pu`. The registrar has selected already.
    let (lines, elements) = answered_with(
        "0600004c0009001050696e67506f6e67506f6f6c0008000c0000007700000005\
         000a002caaaa0004999999990000ea60000400101b5c0000000100080a4d00180008000c0000007700000005",
    );
    assert_eq!((lines, elements), ([resolved(0)].into(), [0xaaaa_0004].into()));
}

#[test]
fn elements_listed_twice_or_unreachable_by_nature_are_left_out() {
    let twice = TWO.replace("aaaa0002", "aaaa0001");
    assert_eq!(answered_with(&twice).1, [0xaaaa_0001]);
    let no_port = TWO.replace("1b590000", "00000000");
    assert_eq!(answered_with(&no_port).1, [0xaaaa_0002]);
    let to_nobody = TWO.replace("0a4d0015", "00000000");
    assert_eq!(answered_with(&to_nobody).1, [0xaaaa_0002]);
    let to_everybody = TWO.replace("0a4d0015", "ef000032");
    assert_eq!(answered_with(&to_everybody).1, [0xaaaa_0002]);
}

#[test]
fn no_more_elements_are_taken_than_there_is_room_for() {
    let element = "000a0028aaaa000X999999990000ea60000400101b590000000100080a4d0015\
        0008000800000001";
    let mut response = String::from("060001280009001050696e67506f6e67506f6f6c0008000800000001");
    for index in 0..6 {
        response += &element.replace('X', &format!("{index}"));
    }
    // 28 and six times 40 bytes.
    let response = response.replacen("06000128", "0600010c", 1);
    assert_eq!(bytes(&response).len(), 0x10c);
    assert_eq!(answered_with(&response).1.len(), 4);
}

#[test]
fn responses_that_nobody_asked_for_change_nothing() {
    let mut trace = asked(1);
    assert_eq!(trace.receive(1, UNKNOWN_POOL), Err(InputError::Unexpected), "another pool");
    assert_eq!(trace.receive(2, RESPONSE), Err(InputError::Unexpected), "another association");
    trace.receive(1, RESPONSE).unwrap();
    let other = RESPONSE.replace("aaaa0001", "bbbb0001");
    assert_eq!(trace.receive(1, &other), Err(InputError::Unexpected), "answered already");
    assert_eq!(trace.elements(), [0xaaaa_0001]);
}

#[test]
fn malformed_responses_are_dropped_at_each_length() {
    let mut trace = asked(1);
    let response = bytes(RESPONSE);
    for len in 0..response.len() {
        let part: String = response[..len].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(trace.receive(1, &part).is_err(), "length {len}");
    }
    assert!(!trace.lines().iter().any(|line| line.contains("Resolved")));
    trace.receive(1, RESPONSE).unwrap();
}

#[test]
fn an_asap_error_answers_the_oldest_request() {
    let mut trace = asked(1);
    trace.run_until(10);
    trace.resolve(pool(b"NoSuchPool"), 1).unwrap();
    trace.log();
    trace.receive(1, ERROR).unwrap();
    let lines = trace.lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("PingPongPool") && lines[0].contains("Cause(16)"), "{lines:?}");
    trace.receive(1, UNKNOWN_POOL).unwrap();
    assert_eq!(trace.receive(1, ERROR), Err(InputError::Unexpected));
}

#[test]
fn keep_alives_are_not_for_users() {
    let mut trace = asked(1);
    let keep_alive = "07000018111111110009001050696e67506f6e67506f6f6c";
    assert_eq!(trace.receive(1, keep_alive), Err(InputError::Unexpected));
}

#[test]
fn a_restarted_registrar_is_asked_again() {
    let mut trace = asked(1);
    trace.input(Input::Restarted { association: AssociationId(1) }).unwrap();
    assert_eq!(trace.lines(), [format!("1> {RESOLUTION}")]);
}

#[test]
fn stop_ends_everything_at_once() {
    let mut trace = asked(1);
    trace.command(|user, _| user.stop());
    assert_eq!(trace.lines(), ["shutdown 1"]);
    assert_eq!(trace.machine.poll_timeout(), None);
}
