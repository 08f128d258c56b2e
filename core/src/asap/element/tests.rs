//! Traces of a pool element. Bytes without comment are RSPLIB's, from the captures.

use super::*;
use crate::asap::trace::{Trace, bytes, registrar};
use crate::association::Ppid;
use std::format;
use std::string::String;
use std::vec::Vec;

const REGISTRATION: &str = "0100003c0009001050696e67506f6e67506f6f6c\
    000a0028aaaa00010000000000015f9000040010a9670001000100080a4d00150008000800000001";
/// The same from home 0x11111111.
const REREGISTRATION: &str = "0100003c0009001050696e67506f6e67506f6f6c\
    000a0028aaaa00011111111100015f9000040010a9670001000100080a4d00150008000800000001";
pub(super) const GRANTED: &str = "0300001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
/// Shaped as RSPLIB's, with its code for "no usable user address".
pub(super) const REJECTED: &str = "030100240009001050696e67506f6e67506f6f6c000e0008aaaa0001\
    000c0008f0080004";
pub(super) const KEEP_ALIVE: &str = "0700002011111111\
    0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
const KEEP_ALIVE_WITHOUT_ID: &str = "07000018111111110009001050696e67506f6e67506f6f6c";
pub(super) const KEEP_ALIVE_HOME_2: &str = "0701002022222222\
    0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
const ACK: &str = "0800001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
const DEREGISTRATION: &str = "0200001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
pub(super) const DEREGISTERED: &str = "0400001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
/// ASAP Error, cause 0x100b (unsupported policy).
pub(super) const ERROR: &str = "0e00000c000c0008100b0004";

const POOL: &[u8] = b"PingPongPool";

pub(super) fn pool() -> PoolHandle<'static> {
    PoolHandle::new(POOL).unwrap()
}

pub(super) fn service() -> UserTransport {
    let address = core::net::SocketAddr::from(([10, 77, 0, 21], 43_367));
    UserTransport::sctp(Endpoint::new(address))
}

fn config(profile: Profile) -> PoolElementConfig {
    PoolElementConfig { pe_id: Some(PeId(0xaaaa_0001)), ..PoolElementConfig::new(profile) }
}

/// An element that knows the registrars 10.77.0.11, .12 and so on.
pub(super) fn element(profile: Profile, registrars: u8) -> Trace<PoolElement> {
    let mut element = PoolElement::new(config(profile), &mut SplitMix64::new(1));
    for last in 11..11 + registrars {
        element.add_registrar(&registrar(last)).unwrap();
    }
    Trace::new(element)
}

impl Trace<PoolElement> {
    pub(super) fn register(&mut self) {
        self.register_as(Policy::RoundRobin).unwrap();
    }

    pub(super) fn register_as(&mut self, policy: Policy) -> Result<(), CommandError> {
        self.command(|element, now| element.register(now, pool(), &service(), policy))
    }

    pub(super) fn deregister(&mut self) {
        self.command(|element, now| element.deregister(now)).unwrap();
    }

    fn status(&self) -> PoolElementStatus {
        self.machine.status()
    }

    /// The messages among the lines that came out.
    fn messages(&mut self) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains("> ")).collect()
    }
}

/// One that is registered over association 1, at 0 ms.
fn registered(profile: Profile, registrars: u8) -> Trace<PoolElement> {
    let mut trace = element(profile, registrars);
    trace.register();
    trace.up(1, 0);
    let seconds = "0100003c0009001050696e67506f6e67506f6f6c\
        000a0028aaaa0001000000000000038400040010a9670001000100080a4d00150008000800000001";
    let registration = match profile {
        Profile::Rsplib => REGISTRATION,
        Profile::Rfc => seconds,
    };
    assert_eq!(trace.messages(), [format!("1> {registration}")]);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.log(), ["0 Registered { warning: None }"]);
    trace
}

