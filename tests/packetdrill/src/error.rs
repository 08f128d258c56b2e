//! What can be wrong with a script.

use std::fmt;

/// A place in a script: line and column, both from 1. Column 0 is the whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl At {
    /// All of a line.
    pub(crate) const fn line(line: u32) -> Self {
        Self { line, column: 0 }
    }
}

/// A script that cannot be run, or was not as it says, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, of what is not understood; 0 if the event as a whole is meant.
    pub column: u32,
    /// What is wrong there.
    pub reason: String,
}

impl ScriptError {
    pub(crate) fn new(at: At, reason: impl Into<String>) -> Self {
        Self { line: at.line, column: at.column, reason: reason.into() }
    }
}

impl std::error::Error for ScriptError {}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if self.column > 0 {
            write!(f, "column {}: ", self.column)?;
        }
        f.write_str(&self.reason)
    }
}
