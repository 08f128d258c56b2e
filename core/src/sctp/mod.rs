//! An SCTP endpoint (RFC 9260) over raw IP or UDP (RFC 6951).
//!
//! Deliberately absent: path MTU discovery, Nagle's algorithm, ECN, partial reliability (RFC
//! 3758), address reconfiguration (RFC 5061), authentication (RFC 4895). Peers that offer them
//! fall back, because they are not announced.

pub(crate) mod packet;
pub(crate) mod serial;
pub(crate) mod transfer;