#[test]
fn registers_byte_for_byte_as_rsplib_does() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    assert_eq!(trace.log(), ["0 connect 0 to 10.77.0.11:3863"]);
    assert_eq!(trace.status(), PoolElementStatus::Hunting);
    trace.run_until(20);
    trace.up(1, 0);
    assert_eq!(
        trace.log(),
        [
            format!("20 1> {REGISTRATION}"),
            "20 RegistrarFound { association: AssociationId(1) }".into()
        ]
    );
    assert_eq!(trace.status(), PoolElementStatus::Registering);
    trace.run_until(30);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.log(), ["30 Registered { warning: None }"]);
    assert_eq!(trace.status(), PoolElementStatus::Registered);
}

#[test]
fn t4_registers_again_after_a_third_of_the_life() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.run_until(29_999);
    assert_eq!(trace.log(), [""; 0]);
    trace.run_until(30_000);
    assert_eq!(trace.log(), [format!("30000 1> {REGISTRATION}")]);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.log(), [""; 0], "a renewal is no news");
    trace.run_until(60_000);
    assert_eq!(trace.messages().len(), 1);
}

#[test]
fn t4_of_the_rfc_is_ten_minutes() {
    let mut trace = registered(Profile::Rfc, 1);
    trace.run_until(599_999);
    assert_eq!(trace.log(), [""; 0]);
    trace.run_until(600_000);
    assert_eq!(trace.messages().len(), 1);
}

#[test]
fn t2_gives_the_registrar_up_and_registers_with_another() {
    let mut trace = element(Profile::Rsplib, 2);
    trace.register();
    trace.up(1, 0);
    trace.log();
    trace.run_until(2_999);
    assert_eq!(trace.log(), [""; 0]);
    trace.run_until(3_000);
    let lines = trace.log();
    assert_eq!(lines[0], "3000 abort 1");
    assert!(lines[1].starts_with("3000 connect 1 to 10.77.0.1"), "{lines:?}");
    assert_eq!(lines[2], "3000 RegistrarLost");
    trace.up(2, 1);
    assert_eq!(trace.messages(), [format!("2> {REGISTRATION}")]);
    trace.receive(2, GRANTED).unwrap();
    assert_eq!(trace.status(), PoolElementStatus::Registered);
}

#[test]
fn the_other_registrar_is_asked_before_the_silent_one() {
    for seed in 0..20 {
        let mut element = PoolElement::new(config(Profile::Rsplib), &mut SplitMix64::new(seed));
        element.add_registrar(&registrar(11)).unwrap();
        element.add_registrar(&registrar(12)).unwrap();
        let mut trace = Trace::new(element);
        trace.register();
        let first = trace.lines()[0].clone();
        trace.up(1, 0);
        trace.log();
        trace.run_until(3_000);
        let second = trace.lines()[1].clone();
        assert_ne!(first.rsplit_once(' ').unwrap().1, second.rsplit_once(' ').unwrap().1);
    }
}

#[test]
fn after_max_reg_attempt_the_user_is_told_and_the_retry_is_slow() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.up(1, 0);
    trace.run_until(3_000);
    trace.up(2, 1);
    trace.log();
    trace.run_until(6_000);
    assert_eq!(
        trace.log(),
        ["6000 abort 2", "6000 RegistrarLost", "6000 RegistrationFailed { retry_in: Some(30s) }"]
    );
    assert_eq!(trace.status(), PoolElementStatus::Holding);
    trace.run_until(35_999);
    assert_eq!(trace.log(), [""; 0]);
    trace.run_until(36_000);
    assert_eq!(trace.log(), ["36000 connect 2 to 10.77.0.11:3863"]);
    trace.up(3, 2);
    trace.receive(3, GRANTED).unwrap();
    assert_eq!(trace.status(), PoolElementStatus::Registered);
}

#[test]
fn by_the_rfc_there_is_no_retry_after_max_reg_attempt() {
    let mut trace = element(Profile::Rfc, 1);
    trace.register();
    trace.up(1, 0);
    trace.run_until(30_000);
    trace.up(2, 1);
    trace.log();
    trace.run_until(60_000);
    assert!(trace.lines().contains(&"RegistrationFailed { retry_in: None }".into()));
    assert_eq!(trace.machine.poll_timeout(), None);
    // Until the user asks for it.
    trace.register();
    assert_eq!(trace.lines(), ["connect 2 to 10.77.0.11:3863"]);
}

