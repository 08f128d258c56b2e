//! A handlespace that anyone can see to be right, and a driver that compares ours with it.
//!
//! The model is a list that is searched and sorted anew each time. It shares the policies' rules
//! with the core, as RFC 5356 states them, but neither code nor structure.

mod commands;
mod model;

use std::collections::VecDeque;

use std::net::{IpAddr, Ipv4Addr};

use rserpool_core::association::AssociationId;
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::{
    DeadlineKind, ElementIndex, ElementView, Handlespace, NewElement, ResolveError, Storage,
};
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::time::Instant;
use rserpool_core::wire::{PoolElement, Protocol, RegistrationLife, TransportBuf, TransportUse};

use self::commands::Commands;
use self::model::{Key, Member, Model, ModelPool, Stand, counts_selections, stand};

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

struct Driver<'a, S> {
    space: &'a mut Handlespace<S>,
    model: Model,
    random: SplitMix64,
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
