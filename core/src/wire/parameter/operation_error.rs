//! Operation error parameter and its causes (RFC 5354 §3.12; RSPLIB's further codes).
//!
//! ```text
//! | 0x000c | length | 1..n causes |
//! cause: | code u16 | length u16 | data | padding |
//! ```
//!
//! A cause's length does not count its padding, and the parameter's length does not count that of
//! the last cause.

use nom::bytes::complete::take;

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{
    HEADER_LEN, Parsed, Tlv, Unrecognized, Writer, be_u32, padded, padding_len,
};

/// The code of an error cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cause(pub u16);

impl Cause {
    /// Unspecified error.
    pub const UNSPECIFIED: Self = Self(0x0000);
    /// Unrecognized parameter; data: the parameter.
    pub const UNRECOGNIZED_PARAMETER: Self = Self(0x0001);
    /// Unrecognized message; data: the message.
    pub const UNRECOGNIZED_MESSAGE: Self = Self(0x0002);
    /// Invalid values; data: the parameter that holds them.
    pub const INVALID_VALUES: Self = Self(0x0003);
    /// The PE identifier is taken.
    pub const NON_UNIQUE_PE_IDENTIFIER: Self = Self(0x0004);
    /// Another policy than the pool's; data: the pool's policy.
    pub const INCONSISTENT_POOL_POLICY: Self = Self(0x0005);
    /// Lack of resources.
    pub const LACK_OF_RESOURCES: Self = Self(0x0006);
    /// Another transport protocol than the pool's; data: a transport of the pool.
    pub const INCONSISTENT_TRANSPORT_TYPE: Self = Self(0x0007);
    /// Another transport use than the pool's.
    pub const INCONSISTENT_DATA_CONTROL: Self = Self(0x0008);
    /// Unknown pool handle.
    pub const UNKNOWN_POOL_HANDLE: Self = Self(0x0009);
    /// Rejected for reasons of security.
    pub const SECURITY: Self = Self(0x000a);
    /// RSPLIB: invalid message.
    pub const RSPLIB_INVALID_MESSAGE: Self = Self(0x0010);
    /// RSPLIB: invalid value.
    pub const RSPLIB_INVALID_VALUE: Self = Self(0x0011);
    /// RSPLIB: wrong protocol.
    pub const RSPLIB_WRONG_PROTOCOL: Self = Self(0x100a);
    /// RSPLIB: unsupported policy.
    pub const RSPLIB_UNSUPPORTED_POLICY: Self = Self(0x100b);
    /// RSPLIB: invalid identifier.
    pub const RSPLIB_INVALID_ID: Self = Self(0xf000);
    /// RSPLIB: own identifier.
    pub const RSPLIB_OWN_ID: Self = Self(0xf001);
    /// RSPLIB: duplicate identifier.
    pub const RSPLIB_DUPLICATE_ID: Self = Self(0xf002);
    /// RSPLIB: invalid policy settings.
    pub const RSPLIB_INVALID_POLICY_SETTINGS: Self = Self(0xf003);
    /// RSPLIB: invalid pool handle.
    pub const RSPLIB_INVALID_POOL_HANDLE: Self = Self(0xf004);
    /// RSPLIB: invalid addresses.
    pub const RSPLIB_INVALID_ADDRESSES: Self = Self(0xf005);
    /// RSPLIB: invalid registrar.
    pub const RSPLIB_INVALID_REGISTRAR: Self = Self(0xf006);
    /// RSPLIB: no usable ASAP address.
    pub const RSPLIB_NO_USABLE_ASAP_ADDRESS: Self = Self(0xf007);
    /// RSPLIB: no usable user address.
    pub const RSPLIB_NO_USABLE_USER_ADDRESS: Self = Self(0xf008);

