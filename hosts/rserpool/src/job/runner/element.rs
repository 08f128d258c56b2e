//! A pool element as the runner sees it, and its attempts at packages.

use std::collections::VecDeque;

use core::time::Duration;

use rserpool_core::association::{AssociationId, ConnectId, Endpoint};
use rserpool_core::compute::{PackageId, Progress, WorkId};
use rserpool_core::identifier::PeId;
use rserpool_core::time::Instant;

use super::report::ElementStatistics;

/// How the runner is tied to an element.
#[derive(Debug)]
pub(super) enum Link {
    /// Not at all; worth a try from then on, if the pool still has it.
    Idle { retry_at: Instant },
    /// An association is being set up.
    Connecting { connect: ConnectId, owed: bool, give_up: Instant },
    /// An association is up.
    Up(Up),
}

/// An association with an element.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) association: AssociationId,
    /// How many packages it may have in flight; `None` until its Hello.
    pub(super) window: Option<usize>,
    /// No more than that before this, after it was busy.
    pub(super) widen_at: Instant,
    pub(super) since: Instant,
    pub(super) last_heard: Instant,
    pub(super) last_pinged: Instant,
    pub(super) owes_ping: bool,
    /// Cancels that are owed. Bounded: each ends an attempt.
    pub(super) cancels: VecDeque<WorkId>,
}

/// A pool element.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) endpoint: Endpoint,
    pub(super) link: Link,
    /// Oldest first: a worker computes a user's packages in this order.
    pub(super) attempts: Vec<Attempt>,
    /// Since when the first attempt has been computed.
    pub(super) head_since: Instant,
    /// The latest resolution named it.
    pub(super) listed: bool,
    /// No new packages before this, after a refusal.
    pub(super) ready_at: Instant,
    /// Refusals or failures in a row.
    pub(super) trouble_count: u32,
    /// It lacks the kernel, or is going away.
    pub(super) unsuited: bool,
    pub(super) statistics: ElementStatistics,
}

/// A place from which a package can continue.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) cookie: Vec<u8>,
    pub(super) offset: u64,
    pub(super) progress: Progress,
}

/// A package given to an element.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) package: PackageId,
    /// It is still to be sent.
    pub(super) owed: bool,
    pub(super) sent_at: Instant,
    pub(super) accepted: bool,
    /// A second attempt at a package that is in work elsewhere.
    pub(super) duplicate: bool,
    /// Who lost it before, and since when nothing was heard of it.
    pub(super) lost_by: Option<(PeId, Instant)>,
    /// All output up to here.
    pub(super) received: Vec<u8>,
    /// Where it can continue elsewhere: at first, where it continues here.
    pub(super) mark: Option<Mark>,
    /// A cookie that came before its output.
    pub(super) early_mark: Option<Mark>,
    pub(super) progress: Progress,
}

impl Element {
    pub(super) fn new(element: PeId, endpoint: Endpoint, now: Instant) -> Self {
        let statistics =
            ElementStatistics { element, endpoint: endpoint.clone(), ..Default::default() };
        Self {
            endpoint,
            link: Link::Idle { retry_at: now },
            attempts: Vec::new(),
            head_since: now,
            listed: true,
            ready_at: now,
            trouble_count: 0,
            unsuited: false,
            statistics,
        }
    }

    pub(super) fn id(&self) -> PeId {
        self.statistics.element
    }

    pub(super) fn up(&self) -> Option<&Up> {
        match &self.link {
            Link::Up(up) => Some(up),
            _ => None,
        }
    }

    pub(super) fn up_mut(&mut self) -> Option<&mut Up> {
        match &mut self.link {
            Link::Up(up) => Some(up),
            _ => None,
        }
    }

    pub(super) fn has(&self, association: AssociationId) -> bool {
        self.up().is_some_and(|up| up.association == association)
    }

    /// Whether it computes for us or soon could.
    pub(super) fn is_usable(&self) -> bool {
        !self.unsuited && self.up().is_some_and(|up| up.window.is_some())
    }

    /// How many more packages it may have now.
    pub(super) fn room(&self, now: Instant) -> usize {
        if self.unsuited || self.ready_at > now {
            return 0;
        }
        let window = self.up().and_then(|up| up.window).unwrap_or(0);
        window.saturating_sub(self.attempts.len())
    }

    /// Waits before it gets more, longer each time in a row.
    pub(super) fn back_off(&mut self, now: Instant, first: Duration) {
        self.ready_at = now + first * (1 << self.trouble_count.min(5));
        self.trouble_count += 1;
    }

    /// Removes an attempt; what follows it is computed from now on.
    pub(super) fn remove(&mut self, index: usize, now: Instant) -> Attempt {
        if index == 0 {
            self.head_since = now;
        }
        self.attempts.remove(index)
    }

    pub(super) fn attempt_at(&self, package: PackageId) -> Option<usize> {
        self.attempts.iter().position(|attempt| attempt.package == package)
    }
}

impl Attempt {
    pub(super) fn new(package: PackageId, now: Instant) -> Self {
        Self {
            package,
            owed: true,
            sent_at: now,
            accepted: false,
            duplicate: false,
            lost_by: None,
            received: Vec::new(),
            mark: None,
            early_mark: None,
            progress: Progress::default(),
        }
    }

    /// From where it was asked to begin.
    pub(super) fn offset(&self) -> u64 {
        self.received.len() as u64
    }

    /// Keeps the latest cookie whose output is here.
    pub(super) fn note(&mut self, mark: Mark) {
        if mark.offset <= self.offset() {
            self.mark = Some(mark);
        } else {
            self.early_mark = Some(mark);
        }
    }

    /// Output has come: the cookie that was early may be good now.
    pub(super) fn settle(&mut self) {
        if let Some(mark) =
            self.early_mark.take_if(|mark| mark.offset <= self.received.len() as u64)
        {
            self.mark = Some(mark);
        }
    }
}
