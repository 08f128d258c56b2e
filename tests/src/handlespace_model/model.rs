//! The model: lists that are searched anew each time.

use std::collections::VecDeque;

use rserpool_core::handlespace::{ElementIndex, Outcome, RegistrationError, Resource};
use rserpool_core::wire::{Load, Policy};

use super::Limits;

pub(super) type Key = (usize, Vec<u8>, u32);

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) pool: Vec<u8>,
    pub(super) pe_id: u32,
    pub(super) policy: Policy,
    pub(super) life: u32,
    pub(super) owner: u32,
    pub(super) association: Option<u32>,
    pub(super) user: Vec<u8>,
    pub(super) asap: Vec<u8>,
    /// The key and the sequence number, or `None` if it is never selected.
    pub(super) turn: Option<(u128, u64)>,
    pub(super) selections: u32,
    pub(super) deadline: Option<(u64, u8)>,
    pub(super) owed: u8,
    pub(super) index: ElementIndex,
}

#[derive(Clone, Debug)]
pub(super) struct ModelPool {
    pub(super) handle: Vec<u8>,
    pub(super) policy: Policy,
    pub(super) protocol: u8,
    pub(super) is_control: bool,
    pub(super) sequence: u64,
    pub(super) pass: u128,
}

pub(super) struct Model {
    pub(super) limits: Limits,
    pub(super) elements: Vec<Member>,
    pub(super) pools: Vec<ModelPool>,
    pub(super) owed: VecDeque<ElementIndex>,
}

/// Where an element stands: by key, by turns, or by weight.
pub(super) enum Stand {
    Key(u128),
    Turns(u32),
    Weight(u32),
}

pub(super) fn stand(policy: Policy, selections: u32) -> Stand {
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

pub(super) fn stride(weight: u32) -> u128 {
    (1 << 62) / u128::from(weight)
}

pub(super) fn counts_selections(policy: Policy) -> bool {
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
    pub(super) fn key(&self) -> Key {
        (self.pool.len(), self.pool.clone(), self.pe_id)
    }

    pub(super) fn block_count(&self) -> usize {
        block_count(self.user.len(), self.asap.len())
    }

    pub(super) fn weight(&self) -> u32 {
        match stand(self.policy, self.selections) {
            Stand::Weight(weight) => weight,
            Stand::Key(_) => 1,
            Stand::Turns(weight) => weight.min(1),
        }
    }
}

pub(super) fn block_count(user_len: usize, asap_len: usize) -> usize {
    match (user_len <= 48, user_len + asap_len <= 48, asap_len <= 48) {
        (true, true, _) => 0,
        (true, false, _) | (false, _, true) => 1,
        (false, _, false) => 2,
    }
}

impl Model {
    pub(super) fn find(&self, pool: &[u8], pe_id: u32) -> Option<usize> {
        self.elements.iter().position(|e| e.pool == pool && e.pe_id == pe_id)
    }

    pub(super) fn at(&self, index: ElementIndex) -> usize {
        self.elements.iter().position(|e| e.index == index).expect("an index of the model")
    }

    pub(super) fn pool_mut(&mut self, handle: &[u8]) -> &mut ModelPool {
        self.pools.iter_mut().find(|pool| pool.handle == handle).expect("its pool exists")
    }

    pub(super) fn expect_registration(
        &self,
        new: &Member,
        protocol: u8,
        is_control: bool,
    ) -> Expected {
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

    pub(super) fn has_room_for_owner(&self, moved: Option<usize>, owner: u32) -> bool {
        let mut owners: Vec<u32> = self.elements.iter().map(|element| element.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        let is_last = moved.is_some_and(|at| {
            let old = self.elements[at].owner;
            self.elements.iter().filter(|element| element.owner == old).count() == 1
        });
        owners.contains(&owner) || owners.len() < self.limits.owners || is_last
    }

    pub(super) fn enter(&mut self, at: usize) {
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

    pub(super) fn set_policy(&mut self, at: usize, policy: Policy) {
        let element = &mut self.elements[at];
        if element.policy == policy && element.selections == 0 {
            return;
        }
        (element.policy, element.selections) = (policy, 0);
        let handle = element.pool.clone();
        let turn = element.turn;
        let pool = self.pool_mut(&handle);
        let key = match (stand(policy, 0), turn) {
            (Stand::Turns(0) | Stand::Weight(0), _) => {
                self.elements[at].turn = None;
                return;
            }
            (_, None) => return self.enter(at),
            (Stand::Weight(_), _) => return,
            (Stand::Key(key), _) => key,
            (Stand::Turns(weight), Some((key, _))) => {
                pool.pass + (key - pool.pass).min(stride(weight))
            }
        };
        // Whoever comes to a key is behind those that have it; whoever stays keeps its turn.
        if turn.is_none_or(|(old, _)| old != key) {
            pool.sequence += 1;
            let sequence = pool.sequence;
            self.elements[at].turn = Some((key, sequence));
        }
    }

    pub(super) fn charge(&mut self, at: usize) {
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

    pub(super) fn remove(&mut self, at: usize) -> Member {
        let gone = self.elements.remove(at);
        self.owed.retain(|&index| index != gone.index);
        if !self.elements.iter().any(|element| element.pool == gone.pool) {
            self.pools.retain(|pool| pool.handle != gone.pool);
        }
        gone
    }

    pub(super) fn checksum(&self, owner: u32) -> u16 {
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

pub(super) type Expected = Result<Outcome, RegistrationError>;
