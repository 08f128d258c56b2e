//! A handlespace that anyone can see to be right, and a driver that compares ours with it.
//!
//! The model is a list that is searched and sorted anew each time. It shares the policies' rules
//! with the core, as RFC 5356 states them, but neither code nor structure.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use rserpool_core::association::AssociationId;
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::{
    DeadlineKind, ElementIndex, ElementView, Handlespace, NewElement, Outcome, RegistrationError,
    ResolveError, Resource, Storage,
};
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::time::Instant;
use rserpool_core::wire::{
    Load, Policy, PoolElement, Protocol, RegistrationLife, TransportBuf, TransportUse,
};

/// How much a storage can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pool elements.
    pub elements: usize,
    /// Pools.
    pub pools: usize,
    /// Registrars that own elements.
    pub owners: usize,
    /// Long transports.
    pub blocks: usize,
}

/// Runs the commands that `bytes` encode on `space` and on the model, and compares them.
///
/// # Panics
///
/// If they differ.
pub fn drive<S: Storage>(space: &mut Handlespace<S>, limits: Limits, bytes: &[u8]) {
    let mut driver = Driver {
        space,
        model: Model { limits, elements: Vec::new(), pools: Vec::new(), owed: VecDeque::new() },
        random: SplitMix64::new(u64::try_from(bytes.len()).unwrap_or(0)),
    };
    let mut commands = Commands(bytes);
    let mut count = 0_u32;
    while let Some(command) = commands.next() {
        driver.run(command, &mut commands);
        count += 1;
        driver.compare_sums();
        if count.is_multiple_of(16) {
            driver.compare_all();
        }
    }
    driver.compare_all();
}

type Key = (usize, Vec<u8>, u32);

#[derive(Clone, Debug)]
struct Member {
    pool: Vec<u8>,
    pe_id: u32,
    policy: Policy,
    life: u32,
    owner: u32,
    association: Option<u32>,
    user: Vec<u8>,
    asap: Vec<u8>,
    /// The key and the sequence number, or `None` if it is never selected.
    turn: Option<(u128, u64)>,
    selections: u32,
    deadline: Option<(u64, u8)>,
    owed: u8,
    index: ElementIndex,
}

#[derive(Clone, Debug)]
struct ModelPool {
    handle: Vec<u8>,
    policy: Policy,
    protocol: u8,
    is_control: bool,
    sequence: u64,
    pass: u128,
}

struct Model {
    limits: Limits,
    elements: Vec<Member>,
    pools: Vec<ModelPool>,
    owed: VecDeque<ElementIndex>,
}

/// Where an element stands: by key, by turns, or by weight.
enum Stand {
    Key(u128),
    Turns(u32),
    Weight(u32),
}

fn stand(policy: Policy, selections: u32) -> Stand {
    let n = u128::from(selections);
    let u = |load: Load| u128::from(load.0);
    let unload = |load: u128| {
        let left = u128::from(u32::MAX).saturating_sub(load).max(1);
        Stand::Weight(u32::try_from(left).unwrap())
    };
    match policy {
        Policy::RoundRobin => Stand::Key(0),
        Policy::WeightedRoundRobin { weight } => Stand::Turns(weight),
        Policy::Random => Stand::Weight(1),
        Policy::WeightedRandom { weight } => Stand::Weight(weight),
        Policy::Priority { priority } => Stand::Key(u128::from(u32::MAX - priority)),
        Policy::LeastUsed { load } => Stand::Key(u(load)),
        Policy::LeastUsedDegradation { load, degradation: d } => Stand::Key(u(load) + n * u(d)),
        Policy::PriorityLeastUsed { load, degradation: d } => Stand::Key(u(load) + u(d)),
        Policy::PriorityLeastUsedDegradation { load, degradation: d } => {
            Stand::Key(u(load) + (n + 1) * u(d))
        }
        Policy::RandomizedLeastUsed { load } => unload(u(load)),
        Policy::RandomizedPriorityLeastUsed { load, degradation: d } => unload(u(load) + u(d)),
        Policy::RandomizedLeastUsedDegradation { load, degradation: d } => {
            unload(u(load) + n * u(d))
        }
        Policy::RandomizedPriorityLeastUsedDegradation { load, degradation: d } => {
            unload(u(load) + (n + 1) * u(d))
        }
        Policy::WeightedRandomDpf { weight, dpf, distance } => {
            let all = u128::from(u32::MAX);
            let far = (u128::from(distance) * u(dpf)).min(all);
            let less = (2 * u128::from(weight) * far + all) / (2 * all);
            let left = u128::from(weight).saturating_sub(less).max(u128::from(weight.min(1)));
            Stand::Weight(u32::try_from(left).unwrap())
        }
        Policy::LeastUsedDpf { load, dpf, distance } => {
            Stand::Key(u(load) + u128::from(distance) * u(dpf))
        }
        Policy::LeastUsedDegradationDpf { load, degradation: d, dpf, distance } => {
            Stand::Key(u(load) + n * u(d) + u128::from(distance) * u(dpf))
        }
        _ => unreachable!("the driver registers no unknown policy"),
    }
}

