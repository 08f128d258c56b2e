//! Changes of elements, told and heard (RFC 5353 §3.3).

use std::vec;

use super::takeover::updates;
use super::*;
use crate::wire::asap::Deregistration;

#[test]
fn all_peers_hear_of_an_element_that_comes_changes_or_goes() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    bench.registers("A", 10);
    assert_eq!(bench.said(), ["2 UPDATE 1>0 ADD A/10@1", "3 UPDATE 1>0 ADD A/10@1"]);
    bench.registers("A", 10);
    assert_eq!(bench.said(), ["2 UPDATE 1>0 ADD A/10@1", "3 UPDATE 1>0 ADD A/10@1"]);
    let mut bytes = [0; 64];
    let len = Deregistration::new(handle("A"), PeId(10)).emit(&mut bytes).unwrap();
    bench.hears_asap(10, &bytes[..len]);
    assert_eq!(bench.said(), ["2 UPDATE 1>0 DEL A/10@1", "3 UPDATE 1>0 DEL A/10@1"]);
}

#[test]
fn all_peers_hear_of_an_element_whose_association_is_lost() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    bench.registers("A", 10);
    bench.said();
    let (association, reason) = (AssociationId(10), DownReason::Lost);
    let down = Input::Down { association, reason };
    bench.registrar.handle_input(bench.now, down).unwrap();
    assert_eq!(bench.said(), ["2 UPDATE 1>0 DEL A/10@1", "3 UPDATE 1>0 DEL A/10@1"]);
}

#[test]
fn an_update_has_all_of_the_element() {
    for action in [UpdateAction::ADD, UpdateAction::DELETE] {
        let mut bench = Bench::among(Profile::Rfc, &[2]);
        bench.registers("A", 10);
        if action == UpdateAction::DELETE {
            bench.said();
            let (association, reason) = (AssociationId(10), DownReason::Lost);
            let down = Input::Down { association, reason };
            bench.registrar.handle_input(bench.now, down).unwrap();
        }
        let mut buf = [0; 512];
        let transmit = bench.registrar.peers().poll_transmit(bench.now, &mut buf);
        let Some(Transmit::Message { len, .. }) = transmit else { panic!("{transmit:?}") };
        let Ok(EnrpMessage::HandleUpdate(update)) = EnrpMessage::parse(&buf[..len]) else {
            panic!("no update")
        };
        assert_eq!((update.action, update.pool_handle), (action, handle("A")));
        let at = transport(3_000, "10.0.1.1", TransportUse::DataPlusControl);
        let (told, expected) = (update.element, element(10, RegistrarId(US), RR, &at));
        let (asap, layout) = (told.asap_transport, expected.layout);
        assert_eq!(
            PoolElement { layout, ..told },
            PoolElement { asap_transport: asap, ..expected }
        );
        let asap = asap.unwrap();
        let address = asap.addresses().next();
        assert_eq!((asap.port(), address), (3_000, Some("10.0.1.1".parse().unwrap())));
    }
}

#[test]
fn an_added_element_makes_its_pool_joins_it_or_is_replaced() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, update(2, UpdateAction::ADD, "A", 10, Policy::Random)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    // The pool has the policy of its first element.
    bench.hears(2, adds(2, "A", 11)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    bench.hears(2, update(2, UpdateAction::ADD, "A", 11, Policy::Random)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2", "A/11@2"]);
}

#[test]
fn a_known_element_has_the_values_of_the_latest_update() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    let loaded = |load| Policy::LeastUsed { load: crate::wire::Load(load) };
    bench.hears(2, update(2, UpdateAction::ADD, "A", 10, loaded(7))).unwrap();
    bench.hears(3, update(3, UpdateAction::ADD, "A", 10, loaded(9))).unwrap();
    assert_eq!(bench.knows(), ["A/10@3"]);
    let index = bench.registrar.handlespace.find(handle("A"), PeId(10)).unwrap();
    assert_eq!(bench.registrar.handlespace.element(index).to_wire(true).policy, loaded(9));
}

#[test]
fn a_deleted_element_goes_and_the_last_one_with_its_pool() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, adds(2, "A", 11)).unwrap();
    bench.hears(2, deletes(2, "A", 10)).unwrap();
    assert_eq!(bench.knows(), ["A/11@2"]);
    assert_eq!(bench.registrar.handlespace.pool_count(), 1);
    bench.hears(2, deletes(2, "A", 11)).unwrap();
    assert_eq!(bench.registrar.handlespace.pool_count(), 0);
    assert_eq!(bench.said(), [""; 0], "telling is the home's business");
}

#[test]
fn a_deletion_of_what_is_not_there_does_nothing() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, deletes(2, "A", 11)).unwrap();
    bench.hears(2, deletes(2, "B", 10)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn only_the_home_deletes_an_element() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(3, deletes(3, "A", 10)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
}

#[test]
fn an_action_that_is_reserved_does_nothing() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, update(2, UpdateAction(2), "A", 10, RR)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    assert_eq!(bench.registrar.counters.unexpected, 1);
}

#[test]
fn an_element_that_comes_from_another_registrar_is_ours_from_then_on() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.registers("A", 10);
    assert_eq!(bench.knows(), ["A/10@1"]);
    assert_eq!(bench.said(), ["2 UPDATE 1>0 ADD A/10@1"]);
}

