//! Who may speak under an identifier (RFC 5355 §2.5): the association on which it was heard first.

use std::vec;

use super::*;

const TAKEN: Result<(), InputError> = Err(InputError::TakenIdentifier);

/// A registrar among peer 2, which owns element 10; all is said.
fn beside_2(us: u32) -> Bench {
    let mut bench = Bench::among_as(us, Profile::Rfc, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench
}

#[test]
fn an_impostor_changes_nothing_of_a_living_peer() {
    for us in [1, 3] {
        let mut bench = beside_2(us);
        bench.links(9);
        for lie in [
            presence(2, false, 0),
            deletes(2, "A", 10),
            table_response(2, false, &[]),
            adds(2, "A", 11),
            takeover_server(2, us),
        ] {
            // After the first lie the association may be on its way down.
            assert!(matches!(bench.hears(9, lie), TAKEN | Err(InputError::UnknownAssociation)));
        }
        assert_eq!(bench.knows(), ["A/10@2"]);
        let question = format!("2 PRESENCE R {us}>2 ffff");
        // Were both associations of the two registrars, they would keep the one that 1 began.
        let end = ["shut down 9".to_string()];
        let said = bench.said();
        assert_eq!(said, [&[question][..], &end[usize::from(us == 3)..]].concat());
        bench.hears(2, deletes(2, "A", 10)).unwrap();
        assert_eq!((bench.knows(), bench.state_of(2)), (vec![], Some(PeerState::Active)));
    }
}

#[test]
fn a_claim_that_does_not_come_true_ends_with_its_association() {
    let mut bench = beside_2(3);
    bench.links(9);
    assert_eq!(bench.hears(9, presence(2, false, 0)), TAKEN);
    bench.said();
    let sum = bench.registrar.handlespace.checksum(RegistrarId(2));
    for _ in 0..3 {
        bench.hears(2, presence(2, false, sum)).unwrap();
        bench.passes(Duration::from_secs(30));
    }
    assert!(bench.said().contains(&"abort 9".to_string()));
}

#[test]
fn a_peer_that_comes_back_elsewhere_is_heard_when_its_first_association_is_down() {
    let mut bench = beside_2(3);
    bench.links(9);
    assert_eq!(bench.hears(9, presence(2, true, NOTHING)), TAKEN);
    assert_eq!(bench.said(), ["2 PRESENCE R 3>2 ffff", "9 PRESENCE 3>0 ffff"]);
    bench.down(2);
    assert_eq!(bench.said(), ["9 PRESENCE R 3>2 ffff", "9 LIST_REQUEST 3>2"]);
    bench.hears(9, deletes(2, "A", 10)).unwrap();
    assert_eq!((bench.knows(), bench.state_of(2)), (vec![], Some(PeerState::Active)));
}

#[test]
fn a_peer_does_not_speak_for_another() {
    for us in [1, 4] {
        let mut bench = Bench::among_as(us, Profile::Rfc, &[2, 3]);
        bench.hears(2, adds(2, "A", 10)).unwrap();
        bench.said();
        assert_eq!(bench.hears(3, deletes(2, "A", 10)), TAKEN);
        assert_eq!(bench.knows(), ["A/10@2"]);
        // Its own association does not become that of the other.
        bench.down(2);
        bench.said();
        bench.passes(Duration::from_secs(1));
        assert!(bench.said().iter().all(|line| !line.starts_with("3 PRESENCE R")));
    }
}

#[test]
fn of_two_associations_with_a_configured_peer_both_keep_the_one_of_the_smaller() {
    for (us, kept, end) in [(1, 5, None), (3, 2, Some("shut down 5"))] {
        let mut bench = Bench::new(Profile::Rfc, |config| config.identifier = RegistrarId(us));
        // Peer 2 is configured by another address than the one from which it comes itself.
        bench.starts(&[5]);
        assert_eq!(bench.said(), ["connect 0 10.0.0.5:9901"]);
        bench.links(2);
        bench.hears(2, presence(2, false, NOTHING)).unwrap();
        bench.connects(5, 0);
        bench.said();
        assert_eq!(bench.hears(5, presence(2, false, NOTHING)).is_ok(), kept == 5);
        let said = bench.said();
        assert_eq!(said.iter().find(|line| !line.contains('>')).map(|it| &it[..]), end);
        bench.registers("A", 10);
        assert!(bench.said().contains(&format!("{kept} UPDATE {us}>0 ADD A/10@{us}")));
        // It is looked for where it was configured.
        bench.down(kept);
        assert!(bench.said().iter().any(|line| line.ends_with("10.0.0.5:9901")));
    }
}

#[test]
fn a_peer_that_has_reached_us_by_another_way_hears_whom_it_has_reached() {
    let mut bench = beside_2(1);
    bench.links(9);
    assert_eq!(bench.hears(9, presence(2, true, NOTHING)), TAKEN);
    let expected = ["2 PRESENCE R 1>2 ffff", "9 PRESENCE 1>0 ffff", "shut down 9"];
    assert_eq!(bench.said(), expected);
}

#[test]
fn who_ends_each_association_at_once_is_not_reached_for_at_once() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[2]);
    for attempt in 0..5 {
        assert_eq!(bench.said(), [format!("connect {attempt} 10.0.0.2:9901")]);
        bench.connects(2, attempt);
        bench.said();
        bench.down(2);
        bench.passes(SECOND - Duration::from_millis(1));
        assert_eq!(bench.said(), [""; 0]);
        bench.now += Duration::from_millis(1);
        bench.registrar.handle_timeout(bench.now);
    }
}

