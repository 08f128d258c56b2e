//! Packet traces: endpoints that talk to each other or to a peer made by hand.

mod answers;
mod bundling;
mod craft;
mod defence;
mod encapsulation;
mod exchange;
mod hostile;
mod icmp;
mod link;
mod listed;
mod lossy;
mod many;
mod mtu;
mod multihoming;
mod parameters;
mod purposes;
mod robust;
mod rows;
mod setup;
mod state_table;
mod stranger;
mod tags;
mod teardown;
mod windows;
