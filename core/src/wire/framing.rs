//! Framing: headers, lengths, padding, and what to do with what is not known.
//!
//! Read RFC 5354 §2 to §4 before editing. Lengths count header and value but not the padding after
//! them. Where the RFC leaves the padding of the last nested parameter out of its container's
//! length, RSPLIB counts it in; both are accepted, and we send the latter
//! (`docs/protocol-notes.md`).
//!
//! ```text
//! message:   | type u8 | flags u8 | length u16 | value ... | 0..3 padding |
//! parameter: | type u16           | length u16 | value ... | 0..3 padding |
//! ```

use core::mem;

use nom::{IResult, Parser};

use super::error::{EmitError, ParseError, ParseErrorKind};
use super::parameter::ParameterType;

/// Whether what came with peculiarities is written as it came. A board repeats nothing that others
/// wrote, and saves the code that finds out whether it still says the same.
pub(crate) const REPEATS: bool = cfg!(any(test, not(feature = "small")));

/// What a parser of one thing returns.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, ParseError<'a>>;

/// Takes `N` bytes. (nom's own number parsers loop over bytes and are not inlined.)
#[inline(always)]
pub(crate) fn chunk<const N: usize>(input: &[u8]) -> Parsed<'_, [u8; N]> {
    match input.split_first_chunk() {
        Some((&bytes, rest)) => Ok((rest, bytes)),
        None => Err(nom::Err::Error(too_short(input))),
    }
}

/// Takes two bytes as a number.
#[inline(always)]
pub(crate) fn be_u16(input: &[u8]) -> Parsed<'_, u16> {
    chunk.map(u16::from_be_bytes).parse(input)
}

/// Takes four bytes as a number.
#[inline(always)]
pub(crate) fn be_u32(input: &[u8]) -> Parsed<'_, u32> {
    chunk.map(u32::from_be_bytes).parse(input)
}

#[cold]
fn too_short(input: &[u8]) -> ParseError<'_> {
    ParseError::new(ParseErrorKind::ParameterLength, input)
}

/// Length of a message header and of a parameter header.
pub(crate) const HEADER_LEN: usize = 4;

/// How many bytes of padding follow `len` bytes.
pub(crate) const fn padding_len(len: usize) -> usize {
    len.wrapping_neg() & 3
}

/// `len` and the padding after it.
pub(crate) const fn padded(len: usize) -> usize {
    // No slice is so long that this wraps.
    len.wrapping_add(3) & !3
}

/// What the top two bits of an unknown parameter's type demand (RFC 5354 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownAction {
    Stop,
    StopAndReport,
    Skip,
    SkipAndReport,
}

impl UnknownAction {
    pub(crate) const fn of(kind: ParameterType) -> Self {
        match kind.0 >> 14 {
            0b00 => Self::Stop,
            0b01 => Self::StopAndReport,
            0b10 => Self::Skip,
            _ => Self::SkipAndReport,
        }
    }
}

/// One parameter: its type and its bytes, header included, padding excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tlv<'a> {
    pub(crate) kind: ParameterType,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// The value without its header.
    #[inline(always)]
    pub(crate) fn value(self) -> &'a [u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    pub(crate) fn error(self, kind: ParseErrorKind) -> ParseError<'a> {
        ParseError::new(kind, self.bytes)
    }

    /// Reads the value with `parser`, which must take all of it.
    #[inline]
    pub(crate) fn read<T>(
        self,
        parser: impl Fn(&'a [u8]) -> Parsed<'a, T>,
    ) -> Result<T, ParseError<'a>> {
        match parser(self.value()) {
            Ok(([], value)) => Ok(value),
            _ => Err(self.error(ParseErrorKind::ParameterLength)),
        }
    }
}

/// Reads a parameter without its padding.
#[cfg_attr(not(feature = "small"), inline(always))]
#[cfg_attr(feature = "small", inline(never))]
pub(crate) fn tlv(input: &[u8]) -> Parsed<'_, Tlv<'_>> {
    let (_, [kind_high, kind_low, len_high, len_low]) = chunk(input)?;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    match input.split_at_checked(len) {
        Some((bytes, rest)) if len >= HEADER_LEN => {
            Ok((rest, Tlv { kind: ParameterType::from_be_bytes([kind_high, kind_low]), bytes }))
        }
        _ => Err(nom::Err::Error(too_short(input))),
    }
}

