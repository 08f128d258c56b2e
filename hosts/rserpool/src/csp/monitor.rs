//! What a monitor knows of components, from their reports.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::time::Instant;
use tokio::net::UdpSocket;

use super::report::{ComponentId, Report, ReportError};
use crate::clock::Clock;

/// What a monitor keeps, and for how long.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MonitorConfig {
    /// The most components.
    pub component_count_max: usize,
    /// The most associations that are kept of each.
    pub association_count_max: usize,
    /// How long a component may be silent before it is forgotten, or ten of its intervals if
    /// that is longer.
    pub expiry: Duration,
    /// How long one is remembered that has said good-bye.
    pub farewell: Duration,
}

impl Default for MonitorConfig {
    /// 4096 components of 64 associations, 30 s of silence, 10 s after a good-bye.
    fn default() -> Self {
        Self {
            component_count_max: 4_096,
            association_count_max: 64,
            expiry: Duration::from_secs(30),
            farewell: Duration::from_secs(10),
        }
    }
}

/// A component, as its monitor knows it.
#[derive(Clone, Debug)]
pub struct Component {
    /// Where its last report came from.
    pub source: SocketAddr,
    /// Its last report, with as many associations as are kept.
    pub report: Report,
    /// How many associations it has.
    pub association_count: usize,
    /// How many reports have come.
    pub report_count: u64,
    /// When the last one came.
    pub last_seen: Instant,
}

/// Whether a component is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It reports as often as it says.
    Alive,
    /// It has been silent for three of its intervals.
    Silent,
    /// It has said good-bye.
    Stopped,
}

impl Component {
    /// Whether it is there.
    #[must_use]
    pub fn liveness(&self, now: Instant) -> Liveness {
        let patience = self.report.interval.saturating_mul(3).max(PATIENCE_MIN);
        match self.report.is_final {
            true => Liveness::Stopped,
            false if now.saturating_duration_since(self.last_seen) >= patience => Liveness::Silent,
            false => Liveness::Alive,
        }
    }

    /// When it is forgotten.
    fn end(&self, config: &MonitorConfig) -> Instant {
        let span = match self.report.is_final {
            true => config.farewell,
            false => config.expiry.max(self.report.interval.saturating_mul(10)),
        };
        self.last_seen + span.min(EXPIRY_MAX)
    }
}

/// A table of components, without socket or clock.
#[derive(Debug, Default)]
pub struct Monitor {
    config: MonitorConfig,
    components: BTreeMap<ComponentId, Component>,
    refused_count: u64,
}

/// Why a datagram is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// It is no report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// There are as many components as are kept.
    #[error("there is no room for another component")]
    Full,
}

impl Monitor {
    /// A monitor that has heard nothing yet.
    #[must_use]
    pub fn new(config: MonitorConfig) -> Self {
        Self { config, components: BTreeMap::new(), refused_count: 0 }
    }

    /// Takes a datagram.
    ///
    /// # Errors
    ///
    /// If it is no report, or if there is no room for its sender.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<ComponentId, MonitorError> {
        let result = self.take(now, source, bytes);
        self.refused_count += u64::from(result.is_err());
        result
    }

    fn take(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<ComponentId, MonitorError> {
        let mut report = Report::parse(bytes)?;
        let (id, association_count) = (report.sender, report.associations.len());
        report.associations.truncate(self.config.association_count_max);
        report.associations.shrink_to_fit();
        let mut report_count = 1;
        if self.components.len() >= self.config.component_count_max {
            self.handle_timeout(now);
        }
        match self.components.get(&id) {
            Some(known) => {
                report_count += known.report_count;
                if report.is_final {
                    // A good-bye has no texts: what was known still says where it was.
                    report.location = known.report.location.clone();
                }
            }
            None if self.components.len() >= self.config.component_count_max => {
                return Err(MonitorError::Full);
            }
            None => {}
        }
        let last_seen = now;
        let component = Component { source, report, association_count, report_count, last_seen };
        self.components.insert(id, component);
        Ok(id)
    }

    /// Forgets who has been silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let config = self.config;
        self.components.retain(|_, component| component.end(&config) > now);
    }

    /// All components: registrars, pool elements, pool users, each by their numbers.
    pub fn components(&self) -> impl Iterator<Item = (ComponentId, &Component)> {
        self.components.iter().map(|(id, component)| (*id, component))
    }

    /// How many datagrams were not taken.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused_count
    }
}

/// A monitor with its socket.
#[derive(Debug)]
pub struct MonitorSocket {
    monitor: Monitor,
    socket: UdpSocket,
    clock: Clock,
    buf: Vec<u8>,
}

impl MonitorSocket {
    /// Listens at `address`.
    ///
    /// # Errors
    ///
    /// If it cannot be bound.
    pub async fn bind(address: SocketAddr, config: MonitorConfig) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let monitor = Monitor::new(config);
        Ok(Self { monitor, socket, clock: Clock::start(), buf: vec![0; DATAGRAM_LEN_MAX] })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If the operating system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes the next datagram, whatever it is. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// If the socket has failed.
    pub async fn step(&mut self) -> io::Result<()> {
        let (len, source) = self.socket.recv_from(&mut self.buf).await?;
        let bytes = self.buf.get(..len).unwrap_or_default();
        if let Err(error) = self.monitor.handle_datagram(self.clock.now(), source, bytes) {
            tracing::debug!(%source, %error, "datagram refused");
        }
        Ok(())
    }

    /// What is known now, and when that is.
    pub fn view(&mut self) -> (&Monitor, Instant) {
        let now = self.clock.now();
        self.monitor.handle_timeout(now);
        (&self.monitor, now)
    }
}

