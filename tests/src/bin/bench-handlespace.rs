//! The handlespace's workload, for `cargo xtask bench handlespace`: one policy, one size.
//!
//! `bench-handlespace POLICY ELEMENTS POOLS ROUNDS` prints a line `phase,operations,cpu_ns` for
//! each phase, the least of the rounds, then `bytes,PER_ELEMENT`. Each phase runs inside
//! [`measured`], by whose name callgrind counts the instructions of each phase apart.
//! `bench-handlespace BTreeMap ELEMENTS 1 ROUNDS` does the like with a map of the same keys.

use std::collections::BTreeMap;
use std::hint::black_box;

use nix::time::{ClockId, clock_gettime};
use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::association::AssociationId;
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::handlespace::{DeadlineKind, ElementIndex, Handlespace, NewElement};
use rserpool_core::identifier::{PeId, PoolHandle, PoolHandleBuf, RegistrarId};
use rserpool_core::time::Instant;
use rserpool_core::wire::{
    Load, Policy, PoolElement, Protocol, RegistrationLife, Transport, TransportBuf, TransportUse,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, elements, pools, rounds] = &arguments[..] else {
        eprintln!("usage: bench-handlespace POLICY ELEMENTS POOLS ROUNDS");
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let (elements, pools, rounds) = (number(elements), number(pools), number(rounds));
    let mut least: Vec<Phase> = Vec::new();
    for _ in 0..rounds {
        let phases = match policy.as_str() {
            "BTreeMap" => run_map(elements),
            policy => Workload::new(policy, elements, pools).run(),
        };
        if least.is_empty() {
            least = phases;
        } else {
            for (least, phase) in least.iter_mut().zip(phases) {
                least.nanoseconds = least.nanoseconds.min(phase.nanoseconds);
            }
        }
    }
    for Phase { name, operations, nanoseconds } in least {
        println!("{name},{operations},{nanoseconds}");
    }
    if policy != "BTreeMap" {
        println!("bytes,{}", bytes_per_element(policy, elements, pools));
    }
}

struct Phase {
    name: &'static str,
    operations: usize,
    nanoseconds: u64,
}

/// Runs one phase and measures this thread's CPU time.
fn phase(name: &'static str, operations: usize, mut body: impl FnMut()) -> Phase {
    let start = cpu_time();
    measured(&mut body);
    Phase { name, operations, nanoseconds: cpu_time() - start }
}

/// Callgrind counts in here alone.
#[inline(never)]
fn measured(body: &mut dyn FnMut()) {
    body();
    black_box(());
}

