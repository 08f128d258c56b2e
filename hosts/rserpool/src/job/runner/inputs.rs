//! What elements say, and how their associations come and go.

use std::collections::VecDeque;

use rserpool_core::association::{AssociationId, ConnectId, DownReason, Ppid};
use rserpool_core::compute::cookie::{Checkpoint, Control};
use rserpool_core::compute::{
    KernelIds, Limits, OutputDigest, PackageId, Progress, RejectReason, WorkId, WorkerMessage,
};
use rserpool_core::time::Instant;

use super::super::description::{Job, Verdict};
use super::element::{Link, Mark, Up};
use super::{Closing, Event, Farewell, JobRunner, LossReason, RunnerError, loss_of};

impl<J: Job> JobRunner<J> {
    pub(super) fn on_up(
        &mut self,
        now: Instant,
        association: AssociationId,
        connect: Option<ConnectId>,
    ) -> Result<(), RunnerError> {
        let wanted = |link: &Link| match link {
            Link::Connecting { connect: ours, .. } => Some(*ours) == connect,
            _ => false,
        };
        let Some(element) = self.elements.iter_mut().find(|it| wanted(&it.link)) else {
            // An attempt that was given up came true, or somebody called us.
            self.closing.push(Closing { association, owed: Farewell::Abort });
            return Ok(());
        };
        element.link = Link::Up(Up {
            association,
            window: None,
            widen_at: now,
            since: now,
            last_heard: now,
            last_pinged: now,
            owes_ping: false,
            cancels: VecDeque::new(),
        });
        element.unsuited = false;
        Ok(())
    }

    pub(super) fn on_connect_failed(
        &mut self,
        now: Instant,
        connect: ConnectId,
    ) -> Result<(), RunnerError> {
        let ours =
            |link: &Link| matches!(link, Link::Connecting { connect: it, .. } if *it == connect);
        if let Some(index) = self.elements.iter().position(|it| ours(&it.link)) {
            self.lose(now, index, LossReason::ConnectFailed);
        }
        Ok(())
    }

    pub(super) fn on_down(
        &mut self,
        now: Instant,
        association: AssociationId,
        reason: DownReason,
    ) -> Result<(), RunnerError> {
        if let Some(at) = self.closing.iter().position(|it| it.association == association) {
            self.closing.swap_remove(at);
            return Ok(());
        }
        let index = self.element_of(association)?;
        self.lose(now, index, loss_of(reason));
        Ok(())
    }

    pub(super) fn on_restarted(
        &mut self,
        now: Instant,
        association: AssociationId,
    ) -> Result<(), RunnerError> {
        if self.closing.iter().any(|it| it.association == association) {
            return Ok(());
        }
        let index = self.element_of(association)?;
        self.lose(now, index, LossReason::Restarted);
        if let Some(up) = self.elements[index].up_mut() {
            // It says Hello again.
            up.window = None;
            up.since = now;
            up.cancels.clear();
            up.last_heard = now;
        }
        Ok(())
    }

    pub(super) fn on_message(
        &mut self,
        now: Instant,
        association: AssociationId,
        ppid: Ppid,
        data: &[u8],
    ) -> Result<(), RunnerError> {
        if self.closing.iter().any(|it| it.association == association) {
            return Ok(());
        }
        let index = self.element_of(association)?;
        if let Some(up) = self.elements[index].up_mut() {
            up.last_heard = now;
        }
        match ppid {
            Ppid::COMPUTE => self.on_work_message(now, index, data),
            Ppid::ASAP => self.on_control_message(index, data),
            _ => Ok(()),
        }
    }

    fn element_of(&self, association: AssociationId) -> Result<usize, RunnerError> {
        let found = self.elements.iter().position(|element| element.has(association));
        found.ok_or(RunnerError::UnknownAssociation)
    }

