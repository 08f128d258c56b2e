//! The job runner against workers, in virtual time.

use std::time::Duration;

use rserpool::job::{
    Event, FractalJob, FractalView, Job, JobError, LossReason, MonteCarloJob, RunnerConfig,
    ShaPrefixJob, SyntheticJob, compute_locally,
};
use rserpool_core::compute::kernels::Integrand;
use rserpool_tests::compute_pool::{ComputePool, ElementPlan, Fate, Report, Troubles};

const TROUBLES: Troubles = Troubles {
    interval: Duration::from_millis(400),
    until: Duration::from_secs(60),
    corrupt_one_in: 10,
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn plan(speed: u32, fate: Fate) -> ElementPlan {
    ElementPlan { speed, fate }
}

fn lives(speed: u32) -> ElementPlan {
    plan(speed, Fate::Lives)
}

fn picture() -> FractalJob {
    let view =
        FractalView { width: 160, height: 90, iterations_max: 300, ..FractalView::default() };
    FractalJob::new(view, 32, 18)
}

fn computed<J: Job>(mut job: J) -> J {
    compute_locally(&mut job).unwrap();
    job
}

fn run<J: Job>(seed: u64, job: J, plans: &[ElementPlan], troubles: Troubles) -> Report<J> {
    let mut config = RunnerConfig::default();
    if troubles.interval > Duration::ZERO {
        // So many deaths are in the plan that some package would seem to be their cause.
        config.deaths_max = 1_000;
    }
    ComputePool::new(seed, job, config, plans, troubles).run()
}

fn count(report: &Report<impl Job>, which: fn(&Event) -> bool) -> usize {
    report.events.iter().filter(|(_, event)| which(event)).count()
}

#[test]
fn a_picture_from_three_elements_equals_the_local_one() {
    let report = run(1, picture(), &[lives(50_000), lives(50_000), lives(20_000)], Troubles::NONE);
    assert_eq!(report.result, Ok(()));
    assert_eq!(report.done.len(), 25);
    assert_eq!(report.job.pixels(), computed(picture()).pixels());
    let elements: std::collections::BTreeSet<_> = report.done.iter().map(|it| it.1).collect();
    assert_eq!(elements.len(), 3, "every element has its share");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let plans = [lives(50_000), lives(30_000), lives(20_000)];
    let trace = |seed| run(seed, picture(), &plans, TROUBLES).trace;
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn packages_of_a_dead_element_continue_from_their_cookies() {
    let job = SyntheticJob::new(6_000_000, 1_000_000);
    let plans = [lives(500), plan(500, Fate::Dies(millis(1_800)))];
    let report = run(2, job.clone(), &plans, Troubles::NONE);
    assert_eq!(report.result, Ok(()));
    assert_eq!(report.job.sum(), computed(job).sum());
    assert_eq!(report.statistics.elements_lost, 1);
    assert_eq!(report.statistics.resumed_count, 1, "the one that was being computed");
    let saved = report.events.iter().find_map(|(_, event)| match event {
        Event::Resumed { done, .. } => Some(*done),
        _ => None,
    });
    // Cookies come every half second, that is, every 250,000 calculations.
    assert!(saved.is_some_and(|done| done >= 500_000), "{saved:?}");
    assert!(report.statistics.units_lost < 300_000);
}

#[test]
fn a_frozen_element_is_noticed_within_three_seconds() {
    let job = SyntheticJob::new(8_000_000, 500_000);
    let plans = [lives(500), plan(500, Fate::Freezes(secs(2)))];
    let report = run(3, job.clone(), &plans, Troubles::NONE);
    assert_eq!(report.result, Ok(()));
    assert_eq!(report.job.sum(), computed(job).sum());
    let lost = report.events.iter().find_map(|(at, event)| match event {
        Event::ElementLost { reason: LossReason::Silent, .. } => Some(at.as_micros()),
        _ => None,
    });
    // The pool starts at 1 s; the element freezes 2 s later.
    let frozen_at = 3_000_000;
    assert!(lost.is_some_and(|at| (frozen_at + 2_000_000..=frozen_at + 3_000_000).contains(&at)));
    assert!(count(&report, |it| matches!(it, Event::Unreachable { .. })) >= 1);
}

#[test]
fn an_element_that_leaves_hands_on_its_packages() {
    let job = SyntheticJob::new(6_000_000, 1_000_000);
    let plans = [lives(500), plan(500, Fate::Leaves(millis(1_300)))];
    let report = run(4, job.clone(), &plans, Troubles::NONE);
    assert_eq!(report.result, Ok(()));
    assert_eq!(report.job.sum(), computed(job).sum());
    assert!(count(&report, |it| matches!(it, Event::Returned { .. })) >= 1);
    assert!(report.statistics.units_lost < 10_000, "{:?}", report.statistics);
}

#[test]
fn newcomers_are_found() {
    let job = SyntheticJob::new(20_000_000, 500_000);
    let plans = [lives(500), lives(500), plan(5_000, Fate::Arrives(secs(4)))];
    let report = run(5, job, &plans, Troubles::NONE);
    assert_eq!(report.result, Ok(()));
    let by_newcomer = report.done.iter().filter(|(_, element)| element.0 > 3).count();
    assert!(by_newcomer > 10, "{by_newcomer}");
}

#[test]
fn a_straggler_is_doubled_and_the_first_result_wins() {
    let job = SyntheticJob::new(2_000_000, 200_000);
    let plans = [lives(2_000), lives(10)];
    let report = run(6, job.clone(), &plans, Troubles::NONE);
    assert_eq!(report.result, Ok(()));
    assert_eq!(report.job.sum(), computed(job).sum());
    assert!(report.statistics.duplicates_won >= 1);
    let took = report.finished_at.as_micros() - 1_000_000;
    // Alone, the slow one would take 20 s for each of its packages.
    assert!(took < 6_000_000, "{took} us");
}

#[test]
fn a_deadline_ends_the_job() {
    let mut config = RunnerConfig::default();
    config.deadline = Some(secs(2));
    let job = SyntheticJob::new(100_000_000, 1_000_000);
    let report = ComputePool::new(7, job, config, &[lives(500)], Troubles::NONE).run();
    assert!(matches!(report.result, Err(JobError::Deadline { all: 100, .. })));
    assert_eq!(report.finished_at.as_micros(), 3_000_000);
}

#[test]
fn a_cancelled_job_ends_at_once() {
    let job = SyntheticJob::new(100_000_000, 1_000_000);
    let plans = [lives(500), plan(500, Fate::Freezes(millis(500)))];
    let mut pool = ComputePool::new(8, job, RunnerConfig::default(), &plans, Troubles::NONE);
    pool.run_for(millis(800));
    assert_eq!(pool.run().result, Err(JobError::Cancelled));
}

#[test]
fn an_empty_pool_is_given_up_after_a_while() {
    let report = run(9, picture(), &[], Troubles::NONE);
    assert_eq!(report.result, Err(JobError::NoElements { waited: secs(30) }));
}

#[test]
fn a_job_without_packages_is_done() {
    let report = run(10, SyntheticJob::new(0, 1), &[], Troubles::NONE);
    assert_eq!(report.result, Ok(()));
}

/// A job whose sixth package asks for something that no kernel can do.
struct Poisoned(SyntheticJob);

impl Job for Poisoned {
    fn kernel(&self) -> rserpool_core::compute::KernelId {
        self.0.kernel()
    }

    fn package_count(&self) -> u32 {
        self.0.package_count()
    }

    fn output_len(&self, package: rserpool_core::compute::PackageId) -> u64 {
        self.0.output_len(package)
    }

    fn parameters(
        &self,
        package: rserpool_core::compute::PackageId,
        block: &mut [u8; rserpool_core::compute::PARAMETER_LEN_MAX],
    ) -> usize {
        if package.0 == 5 { 0 } else { self.0.parameters(package, block) }
    }

    fn accept(
        &mut self,
        package: rserpool_core::compute::PackageId,
        output: &[u8],
    ) -> Result<rserpool::job::Verdict, rserpool::job::BadOutput> {
        self.0.accept(package, output)
    }
}

#[test]
fn a_poisonous_package_fails_the_job_and_is_named() {
    for element_count in 1..5 {
        let job = Poisoned(SyntheticJob::new(2_000_000, 100_000));
        let plans = vec![lives(500); element_count];
        let report = run(11, job, &plans, Troubles::NONE);
        let Err(JobError::Poisonous { package, elements }) = report.result else {
            panic!("{element_count}: {:?}", report.result)
        };
        assert_eq!((package.0, elements), (5, element_count.min(3)));
    }
}

#[test]
fn all_kinds_of_jobs_survive_all_kinds_of_troubles() {
    let plans = [lives(200), lives(200), lives(150), lives(100)];
    let troubles = Troubles { interval: millis(150), ..TROUBLES };
    let picture_alone = computed(picture());
    let monte_carlo = MonteCarloJob::new(Integrand::Ball { dimensions: 3 }, 5, 200_000, 10_000);
    let monte_carlo_alone = computed(monte_carlo.clone());
    let search = ShaPrefixJob::new(b"pool", 10, 1 << 16, 256).unwrap();
    let search_alone = computed(search.clone());
    let (mut resumed, mut duplicated, mut lost) = (0, 0, 0);
    for seed in 0..30 {
        let report = run(seed, picture(), &plans, troubles);
        assert_eq!(report.result, Ok(()), "seed {seed}");
        assert_eq!(report.done.len(), 25, "seed {seed}");
        assert_eq!(report.job.pixels(), picture_alone.pixels(), "seed {seed}");
        resumed += report.statistics.resumed_count;
        duplicated += report.statistics.duplicated_count;
        lost += report.statistics.elements_lost;

        let report = run(seed, monte_carlo.clone(), &plans, troubles);
        assert_eq!(report.result, Ok(()), "seed {seed}");
        assert_eq!(report.job.sum(), monte_carlo_alone.sum(), "seed {seed}");

        let report = run(seed, search.clone(), &plans, troubles);
        assert_eq!(report.result, Ok(()), "seed {seed}");
        assert_eq!(report.job.found(), search_alone.found(), "seed {seed}");
    }
    assert!(duplicated > 10 && lost > 60, "{resumed} {duplicated} {lost}");
}

#[test]
fn long_packages_survive_a_pool_in_turmoil() {
    // A package takes seconds and elements fall over all the time.
    let job = SyntheticJob::new(1_500_000, 93_750);
    let alone = computed(job.clone());
    let plans = [lives(50), lives(50), lives(40), lives(30)];
    let mut resumed = 0;
    for seed in 100..150 {
        let report = run(seed, job.clone(), &plans, TROUBLES);
        assert_eq!(report.result, Ok(()), "seed {seed}");
        assert_eq!(report.done.len(), 16, "seed {seed}");
        assert_eq!(report.job.sum(), alone.sum(), "seed {seed}");
        resumed += report.statistics.resumed_count;
    }
    assert!(resumed > 50, "{resumed}");
}
