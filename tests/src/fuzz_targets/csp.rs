//! Bytes as reports of the Component Status Protocol, and as what a monitor hears.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rserpool::csp::{Monitor, MonitorConfig, Report, Text};
use rserpool_core::time::Instant;

/// Reads `data` as one report, and as a series of datagrams: of each its length in two bytes, how
/// many seconds later it comes in one, and its bytes.
///
/// # Panics
///
/// If a report is not read as it is written, or a monitor keeps more than it may.
pub fn run(data: &[u8]) {
    check_report(data);
    let mut config = MonitorConfig::default();
    (config.component_count_max, config.association_count_max) = (COMPONENTS_MAX, 2);
    let mut monitor = Monitor::new(config);
    let mut now = Instant::from_millis(1_000);
    let mut rest = data;
    let mut refused = 0;
    while let Some((&[high, low, seconds], tail)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (datagram, tail) = tail.split_at(len);
        now += Duration::from_secs(seconds.into());
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2_960);
        refused += u64::from(monitor.handle_datagram(now, source, datagram).is_err());
        check_report(datagram);
        check_monitor(&mut monitor, now, refused);
        rest = tail;
    }
    monitor.handle_timeout(now + Duration::from_secs(3_600));
    assert_eq!(monitor.components().count(), 0, "nobody is remembered for ever");
}

fn check_report(data: &[u8]) {
    let Ok(report) = Report::parse(data) else { return };
    let bytes = report.to_bytes();
    assert_eq!(bytes.len(), data.len());
    assert_eq!(Report::parse(&bytes), Ok(report.clone()));
    for text in [&report.location, &report.status] {
        assert!(text.as_str().len() <= Text::LEN_MAX);
        assert!(!text.as_str().chars().any(char::is_control));
    }
    if let Some(workload) = report.workload {
        assert!((0.0..=1.0).contains(&workload.fraction()));
    }
}

fn check_monitor(monitor: &mut Monitor, now: Instant, refused: u64) {
    assert_eq!(monitor.refused_count(), refused);
    assert!(monitor.components().count() <= COMPONENTS_MAX);
    for (id, component) in monitor.components() {
        assert_eq!(id, component.report.sender);
        assert!(component.report.associations.len() <= 2.min(component.association_count));
        assert!(component.report_count >= 1 && component.last_seen <= now);
        let _ = component.liveness(now);
    }
}

const COMPONENTS_MAX: usize = 3;
