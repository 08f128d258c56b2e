//! Pictures: iteration counts become colours, colours become a PNG.

use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::failure::Failure;
use crate::values::Size;

/// A colour: red, green, blue.
type Colour = [u8; 3];

/// Turns iteration counts into colours, smoothly.
#[derive(Debug)]
pub(crate) struct Palette {
    colours: Vec<Colour>,
    /// What does not leave the circle after so many iterations (in 1/256) is inside the set.
    inside: u32,
    /// The smallest count of the picture, where the palette begins.
    outermost: f32,
}

impl Palette {
    /// The palette for `pixels` that were iterated `iterations_max` times at most.
    ///
    /// It begins at the outermost pixel, so that every view shows its whole beauty.
    pub(crate) fn for_pixels(pixels: &[u32], iterations_max: u32) -> Self {
        let colours = (0..COLOUR_COUNT).map(|index| colour_at(index as f32 / COLOUR_COUNT as f32));
        let outermost = pixels.iter().min().copied().unwrap_or(0);
        Self {
            colours: colours.collect(),
            inside: iterations_max.saturating_mul(256),
            outermost: logarithm(outermost),
        }
    }

    /// The colour of a pixel.
    pub(crate) fn colour(&self, pixel: u32) -> Colour {
        if pixel >= self.inside {
            return [0, 0, 0];
        }
        // By the logarithm, rings are about as wide near the set as far from it.
        let turns = (logarithm(pixel) - self.outermost) * TURNS_PER_DOUBLING;
        let index = (turns.fract() * COLOUR_COUNT as f32) as usize;
        self.colours[index.min(COLOUR_COUNT - 1)]
    }

    /// The colours of all `pixels`, three bytes each.
    pub(crate) fn paint(&self, pixels: &[u32]) -> Vec<u8> {
        pixels.iter().flat_map(|&pixel| self.colour(pixel)).collect()
    }
}

/// Writes a PNG of three bytes a pixel.
pub(crate) fn write_png(path: &Path, size: Size, colours: &[u8]) -> Result<(), Failure> {
    let refused = |error: &dyn fmt::Display| cannot_write(path, error);
    let file = File::create(path).map_err(|error| refused(&error))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| refused(&error))?;
    writer.write_image_data(colours).map_err(|error| refused(&error))?;
    writer.finish().map_err(|error| refused(&error))
}

/// Refuses a path that [`write_png`] will not be able to write; leaves the file as it is.
pub(crate) fn check_writable(path: &Path) -> Result<(), Failure> {
    let is_new = !path.exists();
    let opened = File::options().append(true).create(true).open(path);
    opened.map_err(|error| cannot_write(path, &error))?;
    if is_new {
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// Reads back what [`write_png`] wrote.
pub(crate) fn read_png(path: &Path) -> Result<(Size, Vec<u8>), Failure> {
    let refused = |error: &dyn fmt::Display| {
        Failure::failed(format!("cannot read the picture {}: {error}", path.display()))
    };
    let file = File::open(path).map_err(|error| refused(&error))?;
    let decoder = png::Decoder::new(std::io::BufReader::new(file));
    let mut reader = decoder.read_info().map_err(|error| refused(&error))?;
    let mut colours = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let info = reader.next_frame(&mut colours).map_err(|error| refused(&error))?;
    colours.truncate(info.buffer_size());
    Ok((Size { width: info.width, height: info.height }, colours))
}

fn cannot_write(path: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::failed(format!("cannot write the picture {}: {error}", path.display()))
        .hint("choose a file in a folder that you may write to with --out")
}

fn logarithm(pixel: u32) -> f32 {
    (pixel as f32 / 256.0 + 1.0).log2()
}

/// The colour at `turn`, from 0 to 1: the smooth curve through [`STOPS`].
fn colour_at(turn: f32) -> Colour {
    let last = STOPS.len() - 1;
    let after = STOPS.iter().position(|&(at, _)| at > turn).unwrap_or(last);
    let stop = |index: usize| STOPS[index.min(last)];
    let ((start, from), (end, to)) = (stop(after - 1), stop(after));
    let part = ((turn - start) / (end - start)).clamp(0.0, 1.0);
    // A curve that is level at each stop: no edges, no overshooting.
    let eased = part * part * (3.0 - 2.0 * part);
    let mix = |from: u8, to: u8| {
        (f32::from(from) + (f32::from(to) - f32::from(from)) * eased).round() as u8
    };
    [mix(from[0], to[0]), mix(from[1], to[1]), mix(from[2], to[2])]
}

/// Night, sea, foam, gold, ember, and night again.
const STOPS: [(f32, Colour); 7] = [
    (0.0, [6, 10, 60]),
    (0.18, [24, 92, 190]),
    (0.40, [232, 248, 255]),
    (0.56, [255, 196, 64]),
    (0.72, [214, 82, 24]),
    (0.88, [52, 8, 36]),
    (1.0, [6, 10, 60]),
];

/// How often the palette is gone through while the count doubles.
const TURNS_PER_DOUBLING: f32 = 0.45;

const COLOUR_COUNT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_black_and_the_rest_is_not() {
        let palette = Palette::for_pixels(&[256, 512, 25_600], 100);
        assert_eq!(palette.colour(25_600), [0, 0, 0]);
        assert_eq!(palette.colour(256), STOPS[0].1);
        assert_ne!(palette.colour(512), [0, 0, 0]);
    }

    #[test]
    fn neighbouring_counts_have_neighbouring_colours() {
        let palette = Palette::for_pixels(&[1_000], 100_000);
        for pixel in 1_000..200_000 {
            let (here, next) = (palette.colour(pixel), palette.colour(pixel + 1));
            for (here, next) in here.into_iter().zip(next) {
                assert!(here.abs_diff(next) <= 3, "{pixel}");
            }
        }
    }

    #[test]
    fn a_picture_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        let size = Size { width: 3, height: 2 };
        let colours: Vec<u8> = (0..18).collect();
        write_png(&path, size, &colours).unwrap();
        assert_eq!(read_png(&path).unwrap(), (size, colours));
    }

    #[test]
    fn a_picture_that_cannot_be_written_says_what_to_do() {
        let size = Size { width: 1, height: 1 };
        let failure = write_png(Path::new("/nowhere/picture.png"), size, &[0; 3]).unwrap_err();
        assert!(failure.to_string().contains("--out"), "{failure}");
        let failure = check_writable(Path::new("/nowhere/picture.png")).unwrap_err();
        assert!(failure.to_string().contains("--out"), "{failure}");
    }

    #[test]
    fn checking_a_path_leaves_nothing_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        check_writable(&path).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, b"older").unwrap();
        check_writable(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"older");
    }
}