fn cpu_time() -> u64 {
    let time =
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock");
    u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

struct Workload {
    space: Handlespace<HeapStorage>,
    handles: Vec<PoolHandleBuf>,
    /// The elements in the order of all operations, as messages would bring them.
    elements: Vec<Prepared>,
    /// The pools of the resolutions.
    picks: Vec<u32>,
}

/// A registration, taken out of its message.
#[derive(Clone, Copy)]
struct Prepared {
    pool: u32,
    pe_id: PeId,
    /// The policy at first, and after a change.
    policies: [Policy; 2],
    user: [u8; 16],
    asap: [u8; 16],
}

const HOME: RegistrarId = RegistrarId(0x1234_5678);
const PEER: RegistrarId = RegistrarId(0x8765_4321);
const LIFE_MS: u32 = 300_000;
const RESOLUTIONS: usize = 100_000;

impl Workload {
    fn new(policy: &str, elements: usize, pools: usize) -> Self {
        let limits = HeapLimits::for_elements(elements).with_pools(pools);
        let mut order: Vec<u32> = (0..u32::try_from(elements).expect("at most 2^32")).collect();
        let mut random = SplitMix64::new(42);
        for last in (1..elements).rev() {
            let other = usize::try_from(random.next_u64() % (last as u64 + 1)).expect("64 bits");
            order.swap(last, other);
        }
        let policy = policy_of(policy);
        let prepare = |&number: &u32| Prepared {
            pool: number % u32::try_from(pools).expect("at most 2^32"),
            pe_id: pe_id(number),
            policies: [policy(number, 0), policy(number, 1)],
            user: transport_bytes(number, 7, 1),
            asap: transport_bytes(number, 3863, 0),
        };
        let mut random = SplitMix64::new(7);
        let pick = |_| u32::try_from(random.next_u64() % pools as u64).expect("at most 2^32");
        Self {
            space: Handlespace::new(HeapStorage::new(limits)),
            handles: (0..pools).map(pool_handle).collect(),
            elements: order.iter().map(prepare).collect(),
            picks: (0..RESOLUTIONS.min(elements * 10)).map(pick).collect(),
        }
    }

    fn run(&mut self) -> Vec<Phase> {
        let count = self.elements.len();
        let resolutions = self.picks.len();
        let mut indices = vec![ElementIndex::from_slot(0); count];
        let mut phases = vec![
            phase("register", count, || self.register_all(&mut indices)),
            phase("rereg-same", count, || self.reregister_all(0)),
            phase("rereg-new", count, || self.reregister_all(1)),
            phase("find", count, || self.find_all()),
            phase("resolve-1", resolutions, || self.resolve_some(1)),
            phase("resolve-3", resolutions, || self.resolve_some(3)),
        ];
        self.set_timers(&indices, 1);
        phases.extend([
            phase("restart-timer", count, || self.set_timers(&indices, 2)),
            phase("change-owner", count, || self.change_owners(&indices)),
            phase("walk", count, || self.walk()),
            phase("deregister", count, || self.deregister_all()),
        ]);
        self.register_all(&mut indices);
        self.set_timers(&indices, 1);
        phases.push(phase("expire", count, || self.expire_all()));
        assert_eq!(self.space.element_count(), 0);
        phases
    }

    fn register_all(&mut self, indices: &mut [ElementIndex]) {
        for (prepared, index) in self.elements.iter().zip(indices) {
            *index = register(&mut self.space, &self.handles, prepared, 0);
        }
    }

    fn reregister_all(&mut self, variant: usize) {
        for prepared in &self.elements {
            register(&mut self.space, &self.handles, prepared, variant);
        }
    }

    fn find_all(&self) {
        for prepared in &self.elements {
            let handle = self.handles[prepared.pool as usize].as_handle();
            let found = self.space.find(handle, prepared.pe_id);
            black_box(found.expect("it was registered"));
        }
    }

    fn resolve_some(&mut self, items: usize) {
        let mut draws = SplitMix64::new(8);
        let expected = items.min(self.elements.len() / self.handles.len());
        for &pick in &self.picks {
            let handle = self.handles[pick as usize].as_handle();
            let mut answer = [PeId(0); 3];
            let mut len = 0;
            let result = self.space.resolve(handle, items, &mut draws, |view| {
                answer[len] = view.pe_id();
                len += 1;
                true
            });
            assert_eq!(result, Ok(expected));
            black_box(&answer);
        }
    }

    fn set_timers(&mut self, indices: &[ElementIndex], lives: u64) {
        for (at, &index) in indices.iter().enumerate() {
            let due = Instant::from_millis(lives * u64::from(LIFE_MS) + at as u64);
            self.space.set_deadline(index, due, DeadlineKind(1));
        }
    }

    fn change_owners(&mut self, indices: &[ElementIndex]) {
        for &index in indices {
            self.space.set_owner(index, PEER).expect("there is room for two owners");
        }
    }

    fn walk(&self) {
        let (mut cursor, mut total) = (None, 0);
        loop {
            let mut count = 0;
            self.space.walk_after(cursor.take().as_ref(), None, |view| {
                count += 1;
                black_box(view.pe_id());
                if count == 128 {
                    cursor = Some(view.cursor());
                }
                count < 128
            });
            total += count;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(total, self.elements.len());
    }

    fn deregister_all(&mut self) {
        for prepared in &self.elements {
            let handle = self.handles[prepared.pool as usize].as_handle();
            assert!(self.space.deregister(handle, prepared.pe_id), "it was registered");
        }
    }

    fn expire_all(&mut self) {
        while let Some((index, _)) = self.space.pop_deadline(Instant::NEVER) {
            self.space.remove(index);
        }
    }
}

fn register(
    space: &mut Handlespace<HeapStorage>,
    handles: &[PoolHandleBuf],
    prepared: &Prepared,
    variant: usize,
) -> ElementIndex {
    let element = PoolElement {
        asap_transport: Some(Transport::from_encoded(&prepared.asap)),
        ..PoolElement::new(
            prepared.pe_id,
            RegistrationLife(LIFE_MS),
            Transport::from_encoded(&prepared.user),
            prepared.policies[variant],
        )
    };
    let new = NewElement {
        pool: handles[prepared.pool as usize].as_handle(),
        element: &element,
        owner: HOME,
        association: Some(AssociationId(1)),
    };
    space.register(&new).expect("the storage has room for all").index
}

fn pool_handle(number: usize) -> PoolHandleBuf {
    PoolHandle::new(format!("Pool-{number:08x}").as_bytes()).expect("13 bytes").to_buf()
}

fn pe_id(number: u32) -> PeId {
    PeId((number + 1).wrapping_mul(2_654_435_761))
}

fn splitmix(seed: u64) -> u64 {
    SplitMix64::new(seed).next_u64()
}

/// An SCTP transport with one IPv4 address.
fn transport_bytes(number: u32, port: u16, transport_use: u8) -> [u8; 16] {
    let [high, low] = port.to_be_bytes();
    let [_, b, c, d] = number.to_be_bytes();
    [0, 4, 0, 16, high, low, 0, transport_use, 0, 1, 0, 8, 10, b, c, d]
}

fn policy_of(name: &str) -> fn(u32, u32) -> Policy {
    fn weight(number: u32, variant: u32) -> u32 {
        1 + (number + 5 * variant) % 16
    }
    fn load(number: u32, variant: u32) -> Load {
        let seed = u64::from(number) | u64::from(variant) << 32;
        Load(u32::try_from(splitmix(seed) & 0x00ff_ffff).expect("24 bits"))
    }
    match name {
        "RoundRobin" => |_, _| Policy::RoundRobin,
        "WeightedRoundRobin" => |n, v| Policy::WeightedRoundRobin { weight: weight(n, v) },
        "Random" => |_, _| Policy::Random,
        "WeightedRandom" => |n, v| Policy::WeightedRandom { weight: weight(n, v) },
        "LeastUsed" => |n, v| Policy::LeastUsed { load: load(n, v) },
        "LeastUsedDegradation" => |n, v| Policy::LeastUsedDegradation {
            load: load(n, v),
            degradation: Load(0x0001_0000),
        },
        _ => panic!("no policy of the workload: {name}"),
    }
}

fn bytes_per_element(policy: &str, elements: usize, pools: usize) -> usize {
    let mut workload = Workload::new(policy, elements, pools);
    let mut indices = vec![ElementIndex::from_slot(0); elements];
    // What one transport that does not fit would add is counted apart.
    let check = TransportBuf::<16>::new(
        Protocol::Sctp,
        7,
        TransportUse::DataPlusControl,
        &[[10, 0, 0, 0].into()],
    );
    let bytes = transport_bytes(0, 7, 1);
    assert_eq!(check.expect("16 bytes").as_transport().as_bytes(), bytes);
    workload.register_all(&mut indices);
    workload.space.storage().bytes().div_ceil(elements)
}

/// The phases that a map has too.
fn run_map(elements: usize) -> Vec<Phase> {
    let workload = Workload::new("RoundRobin", elements, 1);
    let mut map: BTreeMap<u64, u64> = BTreeMap::new();
    let keys: Vec<u64> =
        workload.elements.iter().map(|prepared| u64::from(prepared.pe_id.0)).collect();
    vec![
        phase("register", elements, || {
            for &key in &keys {
                map.insert(key, key);
            }
        }),
        phase("find", elements, || {
            for key in &keys {
                black_box(map.get(key).expect("it was inserted"));
            }
        }),
        phase("deregister", elements, || {
            for key in &keys {
                black_box(map.remove(key).expect("it was inserted"));
            }
        }),
    ]
}
