//! The cache of resolved pools, the requests that fill it, and what a response must be like.

use core::net::{IpAddr, Ipv4Addr};

use heapless::Vec;

use crate::asap::user_transport::UserTransport;
use crate::entropy::Entropy;
use crate::handlespace::{Cursor, Handlespace, Inline, NewElement};
use crate::identifier::{PeId, PoolHandle, PoolHandleBuf, RegistrarId};
use crate::time::Instant;
use crate::wire::{
    self, Policy, PolicyType, PoolElements, Protocol, RegistrationLife, TransportBuf, TransportUse,
};

/// A pool element as a user needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedElement {
    /// Its identifier.
    pub id: PeId,
    /// Its home registrar.
    pub home: RegistrarId,
    /// How to reach it.
    pub transport: UserTransport,
    /// The pool's policy and this element's values.
    pub policy: Policy,
}

impl ResolvedElement {
    /// Takes an element from a message, if a user could connect to it.
    pub(crate) fn of_usable(element: &wire::PoolElement<'_>) -> Option<Self> {
        Some(Self {
            id: element.id,
            home: element.home,
            transport: UserTransport::of_usable(element.user_transport)?,
            policy: element.policy,
        })
    }
}

/// A pool: what is known of it and what is being asked.
#[derive(Clone, Debug)]
pub(super) struct Pool<const ELEMENTS: usize> {
    pub(super) handle: PoolHandleBuf,
    pub(super) elements: Vec<ResolvedElement, ELEMENTS>,
    /// What selects among them.
    selection: Handlespace<Inline<ELEMENTS, 1, 1>>,
    /// Until then the elements are good for an answer.
    fresh_until: Instant,
    /// How many elements were asked for.
    pub(super) items: u32,
    pub(super) request: Option<Request>,
    pub(super) watch: Watch,
    /// What is known of it has been told anew, and the user has not heard of that yet.
    pub(super) is_news: bool,
    /// When it was last resolved, to find the one that makes room.
    pub(super) last_use: Instant,
}

/// A handle resolution that is owed or under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) items: u32,
    /// T1-ENRPrequest. It also runs while there is no registrar to ask.
    pub(super) t1: Instant,
    pub(super) sent: bool,
    /// How often T1 has expired.
    pub(super) timeout_count: u8,
    /// Whether it was sent with the S bit.
    pub(super) subscribes: bool,
}

/// What is done about a pool whose changes the user wants to hear of (RFC 5352 §2.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Watch {
    /// Nothing: it does not want to.
    #[default]
    No,
    /// A request is owed or under way.
    Asking,
    /// The registrar tells of changes.
    Subscribed,
    /// It does not, or it knows no such pool: it is asked again.
    Again {
        /// When.
        at: Instant,
    },
}

impl<const ELEMENTS: usize> Pool<ELEMENTS> {
    pub(super) fn new(handle: PoolHandle<'_>, now: Instant) -> Self {
        Self {
            handle: handle.to_buf(),
            elements: Vec::new(),
            selection: Handlespace::new(Inline::new()),
            fresh_until: Instant::ZERO,
            items: 0,
            request: None,
            watch: Watch::No,
            is_news: false,
            last_use: now,
        }
    }

    /// RFC 5352 §3.3, C1 and C4: the cache answers as long as it is not stale. What a registrar
    /// tells the changes of never is.
    pub(super) fn is_fresh(&self, now: Instant, items: u32) -> bool {
        let is_current = self.watch == Watch::Subscribed || now < self.fresh_until;
        is_current && items <= self.items && !self.elements.is_empty()
    }

    /// Asks for so many elements, unless a request that has not been sent yet can ask for all.
    pub(super) fn want(&mut self, items: u32, t1: Instant) {
        match &mut self.request {
            Some(request) if !request.sent => request.items = request.items.max(items),
            // The answer will not do; on_answered() asks again.
            Some(_) => {}
            None => {
                let (sent, timeout_count, subscribes) = (false, 0, false);
                self.request = Some(Request { items, t1, sent, timeout_count, subscribes });
            }
        }
    }

