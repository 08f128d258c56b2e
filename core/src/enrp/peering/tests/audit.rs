//! Checksums and what follows from them (RFC 5353 §3.6).

use super::*;

/// What peer 2's elements sum up to here.
fn sum_of_2(bench: &Bench) -> u16 {
    bench.registrar.handlespace.checksum(RegistrarId(2))
}

#[test]
fn a_presence_has_the_checksum_of_the_senders_elements_now() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    for (pe_id, sum) in [(0xaaaa_0001, "e7a5"), (0xaaaa_0004, "cf48")] {
        bench.registers("EchoPool", pe_id);
        bench.hears(2, presence(2, true, NOTHING)).unwrap();
        let said = bench.said();
        assert_eq!(said.last().unwrap(), &std::format!("2 PRESENCE 1>0 {sum}"));
    }
}

#[test]
fn a_checksum_that_agrees_is_left_alone() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, presence(2, false, sum_of_2(&bench))).unwrap();
    assert_eq!(bench.said(), [""; 0]);
    assert_eq!(bench.registrar.counters.audits_failed, 0);
}

#[test]
fn each_change_changes_the_checksum_of_its_owner_alone() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    let sums =
        |bench: &Bench| [1, 2, 3].map(|id| bench.registrar.handlespace.checksum(RegistrarId(id)));
    let empty = sums(&bench);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    let added = sums(&bench);
    assert_eq!((added[0], added[2]), (empty[0], empty[2]));
    assert_ne!(added[1], empty[1]);
    bench.hears(3, adds(3, "A", 10)).unwrap();
    assert_eq!(sums(&bench), [NOTHING, NOTHING, added[1]]);
    bench.hears(3, deletes(3, "A", 10)).unwrap();
    assert_eq!(sums(&bench), empty);
}

#[test]
fn a_checksum_that_differs_brings_the_owners_table() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    let loaded = |load| Policy::LeastUsed { load: crate::wire::Load(load) };
    for pe_id in [10, 11] {
        bench.hears(2, update(2, UpdateAction::ADD, "A", pe_id, loaded(1))).unwrap();
    }
    bench.hears(3, update(3, UpdateAction::ADD, "A", 12, loaded(1))).unwrap();
    bench.hears(2, presence(2, false, !sum_of_2(&bench))).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_REQUEST W 1>2"]);
    // Another one does not start a second download.
    bench.hears(2, presence(2, false, !sum_of_2(&bench))).unwrap();
    assert_eq!(bench.said(), [""; 0]);
    bench.hears(2, table_response(2, true, &[("A", 10, 2, loaded(9))])).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_REQUEST W 1>2"]);
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2", "A/12@3"]);
    bench.hears(2, table_response(2, false, &[("A", 13, 2, loaded(1))])).unwrap();
    // What it did not name is gone, what others own is not.
    assert_eq!(bench.knows(), ["A/10@2", "A/12@3", "A/13@2"]);
    // Nobody is told of it, but another one may have what is gone.
    assert_eq!(bench.said(), ["3 PRESENCE R 1>3 ffff"]);
    let index = bench.registrar.handlespace.find(handle("A"), PeId(10)).unwrap();
    assert_eq!(bench.registrar.handlespace.element(index).to_wire(true).policy, loaded(9));
}