fn stride(weight: u32) -> u128 {
    (1 << 62) / u128::from(weight)
}

fn counts_selections(policy: Policy) -> bool {
    matches!(
        policy,
        Policy::LeastUsedDegradation { .. }
            | Policy::PriorityLeastUsedDegradation { .. }
            | Policy::RandomizedLeastUsedDegradation { .. }
            | Policy::RandomizedPriorityLeastUsedDegradation { .. }
            | Policy::LeastUsedDegradationDpf { .. }
    )
}

impl Member {
    fn key(&self) -> Key {
        (self.pool.len(), self.pool.clone(), self.pe_id)
    }

    fn block_count(&self) -> usize {
        block_count(self.user.len(), self.asap.len())
    }

    fn weight(&self) -> u32 {
        match stand(self.policy, self.selections) {
            Stand::Weight(weight) => weight,
            Stand::Key(_) => 1,
            Stand::Turns(weight) => weight.min(1),
        }
    }
}

fn block_count(user_len: usize, asap_len: usize) -> usize {
    match (user_len <= 48, user_len + asap_len <= 48, asap_len <= 48) {
        (true, true, _) => 0,
        (true, false, _) | (false, _, true) => 1,
        (false, _, false) => 2,
    }
}

impl Model {
    fn find(&self, pool: &[u8], pe_id: u32) -> Option<usize> {
        self.elements.iter().position(|e| e.pool == pool && e.pe_id == pe_id)
    }

    fn at(&self, index: ElementIndex) -> usize {
        self.elements.iter().position(|e| e.index == index).expect("an index of the model")
    }

    fn pool_mut(&mut self, handle: &[u8]) -> &mut ModelPool {
        self.pools.iter_mut().find(|pool| pool.handle == handle).expect("its pool exists")
    }

    fn expect_registration(&self, new: &Member, protocol: u8, is_control: bool) -> Expected {
        if new.pe_id == 0 {
            return Err(RegistrationError::ZeroIdentifier);
        }
        let pool = self.pools.iter().find(|pool| pool.handle == new.pool);
        match pool {
            None if self.pools.len() == self.limits.pools => {
                return Err(RegistrationError::Full(Resource::Pools));
            }
            None => {}
            Some(pool) if pool.policy.policy_type() != new.policy.policy_type() => {
                return Err(RegistrationError::InconsistentPolicy);
            }
            Some(pool) if pool.protocol != protocol => {
                return Err(RegistrationError::InconsistentTransport);
            }
            Some(pool) if pool.is_control != is_control => {
                return Err(RegistrationError::InconsistentControl);
            }
            Some(_) => {}
        }
        let known = self.find(&new.pool, new.pe_id);
        if known.is_none() && self.elements.len() == self.limits.elements {
            return Err(RegistrationError::Full(Resource::Elements));
        }
        if !self.has_room_for_owner(known, new.owner) {
            return Err(RegistrationError::Full(Resource::Owners));
        }
        let others = self.elements.iter().enumerate().filter(|&(at, _)| Some(at) != known);
        let blocks: usize = others.map(|(_, element)| element.block_count()).sum();
        if new.block_count() > 0 && blocks + new.block_count() > self.limits.blocks {
            return Err(RegistrationError::Full(Resource::Blocks));
        }
        Ok(if known.is_some() { Outcome::Updated } else { Outcome::New })
    }

