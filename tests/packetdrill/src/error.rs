//! What can be wrong with a script.

/// A script that cannot be run, and the line that says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {reason}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub reason: String,
}

impl ScriptError {
    pub(crate) fn new(line: u32, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}
