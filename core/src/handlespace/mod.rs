//! Pools, pool elements, ownership, checksums, selection and expiry.
//!
//! Read RFC 5352 §3.1 (rules of registration), RFC 5353 §3.6 (checksums) and RFC 5356 (policies)
//! before changing anything here. A [`Handlespace`] is a thin shell around functions that are
//! compiled once; its memory is a [`Storage`], as small as eight elements or as large as millions.
//!
//! Deliberately absent: time (deadlines are handed in), messages, peers, and any decision about
//! who may register what; that is the registrar's.

mod check;
mod checksum;
mod convert;
mod core;
mod error;
mod pools;
mod register;
mod resolve;
pub mod slots;
mod storage;
mod view;

pub use checksum::checksum_of;
pub use convert::NewElement;
pub use error::{RegistrationError, ResolveError};
pub use register::Outcome;
pub use resolve::ITEMS_MAX;
pub use slots::Scratch;
pub use storage::{Inline, Resource, Storage};
pub use view::ElementView;

pub use crate::store::id_tree::IdNode;
pub use crate::store::order::OrderNode;

use self::core::{Core, Peek};
use self::slots::{ASSOCIATION, State};
use crate::association::AssociationId;
use crate::identifier::{PeId, PoolHandle, PoolHandleBuf, RegistrarId};
use crate::store::{Link, id_tree, list, slot};
use crate::time::Instant;
use crate::wire::Policy;

/// The pools of an operation scope and their elements.
#[derive(Clone, Debug)]
pub struct Handlespace<S> {
    state: State,
    storage: S,
}

/// An element's index: valid until the element is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ElementIndex(Link);

impl ElementIndex {
    /// The number of the element's slot, below the storage's length.
    #[must_use]
    pub const fn slot(self) -> usize {
        slot(self.0)
    }

    /// The index of whatever element is in `slot`; as good as that there is one.
    #[must_use]
    pub const fn from_slot(slot: usize) -> Self {
        Self(crate::store::link_to(slot))
    }
}

/// What a registration did, and to which element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Registered {
    /// The element.
    pub index: ElementIndex,
    /// Whether it is new.
    pub outcome: Outcome,
}

/// Which of a registrar's timers a deadline is; the registrar chooses the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeadlineKind(pub u8);

/// A place in the walk through all elements, which need not exist any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The handle of the last element's pool.
    pub pool: PoolHandleBuf,
    /// The last element's identifier.
    pub pe_id: PeId,
}

impl<S> Handlespace<S> {
    /// An empty handlespace in `storage`, which must be empty.
    #[must_use]
    pub const fn new(storage: S) -> Self {
        Self { state: State::EMPTY, storage }
    }

    /// How many of the elements of one response are charged under the policies that remember
    /// selections: 1 by default, as in RSPLIB, so that asking for backups costs no turns.
    pub fn set_charge_max(&mut self, elements: usize) {
        self.state.charge_max = u32::try_from(elements.clamp(1, ITEMS_MAX)).unwrap_or(1);
    }

    /// How many elements there are.
    #[must_use]
    pub const fn element_count(&self) -> usize {
        self.state.elements.count as usize
    }

    /// How many pools there are.
    #[must_use]
    pub const fn pool_count(&self) -> usize {
        self.state.pools.count as usize
    }
}

