//! Transport parameters (RFC 5354 §3.3 to §3.7, §3.16).
//!
//! ```text
//! SCTP:     | 0x0004 | length | port u16 | transport use u16 | 1..n addresses |
//! TCP:      | 0x0005 | length | port u16 | reserved u16      | 1 address |
//! UDP:      | 0x0006 | length | port u16 | reserved u16      | 1 address |
//! UDP-Lite: | 0x0007 | length | port u16 | reserved u16      | 1 address |
//! DCCP:     | 0x0003 | length | port u16 | reserved u16 | service code u32 | 1 address |
//! opaque:   | 0x0010 | length | any bytes |
//! ```
//!
//! A transport is kept encoded: storing or repeating it is a copy. RSPLIB writes a transport use
//! for TCP too, where the RFC has a reserved field, so it is read for both.

use core::net::IpAddr;

use super::ParameterType;
use super::address::{Addresses, are_usual, check_addresses, write_address};
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{HEADER_LEN, Tlv, Tlvs, Writer, padded, padding_len, tlv};

/// A transport: a protocol, a port and addresses, in their encoded form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Transport<'a> {
    bytes: &'a [u8],
}

/// The protocol of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Protocol {
    /// DCCP.
    Dccp,
    /// SCTP.
    Sctp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
    /// Something that only the pool's users and elements understand.
    Opaque,
}

/// What a transport is for (RFC 5354 §3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TransportUse {
    /// Data only (0 on the wire; unknown values are read as this).
    #[default]
    Data,
    /// Data, and ASAP's control channel on the same association (1 on the wire).
    DataPlusControl,
}

impl<'a> Transport<'a> {
    /// Reads the encoded transport at the start of `bytes`, with its header; padding may follow.
    ///
    /// # Errors
    ///
    /// If it is no transport, has too few or too many addresses, or something forbidden in it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let (_, tlv) = tlv(bytes)?;
        if !tlv.kind.is_transport() {
            return Err(tlv.error(ParseErrorKind::Value));
        }
        transport(tlv).map(|(transport, _)| transport)
    }

    /// Takes back bytes that [`as_bytes`](Self::as_bytes) has given, without checking them again.
    /// Other bytes do no harm but yield a transport without sense.
    #[must_use]
    pub const fn from_encoded(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The encoded form with its header, without padding (only opaque transports may need some).
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The protocol.
    #[must_use]
    #[inline]
    pub fn protocol(&self) -> Protocol {
        match self.kind() {
            ParameterType::DCCP_TRANSPORT => Protocol::Dccp,
            ParameterType::SCTP_TRANSPORT => Protocol::Sctp,
            ParameterType::TCP_TRANSPORT => Protocol::Tcp,
            ParameterType::UDP_TRANSPORT => Protocol::Udp,
            ParameterType::UDP_LITE_TRANSPORT => Protocol::UdpLite,
            _ => Protocol::Opaque,
        }
    }

    /// The port; 0 for an opaque transport.
    #[must_use]
    #[inline]
    pub fn port(&self) -> u16 {
        match self.bytes.first_chunk() {
            None | Some([0, 0x10, _, _, _, _]) => 0,
            Some(&[_, _, _, _, high, low]) => u16::from_be_bytes([high, low]),
        }
    }

    /// What it is for; only SCTP and TCP transports say.
    #[must_use]
    #[inline]
    pub fn transport_use(&self) -> TransportUse {
        match self.bytes.first_chunk() {
            Some([0, 4 | 5, _, _, _, _, 0, 1]) => TransportUse::DataPlusControl,
            _ => TransportUse::Data,
        }
    }

    /// The service code of a DCCP transport.
    #[must_use]
    pub fn dccp_service_code(&self) -> Option<u32> {
        if self.protocol() != Protocol::Dccp {
            return None;
        }
        self.bytes
            .get(8..)
            .and_then(|code| code.first_chunk())
            .map(|&code| u32::from_be_bytes(code))
    }

    /// The addresses; none for an opaque transport.
    #[must_use]
    #[inline]
    pub fn addresses(&self) -> Addresses<'a> {
        Addresses(match self.bytes {
            [0, 4..=7, _, _, _, _, _, _, addresses @ ..] => addresses,
            [0, 3, _, _, _, _, _, _, _, _, _, _, addresses @ ..] => addresses,
            _ => &[],
        })
    }

    /// How many bytes it takes in a message, padding included.
    #[must_use]
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        padded(self.bytes.len())
    }

    #[inline]
    fn kind(&self) -> ParameterType {
        match self.bytes.first_chunk() {
            Some(&kind) => ParameterType::from_be_bytes(kind),
            None => ParameterType::OPAQUE_TRANSPORT,
        }
    }

    #[inline]
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        writer.put_padded(self.bytes)
    }
}

