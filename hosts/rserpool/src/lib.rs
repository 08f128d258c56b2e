//! Reliable Server Pooling on hosts: tokio shims around the state machines of `rserpool-core`.

mod clock;
pub mod transport;
