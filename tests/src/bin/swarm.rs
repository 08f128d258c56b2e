//! Runs the scopes of a range of seeds: `cargo xtask swarm` builds it and passes its arguments on.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rserpool_tests::swarm::{self, range};

const USAGE: &str = "swarm --seeds N [--from SEED] [--jobs J] [--violations N] [--trace]";

/// How often progress is shown.
const SHOW_INTERVAL: Duration = Duration::from_secs(10);

struct Options {
    seeds: u64,
    from: u64,
    jobs: u64,
    violations: u64,
    is_traced: bool,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: {USAGE}");
        return ExitCode::FAILURE;
    };
    if options.is_traced {
        for seed in options.from..options.from + options.seeds {
            let report = swarm::run(seed, true);
            println!("seed {seed}: digest {:#018x}\n{:#?}", report.digest, report.counts.0);
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let shown_at = Mutex::new(start);
    let outcome = range::run(
        options.from,
        options.seeds,
        options.jobs as usize,
        options.violations,
        |progress| {
            let mut shown_at = shown_at.lock().expect("nobody panics with it");
            if shown_at.elapsed() < SHOW_INTERVAL {
                return;
            }
            *shown_at = Instant::now();
            let (runs, violations) = progress.counts();
            let rate = runs as f64 / start.elapsed().as_secs_f64();
            let all = options.seeds;
            eprintln!("{runs} of {all} seeds, {violations} violations, {rate:.1} seeds a second");
        },
        |violation| {
            println!("seed {}: {}", violation.seed, violation.text);
            println!("    {}", swarm::replay_command(violation.seed));
        },
    );
    print_outcome(&outcome, start.elapsed());
    match outcome.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn options() -> Option<Options> {
    let mut options = Options { seeds: 100, from: 1, jobs: 1, violations: 20, is_traced: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let place = match &*argument {
            "--seeds" => &mut options.seeds,
            "--from" => &mut options.from,
            "--jobs" => &mut options.jobs,
            "--violations" => &mut options.violations,
            "--trace" => {
                options.is_traced = true;
                continue;
            }
            _ => return None,
        };
        *place = arguments.next()?.parse().ok()?;
    }
    Some(options)
}

fn print_outcome(outcome: &range::Outcome, took: Duration) {
    let counts: &BTreeMap<&str, u64> = &outcome.counts.0;
    for (what, count) in counts {
        println!("{count:>12}  {what}");
    }
    for violation in &outcome.violations {
        println!("{}", swarm::replay_command(violation.seed));
    }
    let rate = outcome.run_count as f64 / took.as_secs_f64();
    println!(
        "\n{} seeds in {:.1} s ({rate:.1} a second), {} violations",
        outcome.run_count,
        took.as_secs_f64(),
        outcome.violations.len()
    );
}
