//! What is shown of a component, as text.

use std::time::Duration;

use rserpool::csp::{Association, ComponentId, ComponentKind, Liveness, Monitor};
use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

/// A component.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) id: ComponentId,
    pub(super) location: String,
    pub(super) status: String,
    pub(super) uptime: Duration,
    /// From 0 to 1.
    pub(super) workload: Option<f64>,
    pub(super) association_count: usize,
    pub(super) associations: Vec<Association>,
    /// How long ago it was heard.
    pub(super) seen: Duration,
    pub(super) liveness: Liveness,
}

/// All components: registrars, pool elements, pool users.
pub(super) fn rows(monitor: &Monitor, now: Instant) -> Vec<Row> {
    let row = |(id, component): (ComponentId, &rserpool::csp::Component)| {
        let report = &component.report;
        let liveness = component.liveness(now);
        let seen = now.saturating_duration_since(component.last_seen);
        // Nobody knows whether a silent one is still up.
        let is_alive = liveness == Liveness::Alive;
        let since = if is_alive { seen } else { Duration::ZERO };
        let mut associations = report.associations.clone();
        for association in &mut associations {
            association.duration = association.duration.map(|span| span.saturating_add(since));
        }
        Row {
            id,
            location: report.location.to_string(),
            status: match liveness {
                Liveness::Stopped => "stopped".into(),
                _ => report.status.to_string(),
            },
            uptime: report.uptime.saturating_add(since),
            workload: report.workload.map(|workload| workload.fraction()),
            association_count: component.association_count,
            associations,
            seen,
            liveness,
        }
    };
    monitor.components().map(row).collect()
}

/// How many there are of each kind: `1 registrar, 3 elements, 0 users`.
pub(super) fn summary(rows: &[Row]) -> String {
    let of = |kind, word: &str| {
        let count = rows.iter().filter(|row| row.id.kind() == kind).count();
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {word}{plural}")
    };
    [
        of(ComponentKind::REGISTRAR, "registrar"),
        of(ComponentKind::POOL_ELEMENT, "element"),
        of(ComponentKind::POOL_USER, "user"),
    ]
    .join(", ")
}

/// An uptime as a clock shows it: `1:02:03`, with days before it if there are any.
pub(super) fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match days {
        0 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}d {hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// How long ago something was: `0.4 s`, `12 s`.
pub(super) fn ago(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        seconds => format!("{seconds} s"),
    }
}

/// A workload: `50 %`, or nothing.
pub(super) fn percent(workload: Option<f64>) -> String {
    workload.map_or_else(String::new, |fraction| format!("{:.0} %", fraction * 100.0))
}

/// An association: `PR 0x11111111 ASAP 0:01:02`.
pub(super) fn association(association: &Association) -> String {
    let Association { receiver, duration, ppid, .. } = association;
    let who = match receiver.number() {
        0 => "not known yet".to_owned(),
        _ => receiver.to_string(),
    };
    let since = duration.map_or_else(String::new, |span| format!(" {}", clock(span)));
    format!("{} {who} {}{since}", receiver.kind(), protocol(*ppid))
}

/// What a payload protocol identifier stands for.
pub(super) fn protocol(ppid: Ppid) -> String {
    let name = match ppid {
        Ppid::ASAP => "ASAP",
        Ppid::ENRP => "ENRP",
        Ppid::COMPUTE => "Compute",
        Ppid(32) => "Fractal",
        Ppid(33) => "PingPong",
        Ppid(34) => "CalcApp",
        Ppid(35) => "Scripting",
        Ppid(0) => "-",
        Ppid(other) => return format!("PPID {other:#x}"),
    };
    name.into()
}

#[cfg(test)]
pub(super) mod tests {
    use rserpool::csp::{MonitorConfig, Report, Text, Workload};
    use rserpool_core::identifier::{PeId, RegistrarId};

    use super::*;

    /// A registrar, an element and a user, the last of which is silent, seven seconds later.
    pub(in crate::status) fn monitor() -> (Monitor, Instant) {
        let mut monitor = Monitor::new(MonitorConfig::default());
        let start = Instant::from_millis(1_000);
        let mut report = Report {
            sender: ComponentId::pool_user(0x00c0_ffee),
            is_final: false,
            uptime: Duration::from_secs(3_723),
            interval: Duration::from_secs(1),
            location: Text::new("10.77.0.31"),
            status: Text::new("17 of 240 packages"),
            workload: None,
            associations: vec![Association {
                receiver: ComponentId::pool_element(PeId(0xaaaa_0001)),
                duration: Some(Duration::from_secs(12)),
                protocol: Association::SCTP,
                ppid: Ppid::COMPUTE,
            }],
        };
        let source = "127.0.0.1:4444".parse().unwrap();
        let mut tell = |now, report: &Report| {
            monitor.handle_datagram(now, source, &report.to_bytes()).unwrap();
        };
        tell(start, &report);
        report.sender = ComponentId::pool_element(PeId(0xaaaa_0001));
        (report.location, report.status) = (Text::new("10.77.0.21"), Text::new("2 Sessions"));
        report.workload = Some(Workload::of(0.75));
        report.associations[0].receiver = ComponentId::registrar(RegistrarId::UNKNOWN);
        report.associations[0].ppid = Ppid::ASAP;
        tell(start + Duration::from_secs(7), &report);
        report.sender = ComponentId::registrar(RegistrarId(0x1111_1111));
        report.location = Text::new("10.77.0.11:3863");
        report.status = Text::new("1[1] PEs in 1 Pool, 0 Peers");
        (report.workload, report.associations) = (None, Vec::new());
        tell(start + Duration::from_secs(6), &report);
        (monitor, start + Duration::from_secs(7))
    }

    #[test]
    fn spans_are_written_as_people_read_them() {
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
        assert_eq!(clock(Duration::from_secs(90_061)), "1d 01:01:01");
        assert_eq!(ago(Duration::from_millis(430)), "0.4 s");
        assert_eq!(ago(Duration::from_millis(12_700)), "12 s");
        assert_eq!(percent(Some(0.755)), "76 %");
    }

    #[test]
    fn registrars_come_first_and_clocks_go_on_as_long_as_somebody_is_heard() {
        let (monitor, now) = monitor();
        let rows = rows(&monitor, now);
        assert_eq!(summary(&rows), "1 registrar, 1 element, 1 user");
        let uptimes: Vec<_> = rows.iter().map(|row| row.uptime.as_secs()).collect();
        assert_eq!(uptimes, [3_724, 3_723, 3_723]);
        let alive: Vec<_> = rows.iter().map(|row| row.liveness).collect();
        assert_eq!(alive, [Liveness::Alive, Liveness::Alive, Liveness::Silent]);
    }

    #[test]
    fn an_association_is_one_line() {
        let (monitor, now) = monitor();
        let rows = rows(&monitor, now);
        assert_eq!(association(&rows[1].associations[0]), "PR not known yet ASAP 0:00:12");
        assert_eq!(association(&rows[2].associations[0]), "PE 0xaaaa0001 Compute 0:00:12");
        assert_eq!(protocol(Ppid(0x99)), "PPID 0x99");
    }
}