    /// What the code means; `None` if we do not know it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::UNSPECIFIED => "unspecified error",
            Self::UNRECOGNIZED_PARAMETER => "unrecognized parameter",
            Self::UNRECOGNIZED_MESSAGE => "unrecognized message",
            Self::INVALID_VALUES => "invalid values",
            Self::NON_UNIQUE_PE_IDENTIFIER => "non-unique PE identifier",
            Self::INCONSISTENT_POOL_POLICY => "inconsistent pool policy",
            Self::LACK_OF_RESOURCES => "lack of resources",
            Self::INCONSISTENT_TRANSPORT_TYPE => "inconsistent transport type",
            Self::INCONSISTENT_DATA_CONTROL => "inconsistent data/control configuration",
            Self::UNKNOWN_POOL_HANDLE => "unknown pool handle",
            Self::SECURITY => "rejected due to security considerations",
            Self::RSPLIB_INVALID_MESSAGE => "invalid message (RSPLIB)",
            Self::RSPLIB_INVALID_VALUE => "invalid value (RSPLIB)",
            Self::RSPLIB_WRONG_PROTOCOL => "wrong protocol (RSPLIB)",
            Self::RSPLIB_UNSUPPORTED_POLICY => "unsupported policy (RSPLIB)",
            Self::RSPLIB_INVALID_ID => "invalid identifier (RSPLIB)",
            Self::RSPLIB_OWN_ID => "own identifier (RSPLIB)",
            Self::RSPLIB_DUPLICATE_ID => "duplicate identifier (RSPLIB)",
            Self::RSPLIB_INVALID_POLICY_SETTINGS => "invalid policy settings (RSPLIB)",
            Self::RSPLIB_INVALID_POOL_HANDLE => "invalid pool handle (RSPLIB)",
            Self::RSPLIB_INVALID_ADDRESSES => "invalid addresses (RSPLIB)",
            Self::RSPLIB_INVALID_REGISTRAR => "invalid registrar (RSPLIB)",
            Self::RSPLIB_NO_USABLE_ASAP_ADDRESS => "no usable ASAP address (RSPLIB)",
            Self::RSPLIB_NO_USABLE_USER_ADDRESS => "no usable user address (RSPLIB)",
            _ => return None,
        })
    }
}

/// One error cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ErrorCause<'a> {
    /// What happened.
    pub code: Cause,
    /// To what; often empty.
    pub data: &'a [u8],
}

/// An operation error: one or more causes.
#[derive(Clone, Copy, Debug)]
pub struct OperationError<'a> {
    repr: Repr<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Repr<'a> {
    /// As it came: checked causes.
    Encoded(&'a [u8]),
    One(ErrorCause<'a>),
    Unrecognized(Unrecognized<'a>),
}

impl<'a> OperationError<'a> {
    /// An error with one cause.
    #[must_use]
    pub const fn new(code: Cause, data: &'a [u8]) -> Self {
        Self { repr: Repr::One(ErrorCause { code, data }) }
    }

    /// The report of parameters that were skipped but must be reported (RFC 5354 §3.12.2: one
    /// cause each); `None` if there are none.
    #[must_use]
    pub fn unrecognized(parameters: Unrecognized<'a>) -> Option<Self> {
        parameters.clone().next()?;
        Some(Self { repr: Repr::Unrecognized(parameters) })
    }

    /// Walks the causes.
    #[must_use]
    pub fn causes(&self) -> Causes<'a> {
        Causes { repr: Some(self.repr) }
    }

    /// The code of the first cause.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.causes().next().map_or(Cause::UNSPECIFIED, |cause| cause.code)
    }

    /// How many bytes the parameter takes in a message.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        padded(self.unpadded_len())
    }

    fn unpadded_len(&self) -> usize {
        let mut len = HEADER_LEN;
        match self.repr {
            Repr::Encoded(bytes) => len = len.saturating_add(bytes.len()),
            _ => {
                for cause in self.causes() {
                    len = padded(len).saturating_add(HEADER_LEN).saturating_add(cause.data.len());
                }
            }
        }
        len
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        writer.put_header(ParameterType::OPERATION_ERROR, self.unpadded_len())?;
        if let Repr::Encoded(bytes) = self.repr {
            return writer.put_padded(bytes);
        }
        for cause in self.causes() {
            let len = HEADER_LEN.saturating_add(cause.data.len());
            writer.put_header(ParameterType(cause.code.0), len)?;
            writer.put_padded(cause.data)?;
        }
        Ok(())
    }
}

impl PartialEq for OperationError<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.causes().eq(other.causes())
    }
}

impl Eq for OperationError<'_> {}

#[cfg(feature = "defmt")]
impl defmt::Format for OperationError<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "OperationError({})", self.cause());
    }
}