#[test]
fn a_table_takes_no_element_from_a_registrar_that_lives() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    let policy = Policy::RoundRobin;
    bench.hears(3, update(3, UpdateAction::ADD, "A", 10, policy)).unwrap();
    bench.hears(2, presence(2, false, !sum_of_2(&bench))).unwrap();
    // It was cut off when the element moved.
    bench.hears(2, table_response(2, false, &[("A", 10, 2, policy)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@3"]);
    bench.hears(2, deletes(2, "A", 10)).unwrap();
    assert_eq!(bench.knows(), ["A/10@3"]);
}

#[test]
fn an_audit_takes_only_what_is_the_senders_own() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, presence(2, false, !sum_of_2(&bench))).unwrap();
    // The whole table that was asked for long ago, and came late: 4 has been taken over.
    bench.hears(2, table_response(2, false, &[("A", 10, 4, RR), ("A", 11, 2, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/11@2"]);
}

#[test]
fn an_owner_that_is_asked_for_its_elements_answers_at_once() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.registers("A", 10);
    bench.hears(2, adds(2, "A", 11)).unwrap();
    bench.said();
    bench.hears(2, table_request(2, true)).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_RESPONSE 1>2 [10]"]);
}

#[test]
fn two_homes_ask_the_element_and_not_again_and_again() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.registers("A", 10);
    bench.said();
    bench.said_to_elements();
    let mut asked = 0;
    // A peer that claims the element ten times a second.
    for _ in 0..100 {
        bench.hears(2, presence(2, false, 0x1234)).unwrap();
        bench.hears(2, table_response(2, false, &[("A", 10, 2, RR)])).unwrap();
        bench.said();
        for line in bench.said_to_elements() {
            assert_eq!(line, "10 KEEP_ALIVE H 1");
            bench.acks(10, "A", 10);
            asked += 1;
        }
        bench.passes(SECOND / 10);
    }
    assert!((9..=11).contains(&asked), "{asked}");
    assert_eq!(bench.knows(), ["A/10@1"]);
}

/// Time passes in which peer 2 says that it lives and has what we know of.
fn hears_of_2(bench: &mut Bench, seconds: u32) {
    for _ in 0..seconds {
        bench.passes(SECOND);
        let sum = sum_of_2(bench);
        bench.hears(2, presence(2, false, sum)).unwrap();
    }
}

#[test]
fn an_element_whose_renewal_was_missed_is_asked_for_before_it_is_forgotten() {
    let mut bench = Bench::among(Profile::Rsplib, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, adds(2, "A", 11)).unwrap();
    hears_of_2(&mut bench, 299);
    assert!(!bench.said().contains(&"2 TABLE_REQUEST W 1>2".into()));
    hears_of_2(&mut bench, 1);
    assert!(bench.said().contains(&"2 TABLE_REQUEST W 1>2".into()));
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2"]);
    bench.hears(2, table_response(2, false, &[("A", 10, 2, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    // It has another life now.
    hears_of_2(&mut bench, 299);
    assert_eq!(bench.knows(), ["A/10@2"]);
}

#[test]
fn an_element_whose_home_does_not_answer_is_forgotten_at_its_end() {
    let mut bench = Bench::among(Profile::Rsplib, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    hears_of_2(&mut bench, 304);
    assert_eq!(bench.knows(), ["A/10@2"]);
    // MAX-TIME-NO-RESPONSE is over.
    hears_of_2(&mut bench, 1);
    assert_eq!(bench.knows(), [""; 0]);
}

#[test]
fn a_table_after_one_that_was_broken_off_is_asked_for_once_more() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    for pe_id in [10, 11, 12] {
        bench.hears(2, adds(2, "A", pe_id)).unwrap();
    }
    bench.hears(2, presence(2, false, !sum_of_2(&bench))).unwrap();
    bench.hears(2, table_response(2, true, &[("A", 10, 2, RR)])).unwrap();
    bench.passes(bench.registrar.config.max_time_no_response);
    bench.hears(2, presence(2, false, !sum_of_2(&bench))).unwrap();
    bench.said();
    // Its peer goes on where it was.
    bench.hears(2, table_response(2, false, &[("A", 11, 2, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2", "A/12@2"]);
    assert_eq!(bench.said(), ["2 TABLE_REQUEST W 1>2"]);
    bench.hears(2, table_response(2, true, &[("A", 10, 2, RR)])).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_REQUEST W 1>2"]);
    bench.hears(2, table_response(2, false, &[("A", 11, 2, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2"]);
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn a_piece_that_nobody_waits_for_makes_the_next_table_doubtful() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, adds(2, "A", 11)).unwrap();
    bench.hears(2, table_response(2, true, &[("A", 10, 2, RR)])).unwrap();
    bench.hears(2, presence(2, false, !sum_of_2(&bench))).unwrap();
    bench.said();
    bench.hears(2, table_response(2, false, &[("A", 11, 2, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2"]);
    assert_eq!(bench.said(), ["2 TABLE_REQUEST W 1>2"]);
}

#[test]
fn a_table_begins_anew_on_another_association() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.registrar.config.table_items_max = 1;
    bench.registers("A", 10);
    bench.registers("A", 11);
    bench.said();
    bench.hears(2, table_request(2, true)).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_RESPONSE M 1>2 [10]"]);
    bench.down(2);
    bench.links(5);
    bench.hears(5, table_request(2, true)).unwrap();
    assert!(bench.said().contains(&"5 TABLE_RESPONSE M 1>2 [10]".into()));
}

#[test]
fn an_element_is_not_forgotten_while_pieces_of_its_homes_table_come() {
    let mut bench = Bench::among(Profile::Rsplib, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, adds(2, "A", 11)).unwrap();
    hears_of_2(&mut bench, 301);
    for _ in 0..3 {
        bench.hears(2, table_response(2, true, &[("A", 10, 2, RR)])).unwrap();
        hears_of_2(&mut bench, 4);
        assert_eq!(bench.knows(), ["A/10@2", "A/11@2"]);
    }
    bench.hears(2, table_response(2, false, &[("A", 11, 2, RR)])).unwrap();
    hears_of_2(&mut bench, 200);
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2"]);
}

#[test]
fn an_element_is_not_forgotten_while_pieces_of_its_homes_table_should_come() {
    let mut bench = Bench::among(Profile::Rsplib, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, adds(2, "A", 11)).unwrap();
    hears_of_2(&mut bench, 301);
    bench.hears(2, table_response(2, true, &[("A", 10, 2, RR)])).unwrap();
    hears_of_2(&mut bench, 4);
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2"]);
    // No more come.
    hears_of_2(&mut bench, 2);
    assert_eq!(bench.knows(), ["A/10@2"]);
}
