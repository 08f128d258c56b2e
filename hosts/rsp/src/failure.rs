//! How a command fails: what was being done, what to do about it, and the exit code.

use std::fmt;
use std::process::ExitCode;

/// The exit codes of every command, one table (`rsp --help` prints [`EXIT_CODES`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The job, or what the command was doing, failed.
    Failed = 1,
    /// The command line or the configuration file is wrong.
    Usage = 2,
    /// No registrar answers.
    NoRegistrar = 3,
    /// The registrar knows no such pool.
    UnknownPool = 4,
    /// A port that is needed belongs to another program.
    AddressInUse = 5,
    /// The registrar refuses the registration.
    Rejected = 6,
    /// Stopped by a signal before the work was done.
    Interrupted = 130,
}

/// The table that `rsp --help` ends with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done (for a daemon: stopped by SIGINT or SIGTERM, and cleanly)
  1    the job or the command failed
  2    wrong command line or configuration file
  3    no registrar answers
  4    the registrar knows no such pool
  5    the address is in use
  6    the registrar refuses the registration
  130  interrupted before the work was done";

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    what: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure of the kind `status`: `what` says what was being done, and with what.
    pub(crate) fn new(status: Status, what: impl fmt::Display) -> Self {
        Self { status, what: what.to_string(), hint: None }
    }

    /// The command itself failed.
    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self::new(Status::Failed, what)
    }

    /// The command line or the configuration is wrong.
    pub(crate) fn usage(what: impl fmt::Display) -> Self {
        Self::new(Status::Usage, what)
    }

    /// Stopped by a signal.
    pub(crate) fn interrupted(what: impl fmt::Display) -> Self {
        Self::new(Status::Interrupted, what)
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
