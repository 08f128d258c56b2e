//! A registrar, two elements and a job, one of whose elements vanishes.

use rserpool_core::asap::PoolElementEvent;
use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::association::Endpoint;
use rserpool_core::identifier::PoolHandle;
use tokio::runtime::Runtime;

use super::{Duration, Net, PATIENCE, SocketAddr, own_runtime};
use crate::job::{RunnerConfig, SyntheticJob};
use crate::{
    ElementEvent, JobHandle, PoolElement, PoolElementConfig, PoolUser, PoolUserConfig, Registrar,
    RegistrarConfig,
};

pub(super) async fn failover(net: Net) {
    let transport = net.start();
    let mut config = RegistrarConfig::default();
    (config.port, config.udp_port) = (0, Some(0));
    let registrar = Registrar::start(&transport, config).await.unwrap();
    let mut at = Endpoint::new(SocketAddr::new(net.address, registrar.port()));
    if net.is_udp() {
        at.udp_port = registrar.udp_ports().first().copied();
    }
    let (first, _first) = element(net, at.clone()).await;
    let (second, _second) = element(net, at.clone()).await;

    let user = PoolUser::start(&transport, PoolUserConfig::new(vec![at])).await.unwrap();
    let pool = PoolHandle::new(b"ComputePool").unwrap().to_buf();
    assert_eq!(user.resolve(pool, None).await.unwrap().len(), 2);
    let job = SyntheticJob::new(600_000_000, 10_000_000);
    let config = RunnerConfig::default();
    let mut handle = JobHandle::start(&transport, user.clone(), pool, job, config).await.unwrap();
    // Both have work before one of them goes.
    let begun = async {
        loop {
            let snapshot = handle.snapshot();
            if snapshot.progress > 0.1 && snapshot.elements.len() == 2 {
                return;
            }
            handle.next_event().await.expect("the job is not done so soon");
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("both elements work");
    first.shutdown_background();
    let outcome = tokio::time::timeout(PATIENCE, handle.finish()).await.expect("the job ends");
    outcome.result.unwrap();

    let is_gone = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while user.resolve(pool, None).await.unwrap().len() != 1 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_gone).await.expect("the registrar notices the loss");
    second.shutdown_background();
}

/// An element that is registered, in a runtime of its own: all its sockets go at once.
async fn element(net: Net, registrar: Endpoint) -> (Runtime, PoolElement) {
    let runtime = own_runtime();
    let started = runtime.spawn(async move {
        let pool = PoolHandle::new(b"ComputePool").unwrap().to_buf();
        let key = CookieKey::new([7; 32]);
        let mut config = PoolElementConfig::new(vec![registrar], pool, key);
        config.udp_port = Some(0);
        let mut element = PoolElement::start(&net.start(), config).await.unwrap();
        loop {
            let event = element.next_event().await.expect("the transport is there");
            if let ElementEvent::Membership(PoolElementEvent::Registered { .. }) = event {
                return element;
            }
        }
    });
    let element = tokio::time::timeout(PATIENCE, started).await.expect("it registers").unwrap();
    (runtime, element)
}
