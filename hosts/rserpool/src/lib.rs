//! Reliable Server Pooling on hosts: tokio shims around the state machines of `rserpool-core`.
//!
//! One task owns one machine, and decides nothing. A [`transport::Transport`] carries what the
//! machines say; on it are started
//!
//! - a [`Registrar`], where pool elements register;
//! - a [`PoolElement`], which computes work packages or serves one of RSPLIB's [`services`];
//! - a [`PoolUser`], which resolves pool handles, and with [`JobHandle`] lets a pool compute, or
//!   with [`CallHandle`] calls a service.
//!
//! In [`csp`] they tell a monitor how they are.

mod alternates;
mod announces;
mod call_handle;
pub mod capture;
mod clock;
pub mod csp;
mod driven;
mod dump;
pub mod heap_storage;
mod heap_tables;
pub mod job;
mod job_handle;
mod pool_element;
mod pool_questions;
mod pool_user;
mod registrar;
mod scripts;
mod service_thread;
pub mod services;
pub mod transport;
mod work;

pub use announces::{AnnounceConfig, Interfaces};
pub use call_handle::{CallHandle, CallOutcome};
pub use dump::{DumpError, DumpedElement, DumpedPeer, DumpedTransport, HandlespaceDump};
pub use heap_tables::{HeapTables, TableLengths};
pub use job_handle::{JobHandle, JobOutcome, JobSnapshot};
pub use pool_element::{ElementEvent, PoolElement, PoolElementConfig};
pub use pool_user::{PoolUser, PoolUserConfig, PoolWatch, ResolveError, StartError};
pub use registrar::{ENRP_PORT, PeeringConfig, Registrar, RegistrarConfig};
pub use scripts::{ScriptConfig, Trust};
pub use service_thread::ServiceConfig;
pub use work::Slots;
