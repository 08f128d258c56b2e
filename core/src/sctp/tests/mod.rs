//! Packet traces: endpoints that talk to each other or to a peer made by hand.

mod exchange;
mod link;