#[test]
fn an_answer_ends_the_count_of_attempts() {
    let mut trace = registered(Profile::Rsplib, 1);
    // Two unanswered registrations, as after any number of answered ones.
    trace.run_until(33_000);
    trace.up(2, 1);
    trace.run_until(35_999);
    assert_eq!(trace.status(), PoolElementStatus::Registering);
    trace.receive(2, GRANTED).unwrap();
    trace.log();
    trace.run_until(35_999 + 30_000 + 3_000);
    assert!(!trace.lines().iter().any(|line| line.contains("Failed")));
}

#[test]
fn a_rejection_is_told_with_its_cause_and_retried_slowly() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.up(1, 0);
    trace.log();
    trace.receive(1, REJECTED).unwrap();
    assert_eq!(
        trace.log(),
        ["0 Rejected { cause: Some(Cause(61448)), retry_in: Some(30s) }"],
        "0xf008"
    );
    trace.run_until(29_999);
    assert_eq!(trace.log(), [""; 0]);
    trace.run_until(30_000);
    assert_eq!(trace.messages(), [format!("1> {REGISTRATION}")]);
}

#[test]
fn by_the_rfc_a_rejected_registration_is_not_repeated_unchanged() {
    let mut trace = element(Profile::Rfc, 1);
    trace.register();
    trace.up(1, 0);
    trace.log();
    trace.receive(1, REJECTED).unwrap();
    assert_eq!(trace.log(), ["0 Rejected { cause: Some(Cause(61448)), retry_in: None }"]);
    assert_eq!(trace.machine.poll_timeout(), None);
    // A change is another thing.
    let random = Policy::Random;
    trace.command(|element, now| element.update_policy(now, random)).unwrap();
    assert_eq!(trace.messages().len(), 1);
}

#[test]
fn an_asap_error_answers_the_outstanding_registration() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.up(1, 0);
    trace.log();
    trace.receive(1, ERROR).unwrap();
    assert_eq!(trace.log(), ["0 Rejected { cause: Some(Cause(4107)), retry_in: Some(30s) }"]);
    // It was only a complaint: the registration itself is granted after all.
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.log(), ["0 Registered { warning: None }"]);
}

#[test]
fn an_asap_error_out_of_the_blue_changes_nothing() {
    let mut trace = registered(Profile::Rsplib, 1);
    assert_eq!(trace.receive(1, ERROR), Err(InputError::Unexpected));
    assert_eq!(trace.log(), [""; 0]);
    assert_eq!(trace.status(), PoolElementStatus::Registered);
}

#[test]
fn an_error_without_reject_flag_is_a_warning() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.up(1, 0);
    trace.log();
    let warned = REJECTED.replacen("0301", "0300", 1);
    trace.receive(1, &warned).unwrap();
    assert_eq!(trace.log(), ["0 Registered { warning: Some(Cause(61448)) }"]);
}

#[test]
fn answers_for_others_and_duplicates_change_nothing() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.up(1, 0);
    trace.log();
    let other_element = GRANTED.replace("aaaa0001", "aaaa0002");
    assert_eq!(trace.receive(1, &other_element), Err(InputError::Unexpected));
    let other_pool = GRANTED.replace("50696e67", "50696e68");
    assert_eq!(trace.receive(1, &other_pool), Err(InputError::Unexpected));
    assert_eq!(trace.receive(2, GRANTED), Err(InputError::Unexpected), "not the registrar");
    assert_eq!(trace.status(), PoolElementStatus::Registering);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.receive(1, GRANTED), Err(InputError::Unexpected));
    assert_eq!(trace.receive(1, REJECTED), Err(InputError::Unexpected));
    assert_eq!(trace.log(), ["0 Registered { warning: None }"]);
}

