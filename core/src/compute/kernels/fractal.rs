//! Tiles of the Mandelbrot set and of Julia sets.
//!
//! Bit-identical on every target: only addition, subtraction, multiplication and comparison of
//! IEEE 754 doubles, none of them fused; the fraction of a pixel is computed from the bits of a
//! double with integers alone. A position is computed from the pixel's place in the whole
//! picture, so a picture does not depend on how it was cut into tiles.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use super::super::kernel::{Budget, Kernel, KernelError, Output, Progress, Step};
use super::super::protocol::{BufferTooSmall, KernelId};
use super::{read, write};

/// The bytes of a pixel: a little-endian number of iterations in 1/256. Where the iteration
/// never left the circle that is the most iterations, times 256.
pub const PIXEL_LEN: usize = 4;

/// The most bytes of a checkpoint.
pub(super) const STATE_LEN: usize = Pending::POSTCARD_MAX_SIZE;

/// The largest number of iterations: it must fit the 24 bits before the point.
const ITERATIONS_MAX: u32 = 0x00ff_ffff;
/// The iteration ends when the square of the distance from the origin reaches this.
const ESCAPE: f64 = 65536.0;
/// The binary logarithm of `ESCAPE`.
const ESCAPE_LOG2: u64 = 16;
/// Larger coordinates have nothing to show and could overflow.
const COORDINATE_MAX: f64 = 1e6;

/// Which set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, MaxSize)]
pub enum FractalKind {
    /// z = z² + c from z = 0, where c is the pixel.
    Mandelbrot,
    /// z = z² + c from the pixel.
    Julia {
        /// The real part of c.
        re: f64,
        /// The imaginary part of c.
        im: f64,
    },
}

/// The parameters: a rectangle of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, MaxSize)]
pub struct FractalTile {
    /// Which set.
    pub kind: FractalKind,
    /// The real part at the left edge of the picture.
    pub left: f64,
    /// The imaginary part at the top edge of the picture.
    pub top: f64,
    /// From one pixel to its neighbour on the right, and the one above.
    pub step: f64,
    /// The first column of the tile.
    pub x: u32,
    /// The first row of the tile.
    pub y: u32,
    /// Columns of the tile.
    pub width: u32,
    /// Rows of the tile.
    pub height: u32,
    /// How often to iterate at most.
    pub iterations_max: u32,
}

impl FractalTile {
    /// Writes the parameter block; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        write(self, buf)
    }

    fn pixel_count(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn is_sound(&self) -> bool {
        let (re, im) = match self.kind {
            FractalKind::Mandelbrot => (0.0, 0.0),
            FractalKind::Julia { re, im } => (re, im),
        };
        let right = self.left + self.step * f64::from(self.x.saturating_add(self.width));
        let bottom = self.top - self.step * f64::from(self.y.saturating_add(self.height));
        let coordinates = [self.left, self.top, right, bottom, re, im];
        self.width > 0
            && self.height > 0
            && self.x.checked_add(self.width).is_some()
            && self.y.checked_add(self.height).is_some()
            && (1..=ITERATIONS_MAX).contains(&self.iterations_max)
            // False for NaN, too.
            && coordinates.iter().all(|at| (-COORDINATE_MAX..=COORDINATE_MAX).contains(at))
    }

    /// Where the iteration of a pixel begins.
    fn begin(&self, index: u64) -> Pending {
        let (re, im) = self.position(index);
        match self.kind {
            FractalKind::Mandelbrot => Pending { index, iteration: 0, re: 0.0, im: 0.0 },
            FractalKind::Julia { .. } => Pending { index, iteration: 0, re, im },
        }
    }

    fn position(&self, index: u64) -> (f64, f64) {
        let width = u64::from(self.width);
        // Both fit 32 bits, as `is_sound` saw to it.
        let x = self.x + (index % width) as u32;
        let y = self.y + (index / width) as u32;
        (self.left + self.step * f64::from(x), self.top - self.step * f64::from(y))
    }
}

/// The checkpoint: the pixel in work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, MaxSize)]
struct Pending {
    index: u64,
    iteration: u32,
    re: f64,
    im: f64,
}

/// The kernel.
#[derive(Clone, Debug)]
pub struct Fractal {
    tile: FractalTile,
    pending: Pending,
}

impl Kernel for Fractal {
    const ID: KernelId = KernelId(1);
    const NAME: &'static str = "fractal";

    fn start(parameters: &[u8]) -> Result<Self, KernelError> {
        let tile: FractalTile = read(parameters, KernelError::Parameters)?;
        if !tile.is_sound() {
            return Err(KernelError::Parameters);
        }
        Ok(Self { tile, pending: tile.begin(0) })
    }

    fn resume(parameters: &[u8], state: &[u8]) -> Result<Self, KernelError> {
        let Self { tile, .. } = Self::start(parameters)?;
        let pending: Pending = read(state, KernelError::State)?;
        let inside = |part: f64| (-COORDINATE_MAX..=COORDINATE_MAX).contains(&part);
        let fits = pending.index <= tile.pixel_count()
            && pending.iteration <= tile.iterations_max
            && inside(pending.re)
            && inside(pending.im);
        if fits { Ok(Self { tile, pending }) } else { Err(KernelError::State) }
    }