#[test]
fn an_element_of_ours_that_was_claimed_again_and_again_is_asked_when_it_is_let_go() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 3]);
    bench.registers("A", 10);
    bench.said_to_elements();
    // A registrar that was stopped reads an old registration, renewed or suggested at once, and
    // then that the element has left it.
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, adds(2, "A", 10)).unwrap();
    assert_eq!(bench.knows(), ["A/10@2"]);
    bench.said();
    bench.hears(2, deletes(2, "A", 10)).unwrap();
    assert_eq!(bench.said_to_elements(), ["10 KEEP_ALIVE H 1"]);
    bench.acks(10, "A", 10);
    assert_eq!(bench.knows(), ["A/10@1"]);
    assert_eq!(bench.said(), ["2 UPDATE 1>0 ADD A/10@1", "3 UPDATE 1>0 ADD A/10@1"]);
}

#[test]
fn an_element_of_ours_that_was_let_go_again_and_again_is_asked_each_time() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 3]);
    bench.registers("A", 10);
    bench.said_to_elements();
    // A registrar that was stopped reads two registrations and two ends of associations.
    for _ in 0..2 {
        bench.hears(2, adds(2, "A", 10)).unwrap();
        bench.hears(2, deletes(2, "A", 10)).unwrap();
        assert_eq!(bench.knows(), ["A/10@2"]);
    }
    assert!(bench.said_to_elements().contains(&"10 KEEP_ALIVE H 1".into()));
    bench.said();
    bench.acks(10, "A", 10);
    assert_eq!(bench.knows(), ["A/10@1"]);
    assert_eq!(bench.said(), ["2 UPDATE 1>0 ADD A/10@1", "3 UPDATE 1>0 ADD A/10@1"]);
}

#[test]
fn an_element_that_its_home_has_let_go_is_not_ours_until_it_says_so() {
    let mut bench = Bench::among(Profile::Rsplib, &[2, 3]);
    bench.registers("A", 10);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.hears(2, deletes(2, "A", 10)).unwrap();
    bench.said();
    // Its table does not name it either.
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    assert_eq!(bench.said(), ["2 TABLE_REQUEST W 1>2"]);
    bench.hears(2, table_response(2, false, &[])).unwrap();
    assert_eq!((bench.knows(), updates(bench.said())), (vec!["A/10@2".into()], vec![]));
    bench.passes(bench.registrar.config.keep_alive_timeout);
    assert_eq!((bench.knows(), updates(bench.said())), (vec![], vec![]));
}

#[test]
fn what_is_rejected_is_not_told() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, update(2, UpdateAction::ADD, "A", 10, Policy::Random)).unwrap();
    // Another policy.
    bench.try_to_register("A", 11).unwrap_err();
    // Not on its own host.
    let mut bytes = [0; 64];
    let len = Deregistration::new(handle("A"), PeId(10)).emit(&mut bytes).unwrap();
    bench.asap_up(12, "10.0.9.9");
    bench.try_asap(12, &bytes[..len]).unwrap_err();
    assert_eq!(bench.knows(), ["A/10@2"]);
    assert_eq!(bench.said(), [""; 0]);
}

/// A registrar that suggests; elements 8 and 24 would be better off with peer 3.
fn suggests() -> Bench {
    let mut bench = Bench::new(Profile::Rsplib, |config| {
        config.suggest_takeover = true;
        // Nobody is missed.
        config.max_time_last_heard = 3_600 * SECOND;
        config.keep_alive_interval = 3_600 * SECOND;
    });
    bench.starts(&[]);
    for peer in [2, 3] {
        bench.links(peer);
        bench.hears(peer, presence(peer, false, NOTHING)).unwrap();
    }
    bench.said();
    bench
}

/// Who is suggested to whom.
fn suggested(bench: &mut Bench) -> Vec<String> {
    bench.said_to_elements();
    bench.said().into_iter().filter(|line| line.contains("UPDATE T")).collect()
}

#[test]
fn an_element_is_suggested_once_in_the_life_of_its_registration() {
    let mut bench = suggests();
    bench.registers("A", 8);
    assert_eq!(suggested(&mut bench), ["3 UPDATE T 1>3 ADD A/8@1"]);
    // It registers often, as with each change of its load, for a life of 300 s.
    for _ in 0..9 {
        bench.passes(30 * SECOND);
        bench.registers("A", 8);
        bench.registers("A", 8);
        assert_eq!(suggested(&mut bench), [""; 0], "at {:?}", bench.now);
    }
    bench.passes(32 * SECOND);
    bench.registers("A", 8);
    assert_eq!(suggested(&mut bench), ["3 UPDATE T 1>3 ADD A/8@1"]);
}

#[test]
fn an_element_that_has_just_come_is_suggested_to_nobody() {
    let mut bench = suggests();
    // Peer 2 suggests it to us, though 3 would fit it better.
    let mut suggestion = adds(2, "A", 8);
    suggestion[1] |= 1;
    bench.hears(2, suggestion).unwrap();
    bench.passes(Duration::ZERO);
    bench.said_to_elements();
    let (association, connect) = (AssociationId(77), Some(ConnectId(0)));
    let peer_addresses = &["10.0.1.1".parse().unwrap()];
    let up = Input::Up { association, connect, peer_addresses, peer_port: 3_000 };
    bench.registrar.handle_input(bench.now, up).unwrap();
    bench.said_to_elements();
    bench.acks(77, "A", 8);
    assert_eq!(bench.knows(), ["A/8@1"]);
    bench.said();
    bench.registers("A", 8);
    assert_eq!(suggested(&mut bench), [""; 0]);
    // Others are, as soon as they register.
    bench.registers("A", 24);
    assert_eq!(suggested(&mut bench), ["3 UPDATE T 1>3 ADD A/24@1"]);
}