#[test]
fn malformed_answers_are_dropped_and_t2_goes_on() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.up(1, 0);
    trace.log();
    let granted = bytes(GRANTED);
    for len in 0..granted.len() {
        let part: String = granted[..len].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(trace.receive(1, &part).is_err(), "length {len}");
    }
    assert_eq!(trace.status(), PoolElementStatus::Registering);
    trace.log();
    trace.run_until(3_000);
    assert_eq!(trace.lines()[0], "abort 1");
}

#[test]
fn messages_of_other_protocols_are_refused() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.up(1, 0);
    assert_eq!(trace.receive_as(Ppid::ENRP, 1, GRANTED), Err(InputError::NotAsap));
    assert_eq!(trace.receive_as(Ppid(0), 1, GRANTED), Err(InputError::NotAsap));
}

#[test]
fn a_registrar_that_dies_while_registering_is_replaced_at_once() {
    let mut trace = element(Profile::Rsplib, 2);
    trace.register();
    trace.up(1, 0);
    trace.run_until(100);
    trace.log();
    trace.down(1);
    let lines = trace.log();
    assert!(lines[0].starts_with("100 connect 1 to 10.77.0.1"), "{lines:?}");
    assert_eq!(lines[1], "100 RegistrarLost");
    trace.up(2, 1);
    assert_eq!(trace.messages(), [format!("2> {REGISTRATION}")]);
}

#[test]
fn a_lost_registrar_means_to_register_at_once_with_another() {
    let mut trace = registered(Profile::Rsplib, 2);
    trace.run_until(1_000);
    trace.down(1);
    trace.up(2, 1);
    trace.receive(2, GRANTED).unwrap();
    let lines = trace.lines();
    assert_eq!(lines[1], "RegistrarLost");
    assert_eq!(lines[2], format!("2> {REGISTRATION}"));
    assert_eq!(lines[4], "Registered { warning: None }");
}

#[test]
fn a_restarted_registrar_is_told_again() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.input(Input::Restarted { association: AssociationId(1) }).unwrap();
    assert_eq!(trace.lines(), [format!("1> {REGISTRATION}")]);
    trace.input(Input::Restarted { association: AssociationId(9) }).unwrap();
    assert_eq!(trace.lines(), [""; 0]);
}

#[test]
fn no_registrar_at_all_then_one_comes_back() {
    let mut trace = element(Profile::Rsplib, 2);
    trace.register();
    trace.refused(0);
    trace.refused(1);
    let lines = trace.lines();
    assert_eq!(lines.last().unwrap(), "NoRegistrar");
    trace.run_until(400);
    let lines = trace.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("connect 2 to "));
    trace.up(1, 2);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.status(), PoolElementStatus::Registered);
}

#[test]
fn keep_alives_are_acknowledged_with_and_without_identifier() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.receive(1, KEEP_ALIVE).unwrap();
    assert_eq!(trace.log(), [format!("0 1> {ACK}")]);
    trace.receive(1, KEEP_ALIVE_WITHOUT_ID).unwrap();
    assert_eq!(trace.log(), [format!("0 1> {ACK}")]);
}

#[test]
fn a_pool_handle_with_padding_is_acknowledged_byte_for_byte() {
    let config = PoolElementConfig { pe_id: Some(PeId(0xaaaa_0003)), ..config(Profile::Rsplib) };
    let mut element = PoolElement::new(config, &mut SplitMix64::new(1));
    element.add_registrar(&registrar(11)).unwrap();
    let mut trace = Trace::new(element);
    let pool = PoolHandle::new(b"Odd7chr").unwrap();
    trace.command(|element, now| element.register(now, pool, &service(), Policy::Random)).unwrap();
    trace.up(1, 0);
    trace.log();
    trace.receive(1, "0700001c111111110009000b4f64643763687200000e0008aaaa0003").unwrap();
    assert_eq!(trace.messages(), ["1> 080000180009000b4f64643763687200000e0008aaaa0003"]);
}

