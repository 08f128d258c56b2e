//! The `rsp` command-line program: registrar, pool element, pool user, decoder and demo.

#[macro_use]
mod say;

mod address;
mod call;
mod cli;
mod config;
mod decode;
mod demo;
mod failure;
mod help;
mod hsdump;
mod limit;
mod logging;
mod picture;
mod policy;
mod registrar;
mod resolve;
mod run;
mod scope;
mod sctp;
mod serve;
mod service;
mod status;
mod tcp;
mod timer;
mod transport;
mod values;
mod view;

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
    let Config { log, scope: file_scope, registrar, serve, service, run } =
        Config::load(cli.config.as_ref())?;
    logging::start(cli.log.as_deref().or(log.as_deref()))?;
    match cli.command {
        Command::Decode(args) => decode::decode(&args),
        Command::Hsdump(args) => block_on(hsdump::hsdump(args)),
        Command::Status(args) => block_on(status::status(args)),
        Command::Registrar { scope, options } => {
            block_on(registrar::registrar(scope.or(file_scope), options.or(registrar)))
        }
        Command::Serve { service: said, scope, options } => {
            let service = said.or(service);
            block_on(serve::serve(scope.or(file_scope), options.or(serve), &service))
        }
        Command::Call(args) => block_on(call::call(args, file_scope)),
        Command::Resolve { scope, options } => {
            block_on(resolve::resolve(scope.or(file_scope), options))
        }
        Command::Run { scope, options } => block_on(run::run(scope.or(file_scope), options, run)),
        Command::Demo(options) => block_on(demo::demo(options, cli.log.or(log))),
    }
}

/// Runs a command on a runtime of its own. What blocks (reading standard input) ends with us.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
