//! Registration: T2, T4, answers and the loss of registrars.

use super::*;

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
fn after_max_reg_attempt_the_user_is_told_and_the_pause_doubles() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    let (mut connect, mut now) = (0, 0);
    let mut fail = |trace: &mut Trace<PoolElement>, pause: u64| {
        for t2 in [now + 3_000, now + 6_000] {
            trace.up(connect + 1, connect);
            connect += 1;
            trace.run_until(t2);
        }
        let failed = format!("RegistrationFailed {{ retry_in: Some({pause}s) }}");
        assert_eq!(trace.lines().last(), Some(&failed));
        assert_eq!(trace.status(), PoolElementStatus::Holding);
        now += 6_000 + pause * 1_000;
        trace.run_until(now - 1);
        assert_eq!(trace.log(), [""; 0]);
        trace.run_until(now);
        assert_eq!(trace.log(), [format!("{now} connect {connect} to 10.77.0.11:3863")]);
        connect
    };
    // As long as T2 at first, as long as after a rejection at last.
    let connects = [3, 6, 12, 24, 30, 30].map(|pause| fail(&mut trace, pause));
    let last = connects[5];
    trace.up(last + 1, last);
    trace.receive(last + 1, GRANTED).unwrap();
    assert_eq!(trace.status(), PoolElementStatus::Registered);
    // An answer ends that.
    assert_eq!(trace.machine.membership.as_ref().unwrap().pause, None);
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
