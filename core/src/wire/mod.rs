//! Bytes of ASAP (RFC 5352), ENRP (RFC 5353) and their parameters (RFC 5354, 5356).
