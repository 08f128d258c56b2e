//! The way into a scope, and helping others into it (RFC 5353 §3.2).

use super::*;

/// It has found peer 2, which has said that it is there.
fn with_mentor() -> Bench {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[2]);
    assert_eq!(bench.said(), ["connect 0 10.0.0.2:9901"]);
    bench.connects(2, 0);
    assert_eq!(bench.said(), ["2 PRESENCE R 1>0 ffff"]);
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    assert_eq!(bench.said(), ["2 PRESENCE R 1>2 ffff", "2 LIST_REQUEST 1>2"]);
    // The first heartbeat.
    bench.passes(Duration::ZERO);
    assert_eq!(bench.said(), ["2 PRESENCE 1>0 ffff"]);
    bench
}

#[test]
fn who_knows_of_no_peer_is_in_at_once() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[]);
    assert!(bench.registrar.has_joined());
    bench.passes(SECOND);
    assert_eq!(bench.said(), ["all PRESENCE 1>0 ffff"]);
}

#[test]
fn a_newcomer_asks_its_mentor_for_peers_and_then_for_the_table() {
    let mut bench = with_mentor();
    bench.hears(2, list_response(2, &[1, 3])).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_REQUEST 1>2", "connect 1 10.0.0.3:9901"]);
    bench.hears(2, table_response(2, true, &[("A", 10, 2, RR), ("A", 11, 3, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@2", "A/11@3"]);
    assert_eq!(bench.said(), ["2 TABLE_REQUEST 1>2"]);
    assert!(!bench.registrar.has_joined());
    bench.hears(2, table_response(2, false, &[("B", 12, 2, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@2", "A/11@3", "B/12@2"]);
    assert!(bench.registrar.has_joined());
    bench.passes(Duration::ZERO);
    let question = "2 PRESENCE R 1>2 ffff";
    assert_eq!(bench.said(), [question, "2 PRESENCE 1>0 ffff", "all PRESENCE 1>0 ffff"]);
}

#[test]
fn a_refused_list_is_asked_for_again() {
    let mut bench = with_mentor();
    bench.hears(2, list_refusal(2)).unwrap();
    bench.passes(Duration::from_millis(1_999));
    assert_eq!(bench.said(), [""; 0]);
    bench.passes(Duration::from_millis(1));
    assert_eq!(bench.said(), ["2 LIST_REQUEST 1>2"]);
    bench.hears(2, list_response(2, &[])).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_REQUEST 1>2"]);
}

#[test]
fn a_refused_table_is_asked_for_again() {
    let mut bench = with_mentor();
    bench.hears(2, list_response(2, &[])).unwrap();
    bench.said();
    bench.hears(2, table_refusal(2)).unwrap();
    bench.passes(Duration::from_millis(1_999));
    assert_eq!(bench.said(), [""; 0]);
    bench.passes(Duration::from_millis(1));
    assert_eq!(bench.said(), ["2 TABLE_REQUEST 1>2"]);
}

#[test]
fn a_table_before_the_list_is_none_that_was_asked_for() {
    let mut bench = with_mentor();
    bench.hears(2, table_response(2, false, &[("A", 10, 2, RR)])).unwrap();
    assert_eq!(bench.knows(), [""; 0]);
    assert!(!bench.registrar.has_joined());
}

#[test]
fn a_silent_mentor_gives_way_to_another() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[2, 3]);
    assert_eq!(bench.said(), ["connect 0 10.0.0.2:9901", "connect 1 10.0.0.3:9901"]);
    bench.connects(2, 0);
    bench.connects(3, 1);
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.hears(3, presence(3, false, NOTHING)).unwrap();
    bench.hears(2, list_response(2, &[3])).unwrap();
    bench.hears(2, table_response(2, true, &[("A", 10, 2, RR)])).unwrap();
    bench.passes(Duration::ZERO);
    bench.said();
    bench.passes(5 * SECOND);
    // The download begins anew, with the list.
    assert_eq!(bench.said(), ["3 PRESENCE R 1>3 ffff", "3 LIST_REQUEST 1>3"]);
    bench.hears(3, list_response(3, &[2])).unwrap();
    bench.hears(3, table_response(3, false, &[("A", 10, 2, RR)])).unwrap();
    assert!(bench.registrar.has_joined());
}

#[test]
fn whoever_is_only_heard_is_mentor_if_nobody_named_is_there() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[2]);
    bench.said();
    bench.links(3);
    bench.hears(3, presence(3, false, NOTHING)).unwrap();
    bench.passes(Duration::from_millis(4_999));
    assert!(!bench.said().contains(&"3 TABLE_REQUEST 1>3".into()));
    assert!(!bench.registrar.has_joined());
    bench.passes(Duration::from_millis(1));
    bench.hears(3, list_response(3, &[])).unwrap();
    assert!(bench.said().contains(&"3 TABLE_REQUEST 1>3".into()));
    bench.hears(3, table_response(3, false, &[("A", 10, 3, RR)])).unwrap();
    assert!(bench.registrar.has_joined());
}

#[test]
fn whoever_is_named_is_mentor_before_those_that_are_only_heard() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[2]);
    bench.said();
    bench.links(3);
    bench.hears(3, presence(3, false, NOTHING)).unwrap();
    bench.connects(2, 0);
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.hears(3, list_response(3, &[])).unwrap();
    bench.hears(2, list_response(2, &[])).unwrap();
    let said = bench.said();
    assert!(said.contains(&"2 TABLE_REQUEST 1>2".into()), "{said:?}");
    assert!(!said.contains(&"3 TABLE_REQUEST 1>3".into()), "{said:?}");
}

#[test]
fn without_names_whoever_is_heard_first_is_mentor() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[]);
    bench.registrar.seek_mentor(bench.now);
    assert!(!bench.registrar.has_joined());
    bench.links(3);
    bench.hears(3, presence(3, false, NOTHING)).unwrap();
    bench.hears(3, list_response(3, &[])).unwrap();
    assert!(bench.said().contains(&"3 TABLE_REQUEST 1>3".into()));
}

