//! INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3): tag 32, a_rwnd 32, outbound streams 16, inbound
//! streams 16, initial TSN 32, parameters.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use nom::IResult;

use super::framing::{Tlvs, be_u16, be_u32};
use crate::sctp::serial::Tsn;

/// The value of an INIT or INIT ACK chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Init<'a> {
    /// The tag that the sender wants to see.
    pub(crate) tag: u32,
    /// The receive window that the sender offers.
    pub(crate) a_rwnd: u32,
    /// The streams that the sender wants to send on.
    pub(crate) outbound_streams: u16,
    /// The streams that the sender takes at most.
    pub(crate) inbound_streams: u16,
    /// The number of the sender's first DATA chunk.
    pub(crate) initial_tsn: Tsn,
    /// The parameters, encoded.
    pub(crate) parameters: &'a [u8],
}

impl<'a> Init<'a> {
    /// Takes the value of a chunk apart.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let (parameters, init) = fixed(value).ok()?;
        Some(Self { parameters, ..init })
    }

    /// The fixed fields as they are sent.
    pub(crate) fn fixed_bytes(&self) -> [u8; 16] {
        let [t0, t1, t2, t3] = self.tag.to_be_bytes();
        let [w0, w1, w2, w3] = self.a_rwnd.to_be_bytes();
        let ([o0, o1], [i0, i1]) =
            (self.outbound_streams.to_be_bytes(), self.inbound_streams.to_be_bytes());
        let [n0, n1, n2, n3] = self.initial_tsn.0.to_be_bytes();
        [t0, t1, t2, t3, w0, w1, w2, w3, o0, o1, i0, i1, n0, n1, n2, n3]
    }

    /// The parameters.
    pub(crate) const fn tlvs(&self) -> Tlvs<'a> {
        Tlvs::new(self.parameters)
    }

    /// Whether the fixed fields, the tag apart, hold what they must (RFC 9260 §3.3.2).
    pub(crate) const fn is_acceptable(&self) -> bool {
        self.a_rwnd >= A_RWND_MIN && self.outbound_streams > 0 && self.inbound_streams > 0
    }
}

/// Types of parameters in INIT and INIT ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParameterType(pub(crate) u16);

impl ParameterType {
    /// An IPv4 address.
    pub(crate) const IPV4_ADDRESS: Self = Self(5);
    /// An IPv6 address.
    pub(crate) const IPV6_ADDRESS: Self = Self(6);
    /// The state cookie.
    pub(crate) const STATE_COOKIE: Self = Self(7);
    /// A parameter of ours that the peer did not know.
    pub(crate) const UNRECOGNIZED: Self = Self(8);
    /// A wish for a longer life of the cookie.
    pub(crate) const COOKIE_PRESERVATIVE: Self = Self(9);
    /// A host name; forbidden.
    pub(crate) const HOST_NAME: Self = Self(11);
    /// The kinds of addresses that the sender can use.
    pub(crate) const SUPPORTED_ADDRESS_TYPES: Self = Self(12);
}

const A_RWND_MIN: u32 = 1_500;

fn fixed(input: &[u8]) -> IResult<&[u8], Init<'_>> {
    let (input, tag) = be_u32(input)?;
    let (input, a_rwnd) = be_u32(input)?;
    let (input, outbound_streams) = be_u16(input)?;
    let (input, inbound_streams) = be_u16(input)?;
    let (input, initial_tsn) = be_u32(input)?;
    let initial_tsn = Tsn(initial_tsn);
    let parameters = &[];
    Ok((input, Init { tag, a_rwnd, outbound_streams, inbound_streams, initial_tsn, parameters }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: Init<'_> = Init {
        tag: 0x0102_0304,
        a_rwnd: 2_048,
        outbound_streams: 4,
        inbound_streams: 5,
        initial_tsn: Tsn(0xfffe_fdfc),
        parameters: &[0, 12, 0, 6, 0, 5],
    };

    #[test]
    fn the_fields_come_back_as_they_were_written() {
        let mut bytes = [0; 22];
        bytes[..16].copy_from_slice(&INIT.fixed_bytes());
        bytes[16..].copy_from_slice(INIT.parameters);
        assert_eq!(Init::parse(&bytes), Some(INIT));
        assert_eq!(bytes[..8], [1, 2, 3, 4, 0, 0, 8, 0]);
        for len in 0..16 {
            assert_eq!(Init::parse(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn small_windows_and_no_streams_are_not_acceptable() {
        assert!(INIT.is_acceptable());
        assert!(!Init { a_rwnd: 1_499, ..INIT }.is_acceptable());
        assert!(!Init { outbound_streams: 0, ..INIT }.is_acceptable());
        assert!(!Init { inbound_streams: 0, ..INIT }.is_acceptable());
    }
}
