//! Tables of a registrar of any size, down to tiny ones.

use rserpool_core::enrp::{
    AdoptionSlot, AssociationSlot, ChallengeSlot, EventSlot, Lent, LinkSlot, PeerSlot,
    REPLIES_PER_INPUT_MAX, ReplySlot, ReportSlot, SubscriptionSlot, Tables,
};

/// How much a registrar is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSizes {
    /// Elements of the handlespace; pools as well.
    pub elements: usize,
    /// Associations with elements and users.
    pub associations: usize,
    /// Unreachable reports.
    pub reports: usize,
    /// Registrations that wait for the outcome of a challenge.
    pub challenges: usize,
    /// Peers; there are twice as many associations with them.
    pub peers: usize,
    /// Elements that are reached out to at a time.
    pub adoptions: usize,
    /// Bytes of changes that peers have not taken yet.
    pub changes_len: usize,
}

impl TableSizes {
    /// Enough for whatever a test does.
    pub const AMPLE: Self = Self {
        elements: 1_000,
        associations: 1_000,
        reports: 1_000,
        challenges: 64,
        peers: 16,
        adoptions: 64,
        changes_len: 1 << 17,
    };
}

/// Tables of the sizes that were asked for.
#[derive(Debug)]
pub struct VecTables {
    associations: Vec<AssociationSlot>,
    replies: Vec<ReplySlot>,
    reports: Vec<ReportSlot>,
    challenges: Vec<ChallengeSlot>,
    events: Vec<EventSlot>,
    peers: Vec<PeerSlot>,
    links: Vec<LinkSlot>,
    adoptions: Vec<AdoptionSlot>,
    changes: Vec<u8>,
    subscriptions: Vec<SubscriptionSlot>,
}

impl VecTables {
    /// Empty tables.
    #[must_use]
    pub fn new(sizes: TableSizes) -> Self {
        Self {
            associations: vec![AssociationSlot::FREE; sizes.associations],
            replies: vec![ReplySlot::FREE; REPLIES_PER_INPUT_MAX],
            reports: vec![ReportSlot::FREE; sizes.reports],
            challenges: vec![ChallengeSlot::FREE; sizes.challenges],
            events: vec![EventSlot::FREE; 2 * sizes.elements + 16],
            peers: vec![PeerSlot::FREE; sizes.peers],
            links: vec![LinkSlot::FREE; 2 * sizes.peers],
            adoptions: vec![AdoptionSlot::FREE; sizes.adoptions],
            changes: vec![0; sizes.changes_len],
            subscriptions: vec![SubscriptionSlot::FREE; sizes.associations],
        }
    }
}

impl Tables for VecTables {
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
