//! Messages and parameters that are not known (RFC 5353 §3.7), and identifiers.

use super::*;

#[test]
fn unknown_messages_go_by_their_top_bits() {
    for (kind, answer) in [(0x2a, None), (0x6a, Some(2)), (0xaa, None), (0xea, None)] {
        let mut bench = Bench::among(Profile::Rfc, &[2]);
        let unknown = [kind, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 1];
        assert_eq!(bench.hears(2, unknown), Err(InputError::Unexpected));
        let expected: Vec<_> =
            answer.iter().map(|cause: &u16| format!("2 ERROR 1>0 [{cause}]")).collect();
        assert_eq!(bench.said(), expected, "{kind:#x}");
    }
}

#[test]
fn unknown_parameters_go_by_their_top_bits() {
    // A presence that wants an answer, with a parameter that nobody knows before the checksum.
    let cases = [(0x3333, false, false), (0x7333, false, true), (0xb333, true, false)];
    for (kind, is_taken, is_reported) in [cases.as_slice(), &[(0xf333, true, true)]].concat() {
        let mut bench = Bench::among(Profile::Rfc, &[2]);
        let mut message = [1_u8, 1, 0, 20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 8, 1, 2, 3, 4];
        message[12..14].copy_from_slice(&u16::to_be_bytes(kind));
        assert_eq!(bench.hears(2, message).is_ok(), is_taken, "{kind:#x}");
        let said = bench.said();
        let error = said.iter().any(|line| line.starts_with("2 ERROR 1>0 [1]"));
        let answer = said.iter().any(|line| line.starts_with("2 PRESENCE 1>0"));
        assert_eq!((error, answer), (is_reported, is_taken), "{kind:#x} {said:?}");
    }
}

#[test]
fn an_error_is_not_answered() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    let error = [10, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 12, 0, 8, 0, 3, 0, 4];
    bench.hears(2, error).unwrap();
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn errors_to_a_peer_are_as_many_as_the_rate_limit_says() {
    let mut bench = Bench::among(Profile::Rfc, &[2, 3]);
    let unknown = [0x6a, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 1];
    let mut errors_after = |peer, count| {
        (0..count)
            .map(|_| {
                assert_eq!(bench.hears(peer, unknown), Err(InputError::Unexpected));
                bench.said().len()
            })
            .sum::<usize>()
    };
    assert_eq!(errors_after(2, 100), 20);
    assert_eq!(errors_after(3, 1), 1);
    let limited = bench.registrar.counters.limited;
    assert_eq!(limited, 80);
    bench.passes(SECOND / 5);
    bench.said();
    bench.hears(2, unknown).unwrap_err();
    assert_eq!(bench.said(), ["2 ERROR 1>0 [2]"]);
}

#[test]
fn an_identifier_is_drawn_once_and_is_another_for_another_seed() {
    let draw = |seed| {
        let tables: Small = WithPeers::new(InlineTables::new());
        let storage = Inline::<16, 8, 2, 8>::new();
        Registrar::new(Config::default(), storage, tables, SplitMix64::new(seed))
    };
    let mut registrar = draw(1);
    let id = registrar.identifier();
    assert_ne!(id, RegistrarId::UNKNOWN);
    assert_ne!(id, draw(2).identifier());
    registrar.start_peering(Instant::ZERO, endpoint(US), &[]).unwrap();
    registrar.handle_timeout(Instant::ZERO + 3_600 * SECOND);
    assert_eq!(registrar.identifier(), id);
}

#[test]
fn what_is_no_enrp_is_ignored_but_asap_is_at_the_wrong_port() {
    let mut bench = Bench::among(Profile::Rfc, &[2]);
    let mut hears = |ppid| {
        let (association, stream, data) = (AssociationId(2), StreamId(0), &[1, 0, 0, 4]);
        let input = Input::Message { association, stream, ppid, data };
        let result = bench.registrar.peers().handle_input(bench.now, input);
        assert_eq!(result, Err(InputError::WrongPpid));
        bench.said()
    };
    assert_eq!(hears(Ppid(0)), [""; 0]);
    assert_eq!(hears(Ppid::COMPUTE), [""; 0]);
    // And then it is looked for anew.
    assert_eq!(hears(Ppid::ASAP), ["abort 2", "connect 0 10.0.0.2:9901"]);
}
