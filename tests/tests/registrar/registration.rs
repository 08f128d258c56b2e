//! What happens to registrations and deregistrations. RFC 5352 §3.1 and §3.2.

use super::*;

on_each_storage! {
    other_protocols_register_too
    an_opaque_transport_is_repeated_as_it_is
    the_asap_transport_is_the_associations_whatever_is_registered
    the_first_element_makes_the_pool
    a_known_element_is_updated
    the_pools_attributes_bind_its_elements
    invalid_values_are_rejected_with_the_parameter
    foreign_addresses_are_cut
    no_own_address_is_rejected_unless_observed
    an_observed_address_changes_nothing_else
    loopback_is_for_loopback
    a_full_storage_lacks_resources
    an_association_may_register_so_many
    by_rsplib_the_element_moves
    by_the_rfc_a_living_holder_keeps_its_identifier
    by_the_rfc_a_dead_holder_is_superseded
    newcomers_cannot_flood_a_holder_with_keep_alives
    whoever_comes_between_must_be_challenged_too
    a_challenge_ends_with_either_party
    challenges_are_bounded
    deregistration_removes_and_is_granted_for_the_unknown
    only_its_own_host_deregisters_an_element
}

// Registration, RFC 5352 §3.1.

fn the_first_element_makes_the_pool<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(7, &["10.77.0.21"]);
    // RSPLIB's own bytes, policy-RoundRobin frames 6 and 8.
    let registration = hex("0100003c 00090010 50696e67506f6e67506f6f6c 000a0028 aaaa0001
        00000000 00015f90 00040010 a9670001 00010008 0a4d0015 00080008 00000001");
    assert_eq!(bench.hears(7, registration), Ok(()));
    let response = hex("0300001c 00090010 50696e67506f6e67506f6f6c 000e0008 aaaa0001");
    assert_eq!(bench.said(), [to(7, response)]);
    let (pool, association) = (handle("PingPongPool").to_buf(), AssociationId(7));
    let element = PeId(0xaaaa_0001);
    assert_eq!(
        bench.told(),
        [Event::PoolCreated { pool }, Event::ElementRegistered { pool, element, association }]
    );
    // Worked example of the checksum.
    assert_eq!(bench.registrar.handlespace().checksum(REGISTRAR), 0x17d1);
    let index = bench.registrar.handlespace().find(pool.as_handle(), element).unwrap();
    let view = bench.registrar.handlespace().element(index);
    let asap = view.asap_transport().expect("the association's");
    assert_eq!((asap.port(), asap.protocol()), (30_000, Protocol::Sctp));
    assert_eq!(asap.addresses().collect::<Vec<_>>(), [ip("10.77.0.21")]);
    // policy-RoundRobin frame 31.
    bench.up(8, &["10.77.0.31"]);
    let resolution = hex("0500001c 00090010 50696e67506f6e67506f6f6c 803f0008 00000001");
    bench.hears(8, resolution).unwrap();
    let response = hex("06000044 00090010 50696e67506f6e67506f6f6c 00080008 00000001
        000a0028 aaaa0001 11111111 00015f90 00040010 a9670001 00010008 0a4d0015
        00080008 00000001");
    assert_eq!(bench.said(), [to(8, response)]);
}

fn a_known_element_is_updated<S: Roomy>() {
    let mut bench = rsplib::<S>();
    let weighted = |weight| Policy::WeightedRoundRobin { weight };
    bench.up(1, &["10.0.0.1"]);
    bench.registers(1, "EchoPool", 1, weighted(2));
    bench.told();
    bench.registers(1, "EchoPool", 1, weighted(9));
    let updated = Event::ElementUpdated {
        pool: handle("EchoPool").to_buf(),
        element: PeId(1),
        association: AssociationId(1),
    };
    assert_eq!(bench.told(), [updated]);
    bench.hears(1, resolve("EchoPool", None)).unwrap();
    let updated = Element { policy: weighted(9), ..element("EchoPool", 1) };
    assert_eq!(bench.said(), [to(1, resolved(weighted(9), &[updated]))]);
}

fn the_pools_attributes_bind_its_elements<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.2"]);
    let other = element("EchoPool", 2);
    let cases = [
        (
            Element { policy: Policy::Random, ..other.clone() },
            Cause::INCONSISTENT_POOL_POLICY,
            hex("00080008 00000001"),
        ),
        (
            Element { protocol: Protocol::Tcp, ..other.clone() },
            Cause::INCONSISTENT_TRANSPORT_TYPE,
            hex("00040010 0fa00001 00010008 0a000001"),
        ),
        (
            Element { transport_use: TransportUse::Data, ..other.clone() },
            Cause::INCONSISTENT_DATA_CONTROL,
            vec![],
        ),
    ];
    for (element, cause, data) in cases {
        assert_eq!(bench.hears(2, register(&element)), Err(InputError::Rejected(cause)));
        assert_eq!(bench.said(), [to(2, not_registered("EchoPool", 2, cause, &data))]);
    }
    // So is the last element itself when it registers again.
    let changed = Element { policy: Policy::Random, ..element("EchoPool", 1) };
    let cause = Cause::INCONSISTENT_POOL_POLICY;
    assert_eq!(bench.hears(1, register(&changed)), Err(InputError::Rejected(cause)));
    assert_eq!(bench.registrar.counters().registrations_rejected, 4);
}

