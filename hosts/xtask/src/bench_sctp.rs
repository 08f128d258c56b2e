//! `cargo xtask bench sctp`: our SCTP endpoint beside others.
//!
//! The stacks and the link between their ends are in the example `bench_sctp` of the tests
//! package. It runs once under callgrind for instructions, and some rounds as it is for CPU time.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, run as run_command};
use crate::setup::has_usrsctp;

/// Prints the table and says whether we are ahead of all others in every row; if quick, with
/// fewer messages and rounds.
///
/// # Errors
///
/// Exits with 1 if something does not run, and if another stack is ahead of ours.
pub(crate) fn run(is_quick: bool) -> ExitCode {
    match measure(is_quick) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: the bar is missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A line of the example's output, and the instructions that callgrind counted for it.
struct Row {
    stack: String,
    message_len: u32,
    loss_per_mille: u32,
    /// Per message.
    instructions: f64,
    packets: f64,
    allocations: f64,
    /// Bytes of user data per nanosecond of CPU time, times 1,000.
    megabytes: f64,
}

/// Who is measured against the others.
const OURS: &str = "ours";

fn measure(is_quick: bool) -> Result<bool> {
    let child = build()?;
    let (counted, timed, rounds) =
        if is_quick { (4_000, 50_000, 3) } else { (20_000, 200_000, 7) };
    let counts = instructions(&child, counted)?;
    let text =
        output(Command::new(&child).args([timed, rounds].map(|number| number.to_string())))?;
    let mut rows = Vec::new();
    for line in text.lines() {
        rows.push(parse(line).with_context(|| format!("the benchmark says `{line}`"))?);
    }
    if rows.len() != counts.len() {
        bail!("{} results, but {} counts", rows.len(), counts.len());
    }
    for (row, count) in rows.iter_mut().zip(counts) {
        row.instructions = count / f64::from(counted);
    }
    print(&rows);
    if !has_usrsctp() {
        println!("usrsctp is not there; `cargo xtask setup` installs it.");
    }
    Ok(is_ahead(&rows))
}

fn build() -> Result<PathBuf> {
    let mut arguments =
        vec!["build", "--release", "-p", "rserpool-tests", "--example", "bench_sctp"];
    // Apart from the other builds, which are not linked as a whole.
    arguments.extend(["--target-dir", TARGET]);
    if has_usrsctp() {
        arguments.extend(["--features", "usrsctp"]);
    }
    let mut build = cargo(None, &arguments);
    build.env("CARGO_PROFILE_RELEASE_LTO", "fat");
    build.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    run_command(build)?;
    Ok(root().join(TARGET).join("release/examples/bench_sctp"))
}

const TARGET: &str = "target/bench";

/// Runs a command; what it prints.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The instructions of each transfer of so many messages.
fn instructions(child: &Path, messages: u32) -> Result<Vec<f64>> {
    let directory = child.with_file_name("bench_sctp.callgrind");
    std::fs::create_dir_all(&directory)?;
    let out = directory.join("out");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg("--toggle-collect=bench_sctp::measured")
        .arg("--dump-after=bench_sctp::measured")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(child)
        .args([messages.to_string(), 1.to_string()]);
    let text = output(&mut valgrind).context("valgrind; `cargo xtask setup` installs it")?;
    let mut counts = Vec::new();
    for number in 1..=text.lines().count() {
        // Each return from `measured` makes a file.
        let path = out.with_extension(number.to_string());
        let text = std::fs::read_to_string(&path).with_context(|| format!("{path:?}"))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        counts.push(total.context("callgrind wrote no totals")?.trim().parse()?);
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(counts)
}

fn parse(line: &str) -> Result<Row> {
    let fields: Vec<_> = line.split(',').collect();
    let [stack, message_len, loss, messages, packets, allocations, nanoseconds] = fields[..]
    else {
        bail!("{} fields", fields.len());
    };
    let message_len: u32 = message_len.parse()?;
    let messages: f64 = messages.parse()?;
    let per_message = |text: &str| text.parse().map(|number: f64| number / messages);
    Ok(Row {
        stack: stack.to_owned(),
        message_len,
        loss_per_mille: loss.parse()?,
        instructions: 0.0,
        packets: per_message(packets)?,
        allocations: per_message(allocations)?,
        megabytes: f64::from(message_len) * 1_000.0 / per_message(nanoseconds)?,
    })
}

impl Row {
    fn is_of_same_case(&self, other: &Self) -> bool {
        (self.message_len, self.loss_per_mille) == (other.message_len, other.loss_per_mille)
    }
}

/// Instructions are those of both ends together, and so is the CPU time.
fn print(rows: &[Row]) {
    println!(
        "{:>5} {:>5} {:<10} {:>13} {:>6} {:>9} {:>6} {:>12} {:>9} {:>12}",
        "bytes",
        "loss",
        "stack",
        "instructions",
        "ratio",
        "MB/CPU-s",
        "ratio",
        "messages/CPU-s",
        "packets",
        "allocations"
    );
    println!("{:>31} {:>56} {:>12}", "per message", "per message", "per message");
    for row in rows {
        let ours = rows.iter().find(|ours| ours.stack == OURS && ours.is_of_same_case(row));
        let (instructions, megabytes) = ours.map_or((1.0, 1.0), |ours| {
            (row.instructions / ours.instructions, ours.megabytes / row.megabytes)
        });
        let per_second = row.megabytes * 1e6 / f64::from(row.message_len);
        // The C library takes its memory past Rust's allocator.
        let allocations = match row.stack.as_str() {
            "usrsctp" => "not counted".to_owned(),
            _ => format!("{:.2}", row.allocations),
        };
        println!(
            "{:>5} {:>4}% {:<10} {:>13.0} {:>6.2} {:>9.1} {:>6.2} {:>14.0} {:>9.3} {:>12}",
            row.message_len,
            f64::from(row.loss_per_mille) / 10.0,
            row.stack,
            row.instructions,
            instructions,
            row.megabytes,
            megabytes,
            per_second,
            row.packets,
            allocations
        );
    }
    println!("Ratios: their instructions over ours, our speed over theirs.");
}

/// Whether we take fewer instructions and less time than all others, and never the heap.
fn is_ahead(rows: &[Row]) -> bool {
    let (ours, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.stack == OURS);
    let is_frugal = ours.iter().all(|row| row.allocations == 0.0);
    let is_fast = ours.iter().all(|ours| {
        others.iter().filter(|other| ours.is_of_same_case(other)).all(|other| {
            ours.instructions < other.instructions && ours.megabytes > other.megabytes
        })
    });
    println!(
        "bar, ahead of all others in both, and no allocation: {}",
        match is_frugal && is_fast {
            true => "met",
            false => "MISSED",
        }
    );
    is_frugal && is_fast
}
