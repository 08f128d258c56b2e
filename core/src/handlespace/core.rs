//! What is compiled once for all storages: state and slots together.

use super::checksum;
use super::slots::{ASSOCIATION, Element, OWED, OWNER, Pool, Slots, SlotsMut, State};
use super::view::{Beside, Seen};
use crate::association::AssociationId;
use crate::identifier::{PeId, RegistrarId};
use crate::policy::{self, Kind, Rank};
use crate::store::id_tree::{self, Place};
use crate::store::order::OrderNode;
use crate::store::{Link, get, list, order, slot};
use crate::time::Instant;

/// A handlespace without its storage's type, for reading.
#[derive(Clone, Copy)]
pub(crate) struct Peek<'a> {
    pub(crate) state: &'a State,
    pub(crate) slots: Slots<'a>,
}

/// A handlespace without its storage's type, for writing.
pub(crate) struct Core<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) slots: SlotsMut<'a>,
}

impl Core<'_> {
    pub(crate) fn peek(&self) -> Peek<'_> {
        let slots = &self.slots;
        Peek {
            state: self.state,
            slots: Slots {
                order: slots.order,
                ids: slots.ids,
                elements: slots.elements,
                due: slots.due,
                association_ids: slots.association_ids,
                associations: slots.associations,
                pool_nodes: slots.pool_nodes,
                pools: slots.pools,
                owner_ids: slots.owner_ids,
                owners: slots.owners,
                blocks: slots.blocks,
            },
        }
    }

    /// What views look into, and the order of selection.
    #[inline]
    pub(crate) fn seen(&self) -> (Seen<'_>, &[OrderNode]) {
        let SlotsMut { elements, pools, owner_ids, association_ids, blocks, order, .. } =
            &self.slots;
        let beside = Beside { owner_ids, association_ids, blocks };
        (Seen { elements, pools, beside }, order)
    }

    /// Sets or moves the one deadline of the element `link`.
    pub(crate) fn set_deadline(&mut self, link: Link, at: Instant, kind: u8) {
        // Keys are compared around the end, so half of all numbers is the limit.
        let at = at.as_micros().min(i64::MAX as u64);
        let kept = u32::from(kind) + 1;
        let nodes = &mut *self.slots.due;
        if order::weight(nodes, link) == 0 {
            self.state.due.insert(nodes, link, at, kept);
        } else {
            order::set_kept(nodes, link, kept);
            self.state.due.move_to(nodes, link, at);
        }
    }

    /// Forgets the deadline of the element `link`, if it has one.
    pub(crate) fn clear_deadline(&mut self, link: Link) {
        if order::weight(self.slots.due, link) != 0 {
            self.state.due.remove(self.slots.due, link);
        }
    }

    /// Takes the earliest deadline if it is due.
    pub(crate) fn pop_deadline(&mut self, now: Instant) -> Option<(Link, u8)> {
        let first = self.state.due.first;
        let (at, kind) = deadline(self.slots.due, first)?;
        if at > now {
            return None;
        }
        self.state.due.remove(self.slots.due, first);
        Some((first, kind))
    }

    /// Gives the element `link`, which is in no order, its place in the order of its pool.
    pub(crate) fn enter_order(&mut self, link: Link) {
        let element = &self.slots.elements[slot(link)];
        let pool = &mut self.slots.pools[slot(element.pool)];
        let nodes = &mut *self.slots.order;
        if pool.kind.takes_turns() {
            pool.order.append_turn(nodes, link);
            return;
        }
        match policy::rank(pool.kind, &element.values, element.selections) {
            Rank::Turns(0) | Rank::Weighted(0) => {}
            Rank::Ordered(key) => pool.order.insert(nodes, link, key, 1),
            Rank::Turns(weight) => {
                let key = pool.pass.wrapping_add(policy::stride(weight));
                pool.order.insert(nodes, link, key, 1);
            }
            Rank::Weighted(weight) => {
                pool.order.append_weighted(nodes, link, weight);
                pool.weight += u64::from(weight);
            }
        }
    }

    /// Takes the element `link` out of the order of its pool, if it is in.
    pub(crate) fn leave_order(&mut self, link: Link) {
        let nodes = &mut *self.slots.order;
        let weight = order::weight(nodes, link);
        if weight == 0 {
            return;
        }
        let element = &self.slots.elements[slot(link)];
        let pool = &mut self.slots.pools[slot(element.pool)];
        if pool.kind.takes_turns() {
            pool.order.remove_turn(nodes, link);
        } else if pool.kind.is_random() {
            pool.order.remove_weighted(nodes, link);
            pool.weight -= u64::from(weight);
        } else {
            pool.order.remove(nodes, link);
        }
    }

    /// Puts the element `link` where its policy values want it now; it keeps its turn if that is
    /// where it stands.
    pub(crate) fn renew_order(&mut self, link: Link) {
        let nodes = &mut *self.slots.order;
        let element = &self.slots.elements[slot(link)];
        let pool = &mut self.slots.pools[slot(element.pool)];
        if pool.kind.takes_turns() {
            return;
        }
        let is_in = order::weight(nodes, link) != 0;
        match policy::rank(pool.kind, &element.values, element.selections) {
            Rank::Turns(0) | Rank::Weighted(0) => self.leave_order(link),
            _ if !is_in => self.enter_order(link),
            Rank::Ordered(key) => {
                if key != order::key(nodes, link) {
                    pool.order.move_to(nodes, link, key);
                }
            }
            Rank::Turns(weight) => {
                // A heavier element need not wait for its old, later turn; a lighter one keeps
                // its turn, so that changing weights all the time starves nobody.
                let old_key = order::key(nodes, link);
                let wait = old_key.wrapping_sub(pool.pass).min(policy::stride(weight));
                let key = pool.pass.wrapping_add(wait);
                if key != old_key {
                    pool.order.move_to(nodes, link, key);
                }
            }
            Rank::Weighted(weight) => set_weight(nodes, pool, link, weight),
        }
    }

    /// Whether the element `link` (0: a new one) can be given to `owner`.
    pub(crate) fn has_room_for_owner(&self, link: Link, owner: RegistrarId) -> bool {
        let slots = &self.slots;
        if self.state.owners.room(slots.owners.len()) > 0 {
            return true;
        }
        let is_known = id_tree::find(slots.owner_ids, self.state.owner_top, owner.0) != 0;
        is_known || link != 0 && slots.owners[slot(slots.elements[slot(link)].owner)].count == 1
    }

    /// Adds the element `link` to those of `owner`, for which there must be room.
    pub(crate) fn join_owner(&mut self, link: Link, owner: RegistrarId) {
        let (state, slots) = (&mut *self.state, &mut self.slots);
        let members = match id_tree::locate(slots.owner_ids, state.owner_top, owner.0) {
            Place::Taken(members) => members,
            Place::Free(above, side) => {
                let members = state.owners.take(slots.owner_ids).expect("room was checked");
                let place = (above, side);
                let top = &mut state.owner_top;
                id_tree::insert(slots.owner_ids, top, place, members, owner.0);
                slots.owners[slot(members)] = super::slots::Members::EMPTY;
                members
            }
        };
        let element = &mut slots.elements[slot(link)];
        element.owner = members;
        let sum = checksum_of(&slots.pools[slot(element.pool)], element.pe_id);
        let members = &mut slots.owners[slot(members)];
        members.count += 1;
        members.sum = members.sum.wrapping_add(sum);
        list::append::<_, OWNER>(slots.elements, &mut members.first, link);
    }

    /// Takes the element `link` from its owner.
    pub(crate) fn leave_owner(&mut self, link: Link) {
        let (state, slots) = (&mut *self.state, &mut self.slots);
        let element = &mut slots.elements[slot(link)];
        let owner = core::mem::take(&mut element.owner);
        let sum = checksum_of(&slots.pools[slot(element.pool)], element.pe_id);
        let members = &mut slots.owners[slot(owner)];
        members.count -= 1;
        members.sum = members.sum.wrapping_sub(sum);
        list::remove::<_, OWNER>(slots.elements, &mut members.first, link);
        if members.count == 0 {
            id_tree::remove(slots.owner_ids, &mut state.owner_top, owner);
            state.owners.give_back(slots.owner_ids, owner);
        }
    }

    /// Moves the element `link`, which may be on one already, to `association`.
    pub(crate) fn set_association(&mut self, link: Link, association: Option<AssociationId>) {
        let old = self.slots.elements[slot(link)].association;
        if old != 0 {
            if association.map(|id| id.0) == Some(self.slots.association_ids[slot(old)].key) {
                return;
            }
            self.leave_association(link);
        }
        if let Some(association) = association {
            self.join_association(link, association);
        }
    }

    fn join_association(&mut self, link: Link, association: AssociationId) {
        let (state, slots) = (&mut *self.state, &mut self.slots);
        let (nodes, key) = (&mut *slots.association_ids, association.0);
        let members = match id_tree::locate(nodes, state.association_top, key) {
            Place::Taken(members) => members,
            Place::Free(above, side) => {
                let members = state.associations.take(nodes).expect("as many slots as elements");
                let top = &mut state.association_top;
                id_tree::insert(nodes, top, (above, side), members, key);
                slots.associations[slot(members)] = super::slots::Members::EMPTY;
                members
            }
        };
        slots.elements[slot(link)].association = members;
        let members = &mut slots.associations[slot(members)];
        members.count += 1;
        list::append::<_, ASSOCIATION>(slots.elements, &mut members.first, link);
    }

    fn leave_association(&mut self, link: Link) {
        let (state, slots) = (&mut *self.state, &mut self.slots);
        let association = core::mem::take(&mut slots.elements[slot(link)].association);
        let members = &mut slots.associations[slot(association)];
        members.count -= 1;
        list::remove::<_, ASSOCIATION>(slots.elements, &mut members.first, link);
        if members.count == 0 {
            id_tree::remove(slots.association_ids, &mut state.association_top, association);
            state.associations.give_back(slots.association_ids, association);
        }
    }

    /// Appends the element `link` to the queue of owed work, unless it is in it.
    pub(crate) fn owe(&mut self, link: Link, bits: u8) {
        let element = &mut self.slots.elements[slot(link)];
        let was_idle = element.owed == 0;
        element.owed |= bits;
        if was_idle && bits != 0 {
            list::append::<_, OWED>(self.slots.elements, &mut self.state.owed, link);
        }
    }

    /// Takes the element `link` out of the queue of owed work; returns what it owed.
    pub(crate) fn forgive(&mut self, link: Link) -> u8 {
        let bits = core::mem::take(&mut self.slots.elements[slot(link)].owed);
        if bits != 0 {
            list::remove::<_, OWED>(self.slots.elements, &mut self.state.owed, link);
        }
        bits
    }
}

