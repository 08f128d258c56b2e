//! Pieces of a session between a pool user and a pool element: whom to fail over to, the newest
//! cookie, business cards.
//!
//! Read RFC 5352 §3.8 and §3.9 before editing this file.
//!
//! The control channel is stream 0 of the data association, with the payload protocol identifier
//! of ASAP. [`Session`] is the pool user's side of one session; on the element's side there is
//! nothing to keep, so there are only functions: [`read_control`], [`emit_cookie`],
//! [`emit_business_card`], and [`cookie`](super::cookie) for what cookies hold.
//!
//! Absent: connecting, timeouts, and the decision that an element has failed; they belong to the
//! user of the session, who knows what silence means in its protocol.

use heapless::Vec;

use super::InputError;
use super::answer::message_to;
use super::user::ResolvedElement;
use super::user_transport;
use crate::association::{AssociationId, Ppid, Transmit};
use crate::identifier::{PeId, PoolHandle, PoolHandleBuf};
use crate::wire::asap::{AsapMessage, BusinessCard, BusinessCardBuilder, Cookie, CookieEcho};
use crate::wire::{self, EmitError, RegistrationLife, TransportUse};

/// The longest cookie that a [`Session`] keeps unless told otherwise.
pub const COOKIE_LEN_DEFAULT: usize = 1024;

/// A pool user's session with one element of a pool at a time.
///
/// ```
/// use rserpool_core::asap::Session;
/// use rserpool_core::identifier::PoolHandle;
///
/// let pool = PoolHandle::new(b"ComputePool")?;
/// let mut session: Session = Session::new(pool);
/// // Nothing was resolved yet, so there is nobody to connect to.
/// assert!(session.next_element().is_none());
/// # Ok::<(), rserpool_core::identifier::PoolHandleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session<const CANDIDATES: usize = 8, const COOKIE_LEN: usize = COOKIE_LEN_DEFAULT> {
    pool: PoolHandleBuf,
    candidates: Vec<ResolvedElement, CANDIDATES>,
    /// The order of failover that the element recommends.
    preferred: Vec<PeId, CANDIDATES>,
    failed: Vec<PeId, CANDIDATES>,
    state: State,
    cookie: Vec<u8, COOKIE_LEN>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody was chosen, or it failed.
    Alone,
    /// Chosen, not connected.
    Chosen {
        pe_id: PeId,
        control: bool,
    },
    Connected {
        pe_id: PeId,
        association: AssociationId,
        control: bool,
        owes_echo: bool,
    },
}

/// What a control message has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionNews {
    /// There is a new cookie.
    Cookie,
    /// There is a new order of failover.
    FailoverOrder,
}

impl<const CANDIDATES: usize, const COOKIE_LEN: usize> Session<CANDIDATES, COOKIE_LEN> {
    /// A session with nobody yet.
    #[must_use]
    pub fn new(pool: PoolHandle<'_>) -> Self {
        Self {
            pool: pool.to_buf(),
            candidates: Vec::new(),
            preferred: Vec::new(),
            failed: Vec::new(),
            state: State::Alone,
            cookie: Vec::new(),
        }
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> PoolHandle<'_> {
        self.pool.as_handle()
    }

    /// Takes the outcome of a handle resolution: the preferred element first. As many as there is
    /// room for are kept; what was offered before is forgotten.
    pub fn offer(&mut self, elements: &[ResolvedElement]) {
        self.candidates.clear();
        for element in elements.iter().take(CANDIDATES) {
            let _ = self.candidates.push(element.clone());
        }
    }

    /// Chooses the element to connect to: the first that has not failed, in the order that the
    /// last element recommended (RFC 5352 §3.9, BC2), then in the order of the resolution. `None`
    /// means to resolve again, and after that to [`forgive`](Self::forgive).
    pub fn next_element(&mut self) -> Option<&ResolvedElement> {
        let index = self.recommended().or_else(|| {
            self.candidates.iter().position(|element| !self.failed.contains(&element.id))
        })?;
        let chosen = self.candidates.get(index)?;
        let control = chosen.transport.transport_use == TransportUse::DataPlusControl;
        self.state = State::Chosen { pe_id: chosen.id, control };
        Some(chosen)
    }

    /// Whether [`next_element`](Self::next_element) chooses one that a business card recommends,
    /// so that nobody needs to be asked.
    #[must_use]
    pub fn has_recommendation(&self) -> bool {
        self.recommended().is_some()
    }