#[test]
fn a_peer_that_is_silent_where_it_was_heard_first_is_asked_elsewhere_before_it_is_dead() {
    let mut bench = beside_2(3);
    bench.links(9);
    assert_eq!(bench.hears(9, presence(2, false, NOTHING)), TAKEN);
    bench.said();
    let patience = bench.registrar.config.max_time_no_response;
    bench.passes(patience);
    let said = bench.said();
    assert!(said.contains(&"abort 2".into()) && said.contains(&"9 PRESENCE R 3>2 ffff".into()));
    assert_eq!(bench.registrar.counters.takeovers_started, 0);
    let sum = bench.registrar.handlespace.checksum(RegistrarId(2));
    bench.hears(9, presence(2, false, sum)).unwrap();
    assert_eq!(
        (bench.knows(), bench.state_of(2)),
        (vec!["A/10@2".into()], Some(PeerState::Active))
    );
}

#[test]
fn a_second_association_that_is_silent_too_keeps_nobody_alive() {
    let mut bench = beside_2(3);
    bench.links(9);
    assert_eq!(bench.hears(9, presence(2, false, NOTHING)), TAKEN);
    let patience = bench.registrar.config.max_time_no_response;
    bench.passes(2 * patience);
    assert_eq!((bench.knows(), bench.state_of(2)), (vec!["A/10@3".into()], None));
}

#[test]
fn a_download_goes_on_where_its_peer_is_heard_from_then_on() {
    let mut bench = Bench::new(Profile::Rfc, |config| config.identifier = RegistrarId(3));
    bench.starts(&[2]);
    bench.said();
    bench.connects(2, 0);
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.links(9);
    assert_eq!(bench.hears(9, presence(2, false, NOTHING)), TAKEN);
    bench.said();
    bench.down(2);
    let expected = ["9 PRESENCE R 3>2 ffff", "9 LIST_REQUEST 3>2"];
    assert_eq!(bench.said(), expected);
    bench.hears(9, list_response(2, &[])).unwrap();
    bench.said();
    bench.links(8);
    assert_eq!(bench.hears(8, presence(2, false, NOTHING)), TAKEN);
    bench.said();
    bench.down(9);
    assert!(bench.said().contains(&"8 TABLE_REQUEST 3>2".into()));
}
