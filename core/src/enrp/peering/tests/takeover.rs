//! A dead peer and its elements (RFC 5353 §3.5).

use std::vec;

use super::*;
use crate::handlespace::NewElement;

/// Peer 4, with an element, has become silent, and it is wanted.
fn claims(profile: Profile) -> Bench {
    claims_as(US, profile)
}

/// The same of a registrar with another identifier.
fn claims_as(identifier: u32, profile: Profile) -> Bench {
    let mut bench = Bench::among_as(identifier, profile, &[2, 3, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    bench.passes(bench.registrar.config.max_time_last_heard);
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.hears(3, presence(3, false, NOTHING)).unwrap();
    bench.said();
    bench.passes(bench.registrar.config.max_time_no_response);
    assert_eq!(bench.state_of(4), Some(PeerState::Claimed));
    bench
}

/// What of it is about takeovers.
fn about_takeovers(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| line.contains("TAKEOVER")).collect()
}

#[test]
fn who_finds_a_peer_dead_tells_all_and_waits_for_all() {
    let mut bench = claims(Profile::Rfc);
    // The target is told, too: it may live.
    let expected =
        ["2 INIT_TAKEOVER 1>0 of 4", "3 INIT_TAKEOVER 1>0 of 4", "4 INIT_TAKEOVER 1>0 of 4"];
    assert_eq!(about_takeovers(bench.said()), expected);
    bench.hears(2, init_takeover_ack(2, 4)).unwrap();
    assert_eq!(about_takeovers(bench.said()), [""; 0]);
    assert_eq!(bench.knows(), ["A/10@4"]);
    bench.hears(3, init_takeover_ack(3, 4)).unwrap();
    assert_eq!(bench.knows(), ["A/10@1"]);
    let expected = ["2 TAKEOVER_SERVER 1>0 of 4", "3 TAKEOVER_SERVER 1>0 of 4"];
    assert_eq!(about_takeovers(bench.said()), expected);
    assert_eq!(bench.state_of(4), None);
}

#[test]
fn acknowledgements_that_do_not_come_are_not_waited_for_without_end() {
    let mut bench = claims(Profile::Rfc);
    bench.passes(Duration::from_millis(4_999));
    assert_eq!(bench.knows(), ["A/10@4"]);
    bench.passes(Duration::from_millis(1));
    assert_eq!(bench.knows(), ["A/10@1"]);
}

#[test]
fn the_elements_are_asked_to_take_their_new_home() {
    let mut bench = claims(Profile::Rfc);
    bench.hears(2, init_takeover_ack(2, 4)).unwrap();
    bench.hears(3, init_takeover_ack(3, 4)).unwrap();
    bench.passes(Duration::ZERO);
    assert_eq!(bench.said_to_elements(), ["connect 0 10.0.1.1:3000"]);
    assert!(reaches(&mut bench, 0));
    assert_eq!(bench.said_to_elements(), ["77 KEEP_ALIVE H 1"]);
    bench.acks(77, "A", 10);
    bench.passes(10 * SECOND);
    assert_eq!(bench.registrar.counters.adoptions, 1);
    assert_eq!(bench.knows(), ["A/10@1"]);
}

/// An association with the element of a dead peer, which we wanted, is up. Whether there is room.
fn reaches(bench: &mut Bench, connect: u32) -> bool {
    let (association, connect) = (AssociationId(77), Some(ConnectId(connect)));
    let peer_addresses = &["10.0.1.1".parse().unwrap()];
    let up = Input::Up { association, connect, peer_addresses, peer_port: 3_000 };
    bench.registrar.handle_input(bench.now, up).is_ok()
}

/// Associations that come while we wait for the one with the element of a dead peer.
fn crowd(bench: &mut Bench) {
    for number in 0..8 {
        bench.asap_up(100 + number, "10.0.2.1");
    }
}

#[test]
fn an_element_for_whose_association_there_is_no_room_is_asked_when_there_is() {
    let mut bench = claims(Profile::Rsplib);
    bench.hears(2, init_takeover_ack(2, 4)).unwrap();
    bench.hears(3, init_takeover_ack(3, 4)).unwrap();
    bench.passes(Duration::ZERO);
    assert_eq!(bench.said_to_elements(), ["connect 0 10.0.1.1:3000"]);
    crowd(&mut bench);
    assert!(!reaches(&mut bench, 0));
    assert_eq!(bench.said_to_elements(), ["abort 77"]);
    assert_eq!(bench.registrar.usage().adoptions, 0);
    // As long as there is no room nobody is bothered.
    bench.passes(20 * SECOND);
    assert_eq!(bench.said_to_elements(), [""; 0]);
    assert_eq!(bench.knows(), ["A/10@1"]);
    let (association, reason) = (AssociationId(100), DownReason::Lost);
    bench.registrar.handle_input(bench.now, Input::Down { association, reason }).unwrap();
    bench.passes(SECOND);
    assert_eq!(bench.said_to_elements(), ["connect 1 10.0.1.1:3000"]);
    assert!(reaches(&mut bench, 1));
    assert_eq!(bench.said_to_elements(), ["77 KEEP_ALIVE H 1"]);
}

#[test]
fn an_element_that_there_is_never_room_to_ask_lasts_as_long_as_its_registration() {
    let mut bench = claims(Profile::Rsplib);
    crowd(&mut bench);
    bench.said_to_elements();
    bench.hears(2, init_takeover_ack(2, 4)).unwrap();
    bench.hears(3, init_takeover_ack(3, 4)).unwrap();
    // Nobody could renew it while its home was dead.
    bench.passes(299 * SECOND);
    assert_eq!(bench.knows(), ["A/10@1"]);
    bench.passes(2 * SECOND);
    assert_eq!(bench.knows(), [""; 0]);
    assert_eq!(bench.said_to_elements(), [""; 0]);
}

#[test]
fn a_sign_of_life_of_the_target_stops_the_takeover() {
    let mut bench = claims(Profile::Rfc);
    bench.hears(2, init_takeover_ack(2, 4)).unwrap();
    bench.hears(4, presence(4, false, NOTHING)).unwrap();
    assert_eq!(bench.state_of(4), Some(PeerState::Active));
    bench.hears(3, init_takeover_ack(3, 4)).unwrap();
    bench.passes(6 * SECOND);
    assert_eq!(bench.knows(), ["A/10@4"]);
    assert_eq!(bench.registrar.counters.takeovers, 0);
}

#[test]
fn who_is_to_be_taken_over_says_to_all_that_it_lives() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    bench.hears(2, init_takeover(2, US)).unwrap();
    let expected = ["2 PRESENCE 1>0 ffff", "3 PRESENCE 1>0 ffff", "all PRESENCE 1>0 ffff"];
    assert_eq!(bench.said(), expected);
}