    /// The best candidate of those that the last element recommended.
    fn recommended(&self) -> Option<usize> {
        let mut usable = self.preferred.iter().filter(|pe_id| !self.failed.contains(pe_id));
        usable.find_map(|pe_id| self.candidates.iter().position(|element| element.id == *pe_id))
    }

    /// The association to the chosen element is up. If there is a cookie, its echo is owed now,
    /// before anything else on the control channel (RFC 5352 §3.8).
    pub fn on_up(&mut self, association: AssociationId) {
        if let State::Chosen { pe_id, control } = self.state {
            let owes_echo = control && !self.cookie.is_empty();
            self.state = State::Connected { pe_id, association, control, owes_echo };
        }
    }

    /// The chosen or connected element has failed, by whatever sign. Says who it was, for
    /// [`report_unreachable`](super::PoolUser::report_unreachable); the next choice leaves it out.
    pub fn on_failed(&mut self) -> Option<PeId> {
        let pe_id = self.current()?;
        self.state = State::Alone;
        // A recommendation is good for one attempt.
        self.preferred.retain(|preferred| *preferred != pe_id);
        if !self.failed.contains(&pe_id) {
            if self.failed.is_full() {
                self.failed.remove(0);
            }
            let _ = self.failed.push(pe_id);
        }
        Some(pe_id)
    }

    /// Forgets who has failed: when nobody else is left, or after success.
    pub fn forgive(&mut self) {
        self.failed.clear();
    }

    /// The element that is chosen or connected.
    #[must_use]
    pub const fn current(&self) -> Option<PeId> {
        match self.state {
            State::Alone => None,
            State::Chosen { pe_id, .. } | State::Connected { pe_id, .. } => Some(pe_id),
        }
    }

    /// The newest cookie.
    #[must_use]
    pub fn cookie(&self) -> Option<&[u8]> {
        (!self.cookie.is_empty()).then_some(&*self.cookie)
    }

    /// Forgets the cookie: the work that it belongs to is done.
    pub fn drop_cookie(&mut self) {
        self.cookie.clear();
        if let State::Connected { owes_echo, .. } = &mut self.state {
            *owes_echo = false;
        }
    }

    /// What comes next has nothing to do with what was: forgets the cookie, and the order of
    /// failover, so that the resolution alone chooses.
    pub fn begin_anew(&mut self) {
        self.drop_cookie();
        self.preferred.clear();
    }

    /// Takes a message of the control channel.
    ///
    /// # Errors
    ///
    /// If it is not from the connected element, is no cookie and no business card of this pool,
    /// or is a cookie too long to keep (the older one is kept then).
    pub fn on_control(
        &mut self,
        association: AssociationId,
        data: &[u8],
    ) -> Result<SessionNews, InputError> {
        match self.state {
            State::Connected { association: current, .. } if current == association => {}
            _ => return Err(InputError::Unexpected),
        }
        match read_control(data)? {
            Control::Cookie(cookie) => {
                let cookie = Vec::from_slice(cookie).map_err(|_| InputError::Full)?;
                self.cookie = cookie;
                Ok(SessionNews::Cookie)
            }
            Control::BusinessCard(card) => self.on_business_card(&card),
            Control::CookieEcho(_) => Err(InputError::Unexpected),
        }
    }

    /// RFC 5352 §3.9.
    fn on_business_card(&mut self, card: &BusinessCard<'_>) -> Result<SessionNews, InputError> {
        if card.pool_handle != self.pool.as_handle() {
            return Err(InputError::Unexpected);
        }
        self.preferred.clear();
        for listed in card.elements {
            if self.preferred.push(listed.id).is_err() {
                break;
            }
            let Some(element) = ResolvedElement::of_usable(&listed) else { continue };
            match self.candidates.iter_mut().find(|known| known.id == element.id) {
                // BC1: it may have moved.
                Some(known) => *known = element,
                // Without room the next resolution brings it.
                None => drop(self.candidates.push(element)),
            }
        }
        Ok(SessionNews::FailoverOrder)
    }

    /// The control message that is owed to the connected element, if there is one. Pull it before
    /// sending any data on a new association.
    #[must_use]
    pub fn poll_control(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        let State::Connected { association, owes_echo, .. } = &mut self.state else {
            return None;
        };
        if !*owes_echo {
            return None;
        }
        let len = CookieEcho::new(&self.cookie).emit(buf).ok()?;
        *owes_echo = false;
        Some(message_to(*association, len))
    }
}