    fn on_work_message(
        &mut self,
        now: Instant,
        index: usize,
        data: &[u8],
    ) -> Result<(), RunnerError> {
        match WorkerMessage::decode(data)? {
            WorkerMessage::Hello { limits, kernels } => self.on_hello(index, limits, kernels),
            WorkerMessage::Pong { .. } => {}
            WorkerMessage::Accept { work, offset, total } => {
                let Some(place) = self.attempt_of(index, work) else { return Ok(()) };
                self.on_accept(now, index, place, offset, total);
            }
            WorkerMessage::Reject { work, reason } => {
                let Some(place) = self.attempt_of(index, work) else { return Ok(()) };
                self.on_reject(now, index, place, reason);
            }
            WorkerMessage::Progress { work, done, all } => {
                let Some(place) = self.attempt_of(index, work) else { return Ok(()) };
                self.elements[index].attempts[place].progress = Progress { done, all };
            }
            WorkerMessage::Chunk { work, offset, bytes, .. } => {
                let Some(place) = self.attempt_of(index, work) else { return Ok(()) };
                return self.on_chunk(now, index, place, offset, bytes);
            }
            WorkerMessage::Done { work, total, digest } => {
                let Some(place) = self.attempt_of(index, work) else { return Ok(()) };
                self.on_done(now, index, place, total, digest);
            }
            WorkerMessage::Failed { work, .. } => {
                let Some(place) = self.attempt_of(index, work) else { return Ok(()) };
                self.fail(now, index, place, "the worker gave up");
            }
            _ => {}
        }
        Ok(())
    }

    /// The attempt that a message is about, if it still stands: what was cancelled, and what
    /// belongs to an earlier job, still speaks for a while.
    fn attempt_of(&self, index: usize, work: WorkId) -> Option<usize> {
        if work.job != self.nonce {
            return None;
        }
        let place = self.elements[index].attempt_at(work.package)?;
        (!self.elements[index].attempts[place].owed).then_some(place)
    }

    fn on_hello(&mut self, index: usize, limits: Limits, kernels: KernelIds<'_>) {
        let kernel = self.job.kernel();
        let window = self.config.window.min(limits.slot_count.into()).max(1);
        let element = &mut self.elements[index];
        element.unsuited = !kernels.contains(kernel) || limits.slot_count == 0;
        let suited = !element.unsuited;
        let id = element.id();
        let Some(up) = element.up_mut() else { return };
        let first = up.window.replace(window).is_none();
        if first && suited {
            self.tell(Event::ElementUp { element: id });
        }
    }

    fn on_accept(&mut self, now: Instant, index: usize, place: usize, offset: u64, total: u64) {
        let element = &mut self.elements[index];
        let attempt = &mut element.attempts[place];
        let package = attempt.package;
        let expected = (attempt.offset(), self.job.output_len(package));
        if attempt.accepted || (offset, total) != expected {
            self.cancel_at(index, place);
            self.fail(now, index, place, "it accepted something else");
            return;
        }
        attempt.accepted = true;
        let resumed = attempt.mark.as_ref().map(|mark| mark.progress);
        let lost_by = attempt.lost_by.take();
        element.trouble_count = 0;
        if place == 0 {
            element.head_since = now;
        }
        let to = element.id();
        let Some((from, since)) = lost_by else { return };
        self.statistics.failover_time += now.saturating_duration_since(since);
        match resumed {
            Some(Progress { done, all }) => {
                self.elements[index].statistics.resumed_count += 1;
                self.statistics.resumed_count += 1;
                self.tell(Event::Resumed { package, from, to, done, all });
            }
            None => {
                self.statistics.restarted_count += 1;
                self.tell(Event::Restarted { package, from, to });
            }
        }
    }

    fn on_reject(&mut self, now: Instant, index: usize, place: usize, reason: RejectReason) {
        let backoff = self.config.backoff;
        match reason {
            RejectReason::Stopping => {
                self.elements[index].unsuited = true;
                self.give_back(now, index, place, true, "the element is stopping");
            }
            RejectReason::UnknownKernel => {
                self.elements[index].unsuited = true;
                self.give_back(now, index, place, true, "the element lacks the kernel");
            }
            RejectReason::BadParameters => {
                self.fail(now, index, place, "the kernel refuses the parameters");
            }
            RejectReason::TooLarge => {
                self.fail(now, index, place, "the package exceeds the element's limits");
            }
            RejectReason::BadCookie => {
                // Whatever the cookie was worth, the next attempt begins from nothing.
                self.give_back(now, index, place, false, "the element refuses the cookie");
            }
            _ => {
                self.give_back(now, index, place, true, "the element is busy");
                let element = &mut self.elements[index];
                let held_count = element.attempts.len();
                if held_count == 0 {
                    element.back_off(now, backoff);
                }
                if let Some(up) = element.up_mut() {
                    // What it holds tells how many it can hold; another try later.
                    up.window = Some(held_count.max(1));
                    up.widen_at = now + backoff;
                }
            }
        }
    }