    fn output_len(&self) -> u64 {
        self.tile.pixel_count().saturating_mul(PIXEL_LEN as u64)
    }

    fn emitted_len(&self) -> u64 {
        self.pending.index.saturating_mul(PIXEL_LEN as u64)
    }

    fn progress(&self) -> Progress {
        Progress { done: self.pending.index, all: self.tile.pixel_count() }
    }

    fn step(&mut self, budget: &mut Budget, output: &mut Output<'_>) -> Step {
        let pixel_count = self.tile.pixel_count();
        while self.pending.index < pixel_count {
            if output.room() < PIXEL_LEN {
                return Step::Yield;
            }
            let Some(pixel) = self.iterate(budget) else { return Step::Yield };
            output.push(&pixel.to_le_bytes());
            self.pending = self.tile.begin(self.pending.index + 1);
        }
        Step::Done
    }

    fn checkpoint(&self, state: &mut [u8]) -> Option<usize> {
        write(&self.pending, state).ok()
    }
}

impl Fractal {
    /// Goes on with the pixel in work; its value, or `None` when the budget is spent.
    fn iterate(&mut self, budget: &mut Budget) -> Option<u32> {
        let (c_re, c_im) = match self.tile.kind {
            FractalKind::Mandelbrot => self.tile.position(self.pending.index),
            FractalKind::Julia { re, im } => (re, im),
        };
        let Pending { index, iteration, re, im } = self.pending;
        let limit = self.tile.iterations_max;
        if budget.left() == 0 {
            return None;
        }
        let end = limit.min(iteration.saturating_add(budget.left()));
        let (now, re, im, norm) = iterate(iteration, end, (re, im), (c_re, c_im));
        // At least one unit for each pixel, however soon it leaves the circle.
        let _ = budget.spend((now - iteration).max(1));
        self.pending = Pending { index, iteration: now, re, im };
        if norm >= ESCAPE {
            Some(smooth(now, norm).min(limit << 8))
        } else {
            (now >= limit).then_some(limit << 8)
        }
    }
}

/// Iterates up to `end` or until the point has left the circle; the last value is the square of
/// the distance from the origin.
#[inline]
fn iterate(
    mut iteration: u32,
    end: u32,
    (mut re, mut im): (f64, f64),
    (c_re, c_im): (f64, f64),
) -> (u32, f64, f64, f64) {
    let (mut re_square, mut im_square) = (re * re, im * im);
    while iteration < end && re_square + im_square < ESCAPE {
        let product = re * im;
        im = product + product + c_im;
        re = re_square - im_square + c_re;
        re_square = re * re;
        im_square = im * im;
        iteration += 1;
    }
    (iteration, re, im, re_square + im_square)
}

/// Iterations in 1/256: later by as much as the point has gone less far beyond the circle.
/// That is `iteration + 1 - log2(log2(norm) / log2(ESCAPE))`.
fn smooth(iteration: u32, norm: f64) -> u32 {
    let ratio = (log2(norm.to_bits()) / ESCAPE_LOG2).clamp(1 << 32, (1 << 33) - 1);
    // A ratio from 1 to below 2 with 32 bits after the point: its logarithm is below 1.
    let fraction = log2_of_mantissa::<8>(ratio) >> 24;
    (iteration << 8) + (255 - (fraction.min(255) as u32))
}

/// The binary logarithm of a double of at least 1, given as its bits; 32 bits after the point,
/// of which 12 count.
fn log2(bits: u64) -> u64 {
    let exponent = ((bits >> 52) & 0x7ff).saturating_sub(1023);
    let mantissa = (1 << 32) | ((bits >> 20) & 0xffff_ffff);
    (exponent << 32) + log2_of_mantissa::<12>(mantissa)
}

