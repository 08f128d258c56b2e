//! Userland SCTP over UDP (RFC 6951): the default transport, which needs no privileges.

mod inbox;
mod race;
mod socket;
