//! `rsp run`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rserpool::job::{
    FractalJob, FractalView, Job, JobError, MonteCarloJob, RunnerConfig, ShaPrefixJob,
    SyntheticJob,
};
use rserpool::transport::Transport;
use rserpool::{JobHandle, JobOutcome, JobSnapshot, PoolUser, PoolUserConfig, ResolveError};
use rserpool_core::compute::kernels::{FractalKind, Integrand};
use serde_json::{Value, json};

use crate::cli::{JobChoice, RunOptions, ScopeOptions};
use crate::failure::Failure;
use crate::picture::{Palette, check_writable, write_png};
use crate::resolve::await_pool;
use crate::scope::{
    CLOSE_PATIENCE, POOL_DEFAULT, Registrars, no_registrar, pool_handle, profile, registrars,
    reports, resolve_failure, start_failure, stop_signal,
};
use crate::transport::to_connect;
use crate::values::{Point, Size};
use crate::view::{JobView, json_of};

/// Runs a job on a pool and prints what came of it.
pub(crate) async fn run(
    scope: ScopeOptions,
    said: RunOptions,
    file: RunOptions,
) -> Result<(), Failure> {
    let job = said.job.or(file.job).unwrap_or_default();
    // The file may well hold something for every job.
    check_flags(job, &said)?;
    let options = said.or(file);
    check_silence(&options)?;
    check_amounts(&options)?;
    match job {
        JobChoice::Fractal => fractal(scope, options).await,
        JobChoice::Montecarlo => monte_carlo(scope, options).await,
        JobChoice::ShaPrefix => sha_prefix(scope, options).await,
        JobChoice::Load => load(scope, options).await,
    }
}

async fn fractal(scope: ScopeOptions, options: RunOptions) -> Result<(), Failure> {
    let size = options.size.unwrap_or(SIZE_DEFAULT);
    let center = options.center.unwrap_or(CENTER_DEFAULT);
    let kind = match options.julia {
        Some(Point { re, im }) => FractalKind::Julia { re, im },
        None => FractalKind::Mandelbrot,
    };
    let view = FractalView {
        kind,
        width: size.width,
        height: size.height,
        center: (center.re, center.im),
        span: checked_span(options.span.unwrap_or(SPAN_DEFAULT))?,
        iterations_max: checked_iterations(options.iterations.unwrap_or(ITERATIONS_DEFAULT))?,
    };
    let out = options.out.clone().unwrap_or_else(|| PathBuf::from("mandelbrot.png"));
    check_writable(&out)?;
    let done = compute(&scope, &options, fractal_job(view, options.packages)).await?;
    let palette = Palette::for_pixels(done.job.pixels(), view.iterations_max);
    write_png(&out, size, &palette.paint(done.job.pixels()))?;
    let result = json!({ "picture": out.display().to_string() });
    done.print(&options, &format!("picture     {}, {size} pixels", out.display()), result);
    Ok(())
}

async fn monte_carlo(scope: ScopeOptions, options: RunOptions) -> Result<(), Failure> {
    let samples = options.samples.unwrap_or(SAMPLES_DEFAULT);
    let seed = options.seed.unwrap_or(1);
    let package_len = package_len(samples, options.packages);
    let ball = Integrand::Ball { dimensions: 2 };
    let job = MonteCarloJob::new(ball, seed, samples, package_len);
    let done = compute(&scope, &options, job).await?;
    let (share, error) = done.job.estimate();
    let (pi, pi_error) = (4.0 * share, 4.0 * error);
    let result = json!({ "pi": pi, "standard_error": pi_error, "samples": done.job.sum().count });
    done.print(&options, &format!("pi          {pi:.8} +- {pi_error:.8}"), result);
    Ok(())
}

