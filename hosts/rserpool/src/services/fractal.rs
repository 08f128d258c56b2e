//! Fractal: an element computes a picture of the Mandelbrot set, pixel by pixel.
//!
//! ```text
//! Parameter | 1 | 0 | 60 | width u32 | height u32 | iterations u32 | algorithm u32
//!           | C1 real, C1 imaginary, C2 real, C2 imaginary, N: five f64 |
//! Data      | 2 | 0 | length | x u32 | y u32 | count u32 | that many values u32 |
//! cookie    | "<FG-TD1>" | the Parameter, its length field 4 | x u32 | y u32 |
//! ```
//!
//! Values run row by row from (x, y). The picture ends with a Data message of no values from
//! (0xffffffff, 0xffffffff). A cookie names the next pixel, and is all that another element needs.

mod client;
mod render;
mod server;

pub use client::{Band, Client, Config, Event, Statistics};
pub use render::render;
pub use server::{Limits, Server};

use super::codec::{ParseError, Reader, Writer};

/// How a picture is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// z² - c.
    Mandelbrot,
    /// zᴺ - c.
    MandelbrotN,
}

/// What picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Pixels in a row, 1 to [`SIDE_MAX`].
    pub width: u32,
    /// Rows, 1 to [`SIDE_MAX`].
    pub height: u32,
    /// The most iterations, 1 to [`ITERATIONS_MAX`].
    pub iterations_max: u32,
    /// How it is computed.
    pub algorithm: Algorithm,
    /// The upper left corner: real, imaginary.
    pub c1: (f64, f64),
    /// The lower right corner, which is one step outside of the picture.
    pub c2: (f64, f64),
    /// The exponent of [`Algorithm::MandelbrotN`].
    pub n: f64,
}

impl Parameter {
    fn read(mut fields: Reader<'_>) -> Result<(Self, Reader<'_>), ParseError> {
        let mut within = |field, max| match fields.u32()? {
            value if value >= 1 && value <= max => Ok(value),
            value => Err(ParseError::Value { field, value: value.into() }),
        };
        let width = within("width", SIDE_MAX)?;
        let height = within("height", SIDE_MAX)?;
        let iterations_max = within("iterations", ITERATIONS_MAX)?;
        let algorithm = match fields.u32()? {
            1 => Algorithm::Mandelbrot,
            2 => Algorithm::MandelbrotN,
            other => return Err(ParseError::Value { field: "algorithm", value: other.into() }),
        };
        let c1 = (fields.f64()?, fields.f64()?);
        let c2 = (fields.f64()?, fields.f64()?);
        let n = fields.f64()?;
        Ok((Self { width, height, iterations_max, algorithm, c1, c2, n }, fields))
    }

    fn to_bytes(self) -> Vec<u8> {
        Writer::message(PARAMETER, 0)
            .u32(self.width)
            .u32(self.height)
            .u32(self.iterations_max)
            .u32(match self.algorithm {
                Algorithm::Mandelbrot => 1,
                Algorithm::MandelbrotN => 2,
            })
            .f64(self.c1.0)
            .f64(self.c1.1)
            .f64(self.c2.0)
            .f64(self.c2.1)
            .f64(self.n)
            .finish()
    }

    /// How many pixels the picture has.
    #[must_use]
    pub fn pixel_count(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The pixel of a place, counted row by row.
    fn index(&self, x: u32, y: u32) -> Option<u64> {
        let is_inside = x < self.width && y < self.height;
        is_inside.then(|| u64::from(y) * u64::from(self.width) + u64::from(x))
    }

    /// The place of a pixel.
    fn place(&self, index: u64) -> (u32, u32) {
        let width = u64::from(self.width);
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        (narrow(index % width), narrow(index / width))
    }
}

/// A message of the service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// A user wants a picture.
    Parameter(Parameter),
    /// A part of it.
    Data {
        /// The column of the first value.
        x: u32,
        /// The row of the first value.
        y: u32,
        /// The values.
        values: Values<'a>,
    },
    /// That was all of it.
    End,
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// If it is none, or wants a picture beyond all bounds.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (kind, _, mut fields) = Reader::message(bytes)?;
        match kind {
            PARAMETER => {
                let (parameter, rest) = Parameter::read(fields)?;
                rest.end()?;
                Ok(Self::Parameter(parameter))
            }
            DATA => {
                let (x, y, count) = (fields.u32()?, fields.u32()?, fields.u32()?);
                if usize::try_from(count).is_ok_and(|count| count > POINT_COUNT_MAX) {
                    return Err(ParseError::Value { field: "points", value: count.into() });
                }
                let values = fields.rest(4 * POINT_COUNT_MAX)?;
                let wanted_len = 4 * count as usize;
                if values.len() < wanted_len {
                    let missing_len = wanted_len - values.len();
                    return Err(ParseError::TooShort { missing_len });
                }
                if values.len() > wanted_len {
                    return Err(ParseError::TooLong(values.len() - wanted_len));
                }
                match (x, y, count) {
                    (u32::MAX, u32::MAX, 0) => Ok(Self::End),
                    _ => Ok(Self::Data { x, y, values: Values(values) }),
                }
            }
            other => Err(ParseError::Type(other)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let (x, y, values) = match self {
            Self::Parameter(parameter) => return parameter.to_bytes(),
            Self::Data { x, y, values } => (x, y, values.0),
            Self::End => (u32::MAX, u32::MAX, &[][..]),
        };
        let count = (values.len() / 4) as u32;
        Writer::message(DATA, 0).u32(x).u32(y).u32(count).bytes(values).finish()
    }
}

/// Values as they travel: four bytes each, at most [`POINT_COUNT_MAX`] of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    /// The values, one after the other.
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        let (values, _) = self.0.as_chunks();
        values.iter().map(|&value| u32::from_be_bytes(value))
    }
}