/// The binary logarithm of a number from 1 to below 2, both with 32 bits after the point; so
/// many binary digits of it.
fn log2_of_mantissa<const DIGITS: u32>(mantissa: u64) -> u64 {
    // Squaring doubles the logarithm; each time it passes 1, that is its next binary digit.
    let mut x = mantissa >> 1;
    let mut log = 0;
    for _ in 0..DIGITS {
        x = (x * x) >> 31;
        let digit = x >> 32;
        log = (log << 1) | digit;
        x >>= digit;
    }
    log << (32 - DIGITS)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::harness::{in_pieces, rubbish_is_refused_or_runs, whole};
    use super::*;

    const TILE: FractalTile = FractalTile {
        kind: FractalKind::Mandelbrot,
        left: -2.2,
        top: 1.2,
        step: 0.05,
        x: 3,
        y: 5,
        width: 17,
        height: 11,
        iterations_max: 200,
    };

    fn block(tile: &FractalTile) -> Vec<u8> {
        let mut buf = [0; 128];
        let len = tile.encode(&mut buf).unwrap();
        buf[..len].to_vec()
    }

    /// The definition, in the plainest form and with the library's logarithms.
    fn reference(tile: &FractalTile) -> Vec<f64> {
        let mut pixels = Vec::new();
        for row in tile.y..tile.y + tile.height {
            for column in tile.x..tile.x + tile.width {
                let at = (
                    tile.left + f64::from(column) * tile.step,
                    tile.top - f64::from(row) * tile.step,
                );
                let (mut z, c) = match tile.kind {
                    FractalKind::Mandelbrot => ((0.0, 0.0), at),
                    FractalKind::Julia { re, im } => (at, (re, im)),
                };
                let mut count = 0;
                while count < tile.iterations_max && z.0 * z.0 + z.1 * z.1 < ESCAPE {
                    z = (z.0 * z.0 - z.1 * z.1 + c.0, 2.0 * (z.0 * z.1) + c.1);
                    count += 1;
                }
                let norm = z.0 * z.0 + z.1 * z.1;
                pixels.push(if norm >= ESCAPE {
                    f64::from(count) + 1.0 - (norm.log2() / 16.0).log2()
                } else {
                    f64::from(tile.iterations_max)
                });
            }
        }
        pixels
    }

    fn pixels(bytes: &[u8]) -> Vec<u32> {
        bytes.as_chunks().0.iter().map(|&pixel| u32::from_le_bytes(pixel)).collect()
    }

    #[test]
    fn pixels_equal_the_plain_definition() {
        let julia = FractalKind::Julia { re: -0.8, im: 0.156 };
        for tile in [TILE, FractalTile { kind: julia, left: -1.6, ..TILE }] {
            let ours = pixels(&whole::<Fractal>(&block(&tile)));
            let reference = reference(&tile);
            assert_eq!(ours.len(), reference.len());
            for (index, (&ours, &reference)) in ours.iter().zip(&reference).enumerate() {
                let ours = f64::from(ours) / 256.0;
                let expected = reference.min(f64::from(tile.iterations_max));
                // The fraction is cut to 1/256 and clamped to one iteration.
                assert!((ours - expected).abs() < 0.02, "pixel {index}: {ours} {expected}");
            }
        }
    }

    #[test]
    fn the_bytes_of_a_tile_never_change() {
        // Computed with Python, whose floats are IEEE doubles, too.
        use super::super::super::protocol::OutputDigest;
        let bytes = whole::<Fractal>(&block(&TILE));
        assert_eq!(OutputDigest::EMPTY.with(&bytes).0, 0xf7bb_5ea7_e9c9_0b08);
    }

    #[test]
    fn a_tile_does_not_depend_on_the_cut() {
        let left = FractalTile { width: 8, ..TILE };
        let right = FractalTile { x: TILE.x + 8, width: 9, ..TILE };
        let (whole_tile, left, right) = (
            pixels(&whole::<Fractal>(&block(&TILE))),
            pixels(&whole::<Fractal>(&block(&left))),
            pixels(&whole::<Fractal>(&block(&right))),
        );
        for row in 0..11 {
            assert_eq!(whole_tile[row * 17..row * 17 + 8], left[row * 8..row * 8 + 8]);
            assert_eq!(whole_tile[row * 17 + 8..row * 17 + 17], right[row * 9..row * 9 + 9]);
        }
    }

    #[test]
    fn interruptions_and_moves_change_nothing() {
        let parameters = block(&TILE);
        let expected = whole::<Fractal>(&parameters);
        for seed in 0..10 {
            assert_eq!(in_pieces::<Fractal>(&parameters, seed, 1_000), expected, "seed {seed}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let bad = [
            FractalTile { width: 0, ..TILE },
            FractalTile { x: u32::MAX, ..TILE },
            FractalTile { iterations_max: 0, ..TILE },
            FractalTile { iterations_max: ITERATIONS_MAX + 1, ..TILE },
            FractalTile { left: f64::NAN, ..TILE },
            FractalTile { step: f64::INFINITY, ..TILE },
            FractalTile { kind: FractalKind::Julia { re: 1e300, im: 0.0 }, ..TILE },
        ];
        for tile in bad {
            let refused = Fractal::start(&block(&tile)).err();
            assert_eq!(refused, Some(KernelError::Parameters), "{tile:?}");
        }
        rubbish_is_refused_or_runs::<Fractal>(&block(&TILE));
    }

    #[test]
    fn a_checkpoint_beyond_the_tile_is_refused() {
        let mut state = [0; STATE_LEN];
        let pending = Pending { index: 17 * 11 + 1, iteration: 0, re: 0.0, im: 0.0 };
        let len = write(&pending, &mut state).unwrap();
        let refused = Fractal::resume(&block(&TILE), &state[..len]).err();
        assert_eq!(refused, Some(KernelError::State));
    }

    #[test]
    fn logarithms_by_integers_are_right_to_three_digits() {
        for value in [1.0_f64, 1.5, 2.0, 3.0, 65536.0, 70000.0, 4.2e9, 1e12] {
            let ours = log2(value.to_bits()) as f64 / 4_294_967_296.0;
            assert!((ours - value.log2()).abs() < 3e-4, "{value}: {ours}");
        }
    }
}
