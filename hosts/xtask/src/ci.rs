//! `cargo xtask ci`: every check that a change must pass, in order of their cost.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::process::{cargo, root, run};
use crate::setup::{TARGETS, has_usrsctp};
use crate::{firmware, fuzz, lab, mutations, swarm, tidy};

/// Tests that miri runs in the short form: parsers, containers, what they rest on, and machines
/// but those that seal cookies or draw their state tables, which take minutes.
const MIRI_FILTERS: [&str; 15] = [
    "wire::",
    "sctp::packet",
    "store::",
    "time::",
    "identifier::",
    "entropy::",
    "asap::announce",
    "asap::answer",
    "asap::element::tests",
    "asap::hunt",
    "asap::timers",
    "asap::user::tests",
    "enrp::",
    "handlespace::",
    "policy::",
];

/// A target with 32-bit words in big-endian order.
const MIRI_TARGET: &str = "powerpc-unknown-linux-gnu";

type Stage = (&'static str, Box<dyn Fn() -> Result<()>>);

/// Runs all stages, or those from one on, and prints what each took.
///
/// # Errors
///
/// At the first stage that fails, or if there is none of that name.
pub(crate) fn run_stages(full: bool, from: Option<&str>) -> Result<()> {
    let stages = stages(full);
    let first = match from {
        None => 0,
        Some(wanted) => {
            stages.iter().position(|(name, _)| *name == wanted).with_context(|| {
                let names: Vec<_> = stages.iter().map(|(name, _)| *name).collect();
                format!("`{wanted}` is no stage: there are {}", names.join(", "))
            })?
        }
    };
    let mut times = Vec::new();
    for (name, stage) in &stages[first..] {
        println!("\n==== {name}");
        let start = Instant::now();
        stage().with_context(|| format!("stage `{name}`"))?;
        times.push((name, start.elapsed().as_secs()));
    }
    println!("\n==== all stages passed");
    for (name, seconds) in times {
        println!("{name:<16} {:>3} min {:02} s", seconds / 60, seconds % 60);
    }
    Ok(())
}

fn stages(full: bool) -> Vec<Stage> {
    let seconds = if full { 600 } else { 30 };
    vec![
        ("format", Box::new(|| run(cargo(None, &["fmt", "--all", "--check"])))),
        ("tidy", Box::new(tidy::check)),
        ("mutations apply", Box::new(|| mutations::run_all(&mutations::Options::for_ci()))),
        ("lints", Box::new(lints)),
        ("documentation", Box::new(documentation)),
        ("board targets", Box::new(board_targets)),
        ("tests", Box::new(tests)),
        ("firmware", Box::new(firmware)),
        ("interop", Box::new(lab::install_and_run)),
        ("miri", Box::new(move || miri(full))),
        ("fuzz", Box::new(move || fuzz::run_targets(seconds, &[]))),
    ]
}

/// All tests of the workspace, the core's as boards have it, and scopes under trouble.
fn tests() -> Result<()> {
    test(&[])?;
    swarm::run_seeds(&swarm::Options::for_ci())?;
    flood()?;
    run(cargo(
        None,
        &["test", "-p", "rserpool-core", "--lib", "--test", "memory", "--features", "small"],
    ))
}

/// Floods an SCTP endpoint with a million packets of each kind, optimised and with its assertions.
fn flood() -> Result<()> {
    let arguments = ["test", "--profile", "swarm", "-p", "rserpool-core", "--lib"];
    let mut command = cargo(None, &arguments);
    command.arg("sctp::tests::defence::a_flood").env("RSERPOOL_FLOOD", "1000000");
    run(command)
}

/// Runs the tests of the workspace; `arguments` go to `cargo test`.
///
/// # Errors
///
/// If a test fails.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let mut command = cargo(None, &["test", "--no-fail-fast"]);
    if !arguments.iter().any(|argument| argument == "-p" || argument == "--package") {
        command.arg("--workspace").args(features());
    }
    command.args(arguments);
    run(command)
}

/// What of the workspace is optional and can be built here.
fn features() -> &'static [&'static str] {
    if has_usrsctp() { &["--features", "rserpool-tests/usrsctp"] } else { &[] }
}

fn lints() -> Result<()> {
    let workspace = ["clippy", "--workspace", "--all-targets"];
    let deny = ["--", "-D", "warnings"];
    run(cargo(None, &[&workspace[..], features(), &deny[..]].concat()))?;
    for feature in ["log", "defmt", "crc-slicing", "small"] {
        let core = ["clippy", "-p", "rserpool-core", "--lib", "--features", feature];
        run(cargo(None, &[&core[..], &deny[..]].concat()))?;
    }
    Ok(())
}

/// The firmware's own workspace: host tests, all boards and their sizes, tests on the emulated
/// one.
fn firmware() -> Result<()> {
    let stages: [&[&str]; 3] = [
        &["fmt", "--all", "--check"],
        &["clippy", "--all-targets", "--", "-D", "warnings"],
        &["test"],
    ];
    for arguments in stages {
        let mut command = cargo(None, arguments);
        command.current_dir(root().join("firmware"));
        run(command)?;
    }
    let mut bare_core = cargo(None, &["build", "--release"]);
    bare_core.current_dir(root().join("firmware/examples/bare-core"));
    run(bare_core)?;
    firmware::check_sizes(&[])?;
    firmware::test(&[])
}

fn documentation() -> Result<()> {
    let mut command = cargo(None, &["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}

fn board_targets() -> Result<()> {
    for target in TARGETS {
        let check = ["check", "-p", "rserpool-core", "--target", target];
        run(cargo(None, &check))?;
        run(cargo(None, &[&check[..], &["--features", "defmt"]].concat()))?;
    }
    Ok(())
}

fn miri(full: bool) -> Result<()> {
    let test = ["miri", "test", "--target", MIRI_TARGET, "-p", "rserpool-core", "--lib", "--"];
    let filters: &[&str] = if full { &[] } else { &MIRI_FILTERS };
    let mut command = cargo(Some("nightly"), &[&test[..], filters].concat());
    // Proptest reads its regression files; its cases are few here since each is slow.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    run(command)
}
