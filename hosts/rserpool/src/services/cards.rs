//! Business cards of an element (RFC 5352 §3.9): whom its users may turn to when it fails.
//!
//! Read RFC 5352 §3.9 before editing this file. RSPLIB's users cannot read business cards, so an
//! element sends them only if it is told to.

use rserpool_core::asap::{ResolvedElement, emit_business_card};
use rserpool_core::identifier::{PeId, PoolHandleBuf};

/// What an element writes on its business cards.
#[derive(Clone, Debug)]
pub(super) struct Cards {
    pool: PoolHandleBuf,
    /// Whom the cards are of.
    pe_id: PeId,
    /// The others in the pool, the one to be preferred first; `None` until they are known.
    alternates: Option<Vec<ResolvedElement>>,
}

/// A session's business card.
#[derive(Clone, Debug, Default)]
pub(super) struct Card {
    /// How many sessions there were before: where its list begins.
    ordinal: usize,
    /// Who stands on the one that was sent last, if any was.
    said: Option<Vec<PeId>>,
}

impl Cards {
    pub(super) fn new(pool: PoolHandleBuf, pe_id: PeId) -> Self {
        Self { pool, pe_id, alternates: None }
    }

    /// Takes the elements of the pool, the one to be preferred first.
    pub(super) fn set_elements(&mut self, elements: &[ResolvedElement]) {
        let others = elements.iter().filter(|element| element.id != self.pe_id);
        self.alternates = Some(others.cloned().collect());
    }

    /// Writes the card that is owed to a user, if any is: the first one when the session begins,
    /// another when one of those on it has gone, or when others have come and it had room for
    /// them. Another order alone is no news.
    pub(super) fn poll(&self, card: &mut Card, buf: &mut [u8]) -> Option<usize> {
        let elements = self.listed(card.ordinal)?;
        if card.said.as_ref().is_some_and(|said| !self.is_outdated(said)) {
            return None;
        }
        card.said = Some(elements.iter().map(|element| element.id).collect());
        emit_business_card(self.pool.as_handle(), elements, buf).ok()
    }

    fn is_outdated(&self, said: &[PeId]) -> bool {
        let others = self.alternates.as_deref().unwrap_or_default();
        let is_there = |pe_id: &PeId| others.iter().any(|element| element.id == *pe_id);
        said.len() < others.len().min(CARD_ELEMENTS_MAX) || !said.iter().all(is_there)
    }

    /// Who stands on a card. Each session begins one further in the list, so that not all go to
    /// the same one when this element fails.
    fn listed(&self, ordinal: usize) -> Option<Vec<&ResolvedElement>> {
        let alternates = self.alternates.as_ref()?;
        let begin = ordinal.checked_rem(alternates.len()).unwrap_or(0);
        let turned = alternates.iter().cycle().skip(begin);
        Some(turned.take(alternates.len().min(CARD_ELEMENTS_MAX)).collect())
    }
}

impl Card {
    pub(super) fn new(ordinal: usize) -> Self {
        Self { ordinal, said: None }
    }
}

/// As many as a user needs before it finds a registrar.
const CARD_ELEMENTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use rserpool_core::asap::{Control, UserTransport, read_control};
    use rserpool_core::association::Endpoint;
    use rserpool_core::identifier::{PoolHandle, RegistrarId};
    use rserpool_core::wire::Policy;

    use super::*;

    fn elements(ids: &[u32]) -> Vec<ResolvedElement> {
        let element = |&id| ResolvedElement {
            id: PeId(id),
            home: RegistrarId(1),
            transport: UserTransport::sctp(Endpoint::new("10.0.0.1:7001".parse().unwrap())),
            policy: Policy::RoundRobin,
        };
        ids.iter().map(element).collect()
    }

    fn cards() -> Cards {
        Cards::new(PoolHandle::new(b"EchoPool").unwrap().to_buf(), PeId(1))
    }

    fn polled(cards: &Cards, card: &mut Card) -> Option<Vec<u32>> {
        let mut buf = [0; 1_024];
        let len = cards.poll(card, &mut buf)?;
        let Ok(Control::BusinessCard(card)) = read_control(&buf[..len]) else { panic!() };
        assert_eq!((card.pool_handle.as_bytes(), card.policy), (&b"EchoPool"[..], None));
        Some(card.elements.iter().map(|element| element.id.0).collect())
    }

    #[test]
    fn a_full_card_is_news_again_when_one_of_it_has_gone() {
        let (mut cards, mut card) = (cards(), Card::new(0));
        let mut all: Vec<u32> = (2..14).collect();
        cards.set_elements(&elements(&all));
        assert_eq!(polled(&cards, &mut card), Some((2..10).collect()));
        all.rotate_left(5);
        cards.set_elements(&elements(&all));
        assert_eq!(polled(&cards, &mut card), None, "others come first, all are there");
        all.retain(|&id| id != 3);
        cards.set_elements(&elements(&all));
        assert_eq!(polled(&cards, &mut card), Some(vec![7, 8, 9, 10, 11, 12, 13, 2]));
    }

    #[test]
    fn a_card_lists_the_others_and_is_sent_once() {
        let (mut cards, mut card) = (cards(), Card::new(0));
        assert_eq!(polled(&cards, &mut card), None, "nothing is known yet");
        cards.set_elements(&elements(&[3, 1, 2]));
        assert_eq!(polled(&cards, &mut card), Some(vec![3, 2]));
        assert_eq!(polled(&cards, &mut card), None);
    }

    #[test]
    fn an_element_alone_still_says_which_pool_it_is_of() {
        let (mut cards, mut card) = (cards(), Card::new(5));
        cards.set_elements(&elements(&[1]));
        assert_eq!(polled(&cards, &mut card), Some(vec![]));
    }

    #[test]
    fn another_card_follows_when_others_come_or_go_but_not_for_another_order() {
        let (mut cards, mut card) = (cards(), Card::new(0));
        cards.set_elements(&elements(&[2, 3]));
        polled(&cards, &mut card);
        cards.set_elements(&elements(&[3, 2]));
        assert_eq!(polled(&cards, &mut card), None);
        cards.set_elements(&elements(&[3, 4]));
        assert_eq!(polled(&cards, &mut card), Some(vec![3, 4]));
        cards.set_elements(&elements(&[4]));
        assert_eq!(polled(&cards, &mut card), Some(vec![4]));
    }

    #[test]
    fn sessions_are_spread_over_the_others() {
        let mut cards = cards();
        cards.set_elements(&elements(&[2, 3, 4]));
        let first = |ordinal| polled(&cards, &mut Card::new(ordinal)).unwrap()[0];
        assert_eq!([0, 1, 2, 3].map(first), [2, 3, 4, 2]);
    }

    #[test]
    fn a_card_has_an_end() {
        let mut cards = cards();
        cards.set_elements(&elements(&(2..100).collect::<Vec<_>>()));
        assert_eq!(polled(&cards, &mut Card::new(97)), Some(vec![99, 2, 3, 4, 5, 6, 7, 8]));
    }
}
