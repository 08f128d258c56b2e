//! A report, which is one datagram.
//!
//! ```text
//! | 1 u8 | final = 0x01 u8 | length u16 | version 0x200 u32 | sender u64 | time stamp u64 |
//! | interval u32 | location, 128 bytes | status, 128 bytes | workload u16 | count u16 |
//! | association * |
//! association: | receiver u64 | duration u64 | flags u16 | protocol u16 | PPID u32 |
//! ```
//!
//! Spans are in microseconds. Source: what RSPLIB 3.4 sends.

use std::fmt;
use std::time::Duration;

use nom::bytes::complete::take;
use nom::multi::count;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::{IResult, Parser};
use rserpool_core::association::Ppid;
use rserpool_core::identifier::{PeId, RegistrarId};

use super::text::Text;

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentKind(pub u8);

impl ComponentKind {
    /// A registrar.
    pub const REGISTRAR: Self = Self(1);
    /// A pool element.
    pub const POOL_ELEMENT: Self = Self(2);
    /// A pool user.
    pub const POOL_USER: Self = Self(3);
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::REGISTRAR => f.pad("PR"),
            Self::POOL_ELEMENT => f.pad("PE"),
            Self::POOL_USER => f.pad("PU"),
            Self(other) => f.pad(&format!("{other:#04x}")),
        }
    }
}

/// Who a component is: its kind, and a number of 56 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(u64);

impl ComponentId {
    /// A component of this kind and number, of which the upper 8 bits are dropped.
    #[must_use]
    pub const fn new(kind: ComponentKind, number: u64) -> Self {
        Self(((kind.0 as u64) << NUMBER_BITS) | (number & NUMBER_MASK))
    }

    /// A registrar; [`RegistrarId::UNKNOWN`] if it has not said who it is.
    #[must_use]
    pub const fn registrar(id: RegistrarId) -> Self {
        Self::new(ComponentKind::REGISTRAR, id.0 as u64)
    }

    /// A pool element.
    #[must_use]
    pub const fn pool_element(id: PeId) -> Self {
        Self::new(ComponentKind::POOL_ELEMENT, id.0 as u64)
    }

    /// A pool user; 0 if it has not said who it is.
    #[must_use]
    pub const fn pool_user(number: u64) -> Self {
        Self::new(ComponentKind::POOL_USER, number)
    }

    /// What it is.
    #[must_use]
    pub const fn kind(self) -> ComponentKind {
        ComponentKind((self.0 >> NUMBER_BITS) as u8)
    }

    /// Its number: the identifier of a registrar or pool element.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0 & NUMBER_MASK
    }
}

impl fmt::Display for ComponentId {
    /// Its number: `0x11111111`, with more digits if it has more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:#010x}", self.number()))
    }
}

const NUMBER_BITS: u32 = 56;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// How busy a component is, in steps of 1/0xfffe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload(u16);

impl Workload {
    const FULL: u16 = 0xfffe;

    /// The step next to `fraction`, which is cut to the range from 0 to 1.
    ///
    /// ```
    /// use rserpool::csp::Workload;
    ///
    /// assert_eq!(Workload::of(0.5).fraction(), 0.5);
    /// assert_eq!(Workload::of(7.0).fraction(), 1.0);
    /// ```
    #[must_use]
    pub fn of(fraction: f64) -> Self {
        Self((fraction.clamp(0.0, 1.0) * f64::from(Self::FULL)).round() as u16)
    }

    /// From 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::FULL)
    }
}

/// An association of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Association {
    /// With whom.
    pub receiver: ComponentId,
    /// Since when, if the component knows.
    pub duration: Option<Duration>,
    /// The IP protocol: 132 for SCTP.
    pub protocol: u16,
    /// What is spoken.
    pub ppid: Ppid,
}

impl Association {
    /// The IP protocol of SCTP.
    pub const SCTP: u16 = 132;
}

/// What a component tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who.
    pub sender: ComponentId,
    /// It says good-bye.
    pub is_final: bool,
    /// Since its first report.
    pub uptime: Duration,
    /// How often it reports.
    pub interval: Duration,
    /// Where it is.
    pub location: Text,
    /// How it is, in words.
    pub status: Text,
    /// How busy it is, if that means something to it.
    pub workload: Option<Workload>,
    /// Whom it is connected with.
    pub associations: Vec<Association>,
}

/// Why a datagram is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Its length is not what its fields say.
    #[error("{0} bytes are not as many as the fields of a report say")]
    Length(usize),
    /// It is of another type.
    #[error("type {0} is no status report")]
    Type(u8),
    /// It is of another version.
    #[error("version {0:#x} is not known")]
    Version(u32),
}