#[test]
fn a_keep_alive_is_acknowledged_before_the_registration_is_answered() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    assert_eq!(trace.receive(5, KEEP_ALIVE), Err(InputError::Unexpected), "nothing sent yet");
    trace.up(1, 0);
    trace.log();
    trace.receive(1, KEEP_ALIVE).unwrap();
    assert_eq!(trace.messages(), [format!("1> {ACK}")]);
}

#[test]
fn keep_alives_for_others_are_not_acknowledged() {
    let mut trace = registered(Profile::Rsplib, 1);
    let other_element = KEEP_ALIVE.replace("aaaa0001", "aaaa0002");
    assert_eq!(trace.receive(1, &other_element), Err(InputError::Unexpected));
    let other_pool = KEEP_ALIVE.replace("50696e67", "50696e68");
    assert_eq!(trace.receive(1, &other_pool), Err(InputError::Unexpected));
    // RSPLIB would answer this one; RFC 5352 §3.4 (KA1) says not to.
    let other_pool = KEEP_ALIVE_WITHOUT_ID.replace("50696e67", "50696e68");
    assert_eq!(trace.receive(1, &other_pool), Err(InputError::Unexpected));
    assert_eq!(trace.log(), [""; 0]);
}

#[test]
fn a_keep_alive_from_another_registrar_is_acknowledged_there() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.up(7, None);
    let from_2 = KEEP_ALIVE.replace("11111111", "22222222");
    trace.receive(7, &from_2).unwrap();
    assert_eq!(trace.log(), [format!("0 7> {ACK}")]);
    assert_eq!(trace.machine.home(), Some(RegistrarId::UNKNOWN), "still the old one");
}

#[test]
fn keep_alives_tell_who_the_home_is() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.receive(1, KEEP_ALIVE).unwrap();
    assert_eq!(trace.machine.home(), Some(RegistrarId(0x1111_1111)));
    trace.log();
    trace.run_until(30_000);
    assert_eq!(trace.messages(), [format!("1> {REREGISTRATION}")]);
    // Another identifier on the same association: it is what the registrar now calls itself.
    trace.receive(1, KEEP_ALIVE_HOME_2).unwrap();
    assert_eq!(trace.machine.home(), Some(RegistrarId(0x2222_2222)));
    assert_eq!(trace.messages(), [format!("1> {ACK}")]);
}

#[test]
fn a_flood_of_keep_alives_costs_one_answer_an_association() {
    let mut element = registered(Profile::Rsplib, 1).machine;
    let data = bytes(KEEP_ALIVE);
    let mut refused = 0;
    for association in (2..40).flat_map(|association| [association; 3]) {
        let input = Input::Message {
            association: AssociationId(association),
            stream: crate::association::StreamId(0),
            ppid: Ppid::ASAP,
            data: &data,
        };
        refused += usize::from(element.handle_input(Instant::ZERO, input).is_err());
    }
    assert_eq!(refused, (38 - ACKS_MAX) * 3);
    let mut buf = [0; POOL_ELEMENT_MESSAGE_LEN_MAX];
    let mut answers = 0;
    while element.poll_transmit(Instant::ZERO, &mut buf).is_some() {
        answers += 1;
    }
    assert_eq!(answers, ACKS_MAX);
}

#[test]
fn a_home_change_aborts_the_old_association_and_registers_at_once() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.up(7, None);
    trace.run_until(5);
    trace.receive(7, KEEP_ALIVE_HOME_2).unwrap();
    let registration = REGISTRATION.replace("aaaa000100000000", "aaaa000122222222");
    assert_eq!(
        trace.log(),
        [
            "5 abort 1".into(),
            format!("5 7> {ACK}"),
            format!("5 7> {registration}"),
            "5 HomeChanged { registrar: RegistrarId(572662306) }".into(),
        ]
    );
    trace.receive(7, GRANTED).unwrap();
    assert_eq!(trace.status(), PoolElementStatus::Registered);
    // The end of the old association is no loss, that of the new one is.
    trace.down(1);
    assert_eq!(trace.lines(), [""; 0], "registered all the time");
    trace.down(7);
    assert!(trace.lines().contains(&"RegistrarLost".into()));
}