    fn has_room_for_owner(&self, moved: Option<usize>, owner: u32) -> bool {
        let mut owners: Vec<u32> = self.elements.iter().map(|element| element.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        let is_last = moved.is_some_and(|at| {
            let old = self.elements[at].owner;
            self.elements.iter().filter(|element| element.owner == old).count() == 1
        });
        owners.contains(&owner) || owners.len() < self.limits.owners || is_last
    }

    fn enter(&mut self, at: usize) {
        let element = self.elements[at].clone();
        let stand = stand(element.policy, element.selections);
        let pool = self.pool_mut(&element.pool);
        let key = match stand {
            Stand::Turns(0) | Stand::Weight(0) => return,
            Stand::Key(key) => key,
            Stand::Turns(weight) => pool.pass + stride(weight),
            Stand::Weight(_) => 0,
        };
        pool.sequence += 1;
        self.elements[at].turn = Some((key, pool.sequence));
    }

    fn set_policy(&mut self, at: usize, policy: Policy) {
        let element = &mut self.elements[at];
        if element.policy == policy && element.selections == 0 {
            return;
        }
        (element.policy, element.selections) = (policy, 0);
        let handle = element.pool.clone();
        let pass = self.pool_mut(&handle).pass;
        let element = &mut self.elements[at];
        match (stand(policy, 0), element.turn) {
            (Stand::Turns(0) | Stand::Weight(0), _) => element.turn = None,
            (_, None) => self.enter(at),
            (Stand::Key(key), Some((_, sequence))) => element.turn = Some((key, sequence)),
            (Stand::Turns(weight), Some((key, sequence))) => {
                element.turn = Some((pass + (key - pass).min(stride(weight)), sequence));
            }
            (Stand::Weight(_), _) => {}
        }
    }

    fn charge(&mut self, at: usize) {
        let element = &mut self.elements[at];
        if counts_selections(element.policy) {
            element.selections += 1;
        }
        let stand = stand(element.policy, element.selections);
        let (handle, old) = (element.pool.clone(), element.turn);
        let pool = self.pool_mut(&handle);
        let key = match (stand, old) {
            (Stand::Key(key), _) => key,
            (Stand::Turns(weight), Some((key, _))) => {
                pool.pass = key;
                key + stride(weight)
            }
            _ => return,
        };
        pool.sequence += 1;
        self.elements[at].turn = Some((key, pool.sequence));
    }

    fn remove(&mut self, at: usize) -> Member {
        let gone = self.elements.remove(at);
        self.owed.retain(|&index| index != gone.index);
        if !self.elements.iter().any(|element| element.pool == gone.pool) {
            self.pools.retain(|pool| pool.handle != gone.pool);
        }
        gone
    }

    fn checksum(&self, owner: u32) -> u16 {
        // Small enough that the wrapping sum is the RFC's true one's complement sum.
        let mut sum = 0_u32;
        for element in self.elements.iter().filter(|element| element.owner == owner) {
            let mut bytes = element.pool.clone();
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            bytes.extend(element.pe_id.to_be_bytes());
            for word in bytes.chunks(2) {
                sum += u32::from(u16::from_be_bytes([word[0], word[1]]));
            }
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }
}

type Expected = Result<Outcome, RegistrationError>;

struct Driver<'a, S> {
    space: &'a mut Handlespace<S>,
    model: Model,
    random: SplitMix64,
}

/// Commands, read from bytes.
struct Commands<'a>(&'a [u8]);

