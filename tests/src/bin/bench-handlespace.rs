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
    policy: fn(u32, u32) -> Policy,
    handles: Vec<PoolHandleBuf>,
    order: Vec<u32>,
    pools: usize,
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
        Self {
            space: Handlespace::new(HeapStorage::new(limits)),
            policy: policy_of(policy),
            handles: (0..pools).map(pool_handle).collect(),
            order,
            pools,
        }
    }

    fn run(&mut self) -> Vec<Phase> {
        let count = self.order.len();
        let resolutions = RESOLUTIONS.min(count * 10);
        let mut indices = vec![None; count];
        let mut phases = vec![
            phase("register", count, || self.register_all(&mut indices, 0)),
            phase("reregister-same", count, || self.reregister_all(0)),
            phase("reregister-new", count, || self.reregister_all(1)),
            phase("find", count, || self.find_all()),
            phase("resolve-1", resolutions, || self.resolve_some(resolutions, 1)),
            phase("resolve-3", resolutions, || self.resolve_some(resolutions, 3)),
            phase("restart-timer", count, || self.restart_timers(&indices)),
            phase("change-owner", count, || self.change_owners(&indices)),
            phase("walk", count, || self.walk()),
            phase("deregister", count, || self.deregister_all()),
        ];
        self.register_all(&mut indices, 0);
        phases.push(phase("expire", count, || self.expire_all()));
        assert_eq!(self.space.element_count(), 0);
        phases
    }

    fn register_all(&mut self, indices: &mut [Option<ElementIndex>], variant: u32) {
        for at in 0..self.order.len() {
            let number = self.order[at];
            let index = self.register(number, variant);
            let due = Instant::from_millis(u64::from(LIFE_MS) + at as u64);
            self.space.set_deadline(index, due, DeadlineKind(1));
            indices[number as usize] = Some(index);
        }
    }

    fn reregister_all(&mut self, variant: u32) {
        for at in 0..self.order.len() {
            self.register(self.order[at], variant);
        }
    }

    fn register(&mut self, number: u32, variant: u32) -> ElementIndex {
        let user = transport_bytes(number, 7, 1);
        let asap = transport_bytes(number, 3863, 0);
        let element = PoolElement {
            asap_transport: Some(Transport::from_encoded(&asap)),
            ..PoolElement::new(
                pe_id(number),
                RegistrationLife(LIFE_MS),
                Transport::from_encoded(&user),
                (self.policy)(number, variant),
            )
        };
        let new = NewElement {
            pool: handle_of(&self.handles, number),
            element: &element,
            owner: HOME,
            association: Some(AssociationId(1)),
        };
        self.space.register(&new).expect("the storage has room for all").index
    }

    fn find_all(&self) {
        for &number in &self.order {
            let found = self.space.find(handle_of(&self.handles, number), pe_id(number));
            black_box(found.expect("it was registered"));
        }
    }

    fn resolve_some(&mut self, count: usize, items: usize) {
        let (mut pools, mut draws) = (SplitMix64::new(7), SplitMix64::new(8));
        for _ in 0..count {
            let pool = usize::try_from(pools.next_u64() % self.pools as u64).expect("64 bits");
            let handle = self.handles[pool].as_handle();
            let mut answer = [PeId(0); 3];
            let mut len = 0;
            let result = self.space.resolve(handle, items, &mut draws, |view| {
                answer[len] = view.pe_id();
                len += 1;
                true
            });
            assert_eq!(result, Ok(items.min(self.order.len() / self.pools)));
            black_box(&answer);
        }
    }

    fn restart_timers(&mut self, indices: &[Option<ElementIndex>]) {
        for at in 0..self.order.len() {
            let index = indices[self.order[at] as usize].expect("it was registered");
            let due = Instant::from_millis(2 * u64::from(LIFE_MS) + at as u64);
            self.space.set_deadline(index, due, DeadlineKind(1));
        }
    }

    fn change_owners(&mut self, indices: &[Option<ElementIndex>]) {
        for &number in &self.order {
            let index = indices[number as usize].expect("it was registered");
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
        assert_eq!(total, self.order.len());
    }

    fn deregister_all(&mut self) {
        for &number in &self.order {
            let handle = handle_of(&self.handles, number);
            assert!(self.space.deregister(handle, pe_id(number)), "it was registered");
        }
    }

    fn expire_all(&mut self) {
        while let Some((index, _)) = self.space.pop_deadline(Instant::NEVER) {
            self.space.remove(index);
        }
    }
}

fn handle_of(handles: &[PoolHandleBuf], number: u32) -> PoolHandle<'_> {
    handles[number as usize % handles.len()].as_handle()
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
    let mut indices = vec![None; elements];
    // What one transport that does not fit would add is counted apart.
    let check = TransportBuf::<16>::new(
        Protocol::Sctp,
        7,
        TransportUse::DataPlusControl,
        &[[10, 0, 0, 0].into()],
    );
    let bytes = transport_bytes(0, 7, 1);
    assert_eq!(check.expect("16 bytes").as_transport().as_bytes(), bytes);
    workload.register_all(&mut indices, 0);
    workload.space.storage().bytes().div_ceil(elements)
}

/// The phases that a map has too.
fn run_map(elements: usize) -> Vec<Phase> {
    let workload = Workload::new("RoundRobin", elements, 1);
    let mut map: BTreeMap<u64, u64> = BTreeMap::new();
    let key = |number: u32| u64::from(pe_id(number).0);
    vec![
        phase("register", elements, || {
            for &number in &workload.order {
                map.insert(key(number), u64::from(number));
            }
        }),
        phase("find", elements, || {
            for &number in &workload.order {
                black_box(map.get(&key(number)).expect("it was inserted"));
            }
        }),
        phase("deregister", elements, || {
            for &number in &workload.order {
                black_box(map.remove(&key(number)).expect("it was inserted"));
            }
        }),
    ]
}
