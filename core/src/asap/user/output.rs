//! What a pool user owes, and how that is encoded when it is pulled.

use super::PoolUser;
use super::pools::Watch;
use crate::asap::answer::message_to;
use crate::association::{AssociationId, Transmit};
use crate::time::Instant;
use crate::wire::asap::{EndpointUnreachable, HandleResolution};

impl<const POOLS: usize, const ELEMENTS: usize, const WAITING: usize>
    PoolUser<POOLS, ELEMENTS, WAITING>
{
    pub(super) fn next_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        // What the hunt closes goes first: nothing may follow it on those associations.
        if let Some(transmit) = self.hunt.poll_transmit() {
            return Some(transmit);
        }
        if let Some(owed) = &self.owed_error {
            let transmit = owed.emit(buf)?;
            self.owed_error = None;
            return Some(transmit);
        }
        let home = self.hunt.home()?.association;
        self.next_report(now, home, buf).or_else(|| self.next_request(now, home, buf))
    }

    /// RFC 5352 §3.5; before a resolution, so that the element is not in its answer.
    fn next_report(
        &mut self,
        now: Instant,
        home: AssociationId,
        buf: &mut [u8],
    ) -> Option<Transmit> {
        let report = self.reports.iter_mut().find(|report| report.sent.is_none())?;
        let message = EndpointUnreachable::new(report.pool.as_handle(), report.pe_id);
        let len = message.emit(buf).ok()?;
        report.sent = Some(now);
        self.last_use = now;
        Some(message_to(home, len))
    }

    /// RFC 5352 §3.3, NR1 to NR4.
    fn next_request(
        &mut self,
        now: Instant,
        home: AssociationId,
        buf: &mut [u8],
    ) -> Option<Transmit> {
        let owes = |request: &super::Request| !request.sent;
        let pool = self.pools.iter_mut().find(|pool| pool.request.as_ref().is_some_and(owes))?;
        let request = pool.request.as_mut()?;
        let items = (request.items > 0).then_some(request.items);
        let subscribe = pool.watch != Watch::No;
        let message = HandleResolution::new(pool.handle.as_handle(), items);
        let message = HandleResolution { subscribe, ..message };
        let len = message.emit(buf).ok()?;
        request.sent = true;
        request.subscribes = subscribe;
        request.t1 = now + self.config.timers.t1_request;
        self.last_use = now;
        Some(message_to(home, len))
    }
}
