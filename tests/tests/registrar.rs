//! What a registrar says to what it hears: each rule, each error cause and each limit, on each
//! storage.

use std::time::Duration;

use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::association::{AssociationId, DownReason, Input, Ppid, StreamId};
use rserpool_core::enrp::{
    Config, Event, InputError, KnownIdentifier, Limit, RateLimit, RemovalReason,
};
use rserpool_core::handlespace::slots::{Slots, SlotsMut};
use rserpool_core::handlespace::{Inline, Storage};
use rserpool_core::identifier::PeId;
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::wire::{Cause, Load, Policy, Protocol, TransportUse};
use rserpool_tests::registrar::*;

const RR: Policy = Policy::RoundRobin;

/// A storage with room for 1,200 elements and 64 pools.
trait Roomy: Storage {
    fn roomy() -> Self;
}

/// Arrays, as boards have them; boxed because of the test threads' stacks.
struct Array(Box<Inline<1_200, 64, 2, 64>>);

impl Roomy for Array {
    fn roomy() -> Self {
        Self(Box::default())
    }
}

impl Storage for Array {
    fn slots(&self) -> Slots<'_> {
        self.0.slots()
    }

    fn slots_mut(&mut self) -> SlotsMut<'_> {
        self.0.slots_mut()
    }
}

impl Roomy for HeapStorage {
    fn roomy() -> Self {
        Self::new(HeapLimits::for_elements(1_200))
    }
}

fn rfc<S: Roomy>() -> Bench<S> {
    Bench::new(Config::new(Profile::Rfc), S::roomy())
}

fn rsplib<S: Roomy>() -> Bench<S> {
    Bench::new(Config::new(Profile::Rsplib), S::roomy())
}

fn configured<S: Roomy>(profile: Profile, set: impl FnOnce(&mut Config)) -> Bench<S> {
    let mut config = Config::new(profile);
    set(&mut config);
    Bench::new(config, S::roomy())
}

/// An element of EchoPool registers on an association of its own, number and identifier alike.
fn joins<S: Storage>(bench: &mut Bench<S>, id: u32) {
    bench.up(id, &[&address_of(id)]);
    bench.registers(id, "EchoPool", id, RR);
}

fn to(id: u32, bytes: Vec<u8>) -> Said {
    Said::Message(id, bytes)
}

