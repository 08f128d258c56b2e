//! The registrar (RFC 5352 and RFC 5353; the RFCs say ENRP server).