async fn sha_prefix(scope: ScopeOptions, options: RunOptions) -> Result<(), Failure> {
    let text = options.text.clone().unwrap_or_else(|| "RSerPool".into());
    let bits = options.bits.unwrap_or(BITS_DEFAULT);
    if bits > BITS_MAX {
        return Err(Failure::usage(format!(
            "--bits {bits}: nobody lives to see more than {BITS_MAX}"
        )));
    }
    // Enough nonces that one of them will do, but for one case in a million of millions.
    let count = (1_u64 << bits).saturating_mul(28);
    let package_len =
        options.packages.map_or(SHA_PACKAGE_LEN, |packages| package_len(count, Some(packages)));
    let job = ShaPrefixJob::new(text.as_bytes(), bits, count, package_len)
        .ok_or_else(|| Failure::usage("--text is too long").hint("give at most 64 bytes"))?;
    let done = compute(&scope, &options, job).await?;
    let Some(found) = done.job.found() else {
        return Err(Failure::failed(format!("none of {count} numbers gives {bits} zero bits")));
    };
    let hash: String = found.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let result = json!({ "nonce": found.nonce, "hash": hash });
    done.print(&options, &format!("nonce       {} gives {hash}", found.nonce), result);
    Ok(())
}

async fn load(scope: ScopeOptions, options: RunOptions) -> Result<(), Failure> {
    let count = options.work.unwrap_or(WORK_DEFAULT);
    let job = SyntheticJob::new(count, package_len(count, options.packages));
    let done = compute(&scope, &options, job).await?;
    let result = json!({ "calculations": done.job.count(), "sum": done.job.sum() });
    done.print(&options, &format!("load        {} calculations", done.job.count()), result);
    Ok(())
}

/// A finished job.
struct Done<J> {
    job: J,
    last: JobSnapshot,
    elapsed: Duration,
    view: JobView,
}

impl<J> Done<J> {
    fn print(&self, options: &RunOptions, line: &str, result: Value) {
        if options.json {
            let mut summary = json_of(&self.last, self.elapsed);
            summary["result"] = result;
            say!("{summary}");
            return;
        }
        self.view.print_summary(&self.last);
        say!("time        {:.2} s", self.elapsed.as_secs_f64());
        say!("{line}");
    }
}

/// Lets the pool compute `job`.
async fn compute<J: Job + Send + 'static>(
    scope: &ScopeOptions,
    options: &RunOptions,
    job: J,
) -> Result<Done<J>, Failure> {
    let stopped = stop_signal(false)?;
    tokio::pin!(stopped);
    let pool = pool_handle(options.pool.as_deref().unwrap_or(POOL_DEFAULT))?;
    let registrars = registrars(scope).await?;
    let mut user_config = PoolUserConfig::new(registrars.configured.clone());
    user_config.announces.clone_from(&registrars.announces);
    user_config.profile = profile(scope);
    user_config.csp = reports(scope).await?;
    user_config.by_tcp = options.tcp;
    user_config.stale_cache = options.stale_cache.map_or(Duration::ZERO, |span| span.0);
    let mut transport_config = to_connect(scope)?;
    transport_config.receive_buffer_len = RECEIVE_BUFFER_LEN;
    let transport = Transport::start(transport_config);
    let started = PoolUser::start(&transport, user_config).await;
    let user = started.map_err(|error| start_failure(&error))?;
    let patience = options.patience.map_or(PATIENCE_DEFAULT, |span| span.0);
    let there = tokio::select! {
        there = await_pool(&user, pool, patience) => {
            there.map_err(|error| resolve_failure(error, &registrars))
        }
        () = &mut stopped => Err(interrupted()),
    };
    if let Err(failure) = there {
        user.end().await;
        return Err(failure);
    }
    let began = Instant::now();
    let config = runner_config(options);
    let started = JobHandle::start(&transport, user.clone(), pool, job, config).await;
    let mut handle = started.map_err(|error| start_failure(&error))?;
    let view = JobView::new("computing", false);
    let mut ticks = tokio::time::interval(TICK);
    let mut is_interrupted = false;
    loop {
        tokio::select! {
            event = handle.next_event() => match event {
                Some(event) => view.tell(&event),
                None => break,
            },
            _ = ticks.tick() => view.show(&handle.snapshot()),
            () = &mut stopped, if !is_interrupted => {
                is_interrupted = true;
                handle.cancel();
            }
        }
    }
    view.close();
    let elapsed = began.elapsed();
    let outcome = handle.finish().await;
    user.end().await;
    transport.close(CLOSE_PATIENCE).await;
    if is_interrupted && outcome.result.is_err() {
        return Err(interrupted());
    }
    let (job, last) = complete(outcome, &registrars)?;
    Ok(Done { job, last, elapsed, view })
}