    fn on_chunk(
        &mut self,
        now: Instant,
        index: usize,
        place: usize,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), RunnerError> {
        let attempt = &mut self.elements[index].attempts[place];
        let room = self.job.output_len(attempt.package).saturating_sub(attempt.offset());
        if !attempt.accepted || offset != attempt.offset() || bytes.len() as u64 > room {
            self.cancel_at(index, place);
            self.fail(now, index, place, "a piece of output does not fit");
            return Err(RunnerError::Protocol);
        }
        attempt.received.extend_from_slice(bytes);
        attempt.settle();
        Ok(())
    }

    fn on_done(&mut self, now: Instant, index: usize, place: usize, total: u64, digest: u64) {
        let attempt = &self.elements[index].attempts[place];
        let package = attempt.package;
        let complete = total == attempt.offset() && total == self.job.output_len(package);
        let right = complete && OutputDigest::EMPTY.with(&attempt.received).0 == digest;
        let verdict =
            if right { self.job.accept(package, &attempt.received) } else { Ok(Verdict::More) };
        let (true, Ok(verdict)) = (right, verdict) else {
            self.statistics.wrong_output_count += 1;
            self.fail(now, index, place, "the output is wrong");
            return;
        };
        let element = &mut self.elements[index];
        let took = now.saturating_duration_since(element.head_since);
        let attempt = element.remove(place, now);
        let id = element.id();
        element.trouble_count = 0;
        element.statistics.package_count += 1;
        element.statistics.output_len += total;
        if place == 0 {
            let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 16);
            let smoothed = self.package_time_us.map_or(took, |usual| (usual * 7 + took) / 8);
            self.package_time_us = Some(smoothed);
        }
        self.statistics.duplicates_won += u64::from(attempt.duplicate);
        self.packages.complete(package);
        self.widen(now, index);
        self.end_other_attempts(now, package);
        self.tell(Event::PackageDone { package, element: id });
        if verdict == Verdict::Enough {
            self.finish(now, Ok(()));
        }
    }

    /// An element that delivers may have one more in flight, up to the configured window.
    fn widen(&mut self, now: Instant, index: usize) {
        let window_max = self.config.window;
        if let Some(up) = self.elements[index].up_mut()
            && up.widen_at <= now
        {
            up.window = up.window.map(|window| (window + 1).min(window_max));
        }
    }

    /// The result of a package has come: nobody else need compute it.
    fn end_other_attempts(&mut self, now: Instant, package: PackageId) {
        for index in 0..self.elements.len() {
            if let Some(place) = self.elements[index].attempt_at(package) {
                self.cancel_at(index, place);
                self.elements[index].remove(place, now);
            }
        }
    }

    /// Owes a Cancel for an attempt that was sent.
    fn cancel_at(&mut self, index: usize, place: usize) {
        let attempt = &self.elements[index].attempts[place];
        let (owed, work) = (attempt.owed, self.work(attempt.package));
        if let Some(up) = self.elements[index].up_mut().filter(|_| !owed) {
            up.cancels.push_back(work);
        }
    }

    fn on_control_message(&mut self, index: usize, data: &[u8]) -> Result<(), RunnerError> {
        let cookie = match Control::parse(data) {
            Some(Control::Cookie(cookie)) => cookie,
            Some(_) => return Ok(()),
            None => return Err(RunnerError::Control),
        };
        let checkpoint = Checkpoint::peek(cookie).ok_or(RunnerError::Control)?;
        let Some(place) = self.attempt_of(index, checkpoint.work) else { return Ok(()) };
        let attempt = &mut self.elements[index].attempts[place];
        let progress = checkpoint.progress();
        if checkpoint.offset > self.job.output_len(attempt.package) {
            return Err(RunnerError::Protocol);
        }
        if progress.done >= attempt.progress.done {
            attempt.progress = progress;
        }
        let offset = checkpoint.offset;
        attempt.note(Mark { cookie: cookie.to_vec(), offset, progress });
        self.elements[index].statistics.cookie_count += 1;
        Ok(())
    }
}
