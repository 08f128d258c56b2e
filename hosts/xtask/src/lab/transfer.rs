//! A transfer of numbered messages between peers with two paths, of which one is cut.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use rserpool_core::association::Ppid;
use rserpool_core::sctp::Config;

use super::association::{Association, Happening};
use super::guest::Program;

/// What a cut came to, counted from when it was begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failover {
    /// The first that went through after it, counted from the last before it.
    pub(crate) first: Option<Duration>,
    /// The longest time without any progress.
    pub(crate) longest: Duration,
    /// The sender has given the path up.
    pub(crate) down: Option<Duration>,
    /// The sender uses it again; counted from when the path was whole again.
    pub(crate) back: Option<Duration>,
    /// How many messages have arrived.
    pub(crate) count: u32,
}

impl std::fmt::Display for Failover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |span: Option<Duration>| match span {
            Some(span) => format!("{:.2} s", span.as_secs_f64()),
            None => "-".into(),
        };
        write!(
            f,
            "first message after {}, longest stall {}, path given up after {}, back after {}",
            seconds(self.first),
            seconds(Some(self.longest)),
            seconds(self.down),
            seconds(self.back),
        )
    }
}

/// The parameters of a side: those of RFC 9260 §16, or for a fast failover.
pub(crate) fn config(is_tuned: bool) -> Config {
    let mut config = Config::DEFAULT;
    if is_tuned {
        config.rto_initial = Duration::from_millis(200);
        config.rto_min = Duration::from_millis(100);
        config.rto_max = Duration::from_millis(400);
        config.path_retransmissions_max = 2;
        config.heartbeat_interval = Some(Duration::from_secs(1));
    }
    config
}

/// Message `number` of a transfer.
pub(crate) fn message(number: u32) -> Vec<u8> {
    number.to_be_bytes().repeat(MESSAGE_LEN / 4)
}

/// Whether `bytes` is message `number`.
///
/// # Errors
///
/// If not.
pub(crate) fn check(number: u32, bytes: &[u8]) -> Result<()> {
    ensure!(bytes == message(number), "message {number} is not what was sent");
    Ok(())
}

/// How a case cuts and mends a path.
pub(crate) struct Cut<'a> {
    pub(crate) sever: &'a dyn Fn() -> Result<()>,
    pub(crate) mend: &'a dyn Fn() -> Result<()>,
    /// The peer's address at the end of the path.
    pub(crate) remote: IpAddr,
    /// How long the path may take to be given up, and to be used again.
    pub(crate) patience: Duration,
}

/// Sends messages, cuts the path in the middle, and goes on until the path is used again.
///
/// # Errors
///
/// If the transfer does not survive.
pub(crate) fn send(mut association: Association, cut: &Cut<'_>) -> Result<Failover> {
    let mut sender =
        Sender { association: &mut association, sent: 0, done: 0, progress_at: Instant::now() };
    ensure!(sender.association.active() == Some(cut.remote), "another path is used already");
    let mut failover = Failover::default();
    sender.run(BEFORE, |_| false)?;
    let cut_at = Instant::now();
    (cut.sever)()?;
    // What was on its way still comes.
    sender.run(STRAGGLE, |_| false)?;
    let mut look = |tick: &Tick| {
        if let Some(step) = tick.step {
            failover.longest = failover.longest.max(step);
            failover.first.get_or_insert(step);
        }
        tick.path == Some((cut.remote, false))
    };
    let is_down = sender.run(cut.patience, &mut look)?;
    ensure!(is_down, "the path is not given up in {} s", cut.patience.as_secs());
    let down = cut_at.elapsed();
    sender.run(AFTER, |tick| {
        look(tick);
        false
    })?;
    failover.down = Some(down);
    (cut.mend)()?;
    let mended_at = Instant::now();
    let is_back = sender.run(cut.patience, |tick| tick.active == Some(cut.remote))?;
    failover.back = is_back.then(|| mended_at.elapsed());
    sender.run(AFTER, |_| false)?;
    sender.finish()?;
    failover.count = sender.sent;
    association.shut_down()?;
    Ok(failover)
}

