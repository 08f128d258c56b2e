//! Tables of a registrar of any size, down to tiny ones.

use rserpool::{HeapTables, TableLengths};
use rserpool_core::enrp::REPLIES_PER_INPUT_MAX;

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

    /// Empty tables of these sizes.
    #[must_use]
    pub fn tables(&self) -> HeapTables {
        HeapTables::of_lengths(TableLengths {
            associations: self.associations,
            replies: REPLIES_PER_INPUT_MAX,
            reports: self.reports,
            challenges: self.challenges,
            events: 2 * self.elements + 16,
            peers: self.peers,
            adoptions: self.adoptions,
            changes: self.changes_len,
            subscriptions: self.associations,
        })
    }
}