impl Commands<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A number that is often an extreme one.
    fn number(&mut self) -> u32 {
        match self.byte() {
            byte @ 0..=9 => u32::from(byte),
            byte @ 10..=15 => u32::MAX - u32::from(byte - 10),
            byte => u32::from(byte) << 24 | u32::from(self.byte()) << 8,
        }
    }

    fn pool(&mut self) -> &'static [u8] {
        const HANDLES: [&[u8]; 6] = [
            b"a",
            b"b",
            b"Pool",
            b"PoolPool",
            b"Pool-0123456789",
            b"a-handle-of-thirty-two-bytes-!!!",
        ];
        HANDLES[usize::from(self.byte()) % HANDLES.len()]
    }

    fn id(&mut self) -> u32 {
        u32::from(self.byte() % 24).wrapping_mul(0x0b00_b1e5)
    }

    fn policy(&mut self, kind: u8) -> Policy {
        let degradation = Load(self.number());
        let load = Load(self.number());
        let weight = load.0 >> (degradation.0 % 32);
        match kind % 16 {
            0 => Policy::RoundRobin,
            1 => Policy::WeightedRoundRobin { weight },
            2 => Policy::Random,
            3 => Policy::WeightedRandom { weight },
            4 => Policy::Priority { priority: load.0 },
            5 => Policy::LeastUsed { load },
            6 => Policy::LeastUsedDegradation { load, degradation },
            7 => Policy::PriorityLeastUsed { load, degradation },
            8 => Policy::RandomizedLeastUsed { load },
            9 => Policy::RandomizedPriorityLeastUsed { load, degradation },
            10 => Policy::RandomizedLeastUsedDegradation { load, degradation },
            11 => Policy::PriorityLeastUsedDegradation { load, degradation },
            12 => Policy::RandomizedPriorityLeastUsedDegradation { load, degradation },
            13 => Policy::WeightedRandomDpf { weight, dpf: degradation, distance: load.0 % 100 },
            14 => Policy::LeastUsedDpf { load, dpf: degradation, distance: weight % 1000 },
            _ => {
                let distance = weight % 1000;
                Policy::LeastUsedDegradationDpf { load, degradation, dpf: degradation, distance }
            }
        }
    }
}

