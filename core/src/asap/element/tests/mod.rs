//! Traces of a pool element. Bytes without comment are RSPLIB's, from the captures.

mod leaving;
mod registering;
mod staying;

use super::*;
use crate::asap::trace::{Trace, bytes, registrar};
use crate::association::Ppid;
use std::format;
use std::string::String;
use std::vec::Vec;

const REGISTRATION: &str = "0100003c0009001050696e67506f6e67506f6f6c\
    000a0028aaaa00010000000000015f9000040010a9670001000100080a4d00150008000800000001";
/// The same from home 0x11111111.
const REREGISTRATION: &str = "0100003c0009001050696e67506f6e67506f6f6c\
    000a0028aaaa00011111111100015f9000040010a9670001000100080a4d00150008000800000001";
pub(in crate::asap::element) const GRANTED: &str =
    "0300001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
/// Shaped as RSPLIB's, with its code for "no usable user address".
pub(in crate::asap::element) const REJECTED: &str = "03010024\
    0009001050696e67506f6e67506f6f6c000e0008aaaa0001000c0008f0080004";
pub(in crate::asap::element) const KEEP_ALIVE: &str = "0700002011111111\
    0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
const KEEP_ALIVE_WITHOUT_ID: &str = "07000018111111110009001050696e67506f6e67506f6f6c";
pub(in crate::asap::element) const KEEP_ALIVE_HOME_2: &str = "0701002022222222\
    0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
const ACK: &str = "0800001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
const DEREGISTRATION: &str = "0200001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
pub(in crate::asap::element) const DEREGISTERED: &str =
    "0400001c0009001050696e67506f6e67506f6f6c000e0008aaaa0001";
/// ASAP Error, cause 0x100b (unsupported policy).
pub(in crate::asap::element) const ERROR: &str = "0e00000c000c0008100b0004";

const POOL: &[u8] = b"PingPongPool";

pub(in crate::asap::element) fn pool() -> PoolHandle<'static> {
    PoolHandle::new(POOL).unwrap()
}

pub(in crate::asap::element) fn service() -> UserTransport {
    let address = core::net::SocketAddr::from(([10, 77, 0, 21], 43_367));
    UserTransport::sctp(Endpoint::new(address))
}

fn config(profile: Profile) -> PoolElementConfig {
    PoolElementConfig { pe_id: Some(PeId(0xaaaa_0001)), ..PoolElementConfig::new(profile) }
}

/// An element that knows the registrars 10.77.0.11, .12 and so on.
pub(in crate::asap::element) fn element(profile: Profile, registrars: u8) -> Trace<PoolElement> {
    let mut element = PoolElement::new(config(profile), &mut SplitMix64::new(1));
    for last in 11..11 + registrars {
        element.add_registrar(&registrar(last)).unwrap();
    }
    Trace::new(element)
}

impl Trace<PoolElement> {
    pub(in crate::asap::element) fn register(&mut self) {
        self.register_as(Policy::RoundRobin).unwrap();
    }

    pub(in crate::asap::element) fn register_as(
        &mut self,
        policy: Policy,
    ) -> Result<(), CommandError> {
        self.command(|element, now| element.register(now, pool(), &service(), policy))
    }

    pub(in crate::asap::element) fn deregister(&mut self) {
        self.command(|element, now| element.deregister(now)).unwrap();
    }

    fn status(&self) -> PoolElementStatus {
        self.machine.status()
    }

    /// The messages among the lines that came out.
    fn messages(&mut self) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains("> ")).collect()
    }
}

/// One that is registered over association 1, at 0 ms.
fn registered(profile: Profile, registrars: u8) -> Trace<PoolElement> {
    let mut trace = element(profile, registrars);
    trace.register();
    trace.up(1, 0);
    let seconds = "0100003c0009001050696e67506f6e67506f6f6c\
        000a0028aaaa0001000000000000038400040010a9670001000100080a4d00150008000800000001";
    let registration = match profile {
        Profile::Rsplib => REGISTRATION,
        Profile::Rfc => seconds,
    };
    assert_eq!(trace.messages(), [format!("1> {registration}")]);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.log(), ["0 Registered { warning: None }"]);
    trace
}
