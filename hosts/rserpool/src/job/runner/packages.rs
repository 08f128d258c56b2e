//! The packages of a job: which wait, which are in work, and what happened to them.

use std::collections::VecDeque;

use rserpool_core::compute::{PackageId, Progress};
use rserpool_core::identifier::PeId;
use rserpool_core::time::Instant;

use super::element::{Attempt, Mark};

/// How far ahead to look for a package that an element may have.
const LOOK_AHEAD: usize = 64;

/// What is known of a package besides its attempts.
#[derive(Debug, Default)]
struct Package {
    done: bool,
    /// How many elements have it.
    attempt_count: u8,
    trouble: Option<Box<Trouble>>,
}

/// What went wrong with a package, and what could be saved.
#[derive(Debug, Default)]
struct Trouble {
    /// Where it failed, each time counted.
    failures: Vec<PeId>,
    /// Who died while computing it.
    deaths: Vec<PeId>,
    /// How far it was at the last of them.
    deaths_done: u64,
    rescued: Option<Rescued>,
    lost_by: Option<(PeId, Instant)>,
}

/// What is left of a lost attempt.
#[derive(Debug)]
struct Rescued {
    mark: Mark,
    output: Vec<u8>,
}

/// All packages of a job.
#[derive(Debug)]
pub(super) struct Packages {
    packages: Vec<Package>,
    /// Came back; goes first.
    returned: VecDeque<PackageId>,
    /// Those from here on were never given away.
    fresh: u32,
    done_count: u32,
}

impl Packages {
    pub(super) fn new(count: u32) -> Self {
        let packages = (0..count).map(|_| Package::default()).collect();
        Self { packages, returned: VecDeque::new(), fresh: 0, done_count: 0 }
    }

    pub(super) fn count(&self) -> u32 {
        self.packages.len() as u32
    }

    pub(super) fn done_count(&self) -> u32 {
        self.done_count
    }

    pub(super) fn is_complete(&self) -> bool {
        self.done_count == self.count()
    }

    pub(super) fn any_waiting(&self) -> bool {
        !self.returned.is_empty() || self.fresh < self.count()
    }

    pub(super) fn attempt_count(&self, package: PackageId) -> u8 {
        self.packages.get(package.0 as usize).map_or(0, |package| package.attempt_count)
    }

    /// Whether it failed at this element before.
    pub(super) fn failed_at(&self, package: PackageId, element: PeId) -> bool {
        let trouble = self.packages.get(package.0 as usize).and_then(|it| it.trouble.as_ref());
        trouble.is_some_and(|trouble| trouble.failures.contains(&element))
    }

    /// The next package for an element: one that came back, else a fresh one. One that failed
    /// here before only if it failed at all the `usable` elements.
    pub(super) fn next_for(&mut self, element: PeId, usable: &[PeId]) -> Option<PackageId> {
        for index in 0..self.returned.len().min(LOOK_AHEAD) {
            let package = self.returned[index];
            let fits = !self.failed_at(package, element)
                || usable.iter().all(|&other| self.failed_at(package, other));
            if fits {
                return self.returned.remove(index);
            }
        }
        let fresh = PackageId(self.fresh);
        (fresh.0 < self.count()).then(|| {
            self.fresh += 1;
            fresh
        })
    }

    /// Begins an attempt from what was rescued of earlier ones.
    pub(super) fn attempt(&mut self, package: PackageId, now: Instant) -> Attempt {
        let mut attempt = Attempt::new(package, now);
        let Some(package) = self.packages.get_mut(package.0 as usize) else { return attempt };
        package.attempt_count += 1;
        if let Some(trouble) = &mut package.trouble {
            attempt.lost_by = trouble.lost_by.take();
            if let Some(rescued) = trouble.rescued.take() {
                attempt.progress = rescued.mark.progress;
                attempt.mark = Some(rescued.mark);
                attempt.received = rescued.output;
            }
        }
        attempt
    }

    /// Begins a second attempt beside the `first`, from where that can be continued.
    pub(super) fn second_attempt(&mut self, first: &Attempt, now: Instant) -> Attempt {
        let mut attempt = Attempt::new(first.package, now);
        attempt.duplicate = true;
        if let Some(mark) = &first.mark {
            attempt.received = first.received[..mark.offset as usize].to_vec();
            attempt.progress = mark.progress;
            attempt.mark = Some(mark.clone());
        }
        if let Some(package) = self.packages.get_mut(first.package.0 as usize) {
            package.attempt_count += 1;
        }
        attempt
    }

    /// An attempt is over without a result. What it sent and can be continued from is kept if
    /// `keep`, and the package waits again if nobody else has it. Returns how far the rescued
    /// part goes.
    pub(super) fn end_attempt(&mut self, mut attempt: Attempt, keep: bool) -> Progress {
        let id = attempt.package;
        let Some(package) = self.packages.get_mut(id.0 as usize) else {
            return Progress::default();
        };
        package.attempt_count -= 1;
        if package.done || package.attempt_count > 0 {
            return attempt.progress;
        }
        self.returned.push_front(id);
        let trouble = package.trouble.get_or_insert_default();
        let Some(mark) = attempt.mark.take().filter(|_| keep) else {
            trouble.rescued = None;
            return Progress::default();
        };
        attempt.received.truncate(mark.offset as usize);
        let progress = mark.progress;
        trouble.rescued = Some(Rescued { mark, output: attempt.received });
        progress
    }

    /// Remembers who lost a package that waits now, and since when nothing was heard of it.
    pub(super) fn note_loss(&mut self, package: PackageId, element: PeId, since: Instant) {
        if let Some(package) = self.packages.get_mut(package.0 as usize)
            && !package.done
            && package.attempt_count == 0
        {
            package.trouble.get_or_insert_default().lost_by = Some((element, since));
        }
    }

    /// Counts a failure; returns on how many elements it failed, and how often in all.
    pub(super) fn note_failure(&mut self, package: PackageId, element: PeId) -> (usize, usize) {
        self.note(package, element, |trouble| &mut trouble.failures)
    }

    /// Counts a death of an element that computed this package from `done` on; returns how many
    /// have died since it last got on.
    pub(super) fn note_death(&mut self, package: PackageId, element: PeId, done: u64) -> usize {
        if let Some(package) = self.packages.get_mut(package.0 as usize) {
            let trouble = package.trouble.get_or_insert_default();
            if done > trouble.deaths_done {
                trouble.deaths_done = done;
                trouble.deaths.clear();
            }
        }
        self.note(package, element, |trouble| &mut trouble.deaths).0
    }

    fn note(
        &mut self,
        package: PackageId,
        element: PeId,
        list: fn(&mut Trouble) -> &mut Vec<PeId>,
    ) -> (usize, usize) {
        let Some(package) = self.packages.get_mut(package.0 as usize) else { return (0, 0) };
        let list = list(package.trouble.get_or_insert_default());
        list.push(element);
        let distinct = (0..list.len()).filter(|&at| !list[..at].contains(&list[at])).count();
        (distinct, list.len())
    }

    /// The package has its result; the caller ends its attempts.
    pub(super) fn complete(&mut self, package: PackageId) {
        if let Some(package) = self.packages.get_mut(package.0 as usize) {
            debug_assert!(!package.done, "a package is completed once");
            package.done = true;
            package.trouble = None;
            self.done_count += 1;
        }
    }
}
