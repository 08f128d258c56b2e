//! Selection by policy.

use super::Handlespace;
use super::core::{self, Core};
use super::error::ResolveError;
use super::pools;
use super::slots::{Element, Pool, SlotsMut};
use super::storage::Storage;
use super::view::{Beside, ElementView};
use crate::entropy::Entropy;
use crate::identifier::PoolHandle;
use crate::store::order::{self, OrderNode};
use crate::store::{Link, get, get_mut, slot};

/// The most elements of one selection; RSPLIB's limit too.
pub const ITEMS_MAX: usize = 128;

/// How many draws the usual answer takes.
const FEW: usize = 8;

/// Takes an element, or says that there is no room for it or for any after it.
pub(crate) type Each<'e> = &'e mut dyn FnMut(&ElementView<'_>) -> bool;

/// An element that was drawn and must not be drawn again.
#[derive(Clone, Copy)]
struct Drawn {
    weight: u32,
    /// The sum of the weights before it.
    before: u64,
}

impl Drawn {
    const NONE: Self = Self { weight: 0, before: 0 };
}

impl<S: Storage> Handlespace<S> {
    /// Selects up to `items` (and [`ITEMS_MAX`]) elements of a pool by its policy, the best first,
    /// each at most once. `each` returns false when it has no room for an element; that one does
    /// not count as selected. Returns how many were.
    ///
    /// # Errors
    ///
    /// If there is no such pool, or nothing in it that may be selected.
    pub fn resolve(
        &mut self,
        pool: PoolHandle<'_>,
        items: usize,
        random: &mut impl Entropy,
        mut each: impl FnMut(&ElementView<'_>) -> bool,
    ) -> Result<usize, ResolveError> {
        // The usual case borrows only what it needs, so that nothing else is even loaded.
        let slots = self.storage.slots();
        let link = pools::find(slots.pool_nodes, slots.pools, &self.state.pool_tops, pool);
        let slots = self.storage.slots_mut();
        let Some(pool) = get_mut(slots.pools, link) else {
            return Err(ResolveError::UnknownPool);
        };
        if pool.order.first == 0 {
            return Err(ResolveError::NothingSelectable);
        }
        let items = items.min(ITEMS_MAX).min(pool.count as usize);
        if pool.kind.is_random() || self.state.charge_max > 1 {
            return Ok(self.core().select(link, items, random, &mut each));
        }
        let SlotsMut { order, elements, owner_ids, association_ids, blocks, .. } = slots;
        let seen = Beside { owner_ids, association_ids, blocks };
        Ok(take_first(pool, elements, order, seen, items, each))
    }
}

impl<S: Storage> Handlespace<S> {
    /// Shows up to `items` (and [`ITEMS_MAX`]) elements of a pool that may be selected, in the
    /// order of its policy if that has one, until `each` returns false. Nothing is charged.
    /// Returns how many were taken; `None` if there is no such pool.
    #[must_use]
    pub fn list(
        &self,
        pool: PoolHandle<'_>,
        items: usize,
        mut each: impl FnMut(&ElementView<'_>) -> bool,
    ) -> Option<usize> {
        let slots = self.storage.slots();
        let link = pools::find(slots.pool_nodes, slots.pools, &self.state.pool_tops, pool);
        let pool = get(slots.pools, link)?;
        let seen = Beside {
            owner_ids: slots.owner_ids,
            association_ids: slots.association_ids,
            blocks: slots.blocks,
        };
        let (mut link, mut count) = (pool.order.first, 0);
        while let Some(element) = get(slots.elements, link)
            && count < items.min(ITEMS_MAX)
            && each(&seen.view(pool, element, link))
        {
            count += 1;
            link = pool.order.next(slots.order, link);
        }
        Some(count)
    }
}

/// The first `items` in order, of which the first is charged.
#[inline]
fn take_first(
    pool: &mut Pool,
    elements: &mut [Element],
    nodes: &mut [OrderNode],
    seen: Beside<'_>,
    items: usize,
    mut each: impl FnMut(&ElementView<'_>) -> bool,
) -> usize {
    let first = pool.order.first;
    let (mut link, mut count) = (first, 0);
    while let Some(element) = get(elements, link)
        && count < items
        && each(&seen.view(pool, element, link))
    {
        count += 1;
        // The next is not needed after the last.
        if count < items {
            link = pool.order.next(nodes, link);
        }
    }
    if count > 0 {
        core::charge(pool, &mut elements[slot(first)], nodes, first);
    }
    count
}

impl Core<'_> {
    /// What is not usual: draws, and charging several.
    fn select(
        &mut self,
        link: Link,
        items: usize,
        random: &mut dyn Entropy,
        each: Each<'_>,
    ) -> usize {
        match (self.slots.pools[slot(link)].kind.is_random(), items) {
            (false, _) => self.take_and_charge(link, items, each),
            (true, 0..=1) => self.draw_one(link, items, random, each),
            (true, 2..=FEW) => self.draw(link, random, each, &mut [Drawn::NONE; FEW][..items]),
            _ => self.draw(link, random, each, &mut [Drawn::NONE; ITEMS_MAX][..items]),
        }
    }

    /// The first `items` in order, of which several are charged.
    fn take_and_charge(&mut self, pool_link: Link, items: usize, each: Each<'_>) -> usize {
        let mut taken = [0; ITEMS_MAX];
        let mut count = 0;
        let (seen, nodes) = self.seen();
        let pool = &seen.pools[slot(pool_link)];
        let mut link = pool.order.first;
        while link != 0 && count < items && each(&seen.view(link)) {
            taken[count] = link;
            count += 1;
            link = pool.order.next(nodes, link);
        }
        let charged = count.min(self.state.charge_max as usize);
        for &link in &taken[..charged] {
            self.charge(pool_link, link);
        }
        count
    }

    #[inline]
    fn charge(&mut self, pool: Link, link: Link) {
        let SlotsMut { pools, elements, order, .. } = &mut self.slots;
        core::charge(&mut pools[slot(pool)], &mut elements[slot(link)], order, link);
    }

    /// One draw.
    fn draw_one(
        &mut self,
        pool_link: Link,
        items: usize,
        random: &mut dyn Entropy,
        each: Each<'_>,
    ) -> usize {
        let (seen, nodes) = self.seen();
        let pool = &seen.pools[slot(pool_link)];
        let ticket = random.below(pool.weight);
        let drawn = pool.order.draw(nodes, ticket);
        let (link, _) = drawn.expect("the ticket is below the sum of all weights");
        if items == 0 || !each(&seen.view(link)) {
            return 0;
        }
        if pool.kind.counts_selections() {
            self.charge(pool_link, link);
        }
        1
    }

    /// As many distinct draws as `drawn` has room for. The tree stays as it is: the interval of
    /// what was drawn is skipped.
    fn draw(
        &mut self,
        pool_link: Link,
        random: &mut dyn Entropy,
        each: Each<'_>,
        drawn: &mut [Drawn],
    ) -> usize {
        let (seen, nodes) = self.seen();
        let pool = &seen.pools[slot(pool_link)];
        let counts_selections = pool.kind.counts_selections();
        let charge_max = if counts_selections { self.state.charge_max.max(1) as usize } else { 0 };
        let mut charged = [0; ITEMS_MAX];
        let (mut rest, mut count) = (pool.weight, 0);
        while rest > 0 && count < drawn.len() {
            let mut ticket = random.below(rest);
            let mut rank = 0;
            for other in &drawn[..count] {
                if ticket < other.before {
                    break;
                }
                ticket += u64::from(other.weight);
                rank += 1;
            }
            let (link, before) = pool
                .order
                .draw(nodes, ticket)
                .expect("the ticket is below the sum of all weights");
            if !each(&seen.view(link)) {
                break;
            }
            let weight = order::weight(nodes, link);
            drawn.copy_within(rank..count, rank + 1);
            drawn[rank] = Drawn { weight, before };
            rest -= u64::from(weight);
            if count < charge_max {
                charged[count] = link;
            }
            count += 1;
        }
        for &link in &charged[..count.min(charge_max)] {
            self.charge(pool_link, link);
        }
        count
    }
}