#[test]
fn who_does_not_want_the_target_itself_acknowledges_and_watches_it_no_more() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    bench.passes(60 * SECOND);
    bench.hears(2, init_takeover(2, 4)).unwrap();
    assert_eq!(bench.state_of(4), Some(PeerState::Ceded));
    assert_eq!(about_takeovers(bench.said()), ["2 INIT_TAKEOVER_ACK 1>2 of 4"]);
    // It would be asked for a sign of life now.
    bench.passes(2 * SECOND);
    assert!(!bench.said().iter().any(|line| line.starts_with("4 PRESENCE R")));
}

#[test]
fn a_target_that_nobody_knows_is_acknowledged() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, init_takeover(2, 9)).unwrap();
    assert_eq!(bench.said(), ["2 INIT_TAKEOVER_ACK 1>2 of 9"]);
}

#[test]
fn of_two_that_want_the_same_the_smaller_identifier_gives_way() {
    let mut bench = claims(Profile::Rfc);
    bench.said();
    bench.hears(2, init_takeover(2, 4)).unwrap();
    assert_eq!(bench.state_of(4), Some(PeerState::Ceded));
    assert_eq!(about_takeovers(bench.said()), ["2 INIT_TAKEOVER_ACK 1>2 of 4"]);
    bench.hears(3, init_takeover_ack(3, 4)).unwrap();
    bench.passes(5 * SECOND);
    assert_eq!(bench.registrar.counters.takeovers, 0);
}

