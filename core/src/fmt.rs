//! The one log facade: defmt, log, or nothing.
//!
//! An event is logged once, by whoever decides it.
#![expect(unused_macros, unused_imports, reason = "used as the machines come to log")]

macro_rules! debug {
    ($($arg:expr),* $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::debug!($($arg),*);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        ::log::debug!($($arg),*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { let _ = ($(&$arg),*); }
    }};
}
macro_rules! info {
    ($($arg:expr),* $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::info!($($arg),*);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        ::log::info!($($arg),*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { let _ = ($(&$arg),*); }
    }};
}
macro_rules! warning {
    ($($arg:expr),* $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::warn!($($arg),*);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        ::log::warn!($($arg),*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { let _ = ($(&$arg),*); }
    }};
}
pub(crate) use {debug, info, warning};
