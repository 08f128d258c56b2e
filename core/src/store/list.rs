//! Doubly linked lists through slots.

use super::{Link, slot};

/// A slot's place in a list: a circle without a beginning; the head remembers one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) before: Link,
    pub(crate) after: Link,
}

impl Place {
    pub(crate) const NONE: Self = Self { before: 0, after: 0 };
}

/// A slot that can be in the list that `LIST` names.
pub(crate) trait Linked<const LIST: usize> {
    fn place(&mut self) -> &mut Place;
    fn place_ref(&self) -> &Place;
}

/// Appends `link` to the circle that starts at `first`.
#[inline]
pub(crate) fn append<T: Linked<LIST>, const LIST: usize>(
    slots: &mut [T],
    first: &mut Link,
    link: Link,
) {
    if *first == 0 {
        *slots[slot(link)].place() = Place { before: link, after: link };
        *first = link;
    } else {
        insert_before(slots, *first, link);
    }
}

/// Puts `link` into a circle, before `after`.
#[inline]
pub(crate) fn insert_before<T: Linked<LIST>, const LIST: usize>(
    slots: &mut [T],
    after: Link,
    link: Link,
) {
    let before = core::mem::replace(&mut slots[slot(after)].place().before, link);
    slots[slot(before)].place().after = link;
    *slots[slot(link)].place() = Place { before, after };
}

/// Takes `link` out of the circle that starts at `first`.
#[inline]
pub(crate) fn remove<T: Linked<LIST>, const LIST: usize>(
    slots: &mut [T],
    first: &mut Link,
    link: Link,
) {
    let Place { before, after } = core::mem::replace(slots[slot(link)].place(), Place::NONE);
    if after == link {
        *first = 0;
        return;
    }
    slots[slot(before)].place().after = after;
    slots[slot(after)].place().before = before;
    if *first == link {
        *first = after;
    }
}

/// The one after `link`; 0 after the last of the circle that starts at `first`.
#[inline]
pub(crate) fn next<T: Linked<LIST>, const LIST: usize>(
    slots: &[T],
    first: Link,
    link: Link,
) -> Link {
    let after = slots[slot(link)].place_ref().after;
    if after == first { 0 } else { after }
}