fn removed(pool: &str, pe_id: u32, reason: RemovalReason) -> Event {
    Event::ElementRemoved { pool: handle(pool).to_buf(), element: PeId(pe_id), reason }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

mod bodies {
    use super::*;

    // Registration, RFC 5352 §3.1.

    pub(super) fn the_first_element_makes_the_pool<S: Roomy>() {
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

    pub(super) fn a_known_element_is_updated<S: Roomy>() {
        let mut bench = rsplib::<S>();
        let weighted = |weight| Policy::WeightedRoundRobin { weight };
        bench.up(1, &["10.0.0.1"]);
        bench.registers(1, "EchoPool", 1, weighted(2));
        bench.told();
        bench.registers(1, "EchoPool", 1, weighted(9));
        let (pool, element) = (handle("EchoPool").to_buf(), PeId(1));
        let association = AssociationId(1);
        assert_eq!(bench.told(), [Event::ElementUpdated { pool, element, association }]);
        bench.hears(1, resolve("EchoPool", None)).unwrap();
        let updated = Element { policy: weighted(9), ..super::element("EchoPool", 1) };
        assert_eq!(bench.said(), [to(1, resolved(weighted(9), &[updated]))]);
    }

    pub(super) fn the_pools_attributes_bind_its_elements<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        bench.up(2, &["10.0.0.2"]);
        let other = super::element("EchoPool", 2);
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
        let changed = Element { policy: Policy::Random, ..super::element("EchoPool", 1) };
        let cause = Cause::INCONSISTENT_POOL_POLICY;
        assert_eq!(bench.hears(1, register(&changed)), Err(InputError::Rejected(cause)));
        assert_eq!(bench.registrar.counters().registrations_rejected, 4);
    }

    pub(super) fn invalid_values_are_rejected_with_the_parameter<S: Roomy>() {
        let mut bench = rfc::<S>();
        bench.up(1, &["10.0.0.1"]);
        let good = super::element("EchoPool", 1);
        for bad in [
            Element { pe_id: 0, ..good.clone() },
            Element { port: 0, ..good.clone() },
            Element { life: 0, ..good.clone() },
        ] {
            let refused = Err(InputError::Rejected(Cause::INVALID_VALUES));
            assert_eq!(bench.hears(1, register(&bad)), refused);
            let parameter = register(&bad)[16..].to_vec();
            let response =
                not_registered("EchoPool", bad.pe_id, Cause::INVALID_VALUES, &parameter);
            assert_eq!(bench.said(), [to(1, response)]);
        }
        assert_eq!(bench.registrar.handlespace().element_count(), 0);
    }

    pub(super) fn foreign_addresses_are_cut<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.0.0.1", "10.0.1.1"]);
        let addresses = vec![ip("192.0.2.1"), ip("10.0.1.1"), ip("127.0.0.1")];
        let cut = Element { addresses, ..super::element("EchoPool", 1) };
        bench.hears(1, register(&cut)).unwrap();
        bench.said();
        bench.hears(1, resolve("EchoPool", Some(1))).unwrap();
        let kept = Element { addresses: vec![ip("10.0.1.1")], ..cut };
        assert_eq!(bench.said(), [to(1, resolved(RR, &[kept]))]);
    }

    pub(super) fn no_own_address_is_rejected_unless_observed<S: Roomy>() {
        let foreign =
            Element { addresses: vec![ip("192.168.1.5")], ..super::element("EchoPool", 1) };
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

    pub(super) fn loopback_is_for_loopback<S: Roomy>() {
        let local = Element { addresses: vec![ip("127.0.0.1")], ..super::element("EchoPool", 1) };
        let mut bench = rsplib::<S>();
        bench.up(1, &["127.0.0.1"]);
        bench.up(2, &["10.0.0.2", "127.0.0.1"]);
        assert_eq!(bench.hears(1, register(&local)), Ok(()));
        let local = Element { pe_id: 2, ..local };
        let refused = Err(InputError::Rejected(Cause::INVALID_VALUES));
        assert_eq!(bench.hears(2, register(&local)), refused);
    }

    pub(super) fn a_full_storage_lacks_resources<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.elements_per_association_max = 10_000;
            config.registration_rate = RateLimit::UNLIMITED;
        });
        bench.up(1, &["10.0.0.1"]);
        let mut accepted = 0;
        let limited = loop {
            let own = Element { addresses: vec![ip("10.0.0.1")], ..super::element("P", 1) };
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
        let last = Element { addresses: vec![ip("10.0.0.1")], ..super::element("P", 1_201) };
        assert_eq!(bench.hears(1, register(&last)), Ok(()));
    }

    pub(super) fn an_association_may_register_so_many<S: Roomy>() {
        let mut bench =
            configured::<S>(Profile::Rsplib, |config| config.elements_per_association_max = 2);
        bench.up(1, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        bench.registers(1, "EchoPool", 1, RR);
        bench.registers(1, "PingPool", 2, RR);
        let third = super::element("EchoPool", 3);
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

    pub(super) fn by_rsplib_the_element_moves<S: Roomy>() {
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

    pub(super) fn by_the_rfc_a_living_holder_keeps_its_identifier<S: Roomy>() {
        let mut bench = rfc::<S>();
        joins(&mut bench, 1);
        bench.up(2, &["10.0.0.1"]);
        let newcomer = register(&super::element("EchoPool", 1));
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

    pub(super) fn by_the_rfc_a_dead_holder_is_superseded<S: Roomy>() {
        let mut bench = rfc::<S>();
        joins(&mut bench, 1);
        bench.up(2, &["10.0.0.1"]);
        bench.hears(2, register(&super::element("EchoPool", 1))).unwrap();
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

    pub(super) fn a_challenge_ends_with_either_party<S: Roomy>() {
        let mut bench = rfc::<S>();
        joins(&mut bench, 1);
        bench.up(2, &["10.0.0.1"]);
        bench.hears(2, register(&super::element("EchoPool", 1))).unwrap();
        bench.said();
        // The holder goes: the newcomer is in at once.
        bench.down(1, DownReason::Shutdown);
        bench.sleep_ms(0);
        assert_eq!(bench.said(), [to(2, registered("EchoPool", 1))]);
        // The newcomer goes: nothing comes of it.
        bench.up(3, &["10.0.0.1"]);
        bench.hears(3, register(&super::element("EchoPool", 1))).unwrap();
        assert_eq!(bench.said(), [to(2, keep_alive("EchoPool", 1))]);
        bench.down(3, DownReason::Shutdown);
        bench.hears(2, alive("EchoPool", 1)).unwrap();
        bench.sleep_ms(5_000);
        assert_eq!(bench.said(), []);
        assert_eq!(bench.elements(), [1]);
    }

    pub(super) fn challenges_are_bounded<S: Roomy>() {
        let mut bench = rfc::<S>();
        let count = 64;
        bench.up(1, &["10.0.0.1"]);
        for pe_id in 1..=count + 1 {
            let own = Element { addresses: vec![ip("10.0.0.1")], ..super::element("P", pe_id) };
            bench.hears(1, register(&own)).unwrap();
        }
        bench.up(2, &["10.0.0.1"]);
        bench.said();
        let own = Element { addresses: vec![ip("10.0.0.1")], ..super::element("P", 1) };
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

    pub(super) fn deregistration_removes_and_is_granted_for_the_unknown<S: Roomy>() {
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

    pub(super) fn only_its_own_host_deregisters_an_element<S: Roomy>() {
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

    // Handle resolution, RFC 5352 §3.3.

    pub(super) fn as_many_as_asked_for_and_three_by_default<S: Roomy>() {
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

    pub(super) fn no_response_lists_more_than_128<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.elements_per_association_max = 200;
            config.handle_resolution_items = u32::MAX;
        });
        bench.up(1, &["10.0.0.1"]);
        for pe_id in 1..=130 {
            let own = Element { addresses: vec![ip("10.0.0.1")], ..super::element("P", pe_id) };
            bench.hears(1, register(&own)).unwrap();
        }
        bench.said();
        assert_eq!(bench.resolves(1, "P", Some(u32::MAX)).len(), 128);
        assert_eq!(bench.resolves(1, "P", None).len(), 128);
    }

    pub(super) fn a_small_buffer_lists_fewer<S: Roomy>() {
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

    pub(super) fn an_unknown_pool_is_named_as_such<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.77.0.31"]);
        // hres-unknown-pool frame 9.
        bench.hears(1, resolve("NoSuchPool", Some(1))).unwrap();
        let response = hex("0600001c 0009000e 4e6f53756368506f6f6c 0000 000c0008 00090004");
        assert_eq!(bench.said(), [to(1, response)]);
        let (association, cause) = (AssociationId(1), Cause::UNKNOWN_POOL_HANDLE);
        assert_eq!(bench.told(), [Event::Rejected { association, cause }]);
    }

    pub(super) fn a_pool_of_weight_zero_lacks_resources<S: Roomy>() {
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

    pub(super) fn each_pool_has_its_policy<S: Roomy>() {
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

    // The ends of associations.

    pub(super) fn what_an_association_registered_goes_with_it<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.0.0.1", "10.0.0.2"]);
        bench.registers(1, "EchoPool", 1, RR);
        bench.registers(1, "PingPool", 2, RR);
        joins(&mut bench, 3);
        bench.told();
        bench.down(1, DownReason::Aborted);
        let reason = RemovalReason::AssociationDown(DownReason::Aborted);
        let pool = handle("PingPool").to_buf();
        let expected = [
            removed("EchoPool", 1, reason),
            removed("PingPool", 2, reason),
            Event::PoolRemoved { pool },
        ];
        assert_eq!(bench.told(), expected);
        assert_eq!(bench.elements(), [3]);
        assert_eq!(bench.hears(1, resolve("EchoPool", None)), Err(InputError::UnknownAssociation));
    }

    pub(super) fn a_restarted_peer_has_lost_its_elements<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        bench.told();
        bench.input(Input::Restarted { association: AssociationId(1) }).unwrap();
        assert!(bench.told().contains(&removed("EchoPool", 1, RemovalReason::Restarted)));
        bench.registers(1, "EchoPool", 1, RR);
    }

    pub(super) fn more_associations_than_room_are_aborted<S: Roomy>() {
        let mut bench = rsplib::<S>();
        for id in 0..1_200 {
            bench.up(id, &["10.0.0.1"]);
        }
        let up = Input::Up {
            association: AssociationId(5_000),
            connect: None,
            peer_addresses: &[],
            peer_port: 1,
        };
        assert_eq!(bench.input(up), Err(InputError::Limited(Limit::Associations)));
        assert_eq!(bench.said(), [Said::Abort(5_000)]);
        bench.down(17, DownReason::Shutdown);
        bench.up(5_001, &["10.0.0.1"]);
        let up = Input::Up {
            association: AssociationId(5_001),
            connect: None,
            peer_addresses: &[],
            peer_port: 1,
        };
        assert_eq!(bench.input(up), Err(InputError::KnownAssociation));
    }

    pub(super) fn stopping_shuts_down_and_takes_nothing<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        joins(&mut bench, 2);
        bench.told();
        bench.registrar.stop();
        bench.drain();
        assert_eq!(bench.said(), [Said::Shutdown(1), Said::Shutdown(2)]);
        assert_eq!(bench.hears(1, resolve("EchoPool", None)), Err(InputError::UnknownAssociation));
        let up = Input::Up {
            association: AssociationId(3),
            connect: None,
            peer_addresses: &[ip("10.0.0.3")],
            peer_port: 1,
        };
        assert_eq!(bench.input(up), Err(InputError::Stopped));
        assert_eq!(bench.said(), [Said::Abort(3)]);
        bench.down(1, DownReason::Shutdown);
        assert!(!bench.registrar.is_stopped());
        bench.down(2, DownReason::Shutdown);
        assert_eq!(bench.told().last(), Some(&Event::Stopped));
        assert!(bench.registrar.is_stopped());
        assert_eq!(bench.registrar.handlespace().element_count(), 0);
    }

    // Keep-alives, RFC 5352 §3.4 and §3.5.

    pub(super) fn keep_alives_go_on_while_they_are_answered<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        let mut count = 0;
        for _ in 0..6_000 {
            bench.sleep_ms(10);
            for said in bench.said() {
                assert_eq!(said, to(1, keep_alive("EchoPool", 1)));
                bench.hears(1, alive("EchoPool", 1)).unwrap();
                count += 1;
            }
        }
        // One minute, 5 s apart on average and between 2.5 s and 7.5 s each.
        assert!((8..=24).contains(&count), "{count}");
        assert_eq!(bench.registrar.counters().keep_alive_acks, count);
        assert_eq!(bench.elements(), [1]);
    }

    pub(super) fn a_silent_element_is_aborted_and_removed<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.0.0.1", "10.0.0.2"]);
        bench.registers(1, "EchoPool", 1, RR);
        bench.registers(1, "PingPool", 2, RR);
        bench.told();
        let mut waited = 0;
        while bench.said().is_empty() {
            bench.sleep_ms(1);
            waited += 1;
        }
        assert!((2_500..=7_500).contains(&waited), "{waited}");
        bench.sleep_ms(4_999);
        assert!(!bench.said().contains(&Said::Abort(1)));
        bench.sleep_ms(1);
        assert_eq!(bench.said(), [Said::Abort(1)]);
        assert_eq!(bench.elements(), []);
        let reasons: Vec<_> = bench
            .told()
            .into_iter()
            .filter_map(|event| match event {
                Event::ElementRemoved { reason, .. } => Some(reason),
                _ => None,
            })
            .collect();
        let expected = [RemovalReason::KeepAliveTimeout, RemovalReason::AssociationAborted];
        assert_eq!(reasons, expected);
        bench.down(1, DownReason::Aborted);
        assert_eq!(bench.registrar.association_count(), 0);
    }

    pub(super) fn a_registration_is_a_sign_of_life<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        for _ in 0..50 {
            bench.sleep_ms(2_400);
            assert_eq!(bench.said(), [], "no keep-alive comes within half an interval");
            bench.registers(1, "EchoPool", 1, RR);
        }
        while bench.said().is_empty() {
            bench.sleep_ms(10);
        }
        // Unanswered, but the element registers again.
        bench.sleep_ms(4_000);
        bench.registers(1, "EchoPool", 1, RR);
        bench.sleep_ms(2_400);
        assert_eq!(bench.elements(), [1]);
        assert_eq!(bench.said(), []);
    }

    pub(super) fn a_thousand_elements_do_not_answer_in_one_burst<S: Roomy>() {
        let mut bench = rsplib::<S>();
        for id in 1..=1_000 {
            bench.up(id, &["10.0.0.1"]);
            let own = Element { addresses: vec![ip("10.0.0.1")], ..super::element("P", id) };
            bench.hears(id, register(&own)).unwrap();
        }
        bench.said();
        // Keep-alives in each tenth of a second; all elements registered at the same instant.
        let mut histogram = [0_usize; 600];
        for slot in &mut histogram {
            for _ in 0..10 {
                bench.sleep_ms(10);
                for said in bench.said() {
                    let Said::Message(id, message) = said else { panic!("{said:?}") };
                    assert_eq!(message, keep_alive("P", id));
                    bench.hears(id, alive("P", id)).unwrap();
                    *slot += 1;
                }
            }
        }
        assert!(histogram[..24].iter().all(|&count| count == 0), "{histogram:?}");
        // 1,000 in 5 s are 20 in a tenth of a second; four times that never happens.
        assert!(histogram.iter().all(|&count| count < 50), "{histogram:?}");
        assert!(histogram[100..].iter().all(|&count| count > 3), "{histogram:?}");
        assert_eq!(bench.registrar.handlespace().element_count(), 1_000);
    }

    pub(super) fn no_interval_no_keep_alives<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.keep_alive_interval = Duration::ZERO;
        });
        joins(&mut bench, 1);
        bench.sleep(Duration::from_secs(100_000));
        assert_eq!(bench.said(), []);
        assert_eq!(bench.elements(), [1]);
    }

    // Unreachable reports, RFC 5352 §3.5.

    pub(super) fn a_report_probes_at_once<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        bench.up(2, &["10.0.0.2"]);
        bench.told();
        assert_eq!(bench.hears(2, unreachable("EchoPool", 1)), Ok(()));
        assert_eq!(bench.said(), [to(1, keep_alive("EchoPool", 1))]);
        bench.hears(2, unreachable("EchoPool", 1)).unwrap();
        assert_eq!(bench.said(), [], "one probe is under way already");
        bench.sleep_ms(5_000);
        assert_eq!(bench.said(), [Said::Abort(1)]);
        let told = bench.told();
        assert!(told.contains(&removed("EchoPool", 1, RemovalReason::Unreachable)), "{told:?}");
    }

    pub(super) fn a_living_element_is_not_flooded_with_probes<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.unreachable_rate = RateLimit::UNLIMITED;
        });
        joins(&mut bench, 1);
        bench.up(2, &["10.0.0.2"]);
        let mut probes = 0;
        // Ten seconds of a report each 10 ms.
        for _ in 0..1_000 {
            bench.hears(2, unreachable("EchoPool", 1)).unwrap();
            for said in bench.said() {
                assert_eq!(said, to(1, keep_alive("EchoPool", 1)));
                bench.hears(1, alive("EchoPool", 1)).unwrap();
                probes += 1;
            }
            bench.sleep_ms(10);
        }
        assert!((9..=11).contains(&probes), "{probes}");
        assert_eq!(bench.elements(), [1], "and one reporter counts once");
    }

    pub(super) fn more_distinct_reporters_than_the_threshold_remove<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        joins(&mut bench, 2);
        bench.told();
        for id in 11..=14 {
            bench.up(id, &[&address_of(id)]);
        }
        for id in [11, 12, 11, 13, 12] {
            bench.hears(id, unreachable("EchoPool", 1)).unwrap();
            bench.hears(1, alive("EchoPool", 1)).unwrap();
        }
        // A new association of the same host is no new reporter.
        bench.up(15, &[&address_of(11)]);
        bench.hears(15, unreachable("EchoPool", 1)).unwrap();
        assert_eq!(bench.elements(), [1, 2]);
        bench.hears(14, unreachable("EchoPool", 1)).unwrap();
        assert_eq!(bench.elements(), [2]);
        assert_eq!(bench.told(), [removed("EchoPool", 1, RemovalReason::BadReports)]);
        // Its association stays: it can register again, and then counts as new.
        bench.said();
        bench.registers(1, "EchoPool", 1, RR);
        for id in 11..=13 {
            bench.hears(id, unreachable("EchoPool", 1)).unwrap();
        }
        assert_eq!(bench.elements(), [1, 2]);
    }

    pub(super) fn registering_again_forgets_reports<S: Roomy>() {
        let mut bench = rsplib::<S>();
        joins(&mut bench, 1);
        for id in 11..=14 {
            bench.up(id, &[&address_of(id)]);
        }
        for _ in 0..3 {
            for id in 11..=13 {
                bench.hears(id, unreachable("EchoPool", 1)).unwrap();
            }
            bench.said();
            bench.registers(1, "EchoPool", 1, RR);
        }
        bench.hears(14, unreachable("EchoPool", 1)).unwrap();
        assert_eq!(bench.elements(), [1]);
    }

    pub(super) fn one_user_cannot_empty_a_pool<S: Roomy>() {
        let mut bench = rsplib::<S>();
        for id in 1..=20 {
            joins(&mut bench, id);
        }
        bench.up(99, &["10.0.0.99"]);
        for _ in 0..200 {
            for pe_id in 1..=20 {
                let _ = bench.hears(99, unreachable("EchoPool", pe_id));
                for said in bench.said() {
                    let Said::Message(id, _) = said else { panic!("{said:?}") };
                    bench.hears(id, alive("EchoPool", id)).unwrap();
                }
            }
            bench.sleep_ms(100);
            for said in bench.said() {
                let Said::Message(id, _) = said else { panic!("{said:?}") };
                bench.hears(id, alive("EchoPool", id)).unwrap();
            }
        }
        assert_eq!(bench.elements().len(), 20);
    }

    pub(super) fn reports_are_bounded_and_still_probe<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.unreachable_rate = RateLimit::UNLIMITED;
            config.reports_per_reporter_max = 2;
        });
        for id in 1..=3 {
            joins(&mut bench, id);
        }
        bench.up(9, &["10.0.0.9"]);
        for pe_id in 1..=2 {
            assert_eq!(bench.hears(9, unreachable("EchoPool", pe_id)), Ok(()));
        }
        bench.said();
        let limited = Err(InputError::Limited(Limit::Reports));
        assert_eq!(bench.hears(9, unreachable("EchoPool", 3)), limited);
        assert_eq!(bench.said(), [to(3, keep_alive("EchoPool", 3))]);
    }

    pub(super) fn reports_of_the_unknown_are_ignored<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.0.0.1"]);
        assert_eq!(bench.hears(1, unreachable("EchoPool", 1)), Ok(()));
        assert_eq!(bench.hears(1, alive("EchoPool", 1)), Ok(()));
        assert_eq!((bench.said(), bench.told()), (vec![], vec![]));
    }

    // Expiry, RFC 5352 §3.2.

    pub(super) fn by_the_rfc_registrations_expire_after_seconds<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rfc, |config| {
            config.keep_alive_interval = Duration::ZERO;
        });
        bench.up(1, &["10.0.0.1", "10.0.0.2"]);
        let short = Element { life: 60, ..super::element("EchoPool", 1) };
        let for_ever = Element { life: u32::MAX, ..super::element("EchoPool", 2) };
        bench.hears(1, register(&short)).unwrap();
        bench.hears(1, register(&for_ever)).unwrap();
        bench.sleep_ms(40_000);
        bench.hears(1, register(&short)).unwrap();
        bench.sleep_ms(59_999);
        bench.said();
        bench.told();
        bench.sleep_ms(1);
        assert_eq!(bench.said(), [to(1, deregistered("EchoPool", 1, None))]);
        assert_eq!(bench.told(), [removed("EchoPool", 1, RemovalReason::Expired)]);
        bench.sleep(Duration::from_secs(1_000_000));
        assert_eq!(bench.elements(), [2]);
    }

    pub(super) fn by_the_rfc_answered_keep_alives_do_not_prolong_a_life<S: Roomy>() {
        let mut bench = rfc::<S>();
        bench.up(1, &["10.0.0.1"]);
        let short = Element { life: 100, ..super::element("EchoPool", 1) };
        bench.hears(1, register(&short)).unwrap();
        bench.said();
        let mut keep_alives = 0;
        for second in 0..100 {
            assert_eq!(bench.elements(), [1], "after {second} s");
            bench.sleep_ms(1_000);
            for said in bench.said() {
                if said == to(1, keep_alive("EchoPool", 1)) {
                    bench.hears(1, alive("EchoPool", 1)).unwrap();
                    keep_alives += 1;
                }
            }
        }
        assert_eq!(bench.elements(), []);
        assert!((2..=6).contains(&keep_alives), "{keep_alives}");
    }

    pub(super) fn by_rsplib_own_elements_do_not_expire<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.keep_alive_interval = Duration::ZERO;
        });
        bench.up(1, &["10.0.0.1"]);
        for life in [0, 1, 90_000] {
            bench.hears(1, register(&Element { life, ..super::element("EchoPool", 1) })).unwrap();
            bench.sleep(Duration::from_secs(1_000));
            assert_eq!(bench.elements(), [1]);
        }
    }

    pub(super) fn milliseconds_expire_where_configured<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.keep_alive_interval = Duration::ZERO;
            config.expire_own_elements = true;
        });
        bench.up(1, &["10.0.0.1"]);
        let short = Element { life: 90_000, ..super::element("EchoPool", 1) };
        bench.hears(1, register(&short)).unwrap();
        bench.sleep_ms(89_999);
        assert_eq!(bench.elements(), [1]);
        bench.sleep_ms(1);
        assert_eq!(bench.elements(), []);
    }

    // What is malformed, unknown or out of place.

    pub(super) fn a_handle_of_33_bytes_is_an_invalid_value<S: Roomy>() {
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

    pub(super) fn rubbish_is_answered_by_an_error<S: Roomy>() {
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

    pub(super) fn unknown_parameters_go_by_their_top_bits<S: Roomy>() {
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
        let answer = to(1, resolved(RR, &[super::element("EchoPool", 1)]));
        bench.hears(1, resolution("80ff0008 01020304")).unwrap();
        assert_eq!(bench.said(), std::slice::from_ref(&answer));
        bench.hears(1, resolution("c0ff0007 01020300")).unwrap();
        let unknown = hex("c0ff0007 010203");
        let report = to(1, error(Cause::UNRECOGNIZED_PARAMETER, &unknown));
        assert_eq!(bench.said(), [report, answer]);
    }

    pub(super) fn unknown_messages_go_by_their_top_bits<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.0.0.1"]);
        assert_eq!(bench.hears(1, hex("20000008 01020304")), Err(InputError::Unexpected));
        assert_eq!(bench.said(), []);
        let unknown = hex("60000008 01020304");
        assert_eq!(bench.hears(1, &unknown), Err(InputError::Unexpected));
        assert_eq!(bench.said(), [to(1, error(Cause::UNRECOGNIZED_MESSAGE, &unknown))]);
    }

    pub(super) fn what_only_registrars_say_is_ignored<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.0.0.1"]);
        for message in [registered("EchoPool", 1), deregistered("EchoPool", 1, None)] {
            assert_eq!(bench.hears(1, message), Err(InputError::Unexpected));
        }
        assert_eq!(bench.hears(1, error(Cause::UNSPECIFIED, &[])), Ok(()));
        assert_eq!(bench.said(), []);
        assert_eq!(bench.registrar.counters().errors_received, 1);
    }

    pub(super) fn another_protocol_is_aborted<S: Roomy>() {
        for ppid in [Ppid::ENRP, Ppid(0), Ppid::COMPUTE] {
            let mut bench = rsplib::<S>();
            joins(&mut bench, 1);
            let data = &resolve("EchoPool", None);
            let (association, stream) = (AssociationId(1), StreamId(0));
            let input = Input::Message { association, stream, ppid, data };
            assert_eq!(bench.input(input), Err(InputError::WrongPpid));
            assert_eq!(bench.said(), [Said::Abort(1)]);
            assert_eq!(bench.elements(), []);
            assert_eq!(bench.input(input), Err(InputError::UnknownAssociation));
            bench.down(1, DownReason::Aborted);
        }
    }

    // Floods, RFC 5355 §2.2 and §2.13.

    pub(super) fn floods_of_resolutions_are_limited<S: Roomy>() {
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

    pub(super) fn floods_of_registrations_are_limited<S: Roomy>() {
        let mut bench = rsplib::<S>();
        bench.up(1, &["10.0.0.1"]);
        let burst = bench.registrar.config().registration_rate.burst;
        for _ in 0..burst {
            bench.registers(1, "EchoPool", 1, RR);
        }
        let limited = Err(InputError::Limited(Limit::RegistrationRate));
        let registration = register(&super::element("EchoPool", 1));
        assert_eq!(bench.hears(1, &registration), limited);
        let response = not_registered("EchoPool", 1, Cause::LACK_OF_RESOURCES, &[]);
        assert_eq!(bench.said(), [to(1, response)]);
        assert_eq!(bench.hears(1, deregister("EchoPool", 1)), limited);
        assert_eq!(bench.elements(), [1]);
    }

    pub(super) fn floods_of_reports_and_rubbish_are_dropped<S: Roomy>() {
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

    pub(super) fn undrained_replies_make_it_busy<S: Roomy>() {
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

    pub(super) fn known_identifier_is_a_setting_of_its_own<S: Roomy>() {
        let mut bench = configured::<S>(Profile::Rsplib, |config| {
            config.known_identifier = KnownIdentifier::Challenge;
        });
        joins(&mut bench, 1);
        bench.up(2, &["10.0.0.1"]);
        bench.hears(2, register(&super::element("EchoPool", 1))).unwrap();
        assert_eq!(bench.said(), [to(1, keep_alive("EchoPool", 1))]);
    }
}

macro_rules! on {
    ($name:ident: $storage:ty; $($body:ident)*) => {
        mod $name {
            $(#[test] fn $body() { super::bodies::$body::<$storage>(); })*
        }
    };
}

macro_rules! on_each_storage {
    ($($body:ident)*) => {
        on!(array: super::Array; $($body)*);
        on!(heap: super::HeapStorage; $($body)*);
    };
}

on_each_storage! {
    the_first_element_makes_the_pool
    a_known_element_is_updated
    the_pools_attributes_bind_its_elements
    invalid_values_are_rejected_with_the_parameter
    foreign_addresses_are_cut
    no_own_address_is_rejected_unless_observed
    loopback_is_for_loopback
    a_full_storage_lacks_resources
    an_association_may_register_so_many
    by_rsplib_the_element_moves
    by_the_rfc_a_living_holder_keeps_its_identifier
    by_the_rfc_a_dead_holder_is_superseded
    a_challenge_ends_with_either_party
    challenges_are_bounded
    deregistration_removes_and_is_granted_for_the_unknown
    only_its_own_host_deregisters_an_element
    as_many_as_asked_for_and_three_by_default
    no_response_lists_more_than_128
    a_small_buffer_lists_fewer
    an_unknown_pool_is_named_as_such
    a_pool_of_weight_zero_lacks_resources
    each_pool_has_its_policy
    what_an_association_registered_goes_with_it
    a_restarted_peer_has_lost_its_elements
    more_associations_than_room_are_aborted
    stopping_shuts_down_and_takes_nothing
    keep_alives_go_on_while_they_are_answered
    a_silent_element_is_aborted_and_removed
    a_registration_is_a_sign_of_life
    a_thousand_elements_do_not_answer_in_one_burst
    no_interval_no_keep_alives
    a_report_probes_at_once
    a_living_element_is_not_flooded_with_probes
    more_distinct_reporters_than_the_threshold_remove
    registering_again_forgets_reports
    one_user_cannot_empty_a_pool
    reports_are_bounded_and_still_probe
    reports_of_the_unknown_are_ignored
    by_the_rfc_registrations_expire_after_seconds
    by_the_rfc_answered_keep_alives_do_not_prolong_a_life
    by_rsplib_own_elements_do_not_expire
    milliseconds_expire_where_configured
    a_handle_of_33_bytes_is_an_invalid_value
    rubbish_is_answered_by_an_error
    unknown_parameters_go_by_their_top_bits
    unknown_messages_go_by_their_top_bits
    what_only_registrars_say_is_ignored
    another_protocol_is_aborted
    floods_of_resolutions_are_limited
    floods_of_registrations_are_limited
    floods_of_reports_and_rubbish_are_dropped
    undrained_replies_make_it_busy
    known_identifier_is_a_setting_of_its_own
}
