//! `cargo xtask bench handlespace`: what operations on pools cost, as CSV, and beside RSPLIB's.
//!
//! The workload is the child program `bench-handlespace` of the tests package. It runs once for
//! CPU time and, where that takes seconds and not hours, once under callgrind for instructions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// The policies that RSPLIB was measured with.
const POLICIES: [&str; 6] = [
    "RoundRobin",
    "WeightedRoundRobin",
    "Random",
    "WeightedRandom",
    "LeastUsed",
    "LeastUsedDegradation",
];

/// The most elements of a run under callgrind, which is some fifty times slower.
const COUNTED_ELEMENTS_MAX: usize = 100_000;
const COUNTED_ELEMENTS_MAX_QUICK: usize = 10_000;

/// RSPLIB's instructions per operation with 10,000 elements, in one pool and in 1,000 (librsphsmgt
/// 3.5.10, gcc -O2, callgrind), in the order of [`POLICIES`].
const RSPLIB: [(&str, [u64; 6], [u64; 6]); 6] = [
    ("register", [3343, 3542, 3032, 3039, 3050, 3217], [2869, 2933, 2860, 2867, 2880, 2939]),
    ("rereg-same", [1410, 1416, 1422, 1428, 1446, 2372], [1609, 1615, 1621, 1627, 1645, 2014]),
    ("rereg-new", [2505, 2695, 2156, 2163, 2189, 2370], [1935, 1967, 1909, 1916, 1940, 2012]),
    ("resolve-1", [1331, 1292, 1349, 1346, 830, 1284], [961, 977, 1217, 1214, 860, 931]),
    ("resolve-3", [1383, 1217, 3653, 3633, 882, 1395], [987, 987, 2472, 2453, 883, 976]),
    ("deregister", [2192, 2294, 2245, 2242, 2263, 2272], [2160, 2164, 2157, 2157, 2164, 2164]),
];

/// Runs the benchmark; if quick, up to 10,000 elements.
///
/// Returns failure if it cannot run, or if an operation takes more than half of RSPLIB's
/// instructions.
pub(crate) fn run(is_quick: bool) -> ExitCode {
    match measure(is_quick) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Instructions per operation, by operation, policy and pools.
type Counts = BTreeMap<(String, &'static str, usize), f64>;

fn measure(is_quick: bool) -> Result<bool> {
    let child = build()?;
    let has_valgrind = process::exists("valgrind");
    let sizes: &[usize] =
        if is_quick { &[100, 1_000, 10_000] } else { &[100, 1_000, 10_000, 100_000, 1_000_000] };
    let counted_max = if is_quick { COUNTED_ELEMENTS_MAX_QUICK } else { COUNTED_ELEMENTS_MAX };
    let mut at_10_000 = Counts::new();
    println!("operation,policy,elements,pools,instructions,cpu_ns,bytes_per_element");
    for &elements in sizes {
        for pools in [1, 1_000] {
            if pools > 1 && elements < 1_000 {
                continue;
            }
            for policy in POLICIES {
                let run = Run { child: &child, policy, elements, pools };
                let counts = if !has_valgrind {
                    Err("not counted: no valgrind")
                } else if elements > counted_max {
                    Err("not counted: too long under callgrind")
                } else {
                    Ok(run.instructions()?)
                };
                run.print(&counts)?;
                if let (Ok(counts), 10_000) = (counts, elements) {
                    for (name, count) in counts {
                        at_10_000.insert((name, policy, pools), count);
                    }
                }
            }
        }
        if elements == 1_000_000 {
            let run = Run { child: &child, policy: "BTreeMap", elements, pools: 1 };
            run.print(&Err("not counted: too long under callgrind"))?;
        }
    }
    Ok(compare(&at_10_000))
}

fn build() -> Result<PathBuf> {
    let arguments =
        ["build", "--release", "--quiet", "-p", "rserpool-tests", "--bin", "bench-handlespace"];
    // Optimized as a release is that is meant to be fast: across crates.
    let mut cargo = process::cargo(None, &arguments);
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "fat").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    let status = cargo.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cannot build bench-handlespace: {status}");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| process::root().join("target"), PathBuf::from);
    Ok(target.join("release").join("bench-handlespace"))
}

struct Run<'a> {
    child: &'a Path,
    policy: &'static str,
    elements: usize,
    pools: usize,
}