#[test]
fn the_larger_identifier_goes_on() {
    let mut bench = claims_as(9, Profile::Rfc);
    bench.said();
    bench.hears(2, init_takeover(2, 4)).unwrap();
    assert_eq!(bench.state_of(4), Some(PeerState::Claimed));
    assert_eq!(about_takeovers(bench.said()), ["2 INIT_TAKEOVER 9>2 of 4"]);
}

#[test]
fn in_rsplibs_scope_the_larger_identifier_gives_way() {
    let mut bench = claims_as(9, Profile::Rsplib);
    bench.said();
    bench.hears(2, init_takeover(2, 4)).unwrap();
    assert_eq!(bench.state_of(4), Some(PeerState::Ceded));
    assert_eq!(about_takeovers(bench.said()), ["2 INIT_TAKEOVER_ACK 9>2 of 4"]);
}

#[test]
fn in_rsplibs_scope_the_smaller_identifier_goes_on() {
    let mut bench = claims(Profile::Rsplib);
    bench.said();
    bench.hears(2, init_takeover(2, 4)).unwrap();
    assert_eq!(bench.state_of(4), Some(PeerState::Claimed));
    // Peer 2 is told of the claim again, and gets no acknowledgement.
    assert_eq!(about_takeovers(bench.said()), ["2 INIT_TAKEOVER 1>2 of 4"]);
}

#[test]
fn who_hears_of_a_takeover_moves_the_elements_and_forgets_the_target() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    bench.hears(2, init_takeover(2, 4)).unwrap();
    bench.hears(2, takeover_server(2, 4)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    assert_eq!(bench.state_of(4), None);
}

#[test]
fn a_target_that_was_heard_since_it_was_claimed_is_asked_and_so_is_who_took_it_over() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    let sum = bench.registrar.handlespace.checksum(RegistrarId(4));
    bench.hears(2, init_takeover(2, 4)).unwrap();
    bench.hears(4, presence(4, false, sum)).unwrap();
    bench.said();
    bench.hears(2, takeover_server(2, 4)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    assert_eq!(bench.said(), ["2 PRESENCE R 1>2 ffff", "4 PRESENCE R 1>4 ffff"]);
    // It was a lie or a mistake: peer 2 does not have what it took, and peer 4 still has it.
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.hears(2, table_response(2, false, &[])).unwrap();
    assert_eq!(bench.knows(), [""; 0]);
    bench.hears(4, presence(4, false, sum)).unwrap();
    bench.hears(4, table_response(4, false, &[("A", 10, 4, RR)])).unwrap();
    assert_eq!(
        (bench.knows(), bench.state_of(4)),
        (vec!["A/10@4".into()], Some(PeerState::Active))
    );
}

#[test]
fn a_target_that_does_not_answer_is_forgotten_then() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    bench.hears(2, takeover_server(2, 4)).unwrap();
    bench.passes(bench.registrar.config.max_time_no_response);
    assert_eq!((bench.knows(), bench.state_of(4)), (vec!["A/10@2".into()], None));
    assert_eq!(bench.registrar.counters.takeovers_started, 0);
}

#[test]
fn a_target_of_whose_takeover_nothing_came_is_asked_whether_it_lives() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    bench.hears(2, init_takeover(2, 4)).unwrap();
    bench.down(2);
    bench.said();
    let config = &bench.registrar.config;
    let (patience, answer) = (config.takeover_timeout, config.max_time_no_response);
    bench.passes(patience + answer);
    assert_eq!(bench.state_of(4), Some(PeerState::Suspect));
    assert!(bench.said().contains(&"4 PRESENCE R 1>4 ffff".into()));
    bench.passes(answer);
    // Nobody is left to acknowledge.
    assert_eq!(bench.knows(), ["A/10@1"]);
}

