//! Development tasks: `cargo xtask help` lists them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench_handlespace;
mod bench_sctp;
mod bench_wire;
mod ci;
mod firmware;
mod fuzz;
mod lab;
mod mutations;
mod packetdrill;
mod process;
mod requirement_words;
mod setup;
mod swarm;
mod tidy;

/// Development tasks of the RSerPool workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building and testing need, saying what is installed and why.
    Setup {
        /// Also what the interop lab needs: a kernel with SCTP and RSPLIB (58 MB to load).
        #[arg(long)]
        lab: bool,
        /// Only say what would be installed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Run all tests of the workspace, documentation examples included.
    Test {
        /// Passed on to `cargo test`, e.g. `-p rserpool-core handlespace`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check what the compiler does not: layering, lengths, fuzz coverage of the wire files,
    /// compliance tables.
    Tidy,
    /// Print the requirement words of RFCs, for docs/compliance/words.txt.
    RequirementWords {
        /// The texts of RFCs, named as rfc5353.txt is.
        #[arg(required = true)]
        files: Vec<std::path::PathBuf>,
    },
    /// Run every check that a change must pass.
    Ci {
        /// The long form: all of miri, more simulation seeds, ten minutes a fuzz target.
        #[arg(long)]
        full: bool,
        /// Begin with this stage, such as `interop`, and go on to the last.
        #[arg(long, value_name = "STAGE")]
        from: Option<String>,
    },
    /// Count the instructions of a part, beside those of others; fails if a bar is not met.
    #[command(subcommand)]
    Bench(Bench),
    /// Build the boards' firmware, weigh it, run it.
    #[command(subcommand)]
    Firmware(Firmware),
    /// Run the fuzz targets one after the other, each for some seconds.
    Fuzz {
        /// How long each target runs.
        #[arg(long, default_value_t = 30)]
        seconds: u32,
        /// Only these targets.
        targets: Vec<String>,
    },
    /// Run packetdrill-style scripts on the bare SCTP endpoint, in virtual time.
    Packetdrill(packetdrill::Arguments),
    /// Run whole scopes under trouble drawn from seeds; fails if anything is violated.
    Swarm(swarm::Options),
    /// Make bugs on purpose, one after the other, and look what notices each.
    Mutations(mutations::Options),
    /// Run our programs and boards against RSPLIB and the kernel's SCTP.
    Interop(lab::Options),
}

#[derive(Subcommand)]
enum Bench {
    /// Build and parse messages.
    Wire,
    /// Register, resolve and deregister, from 100 to 1,000,000 elements; prints CSV.
    Handlespace {
        /// Stop at 10,000 elements.
        #[arg(long)]
        quick: bool,
    },
    /// Move messages over SCTP, beside other SCTP stacks.
    Sctp {
        /// Fewer messages, fewer rounds.
        #[arg(long)]
        quick: bool,
    },
}

#[derive(Subcommand)]
enum Firmware {
    /// Build the boards that are named, or all.
    Build {
        /// The names of folders in `firmware/boards`.
        boards: Vec<String>,
    },
    /// Compare flash, RAM and stack with the budgets of `firmware/sizes.toml`; fails if one is
    /// exceeded.
    Sizes {
        /// Only these boards.
        boards: Vec<String>,
    },
    /// Start emulated boards that join a registrar on this machine; Ctrl-C ends them.
    ///
    /// `cargo xtask firmware run -- --help` shows the flags.
    Run {
        /// Passed on: --registrar, --transport, --count and more.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the core's checks and virtual hours on the emulated board.
    Test {
        /// Only tests whose names contain one of these.
        filters: Vec<String>,
    },
    /// Run the tests of an ELF file, one emulated board each (for `cargo test` in
    /// firmware/target-tests).
    RunTests {
        /// The ELF file.
        elf: std::path::PathBuf,
        /// Only tests whose names contain one of these.
        filters: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup { lab, dry_run } => setup::run_steps(lab, dry_run),
        Task::Test { arguments } => ci::test(&arguments),
        Task::Tidy => tidy::check(),
        Task::RequirementWords { files } => requirement_words::print(&files),
        Task::Ci { full, from } => ci::run_stages(full, from.as_deref()),
        Task::Bench(Bench::Wire) => return bench_wire::run(),
        Task::Bench(Bench::Handlespace { quick }) => return bench_handlespace::run(quick),
        Task::Bench(Bench::Sctp { quick }) => return bench_sctp::run(quick),
        Task::Packetdrill(arguments) => match packetdrill::run(&arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Task::Swarm(options) => swarm::run_seeds(&options),
        Task::Mutations(options) => mutations::run_all(&options),
        Task::Interop(options) => lab::run_cases(&options),
        Task::Firmware(Firmware::Build { boards }) => firmware::build(&boards),
        Task::Firmware(Firmware::Sizes { boards }) => firmware::check_sizes(&boards),
        Task::Firmware(Firmware::Run { arguments }) => firmware::run_boards(&arguments),
        Task::Firmware(Firmware::Test { filters }) => firmware::test(&filters),
        Task::Firmware(Firmware::RunTests { elf, filters }) => firmware::run_tests(&elf, &filters),
        Task::Fuzz { seconds, targets } => fuzz::run_targets(seconds, &targets),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