/// What became of the job, as success or failure.
fn complete<J>(
    outcome: JobOutcome<J>,
    registrars: &Registrars,
) -> Result<(J, JobSnapshot), Failure> {
    let JobOutcome { job, result, last, resolve_error, .. } = outcome;
    match (result, resolve_error) {
        (Ok(()), _) => Ok((job, last)),
        (Err(JobError::NoElements { .. }), Some(ResolveError::NoRegistrar)) => {
            Err(no_registrar(registrars))
        }
        (Err(JobError::NoElements { .. }), Some(error @ ResolveError::UnknownPool(_))) => {
            Err(resolve_failure(error, registrars))
        }
        (Err(error), _) => Err(Failure::failed(format!("the job failed: {error}"))),
    }
}

fn interrupted() -> Failure {
    Failure::interrupted("interrupted: the job is cancelled")
}

fn runner_config(options: &RunOptions) -> RunnerConfig {
    let mut config = RunnerConfig::default();
    config.deadline = options.deadline.map(|span| span.0);
    if let Some(silence) = options.silence {
        config.silence_timeout = silence.0;
        config.ping_interval = config.ping_interval.min(silence.0 / 3);
    }
    config
}

/// A picture in tiles that are about square.
pub(crate) fn fractal_job(view: FractalView, packages: Option<u32>) -> FractalJob {
    let pixels = f64::from(view.width) * f64::from(view.height);
    let packages = f64::from(packages.unwrap_or(PACKAGES_DEFAULT).max(1));
    let side = (pixels / packages).sqrt().round().clamp(1.0, TILE_SIDE_MAX) as u32;
    FractalJob::new(view, side, side)
}

/// How many numbers make a package.
fn package_len(count: u64, packages: Option<u32>) -> u64 {
    count.div_ceil(u64::from(packages.unwrap_or(PACKAGES_DEFAULT).max(1))).max(1)
}

pub(crate) fn checked_span(span: f64) -> Result<f64, Failure> {
    match span > 0.0 && span <= 1_000.0 {
        true => Ok(span),
        false => Err(Failure::usage(format!(
            "--span {span}: a picture spans more than 0 and at most 1000"
        ))),
    }
}

pub(crate) fn checked_iterations(iterations: u32) -> Result<u32, Failure> {
    match iterations {
        1..=ITERATIONS_MAX => Ok(iterations),
        _ => {
            Err(Failure::usage(format!("--iterations {iterations}: choose 1 to {ITERATIONS_MAX}")))
        }
    }
}

/// Refuses a silence that even elements in good health do not keep.
fn check_silence(options: &RunOptions) -> Result<(), Failure> {
    match options.silence {
        Some(silence) if silence.0 < SILENCE_MIN => {
            Err(Failure::usage(format!("--silence {:?} would lose every element", silence.0))
                .hint("choose 200ms or more; a busy machine needs 1s"))
        }
        _ => Ok(()),
    }
}