impl<S: Storage> Driver<'_, S> {
    fn run(&mut self, command: u8, bytes: &mut Commands<'_>) {
        match command % 20 {
            0..=5 => self.register(command, bytes),
            6 => self.deregister(bytes),
            7..=10 => self.resolve(bytes),
            11 => self.set_deadline(bytes),
            12 => self.pop_deadline(bytes),
            13 => self.owe(bytes),
            14 => self.next_owing(),
            15 => self.set_owner(bytes),
            16 => self.set_association(bytes),
            17 => self.remove_first_of(bytes),
            18 => self.set_policy(bytes),
            _ => self.walk(bytes),
        }
    }

    fn register(&mut self, command: u8, bytes: &mut Commands<'_>) {
        let (pool, pe_id) = (bytes.pool(), bytes.id());
        // Mostly the policy that fits, so that pools fill.
        let kind = if command < 250 { pool.len() as u8 + pool[0] } else { bytes.byte() };
        let policy = bytes.policy(kind);
        let details = bytes.byte();
        let is_control = details & 0x0f == 1;
        let protocol = if details & 0xf0 == 0x10 { Protocol::Tcp } else { Protocol::Sctp };
        let use_ = if is_control { TransportUse::DataPlusControl } else { TransportUse::Data };
        let count = if protocol == Protocol::Tcp { 1 } else { 1 + usize::from(details >> 5) };
        let user = transport(protocol, use_, count, details);
        let asap = transport(Protocol::Sctp, TransportUse::Data, count / 3 + 1, details);
        let new = Member {
            pool: pool.to_vec(),
            pe_id,
            policy,
            life: bytes.number(),
            owner: u32::from(bytes.byte() % 5),
            association: Some(u32::from(bytes.byte() % 8)).filter(|&id| id != 7),
            user: user.as_transport().as_bytes().to_vec(),
            asap: asap.as_transport().as_bytes().to_vec(),
            turn: None,
            selections: 0,
            deadline: None,
            owed: 0,
            index: ElementIndex::from_slot(0),
        };
        let is_control = user.as_transport().transport_use() == TransportUse::DataPlusControl;
        let expected = self.model.expect_registration(&new, new.user[1], is_control);
        let element = PoolElement {
            asap_transport: Some(asap.as_transport()),
            ..PoolElement::new(
                PeId(pe_id),
                RegistrationLife(new.life),
                user.as_transport(),
                policy,
            )
        };
        let got = self.space.register(&NewElement {
            pool: handle(pool),
            element: &element,
            owner: RegistrarId(new.owner),
            association: new.association.map(AssociationId),
        });
        assert_eq!(got.map(|registered| registered.outcome), expected, "{new:?}");
        if let Ok(registered) = got {
            self.note_registered(Member { index: registered.index, ..new }, is_control);
        }
    }

    fn note_registered(&mut self, new: Member, is_control: bool) {
        let model = &mut self.model;
        if let Some(at) = model.find(&new.pool, new.pe_id) {
            model.set_policy(at, new.policy);
            let old = &mut model.elements[at];
            assert_eq!(old.index, new.index);
            (old.life, old.owner, old.association) = (new.life, new.owner, new.association);
            (old.user, old.asap) = (new.user, new.asap);
            return;
        }
        if !model.pools.iter().any(|pool| pool.handle == new.pool) {
            model.pools.push(ModelPool {
                handle: new.pool.clone(),
                policy: new.policy,
                protocol: new.user[1],
                is_control,
                sequence: 0,
                pass: 0,
            });
        }
        model.elements.push(new);
        model.enter(model.elements.len() - 1);
    }

    fn deregister(&mut self, bytes: &mut Commands<'_>) {
        let (pool, pe_id) = (bytes.pool(), bytes.id());
        let removed = self.space.deregister(handle(pool), PeId(pe_id));
        assert_eq!(removed, self.model.find(pool, pe_id).is_some());
        if let Some(at) = self.model.find(pool, pe_id) {
            self.model.remove(at);
        }
    }

    fn resolve(&mut self, bytes: &mut Commands<'_>) {
        let (pool, items) = (bytes.pool(), usize::from(bytes.byte() % 20));
        let room = usize::from(bytes.byte() % 32);
        let mut got = Vec::new();
        let result = self.space.resolve(handle(pool), items, &mut self.random, |view| {
            assert_eq!(view.pool(), handle(pool));
            let has_room = got.len() < room;
            if has_room {
                got.push(view.index());
            }
            has_room
        });
        let members = || self.model.elements.iter().filter(|element| element.pool == pool);
        if members().count() == 0 {
            assert_eq!(result, Err(ResolveError::UnknownPool));
            return;
        }
        let mut able: Vec<&Member> = members().filter(|member| member.turn.is_some()).collect();
        if able.is_empty() {
            assert_eq!(result, Err(ResolveError::NothingSelectable));
            return;
        }
        let wanted = items.min(room).min(able.len());
        assert_eq!(result, Ok(wanted), "of {} selectable", able.len());
        assert_eq!(got.len(), wanted);
        let policy = able[0].policy;
        if matches!(stand(policy, 0), Stand::Weight(_)) {
            let mut distinct = got.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), got.len(), "an element twice");
            assert!(got.iter().all(|index| able.iter().any(|member| member.index == *index)));
        } else {
            able.sort_by_key(|member| member.turn);
            let expected: Vec<ElementIndex> = able.iter().map(|member| member.index).collect();
            assert_eq!(got, expected[..wanted], "{policy:?}");
        }
        if let Some(&first) = got.first() {
            let at = self.model.at(first);
            self.model.charge(at);
        }
    }

    fn some_element(&self, bytes: &mut Commands<'_>) -> Option<usize> {
        let number = usize::from(bytes.byte());
        (!self.model.elements.is_empty()).then(|| number % self.model.elements.len())
    }

    fn set_deadline(&mut self, bytes: &mut Commands<'_>) {
        let Some(at) = self.some_element(bytes) else { return };
        let (time, kind) = (bytes.byte(), bytes.byte());
        let element = &mut self.model.elements[at];
        if kind == 0 {
            element.deadline = None;
            self.space.clear_deadline(element.index);
        } else {
            element.deadline = Some((u64::from(time), kind));
            let time = Instant::from_micros(u64::from(time));
            self.space.set_deadline(element.index, time, DeadlineKind(kind));
        }
    }

    fn pop_deadline(&mut self, bytes: &mut Commands<'_>) {
        let now = u64::from(bytes.byte());
        let due = self.space.pop_deadline(Instant::from_micros(now));
        let earliest = self.model.elements.iter().filter_map(|e| e.deadline).map(|d| d.0).min();
        assert_eq!(due.is_some(), earliest.is_some_and(|at| at <= now));
        if let Some((index, DeadlineKind(kind))) = due {
            let at = self.model.at(index);
            let deadline = self.model.elements[at].deadline.take();
            assert_eq!(deadline, earliest.map(|at| (at, kind)));
        }
    }

    fn owe(&mut self, bytes: &mut Commands<'_>) {
        let Some(at) = self.some_element(bytes) else { return };
        let bits = bytes.byte();
        let element = &mut self.model.elements[at];
        self.space.owe(element.index, bits);
        if element.owed == 0 && bits != 0 {
            self.model.owed.push_back(element.index);
        }
        element.owed |= bits;
    }

    fn next_owing(&mut self) {
        let expected = self.model.owed.pop_front().map(|index| {
            let at = self.model.at(index);
            (index, std::mem::take(&mut self.model.elements[at].owed))
        });
        assert_eq!(self.space.next_owing(), expected);
    }

    fn set_owner(&mut self, bytes: &mut Commands<'_>) {
        let Some(at) = self.some_element(bytes) else { return };
        let owner = u32::from(bytes.byte() % 6);
        let has_room = self.model.has_room_for_owner(Some(at), owner);
        let element = &mut self.model.elements[at];
        let result = self.space.set_owner(element.index, RegistrarId(owner));
        assert_eq!(result.is_ok(), has_room);
        if has_room {
            element.owner = owner;
        }
    }

    fn set_association(&mut self, bytes: &mut Commands<'_>) {
        let Some(at) = self.some_element(bytes) else { return };
        let association = Some(u32::from(bytes.byte() % 10)).filter(|&id| id != 0);
        let element = &mut self.model.elements[at];
        element.association = association;
        self.space.set_association(element.index, association.map(AssociationId));
    }

    fn remove_first_of(&mut self, bytes: &mut Commands<'_>) {
        let association = u32::from(bytes.byte() % 10);
        let has_any = self.model.elements.iter().any(|e| e.association == Some(association));
        let first = self.space.first_of(AssociationId(association));
        assert_eq!(first.is_some(), has_any);
        if let Some(index) = first {
            let at = self.model.at(index);
            assert_eq!(self.model.remove(at).association, Some(association));
            self.space.remove(index);
        }
    }

    fn set_policy(&mut self, bytes: &mut Commands<'_>) {
        let Some(at) = self.some_element(bytes) else { return };
        let kind = bytes.byte();
        let element = &self.model.elements[at];
        let fits = element.pool.len() as u8 + element.pool[0];
        let policy = bytes.policy(if kind < 250 { fits } else { kind });
        let result = self.space.set_policy(element.index, policy);
        assert_eq!(result.is_ok(), policy.policy_type() == element.policy.policy_type());
        if result.is_ok() {
            self.model.set_policy(at, policy);
        }
    }

    fn walk(&mut self, bytes: &mut Commands<'_>) {
        let owner = Some(u32::from(bytes.byte() % 6)).filter(|&owner| owner != 5);
        let mut expected: Vec<Key> = self
            .model
            .elements
            .iter()
            .filter(|element| owner.is_none_or(|owner| owner == element.owner))
            .map(Member::key)
            .collect();
        expected.sort_unstable();
        let mut got = Vec::new();
        let mut cursor = None;
        let owner = owner.map(RegistrarId);
        while let Some(index) = self.space.next_after(cursor.as_ref(), owner) {
            let view = self.space.element(index);
            let handle = view.pool().as_bytes().to_vec();
            got.push((handle.len(), handle, view.pe_id().0));
            cursor = Some(view.cursor());
        }
        // Pools come in an order of their own, elements of a pool together and by identifier.
        let mut pools: Vec<&Key> = got.iter().collect();
        pools.dedup_by_key(|key| &key.1);
        pools.sort_unstable();
        assert!(pools.windows(2).all(|pair| pair[0].1 != pair[1].1), "a pool twice");
        assert!(got.windows(2).all(|pair| pair[0].1 != pair[1].1 || pair[0].2 < pair[1].2));
        got.sort_unstable();
        assert_eq!(got, expected);
    }

    fn compare_sums(&self) {
        assert_eq!(self.space.element_count(), self.model.elements.len());
        assert_eq!(self.space.pool_count(), self.model.pools.len());
        let earliest = self.model.elements.iter().filter_map(|e| e.deadline).map(|d| d.0).min();
        assert_eq!(self.space.next_deadline(), earliest.map(Instant::from_micros));
        for owner in 0..6 {
            let count = self.model.elements.iter().filter(|e| e.owner == owner).count();
            assert_eq!(self.space.count_of(RegistrarId(owner)), count);
            assert_eq!(self.space.checksum(RegistrarId(owner)), self.model.checksum(owner));
        }
    }

    fn compare_all(&self) {
        self.space.check();
        for element in &self.model.elements {
            let found = self.space.find(handle(&element.pool), PeId(element.pe_id));
            assert_eq!(found, Some(element.index));
            compare_view(&self.space.element(element.index), element);
            let deadline = self.space.deadline(element.index);
            let deadline = deadline.map(|(at, DeadlineKind(kind))| (at.as_micros(), kind));
            assert_eq!(deadline, element.deadline);
        }
        for association in 0..10 {
            let mut got: Vec<_> = self.space.elements_of(AssociationId(association)).collect();
            let members = self.model.elements.iter();
            let mut expected: Vec<_> = members
                .filter(|element| element.association == Some(association))
                .map(|element| element.index)
                .collect();
            got.sort_unstable();
            expected.sort_unstable();
            assert_eq!(got, expected);
        }
    }
}