impl<S: Storage> Handlespace<S> {
    fn core(&mut self) -> Core<'_> {
        Core { state: &mut self.state, slots: self.storage.slots_mut() }
    }

    fn peek(&self) -> Peek<'_> {
        Peek { state: &self.state, slots: self.storage.slots() }
    }

    /// The storage, to read its limits.
    #[must_use]
    pub const fn storage(&self) -> &S {
        &self.storage
    }

    /// The element of the pool with the identifier.
    #[must_use]
    pub fn find(&self, pool: PoolHandle<'_>, pe_id: PeId) -> Option<ElementIndex> {
        index(self.peek().find(pool, pe_id))
    }

    /// The element itself.
    ///
    /// # Panics
    ///
    /// May panic if it was removed, or show another element.
    #[must_use]
    pub fn element(&self, index: ElementIndex) -> ElementView<'_> {
        self.peek().view(index.0)
    }

    /// Adds an element, with its pool if that is new, or replaces the attributes of a known one
    /// (RFC 5352 §3.1, rules 1 to 5). Deadline, owed work and scratch stay as they are.
    ///
    /// # Errors
    ///
    /// Says which rule refuses the element; nothing has changed then.
    pub fn register(&mut self, new: &NewElement<'_>) -> Result<Registered, RegistrationError> {
        let entry = new.entry()?;
        loop {
            match self.core().register(&entry) {
                Err(RegistrationError::Full(short)) if self.storage.grow(short) => {}
                Err(error) => return Err(error),
                Ok((link, outcome)) => {
                    return Ok(Registered { index: ElementIndex(link), outcome });
                }
            }
        }
    }

    /// Replaces an element's policy values, for example when its distance has become known.
    ///
    /// # Errors
    ///
    /// If the policy is not that of the pool.
    pub fn set_policy(
        &mut self,
        index: ElementIndex,
        policy: Policy,
    ) -> Result<(), RegistrationError> {
        let (kind, values) =
            convert::from_policy(policy).ok_or(RegistrationError::InconsistentPolicy)?;
        let mut core = self.core();
        if core.peek().view(index.0).kind() != kind {
            return Err(RegistrationError::InconsistentPolicy);
        }
        core.set_values(index.0, values);
        Ok(())
    }

    /// Removes an element, and its pool with the last one. Its deadline and what it owes go too.
    pub fn remove(&mut self, index: ElementIndex) {
        self.core().remove(index.0);
    }

    /// Removes the element of the pool with the identifier; whether there was one.
    pub fn deregister(&mut self, pool: PoolHandle<'_>, pe_id: PeId) -> bool {
        self.core().deregister(pool, pe_id)
    }

    /// Ties an element to the association that it is reached on, or to none.
    pub fn set_association(&mut self, index: ElementIndex, association: Option<AssociationId>) {
        self.core().set_association(index.0, association);
    }

    /// The first of the elements that are tied to an association; `None` when all are gone.
    #[must_use]
    pub fn first_of(&self, association: AssociationId) -> Option<ElementIndex> {
        let peek = self.peek();
        let AssociationId(key) = association;
        match id_tree::find(peek.slots.association_ids, peek.state.association_top, key) {
            0 => None,
            members => index(peek.slots.associations[slot(members)].first),
        }
    }

    /// The element after `index` of the same association, in the order in which they came to it.
    #[must_use]
    pub fn next_of(
        &self,
        association: AssociationId,
        ElementIndex(link): ElementIndex,
    ) -> Option<ElementIndex> {
        let first = self.first_of(association)?;
        index(list::next::<_, ASSOCIATION>(self.peek().slots.elements, first.0, link))
    }

    /// The elements that are tied to an association, in the order in which they came to it.
    pub fn elements_of(
        &self,
        association: AssociationId,
    ) -> impl Iterator<Item = ElementIndex> + '_ {
        let peek = self.peek();
        let first = self.first_of(association);
        ::core::iter::successors(first, move |index_| {
            let first = first?.0;
            index(list::next::<_, ASSOCIATION>(peek.slots.elements, first, index_.0))
        })
    }

    /// The first of the elements that a registrar owns.
    #[must_use]
    pub fn first_owned_by(&self, owner: RegistrarId) -> Option<ElementIndex> {
        index(self.peek().owner(owner)?.first)
    }

    /// The element after `index` of the same owner, in the order in which they came to it.
    #[must_use]
    pub fn next_owned(&self, ElementIndex(link): ElementIndex) -> Option<ElementIndex> {
        let peek = self.peek();
        let first = peek.slots.owners[slot(peek.slots.elements[slot(link)].owner)].first;
        index(list::next::<_, { slots::OWNER }>(peek.slots.elements, first, link))
    }

    /// Gives an element to another registrar.
    ///
    /// # Errors
    ///
    /// If there is no room for another owner.
    pub fn set_owner(
        &mut self,
        index: ElementIndex,
        owner: RegistrarId,
    ) -> Result<(), RegistrationError> {
        let mut core = self.core();
        if !core.has_room_for_owner(index.0, owner) {
            return Err(RegistrationError::Full(Resource::Owners));
        }
        core.leave_owner(index.0);
        core.join_owner(index.0, owner);
        Ok(())
    }

    /// How many elements a registrar owns.
    #[must_use]
    pub fn count_of(&self, owner: RegistrarId) -> usize {
        self.peek().owner(owner).map_or(0, |members| members.count as usize)
    }

    /// The checksum over the elements that a registrar owns (RFC 5353 §3.6.2), as the PE checksum
    /// parameter carries it.
    #[must_use]
    pub fn checksum(&self, owner: RegistrarId) -> u16 {
        checksum::finish(self.peek().owner(owner).map_or(0, |members| members.sum))
    }

    /// Sets an element's one deadline, in place of an earlier or later one.
    pub fn set_deadline(&mut self, index: ElementIndex, at: Instant, kind: DeadlineKind) {
        self.core().set_deadline(index.0, at, kind.0);
    }

    /// Forgets an element's deadline.
    pub fn clear_deadline(&mut self, index: ElementIndex) {
        self.core().clear_deadline(index.0);
    }

    /// An element's deadline.
    #[must_use]
    pub fn deadline(&self, index: ElementIndex) -> Option<(Instant, DeadlineKind)> {
        let due = core::deadline(self.peek().slots.due, index.0);
        due.map(|(at, kind)| (at, DeadlineKind(kind)))
    }

    /// The earliest of all deadlines.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        core::deadline(self.peek().slots.due, self.state.due.first).map(|(at, _)| at)
    }

    /// Takes the earliest deadline that is at `now` or before; the element stays.
    pub fn pop_deadline(&mut self, now: Instant) -> Option<(ElementIndex, DeadlineKind)> {
        let (link, kind) = self.core().pop_deadline(now)?;
        Some((ElementIndex(link), DeadlineKind(kind)))
    }

    /// Notes work that an element owes; the registrar chooses the bits.
    pub fn owe(&mut self, index: ElementIndex, bits: u8) {
        self.core().owe(index.0, bits);
    }

    /// Takes the element that owes something for the longest time, and all that it owes.
    pub fn next_owing(&mut self) -> Option<(ElementIndex, u8)> {
        let first = index(self.state.owed)?;
        Some((first, self.core().forgive(first.0)))
    }

    /// The registrar's small numbers about an element, to change them.
    pub fn scratch_mut(&mut self, index: ElementIndex) -> &mut Scratch {
        &mut self.storage.slots_mut().elements[slot(index.0)].scratch
    }

    /// The element after the cursor; only those of `owner`, if one is given. Pools come in an
    /// order of their own, which depends on their handles alone, and their elements by identifier.
    #[must_use]
    pub fn next_after(
        &self,
        cursor: Option<&Cursor>,
        owner: Option<RegistrarId>,
    ) -> Option<ElementIndex> {
        let mut found = None;
        self.walk_after(cursor, owner, |view| {
            found = Some(view.index());
            false
        });
        found
    }

    /// Shows the elements after the cursor, in the order of [`next_after`](Self::next_after),
    /// until `each` returns false.
    pub fn walk_after(
        &self,
        cursor: Option<&Cursor>,
        owner: Option<RegistrarId>,
        mut each: impl FnMut(&ElementView<'_>) -> bool,
    ) {
        self.peek().walk_after(cursor, owner, &mut each);
    }

    /// Looks whether all structures agree with each other, for tests and fuzzing.
    ///
    /// # Panics
    ///
    /// If they do not.
    pub fn check(&self) {
        self.peek().check();
    }
}

impl Peek<'_> {
    fn owner(&self, RegistrarId(key): RegistrarId) -> Option<&slots::Members> {
        match id_tree::find(self.slots.owner_ids, self.state.owner_top, key) {
            0 => None,
            link => Some(&self.slots.owners[slot(link)]),
        }
    }
}

fn index(link: Link) -> Option<ElementIndex> {
    (link != 0).then_some(ElementIndex(link))
}