#[test]
fn a_newcomer_whose_mentors_are_all_silent_goes_on_alone() {
    let mut bench = with_mentor();
    bench.passes(Duration::from_millis(4_999));
    assert!(!bench.registrar.has_joined());
    bench.passes(SECOND);
    assert!(bench.registrar.has_joined());
}

#[test]
fn who_is_not_in_refuses_both_and_sends_nothing_with_it() {
    let mut bench = with_mentor();
    bench.links(3);
    bench.hears(3, list_request(3)).unwrap();
    bench.hears(3, table_request(3, false)).unwrap();
    let said = bench.said();
    assert!(said.contains(&"3 LIST_RESPONSE R 1>3 []".into()), "{said:?}");
    assert!(said.contains(&"3 TABLE_RESPONSE R 1>3 []".into()), "{said:?}");
}

#[test]
fn a_mentor_lists_all_peers_that_live() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3, 4]);
    bench.hears(2, list_request(2)).unwrap();
    assert_eq!(bench.said(), ["2 LIST_RESPONSE 1>2 [2, 3, 4]"]);
}

/// A mentor with five elements, of which a response has room for two.
fn mentor_of_five() -> Bench {
    let mut bench = Bench::new(Profile::Rfc, |config| config.table_items_max = 2);
    bench.starts(&[]);
    bench.links(2);
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    for pe_id in [10, 11, 12, 13] {
        bench.registers("A", pe_id);
    }
    bench.hears(2, adds(2, "A", 14)).unwrap();
    bench.said();
    bench
}

#[test]
fn a_table_is_given_in_pieces_of_which_only_the_last_has_no_m_flag() {
    let mut bench = mentor_of_five();
    let expected = [
        "2 TABLE_RESPONSE M 1>2 [10, 11]",
        "2 TABLE_RESPONSE M 1>2 [12, 13]",
        "2 TABLE_RESPONSE 1>2 [14]",
        // The session is over: this is another.
        "2 TABLE_RESPONSE M 1>2 [10, 11]",
    ];
    for expected in expected {
        bench.hears(2, table_request(2, false)).unwrap();
        assert_eq!(bench.said(), [expected]);
    }
}

#[test]
fn a_download_that_nobody_goes_on_with_is_forgotten() {
    let mut bench = mentor_of_five();
    bench.hears(2, table_request(2, false)).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_RESPONSE M 1>2 [10, 11]"]);
    bench.passes(Duration::from_millis(5_001));
    bench.hears(2, table_request(2, false)).unwrap();
    assert!(bench.said().contains(&"2 TABLE_RESPONSE M 1>2 [10, 11]".into()));
}

#[test]
fn a_download_of_ones_own_elements_leaves_out_others() {
    let mut bench = mentor_of_five();
    for expected in ["2 TABLE_RESPONSE M 1>2 [10, 11]", "2 TABLE_RESPONSE 1>2 [12, 13]"] {
        bench.hears(2, table_request(2, true)).unwrap();
        assert_eq!(bench.said(), [expected]);
    }
}

#[test]
fn a_pool_out_of_a_table_has_the_policy_of_its_first_element() {
    let mut bench = with_mentor();
    bench.hears(2, list_response(2, &[])).unwrap();
    let entries = [("A", 10, 2, Policy::Random), ("A", 11, 2, RR), ("A", 12, 2, Policy::Random)];
    bench.hears(2, table_response(2, false, &entries)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2", "A/12@2"]);
    assert_eq!(bench.registrar.counters.unlearnable, 1);
}

#[test]
fn a_known_element_out_of_a_table_has_the_tables_values() {
    let mut bench = with_mentor();
    bench.hears(2, list_response(2, &[3])).unwrap();
    bench.hears(2, table_response(2, true, &[("A", 10, 2, RR)])).unwrap();
    bench.hears(2, table_response(2, false, &[("A", 10, 3, RR)])).unwrap();
    assert_eq!(bench.knows(), ["A/10@3"]);
}