/// Takes what the guest's program sends, cuts the path in the middle, and goes on until the
/// program has sent all.
///
/// # Errors
///
/// If the transfer does not survive.
pub(crate) fn receive(
    mut association: Association,
    cut: &Cut<'_>,
    program: &Program,
) -> Result<Failover> {
    let mut receiver =
        Receiver { association: &mut association, count: 0, progress_at: Instant::now() };
    let mut failover = Failover::default();
    receiver.run(BEFORE, |_| false)?;
    let cut_time = now_ms()?;
    (cut.sever)()?;
    receiver.run(STRAGGLE, |_| false)?;
    let is_down = receiver.run(cut.patience, |step| {
        if let Some(step) = step {
            failover.longest = failover.longest.max(step);
            failover.first.get_or_insert(step);
        }
        said_at(program, "down").is_some()
    })?;
    ensure!(is_down, "the path is not given up in {} s", cut.patience.as_secs());
    failover.down = since(said_at(program, "down"), cut_time);
    receiver.run(AFTER, |_| false)?;
    (cut.mend)()?;
    let mended_time = now_ms()?;
    receiver.run(cut.patience, |_| said_at(program, "back").is_some())?;
    failover.back = since(said_at(program, "back"), mended_time);
    let is_over = receiver.run(cut.patience, |_| false)?;
    ensure!(is_over, "the transfer does not end");
    failover.count = receiver.count;
    let all = format!("{} messages sent", failover.count);
    program.await_text(&all, Duration::from_secs(5)).context("some are missing")?;
    Ok(failover)
}

/// When the program said that a path is in a state, in milliseconds since 1970.
fn said_at(program: &Program, state: &str) -> Option<u64> {
    let output = program.output();
    let word = format!(" {state} at ");
    output.lines().find_map(|line| line.split_once(&word)?.1.parse().ok())
}

fn since(end_ms: Option<u64>, begin_ms: u64) -> Option<Duration> {
    end_ms.map(|end_ms| Duration::from_millis(end_ms.saturating_sub(begin_ms)))
}

fn now_ms() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    Ok(u64::try_from(now)?)
}

struct Sender<'a> {
    association: &'a mut Association,
    sent: u32,
    /// How many of them are acknowledged.
    done: u32,
    progress_at: Instant,
}

/// What has happened meanwhile.
struct Tick {
    /// More is acknowledged; how long that took.
    step: Option<Duration>,
    path: Option<(IpAddr, bool)>,
    /// Which path is used.
    active: Option<IpAddr>,
}

impl Sender<'_> {
    /// Sends a message now and then, until `is_done` or time is over; whether it was done.
    fn run(&mut self, time: Duration, mut is_done: impl FnMut(&Tick) -> bool) -> Result<bool> {
        let end = Instant::now() + time;
        let mut due = Instant::now();
        while Instant::now() < end {
            if due <= Instant::now() {
                due += INTERVAL;
                let is_taken = self.association.send(Ppid(0), &message(self.sent))?;
                self.sent += u32::from(is_taken);
            }
            let wait = due.saturating_duration_since(Instant::now());
            let path = match self.association.next(wait)? {
                Some(Happening::Path(remote, is_reachable)) => Some((remote, is_reachable)),
                Some(Happening::Down(reason)) => bail!("the association ended: {reason}"),
                _ => None,
            };
            let tick = Tick { step: self.step(), path, active: self.association.active() };
            if is_done(&tick) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How long the acknowledgement took that has come since the last time.
    fn step(&mut self) -> Option<Duration> {
        let done = self.sent.saturating_sub(self.association.outstanding_count());
        if done <= self.done {
            return None;
        }
        self.done = done;
        let step = self.progress_at.elapsed();
        self.progress_at = Instant::now();
        Some(step)
    }

    fn finish(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.association.outstanding_count() > 0 {
            ensure!(Instant::now() < end, "not all is acknowledged");
            self.association.next(INTERVAL)?;
        }
        Ok(())
    }
}

struct Receiver<'a> {
    association: &'a mut Association,
    count: u32,
    progress_at: Instant,
}

impl Receiver<'_> {
    /// Takes messages until `is_done`, time is over, or the peer has shut the association down;
    /// false if time is over. `is_done` is told how long a message took to come.
    fn run(
        &mut self,
        time: Duration,
        mut is_done: impl FnMut(Option<Duration>) -> bool,
    ) -> Result<bool> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let step = match self.association.next(INTERVAL)? {
                Some(Happening::Message(_, bytes)) => {
                    check(self.count, &bytes)?;
                    self.count += 1;
                    let step = self.progress_at.elapsed();
                    self.progress_at = Instant::now();
                    Some(step)
                }
                Some(Happening::Down(reason)) if reason == "Shutdown" => return Ok(true),
                Some(Happening::Down(reason)) => bail!("the association ended: {reason}"),
                _ => None,
            };
            if is_done(step) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How often a message is sent.
pub(crate) const INTERVAL: Duration = Duration::from_millis(10);

pub(crate) const MESSAGE_LEN: usize = 1_000;

/// How long a transfer goes on before and after the cut.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_millis(500);

/// How long packets may be on their way; less than the least timeout.
const STRAGGLE: Duration = Duration::from_millis(50);

const PATIENCE: Duration = Duration::from_secs(20);
