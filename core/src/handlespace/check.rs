//! Whether all structures agree, for tests and fuzzing.

use super::checksum;
use super::core::Peek;
use super::slots::{ASSOCIATION, OWNER};
use crate::identifier::PeId;
use crate::store::order::Over;
use crate::store::tree::{self, Root};
use crate::store::{Link, id_tree, link_to, list, order, slot};

const fn plain(top: Link) -> Root {
    Root { top, weighted: false }
}

impl Peek<'_> {
    /// Panics unless all structures agree with each other.
    pub(crate) fn check(&self) {
        let (state, slots) = (self.state, &self.slots);
        let tops = state.pool_tops.iter();
        let pool_count: usize = tops.map(|&top| tree::check(slots.pool_nodes, plain(top))).sum();
        assert_eq!(pool_count, state.pools.count as usize, "pools");
        let mut element_count = 0;
        let mut pool = self.first_pool(0);
        while pool != 0 {
            element_count += self.check_pool(pool);
            let next = self.next_pool(pool);
            if next != 0 {
                let handle = |pool| slots.pools[slot(pool)].handle().as_bytes();
                let digest = |pool| slots.pool_nodes[slot(pool)].key;
                let place = |pool| (digest(pool), handle(pool).len(), handle(pool));
                assert!(place(pool) < place(next), "pools out of order");
            }
            pool = next;
        }
        assert_eq!(element_count, state.elements.count as usize, "elements");
        let owner_count = tree::check(slots.owner_ids, plain(state.owner_top));
        assert_eq!(owner_count, state.owners.count as usize, "owners");
        let association_count = tree::check(slots.association_ids, plain(state.association_top));
        assert_eq!(association_count, state.associations.count as usize, "associations");
        self.check_owners();
        self.check_associations();
        let due_count = order::check(slots.due, state.due, Over::SomeInTree);
        let set =
            (0..slots.due.len()).map(link_to).filter(|&link| order::weight(slots.due, link) != 0);
        assert_eq!(set.count(), due_count, "deadlines");
    }

    fn check_pool(&self, link: Link) -> usize {
        let slots = &self.slots;
        let pool = &slots.pools[slot(link)];
        let count = tree::check(slots.ids, plain(pool.ids));
        assert!(count > 0 && count == pool.count as usize, "elements of a pool");
        let weighted = pool.kind.is_random();
        let over = match pool.kind {
            kind if kind.takes_turns() => Over::Nothing,
            _ if weighted => Over::AllInTree,
            _ => Over::SomeInTree,
        };
        let ordered = order::check(slots.order, pool.order, over);
        if weighted {
            assert_eq!(tree::sum(slots.order, pool.order.top), pool.weight, "weight of a pool");
        }
        let mut selectable = 0;
        let mut element = tree::outermost(slots.ids, pool.ids, 0);
        while element != 0 {
            let slot_ = slot(element);
            assert_eq!(slots.elements[slot_].pool, link, "pool of an element");
            assert_eq!(slots.elements[slot_].pe_id, slots.ids[slot_].key, "identifier");
            assert!(slots.elements[slot_].owner != 0, "an element without owner");
            selectable += usize::from(order::weight(slots.order, element) != 0);
            let next = tree::next(slots.ids, element);
            assert!(next == 0 || slots.ids[slot_].key < slots.ids[slot(next)].key, "id order");
            element = next;
        }
        assert_eq!(selectable, ordered, "selectable elements");
        count
    }

    fn check_owners(&self) {
        let slots = &self.slots;
        let mut owner = tree::outermost(slots.owner_ids, self.state.owner_top, 0);
        while owner != 0 {
            let members = &slots.owners[slot(owner)];
            let (mut link, mut count, mut sum) = (members.first, 0, 0_u32);
            while link != 0 {
                let element = &slots.elements[slot(link)];
                assert_eq!(element.owner, owner, "owner of an element");
                let handle = slots.pools[slot(element.pool)].handle();
                sum = sum.wrapping_add(checksum::handle_sum(handle));
                sum = sum.wrapping_add(checksum::id_sum(PeId(element.pe_id)));
                count += 1;
                link = list::next::<_, OWNER>(slots.elements, members.first, link);
            }
            assert_eq!((count, sum), (members.count, members.sum), "members of an owner");
            owner = tree::next(slots.owner_ids, owner);
        }
    }

    fn check_associations(&self) {
        let slots = &self.slots;
        let mut association =
            tree::outermost(slots.association_ids, self.state.association_top, 0);
        while association != 0 {
            let members = &slots.associations[slot(association)];
            let (mut link, mut count) = (members.first, 0);
            while link != 0 {
                let element = &slots.elements[slot(link)];
                assert_eq!(element.association, association, "association of an element");
                count += 1;
                link = list::next::<_, ASSOCIATION>(slots.elements, members.first, link);
            }
            assert!(count > 0 && count == members.count, "members of an association");
            let key = slots.association_ids[slot(association)].key;
            let top = self.state.association_top;
            assert_eq!(id_tree::find(slots.association_ids, top, key), association);
            association = tree::next(slots.association_ids, association);
        }
    }
}