impl Report {
    /// The most associations that a report can list.
    pub const ASSOCIATIONS_MAX: usize =
        (u16::MAX as usize - HEADER_LEN as usize) / ASSOCIATION_LEN as usize;

    /// Reads a datagram.
    ///
    /// # Errors
    ///
    /// If it is no report, or one of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        let wrong_len = |_: nom::Err<nom::error::Error<_>>| ReportError::Length(bytes.len());
        let (rest, (kind, flags, len, version)) =
            (be_u8, be_u8, be_u16, be_u32).parse(bytes).map_err(wrong_len)?;
        match (kind, version) {
            (STATUS_REPORT, VERSION) => {}
            (STATUS_REPORT, other) => return Err(ReportError::Version(other)),
            (other, _) => return Err(ReportError::Type(other)),
        }
        if usize::from(len) != bytes.len() {
            return Err(ReportError::Length(bytes.len()));
        }
        let (rest, report) = body(rest).map_err(wrong_len)?;
        match rest {
            [] => Ok(Self { is_final: flags & FINAL != 0, ..report }),
            _ => Err(ReportError::Length(bytes.len())),
        }
    }

    /// The report as a datagram. Spans that do not fit are told as the longest that do, and of
    /// the associations no more than [`Self::ASSOCIATIONS_MAX`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = self.associations.len().min(Self::ASSOCIATIONS_MAX) as u16;
        let len = HEADER_LEN + ASSOCIATION_LEN * count;
        let mut bytes = Vec::with_capacity(len.into());
        bytes.extend([STATUS_REPORT, if self.is_final { FINAL } else { 0 }]);
        bytes.extend(len.to_be_bytes());
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(self.sender.0.to_be_bytes());
        bytes.extend(micros(self.uptime).to_be_bytes());
        let interval = u32::try_from(micros(self.interval)).unwrap_or(u32::MAX);
        bytes.extend(interval.to_be_bytes());
        for text in [&self.location, &self.status] {
            let mut field = [0; TEXT_LEN];
            field[..text.as_str().len()].copy_from_slice(text.as_str().as_bytes());
            bytes.extend(field);
        }
        let workload = self.workload.map_or(NO_WORKLOAD, |workload| workload.0);
        bytes.extend(workload.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        for association in self.associations.iter().take(count.into()) {
            association.write(&mut bytes);
        }
        bytes
    }
}

impl Association {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.receiver.0.to_be_bytes());
        bytes.extend(self.duration.map_or(NO_DURATION, micros).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.protocol.to_be_bytes());
        bytes.extend(self.ppid.0.to_be_bytes());
    }
}

/// All after the version.
fn body(input: &[u8]) -> IResult<&[u8], Report> {
    let (input, (sender, uptime, interval)) = (be_u64, be_u64, be_u32).parse(input)?;
    let (input, (location, status)) = (take(TEXT_LEN), take(TEXT_LEN)).parse(input)?;
    let (input, (workload, association_count)) = (be_u16, be_u16).parse(input)?;
    // Each takes its bytes off a datagram, so there are no more than that holds.
    let (input, associations) = count(association, association_count.into()).parse(input)?;
    let report = Report {
        sender: ComponentId(sender),
        is_final: false,
        uptime: Duration::from_micros(uptime.min(NO_DURATION - 1)),
        interval: Duration::from_micros(interval.into()),
        location: Text::of_field(location),
        status: Text::of_field(status),
        workload: (workload != NO_WORKLOAD).then_some(Workload(workload)),
        associations,
    };
    Ok((input, report))
}

fn association(input: &[u8]) -> IResult<&[u8], Association> {
    let (input, (receiver, duration, _flags, protocol, ppid)) =
        (be_u64, be_u64, be_u16, be_u16, be_u32).parse(input)?;
    let duration = (duration != NO_DURATION).then(|| Duration::from_micros(duration));
    let association =
        Association { receiver: ComponentId(receiver), duration, protocol, ppid: Ppid(ppid) };
    Ok((input, association))
}

fn micros(span: Duration) -> u64 {
    // All ones say that it is not known.
    u64::try_from(span.as_micros()).unwrap_or(NO_DURATION).min(NO_DURATION - 1)
}

const STATUS_REPORT: u8 = 1;
const FINAL: u8 = 0x01;
const VERSION: u32 = 0x0200;
const HEADER_LEN: u16 = 288;
const ASSOCIATION_LEN: u16 = 24;
const TEXT_LEN: usize = 128;
const NO_WORKLOAD: u16 = 0xffff;
const NO_DURATION: u64 = u64::MAX;

