//! What each policy selects from a pool of four, with a fixed seed.

use core::net::IpAddr;

use heapless::String;
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::{Handlespace, Inline, NewElement};
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::wire::{
    Load, Policy, PoolElement, Protocol, RegistrationLife, TransportBuf, TransportUse,
};

use crate::Trace;

/// Elements a to d; `rank` 1 to 4 gives them different values.
const ELEMENTS: &[u8] = b"abcd";
const SEED: u64 = 0x5eed;

/// Twelve selections of two elements by each policy.
#[must_use]
pub fn policies() -> u64 {
    let mut trace = Trace::new();
    for (policy, expected) in SELECTIONS {
        let found = selections(*policy);
        assert_eq!(found.as_str(), *expected, "{:?}", policy(1));
        trace.bytes(found.as_bytes());
    }
    trace.digest()
}

fn selections(policy: fn(u32) -> Policy) -> String<40> {
    let pool = PoolHandle::new(b"P").expect("a handle");
    let mut space = Handlespace::new(Inline::<4, 1, 1>::new());
    for (rank, &name) in (1..).zip(ELEMENTS) {
        let address = [IpAddr::from([10, 0, 0, name])];
        let transport: TransportBuf<16> =
            TransportBuf::new(Protocol::Sctp, 7, TransportUse::Data, &address).expect("room");
        let (id, life) = (PeId(name.into()), RegistrationLife(90_000));
        let element = PoolElement::new(id, life, transport.as_transport(), policy(rank));
        let owner = RegistrarId(1);
        let new = NewElement { pool, element: &element, owner, association: None };
        space.register(&new).expect("there is room");
    }
    let mut random = SplitMix64::new(SEED);
    let mut found = String::new();
    for _ in 0..12 {
        let each = |view: &rserpool_core::handlespace::ElementView<'_>| {
            found.push(char::from(view.pe_id().0 as u8)).is_ok()
        };
        assert_eq!(space.resolve(pool, 2, &mut random, each), Ok(2));
        found.push(' ').expect("room");
    }
    space.check();
    found
}

const fn load(rank: u32) -> Load {
    Load(rank * (u32::MAX / 8))
}

/// The policy of the element of a rank.
type OfRank = fn(u32) -> Policy;

/// All policies, and what they selected when this was written.
const SELECTIONS: &[(OfRank, &str)] = &[
    (|_| Policy::RoundRobin, "ab bc cd da ab bc cd da ab bc cd da "),
    (|rank| Policy::WeightedRoundRobin { weight: rank }, "dc cb bd dc cd dc ca ab bd dc dc cb "),
    (|_| Policy::Random, "ab bc ac ab da bc ab cb da bd db db "),
    (|rank| Policy::WeightedRandom { weight: rank }, "ac cd ac ba db cb bc dc da bd db dc "),
    (|rank| Policy::Priority { priority: rank }, "dc dc dc dc dc dc dc dc dc dc dc dc "),
    (|rank| Policy::LeastUsed { load: load(rank) }, "ab ab ab ab ab ab ab ab ab ab ab ab "),
    (
        |rank| Policy::LeastUsedDegradation { load: load(rank), degradation: load(1) },
        "ab ba ac cb ba ad dc cb ba ad dc cb ",
    ),
    (
        |rank| Policy::PriorityLeastUsed { load: load(rank), degradation: load(5 - rank) },
        "ab bc cd da ab bc cd da ab bc cd da ",
    ),
    (
        |rank| Policy::RandomizedLeastUsed { load: load(rank) },
        "ab bc ab ab da ba ab cb da ad cb db ",
    ),
    (
        |rank| Policy::RandomizedPriorityLeastUsed { load: load(rank), degradation: load(1) },
        "ab ba ab ab da ba ab cb da ac cb db ",
    ),
    (
        |rank| Policy::RandomizedLeastUsedDegradation { load: load(rank), degradation: load(1) },
        "ab bc ac ab da bc ab cb da bc cb db ",
    ),
    (
        |rank| Policy::PriorityLeastUsedDegradation { load: load(rank), degradation: load(1) },
        "ab ba ac cb ba ad dc cb ba ad dc cb ",
    ),
    (
        |rank| Policy::RandomizedPriorityLeastUsedDegradation {
            load: load(rank),
            degradation: load(1),
        },
        "ab bc ac ab da bc ab cb da bc cb db ",
    ),
    (
        |rank| Policy::WeightedRandomDpf { weight: 1_000, dpf: load(1), distance: 50 * rank },
        "ab bc ac ab da bc ab cb da bd db db ",
    ),
    (
        |rank| Policy::LeastUsedDpf { load: load(rank), dpf: load(1), distance: 50 },
        "ab ab ab ab ab ab ab ab ab ab ab ab ",
    ),
    (
        |rank| Policy::LeastUsedDegradationDpf {
            load: load(rank),
            degradation: load(1),
            dpf: Load(0x0006_8db9),
            distance: 50,
        },
        "ab ba ac cb ba ad dc cb ba ad dc cb ",
    ),
];
