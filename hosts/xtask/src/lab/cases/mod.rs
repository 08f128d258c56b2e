//! The cases: each a story of a few checks, from an empty network on.

mod announces;
mod boards;
mod kernel_data;
mod our_element;
mod our_registrar;
mod our_trouble;
mod ours;
mod rsplib;
mod trouble;

use std::time::Duration;

use anyhow::Result;

use super::Lab;

/// A case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// After this time it is ended, whatever it does.
    pub(crate) patience: Duration,
    /// Whether it needs the boards' firmware.
    pub(crate) has_boards: bool,
    pub(crate) run: fn(&mut Lab) -> Result<()>,
}

/// All of them, in the order in which they run.
pub(crate) const CASES: [Case; 9] = [
    Case {
        name: "our-element",
        what: "rsp serve and rsp run at rspregistrar, over UDP 9899",
        patience: Duration::from_secs(240),
        has_boards: false,
        run: our_element::run,
    },
    Case {
        name: "our-registrar",
        what: "rspserver and pingpongclient at rsp registrar, over UDP 9899",
        patience: Duration::from_secs(240),
        has_boards: false,
        run: our_registrar::run,
    },
    Case {
        name: "announces",
        what: "rsp serve and rsp resolve find rspregistrar by its announces",
        patience: Duration::from_secs(180),
        has_boards: false,
        run: announces::of_rsplib,
    },
    Case {
        name: "our-announces",
        what: "rspserver finds rsp registrar by its announces",
        patience: Duration::from_secs(180),
        has_boards: false,
        run: announces::of_ours,
    },
    Case {
        name: "trouble",
        what: "rsp serve and rspregistrar with loss, no link, a crowd, a restart",
        patience: Duration::from_secs(300),
        has_boards: false,
        run: trouble::run,
    },
    Case {
        name: "our-trouble",
        what: "rspserver and rsp registrar with loss, silence, no link, a restart",
        patience: Duration::from_secs(300),
        has_boards: false,
        run: our_trouble::run,
    },
    Case {
        name: "kernel-data",
        what: "our SCTP and the kernel's exchange messages of all sizes through rspserver -echo",
        patience: Duration::from_secs(300),
        has_boards: false,
        run: kernel_data::run,
    },
    Case {
        name: "board-raw",
        what: "an emulated board at rspregistrar, IP protocol 132 to the kernel's SCTP",
        patience: Duration::from_secs(300),
        has_boards: true,
        run: boards::raw,
    },
    Case {
        name: "board-udp",
        what: "an emulated board at rspregistrar, over UDP 9899",
        patience: Duration::from_secs(300),
        has_boards: true,
        run: boards::udp,
    },
];
