//! Reports of the components of this process.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::entropy::Entropy;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::report::{Association, ComponentId, Report, Workload};
use super::text::Text;
use crate::clock::OsEntropy;
use crate::transport::Transport;

/// Where and how often a component reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CspConfig {
    /// The monitor.
    pub server: SocketAddr,
    /// The time between two reports; no shorter than [`CspConfig::INTERVAL_MIN`].
    pub interval: Duration,
}

impl CspConfig {
    /// No component reports more often.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(10);

    /// Reports to `server` once a second.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        Self { server, interval: Duration::from_secs(1) }
    }
}

/// How a component is.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) text: String,
    pub(crate) workload: Option<Workload>,
    pub(crate) associations: Vec<Association>,
}

/// What reports for a component. Dropping it says good-bye.
///
/// Reports are a courtesy: what cannot be sent is lost.
#[derive(Debug)]
pub(crate) struct Reporter {
    socket: UdpSocket,
    server: SocketAddr,
    sender: ComponentId,
    location: Text,
    interval: Interval,
    first_at: Option<Instant>,
}

impl Reporter {
    /// Reports for the component `sender` at `location`, as configured.
    pub(crate) fn start(
        config: Option<CspConfig>,
        sender: ComponentId,
        location: String,
    ) -> Option<Self> {
        let CspConfig { server, interval } = config?;
        let socket = match open(server) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, %server, "no status reports: a socket cannot be opened");
                return None;
            }
        };
        let mut interval = tokio::time::interval(interval.max(CspConfig::INTERVAL_MIN));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let location = Text::new(&location);
        Some(Self { socket, server, sender, location, interval, first_at: None })
    }

    /// Sends a report.
    pub(crate) fn report(&mut self, status: Status) {
        let now = Instant::now();
        let first_at = *self.first_at.get_or_insert(now);
        let mut associations = status.associations;
        associations.truncate(ASSOCIATIONS_TOLD_MAX);
        self.send(&Report {
            sender: self.sender,
            is_final: false,
            uptime: now.saturating_duration_since(first_at),
            interval: self.interval.period(),
            location: self.location.clone(),
            status: Text::new(&status.text),
            workload: status.workload,
            associations,
        });
    }

    fn send(&self, report: &Report) {
        if let Err(error) = self.socket.send_to(&report.to_bytes(), self.server) {
            tracing::debug!(%error, server = %self.server, "a report is lost");
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let Some(first_at) = self.first_at else { return };
        self.send(&Report {
            sender: self.sender,
            is_final: true,
            uptime: first_at.elapsed(),
            interval: self.interval.period(),
            location: Text::default(),
            status: Text::default(),
            workload: None,
            associations: Vec::new(),
        });
    }
}

/// Waits until a report is due; for ever if nobody reports. Cancelling it loses nothing.
pub(crate) async fn report_due(reporter: &mut Option<Reporter>) {
    match reporter {
        Some(reporter) => drop(reporter.interval.tick().await),
        None => std::future::pending().await,
    }
}

/// A number for a pool user, which has no identifier in ASAP.
pub(crate) fn random_user() -> ComponentId {
    ComponentId::pool_user(OsEntropy.next_u64())
}

/// An SCTP association with `receiver` since `since`.
pub(crate) fn association(
    receiver: ComponentId,
    ppid: Ppid,
    since: Option<Instant>,
) -> Association {
    let duration = since.map(|since| since.elapsed());
    Association { receiver, duration, protocol: Association::SCTP, ppid }
}

/// `3 Sessions`, as RSPLIB counts.
pub(crate) fn counted(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

/// What is told by who has no registrar.
pub(crate) const LOOKING: &str = "Looking for Registrar ...";

/// Where a component is, as RSPLIB writes it: `node7: 10.0.0.7:3863, 192.168.0.7:3863`.
pub(crate) fn location(transport: &Transport, port: Option<u16>) -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = name.unwrap_or_default();
    let known = transport.local_addresses();
    // Loopback says nothing unless it is all there is.
    let is_alone = known.iter().all(IpAddr::is_loopback);
    let told = known.into_iter().filter(|address| is_alone || !address.is_loopback());
    let place = |address: IpAddr| match port {
        Some(port) => SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    };
    format!("{name}: {}", told.map(place).collect::<Vec<_>>().join(", "))
}

fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0; 16], 0)),
    };
    // Not connected, so that it does not hear that the monitor is not there yet.
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// As many associations as fit into an Ethernet frame.
const ASSOCIATIONS_TOLD_MAX: usize = 49;

#[cfg(test)]
mod tests {
    use rserpool_core::identifier::PeId;

    use super::*;

    fn heard(socket: &UdpSocket) -> Report {
        let mut buf = [0; 65_536];
        let (len, _) = socket.recv_from(&mut buf).unwrap();
        Report::parse(&buf[..len]).unwrap()
    }

    fn server() -> (UdpSocket, CspConfig) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let config = CspConfig::new(socket.local_addr().unwrap());
        (socket, config)
    }

    #[tokio::test]
    async fn a_component_reports_and_says_good_bye() {
        let (socket, config) = server();
        let id = ComponentId::pool_element(PeId(7));
        let mut reporter = Reporter::start(Some(config), id, "here".into());
        report_due(&mut reporter).await;
        let with = association(ComponentId::pool_user(1), Ppid::COMPUTE, None);
        reporter.as_mut().unwrap().report(Status {
            text: "3 Sessions".into(),
            workload: Some(Workload::of(1.0)),
            associations: vec![with; 100],
        });
        let first = heard(&socket);
        assert_eq!((first.sender, first.uptime, first.is_final), (id, Duration::ZERO, false));
        assert_eq!((first.location.as_str(), first.status.as_str()), ("here", "3 Sessions"));
        assert_eq!(first.interval, Duration::from_secs(1));
        assert_eq!(first.associations, vec![with; ASSOCIATIONS_TOLD_MAX]);
        drop(reporter);
        let last = heard(&socket);
        assert_eq!((last.sender, last.is_final, last.status.as_str()), (id, true, ""));
    }

    #[tokio::test]
    async fn who_has_not_reported_does_not_say_good_bye() {
        let (socket, config) = server();
        let id = ComponentId::pool_element(PeId(7));
        drop(Reporter::start(Some(config), id, "here".into()));
        let mut other = Reporter::start(Some(config), ComponentId::pool_user(1), "there".into());
        let status = Status { text: String::new(), workload: None, associations: Vec::new() };
        other.as_mut().unwrap().report(status);
        assert_eq!(heard(&socket).sender, ComponentId::pool_user(1));
    }

    #[test]
    fn things_are_counted_as_rsplib_does() {
        assert_eq!(counted(0, "Peer"), "0 Peers");
        assert_eq!(counted(1, "Session"), "1 Session");
    }

    #[tokio::test]
    async fn a_location_has_the_addresses_that_others_can_use() {
        use crate::transport::TransportConfig;

        let transport = Transport::start(TransportConfig::at("127.0.0.1".parse().unwrap()));
        let place = location(&transport, Some(3863));
        assert!(place.ends_with(": 127.0.0.1:3863"), "{place}");
        assert!(location(&transport, None).ends_with(": 127.0.0.1"));
    }
}
