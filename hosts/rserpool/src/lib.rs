//! Reliable Server Pooling on hosts: tokio shims around the state machines of `rserpool-core`.

pub mod capture;
mod clock;
pub mod heap_storage;
pub mod job;
pub mod transport;
