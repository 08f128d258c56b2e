//! Runs packetdrill-style scripts on the bare SCTP endpoint, in virtual time.
//!
//! A script injects packets, makes system calls and says which packets the endpoint must send,
//! and when. The endpoint has no sockets and no clock here: the runner is its network, its user
//! and its time. Packets are built and taken apart by code of this crate, so that a mistake in
//! the endpoint's own does not hide itself.
//!
//! Deliberately absent: shell commands, C comments, time ranges, options of other protocols. What
//! the runner does not know is an error, never a pass.

mod bindings;
mod calls;
mod chunk;
mod error;
mod lexer;
mod matching;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod respelling;
mod runner;
mod script;
mod sockets;
mod tree;
mod wire;

use std::fmt;

pub use error::ScriptError;
use runner::Runner;
use script::{Action, Script};

/// An operating system whose blocks of a script are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// `#ifdef Linux`.
    Linux,
    /// `#ifdef FreeBSD`.
    FreeBsd,
}

impl System {
    const fn symbol(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::FreeBsd => "FreeBSD",
        }
    }
}

/// How scripts are run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Allow packets to be off by 1 ms, whatever a script says.
    pub is_strict: bool,
    /// Run only the blocks for this system. Otherwise those for Linux are, and if that fails
    /// those for FreeBSD: where a script has both, the RFC prescribes neither.
    pub system: Option<System>,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was as the script says.
    Pass {
        /// Whose blocks were run, if there were any.
        system: Option<System>,
    },
    /// Something was not.
    Fail(ScriptError),
    /// The script says too little to be run.
    Skip {
        /// What is missing.
        reason: &'static str,
    },
}

/// Test purposes whose scripts would have to name the peer's addresses, and cannot.
const UNSCRIPTABLE: [&str; 2] = ["as-i-1-15", "rt-i-11-3"];

/// Runs the script `text`. Its `name` seeds the endpoint's random numbers.
#[must_use]
pub fn run_script(name: &str, text: &str, options: Options) -> Verdict {
    let system = options.system.unwrap_or(System::Linux);
    let script = match Script::parse(text, system.symbol()) {
        Ok(script) => script,
        Err(error) => return Verdict::Fail(error),
    };
    if is_unscriptable(name, &script) {
        return Verdict::Skip {
            reason: "needs multi-homing: the script does not say which address",
        };
    }
    let used = script.has_blocks.then_some(system);
    let error = match Runner::run(&script, seed(name), options.is_strict) {
        Ok(()) => return Verdict::Pass { system: used },
        Err(error) => error,
    };
    if options.system.is_some() || !script.has_blocks {
        return Verdict::Fail(error);
    }
    let other = Script::parse(text, System::FreeBsd.symbol());
    match other.and_then(|script| Runner::run(&script, seed(name), options.is_strict)) {
        Ok(()) => Verdict::Pass { system: Some(System::FreeBsd) },
        Err(_) => Verdict::Fail(error),
    }
}

fn is_unscriptable(name: &str, script: &Script) -> bool {
    UNSCRIPTABLE.iter().any(|purpose| name.ends_with(purpose))
        || script.events.iter().any(|event| match &event.action {
            Action::Call(call) => call.name == calls::CONNECT_TO_SEVERAL,
            _ => false,
        })
}

/// The seed for a script, from its name (FNV-1a).
#[must_use]
pub fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A line about a script: its verdict, name, and what there is to say.
pub struct Line<'a>(pub &'a str, pub &'a Verdict);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, verdict) = self;
        match verdict {
            Verdict::Pass { system: None } => write!(f, "PASS {name}"),
            Verdict::Pass { system: Some(system) } => {
                write!(f, "PASS {name} {}", system.symbol().to_lowercase())
            }
            Verdict::Fail(error) => write!(f, "FAIL {name} {error} [seed {:#x}]", seed(name)),
            Verdict::Skip { reason } => write!(f, "SKIP {name} {reason}"),
        }
    }
}