/// A message of the control channel between pool users and pool elements.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Control<'a> {
    /// State for the pool user to keep.
    Cookie(&'a [u8]),
    /// State that another element gave to the pool user.
    CookieEcho(&'a [u8]),
    /// Whom to fail over to; from a pool user: of which pool it is an element itself.
    BusinessCard(BusinessCard<'a>),
}

/// Reads a message of the control channel.
///
/// # Errors
///
/// If it is anything else.
pub fn read_control(data: &[u8]) -> Result<Control<'_>, InputError> {
    // Errors are not reported to the peer: RSPLIB's sessions do not expect any.
    let parsed = super::answer::parse(AssociationId(0), Ppid::ASAP, data, &mut None)?;
    match parsed {
        AsapMessage::Cookie(message) => Ok(Control::Cookie(message.cookie)),
        AsapMessage::CookieEcho(message) => Ok(Control::CookieEcho(message.cookie)),
        AsapMessage::BusinessCard(card) => Ok(Control::BusinessCard(card)),
        _ => Err(InputError::Unexpected),
    }
}

/// Encodes an ASAP Cookie to the start of `buf` (RFC 5352 §2.2.11) and says how long it is. For
/// the sake of RSPLIB a cookie should have a multiple of four bytes, as sealed ones have.
///
/// # Errors
///
/// If `buf` is too short, or the cookie longer than a message can hold.
pub fn emit_cookie(cookie: &[u8], buf: &mut [u8]) -> Result<usize, EmitError> {
    Cookie::new(cookie).emit(buf)
}

/// Encodes a business card to the start of `buf` (RFC 5352 §2.2.13) and says how long it is: the
/// elements to fail over to, the best first, as many as fit.
///
/// RSPLIB cannot read business cards: send none unless both sides are known to be ours.
///
/// # Errors
///
/// If not even the pool handle fits.
pub fn emit_business_card<'a>(
    pool: PoolHandle<'_>,
    elements: impl IntoIterator<Item = &'a ResolvedElement>,
    buf: &mut [u8],
) -> Result<usize, EmitError> {
    let mut card = BusinessCardBuilder::new(buf, pool)?;
    for element in elements {
        // What cannot be registered was never resolved.
        let Ok(transport) = user_transport::encode(&element.transport) else { continue };
        let (life, transport) = (RegistrationLife::INFINITE, transport.as_transport());
        let mut listed = wire::PoolElement::new(element.id, life, transport, element.policy);
        listed.home = element.home;
        if card.element(&listed).is_err() {
            break;
        }
    }
    Ok(card.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asap::UserTransport;
    use crate::asap::trace::{bytes, hex, registrar};
    use crate::identifier::RegistrarId;
    use crate::wire::Policy;

    /// RSPLIB's, from `pingpong-failover-kill9`.
    const COOKIE: &str = "0b000018000d00143c50502d5444313e000000000000000b";
    const COOKIE_2: &str = "0b000018000d00143c50502d5444313e000000000000000c";
    const COOKIE_2_ECHO: &str = "0c000018000d00143c50502d5444313e000000000000000c";

    fn pool() -> PoolHandle<'static> {
        PoolHandle::new(b"PingPongPool").unwrap()
    }

    fn element(id: u32) -> ResolvedElement {
        ResolvedElement {
            id: PeId(id),
            home: RegistrarId(0x1111_1111),
            transport: UserTransport::sctp(registrar(20 + id as u8)),
            policy: Policy::RoundRobin,
        }
    }

    fn session_of(ids: &[u32]) -> Session {
        let mut session = Session::new(pool());
        let elements: std::vec::Vec<_> = ids.iter().map(|&id| element(id)).collect();
        session.offer(&elements);
        session
    }

    fn next(session: &mut Session) -> Option<u32> {
        session.next_element().map(|element| element.id.0)
    }

    fn poll(session: &mut Session) -> Option<(u32, std::string::String)> {
        let mut buf = [0; 64];
        match session.poll_control(&mut buf)? {
            Transmit::Message { association, len, .. } => Some((association.0, hex(&buf[..len]))),
            other => panic!("{other:?}"),
        }
    }

    fn control(
        session: &mut Session,
        association: u32,
        hex: &str,
    ) -> Result<SessionNews, InputError> {
        session.on_control(AssociationId(association), &bytes(hex))
    }

    fn card(pool: PoolHandle<'_>, ids: &[u32]) -> std::vec::Vec<u8> {
        let elements: std::vec::Vec<_> = ids.iter().map(|&id| element(id)).collect();
        let mut buf = [0; 512];
        let len = emit_business_card(pool, &elements, &mut buf).unwrap();
        buf[..len].to_vec()
    }

    #[test]
    fn fails_over_in_the_order_of_the_resolution_until_nobody_is_left() {
        let mut session = session_of(&[1, 2, 3]);
        assert_eq!(session.current(), None);
        assert_eq!(next(&mut session), Some(1));
        assert_eq!(session.on_failed(), Some(PeId(1)));
        assert_eq!(session.on_failed(), None, "one event, one report");
        assert_eq!(next(&mut session), Some(2));
        session.on_up(AssociationId(7));
        assert_eq!(session.current(), Some(PeId(2)));
        assert_eq!(session.on_failed(), Some(PeId(2)));
        assert_eq!(next(&mut session), Some(3));
        session.on_failed();
        assert_eq!(next(&mut session), None);
        // A new resolution does not make the dead alive, forgiveness does.
        session.offer(&[element(1)]);
        assert_eq!(next(&mut session), None);
        session.forgive();
        assert_eq!(next(&mut session), Some(1));
    }

    #[test]
    fn the_newest_cookie_is_echoed_first_on_the_new_association() {
        let mut session = session_of(&[1, 2]);
        next(&mut session);
        session.on_up(AssociationId(1));
        assert_eq!(poll(&mut session), None, "no cookie yet");
        assert_eq!(control(&mut session, 1, COOKIE), Ok(SessionNews::Cookie));
        assert_eq!(control(&mut session, 1, COOKIE_2), Ok(SessionNews::Cookie));
        assert_eq!(poll(&mut session), None, "its maker needs no echo");
        session.on_failed();
        next(&mut session);
        assert_eq!(poll(&mut session), None, "not connected yet");
        session.on_up(AssociationId(2));
        assert_eq!(poll(&mut session), Some((2, COOKIE_2_ECHO.into())));
        assert_eq!(poll(&mut session), None, "once");
        assert_eq!(session.cookie().unwrap(), &bytes(COOKIE_2)[8..], "for the next failover");
    }

    #[test]
    fn a_finished_piece_of_work_takes_its_cookie_with_it() {
        let mut session = session_of(&[1, 2]);
        next(&mut session);
        session.on_up(AssociationId(1));
        control(&mut session, 1, COOKIE).unwrap();
        session.on_failed();
        next(&mut session);
        session.on_up(AssociationId(2));
        session.drop_cookie();
        assert_eq!((poll(&mut session), session.cookie()), (None, None));
    }

    #[test]
    fn an_element_without_control_channel_gets_no_echo() {
        let mut session = session_of(&[1]);
        next(&mut session);
        session.on_up(AssociationId(1));
        control(&mut session, 1, COOKIE).unwrap();
        session.on_failed();
        let mut data_only = element(2);
        data_only.transport.transport_use = TransportUse::Data;
        session.offer(&[data_only]);
        next(&mut session);
        session.on_up(AssociationId(2));
        assert_eq!(poll(&mut session), None);
    }

    #[test]
    fn a_cookie_that_is_too_long_leaves_the_older_one() {
        let mut session = Session::<2, 20>::new(pool());
        session.offer(&[element(1)]);
        session.next_element();
        session.on_up(AssociationId(1));
        assert_eq!(session.on_control(AssociationId(1), &bytes(COOKIE)), Ok(SessionNews::Cookie));
        let mut buf = [0; 64];
        let len = emit_cookie(&[7; 21], &mut buf).unwrap();
        let refused = session.on_control(AssociationId(1), &buf[..len]);
        assert_eq!(refused, Err(InputError::Full));
        assert_eq!(session.cookie().unwrap(), &bytes(COOKIE)[8..]);
    }

    #[test]
    fn control_messages_count_only_from_the_connected_element() {
        let mut session = session_of(&[1]);
        assert_eq!(control(&mut session, 1, COOKIE), Err(InputError::Unexpected));
        next(&mut session);
        assert_eq!(control(&mut session, 1, COOKIE), Err(InputError::Unexpected));
        session.on_up(AssociationId(1));
        assert_eq!(control(&mut session, 2, COOKIE), Err(InputError::Unexpected));
        assert_eq!(control(&mut session, 1, COOKIE_2_ECHO), Err(InputError::Unexpected));
        assert!(control(&mut session, 1, &COOKIE[..20]).is_err());
        assert_eq!(session.cookie(), None);
    }

    #[test]
    fn a_business_card_rules_the_order_of_failover() {
        let mut session = session_of(&[1, 2, 3]);
        next(&mut session);
        session.on_up(AssociationId(1));
        // 9 is not known from the resolution, 1 is the element itself.
        let card = card(pool(), &[9, 1, 3]);
        let news = session.on_control(AssociationId(1), &card);
        assert_eq!(news, Ok(SessionNews::FailoverOrder));
        for expected in [Some(9), Some(3), Some(2), None] {
            session.on_failed();
            assert_eq!(next(&mut session), expected);
        }
    }

    #[test]
    fn a_business_card_of_another_pool_is_refused() {
        let mut session = session_of(&[1, 2]);
        next(&mut session);
        session.on_up(AssociationId(1));
        let card = card(PoolHandle::new(b"Elsewhere").unwrap(), &[9]);
        let news = session.on_control(AssociationId(1), &card);
        assert_eq!(news, Err(InputError::Unexpected));
    }

    #[test]
    fn a_business_card_takes_as_many_elements_as_fit() {
        let card = card(pool(), &[5; 40]);
        let Ok(Control::BusinessCard(card)) = read_control(&card) else { panic!("no card") };
        assert_eq!(card.elements.iter().count(), (512 - 20) / 40);
    }

    #[test]
    fn a_business_card_stands_on_the_wire_as_the_rfc_draws_it() {
        let card = card(pool(), &[2]);
        assert_eq!(
            hex(&card),
            "0d00003c0009001050696e67506f6e67506f6f6c000a002800000002\
             11111111ffffffff000400100f170001000100080a4d00160008000800000001"
        );
    }

    #[test]
    fn a_recommendation_is_followed_once_and_a_new_session_follows_none() {
        let mut session = session_of(&[1]);
        next(&mut session);
        session.on_up(AssociationId(1));
        assert!(!session.has_recommendation());
        session.on_control(AssociationId(1), &card(pool(), &[2, 3])).unwrap();
        session.on_failed();
        assert!(session.has_recommendation());
        assert_eq!(next(&mut session), Some(2));
        session.on_up(AssociationId(2));
        session.forgive();
        session.on_failed();
        assert_eq!(next(&mut session), Some(3), "2 was tried");
        session.on_up(AssociationId(3));
        session.on_control(AssociationId(3), &card(pool(), &[2])).unwrap();
        session.forgive();
        session.begin_anew();
        session.offer(&[element(1), element(2)]);
        assert!(!session.has_recommendation());
        assert_eq!(next(&mut session), Some(1));
    }

    #[test]
    fn a_business_card_tells_where_an_element_is_now() {
        let mut session = session_of(&[1, 2]);
        next(&mut session);
        session.on_up(AssociationId(1));
        let mut moved = element(2);
        moved.transport = UserTransport::sctp(registrar(77));
        let mut buf = [0; 128];
        let len = emit_business_card(pool(), [&moved], &mut buf).unwrap();
        session.on_control(AssociationId(1), &buf[..len]).unwrap();
        session.on_failed();
        assert_eq!(session.next_element(), Some(&moved));
    }

    #[test]
    fn a_flood_of_failures_forgets_the_oldest() {
        let mut session = session_of(&[1]);
        for id in 1..=9 {
            session.offer(&[element(id)]);
            assert_eq!(next(&mut session), Some(id));
            session.on_failed();
        }
        session.offer(&[element(1)]);
        assert_eq!(next(&mut session), Some(1));
    }

    #[test]
    fn elements_read_echoes_and_nothing_else() {
        let echo = bytes(COOKIE_2_ECHO);
        assert!(
            matches!(read_control(&echo), Ok(Control::CookieEcho(cookie)) if cookie.len() == 16)
        );
        assert!(matches!(read_control(b"\x20\0\0\x04"), Err(InputError::UnknownMessage)));
        let keep_alive = bytes("07000018111111110009001050696e67506f6e67506f6f6c");
        assert!(matches!(read_control(&keep_alive), Err(InputError::Unexpected)));
    }
}
