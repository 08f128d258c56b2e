//! The Component Status Protocol of RSPLIB: components tell a monitor how they are.
//!
//! Each report is one UDP datagram, which nobody answers. Anybody can send one, so a monitor
//! believes nothing and keeps a bounded number of components. Deliberately absent: any action
//! on what a report says.

mod monitor;
mod report;
mod reporter;
mod text;

pub use monitor::{Component, Liveness, Monitor, MonitorConfig, MonitorError, MonitorSocket};
pub use report::{Association, ComponentId, ComponentKind, Report, ReportError, Workload};
pub use reporter::CspConfig;
pub(crate) use reporter::{
    LOOKING, Reporter, Status, association, counted, location, random_user, report_due,
};
pub use text::Text;

/// The UDP port that monitors listen at.
pub const CSP_PORT: u16 = 2960;