/// Takes an SCTP transport that is as we would write it, as nearly all are; `CHECK` is false for
/// bytes that have been checked before.
#[inline(always)]
pub(crate) fn usual_sctp<const CHECK: bool>(input: &[u8]) -> Option<(&[u8], Transport<'_>)> {
    // One IPv4 address: the sizes of all parts are known.
    if let Some((bytes, rest)) = input.split_first_chunk::<16>() {
        let &[a, b, c, d, _, _, _, _, e, f, g, h, ..] = bytes;
        if (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
            == (0x0004_0010, 0x0001_0008)
        {
            return Some((rest, Transport { bytes }));
        }
    }
    let &[0, 4, high, low] = input.first_chunk()? else { return None };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (bytes, rest) = input.split_at_checked(len)?;
    if CHECK && !are_usual(bytes.get(8..)?) {
        return None;
    }
    // All addresses are multiples of four, so there is no padding.
    Some((rest, Transport { bytes }))
}

/// Checks a parameter that is a transport by its type. Also says whether it is as we would write
/// it; if not it is still copied as it is, but may hold unknown parameters to report.
pub(crate) fn transport(tlv: Tlv<'_>) -> Result<(Transport<'_>, bool), ParseError<'_>> {
    let transport = Transport { bytes: tlv.bytes };
    let most = match tlv.kind {
        ParameterType::OPAQUE_TRANSPORT => return Ok((transport, true)),
        ParameterType::SCTP_TRANSPORT => usize::MAX,
        _ => 1,
    };
    let offset = tlv.kind.nested_offset().unwrap_or(HEADER_LEN);
    let Some(addresses) = tlv.bytes.get(offset..) else {
        return Err(tlv.error(ParseErrorKind::ParameterLength));
    };
    let plain = check_addresses(tlv.bytes, addresses, most)?;
    Ok((transport, plain))
}

/// A transport that owns its bytes: up to `N`, which is 8 and 8 for an IPv4 and 20 for an IPv6
/// address (and 4 more for DCCP).
///
/// ```
/// use rserpool_core::wire::{Protocol, TransportBuf, TransportUse};
/// let transport = TransportBuf::<28>::new(
///     Protocol::Sctp,
///     9901,
///     TransportUse::Data,
///     &["10.77.0.11".parse()?],
/// )?;
/// assert_eq!(transport.as_transport().port(), 9901);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportBuf<const N: usize> {
    bytes: [u8; N],
    len: u16,
}

impl<const N: usize> TransportBuf<N> {
    /// Encodes a transport. `transport_use` counts for SCTP alone. A DCCP transport gets the
    /// service code 0; an opaque one takes neither port nor addresses: see
    /// [`opaque`](Self::opaque).
    ///
    /// # Errors
    ///
    /// If it does not fit `N` bytes, or if the number of addresses is wrong for the protocol.
    pub fn new(
        protocol: Protocol,
        port: u16,
        transport_use: TransportUse,
        addresses: &[IpAddr],
    ) -> Result<Self, EmitError> {
        let mut bytes = [0; N];
        let len = encode(&mut bytes, protocol, port, transport_use, addresses)?;
        Ok(Self { bytes, len })
    }

