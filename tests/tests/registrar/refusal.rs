//! What is malformed, unknown, out of place or too much. RFC 5354 §3 and §4, RFC 5355.

use super::*;

on_each_storage! {
    a_handle_of_33_bytes_is_an_invalid_value
    rubbish_is_answered_by_an_error
    unknown_parameters_go_by_their_top_bits
    unknown_messages_go_by_their_top_bits
    errors_are_not_answered
    what_only_registrars_say_is_ignored
    enrp_at_the_port_of_asap_is_aborted
    data_are_ignored
    floods_of_resolutions_are_limited
    floods_of_registrations_are_limited
    floods_of_reports_and_rubbish_are_dropped
    undrained_replies_make_it_busy
    known_identifier_is_a_setting_of_its_own
}

// What is malformed, unknown or out of place.

fn a_handle_of_33_bytes_is_an_invalid_value<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    let mut parameter = hex("00090025");
    parameter.extend([b'x'; 33]);
    let mut message = hex("0500002c");
    message.extend(&parameter);
    message.extend([0; 3]);
    assert_eq!(bench.hears(1, message), Err(InputError::Malformed));
    assert_eq!(bench.said(), [to(1, error(Cause::INVALID_VALUES, &parameter))]);
    assert_eq!(bench.resolves(1, "EchoPool", None), [1], "the association stays");
}

fn rubbish_is_answered_by_an_error<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    // No pool handle; an empty one; a length beyond the message.
    for message in ["05000004", "05000008 00090004", "05000008 00090010"] {
        assert_eq!(bench.hears(1, hex(message)), Err(InputError::Malformed));
        let said = bench.said();
        let [Said::Message(1, bytes)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(bytes[0], 14);
    }
    assert_eq!(bench.registrar.counters().malformed, 3);
    assert_eq!(bench.registrar.counters().errors_sent, 3);
}

fn unknown_parameters_go_by_their_top_bits<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    let handle = "0009000c 4563686f506f6f6c";
    let resolution = |tail: &str| hex(&format!("05000018 {handle} {tail}"));
    // 00: drop silently; 01: drop and report.
    assert!(bench.hears(1, resolution("00ff0008 01020304")).is_err());
    assert_eq!(bench.said(), []);
    assert!(bench.hears(1, resolution("40ff0008 01020304")).is_err());
    let unknown = hex("40ff0008 01020304");
    assert_eq!(bench.said(), [to(1, error(Cause::UNRECOGNIZED_PARAMETER, &unknown))]);
    // 10: skip; 11: skip and report.
    let answer = to(1, resolved(RR, &[element("EchoPool", 1)]));
    bench.hears(1, resolution("80ff0008 01020304")).unwrap();
    assert_eq!(bench.said(), std::slice::from_ref(&answer));
    bench.hears(1, resolution("c0ff0007 01020300")).unwrap();
    let unknown = hex("c0ff0007 010203");
    let report = to(1, error(Cause::UNRECOGNIZED_PARAMETER, &unknown));
    assert_eq!(bench.said(), [report, answer]);
}

fn unknown_messages_go_by_their_top_bits<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    assert_eq!(bench.hears(1, hex("20000008 01020304")), Err(InputError::Unexpected));
    assert_eq!(bench.said(), []);
    let unknown = hex("60000008 01020304");
    assert_eq!(bench.hears(1, &unknown), Err(InputError::Unexpected));
    assert_eq!(bench.said(), [to(1, error(Cause::UNRECOGNIZED_MESSAGE, &unknown))]);
}

fn errors_are_not_answered<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    // One without a cause, and one with a parameter that asks for a report.
    assert_eq!(bench.hears(1, hex("0e000008 000c0004")), Err(InputError::Malformed));
    assert_eq!(bench.hears(1, hex("0e000010 000c0008 00090004 c0990004")), Ok(()));
    assert_eq!(bench.said(), []);
}

fn what_only_registrars_say_is_ignored<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    for message in [registered("EchoPool", 1), deregistered("EchoPool", 1, None)] {
        assert_eq!(bench.hears(1, message), Err(InputError::Unexpected));
    }
    assert_eq!(bench.hears(1, error(Cause::UNSPECIFIED, &[])), Ok(()));
    assert_eq!(bench.said(), []);
    assert_eq!(bench.registrar.counters().errors_received, 1);
}

