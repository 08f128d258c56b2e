//! `cargo xtask firmware run`: emulated boards that join a registrar on this machine.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context, Result};

use crate::process::cargo;

/// Starts the boards; `arguments` are theirs. This process becomes theirs, so that Ctrl-C and
/// the exit code are, too.
///
/// # Errors
///
/// If cargo cannot be started.
pub(crate) fn run_boards(arguments: &[String]) -> Result<()> {
    let words =
        ["run", "--quiet", "--release", "-p", "rserpool-qemu", "--bin", "rsp-boards", "--"];
    let mut command = cargo(None, &words);
    command.args(arguments);
    Err(command.exec()).context("cannot start cargo")
}
