//! The messages of RSPLIB's recordings, for the tests of the services.

use std::path::Path;

use rserpool_core::association::Ppid;

use super::Service;
use crate::capture::{Capture, Carrier};

/// A message of a session.
pub(crate) struct Said {
    pub(crate) by: std::net::SocketAddr,
    pub(crate) ppid: Ppid,
    pub(crate) data: Vec<u8>,
}

/// All that was said in the sessions of `service`, and of ASAP, in a recording.
pub(crate) fn said(recording: &str, service: Service) -> Vec<Said> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let capture = Capture::open(folder.join(recording).with_extension("pcapng")).unwrap();
    let messages = capture.map(|message| message.unwrap());
    messages
        .filter(|message| !message.retransmission)
        .filter_map(|message| match message.carrier {
            Carrier::Sctp { ppid, stream, .. } => {
                assert_eq!(stream, 0);
                Some(Said { by: message.source, ppid, data: message.data })
            }
            Carrier::Udp => None,
        })
        .filter(|said| said.ppid == service.ppid() || is_cookie(said))
        .collect()
}

/// What the cookies and cookie echoes of a recording hold.
pub(crate) fn cookies(recording: &str, service: Service) -> Vec<Vec<u8>> {
    let said = said(recording, service);
    said.iter().filter(|said| is_cookie(said)).map(|said| said.data[8..].to_vec()).collect()
}

fn is_cookie(said: &Said) -> bool {
    said.ppid == Ppid::ASAP && matches!(said.data.first(), Some(11 | 12))
}
