//! Printing to standard output, which may be a pipe that nobody reads any more, or a full disk.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stdout};
use std::process::exit;

use crate::failure::Failure;

/// Prints a line of what the command is for, as `println!` does. Without a reader the command
/// ends; if the line cannot be written, it fails.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::say::print(format_args!("{}\n", format_args!($($words)*)))
    };
}

/// Prints a line of a program that goes on whether anybody reads it or not, such as a daemon.
macro_rules! note {
    ($($words:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

/// Prints the words, and no more.
pub(crate) fn print(words: Arguments<'_>) {
    match stdout().write_fmt(words) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(error) => {
            let failure = Failure::failed(format_args!("standard output: {error}"));
            eprintln!("rsp: {failure}");
            exit(1)
        }
    }
}
