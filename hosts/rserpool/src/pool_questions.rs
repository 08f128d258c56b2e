//! What a task asks about the pool that it uses, without waiting for the answers.

use rserpool_core::asap::ResolvedElement;
use rserpool_core::identifier::{PeId, PoolHandleBuf};
use tokio::sync::mpsc;

use crate::pool_user::{PoolUser, ResolveError};

/// What came of a resolution.
pub(crate) type Resolution = Result<Vec<ResolvedElement>, ResolveError>;

/// Asks a pool user; answers come one after the other.
#[derive(Debug)]
pub(crate) struct PoolQuestions {
    pub(crate) user: PoolUser,
    pool: PoolHandleBuf,
    sender: mpsc::Sender<Resolution>,
    answers: mpsc::Receiver<Resolution>,
    /// Why the pool was not resolved when last tried, if it was not.
    pub(crate) last_error: Option<ResolveError>,
}

impl PoolQuestions {
    /// Asks `user` about `pool`.
    pub(crate) fn new(user: PoolUser, pool: PoolHandleBuf) -> Self {
        let (sender, answers) = mpsc::channel(1);
        Self { user, pool, sender, answers, last_error: None }
    }

    /// Asks for at most `items` elements; [`answer`](Self::answer) brings them.
    pub(crate) fn resolve(&self, items: u32) {
        let (user, pool, sender) = (self.user.clone(), self.pool, self.sender.clone());
        tokio::spawn(async move {
            let _ = sender.send(user.resolve(pool, Some(items)).await).await;
        });
    }

    /// Reports an element.
    pub(crate) fn report_unreachable(&self, element: PeId) {
        let (user, pool) = (self.user.clone(), self.pool);
        tokio::spawn(async move { user.report_unreachable(pool, element).await });
    }

    /// The next answer. Nothing is lost if the future is dropped.
    pub(crate) async fn answer(&mut self) -> Resolution {
        let answer = self.answers.recv().await.expect("there is a sender here");
        if let Err(error) = &answer {
            tracing::debug!(%error, "pool not resolved");
        }
        self.last_error = answer.as_ref().err().copied();
        answer
    }
}