const _: () = assert!(Text::LEN_MAX < TEXT_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    /// RSPLIB's registrar 0x11111111 with its peer 0x22222222, as recorded.
    fn recorded() -> Vec<u8> {
        let mut bytes = hex("01000138 00000200 0100000011111111 0000000000000024 000f4240");
        let mut text = |text: &str| {
            let mut field = text.as_bytes().to_vec();
            field.resize(TEXT_LEN, 0);
            bytes.extend(field);
        };
        text("(none): 10.77.0.11:3863");
        text("2[2] PEs in 2 Pools, 1 Peer");
        bytes.extend(hex("ffff 0001"));
        bytes.extend(hex("0100000022222222 ffffffffffffffff 0000 0084 0000000c"));
        bytes
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    fn registrar() -> Report {
        Report {
            sender: ComponentId::registrar(RegistrarId(0x1111_1111)),
            is_final: false,
            uptime: Duration::from_micros(36),
            interval: Duration::from_secs(1),
            location: Text::new("(none): 10.77.0.11:3863"),
            status: Text::new("2[2] PEs in 2 Pools, 1 Peer"),
            workload: None,
            associations: vec![Association {
                receiver: ComponentId::registrar(RegistrarId(0x2222_2222)),
                duration: None,
                protocol: Association::SCTP,
                ppid: Ppid::ENRP,
            }],
        }
    }

    #[test]
    fn bytes_are_those_of_rsplib() {
        assert_eq!(Report::parse(&recorded()), Ok(registrar()));
        assert_eq!(registrar().to_bytes(), recorded());
    }

    #[test]
    fn an_element_knows_since_when_it_has_a_registrar_but_not_which() {
        let bytes = hex("0100000000000000 00000000000f4805 0000 0084 0000000b");
        let (_, association) = association(&bytes).unwrap();
        assert_eq!(association.receiver, ComponentId::registrar(RegistrarId::UNKNOWN));
        assert_eq!(association.duration, Some(Duration::from_micros(1_001_477)));
        assert_eq!(association.ppid, Ppid::ASAP);
        let mut again = Vec::new();
        association.write(&mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn a_workload_is_in_steps() {
        let half = Report { workload: Some(Workload::of(0.5)), ..registrar() };
        let bytes = half.to_bytes();
        assert_eq!(bytes[284..286], [0x7f, 0xff]);
        assert_eq!(Report::parse(&bytes), Ok(half));
    }

    #[test]
    fn a_good_bye_has_its_flag_and_needs_no_text() {
        let mut last = Report { is_final: true, associations: Vec::new(), ..registrar() };
        (last.location, last.status) = (Text::default(), Text::default());
        let bytes = last.to_bytes();
        assert_eq!(bytes[..8], hex("01010120 00000200"));
        assert_eq!(Report::parse(&bytes), Ok(last));
    }

    #[test]
    fn an_identifier_has_a_kind_and_a_number_of_56_bits() {
        let user = ComponentId::pool_user(u64::MAX);
        assert_eq!((user.kind(), user.number()), (ComponentKind::POOL_USER, u64::MAX >> 8));
        assert_eq!(ComponentId::pool_element(PeId(7)).to_string(), "0x00000007");
        assert_eq!(format!("{:>4}", ComponentKind(9)), "0x09");
        assert_eq!(format!("{:>4}", user.kind()), "  PU");
    }

    #[test]
    fn more_associations_than_can_be_counted_are_not_told() {
        let mut report = registrar();
        report.associations = vec![report.associations[0]; Report::ASSOCIATIONS_MAX + 1];
        let bytes = report.to_bytes();
        assert!(bytes.len() <= usize::from(u16::MAX));
        report.associations.pop();
        assert_eq!(Report::parse(&bytes), Ok(report));
    }

    #[test]
    fn each_truncation_is_refused() {
        let bytes = recorded();
        for len in 0..bytes.len() {
            assert_eq!(Report::parse(&bytes[..len]), Err(ReportError::Length(len)));
        }
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(Report::parse(&more), Err(ReportError::Length(313)));
    }

    #[test]
    fn more_associations_than_bytes_are_refused() {
        let mut bytes = recorded();
        bytes[287] = 2;
        assert_eq!(Report::parse(&bytes), Err(ReportError::Length(312)));
        bytes[287] = 0;
        assert_eq!(Report::parse(&bytes), Err(ReportError::Length(312)));
    }

    #[test]
    fn another_type_or_version_is_refused() {
        let mut bytes = recorded();
        bytes[0] = 2;
        assert_eq!(Report::parse(&bytes), Err(ReportError::Type(2)));
        bytes[0] = 1;
        bytes[6] = 3;
        assert_eq!(Report::parse(&bytes), Err(ReportError::Version(0x300)));
    }
}
