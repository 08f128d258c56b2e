//! The pool element and pool user sides of ASAP (RFC 5352).
//!
//! - [`PoolElement`] registers one element and keeps it registered;
//! - [`PoolUser`] resolves pool handles and reports dead elements;
//! - [`Session`] is what a pool user keeps of its session with one element after the other;
//! - [`cookie`] seals what elements give to users to carry.
//!
//! Both machines take [`association::Input`](crate::association::Input) and give
//! [`association::Transmit`](crate::association::Transmit), and both find their registrar by the
//! hunt in `hunt.rs`. Memory is bounded by constants and const parameters.

mod announce;
mod answer;
pub mod cookie;
mod element;
mod hunt;
mod session;
mod timers;
#[cfg(test)]
mod trace;
mod user;
mod user_transport;

pub use announce::{announce_group_v4, announce_group_v6};
pub use answer::InputError;
pub use element::{
    CommandError, POOL_ELEMENT_MESSAGE_LEN_MAX, PoolElement, PoolElementConfig, PoolElementEvent,
    PoolElementStatus,
};
pub use hunt::{ASAP_PORT, CANDIDATES_MAX, REGISTRARS_MAX, RegistrarsFull};
pub use session::{
    COOKIE_LEN_DEFAULT, Control, Session, SessionNews, emit_business_card, emit_cookie,
    read_control,
};
pub use timers::{Timers, registration_life_on_wire};
pub use user::{
    CACHE_ITEMS_MIN, POOL_USER_MESSAGE_LEN_MAX, PoolUser, PoolUserConfig, PoolUserEvent,
    PoolUserFull, ResolutionFailure, ResolutionId, ResolvedElement,
};
pub use user_transport::{UserTransport, UserTransportError};