fn invalid_values_are_rejected_with_the_parameter<S: Roomy>() {
    let mut bench = rfc::<S>();
    bench.up(1, &["10.0.0.1"]);
    let good = element("EchoPool", 1);
    for bad in [
        Element { pe_id: 0, ..good.clone() },
        Element { port: 0, ..good.clone() },
        Element { life: 0, ..good.clone() },
    ] {
        let refused = Err(InputError::Rejected(Cause::INVALID_VALUES));
        assert_eq!(bench.hears(1, register(&bad)), refused);
        let parameter = register(&bad)[16..].to_vec();
        let response = not_registered("EchoPool", bad.pe_id, Cause::INVALID_VALUES, &parameter);
        assert_eq!(bench.said(), [to(1, response)]);
    }
    assert_eq!(bench.registrar.handlespace().element_count(), 0);
}

fn foreign_addresses_are_cut<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1", "10.0.1.1"]);
    let addresses = vec![ip("192.0.2.1"), ip("10.0.1.1"), ip("127.0.0.1")];
    let cut = Element { addresses, ..element("EchoPool", 1) };
    bench.hears(1, register(&cut)).unwrap();
    bench.said();
    bench.hears(1, resolve("EchoPool", Some(1))).unwrap();
    let kept = Element { addresses: vec![ip("10.0.1.1")], ..cut };
    assert_eq!(bench.said(), [to(1, resolved(RR, &[kept]))]);
}

fn no_own_address_is_rejected_unless_observed<S: Roomy>() {
    let foreign = Element { addresses: vec![ip("192.168.1.5")], ..element("EchoPool", 1) };
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    let refused = Err(InputError::Rejected(Cause::INVALID_VALUES));
    assert_eq!(bench.hears(1, register(&foreign)), refused);
    let data = hex("00040010 0fa00001 00010008 c0a80105");
    let response = not_registered("EchoPool", 1, Cause::INVALID_VALUES, &data);
    assert_eq!(bench.said(), [to(1, response)]);

    let mut bench = configured::<S>(Profile::Rsplib, |config| config.observed_address = true);
    bench.up(1, &["10.0.0.1"]);
    assert_eq!(bench.hears(1, register(&foreign)), Ok(()));
    bench.said();
    bench.hears(1, resolve("EchoPool", Some(1))).unwrap();
    let observed = Element { addresses: vec![ip("10.0.0.1")], ..foreign };
    assert_eq!(bench.said(), [to(1, resolved(RR, &[observed]))]);
}

fn an_observed_address_changes_nothing_else<S: Roomy>() {
    let addresses = vec![ip("192.168.1.5")];
    let foreign = Element { addresses, protocol: Protocol::Tcp, ..element("EchoPool", 1) };
    // RSPLIB tells the use of a TCP transport in the field that the RFC reserves.
    let mut message = register(&foreign);
    let [plain, used] = ["00050010 0fa00000", "00050010 0fa00001"].map(hex);
    let place = message.windows(8).position(|bytes| bytes == plain).unwrap();
    message[place..place + 8].copy_from_slice(&used);
    let mut bench = configured::<S>(Profile::Rsplib, |config| config.observed_address = true);
    bench.up(1, &["10.0.0.1"]);
    assert_eq!(bench.hears(1, message), Ok(()));
    bench.said();
    bench.hears(1, resolve("EchoPool", Some(1))).unwrap();
    let said = bench.said();
    let [Said::Message(1, answer)] = &said[..] else { panic!("{said:?}") };
    let kept = hex("00050010 0fa00001 00010008 0a000001");
    assert!(answer.windows(16).any(|bytes| bytes == kept), "{said:?}");
}

