//! QEMU as seen from inside: semihosting.

pub use semihosting::process::exit;

/// The arguments of `-semihosting-config arg=..`, but for the first, which names the program.
///
/// They come as one line, so none of them may have a blank.
#[must_use]
pub fn arguments() -> Arguments {
    Arguments(semihosting::experimental::env::args().ok())
}

/// See [`arguments`].
#[derive(Debug)]
pub struct Arguments(Option<semihosting::experimental::env::Args<ARGUMENTS_LEN_MAX>>);

impl Arguments {
    /// One after the other; what is not UTF-8 is left out.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|arguments| arguments.filter_map(Result::ok)).skip(1)
    }
}

/// Fills `bytes` with the host's randomness.
///
/// # Panics
///
/// If the host has none (`/dev/urandom`): nothing that needs secrets may go on.
pub fn fill_random(bytes: &mut [u8]) {
    assert!(semihosting::experimental::random::fill_bytes(bytes).is_ok(), "no /dev/urandom");
}

/// Prints a line on the host's console, if the feature `messages` is enabled.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => {
        if cfg!(feature = "messages") {
            $crate::host::print_line(core::format_args!($($argument)*));
        }
    };
}

/// What [`say`](crate::say) does.
pub fn print_line(_line: core::fmt::Arguments<'_>) {
    #[cfg(feature = "messages")]
    semihosting::println!("{_line}");
}

/// The length of all arguments together.
const ARGUMENTS_LEN_MAX: usize = 512;