/// Walks the parameters of a message or of a parameter, and notes whether anything about them is
/// out of the ordinary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlvs<'a> {
    /// The message or parameter that they are in.
    whole: &'a [u8],
    rest: &'a [u8],
    rank: u8,
    plain: bool,
}

impl<'a> Tlvs<'a> {
    /// The parameters in `rest`, which is the end of `whole`.
    #[inline]
    pub(crate) fn new(whole: &'a [u8], rest: &'a [u8]) -> Self {
        Self { whole, rest, rank: 0, plain: rest.len() & 3 == 0 }
    }

    /// Opens a message: checks type and length, and returns its flags and what follows them.
    #[cfg_attr(not(feature = "small"), inline)]
    #[cfg_attr(feature = "small", inline(never))]
    pub(crate) fn open(bytes: &'a [u8], kind: u8) -> Result<(u8, Self), ParseError<'a>> {
        let (rest, header) =
            be_u32(bytes).map_err(|_: nom::Err<ParseError<'a>>| message_length(bytes))?;
        let [found, flags, high, low] = header.to_be_bytes();
        if found != kind {
            return Err(ParseError::new(ParseErrorKind::MessageType, bytes));
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        let value_len = len.checked_sub(HEADER_LEN).ok_or_else(|| message_length(bytes))?;
        let padding = padding_len(len);
        if bytes.len() != len.wrapping_add(padding) {
            return Err(message_length(bytes));
        }
        if padding == 0 {
            return Ok((flags, Self::new(bytes, rest)));
        }
        let value = rest.get(..value_len).unwrap_or_default();
        Ok((flags, Self::new(bytes, value)))
    }

    /// Reads a field of fixed size.
    #[inline]
    pub(crate) fn fixed<T>(
        &mut self,
        parser: impl Fn(&'a [u8]) -> Parsed<'a, T>,
    ) -> Result<T, ParseError<'a>> {
        match parser(self.rest) {
            Ok((rest, value)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(_) => Err(ParseError::new(ParseErrorKind::Missing, self.whole)),
        }
    }

    /// The next parameter. `rank` of the one before must be told with [`rank`](Self::rank).
    #[cfg_attr(not(feature = "small"), inline)]
    #[cfg_attr(feature = "small", inline(never))]
    pub(crate) fn next(&mut self) -> Result<Option<Tlv<'a>>, ParseError<'a>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (rest, tlv) = tlv(self.rest)?;
        let padding = padding_len(tlv.bytes.len());
        self.rest = match padding {
            0 => rest,
            _ => self.skip_padding(rest, padding, tlv)?,
        };
        Ok(Some(tlv))
    }

    #[inline(never)]
    fn skip_padding(
        &mut self,
        rest: &'a [u8],
        padding: usize,
        tlv: Tlv<'a>,
    ) -> Result<&'a [u8], ParseError<'a>> {
        match rest.split_at_checked(padding) {
            Some((padding, rest)) => {
                self.plain &= padding.iter().all(|&byte| byte == 0);
                Ok(rest)
            }
            // The container's length may leave out the padding of its last parameter.
            None if rest.is_empty() => Ok(rest),
            None => Err(tlv.error(ParseErrorKind::ParameterLength)),
        }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Notes where in our own order the parameter just read would stand.
    #[inline]
    pub(crate) fn rank(&mut self, rank: u8) {
        self.plain &= rank >= self.rank;
        self.rank = rank;
    }

    /// Notes that something inside was out of the ordinary.
    #[inline]
    pub(crate) fn odd_if(&mut self, odd: bool) {
        self.plain &= !odd;
    }

    /// Handles a parameter that does not belong here: skips it if its type allows.
    #[cold]
    pub(crate) fn unexpected(&mut self, tlv: Tlv<'a>) -> Result<(), ParseError<'a>> {
        self.plain = false;
        if tlv.kind.is_mandatory_to_know() {
            return Err(tlv.error(ParseErrorKind::Misplaced));
        }
        match UnknownAction::of(tlv.kind) {
            UnknownAction::Stop | UnknownAction::StopAndReport => {
                Err(tlv.error(ParseErrorKind::Unrecognized))
            }
            UnknownAction::Skip | UnknownAction::SkipAndReport => Ok(()),
        }
    }

    /// Skips what is left, where no parameter is expected any more.
    pub(crate) fn finish(&mut self) -> Result<(), ParseError<'a>> {
        while let Some(tlv) = self.next()? {
            self.unexpected(tlv)?;
        }
        Ok(())
    }

    /// The parameter, or an error that says that there is none.
    #[inline]
    pub(crate) fn required<T>(&self, parameter: Option<T>) -> Result<T, ParseError<'a>> {
        parameter.ok_or(ParseError::new(ParseErrorKind::Missing, self.whole))
    }

    /// How the bytes were laid out.
    #[inline]
    pub(crate) fn layout(&self) -> Layout<'a> {
        Layout(if self.plain { None } else { Some(self.whole) })
    }
}

#[cold]
fn message_length(bytes: &[u8]) -> ParseError<'_> {
    ParseError::new(ParseErrorKind::MessageLength, bytes)
}

/// How a message or parameter was laid out when it came.
///
/// Nearly always as we would lay it out ourselves, and then there is nothing to remember. But
/// skipped unknown parameters, another order, over-long policies and the like have no place in the
/// other fields; such a message remembers its bytes, so that it is written as it came. If one of
/// its fields has been changed since, the bytes are forgotten and it is written our way.
///
/// ```
/// use rserpool_core::wire::Layout;
/// assert!(Layout::OURS.is_ours());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Layout<'a>(pub(crate) Option<&'a [u8]>);

impl<'a> Layout<'a> {
    /// Ours: the fields say all.
    pub const OURS: Layout<'static> = Layout(None);