/// What a session is at: the picture, and the next pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cookie {
    /// The picture.
    pub parameter: Parameter,
    /// The next pixel, counted row by row; all are done if there is none.
    pub next: u64,
}

impl Cookie {
    /// Reads a cookie.
    ///
    /// # Errors
    ///
    /// If it is none of this service.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Reader::fields(bytes);
        if fields.array()? != COOKIE_MARK {
            return Err(ParseError::Cookie);
        }
        // The length in this header is that of the header itself.
        let [kind, _, _, _] = fields.array()?;
        if kind != PARAMETER {
            return Err(ParseError::Type(kind));
        }
        let (parameter, mut fields) = Parameter::read(fields)?;
        let (x, y) = (fields.u32()?, fields.u32()?);
        fields.end()?;
        match (parameter.index(x, y), (x, y) == (0, parameter.height)) {
            (Some(next), _) => Ok(Self { parameter, next }),
            (None, true) => Ok(Self { parameter, next: parameter.pixel_count() }),
            (None, false) => Err(ParseError::Value { field: "pixel", value: y.into() }),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let (x, y) = self.parameter.place(self.next);
        let mut parameter = self.parameter.to_bytes();
        parameter[2..4].copy_from_slice(&[0, 4]);
        [&COOKIE_MARK[..], &parameter, &x.to_be_bytes(), &y.to_be_bytes()].concat()
    }
}

/// The longest side of a picture; RSPLIB refuses longer ones, too.
pub const SIDE_MAX: u32 = 65_536;

/// The most iterations; RSPLIB refuses more, too.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// The most values of a Data message.
pub const POINT_COUNT_MAX: usize = 324;

const PARAMETER: u8 = 1;
const DATA: u8 = 2;
const COOKIE_MARK: [u8; 8] = *b"<FG-TD1>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{Service, recorded};

    #[test]
    fn recorded_messages_are_written_again_as_they_came() {
        let (mut picture, mut end_count) = (0, 0);
        for said in recorded::said("fractal-session", Service::Fractal) {
            if said.ppid == Service::Fractal.ppid() {
                let message = Message::parse(&said.data).unwrap();
                assert_eq!(message.to_bytes(), said.data);
                match message {
                    Message::Data { values, .. } => picture += values.iter().count(),
                    Message::End => end_count += 1,
                    Message::Parameter(_) => {}
                }
            }
        }
        assert_eq!((picture, end_count), (14_800, 1));
        let cookies = recorded::cookies("fractal-session", Service::Fractal);
        assert!(!cookies.is_empty());
        for cookie in cookies {
            assert_eq!(Cookie::parse(&cookie).unwrap().to_bytes(), cookie);
        }
    }

    #[test]
    fn what_is_cut_off_or_out_of_bounds_is_refused() {
        let cookie = &recorded::cookies("fractal-session", Service::Fractal)[0];
        for len in 0..cookie.len() {
            assert!(Cookie::parse(&cookie[..len]).is_err(), "{len}");
        }
        let parameter = Cookie::parse(cookie).unwrap().parameter;
        let bytes = parameter.to_bytes();
        for len in 0..bytes.len() {
            assert!(Message::parse(&bytes[..len]).is_err(), "{len}");
        }
        for wrong in [
            Parameter { width: 0, ..parameter },
            Parameter { height: 65_537, ..parameter },
            Parameter { iterations_max: 1_000_001, ..parameter },
        ] {
            let error = Message::parse(&wrong.to_bytes()).unwrap_err();
            assert!(matches!(error, ParseError::Value { .. }), "{error}");
        }
        let end = Message::End.to_bytes();
        for len in 0..end.len() {
            assert!(Message::parse(&end[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_cookie_may_be_at_the_end_but_not_beyond() {
        let cookie = &recorded::cookies("fractal-session", Service::Fractal)[0];
        let parameter = Cookie::parse(cookie).unwrap().parameter;
        let at_end = Cookie { parameter, next: parameter.pixel_count() };
        assert_eq!(Cookie::parse(&at_end.to_bytes()), Ok(at_end));
        let beyond = Cookie { parameter, next: parameter.pixel_count() + 1 };
        assert!(Cookie::parse(&beyond.to_bytes()).is_err());
    }
}
