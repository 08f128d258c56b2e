//! The components as JSON.

use std::net::SocketAddr;

use rserpool::csp::{Association, ComponentKind, Liveness, Monitor};
use rserpool_core::time::Instant;
use serde_json::{Value, json};

use super::row::{protocol, rows};

/// All that is known at `address`.
pub(super) fn of(address: SocketAddr, monitor: &Monitor, now: Instant) -> Value {
    let rows = rows(monitor, now);
    let sources = monitor.components().map(|(_, component)| component);
    let components: Vec<_> = rows
        .iter()
        .zip(sources)
        .map(|(row, component)| {
            json!({
                "type": kind(row.id.kind()),
                "identifier": row.id.to_string(),
                "location": row.location,
                "status": row.status,
                "state": match row.liveness {
                    Liveness::Alive => "alive",
                    Liveness::Silent => "silent",
                    Liveness::Stopped => "stopped",
                },
                "uptime_seconds": row.uptime.as_secs_f64(),
                "interval_seconds": component.report.interval.as_secs_f64(),
                "workload": row.workload,
                "association_count": row.association_count,
                "associations": row.associations.iter().map(association).collect::<Vec<_>>(),
                "seen_seconds_ago": row.seen.as_secs_f64(),
                "reports": component.report_count,
                "source": component.source.to_string(),
            })
        })
        .collect();
    json!({
        "address": address.to_string(),
        "components": components,
        "refused": monitor.refused_count(),
    })
}

fn association(association: &Association) -> Value {
    json!({
        "type": kind(association.receiver.kind()),
        "identifier": association.receiver.to_string(),
        "protocol": protocol(association.ppid),
        "ppid": association.ppid.0,
        "seconds": association.duration.map(|span| span.as_secs_f64()),
    })
}

fn kind(kind: ComponentKind) -> String {
    match kind {
        ComponentKind::REGISTRAR => "registrar".into(),
        ComponentKind::POOL_ELEMENT => "element".into(),
        ComponentKind::POOL_USER => "user".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    #[test]
    fn everything_of_the_table_is_in_the_json() {
        let (monitor, now) = row::tests::monitor();
        let json = of("127.0.0.1:2960".parse().unwrap(), &monitor, now);
        assert_eq!(json["address"], "127.0.0.1:2960");
        let element = &json["components"][1];
        assert_eq!(element["type"], "element");
        assert_eq!(element["identifier"], "0xaaaa0001");
        assert_eq!(element["uptime_seconds"], 3_723.0);
        assert!((element["workload"].as_f64().unwrap() - 0.75).abs() < 0.001);
        assert_eq!(element["associations"][0]["protocol"], "ASAP");
        assert_eq!(json["components"][2]["state"], "silent");
        assert_eq!(json["components"][0]["workload"], Value::Null);
        assert_eq!(json["refused"], 0);
    }
}
