//! Pool element parameter (RFC 5354 §3.10).
//!
//! ```text
//! | 0x000a | length | PE identifier u32 | home registrar u32 | registration life u32 |
//! | user transport | policy | ASAP transport (in ENRP; optional in ASAP) |
//! ```

use nom::Parser;

use super::ParameterType;
use super::policy::{Policy, policy, usual_policy};
use super::transport::{Transport, transport, usual_sctp};
use crate::identifier::{PeId, RegistrarId};
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{
    HEADER_LEN, Layout, Parsed, REPEATS, Tlv, Tlvs, Writer, be_u32, padded, padding_len, tlv,
};

/// How long a registration lasts, as it stands on the wire: seconds by the RFC, milliseconds with
/// RSPLIB; all ones is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RegistrationLife(pub u32);

impl RegistrationLife {
    /// For ever (-1 by the RFC).
    pub const INFINITE: Self = Self(u32::MAX);
}

/// A pool element, as messages tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PoolElement<'a> {
    /// Its identifier.
    pub id: PeId,
    /// Its home registrar; 0 if not known.
    pub home: RegistrarId,
    /// How long the registration lasts.
    pub registration_life: RegistrationLife,
    /// How users reach it.
    pub user_transport: Transport<'a>,
    /// The pool's policy and this element's values.
    pub policy: Policy,
    /// How registrars reach it: always SCTP.
    pub asap_transport: Option<Transport<'a>>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> PoolElement<'a> {
    /// Makes one without ASAP transport, as elements send it; its home is not known.
    #[must_use]
    pub const fn new(
        id: PeId,
        registration_life: RegistrationLife,
        user_transport: Transport<'a>,
        policy: Policy,
    ) -> Self {
        Self {
            id,
            home: RegistrarId::UNKNOWN,
            registration_life,
            user_transport,
            policy,
            asap_transport: None,
            layout: Layout::OURS,
        }
    }

    /// Reads the pool element parameter at the start of `bytes`, with its header.
    ///
    /// # Errors
    ///
    /// If it is none, or not well-formed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let (_, tlv) = tlv(bytes)?;
        if tlv.kind != ParameterType::POOL_ELEMENT {
            return Err(tlv.error(ParseErrorKind::Value));
        }
        Self::from_tlv(tlv)
    }

    /// Writes the parameter to the start of `buf` and says how many bytes it takes.
    ///
    /// # Errors
    ///
    /// If the buffer is too small or the parameter too long.
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, EmitError> {
        let len = self.encoded_len();
        if u16::try_from(len).is_err() {
            return Err(EmitError::TooLong);
        }
        self.write(&mut Writer::new(buf.get_mut(..len).ok_or(EmitError::Full)?))?;
        Ok(len)
    }

    /// How many bytes it takes in a message.
    #[must_use]
    #[inline]
    pub fn encoded_len(&self) -> usize {
        match self.verbatim() {
            Some(bytes) => padded(bytes.len()),
            None => self.plain_len(),
        }
    }

    #[inline]
    pub(crate) fn from_tlv(tlv: Tlv<'a>) -> Result<Self, ParseError<'a>> {
        match Self::usual::<true>(tlv.value()) {
            Some(element) => Ok(element),
            None => Self::unusual(tlv),
        }
    }

    /// Whether an element is well-formed, and if so whether it is as we would write it.
    #[inline(always)]
    pub(crate) fn check(tlv: Tlv<'a>) -> Result<bool, ParseError<'a>> {
        if Self::usual::<true>(tlv.value()).is_some() {
            return Ok(true);
        }
        Self::unusual(tlv).map(|element| element.layout.is_ours())
    }

    /// Reads an element that has been read with success before.
    #[inline(always)]
    pub(crate) fn again(tlv: Tlv<'a>) -> Option<Self> {
        match Self::usual::<false>(tlv.value()) {
            Some(element) => Some(element),
            None => Self::unusual(tlv).ok(),
        }
    }

    /// Reads an element that is as we would write it and has an SCTP transport, as nearly all
    /// have, and looks for nothing else. Any doubt leaves it to [`unusual`](Self::unusual).
    #[inline(always)]
    fn usual<const CHECK: bool>(value: &'a [u8]) -> Option<Self> {
        if cfg!(feature = "small") {
            return None;
        }
        let (rest, (id, home, registration_life)) = fixed(value).ok()?;
        let (rest, user_transport) = usual_sctp::<CHECK>(rest)?;
        let (rest, policy) = usual_policy(rest)?;
        let asap_transport = match rest {
            [] => None,
            _ => match usual_sctp::<CHECK>(rest)? {
                ([], transport) => Some(transport),
                _ => return None,
            },
        };
        let layout = Layout::OURS;
        Some(Self { id, home, registration_life, user_transport, policy, asap_transport, layout })
    }

    #[inline(never)]
    fn unusual(tlv: Tlv<'a>) -> Result<Self, ParseError<'a>> {
        let mut tlvs = Tlvs::new(tlv.bytes, tlv.value());
        let (id, home, registration_life) = tlvs.fixed(fixed)?;
        let (mut user, mut selection, mut asap) = (None, None, None);
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::POLICY if selection.is_none() => {
                    let (policy, plain) = policy(tlv)?;
                    tlvs.rank(2);
                    tlvs.odd_if(!plain);
                    selection = Some(policy);
                }
                kind if kind.is_transport() && user.is_none() => {
                    let (transport, plain) = transport(tlv)?;
                    tlvs.rank(1);
                    tlvs.odd_if(!plain);
                    user = Some(transport);
                }
                ParameterType::SCTP_TRANSPORT if asap.is_none() => {
                    let (transport, plain) = transport(tlv)?;
                    tlvs.rank(3);
                    tlvs.odd_if(!plain);
                    asap = Some(transport);
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        Ok(Self {
            id,
            home,
            registration_life,
            user_transport: tlvs.required(user)?,
            policy: tlvs.required(selection)?,
            asap_transport: asap,
            layout: tlvs.layout(),
        })
    }

    #[inline]
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        self.write_sized(self.encoded_len(), writer)
    }

    /// Writes it; `len` is its encoded length.
    #[inline(always)]
    pub(crate) fn write_sized(
        &self,
        len: usize,
        writer: &mut Writer<'_>,
    ) -> Result<(), EmitError> {
        if cfg!(feature = "small") {
            return self.write_any(len, writer);
        }
        let user = <&[u8; 16]>::try_from(self.user_transport.as_bytes());
        match (self.layout.0, user, self.policy.one_word()) {
            // One IPv4 address, a policy with one word: the sizes of all parts are known.
            (None, Ok(user), Some((kind, word))) => {
                writer.put::<44>(self.block(len, user, [0x0008_000c, kind.0, word]))?;
            }
            _ => return self.write_any(len, writer),
        }
        match self.asap_transport {
            Some(transport) => transport.write(writer),
            None => Ok(()),
        }
    }

    /// All but the ASAP transport, where the sizes of all parts are known.
    #[inline(always)]
    fn block<const N: usize>(&self, len: usize, user: &[u8; 16], policy: [u32; 3]) -> [u8; N] {
        let mut bytes = [0; N];
        let mut writer = Writer::new(&mut bytes);
        let [a, b, c] = policy;
        let written = writer
            .put_header(ParameterType::POOL_ELEMENT, len)
            .and_then(|()| writer.put_words(self.id.0, self.home.0))
            .and_then(|()| writer.put_u32(self.registration_life.0))
            .and_then(|()| writer.put(*user))
            .and_then(|()| writer.put_words(a, b))
            .and_then(|()| writer.put_u32(c));
        debug_assert_eq!(written, Ok(()), "N is the size of all parts");
        bytes
    }

    /// Writes an element of any kind.
    #[inline(never)]
    fn write_any(&self, len: usize, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        if let Some(bytes) = self.verbatim() {
            return writer.put_padded(bytes);
        }
        writer.put_header(ParameterType::POOL_ELEMENT, len)?;
        writer.put_words(self.id.0, self.home.0)?;
        writer.put_u32(self.registration_life.0)?;
        self.user_transport.write(writer)?;
        self.policy.write(writer)?;
        match self.asap_transport {
            Some(transport) => transport.write(writer),
            None => Ok(()),
        }
    }

    #[inline]
    fn plain_len(&self) -> usize {
        // Should this ever wrap, there is not enough room to write it.
        let asap_len = self.asap_transport.map_or(0, |transport| transport.encoded_len());
        FIXED_LEN
            .wrapping_add(self.user_transport.encoded_len())
            .wrapping_add(self.policy.encoded_len())
            .wrapping_add(asap_len)
    }

    /// The bytes as they came, if they are peculiar and still say what the fields say.
    #[inline(always)]
    fn verbatim(&self) -> Option<&'a [u8]> {
        match self.layout.0 {
            None => None,
            Some(_) if !REPEATS => None,
            Some(bytes) => self.verbatim_if_same(bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn verbatim_if_same(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        Self::parse(bytes).is_ok_and(|element| element == *self).then_some(bytes)
    }
}

/// Header and fields of fixed size.
const FIXED_LEN: usize = 16;

#[inline(always)]
fn fixed(input: &[u8]) -> Parsed<'_, (PeId, RegistrarId, RegistrationLife)> {
    (be_u32.map(PeId), be_u32.map(RegistrarId), be_u32.map(RegistrationLife)).parse(input)
}

/// Pool elements one after the other, in their encoded form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PoolElements<'a> {
    bytes: &'a [u8],
}

impl<'a> PoolElements<'a> {
    /// None at all.
    pub const NONE: PoolElements<'static> = PoolElements { bytes: &[] };

    /// Takes pool elements that lie encoded one after the other.
    ///
    /// # Errors
    ///
    /// If there is anything else among them, or one is not well-formed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let mut tlvs = Tlvs::new(bytes, bytes);
        while let Some(tlv) = tlvs.next()? {
            if tlv.kind != ParameterType::POOL_ELEMENT {
                return Err(tlv.error(ParseErrorKind::Misplaced));
            }
            PoolElement::check(tlv)?;
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

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Walks them.
    #[must_use]
    pub const fn iter(&self) -> PoolElementsIter<'a> {
        PoolElementsIter { rest: self.bytes }
    }
}

impl<'a> IntoIterator for PoolElements<'a> {
    type Item = PoolElement<'a>;
    type IntoIter = PoolElementsIter<'a>;

    fn into_iter(self) -> PoolElementsIter<'a> {
        self.iter()
    }
}

/// Walks [`PoolElements`].
#[derive(Clone, Copy, Debug)]
pub struct PoolElementsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for PoolElementsIter<'a> {
    type Item = PoolElement<'a>;

    #[inline]
    fn next(&mut self) -> Option<PoolElement<'a>> {
        // Each round takes at least a header off a finite number of bytes.
        while let Ok((rest, tlv)) = tlv(self.rest) {
            self.rest = rest.get(padding_len(tlv.bytes.len())..).unwrap_or_default();
            if tlv.kind == ParameterType::POOL_ELEMENT {
                return PoolElement::again(tlv);
            }
        }
        self.rest = &[];
        None
    }
}