/// A phase of the child's run.
struct Phase {
    name: String,
    operations: u64,
    nanoseconds: u64,
}

impl Run<'_> {
    fn arguments(&self, rounds: usize) -> [String; 4] {
        let Self { policy, elements, pools, .. } = self;
        [policy.to_string(), elements.to_string(), pools.to_string(), rounds.to_string()]
    }

    /// Runs the child, possibly under another program; its phases and bytes per element.
    fn phases(&self, command: &mut Command, rounds: usize) -> Result<(Vec<Phase>, String)> {
        command.args(self.arguments(rounds)).stderr(Stdio::piped());
        let output = command.output().context("cannot start bench-handlespace")?;
        if !output.status.success() {
            bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let (mut phases, mut bytes) = (Vec::new(), String::new());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            match line.split(',').collect::<Vec<_>>()[..] {
                [name, operations, nanoseconds] => phases.push(Phase {
                    name: name.to_owned(),
                    operations: operations.parse()?,
                    nanoseconds: nanoseconds.parse()?,
                }),
                [_, count] => bytes = count.to_owned(),
                _ => bail!("bench-handlespace says `{line}`"),
            }
        }
        Ok((phases, bytes))
    }

    fn instructions(&self) -> Result<Vec<(String, f64)>> {
        let directory = self.child.with_file_name("bench-handlespace.callgrind");
        std::fs::create_dir_all(&directory)?;
        let out = directory.join("out");
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--tool=callgrind", "--collect-atstart=no"])
            .arg("--toggle-collect=bench_handlespace::measured")
            .arg("--dump-after=bench_handlespace::measured")
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(self.child);
        let (phases, _) = self.phases(&mut valgrind, 1)?;
        let mut counts = Vec::new();
        for (number, phase) in phases.into_iter().enumerate() {
            // Each return from `measured` makes a file, numbered from 1.
            let path = out.with_extension((number + 1).to_string());
            let text = std::fs::read_to_string(&path).with_context(|| format!("{path:?}"))?;
            let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
            let total: f64 = total.context("callgrind wrote no totals")?.trim().parse()?;
            counts.push((phase.name, total / phase.operations as f64));
        }
        std::fs::remove_dir_all(&directory)?;
        Ok(counts)
    }

    fn print(&self, counts: &Result<Vec<(String, f64)>, &str>) -> Result<()> {
        let rounds = (100_000 / self.elements).clamp(1, 20);
        let (phases, bytes) = self.phases(&mut Command::new(self.child), rounds)?;
        for (at, Phase { name, operations, nanoseconds }) in phases.iter().enumerate() {
            let count = match counts {
                Ok(counts) => format!("{:.0}", counts[at].1),
                Err(why) => (*why).to_owned(),
            };
            let each = *nanoseconds as f64 / *operations as f64;
            let Self { policy, elements, pools, .. } = self;
            println!("{name},{policy},{elements},{pools},{count},{each:.1},{bytes}");
        }
        Ok(())
    }
}

/// Prints our instructions in percent of RSPLIB's; whether none is above half.
fn compare(counts: &Counts) -> bool {
    if counts.is_empty() {
        eprintln!("nothing to compare with RSPLIB: no instructions were counted");
        return true;
    }
    let mut is_within = true;
    eprintln!("\ninstructions at 10,000 elements in 1 pool (in 1,000 pools), % of RSPLIB's:");
    eprint!("{:17}", "");
    for policy in POLICIES {
        eprint!("{policy:>22}");
    }
    eprintln!();
    for (name, in_one, in_thousand) in RSPLIB {
        eprint!("{name:17}");
        for (at, policy) in POLICIES.into_iter().enumerate() {
            let percent = |pools, theirs: u64| {
                let ours = counts.get(&(name.to_owned(), policy, pools));
                ours.map_or(f64::INFINITY, |ours| ours * 100.0 / theirs as f64)
            };
            let (one, thousand) = (percent(1, in_one[at]), percent(1_000, in_thousand[at]));
            is_within &= one <= 50.0 && thousand <= 50.0;
            eprint!("{:>22}", format!("{one:.0} ({thousand:.0})"));
        }
        eprintln!();
    }
    let verdict = if is_within { "met" } else { "MISSED" };
    eprintln!("bar, at most 50 %: {verdict}");
    is_within
}
