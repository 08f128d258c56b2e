//! What a worker says: encoded when it is pulled, never stored.

use super::super::kernel::KernelSet;
use super::super::protocol::{
    CHUNK_OVERHEAD, KERNELS_MAX, KernelId, KernelIds, Limits, PARAMETER_LEN_MAX, RejectReason,
    STATE_LEN_MAX, WORK_STREAM, WorkerMessage,
};
use super::slot::Phase;
use super::{Event, Worker};
use crate::association::{AssociationId, Ppid, StreamId, Transmit};
use crate::time::Instant;
use heapless::Vec;

impl<K: KernelSet, const SLOTS: usize, const USERS: usize, const OUTPUT: usize>
    Worker<K, SLOTS, USERS, OUTPUT>
{
    fn hello(&self, buf: &mut [u8]) -> Option<usize> {
        let limits = Limits {
            slot_count: self.slot_count() as u16,
            parameter_len_max: PARAMETER_LEN_MAX as u16,
            chunk_len_max: self.config.chunk_len.clamp(1, OUTPUT) as u16,
            output_len_max: self.config.output_len_max,
            alive_interval_ms: u32::try_from(self.config.alive_interval.as_millis())
                .unwrap_or(u32::MAX),
        };
        let mut offered = Vec::<KernelId, KERNELS_MAX>::new();
        for &kernel in K::IDS.iter().filter(|&&kernel| self.offers(kernel)) {
            let _ = offered.push(kernel);
        }
        let mut ids = [0; 2 * KERNELS_MAX];
        let kernels = KernelIds::encode(&offered, &mut ids);
        WorkerMessage::Hello { limits, kernels }.encode(buf).ok()
    }

    /// What a user is owed besides what its packages owe.
    pub(super) fn transmit_for_user(&mut self, place: usize, buf: &mut [u8]) -> Option<Transmit> {
        let user = self.users[place].as_ref()?;
        let association = user.association;
        let (hello, pong) = (user.owes_hello, user.owes_pong);
        let refusal = user.refusals.first().copied();
        let len = if hello {
            self.hello(buf)?
        } else if let Some(token) = pong {
            WorkerMessage::Pong { token }.encode(buf).ok()?
        } else {
            let (work, reason) = refusal?;
            WorkerMessage::Reject { work, reason }.encode(buf).ok()?
        };
        let user = self.users[place].as_mut()?;
        if hello {
            user.owes_hello = false;
        } else if pong.is_some() {
            user.owes_pong = None;
        } else {
            user.refusals.remove(0);
        }
        Some(work_message(association, len))
    }

    /// What a package owes, in the order in which the user must get it.
    pub(super) fn transmit_for_slot(
        &mut self,
        now: Instant,
        index: usize,
        buf: &mut [u8],
    ) -> Option<Transmit> {
        let chunk_len = self.config.chunk_len.clamp(1, OUTPUT);
        let slot = self.slots[index].as_mut()?;
        let (user, work) = (slot.user, slot.work);
        let total = slot.computation.output_len();
        if slot.owed.accept {
            let message = WorkerMessage::Accept { work, offset: slot.offset, total };
            let len = message.encode(buf).ok()?;
            slot.owed.accept = false;
            return Some(work_message(user, len));
        }
        if slot.owes_chunk(chunk_len) {
            let room = buf.len().saturating_sub(CHUNK_OVERHEAD);
            let chunk_len = slot.pending.len().min(chunk_len).min(room);
            let bytes = slot.pending.get(..chunk_len).filter(|bytes| !bytes.is_empty())?;
            let message = WorkerMessage::Chunk { work, offset: slot.offset, total, bytes };
            let len = message.encode(buf).ok()?;
            slot.sent(chunk_len);
            self.statistics.output_len += chunk_len as u64;
            return Some(work_message(user, len));
        }
        if slot.owed.cookie {
            slot.owed.cookie = false;
            if let Some(cookie) = self.transmit_cookie(now, index, buf) {
                return Some(cookie);
            }
        }
        self.transmit_state(index, buf)
    }

    fn transmit_cookie(&mut self, now: Instant, index: usize, buf: &mut [u8]) -> Option<Transmit> {
        let slot = self.slots[index].as_mut()?;
        if !matches!(slot.phase, Phase::Running | Phase::HandedOn) {
            return None;
        }
        let mut state = [0; STATE_LEN_MAX];
        let checkpoint = slot.checkpoint(now, &mut state)?;
        let done = checkpoint.done;
        let len = checkpoint.seal(&self.key, self.config.pool.as_handle(), buf).ok()?;
        slot.cookie_done = done;
        self.statistics.cookies += 1;
        let (stream, ppid) = (StreamId(0), Ppid::ASAP);
        Some(Transmit::Message { association: slot.user, stream, ppid, len })
    }

    /// Signs of life, and the last word on a package.
    fn transmit_state(&mut self, index: usize, buf: &mut [u8]) -> Option<Transmit> {
        let slot = self.slots[index].as_mut()?;
        let (user, work) = (slot.user, slot.work);
        let (message, event) = match slot.phase {
            Phase::Running | Phase::Blocked if slot.owed.progress => {
                let progress = slot.computation.progress();
                let (done, all) = (progress.done, progress.all);
                let len = WorkerMessage::Progress { work, done, all }.encode(buf).ok()?;
                slot.owed.progress = false;
                return Some(work_message(user, len));
            }
            Phase::Running | Phase::Blocked => return None,
            Phase::Computed => {
                let (total, digest) = (slot.computation.output_len(), slot.digest.0);
                (WorkerMessage::Done { work, total, digest }, Event::Finished { user, work })
            }
            Phase::Failed(reason) => {
                (WorkerMessage::Failed { work, reason }, Event::Failed { user, work, reason })
            }
            Phase::HandedOn => {
                let reason = RejectReason::Stopping;
                (WorkerMessage::Reject { work, reason }, Event::Released { user, work })
            }
        };
        let len = message.encode(buf).ok()?;
        self.slots[index] = None;
        match event {
            Event::Finished { .. } => self.statistics.finished += 1,
            Event::Failed { .. } => self.statistics.failed += 1,
            _ => self.statistics.released += 1,
        }
        self.tell(event);
        Some(work_message(user, len))
    }
}

fn work_message(association: AssociationId, len: usize) -> Transmit {
    Transmit::Message { association, stream: WORK_STREAM, ppid: Ppid::COMPUTE, len }
}
