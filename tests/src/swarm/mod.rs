//! Whole scopes drawn from a seed: registrars, elements and users under all kinds of trouble, then
//! without any, and what must hold all the time and in the end.
//!
//! - `plan`: what a seed draws: sizes, timers, weather;
//! - `world`: the scope, who is in it, and what is known of them for sure;
//! - `blows`: what is done to it while nothing is promised but safety;
//! - `oracles`: what must hold;
//! - `calm`: after all is healed: agreement, and blows one at a time whose outcome is promised;
//! - `range`: many seeds, several at a time.
//!
//! A violation is a panic; [`try_run`] makes a text of it. The same seed does the same, byte for
//! byte: [`Report::digest`].

mod blows;
mod calm;
mod oracles;
mod plan;
pub mod range;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rserpool_core::entropy::{Entropy, SplitMix64};

use world::World;

/// How often each kind of thing has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<&'static str, u64>);

impl Counts {
    fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (what, &count) in &other.0 {
            self.add(what, count);
        }
    }

    /// How often something happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// A run in which nothing was violated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// A hash of all inputs of all machines, and when they came.
    pub digest: u64,
    /// What has happened.
    pub counts: Counts,
}

/// Runs the scope of a seed, printing all that happens if wanted.
///
/// # Panics
///
/// If something is violated.
#[must_use]
pub fn run(seed: u64, is_printed: bool) -> Report {
    let mut world = World::new(seed, is_printed);
    world.trouble();
    world.heal();
    world.calm();
    world.end();
    Report { digest: world.scope.digest(), counts: world.counts }
}

/// Runs the scope of a seed, and says what is violated if anything is.
///
/// # Errors
///
/// What the violated oracle says, and where.
pub fn try_run(seed: u64) -> Result<Report, String> {
    let hook = |info: &std::panic::PanicHookInfo<'_>| {
        LAST_PANIC.with(|last| *last.borrow_mut() = info.to_string());
    };
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_RUNNING.with(|running| *running.borrow()) { hook(info) } else { before(info) }
        }));
    });
    IS_RUNNING.with(|running| *running.borrow_mut() = true);
    let result = catch_unwind(AssertUnwindSafe(|| run(seed, false)));
    IS_RUNNING.with(|running| *running.borrow_mut() = false);
    result.map_err(|_| LAST_PANIC.with(|last| last.borrow().clone()))
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static IS_RUNNING: RefCell<bool> = const { RefCell::new(false) };
}

/// The command that runs the scope of a seed again and prints all that happens.
#[must_use]
pub fn replay_command(seed: u64) -> String {
    format!("cargo xtask swarm --from {seed} --seeds 1 --trace")
}

/// Draws, as plans and blows need them.
#[derive(Debug)]
struct Draw(SplitMix64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed ^ 0x7377_6172_6d21_0001))
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0.below(end)
    }

    /// From `least` to `most`, both of them included.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True once in `count`.
    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn millis(&mut self, least: u64, most: u64) -> std::time::Duration {
        std::time::Duration::from_millis(self.between(least, most))
    }

    /// One of them, if there are any.
    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        match of.len() {
            0 => None,
            len => of.get(self.below(len as u64) as usize).copied(),
        }
    }
}
