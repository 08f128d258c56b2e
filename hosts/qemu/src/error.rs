//! What can go wrong on the bench, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why an emulated board, or its network, does not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// QEMU is not installed.
    #[error(
        "qemu-system-arm is missing: it emulates the boards\n  hint: `cargo xtask setup` installs \
         it, or `apt-get install qemu-system-arm` (Debian), or your system's package of QEMU for \
         ARM"
    )]
    NoQemu,
    /// QEMU was started and ended at once.
    #[error("QEMU ended at once ({status}): {errors}")]
    QemuEnded {
        /// Its exit status.
        status: String,
        /// What it said.
        errors: String,
    },
    /// The compiler for boards is not installed.
    #[error(
        "the Rust target {target} is missing: it compiles for the boards\n  hint: `cargo xtask \
         setup` installs it, or `rustup target add {target}`"
    )]
    NoTarget {
        /// The target's name.
        target: &'static str,
    },
    /// The firmware's sources are not where they were when this program was built.
    #[error(
        "no firmware at {}: it is built from the project's source tree\n  hint: name a built one \
         with --firmware ELF",
        folder.display()
    )]
    NoSources {
        /// Where they should be.
        folder: PathBuf,
    },
    /// The firmware does not compile.
    #[error("the firmware does not compile: `{command}` {outcome}")]
    Build {
        /// What was run.
        command: String,
        /// How it ended.
        outcome: String,
    },
    /// The firmware is no ELF file, or logs by another version of defmt.
    #[error("{} is no firmware whose log can be read: {error}", firmware.display())]
    Firmware {
        /// The file.
        firmware: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The operating system refuses something.
    #[error("cannot {what}: {error}")]
    System {
        /// What was being done.
        what: String,
        /// Its reason.
        #[source]
        error: io::Error,
    },
    /// QEMU's control socket does not answer as it should.
    #[error("QEMU's control socket: {what}")]
    Control {
        /// What is wrong.
        what: String,
    },
}

impl BenchError {
    /// Whether something is missing that has to be installed.
    #[must_use]
    pub fn is_missing_tool(&self) -> bool {
        matches!(self, Self::NoQemu | Self::NoTarget { .. })
    }

    /// The operating system refused to do `what`.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::System { what, error }
    }
}
