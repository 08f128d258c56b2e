//! `rsp decode`: prints captures.

use crate::failure::Failure;

/// What `rsp decode` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct DecodeArgs {}

/// Prints the captures that `args` names.
pub(crate) fn decode(_args: &DecodeArgs) -> Result<(), Failure> {
    Ok(())
}
