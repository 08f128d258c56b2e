//! `cargo xtask firmware test`: the tests in `firmware/target-tests`, on the emulated board.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::executable_of;
use super::test_list::TargetTest;
use super::test_run::{self, Verdict};
use crate::process::{cargo, root, show};

/// What must become of the tests that go wrong on purpose. They are in the image so that nobody
/// need believe in the runner.
const ON_PURPOSE: [(&str, Verdict); 7] = [
    ("failing::a_panic_that_does_not_come", Verdict::DidNotPanic),
    ("failing::a_panic_that_is_wanted", Verdict::Passed),
    ("failing::an_assertion_fails", Verdict::Panicked),
    ("failing::an_error_is_returned", Verdict::Died),
    ("failing::it_hangs", Verdict::TimedOut),
    ("failing::the_processor_faults", Verdict::Died),
    ("failing::what_is_ignored_does_not_run", Verdict::Ignored),
];

const MODULE_ON_PURPOSE: &str = "failing::";

/// Builds the tests and runs those whose names contain one of `filters`; without filters also
/// sees to it that the runner notices every way in which a test can go wrong.
///
/// # Errors
///
/// If a test fails, or one that must fail does not.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let elf = build()?;
    let (on_purpose, tests): (Vec<_>, Vec<_>) =
        list(&elf)?.into_iter().partition(|test| test.name.starts_with(MODULE_ON_PURPOSE));
    run_filtered(&elf, tests, filters)?;
    if filters.is_empty() {
        println!("\nThe runner's own test: these go wrong on purpose.");
        prove(&elf, &on_purpose)?;
    }
    Ok(())
}

/// Runs the tests of an ELF file, as cargo's runner of target tests.
///
/// # Errors
///
/// If a test fails.
pub(crate) fn run_tests(elf: &Path, filters: &[String]) -> Result<()> {
    run_filtered(elf, list(elf)?, filters)
}

fn run_filtered(elf: &Path, tests: Vec<TargetTest>, filters: &[String]) -> Result<()> {
    let (tests, filtered_count) = test_run::filter(tests, filters);
    let verdicts = test_run::run(elf, &tests, filtered_count)?;
    match verdicts.iter().filter(|verdict| verdict.is_failure()).count() {
        0 => Ok(()),
        count => bail!("{count} of {} tests failed on the board", tests.len()),
    }
}

fn prove(elf: &Path, tests: &[TargetTest]) -> Result<()> {
    let names: Vec<_> = tests.iter().map(|test| test.name.as_str()).collect();
    if names != ON_PURPOSE.map(|(name, _)| name) {
        bail!("these are not the tests that go wrong on purpose: {names:?}");
    }
    let verdicts = test_run::run_quietly(elf, tests)?;
    for ((name, expected), verdict) in ON_PURPOSE.into_iter().zip(verdicts) {
        if verdict != expected {
            bail!("the runner does not work: {name} must be {expected:?}, but is {verdict:?}");
        }
        println!("{name}: {verdict:?}, as it must be");
    }
    Ok(())
}

fn list(elf: &Path) -> Result<Vec<TargetTest>> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    TargetTest::list(&bytes).with_context(|| format!("cannot test {}", elf.display()))
}

fn build() -> Result<PathBuf> {
    let words = ["test", "--no-run", "--features", "failing"];
    let mut command = cargo(None, &words);
    command.arg("--message-format=json-render-diagnostics");
    command.current_dir(root().join("firmware/target-tests")).stderr(Stdio::inherit());
    // Flags for the host's programs must not reach the board's.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let shown = show(&command);
    println!("$ (firmware/target-tests) {shown}");
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed in firmware/target-tests: {}", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable_of(&messages).with_context(|| format!("`{shown}` made no executable"))
}
