//! The pool element and pool user sides of ASAP (RFC 5352).