const _: () = assert!(FIXED_LEN == HEADER_LEN + 12, "three words follow the header");

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    use crate::wire::test_support::hex;

    const ELEMENT: &str = "000a003c aaaa0002 11111111 00003a98
        00040010 a2260001 00010008 0a4d0016 0008000c 00000002 00000003
        00040010 ad7f0000 00010008 0a4d0016";

    #[test]
    fn both_directions() {
        let bytes = hex(ELEMENT);
        let element = PoolElement::parse(&bytes).unwrap();
        assert_eq!(element.id, PeId(0xaaaa_0002));
        assert_eq!(element.home, RegistrarId(0x1111_1111));
        assert_eq!(element.registration_life, RegistrationLife(15_000));
        assert_eq!(element.user_transport.port(), 41510);
        assert_eq!(element.policy, Policy::WeightedRoundRobin { weight: 3 });
        assert_eq!(element.asap_transport.unwrap().port(), 44415);
        assert!(element.layout.is_ours());
        let mut buf = vec![0xff; bytes.len()];
        assert_eq!(element.emit(&mut buf), Ok(bytes.len()));
        assert_eq!(buf, bytes);
        assert_eq!(element.emit(&mut buf[1..]), Err(EmitError::Full));
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = hex(ELEMENT);
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            assert!(PoolElement::parse(&cut).is_err());
            if len >= 4 {
                cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                // Without its ASAP transport it is an element, too.
                assert_eq!(PoolElement::parse(&cut).is_ok(), len == 44, "{len}");
            }
        }
    }

    #[test]
    fn the_asap_transport_is_sctp() {
        let mut bytes = hex(ELEMENT);
        bytes[45] = 5;
        assert_eq!(PoolElement::parse(&bytes).unwrap_err().kind, ParseErrorKind::Misplaced);
    }

    #[test]
    fn what_is_odd_is_written_as_it_came() {
        // The length leaves out the padding of the opaque transport, which is the last parameter.
        let bytes = hex("000a001f 00000001 00000002 00000003 00080008 00000001 00100007 616263");
        let element = PoolElement::parse(&bytes).unwrap();
        assert!(!element.layout.is_ours());
        let mut buf = vec![0xff; 32];
        assert_eq!(element.emit(&mut buf), Ok(32));
        assert_eq!((&buf[..31], buf[31]), (&bytes[..], 0));
    }

    #[test]
    fn lists_are_elements_alone() {
        let mut bytes = hex(ELEMENT);
        bytes.extend_from_within(..);
        let list = PoolElements::parse(&bytes).unwrap();
        assert_eq!(list.iter().count(), 2);
        assert_eq!(list.as_bytes(), bytes);
        assert!(PoolElements::parse(&bytes[16..]).is_err());
    }
}