    /// Encodes an opaque transport.
    ///
    /// # Errors
    ///
    /// If it does not fit `N` bytes.
    pub fn opaque(data: &[u8]) -> Result<Self, EmitError> {
        let mut bytes = [0; N];
        let len = HEADER_LEN.saturating_add(data.len());
        let short_len = u16::try_from(len).map_err(|_| EmitError::TooLong)?;
        let mut writer = Writer::new(&mut bytes);
        writer.put_header(ParameterType::OPAQUE_TRANSPORT, len)?;
        writer.put_padded(data)?;
        Ok(Self { bytes, len: short_len })
    }

    /// Copies a transport.
    ///
    /// # Errors
    ///
    /// If it does not fit `N` bytes.
    pub fn copy_of(transport: Transport<'_>) -> Result<Self, EmitError> {
        let mut bytes = [0; N];
        let source = transport.as_bytes();
        bytes.get_mut(..source.len()).ok_or(EmitError::Full)?.copy_from_slice(source);
        Ok(Self { bytes, len: u16::try_from(source.len()).map_err(|_| EmitError::TooLong)? })
    }

    /// Copies a transport with other addresses. All else stays: also the use of a TCP transport,
    /// which RSPLIB tells and [`new`](Self::new) does not, and a DCCP service code.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_addresses(
        transport: Transport<'_>,
        addresses: &[IpAddr],
    ) -> Result<Self, EmitError> {
        let (port, transport_use) = (transport.port(), transport.transport_use());
        let mut copy = Self::new(transport.protocol(), port, transport_use, addresses)?;
        let offset = transport.kind().nested_offset().unwrap_or(HEADER_LEN);
        let fixed = copy.bytes.get_mut(HEADER_LEN..offset);
        if let (Some(fixed), Some(original)) = (fixed, transport.bytes.get(HEADER_LEN..offset)) {
            fixed.copy_from_slice(original);
        }
        Ok(copy)
    }

    /// The transport, borrowed.
    #[must_use]
    pub fn as_transport(&self) -> Transport<'_> {
        Transport { bytes: self.bytes.get(..usize::from(self.len)).unwrap_or_default() }
    }
}

fn encode(
    buf: &mut [u8],
    protocol: Protocol,
    port: u16,
    transport_use: TransportUse,
    addresses: &[IpAddr],
) -> Result<u16, EmitError> {
    let kind = match protocol {
        Protocol::Dccp => ParameterType::DCCP_TRANSPORT,
        Protocol::Sctp => ParameterType::SCTP_TRANSPORT,
        Protocol::Tcp => ParameterType::TCP_TRANSPORT,
        Protocol::Udp => ParameterType::UDP_TRANSPORT,
        Protocol::UdpLite => ParameterType::UDP_LITE_TRANSPORT,
        Protocol::Opaque => return Err(EmitError::AddressCount),
    };
    if addresses.is_empty() || (addresses.len() > 1 && protocol != Protocol::Sctp) {
        return Err(EmitError::AddressCount);
    }
    let mut len = kind.nested_offset().unwrap_or(HEADER_LEN);
    for address in addresses {
        len = len.saturating_add(if address.to_canonical().is_ipv4() { 8 } else { 20 });
    }
    let short_len = u16::try_from(len).map_err(|_| EmitError::TooLong)?;
    let mut writer = Writer::new(buf);
    writer.put_header(kind, len)?;
    writer.put(port.to_be_bytes())?;
    let control = protocol == Protocol::Sctp && transport_use == TransportUse::DataPlusControl;
    writer.put(u16::from(control).to_be_bytes())?;
    if protocol == Protocol::Dccp {
        writer.put_u32(0)?;
    }
    for &address in addresses {
        write_address(address, &mut writer)?;
    }
    Ok(short_len)
}

/// Transports one after the other, in their encoded form; of a Server Announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Transports<'a> {
    bytes: &'a [u8],
}

impl<'a> Transports<'a> {
    /// None at all.
    pub const NONE: Transports<'static> = Transports { bytes: &[] };

