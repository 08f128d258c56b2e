//! Tables of a registrar on the heap.

use rserpool_core::enrp::{
    AdoptionSlot, AssociationSlot, ChallengeSlot, EventSlot, Lent, LinkSlot, PEERS_MAX, PeerSlot,
    REPLIES_PER_INPUT_MAX, ReplySlot, ReportSlot, SubscriptionSlot, Tables,
};

/// The tables that a registrar needs beside its handlespace, allocated once.
#[derive(Debug)]
pub struct HeapTables {
    associations: Box<[AssociationSlot]>,
    replies: Box<[ReplySlot]>,
    reports: Box<[ReportSlot]>,
    challenges: Box<[ChallengeSlot]>,
    events: Box<[EventSlot]>,
    peers: Box<[PeerSlot]>,
    links: Box<[LinkSlot]>,
    adoptions: Box<[AdoptionSlot]>,
    changes: Box<[u8]>,
    subscriptions: Box<[SubscriptionSlot]>,
}

/// How long each table is; see [`Lent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLengths {
    /// Associations with elements and users.
    pub associations: usize,
    /// Replies not yet drained.
    pub replies: usize,
    /// Unreachable reports.
    pub reports: usize,
    /// Registrations that wait for the outcome of a challenge.
    pub challenges: usize,
    /// Events not yet drained.
    pub events: usize,
    /// Peers; there are twice as many associations with them.
    pub peers: usize,
    /// Elements that are reached out to at a time.
    pub adoptions: usize,
    /// Bytes of changes that peers have not taken yet.
    pub changes: usize,
    /// Subscriptions of users.
    pub subscriptions: usize,
}

impl HeapTables {
    /// Tables for that many associations at a time, and in proportion to them of all else.
    #[must_use]
    pub fn new(associations: usize) -> Self {
        Self::of_lengths(TableLengths {
            associations,
            replies: REPLIES_PER_INPUT_MAX * 8,
            reports: associations.clamp(64, 4_096),
            challenges: associations.clamp(4, 64),
            events: 1_024,
            peers: PEERS_MAX,
            adoptions: 64,
            changes: CHANGES_LEN_MIN.max(associations * CHANGE_LEN),
            subscriptions: associations.clamp(16, 1_024),
        })
    }

    /// Tables as long as that.
    #[must_use]
    pub fn of_lengths(lengths: TableLengths) -> Self {
        Self {
            associations: vec![AssociationSlot::FREE; lengths.associations].into(),
            replies: vec![ReplySlot::FREE; lengths.replies].into(),
            reports: vec![ReportSlot::FREE; lengths.reports].into(),
            challenges: vec![ChallengeSlot::FREE; lengths.challenges].into(),
            events: vec![EventSlot::FREE; lengths.events].into(),
            peers: vec![PeerSlot::FREE; lengths.peers].into(),
            links: vec![LinkSlot::FREE; 2 * lengths.peers].into(),
            adoptions: vec![AdoptionSlot::FREE; lengths.adoptions].into(),
            changes: vec![0; lengths.changes].into(),
            subscriptions: vec![SubscriptionSlot::FREE; lengths.subscriptions].into(),
        }
    }
}

impl Tables for HeapTables {
    fn lend(&mut self) -> Lent<'_> {
        Lent {
            associations: &mut self.associations,
            replies: &mut self.replies,
            reports: &mut self.reports,
            challenges: &mut self.challenges,
            events: &mut self.events,
            peers: &mut self.peers,
            links: &mut self.links,
            adoptions: &mut self.adoptions,
            changes: &mut self.changes,
            subscriptions: &mut self.subscriptions,
        }
    }
}

/// Some ten thousand changes that slow peers have not taken yet, even of a small registrar.
const CHANGES_LEN_MIN: usize = 1 << 20;

/// What the change of an element takes: a peer misses none if all elements change at once.
const CHANGE_LEN: usize = 128;