    /// Whether we would lay out the same fields in the same way.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.0.is_none()
    }

    /// Walks the unknown parameters to report; `fixed_len` bytes come before the first parameter.
    pub(crate) fn unrecognized(&self, fixed_len: usize) -> Unrecognized<'a> {
        let bytes = self.0.and_then(|bytes| bytes.get(fixed_len..)).unwrap_or_default();
        Unrecognized { levels: [&[], &[], bytes] }
    }
}

/// The skipped parameters of a message whose types ask to be reported (RFC 5354 §3), each with its
/// header and without its padding, at whatever depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unrecognized<'a> {
    /// What is left to walk, innermost first: a transport in a pool element in a message.
    levels: [&'a [u8]; 3],
}

impl<'a> Iterator for Unrecognized<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // Each round takes at least a header off a finite number of bytes.
        loop {
            let depth = self.levels.iter().position(|level| !level.is_empty())?;
            let level = self.levels.get_mut(depth)?;
            let Ok((rest, tlv)) = tlv(level) else {
                *level = &[];
                continue;
            };
            *level = rest.get(padding_len(tlv.bytes.len())..).unwrap_or_default();
            if tlv.kind.is_mandatory_to_know() {
                if let Some(inner) = depth.checked_sub(1).and_then(|d| self.levels.get_mut(d)) {
                    let fixed_len = tlv.kind.nested_offset();
                    *inner = fixed_len.and_then(|n| tlv.bytes.get(n..)).unwrap_or_default();
                }
            } else if UnknownAction::of(tlv.kind) == UnknownAction::SkipAndReport {
                return Some(tlv.bytes);
            }
        }
    }
}

/// Writes into a buffer, front to back.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    /// Where the next bytes go.
    rest: &'b mut [u8],
}

impl<'b> Writer<'b> {
    #[inline]
    pub(crate) fn new(buf: &'b mut [u8]) -> Self {
        Self { rest: buf }
    }