/// Reads an operation error. Also says whether its padding is as we would write it.
pub(crate) fn operation_error(tlv: Tlv<'_>) -> Result<(OperationError<'_>, bool), ParseError<'_>> {
    let malformed = |_| tlv.error(ParseErrorKind::ParameterLength);
    let mut rest = tlv.value();
    let mut plain = true;
    if rest.is_empty() {
        return Err(tlv.error(ParseErrorKind::Missing));
    }
    while !rest.is_empty() {
        let (after, cause) = cause(rest).map_err(malformed)?;
        let padding = after.get(..padding_len(cause.data.len()));
        // The last cause's padding need not be in the parameter's length.
        if padding.is_none() && !after.is_empty() {
            return Err(tlv.error(ParseErrorKind::ParameterLength));
        }
        let padding = padding.unwrap_or_default();
        plain &= padding.iter().all(|&byte| byte == 0);
        rest = after.get(padding.len()..).unwrap_or_default();
    }
    Ok((OperationError { repr: Repr::Encoded(tlv.value()) }, plain))
}

fn cause(input: &[u8]) -> Parsed<'_, ErrorCause<'_>> {
    let (rest, word) = be_u32(input)?;
    let [code_high, code_low, len_high, len_low] = word.to_be_bytes();
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let Some(data_len) = len.checked_sub(HEADER_LEN) else {
        let error = ParseError::new(ParseErrorKind::ParameterLength, input);
        return Err(nom::Err::Error(error));
    };
    let (rest, data) = take(data_len)(rest)?;
    Ok((rest, ErrorCause { code: Cause(u16::from_be_bytes([code_high, code_low])), data }))
}

/// Walks the causes of an [`OperationError`].
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a> {
    repr: Option<Repr<'a>>,
}

impl<'a> Iterator for Causes<'a> {
    type Item = ErrorCause<'a>;

    fn next(&mut self) -> Option<ErrorCause<'a>> {
        match self.repr.as_mut()? {
            Repr::Encoded(rest) => {
                let (after, cause) = cause(rest).ok()?;
                *rest = after.get(padding_len(cause.data.len())..).unwrap_or_default();
                Some(cause)
            }
            Repr::One(cause) => {
                let cause = *cause;
                self.repr = None;
                Some(cause)
            }
            Repr::Unrecognized(parameters) => parameters
                .next()
                .map(|data| ErrorCause { code: Cause::UNRECOGNIZED_PARAMETER, data }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        let bytes = hex("000c0015 00010009 40990005 78000000 00090004 00060005 79");
        let bytes = &bytes[..];
        let mut padded = bytes.to_vec();
        padded[3] = bytes.len() as u8;
        padded.resize(bytes.len().next_multiple_of(4), 0);
        let (error, plain) = operation_error(parameter(&padded)).unwrap();
        assert!(plain);
        let data: [&[u8]; 3] = [&[0x40, 0x99, 0, 5, 0x78], &[], b"y"];
        let codes =
            [Cause::UNRECOGNIZED_PARAMETER, Cause::UNKNOWN_POOL_HANDLE, Cause::LACK_OF_RESOURCES];
        assert!(error.causes().map(|cause| cause.data).eq(data));
        assert!(error.causes().map(|cause| cause.code).eq(codes));
        assert_eq!(error.cause(), Cause::UNRECOGNIZED_PARAMETER);
        let mut buf = vec![0xff; padded.len()];
        error.write(&mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, padded);
        assert_eq!(error.encoded_len(), padded.len());
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = hex("000c0010 0003000c 00090008 506f6f6c");
        for len in 4..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            assert!(operation_error(parameter(&cut)).is_err());
        }
    }

    #[test]
    fn built_and_parsed_errors_are_equal() {
        let error = OperationError::new(Cause::INVALID_VALUES, b"abcde");
        let mut buf = vec![0xff; error.encoded_len()];
        error.write(&mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, hex("000c000d 00030009 6162636465 000000"));
        assert_eq!(operation_error(parameter(&buf)), Ok((error, true)));
    }

    #[test]
    fn a_cause_shorter_than_its_header_is_refused() {
        assert!(operation_error(parameter(&hex("000c0008 00030003"))).is_err());
    }
}
