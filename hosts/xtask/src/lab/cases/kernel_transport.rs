//! The tests of kernel sockets and of the transports above them, on a kernel that has SCTP.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::Case;
use crate::lab::Lab;
use crate::lab::guest::Guest;
use crate::process::{cargo, root, show};

/// Tests that everywhere else can only be skipped.
pub(crate) const CASE: Case = Case {
    name: "kernel-transport",
    what: "the tests of kernel SCTP sockets and of the transport above them",
    patience: Duration::from_secs(600),
    has_boards: false,
    run,
};

/// Packages with such tests, and the names by which their tests are chosen.
const TESTS: [(&str, &str); 2] = [("linux-sctp", ""), ("rserpool", "--skip over_udp transport::")];

/// Builds the test programs, which the case finds by their packages.
///
/// # Errors
///
/// If they do not build.
pub(crate) fn build() -> Result<()> {
    for (package, _) in TESTS {
        let arguments =
            ["test", "-q", "--no-run", "--lib", "--message-format=json", "-p", package];
        let mut command = cargo(None, &arguments);
        println!("$ {}", show(&command));
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!("`{}` failed: {}", show(&command), output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut built = messages.filter_map(|message: serde_json::Value| {
            message.get("executable")?.as_str().map(PathBuf::from)
        });
        let built = built.next_back().with_context(|| format!("no test program of {package}"))?;
        let place = program(package);
        // A program that runs cannot be written, but it can be replaced.
        let _ = std::fs::remove_file(&place);
        std::fs::copy(&built, &place).with_context(|| place.display().to_string())?;
    }
    Ok(())
}

fn run(lab: &mut Lab) -> Result<()> {
    lab.check("the transport's tests right over IP, outside of the guest", right_over_ip())?;
    let mut guest = lab.boot()?;
    // As IPv4's, the loopback interface is to have more than one address of IPv6.
    guest.must("ip address add fd77::2/128 dev lo nodad")?;
    for (package, filter) in TESTS {
        let program = program(package);
        let command = format!(
            "KERNEL_SCTP_REQUIRED=1 RUST_BACKTRACE=1 {} --nocapture --test-threads=1 {filter}",
            program.display()
        );
        let outcome = guest.run(TEST_PATIENCE, &command)?;
        let summary = outcome.text.lines().rfind(|line| line.starts_with("test result:"));
        let passed = match (outcome.code, summary) {
            (0, Some(summary)) if !summary.contains(" 0 passed") => Ok(summary),
            _ => Err(anyhow!("{}", failures(&outcome.text))),
        };
        let summary = lab.check(&format!("the tests of {package}"), passed)?;
        println!("         {}", summary.trim_start_matches("test result: "));
    }
    round_trips(lab, &mut guest)?;
    silence(lab, &mut guest)
}

/// Both SCTPs must notice, over either IP, that nothing comes back any more.
fn silence(lab: &Lab, guest: &mut Guest) -> Result<()> {
    let command = format!(
        "KERNEL_SCTP_REQUIRED=1 LOOPBACK_CUT='tc qdisc add dev lo root netem loss 100%' \
         LOOPBACK_MEND='tc qdisc del dev lo root' {} --nocapture --test-threads=1 \
         {NOT_RAW} falls_silent",
        program("rserpool").display()
    );
    let outcome = guest.run(TEST_PATIENCE, &command)?;
    let passed = outcome.text.lines().any(|line| line.starts_with("test result: ok. 4 passed"));
    let noticed = match (outcome.code, passed && !outcome.text.contains("skipped")) {
        (0, true) => Ok(()),
        _ => Err(anyhow!("{}", failures(&outcome.text))),
    };
    lab.check("both SCTPs notice, over IPv4 and IPv6, that a path is dead", noticed)
}

/// Our SCTP goes right over IP where the kernel has none, in namespaces of the tests' own.
fn right_over_ip() -> Result<()> {
    let mut command = Command::new(program("rserpool"));
    command.args(["--test-threads=2", "transport::tests::over_ip"]);
    command.env("RAW_SCTP_REQUIRED", "1");
    let output = command.output().context("cannot start the tests")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_done = output.status.success() && !text.contains(" 0 passed");
    if is_done { Ok(()) } else { Err(anyhow!("{}", failures(&text))) }
}

/// Both SCTPs must measure how long loopback takes.
fn round_trips(lab: &Lab, guest: &mut Guest) -> Result<()> {
    guest.must("tc qdisc add dev lo root netem delay 30ms")?;
    let command = format!(
        "KERNEL_SCTP_REQUIRED=1 LOOPBACK_DELAY_MS=30 {} --nocapture --test-threads=1 \
         {NOT_RAW} round_trip",
        program("rserpool").display()
    );
    let outcome = guest.run(TEST_PATIENCE, &command)?;
    guest.must("tc qdisc del dev lo root")?;
    let told = outcome.text.matches("a round trip takes").count();
    let measured = match (outcome.code, told) {
        (0, 4) => Ok(()),
        _ => Err(anyhow!("{}", failures(&outcome.text))),
    };
    lab.check("both SCTPs measure a round trip of 60 ms", measured)
}

/// Where the test program of a package is.
fn program(package: &str) -> PathBuf {
    root().join(Path::new("target/debug")).join(format!("tests-of-{package}"))
}

/// What a test program says of its failures.
fn failures(text: &str) -> String {
    let is_told = |line: &&str| line.contains("panicked at") || line.ends_with("FAILED");
    let told: Vec<_> = text.lines().filter(is_told).collect();
    match told.is_empty() {
        true => text.lines().last().unwrap_or("nothing is said").to_owned(),
        false => told.join("; "),
    }
}

/// Our SCTP right over IP has no room beside the kernel's.
const NOT_RAW: &str = "--skip tests::over_ipv";

/// How long the tests of a package may take.
const TEST_PATIENCE: Duration = Duration::from_secs(280);
