//! Serial numbers that wrap (RFC 9260 §1.6, RFC 1982).

/// A transmission sequence number, which wraps at 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Tsn(pub(crate) u32);

impl Tsn {
    /// The number `count` after this one.
    #[must_use]
    pub(crate) const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number after this one.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number `count` before this one.
    #[must_use]
    pub(crate) const fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// The number before this one.
    #[must_use]
    pub(crate) const fn previous(self) -> Self {
        self.minus(1)
    }

    /// How far this one lies after `earlier`; numbers before it give 2^31 or more.
    #[must_use]
    pub(crate) const fn distance_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether this one comes before `other`.
    #[must_use]
    pub(crate) const fn is_before(self, other: Self) -> bool {
        let distance = other.distance_from(self);
        distance != 0 && distance < 1 << 31
    }
}

/// A stream sequence number, which wraps at 2^16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Ssn(pub(crate) u16);

impl Ssn {
    /// The number after this one.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The number before this one.
    #[must_use]
    pub(crate) const fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// Whether this one comes before `other`.
    #[must_use]
    pub(crate) const fn is_before(self, other: Self) -> bool {
        let distance = other.0.wrapping_sub(self.0);
        distance != 0 && distance < 1 << 15
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_after_the_largest_is_zero() {
        assert_eq!(Tsn(u32::MAX).next(), Tsn(0));
        assert_eq!(Tsn(0).previous(), Tsn(u32::MAX));
        assert!(Tsn(u32::MAX).is_before(Tsn(0)));
        assert!(!Tsn(0).is_before(Tsn(u32::MAX)));
        assert_eq!(Tsn(1).distance_from(Tsn(u32::MAX)), 2);
        assert_eq!(Ssn(u16::MAX).next(), Ssn(0));
        assert!(Ssn(u16::MAX).is_before(Ssn(0)));
    }

    #[test]
    fn a_number_is_not_before_itself() {
        assert!(!Tsn(7).is_before(Tsn(7)));
        assert!(!Ssn(7).is_before(Ssn(7)));
    }
}