fn loopback_is_for_loopback<S: Roomy>() {
    let local = Element { addresses: vec![ip("127.0.0.1")], ..element("EchoPool", 1) };
    let mut bench = rsplib::<S>();
    bench.up(1, &["127.0.0.1"]);
    bench.up(2, &["10.0.0.2", "127.0.0.1"]);
    assert_eq!(bench.hears(1, register(&local)), Ok(()));
    let local = Element { pe_id: 2, ..local };
    let refused = Err(InputError::Rejected(Cause::INVALID_VALUES));
    assert_eq!(bench.hears(2, register(&local)), refused);
}

fn a_full_storage_lacks_resources<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.elements_per_association_max = 10_000;
        config.registration_rate = RateLimit::UNLIMITED;
    });
    bench.up(1, &["10.0.0.1"]);
    let mut accepted = 0;
    let limited = loop {
        let own = Element { addresses: vec![ip("10.0.0.1")], ..element("P", 1) };
        match bench.hears(1, register(&Element { pe_id: accepted + 1, ..own })) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        bench.said();
        assert!(accepted <= 1_200);
    };
    assert_eq!(accepted, 1_200);
    assert_eq!(limited, InputError::Limited(Limit::Elements));
    let response = not_registered("P", 1_201, Cause::LACK_OF_RESOURCES, &[]);
    assert_eq!(bench.said(), [to(1, response)]);
    // A place that becomes free is used again.
    bench.hears(1, deregister("P", 600)).unwrap();
    bench.said();
    let last = Element { addresses: vec![ip("10.0.0.1")], ..element("P", 1_201) };
    assert_eq!(bench.hears(1, register(&last)), Ok(()));
}

fn an_association_may_register_so_many<S: Roomy>() {
    let mut bench =
        configured::<S>(Profile::Rsplib, |config| config.elements_per_association_max = 2);
    bench.up(1, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    bench.registers(1, "EchoPool", 1, RR);
    bench.registers(1, "PingPool", 2, RR);
    let third = element("EchoPool", 3);
    let limited = Err(InputError::Limited(Limit::ElementsPerAssociation));
    assert_eq!(bench.hears(1, register(&third)), limited);
    let response = not_registered("EchoPool", 3, Cause::LACK_OF_RESOURCES, &[]);
    assert_eq!(bench.said(), [to(1, response)]);
    // Known ones may register again, and one that goes makes room.
    bench.registers(1, "EchoPool", 1, RR);
    bench.hears(1, deregister("PingPool", 2)).unwrap();
    bench.said();
    bench.registers(1, "EchoPool", 3, RR);
}

// Identifiers that another association holds.

fn by_rsplib_the_element_moves<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.1"]);
    bench.registers(2, "EchoPool", 1, RR);
    bench.down(1, DownReason::Lost);
    assert_eq!(bench.elements(), [1]);
    bench.told();
    bench.down(2, DownReason::Lost);
    let reason = RemovalReason::AssociationDown(DownReason::Lost);
    let pool = handle("EchoPool").to_buf();
    let expected = [removed("EchoPool", 1, reason), Event::PoolRemoved { pool }];
    assert_eq!(bench.told(), expected);
}

fn by_the_rfc_a_living_holder_keeps_its_identifier<S: Roomy>() {
    let mut bench = rfc::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.1"]);
    let newcomer = register(&element("EchoPool", 1));
    assert_eq!(bench.hears(2, &newcomer), Ok(()));
    assert_eq!(bench.said(), [to(1, keep_alive("EchoPool", 1))]);
    // Once more changes nothing; a third one loses at once.
    assert_eq!(bench.hears(2, &newcomer), Ok(()));
    assert_eq!(bench.said(), []);
    bench.up(3, &["10.0.0.1"]);
    let refused = Err(InputError::Rejected(Cause::NON_UNIQUE_PE_IDENTIFIER));
    assert_eq!(bench.hears(3, &newcomer), refused);
    let response = not_registered("EchoPool", 1, Cause::NON_UNIQUE_PE_IDENTIFIER, &[]);
    assert_eq!(bench.said(), [to(3, response.clone())]);
    // Only the holder can answer for itself.
    bench.hears(2, alive("EchoPool", 1)).unwrap();
    assert_eq!(bench.said(), []);
    bench.sleep_ms(1_999);
    bench.hears(1, alive("EchoPool", 1)).unwrap();
    assert_eq!(bench.said(), [to(2, response)]);
    bench.sleep_ms(10_000);
    assert_eq!(bench.elements(), [1]);
}

