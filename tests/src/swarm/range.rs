//! Many seeds, several at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Counts, Report, try_run};

/// A seed whose scope violated something.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// What the oracle says.
    pub text: String,
}

/// What came of a range of seeds.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How many scopes were run.
    pub run_count: u64,
    /// What has happened in all those that violated nothing.
    pub counts: Counts,
    /// All others, by seed.
    pub violations: Vec<Violation>,
}

/// How far a range is, for whoever shows progress.
#[derive(Debug, Default)]
pub struct Progress {
    run_count: AtomicU64,
    violation_count: AtomicU64,
}

impl Progress {
    /// How many scopes were run, and how many of them violated something.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.run_count), load(&self.violation_count))
    }
}

/// Runs the scopes of `count` seeds from `first` on, `jobs` at a time, shows how far it is every
/// now and then, and tells of each violation at once. After `violations_max` violations no more
/// are begun.
#[must_use]
pub fn run(
    first: u64,
    count: u64,
    jobs: usize,
    violations_max: u64,
    show: impl Fn(&Progress),
    tell: impl Fn(&Violation) + Sync,
) -> Outcome {
    let (next, progress) = (AtomicU64::new(0), Progress::default());
    let total = Mutex::new(Outcome::default());
    let work = || {
        let mut mine = Outcome::default();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count || progress.counts().1 >= violations_max {
                break;
            }
            mine.run_count += 1;
            match try_run(first + place) {
                Ok(Report { counts, .. }) => mine.counts.merge(&counts),
                Err(text) => {
                    let violation = Violation { seed: first + place, text };
                    tell(&violation);
                    mine.violations.push(violation);
                    progress.violation_count.fetch_add(1, Ordering::Relaxed);
                }
            }
            progress.run_count.fetch_add(1, Ordering::Relaxed);
        }
        let mut total = total.lock().expect("nobody panics with it");
        total.run_count += mine.run_count;
        total.counts.merge(&mine.counts);
        total.violations.extend(mine.violations);
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
            show(&progress);
        }
    });
    let mut total = total.into_inner().expect("nobody panics with it");
    total.violations.sort_by_key(|violation| violation.seed);
    total
}
