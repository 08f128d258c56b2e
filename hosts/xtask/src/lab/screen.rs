//! A screen in the guest, for programs with windows: an X server that keeps it in a file.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::guest::{Guest, Program};
use super::process::await_some;

/// Flags of the environment for a program that is to be on the screen.
pub(crate) const ON_SCREEN: &str = "env DISPLAY=:1 XDG_RUNTIME_DIR=/run HOME=/run";

/// The X server, as Debian calls it.
pub(crate) const XVFB: &str = "Xvfb";

/// Starts it, with nothing on its screen.
///
/// # Errors
///
/// If it does not serve in time.
pub(crate) fn start(guest: &mut Guest) -> Result<Program> {
    guest.must(&format!("mkdir {FOLDER}"))?;
    let size = format!("-screen 0 {}x{}x24", SIZE.0, SIZE.1);
    let server =
        guest.spawn(&format!("{XVFB} :1 {size} -fbdir {FOLDER} -nocursor -nolisten tcp"))?;
    let probe = "test -S /tmp/.X11-unix/X1";
    let serves = || Ok((guest.run(PATIENCE, probe)?.code == 0).then_some(()));
    await_some(PATIENCE, serves)?.context("the X server does not serve")?;
    Ok(server)
}

/// The colours of the upper left part of the screen, row by row: `0xrrggbb`.
///
/// # Errors
///
/// If the screen cannot be read, or is smaller.
pub(crate) fn pixels(guest: &mut Guest, width: usize, height: usize) -> Result<Vec<u32>> {
    let file = guest.read(&format!("{FOLDER}/Xvfb_screen0"))?;
    read(&file, width, height).context("what the X server keeps")
}

/// Reads an X window dump, version 7, of 32 bits a pixel.
fn read(file: &[u8], width: usize, height: usize) -> Result<Vec<u32>> {
    let (words, _) = file.as_chunks();
    let header: Vec<_> = words.iter().take(20).map(|word| u32::from_be_bytes(*word)).collect();
    let &[
        header_len,
        7,
        _,
        _,
        own_width,
        own_height,
        _,
        order,
        ..,
        32,
        row_len,
        _,
        _,
        _,
        _,
        _,
        _,
        colours,
    ] = header.as_slice()
    else {
        bail!("no window dump: {header:?}");
    };
    ensure!(width <= own_width as usize && height <= own_height as usize, "it is smaller");
    let start = header_len as usize + colours as usize * COLOUR_LEN;
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        let row = file.get(start + y * row_len as usize..).unwrap_or_default();
        let row = row.get(..width * 4).context("it is cut off")?;
        pixels.extend(row.as_chunks().0.iter().map(|pixel| match order {
            0 => u32::from_le_bytes(*pixel) & 0xff_ffff,
            _ => u32::from_be_bytes(*pixel) & 0xff_ffff,
        }));
    }
    Ok(pixels)
}

/// Where the X server keeps its screen.
const FOLDER: &str = "/run/screen";

const SIZE: (u32, u32) = (400, 300);

/// What a colour of the dump's table takes.
const COLOUR_LEN: usize = 12;

/// How long the X server may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_dump_is_read_without_its_name_and_its_table() {
        let header = [104, 7, 2, 24, 2, 2, 0, 0, 32, 0, 32, 32, 8, 4, 0, 0, 0, 8, 1, 1];
        let mut file: Vec<_> = header.into_iter().flat_map(u32::to_be_bytes).collect();
        file.resize(104 + COLOUR_LEN, 0);
        for pixel in [0x0001_0203_u32, 4, 5, 6] {
            file.extend(pixel.to_le_bytes());
        }
        assert_eq!(read(&file, 2, 2).unwrap(), [0x0001_0203, 4, 5, 6]);
        assert_eq!(read(&file, 1, 2).unwrap(), [0x0001_0203, 5]);
        assert!(read(&file, 3, 2).is_err());
        assert!(read(&file[..file.len() - 1], 2, 2).is_err());
    }
}