#[test]
fn a_home_change_ends_a_hunt() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.down(1);
    assert_eq!(trace.lines(), ["connect 1 to 10.77.0.11:3863", "RegistrarLost"]);
    trace.up(7, None);
    trace.receive(7, KEEP_ALIVE_HOME_2).unwrap();
    let lines = trace.lines();
    assert_eq!(lines[0], "cancel 1");
    assert_eq!(trace.status(), PoolElementStatus::Registering);
    // The cancellation crossed with the success.
    trace.up(8, 1);
    assert_eq!(trace.lines(), ["abort 8"]);
}

#[test]
fn deregisters_and_closes_the_association() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.deregister();
    assert_eq!(trace.log(), [format!("0 1> {DEREGISTRATION}")]);
    assert_eq!(trace.status(), PoolElementStatus::Deregistering);
    trace.receive(1, DEREGISTERED).unwrap();
    assert_eq!(trace.log(), ["0 shutdown 1", "0 Deregistered { cause: None }"]);
    assert_eq!(trace.status(), PoolElementStatus::Idle);
    assert_eq!(trace.machine.poll_timeout(), None);
    trace.down(1);
    assert_eq!(trace.log(), [""; 0]);
    // And may come back.
    trace.register();
    assert_eq!(trace.lines(), ["connect 1 to 10.77.0.11:3863"]);
}

#[test]
fn a_refused_deregistration_is_told_with_its_cause() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.deregister();
    trace.log();
    let refused = "040000240009001050696e67506f6e67506f6f6c000e0008aaaa0001000c0008000a0004";
    trace.receive(1, refused).unwrap();
    assert_eq!(trace.lines(), ["shutdown 1", "Deregistered { cause: Some(Cause(10)) }"]);
}

#[test]
fn t3_hunts_another_registrar_to_deregister_and_gives_up_after_max_reg_attempt() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.deregister();
    trace.log();
    trace.run_until(3_000);
    assert_eq!(
        trace.log(),
        ["3000 abort 1", "3000 connect 1 to 10.77.0.11:3863", "3000 RegistrarLost"]
    );
    trace.up(2, 1);
    assert_eq!(trace.messages(), [format!("2> {DEREGISTRATION}")]);
    trace.run_until(6_000);
    assert_eq!(trace.log(), ["6000 abort 2", "6000 RegistrarLost", "6000 DeregistrationFailed"]);
    assert_eq!(trace.status(), PoolElementStatus::Idle);
    assert_eq!(trace.machine.poll_timeout(), None);
}

#[test]
fn deregistration_without_any_registrar_ends_too() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.down(1);
    trace.deregister();
    trace.log();
    for connect in 1..20 {
        trace.refused(connect);
    }
    trace.run_until(6_000);
    assert_eq!(trace.lines().last().unwrap(), "DeregistrationFailed");
    assert_eq!(trace.machine.poll_timeout(), None);
}

#[test]
fn deregistration_before_anything_was_sent_needs_no_registrar() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.log();
    trace.deregister();
    assert_eq!(trace.log(), ["0 cancel 0", "0 Deregistered { cause: None }"]);
}

#[test]
fn an_expired_registration_is_renewed_at_once() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.receive(1, DEREGISTERED).unwrap();
    assert_eq!(trace.lines(), [format!("1> {REGISTRATION}"), "Expired".into()]);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.lines(), ["Registered { warning: None }"]);
}

fn least_used(percent: u32) -> Policy {
    Policy::LeastUsed { load: Load(u32::MAX / 100 * percent) }
}