#[test]
fn nobody_is_no_target() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    let peers = [endpoint(5)];
    bench.registrar.start_peering(bench.now, endpoint(US), &peers).unwrap();
    assert!(bench.said().contains(&"connect 0 10.0.0.5:9901".into()));
    bench.connects(5, 0);
    for lie in [init_takeover(2, 0), takeover_server(2, 0)] {
        bench.hears(2, lie).unwrap();
    }
    // The configured peer that nobody has heard is neither given up nor cut off.
    assert!(!bench.said().iter().any(|line| line.contains("abort")));
    bench.hears(5, presence(5, false, NOTHING)).unwrap();
    assert_eq!(bench.state_of(5), Some(PeerState::Active));
}

/// An element of 2 is suggested to us, and an association with it is up.
fn asks_the_suggested() -> Bench {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 3]);
    let mut suggestion = adds(2, "A", 10);
    suggestion[1] |= 1;
    bench.hears(2, suggestion).unwrap();
    bench.passes(Duration::ZERO);
    assert_eq!(bench.said_to_elements(), ["connect 0 10.0.1.1:3000"]);
    assert!(reaches(&mut bench, 0));
    assert_eq!(bench.said_to_elements(), ["77 KEEP_ALIVE H 1"]);
    bench.said();
    bench
}

/// What of it tells of elements.
pub(super) fn updates(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| line.contains("UPDATE")).collect()
}

#[test]
fn an_element_that_leaves_its_home_for_us_is_not_forgotten_meanwhile() {
    // RSPLIB's elements abort the old association before the new home has their answer, and a
    // home deletes what has left it.
    let mut bench = asks_the_suggested();
    bench.hears(2, deletes(2, "A", 10)).unwrap();
    assert_eq!(bench.knows(), ["A/10@1"]);
    let told = ["2 UPDATE 1>0 ADD A/10@1", "3 UPDATE 1>0 ADD A/10@1"];
    assert_eq!(updates(bench.said()), told);
    bench.acks(77, "A", 10);
    bench.passes(SECOND);
    assert_eq!(bench.knows(), ["A/10@1"]);
    assert_eq!(bench.registrar.counters.adoptions, 1);
}

#[test]
fn an_audit_of_its_home_does_not_take_it_away_either() {
    let mut bench = asks_the_suggested();
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.hears(2, table_response(2, false, &[])).unwrap();
    assert_eq!(bench.knows(), ["A/10@1"]);
}

#[test]
fn an_association_of_our_making_ends_with_its_last_element() {
    let mut bench = asks_the_suggested();
    // It stays where it is.
    bench.hears(2, adds(2, "A", 10)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    assert_eq!(bench.said_to_elements(), ["shut down 77"]);
}

#[test]
fn an_element_that_was_let_go_and_does_not_answer_is_gone() {
    let mut bench = asks_the_suggested();
    bench.hears(2, deletes(2, "A", 10)).unwrap();
    bench.said();
    bench.passes(bench.registrar.config.keep_alive_timeout);
    assert_eq!(bench.knows(), [""; 0]);
    let told = ["2 UPDATE 1>0 DEL A/10@1", "3 UPDATE 1>0 DEL A/10@1"];
    assert_eq!(updates(bench.said()), told);
}

#[test]
fn a_registrar_that_stops_suggests_its_elements_to_one_peer_after_the_other() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 3]);
    bench.registers("A", 8);
    bench.registers("A", 9);
    bench.said();
    bench.registrar.stop();
    // 8 ^ 3 and 9 ^ 2 are the larger ones.
    let first = ["2 UPDATE T 1>2 ADD A/9@1", "3 UPDATE T 1>3 ADD A/8@1"];
    assert_eq!(updates(bench.said()), first);
    // Peer 2 does not support it.
    bench.hears(3, adds(3, "A", 8)).unwrap();
    bench.passes(SECOND);
    assert_eq!(updates(bench.said()), ["3 UPDATE T 1>3 ADD A/9@1"]);
    bench.hears(3, adds(3, "A", 9)).unwrap();
    assert_eq!(bench.knows(), ["A/8@3", "A/9@3"]);
    assert_eq!(bench.said(), ["shut down 2", "shut down 3"]);
}

