//! What the transport's task knows of its associations and attempts.

use std::collections::{HashMap, VecDeque};

use rserpool_core::association::{AssociationId, ConnectId, Endpoint, Ppid, RoundTrip, StreamId};
use rserpool_core::sctp::Handle;
use rserpool_core::time::Instant;

use super::tcp::FIRST_ID as FIRST_TCP_ID;

/// An association that is up.
#[derive(Debug)]
pub(crate) struct Association {
    pub(crate) handle: Handle,
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
    ids: HashMap<Handle, AssociationId>,
    last_id: u32,
}

impl Associations {
    /// Adds an association of SCTP port `port`; gives it a number that no other has.
    pub(crate) fn insert(&mut self, handle: Handle, port: u16) -> AssociationId {
        loop {
            self.last_id = self.last_id.wrapping_add(1) % FIRST_TCP_ID;
            let id = AssociationId(self.last_id);
            if self.by_id.contains_key(&id) {
                continue;
            }
            let association = Association {
                handle,
                port,
                outbox: VecDeque::new(),
                outbox_len: 0,
                is_leaving: false,
                is_unread: false,
                round_trip: RoundTrip::default(),
            };
            self.by_id.insert(id, association);
            self.ids.insert(handle, id);
            return id;
        }
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<(AssociationId, Association)> {
        let id = self.ids.remove(&handle)?;
        self.by_id.remove(&id).map(|association| (id, association))
    }

    pub(crate) fn id(&self, handle: Handle) -> Option<AssociationId> {
        self.ids.get(&handle).copied()
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
    pub(crate) handles: Vec<Handle>,
}

/// All attempts, and which association being set up belongs to which.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    by_id: HashMap<AttemptId, Attempt>,
    ids: HashMap<Handle, AttemptId>,
}

impl Attempts {
    pub(crate) fn insert(&mut self, id: AttemptId, attempt: Attempt) {
        self.by_id.insert(id, attempt);
    }

    pub(crate) fn get_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.by_id.get_mut(&id)
    }

    /// Another association is being set up for this attempt.
    pub(crate) fn add_handle(&mut self, id: AttemptId, handle: Handle) {
        if let Some(attempt) = self.by_id.get_mut(&id) {
            attempt.handles.push(handle);
            self.ids.insert(handle, id);
        }
    }

    /// An association being set up came to nothing; returns whose it was.
    pub(crate) fn remove_handle(&mut self, handle: Handle) -> Option<AttemptId> {
        let id = self.ids.remove(&handle)?;
        if let Some(attempt) = self.by_id.get_mut(&id) {
            attempt.handles.retain(|&other| other != handle);
        }
        Some(id)
    }

    pub(crate) fn id(&self, handle: Handle) -> Option<AttemptId> {
        self.ids.get(&handle).copied()
    }

    pub(crate) fn remove(&mut self, id: AttemptId) -> Option<Attempt> {
        let attempt = self.by_id.remove(&id)?;
        for handle in &attempt.handles {
            self.ids.remove(handle);
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
    fn has_more(&self) -> bool {
        self.next_index < self.endpoint.addresses.len()
    }
}
