//! QEMU as seen from inside: semihosting.

use core::mem::MaybeUninit;

pub use semihosting::process::exit;
use semihosting::sys::arm_compat::sys_get_cmdline_uninit;

/// The arguments of `-semihosting-config arg=..`, separated by blanks, but for the first, which
/// names the program. Empty if there are none or they do not fit.
pub fn arguments(buffer: &mut [u8; ARGUMENTS_LEN_MAX]) -> &str {
    // SAFETY: what is initialised may be handed out to be initialised.
    let uninit =
        unsafe { &mut *(&raw mut *buffer).cast::<[MaybeUninit<u8>; ARGUMENTS_LEN_MAX]>() };
    let line = sys_get_cmdline_uninit(uninit).ok();
    let line = line.and_then(|line| core::str::from_utf8(line).ok());
    line.and_then(|line| line.split_once(' ')).map_or("", |(_, arguments)| arguments)
}

/// Fills `bytes` with the host's randomness.
///
/// # Panics
///
/// If the host has none (`/dev/urandom`): nothing that needs secrets may go on.
pub fn fill_random(bytes: &mut [u8]) {
    assert!(semihosting::experimental::random::fill_bytes(bytes).is_ok(), "no /dev/urandom");
}

/// The length of all arguments together.
pub const ARGUMENTS_LEN_MAX: usize = 512;
