//! A picture of a fractal, cut into tiles.

use rserpool_core::compute::kernels::{Fractal, FractalKind, FractalTile, PIXEL_LEN};
use rserpool_core::compute::{Kernel, KernelId, PARAMETER_LEN_MAX, PackageId};

use super::super::description::{BadOutput, Job, Verdict};

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FractalView {
    /// Which set.
    pub kind: FractalKind,
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// The point in the middle, real and imaginary part.
    pub center: (f64, f64),
    /// From the left edge to the right one.
    pub span: f64,
    /// How often to iterate at most.
    pub iterations_max: u32,
}

impl Default for FractalView {
    /// The whole Mandelbrot set.
    fn default() -> Self {
        Self {
            kind: FractalKind::Mandelbrot,
            width: 1920,
            height: 1080,
            center: (-0.75, 0.0),
            span: 4.5,
            iterations_max: 1_000,
        }
    }
}

/// A picture that is being computed.
///
/// A pixel is a number of iterations in 1/256; `iterations_max * 256` is inside the set. Pixels
/// of tiles that have not come yet are 0, which no computed pixel is.
#[derive(Clone, Debug)]
pub struct FractalJob {
    view: FractalView,
    tile_width: u32,
    tile_height: u32,
    pixels: Vec<u32>,
}

impl FractalJob {
    /// A picture in tiles of so many columns and rows, both at least 1.
    #[must_use]
    pub fn new(view: FractalView, tile_width: u32, tile_height: u32) -> Self {
        let pixel_count = view.width as usize * view.height as usize;
        let (tile_width, tile_height) = (tile_width.max(1), tile_height.max(1));
        Self { view, tile_width, tile_height, pixels: vec![0; pixel_count] }
    }

    /// What it shows.
    #[must_use]
    pub fn view(&self) -> &FractalView {
        &self.view
    }

    /// The pixels, row by row from the top.
    #[must_use]
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// The tile that is a package: its parameters.
    #[must_use]
    pub fn tile(&self, package: PackageId) -> FractalTile {
        let FractalView { kind, width, height, center, span, iterations_max } = self.view;
        let step = span / f64::from(width);
        let columns = width.div_ceil(self.tile_width).max(1);
        let x = (package.0 % columns).saturating_mul(self.tile_width).min(width);
        let y = (package.0 / columns).saturating_mul(self.tile_height).min(height);
        FractalTile {
            kind,
            left: center.0 - step * (f64::from(width) - 1.0) / 2.0,
            top: center.1 + step * (f64::from(height) - 1.0) / 2.0,
            step,
            x,
            y,
            width: self.tile_width.min(width - x),
            height: self.tile_height.min(height - y),
            iterations_max,
        }
    }
}

impl Job for FractalJob {
    fn kernel(&self) -> KernelId {
        Fractal::ID
    }

    fn package_count(&self) -> u32 {
        let columns = self.view.width.div_ceil(self.tile_width);
        columns.saturating_mul(self.view.height.div_ceil(self.tile_height))
    }

    fn output_len(&self, package: PackageId) -> u64 {
        let tile = self.tile(package);
        u64::from(tile.width) * u64::from(tile.height) * PIXEL_LEN as u64
    }

    fn parameters(&self, package: PackageId, block: &mut [u8; PARAMETER_LEN_MAX]) -> usize {
        self.tile(package).encode(block).expect("the core asserts that a block has room for it")
    }

    fn accept(&mut self, package: PackageId, output: &[u8]) -> Result<Verdict, BadOutput> {
        let tile = self.tile(package);
        if output.len() as u64 != self.output_len(package) {
            return Err(BadOutput);
        }
        let row_len = tile.width as usize * PIXEL_LEN;
        let width = self.view.width as usize;
        for (row, bytes) in output.chunks_exact(row_len).enumerate() {
            let start = (tile.y as usize + row) * width + tile.x as usize;
            let row = &mut self.pixels[start..start + tile.width as usize];
            for (pixel, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
                *pixel = u32::from_le_bytes(*bytes);
            }
        }
        Ok(Verdict::More)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::compute_locally;
    use super::*;

    #[test]
    fn a_picture_does_not_depend_on_its_tiles() {
        let view =
            FractalView { width: 37, height: 23, iterations_max: 60, ..FractalView::default() };
        let mut whole = FractalJob::new(view, 37, 23);
        compute_locally(&mut whole).unwrap();
        assert_eq!(whole.package_count(), 1);
        assert!(whole.pixels().iter().all(|&pixel| pixel > 0));
        for (tile_width, tile_height, packages) in
            [(8, 8, 15), (37, 1, 23), (1, 23, 37), (40, 5, 5)]
        {
            let mut tiled = FractalJob::new(view, tile_width, tile_height);
            assert_eq!(tiled.package_count(), packages);
            compute_locally(&mut tiled).unwrap();
            assert_eq!(tiled.pixels(), whole.pixels(), "{tile_width}x{tile_height}");
        }
    }

    #[test]
    fn a_short_output_is_refused() {
        let mut job = FractalJob::new(FractalView::default(), 16, 16);
        assert_eq!(job.accept(PackageId(0), &[0; 16 * 16 * 4 - 1]), Err(BadOutput));
    }
}