/// Refuses jobs without anything to compute, and none in packages.
fn check_amounts(options: &RunOptions) -> Result<(), Failure> {
    let amounts = [
        ("--packages", options.packages.map(u64::from)),
        ("--samples", options.samples),
        ("--bits", options.bits.map(u64::from)),
        ("--work", options.work),
    ];
    match amounts.into_iter().find(|&(_, amount)| amount == Some(0)) {
        Some((flag, _)) => Err(Failure::usage(format!("{flag} 0: there is nothing to compute"))
            .hint(format!("choose 1 or more, or leave {flag} out"))),
        None => Ok(()),
    }
}

/// Refuses flags of other jobs, which would have no effect.
fn check_flags(job: JobChoice, options: &RunOptions) -> Result<(), Failure> {
    let flags = [
        ("--size", options.size.is_some(), JobChoice::Fractal),
        ("--iterations", options.iterations.is_some(), JobChoice::Fractal),
        ("--center", options.center.is_some(), JobChoice::Fractal),
        ("--span", options.span.is_some(), JobChoice::Fractal),
        ("--julia", options.julia.is_some(), JobChoice::Fractal),
        ("--out", options.out.is_some(), JobChoice::Fractal),
        ("--samples", options.samples.is_some(), JobChoice::Montecarlo),
        ("--seed", options.seed.is_some(), JobChoice::Montecarlo),
        ("--text", options.text.is_some(), JobChoice::ShaPrefix),
        ("--bits", options.bits.is_some(), JobChoice::ShaPrefix),
        ("--work", options.work.is_some(), JobChoice::Load),
    ];
    match flags.into_iter().find(|&(_, is_said, owner)| is_said && owner != job) {
        Some((flag, _, owner)) => {
            let name = |job: JobChoice| job.to_possible_value().map(|it| it.get_name().to_owned());
            let (owner, job) = (name(owner).unwrap_or_default(), name(job).unwrap_or_default());
            Err(Failure::usage(format!("{flag} belongs to the job {owner}, not to {job}"))
                .hint("name the job first, as in `rsp run montecarlo --samples 1000000`"))
        }
        None => Ok(()),
    }
}

const SIZE_DEFAULT: Size = Size { width: 1_920, height: 1_080 };
const CENTER_DEFAULT: Point = Point { re: -0.75, im: 0.0 };
const SPAN_DEFAULT: f64 = 4.0;
const ITERATIONS_DEFAULT: u32 = 2_000;
const SAMPLES_DEFAULT: u64 = 1_000_000_000;
const BITS_DEFAULT: u16 = 26;
const WORK_DEFAULT: u64 = 10_000_000_000;

/// The kernel counts iterations in 24 bits.
const ITERATIONS_MAX: u32 = 0x00ff_ffff;

/// 2^48 hashes are months of a whole pool.
const BITS_MAX: u16 = 48;

/// Nonces to a package: some seconds.
const SHA_PACKAGE_LEN: u64 = 1 << 22;

/// Packages of a job: enough that elements of different speed end at about the same time.
const PACKAGES_DEFAULT: u32 = 240;

/// An element that computes answers within some milliseconds, and the network takes as long.
const SILENCE_MIN: Duration = Duration::from_millis(200);

/// As large as a picture can be.
const TILE_SIDE_MAX: f64 = 16_384.0;

/// How long to wait for a first answer.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(15);

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Results are larger than requests.
const RECEIVE_BUFFER_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_of_another_job_is_refused() {
        let options = RunOptions { bits: Some(20), ..RunOptions::default() };
        assert!(check_flags(JobChoice::ShaPrefix, &options).is_ok());
        let refusal = check_flags(JobChoice::Fractal, &options).unwrap_err().to_string();
        assert!(refusal.contains("--bits"), "{refusal}");
    }

    #[test]
    fn a_picture_has_about_as_many_tiles_as_asked_for() {
        for packages in [1, 24, 240] {
            let job = fractal_job(FractalView::default(), Some(packages));
            let count = job.package_count();
            assert!(count >= packages / 2 && count <= packages * 2 + 8, "{packages}: {count}");
        }
    }
}
