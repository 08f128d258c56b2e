//! The cases: each a story of a few checks, from an empty network on.

mod our_element;
mod our_registrar;
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
    pub(crate) run: fn(&mut Lab) -> Result<()>,
}

/// All of them, in the order in which they run.
pub(crate) const CASES: [Case; 3] = [
    Case {
        name: "our-element",
        what: "rsp serve and rsp run at rspregistrar, over UDP 9899",
        patience: Duration::from_secs(240),
        run: our_element::run,
    },
    Case {
        name: "our-registrar",
        what: "rspserver and pingpongclient at rsp registrar, over UDP 9899",
        patience: Duration::from_secs(240),
        run: our_registrar::run,
    },
    Case {
        name: "trouble",
        what: "rsp serve and rspregistrar with loss, no link, a crowd, a restart",
        patience: Duration::from_secs(300),
        run: trouble::run,
    },
];