#[test]
fn a_registrar_that_stops_waits_as_long_as_its_elements_leave() {
    let mut bench = Bench::among(Profile::Rsplib, &[2]);
    for element in 8..11 {
        bench.registers("A", element);
    }
    bench.registrar.stop();
    let patience = bench.registrar.config.hand_over_patience;
    let moment = Duration::from_millis(1);
    for element in 8..10 {
        hears_of(&mut bench, &[], (patience - SECOND).as_secs());
        bench.passes(SECOND - moment);
        bench.hears(2, adds(2, "A", element)).unwrap();
        assert!(!bench.said().contains(&"shut down 2".into()));
    }
    hears_of(&mut bench, &[], (patience - SECOND).as_secs());
    bench.passes(SECOND - moment);
    assert!(!bench.said().contains(&"shut down 2".into()));
    bench.passes(moment);
    assert_eq!(bench.said(), ["shut down 2"]);
}

#[test]
fn an_element_that_comes_back_again_and_again_keeps_no_registrar_from_stopping() {
    let mut bench = Bench::among(Profile::Rsplib, &[2]);
    bench.registers("A", 8);
    bench.registers("A", 9);
    bench.registrar.stop();
    // Each goes once, which is waited for; to come back and go again is not.
    let patience = bench.registrar.config.hand_over_patience;
    let rounds = 2 * patience.as_secs();
    let mut waited = 0;
    while bench.registrar.peering.hand_over.is_some() && waited < rounds {
        bench.hears(2, adds(2, "A", 8)).unwrap();
        bench.registers("A", 8);
        bench.said_to_elements();
        hears_of(&mut bench, &[], 1);
        waited += 1;
    }
    assert_eq!(waited, patience.as_secs());
}

#[test]
fn an_element_that_leaves_while_its_home_stops_is_not_deleted() {
    let mut bench = Bench::among(Profile::Rsplib, &[2]);
    bench.registers("A", 8);
    bench.registrar.stop();
    bench.said();
    let (association, reason) = (AssociationId(8), DownReason::Aborted);
    bench.registrar.handle_input(bench.now, Input::Down { association, reason }).unwrap();
    assert_eq!(bench.knows(), ["A/8@1"]);
    assert_eq!(updates(bench.said()), [""; 0]);
    bench.hears(2, adds(2, "A", 8)).unwrap();
    assert_eq!(bench.knows(), ["A/8@2"]);
    assert_eq!(bench.said(), ["shut down 2"]);
}

/// Time passes in which these peers say that they live and have what we know of.
fn hears_of(bench: &mut Bench, peers: &[u32], seconds: u64) {
    for _ in 0..seconds {
        bench.passes(SECOND);
        for &peer in peers {
            let sum = bench.registrar.handlespace.checksum(RegistrarId(peer));
            bench.hears(peer, presence(peer, false, sum)).unwrap();
        }
        bench.said();
    }
}

#[test]
fn a_registration_that_ends_while_its_home_is_taken_over_lasts() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    let config = &bench.registrar.config;
    let silence = config.max_time_last_heard + config.max_time_no_response;
    // The home becomes silent so that it is wanted when the registration ends.
    hears_of(&mut bench, &[2, 4], 298 - silence.as_secs());
    hears_of(&mut bench, &[2], silence.as_secs() + 1);
    assert_eq!(bench.state_of(4), Some(PeerState::Claimed));
    hears_of(&mut bench, &[2], 2);
    assert_eq!(bench.state_of(4), Some(PeerState::Claimed));
    assert_eq!(bench.knows(), ["A/10@4"]);
    hears_of(&mut bench, &[2], 4);
    assert_eq!(bench.knows(), ["A/10@1"]);
}

