//! The compatibility profile: whose habits decide where the RFCs and RSPLIB cannot both be had.

/// Whose habits decide where RFC 5352/5353 and RSPLIB differ and no way works with both.
///
/// One profile holds for a whole process and should be the same in a whole scope: it decides
/// timers, the unit of the registration life and who wins a takeover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Profile {
    /// What the RFCs say.
    Rfc,
    /// What RSPLIB does, the only other living implementation.
    #[default]
    Rsplib,
}