    /// Just one. (An opaque one must have a multiple of four bytes.)
    #[must_use]
    pub const fn one(transport: Transport<'a>) -> Self {
        Self { bytes: transport.as_bytes() }
    }

    /// Takes transports that lie encoded one after the other.
    ///
    /// # Errors
    ///
    /// If there is anything else among them.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let mut tlvs = Tlvs::new(bytes, bytes);
        while let Some(tlv) = tlvs.next()? {
            if !tlv.kind.is_transport() {
                return Err(tlv.error(ParseErrorKind::Misplaced));
            }
            transport(tlv)?;
        }
        Ok(Self { bytes })
    }

    pub(crate) const fn from_checked(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The encoded form.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Walks them.
    #[must_use]
    pub const fn iter(&self) -> TransportsIter<'a> {
        TransportsIter { rest: self.bytes }
    }
}

impl<'a> IntoIterator for Transports<'a> {
    type Item = Transport<'a>;
    type IntoIter = TransportsIter<'a>;

    fn into_iter(self) -> TransportsIter<'a> {
        self.iter()
    }
}

/// Walks [`Transports`].
#[derive(Clone, Copy, Debug)]
pub struct TransportsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TransportsIter<'a> {
    type Item = Transport<'a>;

    fn next(&mut self) -> Option<Transport<'a>> {
        // Each round takes at least a header off a finite number of bytes.
        while let Ok((rest, tlv)) = tlv(self.rest) {
            self.rest = rest.get(padding_len(tlv.bytes.len())..).unwrap_or_default();
            if tlv.kind.is_transport() {
                return Some(Transport { bytes: tlv.bytes });
            }
        }
        self.rest = &[];
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    use crate::wire::test_support::hex;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_directions() {
        let v4 = [address("10.77.0.21")];
        let both = [address("10.77.0.21"), address("fd77::21")];
        let use_ = TransportUse::DataPlusControl;
        for (protocol, addresses, text) in [
            (Protocol::Dccp, &v4[..], "00030014 00070000 00000000 00010008 0a4d0015"),
            (
                Protocol::Sctp,
                &both,
                "00040024 00070001 00010008 0a4d0015 00020014 fd770000000000000000000000000021",
            ),
            (Protocol::Tcp, &v4, "00050010 00070000 00010008 0a4d0015"),
            (Protocol::Udp, &v4, "00060010 00070000 00010008 0a4d0015"),
            (Protocol::UdpLite, &v4, "00070010 00070000 00010008 0a4d0015"),
        ] {
            let bytes = hex(text);
            let built = TransportBuf::<40>::new(protocol, 7, use_, addresses).unwrap();
            let transport = Transport::parse(&bytes).unwrap();
            assert_eq!(transport, built.as_transport());
            assert_eq!(transport.as_bytes(), bytes);
            assert_eq!((transport.protocol(), transport.port()), (protocol, 7));
            assert!(transport.addresses().eq(addresses.iter().copied()));
            let control = transport.transport_use() == TransportUse::DataPlusControl;
            assert_eq!(control, protocol == Protocol::Sctp);
            assert_eq!(transport.dccp_service_code().is_some(), protocol == Protocol::Dccp);
            for len in 0..bytes.len() {
                let mut cut = bytes[..len].to_vec();
                assert!(Transport::parse(&cut).is_err());
                if len >= 4 {
                    cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                    // Of two addresses one is enough.
                    let one_is_left = protocol == Protocol::Sctp && len == 16;
                    assert_eq!(Transport::parse(&cut).is_ok(), one_is_left);
                }
            }
        }
    }

    #[test]
    fn opaque_transports_are_any_bytes() {
        let transport = TransportBuf::<8>::opaque(b"abc").unwrap();
        assert_eq!(transport.as_transport().as_bytes(), hex("00100007 616263"));
        assert_eq!(transport.as_transport().encoded_len(), 8);
        let bytes = hex("00100007 61626300");
        let parsed = Transport::parse(&bytes).unwrap();
        assert_eq!(parsed, transport.as_transport());
        assert_eq!((parsed.protocol(), parsed.port()), (Protocol::Opaque, 0));
        assert_eq!(parsed.addresses().count(), 0);
        assert_eq!(TransportBuf::<8>::copy_of(parsed).unwrap().as_transport(), parsed);
        assert_eq!(TransportBuf::<4>::copy_of(parsed), Err(EmitError::Full));
    }

    #[test]
    fn rsplib_tells_the_use_of_tcp() {
        let bytes = hex("00050010 00070001 00010008 0a4d0015");
        let use_ = Transport::parse(&bytes).unwrap().transport_use();
        assert_eq!(use_, TransportUse::DataPlusControl);
    }

    #[test]
    fn what_is_no_use_or_has_none_is_for_data() {
        for text in [
            "00030014 00070001 00000000 00010008 0a4d0015",
            "00060010 00070001 00010008 0a4d0015",
            "00070010 00070001 00010008 0a4d0015",
            "00040010 00070002 00010008 0a4d0015",
        ] {
            let bytes = hex(text);
            let use_ = Transport::parse(&bytes).unwrap().transport_use();
            assert_eq!(use_, TransportUse::Data, "{text}");
        }
    }

    #[test]
    fn other_addresses_change_nothing_else() {
        for (before, after) in [
            ("00050010 00070001 00010008 0a4d0015", "00050010 00070001 00010008 0a000001"),
            (
                "00030014 00070000 12345678 00010008 0a4d0015",
                "00030014 00070000 12345678 00010008 0a000001",
            ),
            (
                "00040018 00070001 00010008 0a4d0015 00010008 0a4d0016",
                "00040010 00070001 00010008 0a000001",
            ),
        ] {
            let bytes = hex(before);
            let transport = Transport::parse(&bytes).unwrap();
            let other = [address("10.0.0.1")];
            let copy = TransportBuf::<24>::with_addresses(transport, &other).unwrap();
            assert_eq!(copy.as_transport().as_bytes(), hex(after));
        }
        let opaque = TransportBuf::<8>::opaque(b"abc").unwrap();
        let refused = TransportBuf::<8>::with_addresses(opaque.as_transport(), &[]);
        assert_eq!(refused, Err(EmitError::AddressCount));
    }

    #[test]
    fn the_number_of_addresses_must_fit() {
        let two = [address("10.0.0.1"), address("10.0.0.2")];
        let use_ = TransportUse::Data;
        let new = TransportBuf::<64>::new;
        assert_eq!(new(Protocol::Tcp, 7, use_, &two), Err(EmitError::AddressCount));
        assert_eq!(new(Protocol::Sctp, 7, use_, &[]), Err(EmitError::AddressCount));
        assert_eq!(new(Protocol::Opaque, 7, use_, &two), Err(EmitError::AddressCount));
        assert!(new(Protocol::Sctp, 7, use_, &two).is_ok());
        assert_eq!(TransportBuf::<16>::new(Protocol::Sctp, 7, use_, &two), Err(EmitError::Full));
    }

    #[test]
    fn bytes_without_sense_do_no_harm() {
        for bytes in [&[][..], &[0], &[0, 4], &[0, 4, 0, 99, 1], &[0xff; 40]] {
            let transport = Transport::from_encoded(bytes);
            let _ = (transport.protocol(), transport.port(), transport.transport_use());
            let addresses: Vec<IpAddr> = transport.addresses().collect();
            assert!(addresses.is_empty());
        }
    }

    #[test]
    fn lists_are_transports_alone() {
        let bytes = hex("00040010 00070001 00010008 0a4d0015 00050010 00070000 00010008 0a4d0015");
        let list = Transports::parse(&bytes).unwrap();
        let protocols: Vec<Protocol> = list.iter().map(|item| item.protocol()).collect();
        assert_eq!(protocols, [Protocol::Sctp, Protocol::Tcp]);
        assert_eq!(Transports::parse(&bytes[8..]).unwrap_err().kind, ParseErrorKind::Misplaced);
    }
}
