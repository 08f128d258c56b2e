//! Real processes of `rsp` on the loopback interface, with ports that the system chooses.

mod announces;
mod chaos;
mod commands;
mod demo;
mod hsdump;
mod peers;
mod process;
mod services;
mod silence;
mod status;
