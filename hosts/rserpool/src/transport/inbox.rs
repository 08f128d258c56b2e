//! The queue from the transport to the task that owns a machine.
//!
//! The transport never waits for a machine. Messages stay in the association's receive buffer
//! while the queue has no room, so that the peer's window closes; what must not get lost (an
//! association that came or went) is always taken, and is bounded by the number of associations.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use rserpool_core::association::{AssociationId, ConnectId, DownReason, Input, Ppid, StreamId};
use tokio::sync::Notify;

/// An [`Input`] that owns its bytes.
#[derive(Debug)]
pub(crate) enum OwnedInput {
    Up {
        association: AssociationId,
        connect: Option<ConnectId>,
        peer_addresses: Vec<IpAddr>,
        peer_port: u16,
    },
    UserUp {
        association: AssociationId,
        peer_addresses: Vec<IpAddr>,
        peer_port: u16,
    },
    ConnectFailed {
        connect: ConnectId,
    },
    Message {
        association: AssociationId,
        stream: StreamId,
        ppid: Ppid,
        data: Vec<u8>,
    },
    Restarted {
        association: AssociationId,
    },
    RoundTrip {
        association: AssociationId,
        micros: u32,
    },
    Down {
        association: AssociationId,
        reason: DownReason,
    },
}

impl OwnedInput {
    /// The input, borrowed.
    pub(crate) fn as_input(&self) -> Input<'_> {
        match *self {
            Self::Up { association, connect, ref peer_addresses, peer_port } => {
                Input::Up { association, connect, peer_addresses, peer_port }
            }
            Self::UserUp { association, ref peer_addresses, peer_port } => {
                Input::UserUp { association, peer_addresses, peer_port }
            }
            Self::ConnectFailed { connect } => Input::ConnectFailed { connect },
            Self::Message { association, stream, ppid, ref data } => {
                Input::Message { association, stream, ppid, data }
            }
            Self::Restarted { association } => Input::Restarted { association },
            Self::RoundTrip { association, micros } => Input::RoundTrip { association, micros },
            Self::Down { association, reason } => Input::Down { association, reason },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Message { data, .. } => data.len(),
            _ => 0,
        }
    }
}

/// One end of the queue; both ends are the same.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Tells the machine's task that there is something, or that there will never be again.
    arrived: Notify,
    /// Tells the transport that there is room again.
    room: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    inputs: VecDeque<OwnedInput>,
    data_len: usize,
    /// The transport has something that it could not hand over.
    is_starved: bool,
    is_closed: bool,
}

impl Inbox {
    /// An empty queue. `room` is notified when it has room again after it had none.
    pub(crate) fn new(room: Arc<Notify>) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), arrived: Notify::new(), room }))
    }

    /// Whether a message may be pushed. If not, `room` will be notified once it may.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = self.lock();
        let has_room = state.data_len < DATA_LEN_MAX && state.inputs.len() < INPUT_COUNT_MAX;
        state.is_starved |= !has_room;
        has_room
    }

    /// Appends `input`; messages only after [`has_room`](Self::has_room).
    pub(crate) fn push(&self, input: OwnedInput) {
        let mut state = self.lock();
        state.data_len += input.len();
        state.inputs.push_back(input);
        drop(state);
        self.0.arrived.notify_one();
    }

    /// Nothing will be pushed any more.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.0.arrived.notify_one();
    }

    /// The next input; waits for one. `None` when the transport is gone.
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn pop(&self) -> Option<OwnedInput> {
        loop {
            {
                let mut state = self.lock();
                if let Some(input) = state.inputs.pop_front() {
                    state.data_len -= input.len();
                    let is_low = state.data_len <= DATA_LEN_MAX / 2;
                    if state.is_starved && is_low && state.inputs.len() <= INPUT_COUNT_MAX / 2 {
                        state.is_starved = false;
                        self.0.room.notify_one();
                    }
                    return Some(input);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.0.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panics while holding this lock")
    }
}

/// Bytes of messages that wait for a machine, above which no more are taken.
const DATA_LEN_MAX: usize = 1 << 20;

/// Inputs that wait for a machine, above which no more messages are taken.
const INPUT_COUNT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> OwnedInput {
        OwnedInput::Message {
            association: AssociationId(1),
            stream: StreamId(0),
            ppid: Ppid::ASAP,
            data: vec![0; len],
        }
    }

    #[tokio::test]
    async fn inputs_come_out_in_order_and_then_the_end() {
        let inbox = Inbox::new(Arc::default());
        inbox.push(OwnedInput::ConnectFailed { connect: ConnectId(1) });
        inbox.push(message(5));
        inbox.close();
        let first = inbox.pop().await.unwrap();
        assert_eq!(first.as_input(), Input::ConnectFailed { connect: ConnectId(1) });
        assert!(matches!(inbox.pop().await, Some(OwnedInput::Message { .. })));
        assert!(inbox.pop().await.is_none());
    }

    #[tokio::test]
    async fn the_transport_hears_of_room_after_it_was_refused() {
        let room = Arc::new(Notify::new());
        let inbox = Inbox::new(Arc::clone(&room));
        assert!(inbox.has_room());
        inbox.push(message(DATA_LEN_MAX));
        assert!(!inbox.has_room());
        inbox.pop().await.unwrap();
        room.notified().await;
        assert!(inbox.has_room());
    }
}
