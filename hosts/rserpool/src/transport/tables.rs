//! What the transport's task knows of its associations and attempts.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use rserpool_core::association::{AssociationId, ConnectId, Endpoint, Ppid, RoundTrip, StreamId};
use rserpool_core::sctp::Handle;
use rserpool_core::time::Instant;

use super::kernel::KernelLink;
use super::tcp::FIRST_ID as FIRST_TCP_ID;

/// An association, up or being set up, as the SCTP that has it calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    /// Our own.
    Userland(Handle),
    /// The kernel's.
    Kernel(KernelLink),
}

/// An association that is up.
#[derive(Debug)]
pub(crate) struct Association {
    pub(crate) link: Link,
    /// Our SCTP port.
    pub(crate) port: u16,
    /// Messages that the endpoint had no room for.
    pub(crate) outbox: VecDeque<Outgoing>,
    pub(crate) outbox_len: usize,
    /// To be shut down when the outbox is empty.
    pub(crate) is_leaving: bool,
    /// The endpoint has messages that the machine had no room for.
    pub(crate) is_unread: bool,
    /// What the machine was told of the round trip.
    pub(crate) round_trip: RoundTrip,
    /// When the kernel is asked for the round trip again.
    pub(crate) asks_at: Instant,
}

/// A message that waits to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) stream: StreamId,
    pub(crate) ppid: Ppid,
    pub(crate) data: Vec<u8>,
}

/// The associations that are up, by both of their names.
#[derive(Debug, Default)]
pub(crate) struct Associations {
    by_id: HashMap<AssociationId, Association>,
    ids: HashMap<Link, AssociationId>,
    last_id: u32,
}

impl Associations {
    /// Adds an association of SCTP port `port`; gives it a number that no other has.
    pub(crate) fn insert(&mut self, link: Link, port: u16) -> AssociationId {
        loop {
            self.last_id = self.last_id.wrapping_add(1) % FIRST_TCP_ID;
            let id = AssociationId(self.last_id);
            if self.by_id.contains_key(&id) {
                continue;
            }
            let association = Association {
                link,
                port,
                outbox: VecDeque::new(),
                outbox_len: 0,
                is_leaving: false,
                is_unread: false,
                round_trip: RoundTrip::default(),
                asks_at: Instant::ZERO,
            };
            self.by_id.insert(id, association);
            self.ids.insert(link, id);
            return id;
        }
    }

    pub(crate) fn remove(&mut self, link: Link) -> Option<(AssociationId, Association)> {
        let id = self.ids.remove(&link)?;
        self.by_id.remove(&id).map(|association| (id, association))
    }

    pub(crate) fn id(&self, link: Link) -> Option<AssociationId> {
        self.ids.get(&link).copied()
    }

    pub(crate) fn get_mut(&mut self, id: AssociationId) -> Option<&mut Association> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The numbers of those for which `filter` holds, the oldest first.
    pub(crate) fn ids_where(&self, filter: impl Fn(&Association) -> bool) -> Vec<AssociationId> {
        let chosen = self.by_id.iter().filter(|(_, association)| filter(association));
        let mut ids: Vec<_> = chosen.map(|(&id, _)| id).collect();
        ids.sort_unstable();
        ids
    }
}

/// A machine's attempt: its SCTP port and the machine's name for it.
pub(crate) type AttemptId = (u16, ConnectId);

/// An attempt to reach a peer at one of its addresses.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) endpoint: Endpoint,
    /// The address to try next.
    pub(crate) next_index: usize,
    /// When to try it, even if those before it are still silent.
    pub(crate) next_at: Instant,
    pub(crate) links: Vec<Link>,
    /// What the kernel is to try, one after the other: all addresses together, since they may be
    /// those of one peer, then each of them.
    pub(crate) kernel_plan: VecDeque<Vec<SocketAddr>>,
}

/// All attempts, and which association being set up belongs to which.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    by_id: HashMap<AttemptId, Attempt>,
    ids: HashMap<Link, AttemptId>,
}

impl Attempts {
    pub(crate) fn insert(&mut self, id: AttemptId, attempt: Attempt) {
        self.by_id.insert(id, attempt);
    }

    pub(crate) fn get_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.by_id.get_mut(&id)
    }

    /// Tries the next address no sooner than `at`.
    pub(crate) fn postpone(&mut self, id: AttemptId, at: Instant) {
        if let Some(attempt) = self.by_id.get_mut(&id) {
            attempt.next_at = at;
        }
    }

    /// Another association is being set up for this attempt.
    pub(crate) fn add_link(&mut self, id: AttemptId, link: Link) {
        if let Some(attempt) = self.by_id.get_mut(&id) {
            attempt.links.push(link);
            self.ids.insert(link, id);
        }
    }

    /// An association being set up came to nothing; returns whose it was.
    pub(crate) fn remove_link(&mut self, link: Link) -> Option<AttemptId> {
        let id = self.ids.remove(&link)?;
        if let Some(attempt) = self.by_id.get_mut(&id) {
            attempt.links.retain(|&other| other != link);
        }
        Some(id)
    }

    pub(crate) fn id(&self, link: Link) -> Option<AttemptId> {
        self.ids.get(&link).copied()
    }

    pub(crate) fn remove(&mut self, id: AttemptId) -> Option<Attempt> {
        let attempt = self.by_id.remove(&id)?;
        for link in &attempt.links {
            self.ids.remove(link);
        }
        Some(attempt)
    }

    /// The attempts of an SCTP port, or all.
    pub(crate) fn ids_of(&self, port: Option<u16>) -> Vec<AttemptId> {
        let mut ids: Vec<_> =
            self.by_id.keys().filter(|id| port.is_none_or(|port| id.0 == port)).copied().collect();
        ids.sort_unstable();
        ids
    }

    /// When the next address of an attempt is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let more = self.by_id.values().filter(|attempt| attempt.has_more());
        more.map(|attempt| attempt.next_at).min()
    }

    /// The attempts whose next address is due.
    pub(crate) fn due(&self, now: Instant) -> Vec<AttemptId> {
        let due =
            self.by_id.iter().filter(|(_, attempt)| attempt.has_more() && attempt.next_at <= now);
        let mut ids: Vec<_> = due.map(|(&id, _)| id).collect();
        ids.sort_unstable();
        ids
    }
}

impl Attempt {
    /// An attempt that nothing has been done for yet.
    pub(crate) fn new(endpoint: Endpoint, now: Instant) -> Self {
        let (links, kernel_plan) = (Vec::new(), VecDeque::new());
        Self { endpoint, next_index: 0, next_at: now, links, kernel_plan }
    }

    /// Lets the kernel try to reach the endpoint, too.
    pub(crate) fn plan_kernel(&mut self) {
        let addresses = self.endpoint.addresses.iter();
        let all: Vec<_> =
            addresses.map(|&address| SocketAddr::new(address, self.endpoint.port)).collect();
        let each = all.iter().filter(|_| all.len() > 1).map(|&address| vec![address]).collect();
        self.kernel_plan = each;
        self.kernel_plan.push_front(all);
    }

    fn has_more(&self) -> bool {
        self.next_index < self.endpoint.addresses.len()
    }
}
