//! The formula, in IEEE doubles: the same values as RSPLIB's, bit for bit.

use super::{Algorithm, Parameter};

/// Computes the whole picture, row by row.
#[must_use]
pub fn render(parameter: &Parameter) -> Vec<u32> {
    let rows = 0..parameter.height;
    rows.flat_map(|y| (0..parameter.width).map(move |x| value(parameter, x, y))).collect()
}

/// The value of a pixel: how many iterations stayed inside.
pub(super) fn value(parameter: &Parameter, x: u32, y: u32) -> u32 {
    let step_re = (parameter.c2.0 - parameter.c1.0) / f64::from(parameter.width);
    let step_im = (parameter.c2.1 - parameter.c1.1) / f64::from(parameter.height);
    let c_re = parameter.c1.0 + f64::from(x) * step_re;
    let c_im = parameter.c1.1 + f64::from(y) * step_im;
    let (mut re, mut im) = (0.0_f64, 0.0_f64);
    for iteration in 0..parameter.iterations_max {
        let (power_re, power_im) = match parameter.algorithm {
            Algorithm::Mandelbrot => (re * re - im * im, re * im + im * re),
            Algorithm::MandelbrotN => power(re, im, parameter.n),
        };
        (re, im) = (power_re - c_re, power_im - c_im);
        if re * re + im * im >= INSIDE_MAX {
            return iteration;
        }
    }
    parameter.iterations_max
}

/// z to the power of n, by its logarithm.
fn power(re: f64, im: f64, n: f64) -> (f64, f64) {
    if im == 0.0 && re > 0.0 {
        return (re.powf(n), 0.0);
    }
    let (log_re, log_im) = (re.hypot(im).ln(), im.atan2(re));
    let radius = (n * log_re).exp();
    let angle = n * log_im;
    (radius * angle.cos(), radius * angle.sin())
}

/// The square of the distance from which on a point counts as outside.
const INSIDE_MAX: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::super::{Message, Values};
    use super::*;
    use crate::services::{Service, recorded};

    #[test]
    fn a_picture_equals_the_recorded_one_value_by_value() {
        let said = recorded::said("fractal-session", Service::Fractal);
        let fractal = said.iter().filter(|said| said.ppid == Service::Fractal.ppid());
        let (mut parameter, mut picture) = (None, Vec::new());
        for said in fractal {
            match Message::parse(&said.data).unwrap() {
                Message::Parameter(asked) => parameter = Some(asked),
                Message::Data { values: Values(bytes), .. } => picture.extend_from_slice(bytes),
                Message::End => {}
            }
        }
        let ours = render(&parameter.unwrap());
        let ours: Vec<u8> = ours.into_iter().flat_map(u32::to_be_bytes).collect();
        assert_eq!(ours.len(), 4 * 14_800);
        assert!(ours == picture);
    }

    #[test]
    fn the_square_is_about_the_second_power() {
        let parameter = Parameter {
            width: 40,
            height: 30,
            iterations_max: 30,
            algorithm: Algorithm::MandelbrotN,
            c1: (-1.5, 1.5),
            c2: (1.5, -1.5),
            n: 2.0,
        };
        let square = Parameter { algorithm: Algorithm::Mandelbrot, ..parameter };
        let (power, square) = (render(&parameter), render(&square));
        let same = power.iter().zip(&square).filter(|(power, square)| power == square).count();
        // Another rounding may make another value, but near the edge only.
        assert!(same > 1_150, "{same} of 1200");
    }
}