/// Charges the element `link` of `pool` for having been selected: its turn is over, and its load
/// is taken to have grown.
#[inline]
pub(crate) fn charge(pool: &mut Pool, element: &mut Element, nodes: &mut [OrderNode], link: Link) {
    let key = match pool.kind {
        Kind::RoundRobin => return pool.order.end_turn(nodes, link),
        Kind::WeightedRoundRobin => {
            pool.pass = order::key(nodes, link);
            pool.pass.wrapping_add(policy::stride(element.values.base))
        }
        kind if kind.counts_selections() => {
            element.selections = element.selections.saturating_add(1);
            match policy::rank(kind, &element.values, element.selections) {
                Rank::Ordered(key) => key,
                Rank::Turns(weight) | Rank::Weighted(weight) => {
                    return set_weight(nodes, pool, link, weight);
                }
            }
        }
        kind if kind.is_random() => return,
        _ => order::key(nodes, link),
    };
    pool.order.move_to(nodes, link, key);
}

/// The deadline of the element `link`, which may be 0.
pub(crate) fn deadline(nodes: &[OrderNode], link: Link) -> Option<(Instant, u8)> {
    get(nodes, link)?;
    let kind = order::weight(nodes, link).checked_sub(1)?;
    Some((Instant::from_micros(order::key(nodes, link)), kind as u8))
}

fn set_weight(nodes: &mut [order::OrderNode], pool: &mut Pool, link: Link, weight: u32) {
    let old = order::weight(nodes, link);
    if weight != old {
        order::set_weight(nodes, link, weight);
        pool.weight = pool.weight - u64::from(old) + u64::from(weight);
    }
}

fn checksum_of(pool: &Pool, pe_id: u32) -> u32 {
    pool.handle_sum.wrapping_add(checksum::id_sum(PeId(pe_id)))
}
