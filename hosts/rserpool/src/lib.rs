//! Tokio shims around `rserpool-core` for Linux hosts.