#[test]
fn a_load_is_registered_at_once_if_it_changed_enough_since_it_was_sent() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register_as(least_used(10)).unwrap();
    trace.up(1, 0);
    trace.receive(1, GRANTED).unwrap();
    trace.log();
    let update = |trace: &mut Trace<PoolElement>, load: u32| {
        let policy = Policy::LeastUsed { load: Load(load) };
        trace.command(|element, now| element.update_policy(now, policy)).unwrap();
        trace.messages().len()
    };
    let (sent, step) = (u32::MAX / 100 * 10, u32::MAX / 100);
    assert_eq!(update(&mut trace, sent + step / 2), 0);
    assert_eq!(update(&mut trace, sent + step - 1), 0, "small steps add up");
    assert_eq!(update(&mut trace, sent + step), 1);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(update(&mut trace, sent), 1);
}

#[test]
fn changes_while_registering_are_sent_after_the_answer() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register_as(least_used(10)).unwrap();
    trace.up(1, 0);
    trace.log();
    for percent in [20, 30, 40] {
        let policy = least_used(percent);
        trace.command(|element, now| element.update_policy(now, policy)).unwrap();
    }
    assert_eq!(trace.log(), [""; 0], "one registration at a time");
    trace.receive(1, GRANTED).unwrap();
    let messages = trace.messages();
    assert_eq!(messages.len(), 1);
    let load = format!("{:08x}", u32::MAX / 100 * 40);
    assert!(messages[0].ends_with(&format!("0008000c40000001{load}")), "{messages:?}");
}

#[test]
fn a_rejected_value_that_has_changed_meanwhile_is_corrected_at_once() {
    let mut trace = element(Profile::Rfc, 1);
    trace.register_as(least_used(10)).unwrap();
    trace.up(1, 0);
    let policy = Policy::RoundRobin;
    trace.command(|element, now| element.update_policy(now, policy)).unwrap();
    trace.log();
    trace.receive(1, REJECTED).unwrap();
    assert_eq!(trace.messages().len(), 1);
}

#[test]
fn commands_out_of_place_are_refused() {
    let mut trace = element(Profile::Rsplib, 1);
    let policy = Policy::RoundRobin;
    let update = trace.command(|element, now| element.update_policy(now, policy));
    assert_eq!(update, Err(CommandError::NotRegistered));
    assert_eq!(
        trace.command(|element, now| element.deregister(now)),
        Err(CommandError::NotRegistered)
    );
    trace.register();
    let other = PoolHandle::new(b"OtherPool").unwrap();
    let register = trace.command(|element, now| element.register(now, other, &service(), policy));
    assert_eq!(register, Err(CommandError::OtherPool));
    trace.up(1, 0);
    trace.deregister();
    assert_eq!(trace.register_as(policy), Err(CommandError::Leaving));
    assert_eq!(trace.command(|element, now| element.deregister(now)), Err(CommandError::Leaving));
}

#[test]
fn a_transport_that_nobody_could_use_is_not_registered() {
    let mut trace = element(Profile::Rsplib, 1);
    let mut try_with = |transport: UserTransport| {
        trace.command(|element, now| element.register(now, pool(), &transport, Policy::Random))
    };
    let mut nowhere = service();
    nowhere.endpoint.addresses.clear();
    let refused = CommandError::Transport(UserTransportError::AddressCount);
    assert_eq!(try_with(nowhere), Err(refused));
    let mut two_for_tcp = service();
    two_for_tcp.protocol = crate::wire::Protocol::Tcp;
    two_for_tcp.endpoint.addresses.push([10, 77, 1, 21].into()).unwrap();
    assert_eq!(try_with(two_for_tcp), Err(refused));
    let mut no_port = service();
    no_port.endpoint.port = 0;
    assert_eq!(try_with(no_port), Err(CommandError::Transport(UserTransportError::NoPort)));
    let mut opaque = service();
    opaque.protocol = crate::wire::Protocol::Opaque;
    assert_eq!(try_with(opaque), Err(CommandError::Transport(UserTransportError::Protocol)));
}

