//! `cargo xtask bench wire`: instructions to build and to parse messages, beside RSPLIB's.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, run as run_command};

/// A message of `core/examples/bench_wire.rs`, its length, and RSPLIB's instructions to build and
/// to parse it (3.5.10, gcc -O2, callgrind on x86_64; parsing includes freeing).
struct Row {
    message: &'static str,
    len: usize,
    rsplib_build: u64,
    rsplib_parse: u64,
}

const ROWS: [Row; 6] = [
    Row { message: "asap-registration", len: 60, rsplib_build: 960, rsplib_parse: 2422 },
    Row {
        message: "asap-handle-resolution-response-1",
        len: 72,
        rsplib_build: 1129,
        rsplib_parse: 2774,
    },
    Row {
        message: "asap-handle-resolution-response-10",
        len: 468,
        rsplib_build: 6898,
        rsplib_parse: 16_703,
    },
    Row { message: "asap-endpoint-keep-alive", len: 28, rsplib_build: 499, rsplib_parse: 1264 },
    Row { message: "enrp-presence", len: 44, rsplib_build: 791, rsplib_parse: 2071 },
    Row {
        message: "enrp-handle-table-response-128",
        len: 7704,
        rsplib_build: 130_321,
        rsplib_parse: 694_706,
    },
];

/// RSPLIB takes at least this many times our instructions on every row.
const BAR: f64 = 5.0;

/// Prints the table and says whether every row passes the bar.
///
/// # Errors
///
/// Exits with 1 if valgrind does not run, and if a row does not pass.
pub(crate) fn run() -> ExitCode {
    match table() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: RSPLIB takes less than {BAR} times our instructions on some row");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn table() -> Result<bool> {
    let arguments = ["build", "--release", "-p", "rserpool-core", "--example", "bench_wire"];
    let mut build = cargo(None, &[&arguments[..], &["--target-dir", TARGET]].concat());
    // RSPLIB's sources were compiled into its benchmark, too.
    build.env("CARGO_PROFILE_RELEASE_LTO", "fat");
    build.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    run_command(build)?;
    println!("Instructions per message (callgrind, release build, {})", std::env::consts::ARCH);
    println!(
        "{:<36} {:>5} {:<5} {:>7} {:>7} {:>6}",
        "message", "bytes", "", "ours", "RSPLIB", "ratio"
    );
    let mut passes = true;
    for row in &ROWS {
        for (direction, rsplib) in [("build", row.rsplib_build), ("parse", row.rsplib_parse)] {
            let ours = per_round(direction, row)?;
            let ratio = rsplib as f64 / ours;
            passes &= ratio >= BAR;
            let (message, len) = (row.message, row.len);
            println!("{message:<36} {len:>5} {direction} {ours:>7.0} {rsplib:>7} {ratio:>6.1}");
        }
    }
    Ok(passes)
}

/// Instructions of one round: the difference of two runs, so that what comes before the loop does
/// not count.
fn per_round(direction: &str, row: &Row) -> Result<f64> {
    let few = instructions(direction, row, ROUNDS)?;
    let many = instructions(direction, row, 2 * ROUNDS)?;
    Ok((many - few) as f64 / f64::from(ROUNDS))
}

/// Apart from the other builds, which are not linked as a whole.
const TARGET: &str = "target/bench";

const ROUNDS: u32 = 1000;

fn instructions(direction: &str, row: &Row, rounds: u32) -> Result<u64> {
    let program = root().join(TARGET).join("release/examples/bench_wire");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([direction, row.message, &rounds.to_string()])
        .output()
        .context("valgrind does not run; `cargo xtask setup` installs it")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("the benchmark failed under valgrind:\n{text}");
    }
    let len = String::from_utf8_lossy(&output.stdout);
    if len.trim() != row.len.to_string() {
        bail!("{} has {} bytes, not {}", row.message, len.trim(), row.len);
    }
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.context("callgrind did not say how much it collected")?;
    count.trim().parse().context("callgrind's count is no number")
}
