//! RSPLIB's services in a matrix: a registrar a column; each element, ours and rspserver, with
//! each client, ours and RSPLIB's.
//!
//! A cell is a story: an element registers, a client resolves the pool and has a session, another
//! element registers, the first is killed, and the client goes on with the other: from the last
//! cookie, where the service has any.

mod column;
mod row;

use std::time::Duration;

use anyhow::Result;

use super::Case;
use crate::lab::Lab;
use column::{Column, RegistrarKind};
use row::{Made, ROWS};

/// A column of the matrix.
macro_rules! column {
    ($name:literal, $registrar:literal, $kind:ident) => {
        Case {
            name: $name,
            what: concat!(
                "each service of RSPLIB's, theirs and ours on both sides, at ",
                $registrar
            ),
            patience: Duration::from_secs(1_500),
            has_boards: false,
            run: |lab| run(lab, RegistrarKind::$kind),
        }
    };
}

/// Our registrar, which RSPLIB's programs reach by the kernel's SCTP over UDP.
pub(super) const UDP: Case = column!("services-udp", "rsp registrar over UDP", OursByUdp);

/// Our registrar, and all of ours with it, on the kernel's SCTP.
pub(super) const KERNEL: Case =
    column!("services-kernel", "rsp registrar on kernel SCTP", OursByKernel);

/// RSPLIB's registrar.
pub(super) const RSPLIB: Case = column!("services-rsplib", "rspregistrar", Rsplib);

/// Tells the stories of a column, all of them even if one ends badly.
fn run(lab: &mut Lab, kind: RegistrarKind) -> Result<()> {
    let mut column = Column::start(lab, kind)?;
    let mut first_failure = None;
    for row in &ROWS {
        for element in Made::BOTH {
            for client in row.clients() {
                let cell = format!(
                    "{}: {} and {}",
                    row.service,
                    element.element(row),
                    client.client(row)
                );
                let told = column.tell(lab, row, element, client);
                if let Err(error) = lab.check(&cell, told) {
                    first_failure.get_or_insert(error);
                }
            }
        }
    }
    first_failure.map_or(Ok(()), Err)
}