#[test]
fn the_longest_registration_fits_the_named_bound() {
    let mut transport = service();
    transport.endpoint.addresses.clear();
    for last in 0..8 {
        let address = core::net::Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last);
        transport.endpoint.addresses.push(address.into()).unwrap();
    }
    let policy = Policy::LeastUsedDegradationDpf {
        load: Load::MAX,
        degradation: Load::MAX,
        dpf: Load::MAX,
        distance: 1,
    };
    let mut element = PoolElement::new(config(Profile::Rsplib), &mut SplitMix64::new(1));
    element.add_registrar(&registrar(11)).unwrap();
    let pool = PoolHandle::new(&[b'x'; 32]).unwrap();
    element.register(Instant::ZERO, pool, &transport, policy).unwrap();
    let mut buf = [0; POOL_ELEMENT_MESSAGE_LEN_MAX];
    assert!(element.poll_transmit(Instant::ZERO, &mut buf).is_some());
    let up = Input::Up {
        association: AssociationId(1),
        connect: Some(crate::association::ConnectId(0)),
        peer_addresses: &[],
        peer_port: 3863,
    };
    element.handle_input(Instant::ZERO, up).unwrap();
    let sent = element.poll_transmit(Instant::ZERO, &mut buf);
    assert!(matches!(sent, Some(Transmit::Message { .. })), "{sent:?}");
}

#[test]
fn unknown_parameters_are_reported_if_their_type_says_so() {
    let mut trace = registered(Profile::Rsplib, 1);
    // Skipped and reported: the keep-alive is acknowledged as well.
    let reported = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "c0420008deadbeef";
    trace.receive(1, &reported).unwrap();
    assert_eq!(
        trace.messages(),
        [format!("1> {ACK}"), "1> 0e000014000c00100001000cc0420008deadbeef".into()]
    );
    // Skipped in silence.
    let silent = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "80420008deadbeef";
    trace.receive(1, &silent).unwrap();
    assert_eq!(trace.messages(), [format!("1> {ACK}")]);
    // The message is dropped and the parameter reported.
    let dropped = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "40420008deadbeef";
    let cause = Some(Cause::UNRECOGNIZED_PARAMETER);
    assert_eq!(trace.receive(1, &dropped), Err(InputError::Malformed { cause }));
    assert_eq!(trace.messages(), ["1> 0e000014000c00100001000c40420008deadbeef"]);
    // Dropped in silence.
    let dropped = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "00420008deadbeef";
    assert_eq!(trace.receive(1, &dropped), Err(InputError::Malformed { cause: None }));
    assert_eq!(trace.messages(), [""; 0]);
}

#[test]
fn unknown_messages_are_reported_but_errors_never() {
    let mut trace = registered(Profile::Rsplib, 1);
    assert_eq!(trace.receive(1, "20000008deadbeef"), Err(InputError::UnknownMessage));
    assert_eq!(trace.messages(), ["1> 0e000014000c00100002000c20000008deadbeef"]);
    assert!(trace.receive(1, "0e0000084042000c").is_err());
    assert_eq!(trace.messages(), [""; 0]);
}

#[test]
fn a_long_parameter_is_reported_without_its_bytes() {
    let mut trace = registered(Profile::Rsplib, 1);
    let long = KEEP_ALIVE.replacen("07000020", "070000c0", 1) + "c04200a0" + &"00".repeat(156);
    trace.receive(1, &long).unwrap();
    assert_eq!(trace.messages()[1], "1> 0e00000c000c000800010004");
}

#[test]
fn stop_ends_everything_at_once() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.command(|element, _| element.stop());
    assert_eq!(trace.lines(), ["shutdown 1"]);
    assert_eq!(trace.machine.poll_timeout(), None);
    assert_eq!(trace.receive(1, KEEP_ALIVE), Err(InputError::Unexpected));
}

#[test]
fn identifiers_are_random_and_never_zero() {
    let config = PoolElementConfig::new(Profile::Rsplib);
    let id = |seed| PoolElement::new(config.clone(), &mut SplitMix64::new(seed)).pe_id();
    assert_ne!(id(1), id(2));
    struct Zero;
    impl Entropy for Zero {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }
    assert_ne!(PoolElement::new(config.clone(), &mut Zero).pe_id(), PeId(0));
}
