//! `cargo xtask swarm`: whole scopes drawn from seeds, as the package of the tests has them.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, run};

/// How many seeds CI runs: about a minute on two processors that have nothing else to do.
const CI_SEEDS: u64 = 20_000;

/// Which scopes to run.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = CI_SEEDS)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many at a time; as many as there are processors if it is not said.
    #[arg(long)]
    jobs: Option<usize>,
    /// Begin no more scopes after so many violations.
    #[arg(long, default_value_t = 20)]
    violations: u64,
    /// Print all that happens, one seed after the other.
    #[arg(long)]
    trace: bool,
}

impl Options {
    /// Those of CI.
    pub(crate) const fn for_ci() -> Self {
        Self { seeds: CI_SEEDS, from: 1, jobs: None, violations: 20, trace: false }
    }
}

/// Builds the simulation, optimised and with its assertions, and runs it.
///
/// # Errors
///
/// If a scope violates anything.
pub(crate) fn run_seeds(options: &Options) -> Result<()> {
    let jobs = options.jobs.unwrap_or_else(processors).to_string();
    let mut command = cargo(None, &["run", "--quiet", "--profile", "swarm"]);
    command.args(["--package", "rserpool-tests", "--bin", "swarm", "--"]);
    let numbers = [
        ("--seeds", options.seeds.to_string()),
        ("--from", options.from.to_string()),
        ("--jobs", jobs),
        ("--violations", options.violations.to_string()),
    ];
    for (name, number) in numbers {
        command.args([OsString::from(name), OsString::from(number)]);
    }
    if options.trace {
        command.arg("--trace");
    }
    run(command)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