fn by_the_rfc_a_dead_holder_is_superseded<S: Roomy>() {
    let mut bench = rfc::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.1"]);
    bench.hears(2, register(&element("EchoPool", 1))).unwrap();
    bench.said();
    bench.told();
    bench.sleep_ms(1_999);
    assert_eq!(bench.said(), []);
    bench.sleep_ms(1);
    assert_eq!(bench.said(), [to(2, registered("EchoPool", 1)), Said::Abort(1)]);
    let told = bench.told();
    assert!(told.contains(&removed("EchoPool", 1, RemovalReason::Superseded)), "{told:?}");
    bench.down(1, DownReason::Aborted);
    assert_eq!(bench.elements(), [1]);
}

fn newcomers_cannot_flood_a_holder_with_keep_alives<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rfc, |config| {
        config.registration_rate = RateLimit::UNLIMITED;
    });
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.1"]);
    let (mut asked, mut refused) = (0, 0);
    // Ten seconds of a newcomer each 10 ms.
    for _ in 0..1_000 {
        let _ = bench.hears(2, register(&element("EchoPool", 1)));
        for said in bench.said() {
            if said == to(1, keep_alive("EchoPool", 1)) {
                bench.hears(1, alive("EchoPool", 1)).unwrap();
                asked += 1;
            } else {
                refused += 1;
            }
        }
        bench.sleep_ms(10);
    }
    assert!((9..=11).contains(&asked), "{asked}");
    refused += bench.said().len();
    assert!((9..=11).contains(&refused), "{refused}");
    assert_eq!(bench.elements(), [1]);
}

fn whoever_comes_between_must_be_challenged_too<S: Roomy>() {
    let mut bench = rfc::<S>();
    joins(&mut bench, 1);
    for id in [2, 3] {
        bench.up(id, &["10.0.0.1"]);
    }
    let newcomer = register(&element("EchoPool", 1));
    bench.hears(2, &newcomer).unwrap();
    bench.said();
    // The holder goes, and before the newcomer is let in another one is.
    bench.down(1, DownReason::Shutdown);
    bench.hears(3, &newcomer).unwrap();
    assert_eq!(bench.said(), [to(3, registered("EchoPool", 1))]);
    bench.sleep_ms(0);
    assert_eq!(bench.said(), [to(3, keep_alive("EchoPool", 1))]);
    bench.hears(3, alive("EchoPool", 1)).unwrap();
    let response = not_registered("EchoPool", 1, Cause::NON_UNIQUE_PE_IDENTIFIER, &[]);
    assert_eq!(bench.said(), [to(2, response)]);
}

fn a_challenge_ends_with_either_party<S: Roomy>() {
    let mut bench = rfc::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.1"]);
    bench.hears(2, register(&element("EchoPool", 1))).unwrap();
    bench.said();
    // The holder goes: the newcomer is in at once.
    bench.down(1, DownReason::Shutdown);
    bench.sleep_ms(0);
    assert_eq!(bench.said(), [to(2, registered("EchoPool", 1))]);
    // The newcomer goes: nothing comes of it.
    bench.up(3, &["10.0.0.1"]);
    bench.hears(3, register(&element("EchoPool", 1))).unwrap();
    assert_eq!(bench.said(), [to(2, keep_alive("EchoPool", 1))]);
    bench.down(3, DownReason::Shutdown);
    bench.hears(2, alive("EchoPool", 1)).unwrap();
    bench.sleep_ms(5_000);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.elements(), [1]);
}

fn challenges_are_bounded<S: Roomy>() {
    let mut bench = rfc::<S>();
    let count = 64;
    bench.up(1, &["10.0.0.1"]);
    for pe_id in 1..=count + 1 {
        let own = Element { addresses: vec![ip("10.0.0.1")], ..element("P", pe_id) };
        bench.hears(1, register(&own)).unwrap();
    }
    bench.up(2, &["10.0.0.1"]);
    bench.said();
    let own = Element { addresses: vec![ip("10.0.0.1")], ..element("P", 1) };
    for pe_id in 1..=count {
        bench.hears(2, register(&Element { pe_id, ..own.clone() })).unwrap();
    }
    bench.said();
    let limited = Err(InputError::Limited(Limit::Challenges));
    let pe_id = count + 1;
    assert_eq!(bench.hears(2, register(&Element { pe_id, ..own })), limited);
    let response = not_registered("P", pe_id, Cause::LACK_OF_RESOURCES, &[]);
    assert_eq!(bench.said(), [to(2, response)]);
}

