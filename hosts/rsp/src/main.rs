//! The `rsp` command-line program: registrar, pool element, pool user, decoder and demo.

mod address;
mod cli;
mod config;
mod decode;
mod failure;
mod logging;
mod picture;
mod policy;
mod values;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::failure::Failure;

fn main() -> ExitCode {
    // Usage errors end with 2 inside clap, as the table of exit codes says.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("rsp: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let config = Config::load(cli.config.as_ref())?;
    logging::start(cli.log.as_deref().or(config.log.as_deref()))?;
    match cli.command {
        Command::Decode(args) => decode::decode(&args),
        _ => Err(Failure::failed("this command is not there yet")),
    }
}
