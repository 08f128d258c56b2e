//! What an endpoint counts.

/// Counters of an endpoint since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Statistics {
    /// Packets that came in.
    pub packets_in: u64,
    /// Packets that went out.
    pub packets_out: u64,
    /// Packets dropped for their length, checksum, ports or addresses.
    pub malformed: u64,
    /// Packets that belonged to no association and were no part of a handshake.
    pub out_of_the_blue: u64,
    /// Packets dropped for their verification tag.
    pub wrong_tag: u64,
    /// Replies to strangers withheld because there were too many.
    pub replies_withheld: u64,
    /// State cookies refused for their seal, ports, tag or age.
    pub cookies_refused: u64,
    /// Associations that came up.
    pub established: u64,
    /// Associations that the peer opened while all slots were taken.
    pub refused: u64,
    /// Associations that the peer restarted.
    pub restarted: u64,
    /// Associations that ended by an abort of either side.
    pub aborted: u64,
    /// Associations that were shut down gracefully.
    pub shut_down: u64,
    /// Associations whose peer did not answer any more.
    pub lost: u64,
    /// Expirations of the timers T1, T2 and T3.
    pub retransmission_timeouts: u64,
    /// Messages that the user sent.
    pub messages_out: u64,
    /// Messages that the user received.
    pub messages_in: u64,
}

impl Statistics {
    /// Nothing counted yet.
    pub(crate) const ZERO: Self = Self {
        packets_in: 0,
        packets_out: 0,
        malformed: 0,
        out_of_the_blue: 0,
        wrong_tag: 0,
        replies_withheld: 0,
        cookies_refused: 0,
        established: 0,
        refused: 0,
        restarted: 0,
        aborted: 0,
        shut_down: 0,
        lost: 0,
        retransmission_timeouts: 0,
        messages_out: 0,
        messages_in: 0,
    };
}
