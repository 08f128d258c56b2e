//! The other elements of a pool, for the business cards of one of them: it watches its pool as a
//! user of the same registrars.

use rserpool_core::asap::ResolvedElement;
use rserpool_core::identifier::PoolHandleBuf;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::pool_element::PoolElementConfig;
use crate::pool_user::{PoolUser, PoolUserConfig, StartError};
use crate::transport::Transport;

/// Watches a pool until it is dropped.
#[derive(Debug)]
pub(crate) struct Alternates {
    stage: Stage,
    pool: PoolHandleBuf,
}

#[derive(Debug)]
enum Stage {
    Waiting(Option<(PoolUser, watch::Sender<Vec<ResolvedElement>>)>),
    Watching(JoinHandle<()>),
}

impl Alternates {
    /// Prepares to watch the pool of `element`, and to tell of its elements.
    pub(crate) async fn prepare(
        transport: &Transport,
        element: &PoolElementConfig,
    ) -> Result<(Self, watch::Receiver<Vec<ResolvedElement>>), StartError> {
        let registrars = element.registrars.iter().chain(&element.last_resort).cloned().collect();
        let mut config = PoolUserConfig::new(registrars);
        config.profile = element.profile;
        config.announces.clone_from(&element.announces);
        let user = PoolUser::start(transport, config).await?;
        let (sender, elements) = watch::channel(Vec::new());
        Ok((Self { stage: Stage::Waiting(Some((user, sender))), pool: element.pool }, elements))
    }

    /// The element is registered: there is such a pool now. Begins to watch it.
    pub(crate) fn on_registered(&mut self) {
        let Stage::Waiting(prepared) = &mut self.stage else { return };
        let Some((user, sender)) = prepared.take() else { return };
        self.stage = Stage::Watching(tokio::spawn(follow(user, self.pool, sender)));
    }
}

impl Drop for Alternates {
    fn drop(&mut self) {
        if let Stage::Watching(task) = &self.stage {
            // With it goes the user, who takes leave of the registrar by itself.
            task.abort();
        }
    }
}

async fn follow(user: PoolUser, pool: PoolHandleBuf, sender: watch::Sender<Vec<ResolvedElement>>) {
    let mut watched = match user.watch(pool).await {
        Ok(watched) => watched,
        Err(error) => return tracing::warn!(%error, "no business cards"),
    };
    while let Some(elements) = watched.changed().await {
        sender.send_replace(elements);
    }
}
