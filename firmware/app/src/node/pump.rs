//! What the machines inside a node have for each other.

use rserpool_core::association::Input;
use rserpool_core::compute;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{self, Handle};
use rserpool_core::time::Instant;

use super::links::Role;
use super::{Intent, Node, NodeWorker};
use crate::Event;

/// One round moves everything; more are needed where that has consequences, and few are.
const ROUNDS_MAX: usize = 16;

impl Node<'_> {
    /// Lets events, messages and wishes pass until nobody has any. `buf` is where they stand on
    /// the way.
    pub(super) fn pump(&mut self, now: Instant, buf: &mut [u8]) {
        for _ in 0..ROUNDS_MAX {
            let mut is_quiet = true;
            while let Some(event) = self.endpoint.poll_event() {
                self.on_sctp_event(now, event, buf);
                is_quiet = false;
            }
            while let Some(transmit) = self.element.poll_transmit(now, buf) {
                self.perform(now, transmit, buf);
                is_quiet = false;
            }
            is_quiet &= !self.start_attempts(now);
            is_quiet &= !self.pull_worker(now, buf);
            self.take_events(now);
            if is_quiet {
                break;
            }
        }
        self.close_users_when_leaving(now);
        self.leave_if_done();
    }

    fn on_sctp_event(&mut self, now: Instant, event: sctp::Event, buf: &mut [u8]) {
        match event {
            sctp::Event::Up { handle, passive, local_port, remote, .. } => {
                self.on_up(now, handle, local_port, remote, passive);
            }
            sctp::Event::Readable { handle } => self.read(now, handle, buf),
            sctp::Event::Restarted { handle } => {
                if let Some((association, role)) = self.whose(handle) {
                    self.inform(now, role, Input::Restarted { association });
                }
            }
            sctp::Event::Down { handle, reason, .. } => self.on_down(now, handle, reason),
            // Who waits for room asks every time.
            _ => {}
        }
    }

    fn whose(&self, handle: Handle) -> Option<(rserpool_core::association::AssociationId, Role)> {
        let link = self.links.iter().find(|link| link.handle == handle)?;
        Some((link.id, link.role))
    }

    /// Hands the messages of an association to whose it is.
    fn read(&mut self, now: Instant, handle: Handle, buf: &mut [u8]) {
        let Some((association, role)) = self.whose(handle) else { return };
        while let Some(received) = self.endpoint.recv(now, handle, buf) {
            let Some(data) = buf.get(..received.len) else { continue };
            let (stream, ppid) = (received.stream, received.ppid);
            self.inform(now, role, Input::Message { association, stream, ppid, data });
        }
    }

    /// Sends what the worker has, as long as its user's association has room for any message:
    /// nothing is pulled that would have to wait. True if that was anything.
    fn pull_worker(&mut self, now: Instant, buf: &mut [u8]) -> bool {
        let mut has_pulled = false;
        while self.has_room_for_users(now)
            && let Some(transmit) = self.worker.poll_transmit(now, buf)
        {
            self.perform(now, transmit, buf);
            // What was pulled may have unblocked a kernel.
            self.wants_work = true;
            has_pulled = true;
        }
        has_pulled
    }

    fn has_room_for_users(&mut self, now: Instant) -> bool {
        let endpoint = &mut self.endpoint;
        let mut users = self.links.iter().filter(|link| link.role == Role::User);
        users.all(|link| endpoint.is_writable(now, link.handle, NodeWorker::TRANSMIT_LEN_MAX))
    }

    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.element.poll_event() {
            self.tell(Event::Membership(event));
        }
        while let Some(event) = self.worker.poll_event() {
            match event {
                compute::Event::LoadChanged { .. } => self.tell_load(now),
                compute::Event::Stopped => {}
                event => self.tell(Event::Work(event)),
            }
        }
    }

    /// A node on its way out closes the door behind its users as soon as it owes them nothing.
    fn close_users_when_leaving(&mut self, now: Instant) {
        if !matches!(self.intent, Intent::Leave { .. }) || self.worker.held_count() > 0 {
            return;
        }
        for link in self.links.iter().filter(|link| link.role == Role::User) {
            let _ = self.endpoint.shutdown(now, link.handle);
        }
    }
}
