//! One connection: bytes in and out, and how long they may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rserpool_core::association::{AssociationId, DownReason};
use rserpool_core::wire::Framer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;

/// What a machine wants of a connection.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(Vec<u8>),
    /// It is to end when all before is sent.
    End,
}

/// What the task of a connection knows.
pub(super) struct Wire {
    shared: Arc<Shared>,
    id: AssociationId,
    peer: SocketAddr,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
    framer: Framer<Vec<u8>>,
    /// When the message that is under way, or the first one, has to be whole.
    whole_by: Option<Instant>,
    last_use: Instant,
}

impl Wire {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: AssociationId,
        peer: SocketAddr,
        is_ours: bool,
        outgoing: mpsc::UnboundedReceiver<Outgoing>,
    ) -> Self {
        let now = Instant::now();
        let framer = Framer::new(vec![0; shared.config.message_len_max.next_multiple_of(4)]);
        // Who was called speaks when asked; who calls has something to say.
        let whole_by = (!is_ours).then(|| now + shared.config.message_timeout);
        Self { shared, id, peer, outgoing, framer, whole_by, last_use: now }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(mut self, stream: TcpStream) {
        // Whoever asks waits for the answer.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let reason = self.serve(reader, writer).await;
        self.shared.on_end(self.id, reason);
    }

    async fn serve(
        &mut self,
        mut reader: OwnedReadHalf,
        mut writer: OwnedWriteHalf,
    ) -> DownReason {
        let mut piece = vec![0; PIECE_LEN];
        loop {
            let deadline = self.deadline();
            tokio::select! {
                read = reader.read(&mut piece) => match read {
                    Ok(0) if self.framer.is_within_message() => return DownReason::Aborted,
                    Ok(0) => return DownReason::Shutdown,
                    Ok(len) => {
                        if !self.on_bytes(&piece[..len]).await {
                            return DownReason::Aborted;
                        }
                    }
                    Err(_) => return DownReason::Lost,
                },
                outgoing = self.outgoing.recv() => match outgoing {
                    Some(Outgoing::Message(data)) => {
                        let writing = writer.write_all(&data);
                        let written = timeout(self.shared.config.message_timeout, writing).await;
                        if !matches!(written, Ok(Ok(()))) {
                            return DownReason::Lost;
                        }
                        self.shared.sent(self.id, data.len());
                        self.last_use = Instant::now();
                    }
                    Some(Outgoing::End) | None => {
                        let _ = timeout(END_TIMEOUT, end(&mut reader, &mut writer)).await;
                        return DownReason::Shutdown;
                    }
                },
                () = sleep_until(deadline) => return DownReason::Lost,
            }
        }
    }

    /// Takes what has come; false if the stream is useless, or not wanted any more.
    async fn on_bytes(&mut self, mut bytes: &[u8]) -> bool {
        self.last_use = Instant::now();
        loop {
            match self.framer.next_message(&mut bytes) {
                Ok(Some(message)) => {
                    self.whole_by = None;
                    if !self.shared.deliver(self.id, self.peer, message).await {
                        return false;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "TCP connection ended");
                    return false;
                }
            }
        }
        if self.framer.is_within_message() {
            let whole_by = Instant::now() + self.shared.config.message_timeout;
            self.whole_by.get_or_insert(whole_by);
        }
        true
    }

    fn deadline(&self) -> Instant {
        let idle_timeout = self.shared.config.idle_timeout.min(FOR_EVER);
        let idle_at = self.last_use + idle_timeout;
        self.whole_by.map_or(idle_at, |whole_by| whole_by.min(idle_at))
    }
}

/// Says that there is no more to come, and waits for the peer to say the same.
async fn end(reader: &mut OwnedReadHalf, writer: &mut OwnedWriteHalf) {
    if writer.shutdown().await.is_ok() {
        let mut ignored = [0; 1_024];
        while matches!(reader.read(&mut ignored).await, Ok(1..)) {}
    }
}

/// How many bytes are read at once.
const PIECE_LEN: usize = 2_048;

/// How long a peer may take to end a connection that we have ended.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// A span that clocks can add.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
