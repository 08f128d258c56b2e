//! What the runner says: encoded when it is pulled, never stored.

use core::time::Duration;

use rserpool_core::association::{AssociationId, Ppid, StreamId, Transmit};
use rserpool_core::compute::cookie::{COOKIE_MESSAGE_LEN_MAX, Control};
use rserpool_core::compute::{
    PARAMETER_LEN_MAX, RUNNER_MESSAGE_LEN_MAX, RunnerMessage, WORK_STREAM,
};
use rserpool_core::time::Instant;

use super::super::description::Job;
use super::element::Link;
use super::{Farewell, JobRunner};

/// The most bytes of a message of the runner.
pub const TRANSMIT_LEN_MAX: usize = if COOKIE_MESSAGE_LEN_MAX > RUNNER_MESSAGE_LEN_MAX {
    COOKIE_MESSAGE_LEN_MAX
} else {
    RUNNER_MESSAGE_LEN_MAX
};

/// An association that is still not down so long after its shutdown is aborted.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

impl<J: Job> JobRunner<J> {
    pub(super) fn next_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if let Some(connect) = self.cancelled.pop_front() {
            return Some(Transmit::CancelConnect { connect });
        }
        if let Some(transmit) = self.farewell(now, buf) {
            return Some(transmit);
        }
        (0..self.elements.len()).find_map(|index| self.transmit_to(now, index, buf))
    }

    fn farewell(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let owing = |owed: Farewell| !matches!(owed, Farewell::Wait { .. });
        let closing = self.closing.iter_mut().find(|closing| owing(closing.owed))?;
        let association = closing.association;
        match closing.owed {
            Farewell::Bye => {
                closing.owed = Farewell::Shutdown;
                let len = RunnerMessage::Bye.encode(buf).ok()?;
                Some(work_message(association, len))
            }
            Farewell::Shutdown => {
                closing.owed = Farewell::Wait { abort_at: Some(now + SHUTDOWN_PATIENCE) };
                Some(Transmit::Shutdown { association })
            }
            Farewell::Abort => {
                closing.owed = Farewell::Wait { abort_at: None };
                Some(Transmit::Abort { association })
            }
            Farewell::Wait { .. } => None,
        }
    }

    fn transmit_to(&mut self, now: Instant, index: usize, buf: &mut [u8]) -> Option<Transmit> {
        let element = &mut self.elements[index];
        let endpoint = &element.endpoint;
        let up = match &mut element.link {
            Link::Idle { .. } => return None,
            Link::Connecting { connect, owed, .. } => {
                let connect = *connect;
                return core::mem::take(owed)
                    .then(|| Transmit::Connect { connect, endpoint: endpoint.clone() });
            }
            Link::Up(up) => up,
        };
        let association = up.association;
        if core::mem::take(&mut up.owes_ping) {
            let token = self.next_token;
            self.next_token = token.wrapping_add(1);
            let len = RunnerMessage::Ping { token }.encode(buf).ok()?;
            return Some(work_message(association, len));
        }
        if let Some(work) = up.cancels.pop_front() {
            let len = RunnerMessage::Cancel { work }.encode(buf).ok()?;
            return Some(work_message(association, len));
        }
        let place = element.attempts.iter().position(|attempt| attempt.owed)?;
        self.transmit_attempt(now, index, place, association, buf)
    }

    /// A package, or the cookie from which it continues.
    fn transmit_attempt(
        &mut self,
        now: Instant,
        index: usize,
        place: usize,
        association: AssociationId,
        buf: &mut [u8],
    ) -> Option<Transmit> {
        let work = self.work(self.elements[index].attempts[place].package);
        let attempt = &mut self.elements[index].attempts[place];
        attempt.owed = false;
        attempt.sent_at = now;
        if let Some(mark) = &attempt.mark {
            let len = Control::write_echo(&mark.cookie, buf).ok()?;
            let (stream, ppid) = (StreamId(0), Ppid::ASAP);
            return Some(Transmit::Message { association, stream, ppid, len });
        }
        let mut block = [0; PARAMETER_LEN_MAX];
        let block_len = self.job.parameters(work.package, &mut block);
        let deadline_ms = self.deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(now).as_millis();
            u32::try_from(left).unwrap_or(u32::MAX)
        });
        let parameters = block.get(..block_len)?;
        let message =
            RunnerMessage::Package { work, kernel: self.job.kernel(), deadline_ms, parameters };
        Some(work_message(association, message.encode(buf).ok()?))
    }
}

fn work_message(association: AssociationId, len: usize) -> Transmit {
    Transmit::Message { association, stream: WORK_STREAM, ppid: Ppid::COMPUTE, len }
}