fn compare_view(view: &ElementView<'_>, element: &Member) {
    assert_eq!(view.pool().as_bytes(), element.pool);
    assert_eq!(view.pe_id(), PeId(element.pe_id));
    assert_eq!(view.policy(), element.policy);
    assert_eq!(view.registration_life(), RegistrationLife(element.life));
    assert_eq!(view.home(), RegistrarId(element.owner));
    assert_eq!(view.association(), element.association.map(AssociationId));
    assert_eq!(view.user_transport().as_bytes(), element.user);
    assert_eq!(view.asap_transport().map(|t| t.as_bytes().to_vec()), Some(element.asap.clone()));
    if matches!(stand(element.policy, 0), Stand::Key(_)) && counts_selections(element.policy) {
        assert_eq!(view.selections(), element.selections);
    }
    assert_eq!(element.turn.is_some(), element.weight() > 0);
}

fn transport(protocol: Protocol, use_: TransportUse, count: usize, seed: u8) -> TransportBuf<200> {
    let addresses: Vec<IpAddr> = (0..count.min(8))
        .map(|number| {
            let last = u8::try_from(number).unwrap();
            if seed.is_multiple_of(3) {
                IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, u16::from(seed), u16::from(last)])
            } else {
                IpAddr::V4(Ipv4Addr::new(10, 1, seed, last))
            }
        })
        .collect();
    let port = u16::from(seed) + 1;
    TransportBuf::new(protocol, port, use_, &addresses).expect("eight addresses fit")
}

fn handle(bytes: &[u8]) -> PoolHandle<'_> {
    PoolHandle::new(bytes).expect("1 to 32 bytes")
}
