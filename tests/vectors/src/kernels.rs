//! Kernels: in one go and in small pieces with checkpoints between, the output is the same, and
//! its SHA-256 is the one written here on whatever computes it.

use rserpool_core::compute::kernels::{
    Fractal, FractalKind, FractalTile, Integrand, MonteCarlo, MonteCarloRange, ShaPrefix,
    ShaPrefixFound, ShaPrefixRange, Synthetic, SyntheticLoad,
};
use rserpool_core::compute::{Budget, Kernel, Output, PARAMETER_LEN_MAX, STATE_LEN_MAX, Step};
use rserpool_core::entropy::{Entropy, SplitMix64};
use sha2::{Digest, Sha256};

use crate::Trace;
use crate::cookies::hex;

/// A tile at the seahorses, and one of a Julia set.
#[must_use]
pub fn fractal_tiles() -> u64 {
    let tile = |kind, left, top, step| FractalTile {
        kind,
        left,
        top,
        step,
        x: 3,
        y: 2,
        width: 16,
        height: 12,
        iterations_max: 150,
    };
    let mut trace = Trace::new();
    for (tile, expected) in [
        (
            tile(FractalKind::Mandelbrot, -0.76, 0.11, 0.001_3),
            "9d0fc6133ccaec0eaa5869ae5e5fc60ab41473bed3d919c2f76081baea206eb3",
        ),
        (
            tile(FractalKind::Julia { re: -0.8, im: 0.156 }, -1.5, 1.0, 0.17),
            "8ec370d7dba829bae7ca86eba24e8286d65a3b99f93ec9fe4b3f6b67a128b9bb",
        ),
    ] {
        let mut parameters = [0; PARAMETER_LEN_MAX];
        let len = tile.encode(&mut parameters).expect("room");
        check::<Fractal>(&mut trace, &parameters[..len], expected);
    }
    trace.digest()
}

/// A quarter of pi, and the area below a parabola.
#[must_use]
pub fn monte_carlo() -> u64 {
    let mut trace = Trace::new();
    for (integrand, expected) in [
        (
            Integrand::Ball { dimensions: 2 },
            "17b6c35fd8b04a97dc229524e3f6fb59980ef7d9925119df879817fd84fc3a89",
        ),
        (
            Integrand::Power { exponent: 2 },
            "fa08037b0bc69583e8756b4e2c586b3784e684f98d1386c8560687ef5c4f22d1",
        ),
    ] {
        let range = MonteCarloRange { integrand, seed: 1, first: 1_000, count: 2_000 };
        let mut parameters = [0; PARAMETER_LEN_MAX];
        let len = range.encode(&mut parameters).expect("room");
        check::<MonteCarlo>(&mut trace, &parameters[..len], expected);
    }
    trace.digest()
}

/// A nonce for eight zero bits.
#[must_use]
pub fn sha_prefix() -> u64 {
    let data = b"rserpool";
    let range = ShaPrefixRange { data, zero_bits: 8, first: 0, count: 2_000 };
    let mut parameters = [0; PARAMETER_LEN_MAX];
    let len = range.encode(&mut parameters).expect("room");
    let mut trace = Trace::new();
    let output = check::<ShaPrefix>(
        &mut trace,
        &parameters[..len],
        "f8dafec664182295dcabb41fe2c03711d769ffdd3fa61460574fe35d75ceb992",
    );
    let found = ShaPrefixFound::decode(&output[..ShaPrefixFound::LEN]).expect("an output");
    assert!(found.expect("there is one").is_right(data, 8));
    trace.digest()
}

/// A thousand calculations.
#[must_use]
pub fn synthetic_load() -> u64 {
    let mut parameters = [0; PARAMETER_LEN_MAX];
    let len = SyntheticLoad { count: 1_000, seed: 7 }.encode(&mut parameters).expect("room");
    let mut trace = Trace::new();
    check::<Synthetic>(
        &mut trace,
        &parameters[..len],
        "f59432e6270820baf7e5dea24c52c2eca0355fc4a74d687f23566661327bde1a",
    );
    trace.digest()
}

const OUTPUT_LEN_MAX: usize = 1_024;
const STEPS_MAX: usize = 100_000;

/// Runs a kernel twice and compares; returns the output.
fn check<K: Kernel>(trace: &mut Trace, parameters: &[u8], sha256: &str) -> [u8; OUTPUT_LEN_MAX] {
    let mut whole = [0; OUTPUT_LEN_MAX];
    let mut kernel = K::start(parameters).expect("sound parameters");
    let len = usize::try_from(kernel.output_len()).expect("a short output");
    let mut output = Output::new(&mut whole[..len]);
    assert_eq!(kernel.step(&mut Budget::new(u32::MAX), &mut output), Step::Done);
    assert_eq!(output.room(), 0);

    let mut pieces = [0; OUTPUT_LEN_MAX];
    in_pieces::<K>(parameters, &mut pieces[..len]);
    assert!(whole == pieces, "{}: it matters how it is cut", K::NAME);

    let hash: [u8; 32] = Sha256::digest(&whole[..len]).into();
    assert_eq!(hash, hex(sha256), "{}", K::NAME);
    trace.bytes(&whole[..len]);
    whole
}

/// Runs a kernel in small steps of random length into small windows; after each step another
/// kernel continues from its checkpoint.
fn in_pieces<K: Kernel>(parameters: &[u8], all: &mut [u8]) {
    let mut random = SplitMix64::new(3);
    let mut kernel = K::start(parameters).expect("sound parameters");
    let mut at = 0;
    for _ in 0..STEPS_MAX {
        let room = (all.len() - at).min(1 + random.below(63) as usize);
        let mut output = Output::new(&mut all[at..at + room]);
        let budget = &mut Budget::new(random.below(2_000) as u32);
        let step = kernel.step(budget, &mut output);
        at += output.written().len();
        if step == Step::Done {
            assert_eq!(at, all.len());
            return;
        }
        let mut state = [0; STATE_LEN_MAX];
        let len = kernel.checkpoint(&mut state).expect("room");
        kernel = K::resume(parameters, &state[..len]).expect("its own state");
    }
    panic!("{} never ends", K::NAME);
}