/// An element's request, said to be of another protocol.
fn by_another_protocol<S: Roomy>(bench: &mut Bench<S>, ppid: Ppid) -> Result<(), InputError> {
    let data = &resolve("EchoPool", None);
    let (association, stream) = (AssociationId(1), StreamId(0));
    bench.input(Input::Message { association, stream, ppid, data })
}

fn enrp_at_the_port_of_asap_is_aborted<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    assert_eq!(by_another_protocol(&mut bench, Ppid::ENRP), Err(InputError::WrongPpid));
    assert_eq!(bench.said(), [Said::Abort(1)]);
    assert_eq!(bench.elements(), []);
    let ended = by_another_protocol(&mut bench, Ppid::ENRP);
    assert_eq!(ended, Err(InputError::UnknownAssociation));
    bench.down(1, DownReason::Aborted);
}

fn data_are_ignored<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    for ppid in [Ppid(0), Ppid::COMPUTE] {
        assert_eq!(by_another_protocol(&mut bench, ppid), Err(InputError::WrongPpid));
        assert_eq!(bench.said(), []);
    }
    assert_eq!(bench.resolves(1, "EchoPool", None), [1], "the association stays");
}

// Floods, RFC 5355 §2.2 and §2.13.

fn floods_of_resolutions_are_limited<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.2"]);
    let burst = bench.registrar.config().handle_resolution_rate.burst;
    for _ in 0..burst {
        assert_eq!(bench.resolves(2, "EchoPool", None), [1]);
    }
    let limited = Err(InputError::Limited(Limit::HandleResolutionRate));
    assert_eq!(bench.hears(2, resolve("EchoPool", None)), limited);
    assert_eq!(bench.said(), [to(2, not_resolved("EchoPool", Cause::LACK_OF_RESOURCES))]);
    assert_eq!(bench.resolves(1, "EchoPool", None), [1], "others are not limited by it");
    bench.sleep_ms(50);
    assert_eq!(bench.resolves(2, "EchoPool", None), [1]);
}

fn floods_of_registrations_are_limited<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    let burst = bench.registrar.config().registration_rate.burst;
    for _ in 0..burst {
        bench.registers(1, "EchoPool", 1, RR);
    }
    let limited = Err(InputError::Limited(Limit::RegistrationRate));
    let registration = register(&element("EchoPool", 1));
    assert_eq!(bench.hears(1, &registration), limited);
    let response = not_registered("EchoPool", 1, Cause::LACK_OF_RESOURCES, &[]);
    assert_eq!(bench.said(), [to(1, response)]);
    assert_eq!(bench.hears(1, deregister("EchoPool", 1)), limited);
    assert_eq!(bench.elements(), [1]);
}

fn floods_of_reports_and_rubbish_are_dropped<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.2"]);
    let config = *bench.registrar.config();
    for _ in 0..config.unreachable_rate.burst {
        bench.hears(2, unreachable("EchoPool", 1)).unwrap();
    }
    let limited = Err(InputError::Limited(Limit::UnreachableRate));
    assert_eq!(bench.hears(2, unreachable("EchoPool", 1)), limited);
    bench.said();
    for _ in 0..config.error_rate.burst {
        assert_eq!(bench.hears(2, hex("05000004")), Err(InputError::Malformed));
    }
    assert_eq!(bench.said().len(), config.error_rate.burst as usize);
    bench.told();
    assert_eq!(bench.hears(2, hex("05000004")), Err(InputError::Malformed));
    assert_eq!(bench.said(), []);
    let (association, limit) = (AssociationId(2), Limit::ErrorRate);
    assert_eq!(bench.told(), [Event::Limited { association, limit }]);
}

fn undrained_replies_make_it_busy<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    let data = &resolve("EchoPool", None);
    let (association, stream, ppid) = (AssociationId(1), StreamId(0), Ppid::ASAP);
    let input = Input::Message { association, stream, ppid, data };
    let mut taken = 0;
    while bench.registrar.handle_input(bench.now, input) == Ok(()) {
        taken += 1;
        assert!(taken < 100);
    }
    assert_eq!(bench.registrar.handle_input(bench.now, input), Err(InputError::Busy));
    bench.drain();
    assert_eq!(bench.said().len(), taken);
    assert_eq!(bench.input(input), Ok(()));
}

fn known_identifier_is_a_setting_of_its_own<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.known_identifier = KnownIdentifier::Challenge;
    });
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.1"]);
    bench.hears(2, register(&element("EchoPool", 1))).unwrap();
    assert_eq!(bench.said(), [to(1, keep_alive("EchoPool", 1))]);
}
