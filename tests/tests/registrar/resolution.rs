//! Which elements a handle resolution lists. RFC 5352 §3.3.

use super::*;

on_each_storage! {
    as_many_as_asked_for_and_three_by_default
    no_response_lists_more_than_128
    a_small_buffer_lists_fewer
    an_unknown_pool_is_named_as_such
    a_pool_of_weight_zero_lacks_resources
    each_pool_has_its_policy
}

// Handle resolution, RFC 5352 §3.3.

fn as_many_as_asked_for_and_three_by_default<S: Roomy>() {
    let mut bench = rsplib::<S>();
    for id in 1..=5 {
        joins(&mut bench, id);
    }
    bench.up(9, &["10.0.0.9"]);
    assert_eq!(bench.resolves(9, "EchoPool", None), [1, 2, 3]);
    assert_eq!(bench.resolves(9, "EchoPool", Some(0)), [2, 3, 4]);
    assert_eq!(bench.resolves(9, "EchoPool", Some(1)), [3]);
    assert_eq!(bench.resolves(9, "EchoPool", Some(u32::MAX)), [4, 5, 1, 2, 3]);
    let mut bench = rfc::<S>();
    for id in 1..=5 {
        joins(&mut bench, id);
    }
    assert_eq!(bench.resolves(1, "EchoPool", None).len(), 5, "RFC 5352 §3.3: all of them");
}

fn no_response_lists_more_than_128<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.elements_per_association_max = 200;
        config.handle_resolution_items = u32::MAX;
    });
    bench.up(1, &["10.0.0.1"]);
    for pe_id in 1..=130 {
        let own = Element { addresses: vec![ip("10.0.0.1")], ..element("P", pe_id) };
        bench.hears(1, register(&own)).unwrap();
    }
    bench.said();
    assert_eq!(bench.resolves(1, "P", Some(u32::MAX)).len(), 128);
    assert_eq!(bench.resolves(1, "P", None).len(), 128);
}

fn a_small_buffer_lists_fewer<S: Roomy>() {
    use rserpool_core::association::Transmit;
    let mut bench = rsplib::<S>();
    for id in 1..=20 {
        joins(&mut bench, id);
    }
    let mut buffer = [0; rserpool_core::enrp::TRANSMIT_LEN_MIN];
    let resolution = resolve("EchoPool", Some(20));
    let input = Input::Message {
        association: AssociationId(1),
        stream: StreamId(0),
        ppid: Ppid::ASAP,
        data: &resolution,
    };
    bench.registrar.handle_input(bench.now, input).unwrap();
    let transmit = bench.registrar.poll_transmit(bench.now, &mut buffer);
    let Some(Transmit::Message { len, .. }) = transmit else { panic!("{transmit:?}") };
    // Header 4, handle 12, policy 8, and 40 for each element.
    assert_eq!(len, 24 + 12 * 40);
    // Those that did not fit are next.
    assert_eq!(bench.resolves(1, "EchoPool", Some(1)), [2]);
}

fn an_unknown_pool_is_named_as_such<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.77.0.31"]);
    // hres-unknown-pool frame 9.
    bench.hears(1, resolve("NoSuchPool", Some(1))).unwrap();
    let response = hex("0600001c 0009000e 4e6f53756368506f6f6c 0000 000c0008 00090004");
    assert_eq!(bench.said(), [to(1, response)]);
    let (association, cause) = (AssociationId(1), Cause::UNKNOWN_POOL_HANDLE);
    assert_eq!(bench.told(), [Event::Rejected { association, cause }]);
}

fn a_pool_of_weight_zero_lacks_resources<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1", "10.0.0.2"]);
    bench.registers(1, "Nought", 1, Policy::WeightedRandom { weight: 0 });
    bench.hears(1, resolve("Nought", Some(1))).unwrap();
    assert_eq!(bench.said(), [to(1, not_resolved("Nought", Cause::LACK_OF_RESOURCES))]);
    bench.registers(1, "Nought", 2, Policy::WeightedRandom { weight: 1 });
    for _ in 0..10 {
        assert_eq!(bench.resolves(1, "Nought", Some(2)), [2]);
    }
}

fn each_pool_has_its_policy<S: Roomy>() {
    let mut bench = rsplib::<S>();
    let share = |percent: u32| Load((u64::from(u32::MAX) * u64::from(percent) / 100) as u32);
    for id in 1..=3 {
        bench.up(id, &[&address_of(id)]);
        bench.registers(id, "RR", id, RR);
        bench.registers(id, "Priority", id, Policy::Priority { priority: id });
        bench.registers(id, "LU", id, Policy::LeastUsed { load: share(10 * ((id + 1) % 3)) });
    }
    assert_eq!(bench.resolves(1, "RR", Some(3)), [1, 2, 3]);
    assert_eq!(bench.resolves(1, "RR", Some(3)), [2, 3, 1]);
    assert_eq!(bench.resolves(1, "Priority", Some(3)), [3, 2, 1]);
    assert_eq!(bench.resolves(1, "LU", Some(3)), [2, 3, 1]);
    assert_eq!(bench.registrar.handlespace().pool_count(), 3);
}
