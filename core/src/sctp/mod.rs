//! An SCTP endpoint (RFC 9260) over raw IP or UDP (RFC 6951).
