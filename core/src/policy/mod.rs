//! Pool policies (RFC 5356) as a function from policy values to order keys and weights.
