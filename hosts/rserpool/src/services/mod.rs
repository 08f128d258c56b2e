//! RSPLIB's example services: what they say, as elements that serve and as users that call.
//!
//! PingPong, CalcApp, Fractal and Scripting share a header (see [`codec`]) and have a payload
//! protocol identifier each; Echo, Discard and Daytime are bare messages. All of it travels on
//! stream 0, together with ASAP's cookies, which carry a session from one element to another.
//!
//! A module a protocol: its messages and cookie, both total to parse; `Server`, what an element
//! does with its sessions ([`Serve`]); `Client`, what a user does with one ([`Call`]). Both are
//! machines without sockets or clock: [`SessionServer`] drives all sessions of an element,
//! [`SessionCaller`] one user's session through the elements of a pool, cookie in hand.

pub mod basic;
pub mod calc_app;
pub mod codec;
pub mod fractal;
pub mod ping_pong;
pub mod scripting;

mod caller;
mod cards;
mod keep_alive;
mod places;
mod server;

use rserpool_core::association::Ppid;

pub use caller::{
    Act, Call, CallError, CallEvent, CallStatistics, CallerConfig, Loss, SessionCaller, Traffic,
};
pub use keep_alive::Pace;
pub use server::{Output, Refusal, Serve, ServerEvent, SessionServer};

/// A service, and what RSPLIB calls its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Service {
    /// Numbered replies.
    PingPong,
    /// Pretended calculations.
    CalcApp,
    /// Pictures of the Mandelbrot set.
    Fractal,
    /// Scripts that are uploaded and run.
    Scripting,
    /// Every message comes back.
    Echo,
    /// No message comes back.
    Discard,
    /// The time of day, once.
    Daytime,
}

impl Service {
    /// The pool handle that RSPLIB's elements and users take unless told otherwise.
    #[must_use]
    pub const fn pool(self) -> &'static str {
        match self {
            Self::PingPong => "PingPongPool",
            Self::CalcApp => "CalcAppPool",
            Self::Fractal => "FractalGeneratorPool",
            Self::Scripting => "ScriptingPool",
            Self::Echo => "EchoPool",
            Self::Discard => "DiscardPool",
            Self::Daytime => "DaytimePool",
        }
    }

    /// What its messages are.
    #[must_use]
    pub const fn ppid(self) -> Ppid {
        match self {
            Self::Fractal => Ppid(32),
            Self::PingPong => Ppid(33),
            Self::CalcApp => Ppid(34),
            Self::Scripting => Ppid(35),
            Self::Echo | Self::Discard | Self::Daytime => Ppid(0),
        }
    }
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod recorded;
