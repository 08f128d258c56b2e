//! Values as they are written on the command line and in the configuration file.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::compute::{KernelId, KernelSet};
use serde::{Deserialize, Deserializer};

/// Reads a value that is written as text in TOML, too.
macro_rules! deserialize_from_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The size of a picture: `WIDTHxHEIGHT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=SIDE_MAX).contains(side));
        let size = text
            .split_once('x')
            .and_then(|(width, height)| Some(Self { width: side(width)?, height: side(height)? }));
        size.ok_or(format!("\"{text}\" is no WIDTHxHEIGHT with sides from 1 to {SIDE_MAX}"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

deserialize_from_text!(Size);

/// A point of the complex plane: `RE,IM`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) re: f64,
    pub(crate) im: f64,
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |text: &str| text.trim().parse().ok().filter(|part: &f64| part.is_finite());
        let point =
            text.split_once(',').and_then(|(re, im)| Some(Self { re: part(re)?, im: part(im)? }));
        point.ok_or(format!("\"{text}\" is no point RE,IM, as -0.7436,0.1318"))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.re, self.im)
    }
}

deserialize_from_text!(Point);

/// A multicast group and its UDP port: `IP[:PORT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    address: IpAddr,
    port: Option<u16>,
}

impl Group {
    /// The group at the port that is written, or else at `port_default`.
    pub(crate) fn at(self, port_default: u16) -> SocketAddr {
        SocketAddr::new(self.address, self.port.unwrap_or(port_default))
    }
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.parse().map(|group: SocketAddr| (group.ip(), Some(group.port())));
        let alone = || text.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let group = whole.ok().or_else(|| Some((alone()?, None)));
        group
            .filter(|(address, port): &(IpAddr, _)| address.is_multicast() && *port != Some(0))
            .map(|(address, port)| Self { address, port })
            .ok_or(format!(
                "\"{text}\" is no multicast group: write 239.0.0.50 or [ff05::133]:3863"
            ))
    }
}

deserialize_from_text!(Group);

/// A kernel, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelChoice(pub(crate) KernelId);

impl FromStr for KernelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = StandardKernels::IDS.iter().filter_map(|&id| StandardKernels::name(id));
        let found =
            StandardKernels::IDS.iter().find(|&&id| StandardKernels::name(id) == Some(text));
        found.map(|&id| Self(id)).ok_or_else(|| {
            format!("\"{text}\" is no kernel: there are {}", names.collect::<Vec<_>>().join(", "))
        })
    }
}

deserialize_from_text!(KernelChoice);

/// An identifier of 32 bits: decimal, or hexadecimal after `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identifier(pub(crate) u32);

impl FromStr for Identifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        match number {
            Ok(0) => Err("identifier 0 means \"not known\": choose another".into()),
            Ok(number) => Ok(Self(number)),
            Err(_) => Err(format!("\"{text}\" is no identifier: write 1 to 0xffffffff")),
        }
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A span of time: a number and `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit_ms = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let millis = unit_ms.and_then(|unit| number.parse::<u64>().ok()?.checked_mul(unit));
        let millis = millis.filter(|&millis| millis <= SPAN_MS_MAX);
        millis
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or(format!("\"{text}\" is no span of time: write 500ms, 30s, 5m or 1h"))
    }
}

deserialize_from_text!(Span);

/// A span of time, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanOrOff(pub(crate) Option<Duration>);

impl FromStr for SpanOrOff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            _ => text.parse().map(|Span(span)| Self(Some(span))),
        }
    }
}

deserialize_from_text!(SpanOrOff);

/// A secret of 32 bytes, written as 64 hexadecimal digits. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PoolKey(pub(crate) [u8; 32]);

impl PoolKey {
    /// The key that is used when none is configured: no secret at all.
    pub(crate) const DEVELOPMENT: Self = Self([0; 32]);

    /// The digits; for handing the key on to our own child processes.
    pub(crate) fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a key file holds: 64 hexadecimal digits, or the 32 bytes themselves.
    pub(crate) fn from_file_bytes(bytes: &[u8]) -> Result<Self, String> {
        if let Ok(key) = bytes.try_into() {
            return Ok(Self(key));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => text.trim().parse(),
            Err(_) => Err(format!("{} bytes are no key of 32 bytes", bytes.len())),
        }
    }
}

impl FromStr for PoolKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "a pool key is 64 hexadecimal digits (32 bytes)".to_owned();
        if text.len() != 64 || !text.is_ascii() {
            return Err(refused());
        }
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            let digits = &text[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolKey(..)")
    }
}

deserialize_from_text!(PoolKey);

/// A side of a picture: 16 Ki pixels are more than any screen has.
const SIDE_MAX: u32 = 16_384;

/// A year; a longer span is a slip of the pen.
const SPAN_MS_MAX: u64 = 366 * 86_400_000;

/// Which takeover suggestions there are (draft-dreibholz-rserpool-enrp-takeover).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Suggestions {
    Off,
    Accept,
    Both,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_sides() {
        assert_eq!("1920x1080".parse(), Ok(Size { width: 1920, height: 1080 }));
        for text in ["", "1920", "0x5", "5x0", "1x99999", "-1x5", "1920X1080"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_point_is_two_finite_numbers() {
        assert_eq!("-0.5,1e-3".parse(), Ok(Point { re: -0.5, im: 0.001 }));
        for text in ["", "1", "nan,0", "1,inf", "a,b"] {
            assert!(text.parse::<Point>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_group_is_a_multicast_address() {
        let group = |text: &str| text.parse::<Group>().map(|group| group.at(3_863).to_string());
        assert_eq!(group("239.0.0.50"), Ok("239.0.0.50:3863".into()));
        assert_eq!(group("239.0.0.50:7"), Ok("239.0.0.50:7".into()));
        assert_eq!(group("[ff05::133]:7"), Ok("[ff05::133]:7".into()));
        assert_eq!(group("[ff05::133]"), group("ff05::133"));
        for text in ["", "10.0.0.1", "239.0.0.50:0", "ff05::133:x", "all"] {
            assert!(text.parse::<Group>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_kernel_has_a_name() {
        assert_eq!("sha-prefix".parse(), Ok(KernelChoice(KernelId(3))));
        let refusal = "sha".parse::<KernelChoice>().unwrap_err();
        assert!(refusal.contains("fractal, monte-carlo, sha-prefix, synthetic"), "{refusal}");
    }

    #[test]
    fn an_identifier_is_decimal_or_hexadecimal_and_not_0() {
        assert_eq!("0xdeadBEEF".parse(), Ok(Identifier(0xdead_beef)));
        assert_eq!("7".parse(), Ok(Identifier(7)));
        for text in ["0", "0x", "x", "4294967296"] {
            assert!(text.parse::<Identifier>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_has_a_unit() {
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("2m".parse(), Ok(Span(Duration::from_secs(120))));
        for text in ["", "5", "s", "-1s", "99999999h", "1.5s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_read_back_and_not_shown() {
        let key = PoolKey([0xa5; 32]);
        assert_eq!(key.to_hex().parse(), Ok(key.clone()));
        assert_eq!(PoolKey::from_file_bytes(&[0xa5; 32]), Ok(key.clone()));
        assert_eq!(PoolKey::from_file_bytes(format!("{}\n", key.to_hex()).as_bytes()), Ok(key));
        assert!(PoolKey::from_file_bytes(b"short").is_err());
        assert_eq!(format!("{:?}", PoolKey([1; 32])), "PoolKey(..)");
    }
}
