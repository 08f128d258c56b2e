//! What a registrar says to what it hears: each rule, each error cause and each limit, on each
//! storage.

use std::time::Duration;

use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::association::{AssociationId, DownReason, Input, Ppid, StreamId};
use rserpool_core::enrp::{
    Config, Event, InputError, KnownIdentifier, Limit, RateLimit, RemovalReason,
};
use rserpool_core::handlespace::slots::{Slots, SlotsMut};
use rserpool_core::handlespace::{Inline, Storage};
use rserpool_core::identifier::PeId;
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::wire::{Cause, Load, Policy, Protocol, TransportUse};
use rserpool_tests::registrar::*;

const RR: Policy = Policy::RoundRobin;

/// A storage with room for 1,200 elements and 64 pools.
trait Roomy: Storage {
    fn roomy() -> Self;
}

/// Arrays, as boards have them; boxed because of the test threads' stacks.
struct Array(Box<Inline<1_200, 64, 2, 64>>);

impl Roomy for Array {
    fn roomy() -> Self {
        Self(Box::default())
    }
}

impl Storage for Array {
    fn slots(&self) -> Slots<'_> {
        self.0.slots()
    }

    fn slots_mut(&mut self) -> SlotsMut<'_> {
        self.0.slots_mut()
    }
}

impl Roomy for HeapStorage {
    fn roomy() -> Self {
        Self::new(HeapLimits::for_elements(1_200))
    }
}

fn rfc<S: Roomy>() -> Bench<S> {
    Bench::new(Config::new(Profile::Rfc), S::roomy())
}

fn rsplib<S: Roomy>() -> Bench<S> {
    Bench::new(Config::new(Profile::Rsplib), S::roomy())
}

fn configured<S: Roomy>(profile: Profile, set: impl FnOnce(&mut Config)) -> Bench<S> {
    let mut config = Config::new(profile);
    set(&mut config);
    Bench::new(config, S::roomy())
}

/// An element of EchoPool registers on an association of its own, number and identifier alike.
fn joins<S: Storage>(bench: &mut Bench<S>, id: u32) {
    bench.up(id, &[&address_of(id)]);
    bench.registers(id, "EchoPool", id, RR);
}

fn to(id: u32, bytes: Vec<u8>) -> Said {
    Said::Message(id, bytes)
}

fn removed(pool: &str, pe_id: u32, reason: RemovalReason) -> Event {
    Event::ElementRemoved { pool: handle(pool).to_buf(), element: PeId(pe_id), reason }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

macro_rules! on_each_storage {
    ($($body:ident)*) => {
        mod array {
            $(#[test] fn $body() { super::$body::<super::Array>(); })*
        }
        mod heap {
            $(#[test] fn $body() { super::$body::<super::HeapStorage>(); })*
        }
    };
}

mod contract;
mod distance;
mod refusal;
mod registration;
mod resolution;
mod subscription;
mod watch;
