//! The components as plain lines.

use super::row::{Row, ago, association, clock, percent, summary};
use rserpool::csp::Liveness;

/// A table as wide as it needs to be, and a line for each association below its component.
pub(super) fn of(rows: &[Row]) -> String {
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: [usize; 8] = std::array::from_fn(|column| {
        lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for (index, cells) in lines.iter().enumerate() {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += padded.collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
        let row = index.checked_sub(1).and_then(|index| rows.get(index));
        for with in row.into_iter().flat_map(|row| &row.associations) {
            text += &format!("    - {}\n", association(with));
        }
    }
    text + &summary(rows) + "\n"
}

fn cells(row: &Row) -> [String; 8] {
    let seen = match row.liveness {
        Liveness::Silent => format!("{}, silent", ago(row.seen)),
        _ => ago(row.seen),
    };
    [
        row.id.kind().to_string(),
        row.id.to_string(),
        row.location.clone(),
        row.status.clone(),
        clock(row.uptime),
        percent(row.workload),
        row.association_count.to_string(),
        seen,
    ]
}

const HEADS: [&str; 8] = ["TYPE", "ID", "LOCATION", "STATUS", "UP", "LOAD", "ASSOC", "SEEN"];

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    #[test]
    fn the_table_is_as_wide_as_its_cells() {
        let (monitor, now) = row::tests::monitor();
        let expected = "\
TYPE  ID          LOCATION         STATUS                       UP       LOAD  ASSOC  SEEN
PR    0x11111111  10.77.0.11:3863  1[1] PEs in 1 Pool, 0 Peers  1:02:04        0      1.0 s
PE    0xaaaa0001  10.77.0.21       2 Sessions                   1:02:03  75 %  1      0.0 s
    - PR not known yet ASAP 0:00:12
PU    0x00c0ffee  10.77.0.31       17 of 240 packages           1:02:03        1      7.0 s, silent
    - PE 0xaaaa0001 Compute 0:00:12
1 registrar, 1 element, 1 user
";
        assert_eq!(of(&row::rows(&monitor, now)), expected);
    }
}
