//! Emulated boards in a pool with real processes: QEMU runs the firmware, and the network of
//! `rserpool-qemu` ties it to `rsp registrar`, `rsp serve` and users on the loopback interface.
//!
//! QEMU is needed: without it these tests fail, and say how to install it.

mod bench;
mod hostile;
mod job;
mod joining;
mod process;
mod working;
