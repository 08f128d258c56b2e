//! Who lives and who does not (RFC 5353 §3.4).

use super::*;

#[test]
fn a_stranger_is_entered_and_asked_who_it_is() {
    let mut bench = Bench::among(Profile::Rfc, &[]);
    bench.links(2);
    assert_eq!(bench.said(), [""; 0]);
    // Any message will do.
    bench.hears(2, table_request(2, false)).unwrap();
    assert_eq!(bench.state_of(2), Some(PeerState::Active));
    let said = bench.said();
    assert_eq!(said[0], "2 PRESENCE R 1>2 ffff");
}

#[test]
fn who_asks_for_a_presence_gets_one_with_server_information() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.hears(2, presence(2, true, NOTHING)).unwrap();
    let mut buf = [0; 256];
    let transmit = bench.registrar.peers().poll_transmit(bench.now, &mut buf).unwrap();
    let Transmit::Message { len, .. } = transmit else { panic!("{transmit:?}") };
    let Ok(EnrpMessage::Presence(answer)) = EnrpMessage::parse(&buf[..len]) else { panic!() };
    assert!(!answer.reply_required);
    let server = answer.server.unwrap();
    assert_eq!((server.id, server.transport.port()), (RegistrarId(US), 9_901));
    assert_eq!(server.transport.addresses().next(), Some("10.0.0.1".parse().unwrap()));
}

#[test]
fn each_cycle_all_peers_hear_a_presence_that_wants_no_answer() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    bench.passes(Duration::from_millis(1));
    bench.said();
    // 30 s, an eighth more or less.
    bench.passes(Duration::from_millis(26_249));
    assert_eq!(bench.said(), [""; 0]);
    bench.passes(Duration::from_millis(7_500));
    let expected = ["2 PRESENCE 1>0 ffff", "3 PRESENCE 1>0 ffff", "all PRESENCE 1>0 ffff"];
    assert_eq!(bench.said(), expected);
}

#[test]
fn any_message_is_a_sign_of_life() {
    let messages =
        [presence(2, false, NOTHING), list_request(2), init_takeover_ack(2, 9), adds(2, "A", 1)];
    for message in messages {
        let mut bench = Bench::among(Profile::Rfc, &[2]);
        bench.passes(60 * SECOND);
        bench.hears(2, message).unwrap();
        bench.passes(60 * SECOND);
        assert_eq!(bench.state_of(2), Some(PeerState::Active));
        bench.said();
        bench.passes(SECOND);
        assert_eq!(bench.said(), ["2 PRESENCE R 1>2 ffff"]);
    }
}

#[test]
fn a_presence_by_multicast_is_a_sign_of_life() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.passes(60 * SECOND);
    let source = "10.0.0.2:40000".parse().unwrap();
    bench.registrar.handle_presence(bench.now, source, &presence(2, false, NOTHING)).unwrap();
    bench.passes(60 * SECOND);
    assert_eq!(bench.state_of(2), Some(PeerState::Active));
}

#[test]
fn a_stranger_is_sought_where_its_presence_came_from_and_where_it_says_it_is() {
    let mut bench = Bench::among(Profile::Rfc, &[]);
    let source = "10.0.0.99:40000".parse().unwrap();
    bench.registrar.handle_presence(bench.now, source, &presence(2, false, NOTHING)).unwrap();
    let transmit = bench.registrar.peers().poll_transmit(bench.now, &mut [0; 256]).unwrap();
    let Transmit::Connect { endpoint, .. } = transmit else { panic!("{transmit:?}") };
    let sought = ["10.0.0.99", "10.0.0.2"].map(|address| address.parse().unwrap());
    assert_eq!((&endpoint.addresses[..], endpoint.port), (&sought[..], 9_901));
}

#[test]
fn who_is_silent_is_asked_and_then_dead() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.passes(Duration::from_millis(60_999));
    assert!(!bench.said().contains(&"2 PRESENCE R 1>2 ffff".into()));
    assert_eq!(bench.state_of(2), Some(PeerState::Active));
    bench.passes(Duration::from_millis(1));
    assert_eq!(bench.said(), ["2 PRESENCE R 1>2 ffff"]);
    bench.passes(Duration::from_millis(4_999));
    assert_eq!(bench.state_of(2), Some(PeerState::Suspect));
    bench.passes(Duration::from_millis(1));
    assert_eq!(bench.state_of(2), None);
    assert_eq!(bench.said(), ["abort 2"]);
}

#[test]
fn who_answers_in_time_lives() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    bench.passes(61 * SECOND + Duration::from_millis(4_999));
    bench.hears(2, presence(2, false, NOTHING)).unwrap();
    bench.passes(SECOND);
    assert_eq!(bench.state_of(2), Some(PeerState::Active));
}

#[test]
fn who_cannot_be_reached_is_dead_at_once() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    bench.hears(2, adds(2, "A", 10)).unwrap();
    bench.down(2);
    assert_eq!(bench.state_of(2), Some(PeerState::Suspect));
    assert_eq!(bench.said(), ["connect 0 10.0.0.2:9901"]);
    let failed = Input::ConnectFailed { connect: ConnectId(0) };
    bench.registrar.peers().handle_input(bench.now, failed).unwrap();
    assert_eq!(bench.state_of(2), Some(PeerState::Claimed));
    assert_eq!(bench.said(), ["3 INIT_TAKEOVER 1>0 of 2"]);
}

#[test]
fn a_peer_for_whose_association_there_was_no_room_is_sought_again() {
    let mut bench = Bench::new(Profile::Rfc, |_| {});
    bench.starts(&[2]);
    assert_eq!(bench.said(), ["connect 0 10.0.0.2:9901"]);
    for stranger in 11..17 {
        bench.links(stranger);
    }
    let Endpoint { addresses, port, .. } = endpoint(2);
    let (association, connect) = (AssociationId(2), Some(ConnectId(0)));
    let peer_addresses = &addresses[..];
    let up = Input::Up { association, connect, peer_addresses, peer_port: port };
    let refused = bench.registrar.peers().handle_input(bench.now, up);
    assert_eq!(refused, Err(InputError::Limited(Limit::Peers)));
    assert_eq!(bench.said(), ["abort 2"]);
    bench.passes(Duration::from_millis(999));
    assert_eq!(bench.said(), [""; 0]);
    bench.now += Duration::from_millis(1);
    assert_eq!(bench.said(), ["connect 1 10.0.0.2:9901"]);
}
