//! To come.

/// Does nothing yet.
pub fn run(_data: &[u8]) {}
