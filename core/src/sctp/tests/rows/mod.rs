//! A test for each row of the tables of RFC 9260, named after the row: what an endpoint does in
//! each state (§4, §5, §9), with a COOKIE ECHO (§5.2.4), out of the blue (§8.4) and with each
//! verification tag (§8.5). `docs/compliance/sctp.md` says which is which.

mod cookie_echo;
mod out_of_the_blue;
mod states;
mod verification_tag;
