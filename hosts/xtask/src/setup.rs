//! `cargo xtask setup`: installs what building and testing need.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::lab;
use crate::process::{cargo, command, exists, output, run};

/// The core must compile for these: the smallest Cortex-M to RISC-V, 32 bit all.
pub(crate) const TARGETS: [&str; 5] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imac-unknown-none-elf",
];

/// Program, Debian package, what for.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("qemu-system-arm", "qemu-system-arm", "emulates a board"),
    ("valgrind", "valgrind", "counts instructions in the benchmarks"),
    ("tshark", "tshark", "judges the messages that we write"),
    ("c++", "g++", "builds libFuzzer"),
    ("gpgv", "gpgv", "checks signed scripts"),
];

/// The C library that `rserpool-tests` has as a peer with its feature `usrsctp`.
const LIBRARY: (&str, &str, &str) =
    ("libusrsctp.a", "libusrsctp-dev", "an SCTP peer in tests and benchmarks");

/// Whether that library is there: the C compiler gives the whole path only of what it finds.
pub(crate) fn has_usrsctp() -> bool {
    let found = output(command("cc", [format!("-print-file-name={}", LIBRARY.0)]));
    Path::new(found.trim()).is_absolute()
}

/// Installs what is missing (with `lab` also for the interop lab), or with `dry_run` only says
/// what that is.
///
/// # Errors
///
/// If an installer fails.
pub(crate) fn run_steps(lab: bool, dry_run: bool) -> Result<()> {
    let mut steps: Vec<(String, Command)> = Vec::new();
    let of_lab: &[_] = if lab { &lab::PROGRAMS } else { &[] };
    let mut missing: Vec<_> = PROGRAMS.iter().filter(|(program, ..)| !exists(program)).collect();
    missing.extend((!has_usrsctp()).then_some(&LIBRARY));
    missing.extend(of_lab.iter().filter(|(program, ..)| !lab::is_there(program)));
    if !missing.is_empty() {
        let reasons: Vec<_> = missing.iter().map(|(_, p, why)| format!("{p} ({why})")).collect();
        let sudo = output(command("id", ["-u"])).trim() != "0";
        let apt = |arguments: &[&str]| {
            let mut words = if sudo { vec!["sudo", "apt-get"] } else { vec!["apt-get"] };
            words.extend(arguments);
            let mut apt = command(words[0], &words[1..]);
            apt.env("DEBIAN_FRONTEND", "noninteractive");
            apt
        };
        let packages: Vec<_> = missing.iter().map(|(_, package, _)| *package).collect();
        steps.push(("read the package lists".into(), apt(&["update", "-q"])));
        let install = [&["install", "-qy", "--no-install-recommends"], &packages[..]].concat();
        steps.push((format!("install {}", reasons.join(", ")), apt(&install)));
    }
    rust_steps(&mut steps);
    if steps.is_empty() {
        println!("Everything is there.");
    }
    for (what, step) in steps {
        println!("== {what}");
        if !dry_run {
            run(step)?;
        }
    }
    Ok(())
}

fn rust_steps(steps: &mut Vec<(String, Command)>) {
    let installed = output(command("rustup", ["target", "list", "--installed"]));
    let targets: Vec<_> = TARGETS
        .into_iter()
        .filter(|target| !installed.lines().any(|line| line == *target))
        .collect();
    if !targets.is_empty() {
        let add = [&["target", "add"], &targets[..]].concat();
        steps.push((
            "add the boards' targets (the core is compiled for them)".into(),
            command("rustup", add),
        ));
    }
    let nightly =
        output(command("rustup", ["component", "list", "--toolchain", "nightly", "--installed"]));
    if !nightly.contains("miri") || !nightly.contains("rust-src") {
        let arguments = ["toolchain", "install", "nightly", "--profile", "minimal"];
        let components = ["--component", "miri,rust-src", "--no-self-update"];
        steps.push((
            "install nightly Rust with miri (tests on a 32-bit big-endian target) for fuzzing"
                .into(),
            command("rustup", [&arguments[..], &components[..]].concat()),
        ));
    }
    if !exists("cargo-fuzz") {
        let arguments = ["install", "--locked", "cargo-fuzz", "--version", "0.13.2"];
        steps.push((
            "install cargo-fuzz (drives the fuzz targets)".into(),
            cargo(None, &arguments),
        ));
    }
}