    /// Answers from the cache are selected as the registrar would, by the pool's policy.
    pub(super) fn select(&mut self, random: &mut impl Entropy) {
        let (pool, elements) = (self.handle.as_handle(), &mut self.elements);
        let mut place = 0;
        // Where nothing may be selected the order stays as it is.
        let _ = self.selection.resolve(pool, ELEMENTS, random, |view| {
            let rest = elements.get_mut(place..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|element| element.id == view.pe_id()) {
                rest[..=at].rotate_right(1);
                place += 1;
            }
            true
        });
    }

    /// Forgets an element.
    pub(super) fn remove(&mut self, pe_id: PeId) {
        self.elements.retain(|element| element.id != pe_id);
        self.selection.deregister(self.handle.as_handle(), pe_id);
    }

    /// Selects among the elements as they are listed, of which the first has had its turn.
    fn begin_selection(&mut self, random: &mut impl Entropy) {
        self.selection = Handlespace::new(Inline::new());
        self.enter_selection();
        let _ = self.selection.resolve(self.handle.as_handle(), 1, random, |_| true);
    }

    /// Selects among the elements that there are now; who was there before keeps its turn.
    fn go_on_with_selection(&mut self) {
        let pool = self.handle;
        let mut cursor = None;
        // Each round passes an element.
        while let Some(index) = self.selection.next_after(cursor.as_ref(), None) {
            let pe_id = self.selection.element(index).pe_id();
            cursor = Some(Cursor { pool, pe_id });
            if !self.elements.iter().any(|element| element.id == pe_id) {
                self.selection.remove(index);
            }
        }
        if !self.enter_selection() {
            // Another policy than before.
            self.selection = Handlespace::new(Inline::new());
            self.enter_selection();
        }
    }

    /// Enters all elements; false if one does not fit to the others. Where they are is of no
    /// matter to the selection.
    fn enter_selection(&mut self) -> bool {
        let pool = self.handle.as_handle();
        let anywhere: &[IpAddr] = &[Ipv4Addr::LOCALHOST.into()];
        let (protocol, purpose) = (Protocol::Sctp, TransportUse::Data);
        let Ok(transport) = TransportBuf::<16>::new(protocol, 1, purpose, anywhere) else {
            return false;
        };
        self.elements.iter().all(|element| {
            let (id, life) = (element.id, RegistrationLife::INFINITE);
            let wire = wire::PoolElement::new(id, life, transport.as_transport(), element.policy);
            let (owner, association) = (RegistrarId(1), None);
            let new = NewElement { pool, element: &wire, owner, association };
            self.selection.register(&new).is_ok()
        })
    }

    /// Takes what a response lists and a user could use: elements of the pool's policy, each once,
    /// with an address. True if there is any.
    ///
    /// RFC 5352 §2.2.6: without a policy in front the pool's is round robin.
    pub(super) fn fill(
        &mut self,
        items: u32,
        fresh_until: Instant,
        policy: Option<Policy>,
        listed: PoolElements<'_>,
        random: &mut impl Entropy,
    ) -> bool {
        let overall = policy.map_or(PolicyType::ROUND_ROBIN, |policy| policy.policy_type());
        self.elements.clear();
        self.fresh_until = fresh_until;
        self.items = items;
        for element in listed {
            let is_new = self.elements.iter().all(|known| known.id != element.id);
            if !is_new || element.policy.policy_type() != overall {
                continue;
            }
            if let Some(usable) = ResolvedElement::of_usable(&element)
                && self.elements.push(usable).is_err()
            {
                break;
            }
        }
        // An update is no selection.
        match self.request {
            Some(_) => self.begin_selection(random),
            None => self.go_on_with_selection(),
        }
        !self.elements.is_empty()
    }
}