// Deregistration, RFC 5352 §3.2.

fn deregistration_removes_and_is_granted_for_the_unknown<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.told();
    for _ in 0..2 {
        bench.hears(1, deregister("EchoPool", 1)).unwrap();
        assert_eq!(bench.said(), [to(1, deregistered("EchoPool", 1, None))]);
    }
    let pool = handle("EchoPool").to_buf();
    let expected =
        [removed("EchoPool", 1, RemovalReason::Deregistered), Event::PoolRemoved { pool }];
    assert_eq!(bench.told(), expected);
    assert_eq!(bench.registrar.poll_timeout(), None);
}

fn only_its_own_host_deregisters_an_element<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.66"]);
    bench.up(3, &["10.0.0.1"]);
    let refused = Err(InputError::Rejected(Cause::SECURITY));
    assert_eq!(bench.hears(2, deregister("EchoPool", 1)), refused);
    assert_eq!(bench.said(), [to(2, deregistered("EchoPool", 1, Some(Cause::SECURITY)))]);
    assert_eq!(bench.hears(3, deregister("EchoPool", 1)), Ok(()));
    assert_eq!(bench.elements(), []);

    let mut bench =
        configured::<S>(Profile::Rsplib, |config| config.foreign_deregistration = true);
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.66"]);
    assert_eq!(bench.hears(2, deregister("EchoPool", 1)), Ok(()));
    assert_eq!(bench.elements(), []);
}

// Transports.

fn other_protocols_register_too<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1", "fd77::21"]);
    for (pool, protocol) in [("T", Protocol::Tcp), ("U", Protocol::Udp), ("L", Protocol::UdpLite)]
    {
        let transport_use = TransportUse::Data;
        let element = Element { protocol, transport_use, ..element(pool, 1) };
        assert_eq!(bench.hears(1, register(&element)), Ok(()));
        assert_eq!(bench.said(), [to(1, registered(pool, 1))]);
        bench.hears(1, resolve(pool, Some(1))).unwrap();
        assert_eq!(bench.said(), [to(1, resolved(RR, &[element]))]);
    }
    // dual-stack: both addresses of one SCTP transport are kept.
    let addresses = vec![ip("10.0.0.1"), ip("fd77::21")];
    let dual = Element { addresses, ..element("Dual", 1) };
    bench.hears(1, register(&dual)).unwrap();
    bench.said();
    bench.hears(1, resolve("Dual", Some(1))).unwrap();
    assert_eq!(bench.said(), [to(1, resolved(RR, &[dual]))]);
}

fn an_opaque_transport_is_repeated_as_it_is<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    let registration = hex("01000030 00090008 504f4f4c 000a0024 00000001 00000000 00000064
        00100009 0102030405 000000 00080008 00000001");
    assert_eq!(bench.hears(1, registration), Ok(()));
    bench.said();
    bench.hears(1, resolve("POOL", Some(1))).unwrap();
    let response = hex("06000038 00090008 504f4f4c 00080008 00000001 000a0024 00000001 11111111
        00000064 00100009 0102030405 000000 00080008 00000001");
    assert_eq!(bench.said(), [to(1, response)]);
}

fn the_asap_transport_is_the_associations_whatever_is_registered<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1", "10.0.1.1"]);
    let mut registration = register(&element("POOL", 1));
    // An ASAP transport of another host: 16 bytes more in message and parameter.
    registration.extend(hex("00040010 1f900000 00010008 c0000201"));
    registration[3] += 16;
    registration[15] += 16;
    assert_eq!(bench.hears(1, registration), Ok(()));
    let index = bench.registrar.handlespace().find(handle("POOL"), PeId(1)).unwrap();
    let asap = bench.registrar.handlespace().element(index).asap_transport().unwrap();
    assert_eq!(asap.port(), 30_000);
    assert_eq!(asap.addresses().collect::<Vec<_>>(), [ip("10.0.0.1"), ip("10.0.1.1")]);
}