    /// Writes a few bytes whose number is known at compile time.
    #[inline(always)]
    pub(crate) fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), EmitError> {
        // Asked first, so that the compiler need not empty `rest` for the case of an error.
        if self.rest.len() < N {
            return Err(EmitError::Full);
        }
        let rest = mem::take(&mut self.rest);
        let (place, rest) = rest.split_first_chunk_mut().ok_or(EmitError::Full)?;
        *place = bytes;
        self.rest = rest;
        Ok(())
    }

    #[cfg_attr(not(feature = "small"), inline(always))]
    #[cfg_attr(feature = "small", inline(never))]
    pub(crate) fn put_u32(&mut self, value: u32) -> Result<(), EmitError> {
        self.put(value.to_be_bytes())
    }

    /// Writes two words.
    #[inline(always)]
    pub(crate) fn put_words(&mut self, first: u32, second: u32) -> Result<(), EmitError> {
        self.put((u64::from(first) << 32 | u64::from(second)).to_be_bytes())
    }

    /// Writes three words.
    #[inline(always)]
    pub(crate) fn put_three(&mut self, words: [u32; 3]) -> Result<(), EmitError> {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l]] = words.map(u32::to_be_bytes);
        self.put([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// Writes `bytes` and the padding after them.
    #[cfg_attr(not(feature = "small"), inline(always))]
    #[cfg_attr(feature = "small", inline(never))]
    pub(crate) fn put_padded(&mut self, bytes: &[u8]) -> Result<(), EmitError> {
        if cfg!(feature = "small") {
            self.rest = put_any(mem::take(&mut self.rest), bytes).ok_or(EmitError::Full)?;
            return Ok(());
        }
        // Handles and transports of usual sizes are copied without a call.
        if let Ok(&bytes) = <&[u8; 16]>::try_from(bytes) {
            return self.put(bytes);
        }
        if let Ok(&bytes) = <&[u8; 8]>::try_from(bytes) {
            return self.put(bytes);
        }
        if let Ok(&bytes) = <&[u8; 12]>::try_from(bytes) {
            return self.put(bytes);
        }
        self.rest = put_any(mem::take(&mut self.rest), bytes).ok_or(EmitError::Full)?;
        Ok(())
    }

    /// How much room is left.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.rest.len()
    }

    /// Writes a parameter header; `len` counts the header and the value. It fits its field if
    /// that of the message does, and that is looked at first.
    #[cfg_attr(not(feature = "small"), inline(always))]
    #[cfg_attr(feature = "small", inline(never))]
    pub(crate) fn put_header(&mut self, kind: ParameterType, len: usize) -> Result<(), EmitError> {
        let [.., high, low] = len.to_be_bytes();
        let [kind_high, kind_low] = kind.0.to_be_bytes();
        self.put([kind_high, kind_low, high, low])
    }
}

/// Writes `bytes` and the padding after them, and returns the room behind. (Takes the room by
/// value, so that a [`Writer`] can live in registers.)
#[inline(never)]
fn put_any<'b>(room: &'b mut [u8], bytes: &[u8]) -> Option<&'b mut [u8]> {
    let (place, rest) = room.split_at_mut_checked(bytes.len())?;
    place.copy_from_slice(bytes);
    let (padding, rest) = rest.split_at_mut_checked(padding_len(bytes.len()))?;
    padding.fill(0);
    Some(rest)
}

/// Writes a message header; `len` counts the header and the value.
#[inline]
pub(crate) fn message_header(kind: u8, flags: u8, len: usize) -> Result<[u8; 4], EmitError> {
    let [high, low] = u16::try_from(len).map_err(|_| EmitError::TooLong)?.to_be_bytes();
    Ok([kind, flags, high, low])
}