#[test]
fn a_registration_that_ends_while_its_home_falls_silent_lasts() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    let silence = bench.registrar.config.max_time_last_heard;
    // It is active still when it is asked for its table, and suspected when it has not answered.
    hears_of(&mut bench, &[2, 4], 302 - silence.as_secs());
    hears_of(&mut bench, &[2], silence.as_secs() - 1);
    assert_eq!(bench.state_of(4), Some(PeerState::Active));
    hears_of(&mut bench, &[2], 5);
    assert_eq!(bench.state_of(4), Some(PeerState::Suspect));
    assert_eq!(bench.knows(), ["A/10@4"]);
    hears_of(&mut bench, &[2], 10);
    assert_eq!(bench.knows(), ["A/10@1"]);
}

#[test]
fn a_registration_that_ends_while_its_home_is_sought_lasts() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 4]);
    bench.hears(4, adds(4, "A", 10)).unwrap();
    hears_of(&mut bench, &[2, 4], 299);
    bench.down(4);
    assert_eq!(bench.state_of(4), Some(PeerState::Suspect));
    bench.said();
    hears_of(&mut bench, &[2], 2);
    assert_eq!(bench.state_of(4), Some(PeerState::Suspect));
    assert_eq!(bench.knows(), ["A/10@4"]);
    hears_of(&mut bench, &[2], 10);
    assert_eq!(bench.knows(), ["A/10@1"]);
}

#[test]
fn the_elements_of_a_registrar_that_only_the_mentor_knew_find_a_home() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[2]);
    bench.said();
    bench.connects(2, 0);
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.hears(2, list_response(2, &[1, 4])).unwrap();
    bench.hears(2, table_response(2, false, &[("A", 10, 4, RR)])).unwrap();
    let config = &bench.registrar.config;
    let patience = config.max_time_last_heard + config.max_time_no_response;
    hears_of(&mut bench, &[2], patience.as_secs() - 1);
    assert_eq!(bench.state_of(4), Some(PeerState::Unheard));
    bench.passes(2 * SECOND);
    assert_eq!(about_takeovers(bench.said()), ["2 INIT_TAKEOVER 1>0 of 4"]);
    bench.hears(2, init_takeover_ack(2, 4)).unwrap();
    assert_eq!(bench.knows(), ["A/10@1"]);
    assert_eq!(bench.state_of(4), None);
}

#[test]
fn a_registrar_that_stops_suggests_no_more_at_a_time_than_its_peers_can_be_told() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 3]);
    let at = transport(3_000, "10.0.1.1", TransportUse::DataPlusControl);
    for pe_id in 100..116 {
        let element = element(pe_id, RegistrarId(US), RR, &at);
        let (owner, association) = (RegistrarId(US), None);
        let new = NewElement { pool: handle("A"), element: &element, owner, association };
        let index = bench.registrar.handlespace.register(&new).unwrap().index;
        // Changes that the peers are still to be told of.
        bench.registrar.announce(index, UpdateAction::ADD);
        bench.registrar.announce(index, UpdateAction::ADD);
    }
    let waiting = bench.registrar.peering.changes.end();
    bench.registrar.stop();
    let rest = bench.registrar.tables.lend().changes.len() as u64 - waiting;
    assert!(rest < waiting / 2, "there is room for all suggestions");
    let mut suggested = bench.said();
    suggested.retain(|line| line.contains("UPDATE T"));
    assert_eq!(suggested.len(), 16);
    assert_eq!(bench.registrar.counters.peers_lapped, 0);
    // The next round, for those that have not gone.
    bench.passes(SECOND);
    assert_eq!(updates(bench.said()).len(), 16);
}
