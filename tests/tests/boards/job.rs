//! Jobs whose every event is seen.

use std::net::SocketAddr;

use rserpool::job::{Event, Job, RunnerConfig, compute_locally};
use rserpool::transport::{Transport, TransportConfig};
use rserpool::{JobHandle, JobSnapshot, PoolUser, PoolUserConfig};
use rserpool_core::association::Endpoint;
use rserpool_core::identifier::{PoolHandle, PoolHandleBuf};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::process::PATIENCE;

/// A job under way.
pub(crate) struct Running<J> {
    runtime: Runtime,
    handle: JobHandle<J>,
    /// All that happened so far.
    events: Vec<Event>,
}

/// A job that is complete.
pub(crate) struct Done<J> {
    pub(crate) job: J,
    pub(crate) last: JobSnapshot,
}

impl<J: Job + Send + 'static> Running<J> {
    /// Starts a job on the pool.
    pub(crate) fn start(registrar: &str, job: J) -> Self {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.block_on(async {
            let registrar = endpoint(registrar);
            let transport = Transport::start(TransportConfig::at(registrar.addresses[0]));
            let config = PoolUserConfig::new(vec![registrar]);
            let user = PoolUser::start(&transport, config).await.unwrap();
            JobHandle::start(&transport, user, pool(), job, RunnerConfig::default()).await.unwrap()
        });
        Self { runtime, handle, events: Vec::new() }
    }

    /// Waits until an event makes `condition` hold, or time does.
    pub(crate) fn until(
        &mut self,
        what: &str,
        condition: impl Fn(&JobSnapshot, &[Event]) -> bool,
    ) {
        let Self { runtime, handle, events } = self;
        let waiting = async {
            let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
            while !condition(&handle.snapshot(), events) {
                tokio::select! {
                    event = handle.next_event() => {
                        let event = event.unwrap_or_else(|| panic!("over before {what}"));
                        events.push(event);
                    }
                    _ = ticks.tick() => {}
                }
            }
        };
        let waited = runtime.block_on(async { timeout(PATIENCE, waiting).await });
        assert!(waited.is_ok(), "in vain: {what}; {:?}", self.handle.snapshot());
    }

    /// Waits for the end, which must be a good one.
    pub(crate) fn finish(self) -> Done<J> {
        let Self { runtime, handle, .. } = self;
        let finishing = handle.finish();
        let outcome = runtime.block_on(async { timeout(PATIENCE, finishing).await });
        let outcome = outcome.expect("the job ends in time");
        outcome.result.unwrap();
        Done { job: outcome.job, last: outcome.last }
    }
}

impl<J> Done<J> {
    /// How many packages an element has computed.
    pub(crate) fn packages_of(&self, id: &str) -> u64 {
        let of = self.last.elements.iter().find(|element| element.element.to_string() == id);
        of.map_or(0, |element| element.package_count)
    }
}

/// The same job, computed here.
pub(crate) fn computed_locally<J: Job>(mut job: J) -> J {
    compute_locally(&mut job).unwrap();
    job
}

fn pool() -> PoolHandleBuf {
    PoolHandle::new(b"ComputePool").unwrap().to_buf()
}

/// `IP:PORT` or `IP:PORT/UDPPORT` as an endpoint.
pub(crate) fn endpoint(place: &str) -> Endpoint {
    let (address, udp_port) = place.split_once('/').unzip();
    let mut endpoint = Endpoint::new(address.unwrap_or(place).parse::<SocketAddr>().unwrap());
    endpoint.udp_port = udp_port.map(|port| port.parse().unwrap());
    endpoint
}
