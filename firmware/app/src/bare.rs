//! A node without anything inside: it takes all and says nothing.
//!
//! Built instead of the real one when the feature `element` is off, so that the size of an
//! image without RSerPool can be measured with the same tasks around it.

use core::net::{IpAddr, SocketAddr};

use rserpool_core::asap::PoolElementStatus;
use rserpool_core::identifier::PeId;
use rserpool_core::sctp::{Datagram, Packet};
use rserpool_core::time::Instant;
use rserpool_core::wire::Load;

use crate::place::Place;
use crate::settings::Settings;
use crate::{Command, Event, Status};

/// No memory.
#[derive(Debug)]
pub struct NodeMemory<'m> {
    node: Place<Node<'m>>,
}

impl NodeMemory<'_> {
    /// No memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { node: Place::Empty }
    }
}

impl Default for NodeMemory<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A node without anything inside.
#[derive(Debug)]
pub struct Node<'m> {
    is_link_up: bool,
    memory: core::marker::PhantomData<&'m ()>,
}

impl<'m> Node<'m> {
    /// A node without anything inside.
    #[must_use]
    pub fn new(
        _settings: &Settings,
        _seed: [u8; 32],
        memory: &'m mut NodeMemory<'m>,
    ) -> &'m mut Self {
        memory.node.put(|| Self { is_link_up: false, memory: core::marker::PhantomData })
    }

    /// See the real node.
    pub fn command(&mut self, _now: Instant, _command: Command) {}

    /// See the real node.
    pub fn link_up(&mut self, _now: Instant, _address: IpAddr) {
        self.is_link_up = true;
    }

    /// See the real node.
    pub fn link_down(&mut self, _now: Instant) {
        self.is_link_up = false;
    }

    /// See the real node.
    pub fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram<'_>) {}

    /// See the real node.
    pub fn handle_announce(&mut self, _now: Instant, _source: SocketAddr, _bytes: &[u8]) {}

    /// See the real node.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        core::hint::black_box(None)
    }

    /// Nothing.
    #[must_use]
    pub fn poll_datagram(&mut self, _now: Instant, _buf: &mut [u8]) -> Option<Packet> {
        // So that the tasks' way out stays in the image.
        core::hint::black_box(None)
    }

    /// Nothing.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        core::hint::black_box(None)
    }

    /// Nothing to compute.
    pub fn work(&mut self, _units: u32) {}

    /// Never.
    #[must_use]
    pub fn wants_work(&self) -> bool {
        core::hint::black_box(false)
    }

    /// Idle.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            is_link_up: self.is_link_up,
            membership: PoolElementStatus::Idle,
            pe_id: PeId(0),
            home: None,
            association_count: 0,
            package_count: 0,
            load: Load::MIN,
        }
    }
}