/// What all messages have in common. Each message file implements it and gets the public methods
/// from `message_methods!`.
pub(crate) trait Message<'a>: Copy + PartialEq {
    const TYPE: u8;
    /// The flags that mean something.
    const FLAGS: u8;
    /// Bytes before the first parameter, the header included.
    const FIXED_LEN: usize;

    /// Reads what follows the header.
    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>>;
    /// Writes what follows the header.
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError>;
    /// Writes the header and what follows it.
    #[inline(always)]
    fn write_after(&self, header: [u8; 4], writer: &mut Writer<'_>) -> Result<(), EmitError> {
        writer.put(header)?;
        self.write(writer)
    }
    /// The length of what [`write`](Self::write) writes.
    fn value_len(&self) -> usize;
    fn flags(&self) -> u8;
    fn layout(&self) -> Layout<'a>;
    fn set_layout(&mut self, layout: Layout<'a>);

    #[inline]
    fn parse_message(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let (flags, mut tlvs) = Tlvs::open(bytes, Self::TYPE)?;
        let mut message = Self::read(flags, &mut tlvs)?;
        tlvs.odd_if(flags & !Self::FLAGS != 0);
        if !tlvs.plain {
            message.set_layout(tlvs.layout());
        }
        Ok(message)
    }

    /// The bytes as they came, if they are peculiar and still say what the fields say.
    #[inline(always)]
    fn verbatim(&self) -> Option<&'a [u8]> {
        match self.layout().0 {
            None => None,
            Some(_) if !REPEATS => None,
            Some(bytes) => self.verbatim_if_same(bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn verbatim_if_same(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        Self::parse_message(bytes).is_ok_and(|message| message == *self).then_some(bytes)
    }

    #[inline]
    fn message_len(&self) -> usize {
        match self.verbatim() {
            Some(bytes) => bytes.len(),
            None => HEADER_LEN.saturating_add(self.value_len()),
        }
    }

    #[inline]
    fn emit_message(&self, buf: &mut [u8]) -> Result<usize, EmitError> {
        if let Some(bytes) = self.verbatim() {
            Writer::new(buf).put_padded(bytes)?;
            return Ok(bytes.len());
        }
        let len = HEADER_LEN.wrapping_add(self.value_len());
        let mut writer = Writer::new(buf.get_mut(..len).ok_or(EmitError::Full)?);
        self.write_after(message_header(Self::TYPE, self.flags(), len)?, &mut writer)?;
        Ok(len)
    }
}

/// Gives a message its public methods.
macro_rules! message_methods {
    ($name:ident) => {
        impl<'a> $name<'a> {
            /// Reads a whole message: `bytes` must be the message and its padding, no more.
            ///
            /// # Errors
            ///
            /// If the bytes are no well-formed message of this type.
            pub fn parse(bytes: &'a [u8]) -> Result<Self, $crate::wire::ParseError<'a>> {
                $crate::wire::framing::Message::parse_message(bytes)
            }

            /// Writes the message to the start of `buf` and says how many bytes it takes.
            ///
            /// # Errors
            ///
            /// If the buffer is too small or the message too long for its length field.
            #[inline(never)]
            pub fn emit(&self, buf: &mut [u8]) -> Result<usize, $crate::wire::EmitError> {
                $crate::wire::framing::Message::emit_message(self, buf)
            }

            /// How many bytes [`emit`](Self::emit) writes.
            #[must_use]
            pub fn encoded_len(&self) -> usize {
                $crate::wire::framing::Message::message_len(self)
            }

            /// The unknown parameters that were skipped and whose types ask for a report.
            #[must_use]
            pub fn unrecognized(&self) -> $crate::wire::Unrecognized<'a> {
                self.layout.unrecognized(<Self as $crate::wire::framing::Message<'a>>::FIXED_LEN)
            }
        }
    };
}
pub(crate) use message_methods;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::hex;

    #[test]
    fn padding_fills_up_to_a_multiple_of_four() {
        assert_eq!([0, 1, 2, 3, 4].map(padding_len), [0, 3, 2, 1, 0]);
        assert_eq!([0, 1, 4, 5].map(padded), [0, 4, 4, 8]);
    }

    #[test]
    fn the_top_bits_say_what_to_do() {
        let of = |kind| UnknownAction::of(ParameterType(kind));
        assert_eq!(of(0x3fff), UnknownAction::Stop);
        assert_eq!(of(0x4000), UnknownAction::StopAndReport);
        assert_eq!(of(0x8000), UnknownAction::Skip);
        assert_eq!(of(0xffff), UnknownAction::SkipAndReport);
    }

    #[test]
    fn a_message_is_as_long_as_it_says() {
        for (text, is_right) in [
            ("0e000004", true),
            ("0e000005 78000000", true),
            ("0e000008 78000000", true),
            ("0e000009 78000000", false),
            ("0e000004 78000000", false),
            ("0e000003", false),
            ("0e000005 78", false),
            ("0e00", false),
            ("", false),
        ] {
            assert_eq!(Tlvs::open(&hex(text), 14).is_ok(), is_right, "{text}");
        }
    }

    #[test]
    fn the_length_of_a_parameter_is_cut_at_its_container() {
        let bytes = hex("80990005 78");
        let mut tlvs = Tlvs::new(&bytes, &bytes);
        assert_eq!(tlvs.next().unwrap().unwrap().value(), b"x");
        assert_eq!(tlvs.next(), Ok(None));
        for text in ["80990003", "80990009 78000000", "809900", "80990005 7800"] {
            let bytes = hex(text);
            let error = Tlvs::new(&bytes, &bytes).next().unwrap_err();
            assert_eq!(error.kind, ParseErrorKind::ParameterLength, "{text}");
        }
    }

    #[test]
    fn parameters_to_report_are_found_at_any_depth() {
        let bytes = hex("c0990005 78000000 80990004
            000a001c 00000001 00000001 00000001
            00040008 0007 0000 c09a0004
            000b0010 00000001 c09b0004 409b0004");
        let unrecognized = Layout(Some(&bytes)).unrecognized(0);
        let expected = [&bytes[..5], &hex("c09a0004")[..], &hex("c09b0004")[..]];
        assert!(unrecognized.eq(expected));
    }
}