/// A component that reports more often is not missed before this.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// However seldom a component reports, it is not remembered for longer.
const EXPIRY_MAX: Duration = Duration::from_secs(3_600);

/// Longer than any datagram.
const DATAGRAM_LEN_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use rserpool_core::identifier::PeId;

    use super::*;
    use crate::csp::{Association, Text};

    const START: Instant = Instant::from_millis(1_000);

    fn source() -> SocketAddr {
        "10.77.0.21:4444".parse().unwrap()
    }

    fn element(number: u32) -> Report {
        Report {
            sender: ComponentId::pool_element(PeId(number)),
            is_final: false,
            uptime: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            location: Text::new("here"),
            status: Text::new("fine"),
            workload: None,
            associations: Vec::new(),
        }
    }

    fn monitor(component_count_max: usize) -> Monitor {
        Monitor::new(MonitorConfig { component_count_max, ..MonitorConfig::default() })
    }

    fn tell(monitor: &mut Monitor, now: Instant, report: &Report) -> Result<(), MonitorError> {
        monitor.handle_datagram(now, source(), &report.to_bytes()).map(drop)
    }

    #[test]
    fn the_last_report_counts() {
        let mut monitor = monitor(4);
        tell(&mut monitor, START, &element(7)).unwrap();
        let later = Report { status: Text::new("better"), ..element(7) };
        tell(&mut monitor, START + Duration::from_secs(1), &later).unwrap();
        let components: Vec<_> = monitor.components().collect();
        let [(id, component)] = components[..] else { panic!("{components:?}") };
        assert_eq!(id, later.sender);
        assert_eq!((component.report_count, &component.report), (2, &later));
        assert_eq!(component.source, source());
    }

    #[test]
    fn there_are_no_more_components_than_configured() {
        let mut monitor = monitor(2);
        for number in 1..=2 {
            tell(&mut monitor, START, &element(number)).unwrap();
        }
        assert_eq!(tell(&mut monitor, START, &element(3)), Err(MonitorError::Full));
        assert_eq!(monitor.refused_count(), 1);
        // Those that are known are heard as before.
        tell(&mut monitor, START, &element(2)).unwrap();
        // When they are forgotten there is room again.
        tell(&mut monitor, START + Duration::from_secs(30), &element(3)).unwrap();
        assert_eq!(monitor.components().count(), 1);
    }

    #[test]
    fn who_is_silent_is_missed_and_then_forgotten() {
        let mut monitor = monitor(2);
        tell(&mut monitor, START, &element(1)).unwrap();
        let liveness = |monitor: &Monitor, now| {
            monitor.components().next().map(|(_, component)| component.liveness(now))
        };
        let at = |secs| START + Duration::from_secs(secs);
        assert_eq!(liveness(&monitor, at(2)), Some(Liveness::Alive));
        assert_eq!(liveness(&monitor, at(3)), Some(Liveness::Silent));
        monitor.handle_timeout(at(29));
        assert_eq!(liveness(&monitor, at(29)), Some(Liveness::Silent));
        monitor.handle_timeout(at(30));
        assert_eq!(liveness(&monitor, at(30)), None);
    }

    #[test]
    fn a_component_that_reports_seldom_is_remembered_for_longer_but_not_for_ever() {
        let mut monitor = monitor(2);
        let seldom = Report { interval: Duration::from_secs(60), ..element(1) };
        tell(&mut monitor, START, &seldom).unwrap();
        let never = Report { interval: Duration::from_secs(4_000), ..element(2) };
        tell(&mut monitor, START, &never).unwrap();
        monitor.handle_timeout(START + Duration::from_secs(599));
        assert_eq!(monitor.components().count(), 2);
        monitor.handle_timeout(START + Duration::from_secs(600));
        assert_eq!(monitor.components().count(), 1);
        monitor.handle_timeout(START + EXPIRY_MAX);
        assert_eq!(monitor.components().count(), 0);
    }

    #[test]
    fn a_good_bye_is_shown_for_a_moment() {
        let mut monitor = monitor(2);
        tell(&mut monitor, START, &element(1)).unwrap();
        let mut last = Report { is_final: true, ..element(1) };
        (last.location, last.status) = (Text::default(), Text::default());
        tell(&mut monitor, START, &last).unwrap();
        let (_, component) = monitor.components().next().unwrap();
        assert_eq!(component.liveness(START), Liveness::Stopped);
        assert_eq!(component.report.location.as_str(), "here");
        monitor.handle_timeout(START + Duration::from_secs(10));
        assert_eq!(monitor.components().count(), 0);
    }

    #[test]
    fn of_many_associations_some_are_kept_and_all_are_counted() {
        let mut monitor = monitor(2);
        let association = Association {
            receiver: ComponentId::pool_user(7),
            duration: None,
            protocol: Association::SCTP,
            ppid: rserpool_core::association::Ppid::COMPUTE,
        };
        let busy = Report { associations: vec![association; 100], ..element(1) };
        tell(&mut monitor, START, &busy).unwrap();
        let (_, component) = monitor.components().next().unwrap();
        assert_eq!(component.association_count, 100);
        assert_eq!(component.report.associations.len(), 64);
    }

    #[test]
    fn what_is_no_report_is_counted() {
        let mut monitor = monitor(2);
        let result = monitor.handle_datagram(START, source(), b"hello");
        assert_eq!(result, Err(MonitorError::Report(ReportError::Length(5))));
        assert_eq!(monitor.refused_count(), 1);
    }
}
