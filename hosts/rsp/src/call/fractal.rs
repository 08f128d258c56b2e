//! `rsp call fractal`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rserpool::services::fractal::{
    Algorithm, Band, Client, Config, Event, ITERATIONS_MAX, Parameter, render,
};
use serde_json::json;

use super::Place;
use crate::failure::Failure;
use crate::picture::{Palette, check_writable, write_png};
use crate::run::checked_span;
use crate::values::{Point, Size, Span};

/// Flags of `rsp call fractal`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// The size of the picture. [default: 400x250]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// The most iterations a pixel. [default: 1000]
    #[arg(long, value_name = "COUNT")]
    iterations: Option<u32>,
    /// The middle of the picture; the set stands on its head (z² - c). [default: 0.75,0]
    #[arg(long, value_name = "RE,IM", allow_hyphen_values = true)]
    center: Option<Point>,
    /// How much of the real axis the picture spans. [default: 4]
    #[arg(long, value_name = "WIDTH")]
    span: Option<f64>,
    /// Take this power of z instead of its square.
    #[arg(long, value_name = "N")]
    exponent: Option<f64>,
    /// How many sessions compute a band of the picture each. [default: 1]
    #[arg(long, value_name = "COUNT")]
    sessions: Option<u32>,
    /// How long an element may be silent. [default: 10s]
    #[arg(long, value_name = "SPAN")]
    timeout: Option<Span>,
    /// Compute the picture here, too, and fail if it is another.
    #[arg(long)]
    check: bool,
    /// The PNG to write. [default: fractal.png]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn call(place: Place, options: &Options) -> Result<(), Failure> {
    let size = options.size.unwrap_or(SIZE_DEFAULT);
    let parameter = parameter(options, size)?;
    let sessions = options.sessions.unwrap_or(1);
    if sessions == 0 || sessions > SESSION_COUNT_MAX {
        return Err(Failure::usage(format!("--sessions {sessions}: choose 1 to 64")));
    }
    let out = options.out.clone().unwrap_or_else(|| PathBuf::from("fractal.png"));
    check_writable(&out)?;
    let timeout = options.timeout.map_or(TIMEOUT_DEFAULT, |span| span.0);
    let bands = Band::cut(parameter, sessions);
    let clients: Vec<_> = bands
        .iter()
        .map(|band| Client::new(Config { parameter: band.parameter, timeout }))
        .collect();
    let done = place.call_all(clients, |event| {
        let Event::Pixels { done, of } = event;
        tracing::trace!(done, of, "pixels");
    });
    let mut done = done.await?;
    let count = |count: fn(&Client) -> u64| done.clients.iter().map(count).sum::<u64>();
    let pixel_count = count(|client| client.statistics().pixel_count);
    let repeat_count = count(|client| client.statistics().repeat_count);
    let clients = std::mem::take(&mut done.clients);
    let values: Vec<u32> = clients.into_iter().flat_map(Client::into_pixels).collect();
    let palette = Palette::for_pixels(&scaled(&values), parameter.iterations_max);
    write_png(&out, size, &palette.paint(&scaled(&values)))?;
    if options.check && !is_right(&bands, &values) {
        return Err(Failure::failed("the picture differs from the one that is computed here"));
    }
    let lines = [
        ("picture", format!("{}, {size} pixels", out.display())),
        ("pixels", format!("{pixel_count}, {repeat_count} of them twice")),
    ];
    let result = json!({
        "picture": out.display().to_string(),
        "pixels": pixel_count,
        "repeated": repeat_count,
        "checked": options.check,
    });
    done.print(&lines, result);
    Ok(())
}

fn parameter(options: &Options, size: Size) -> Result<Parameter, Failure> {
    let iterations_max = options.iterations.unwrap_or(ITERATIONS_DEFAULT);
    if iterations_max == 0 || iterations_max > ITERATIONS_MAX {
        return Err(Failure::usage(format!(
            "--iterations {iterations_max}: choose 1 to {ITERATIONS_MAX}"
        )));
    }
    let span = checked_span(options.span.unwrap_or(SPAN_DEFAULT))?;
    let center = options.center.unwrap_or(CENTER_DEFAULT);
    let half = span / 2.0;
    let half_high = half * f64::from(size.height) / f64::from(size.width);
    Ok(Parameter {
        width: size.width,
        height: size.height,
        iterations_max,
        algorithm: match options.exponent {
            None => Algorithm::Mandelbrot,
            Some(_) => Algorithm::MandelbrotN,
        },
        c1: (center.re - half, center.im + half_high),
        c2: (center.re + half, center.im - half_high),
        n: options.exponent.unwrap_or(2.0),
    })
}

/// Whether the values are those of a local render.
fn is_right(bands: &[Band], values: &[u32]) -> bool {
    let ours: Vec<u32> = bands.iter().flat_map(|band| render(&band.parameter)).collect();
    ours == values
}

/// The palette counts in 256ths of an iteration.
fn scaled(values: &[u32]) -> Vec<u32> {
    values.iter().map(|value| value.saturating_mul(256)).collect()
}

const SIZE_DEFAULT: Size = Size { width: 400, height: 250 };
const ITERATIONS_DEFAULT: u32 = 1_000;
const CENTER_DEFAULT: Point = Point { re: 0.75, im: 0.0 };
const SPAN_DEFAULT: f64 = 4.0;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Each has an association of its own.
const SESSION_COUNT_MAX: u32 = 64;
