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

impl HeapTables {
    /// Tables for that many associations at a time, and in proportion to them of all else.
    #[must_use]
    pub fn new(associations: usize) -> Self {
        Self {
            associations: vec![AssociationSlot::FREE; associations].into(),
            replies: vec![ReplySlot::FREE; REPLIES_PER_INPUT_MAX * 8].into(),
            reports: vec![ReportSlot::FREE; associations.clamp(64, 4_096)].into(),
            challenges: vec![ChallengeSlot::FREE; associations.clamp(4, 64)].into(),
            events: vec![EventSlot::FREE; 1_024].into(),
            peers: vec![PeerSlot::FREE; PEERS_MAX].into(),
            links: vec![LinkSlot::FREE; 2 * PEERS_MAX].into(),
            adoptions: vec![AdoptionSlot::FREE; 64].into(),
            changes: vec![0; CHANGES_LEN].into(),
            subscriptions: vec![SubscriptionSlot::FREE; associations.clamp(16, 1_024)].into(),
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

/// Some ten thousand changes that slow peers have not taken yet.
const CHANGES_LEN: usize = 1 << 20;
