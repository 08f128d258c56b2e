//! What goes into a node and comes out of it, with and without a pool element inside.

use rserpool_core::asap::{PoolElementEvent, PoolElementStatus};
use rserpool_core::compute;
use rserpool_core::identifier::{PeId, RegistrarId};
use rserpool_core::wire::Load;

/// The length of the buffer for packets and messages: the largest IP packet on Ethernet, and
/// the longest message that an association takes.
pub const MESSAGE_LEN_MAX: usize = 1_536;

/// What the board's user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Command {
    /// Join the pool. A node that was just made has this command already.
    Start,
    /// Leave the pool: take nothing new, finish what is in work if that does not take long,
    /// give the rest back with its state, deregister.
    Stop,
}

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// To its membership in the pool.
    Membership(PoolElementEvent),
    /// To its work.
    Work(compute::Event),
    /// The link was gone for so long that all associations were given up.
    LinkLost,
    /// After [`Command::Stop`]: the node is out of its pool and holds nothing.
    Stopped,
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status {
    /// Whether the network can be used.
    pub is_link_up: bool,
    /// Of the registration.
    pub membership: PoolElementStatus,
    /// The element's identifier.
    pub pe_id: PeId,
    /// The home registrar, if there is one and it has said who it is.
    pub home: Option<RegistrarId>,
    /// Associations that are up.
    pub association_count: usize,
    /// Packages in work.
    pub package_count: usize,
    /// The share of slots in use.
    pub load: Load,
}
