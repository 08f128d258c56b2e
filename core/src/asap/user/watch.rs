//! Pools whose changes the user wants to hear of. Read RFC 5352 §2.2.5 and §2.2.6 before editing.
//!
//! ```text
//!            A bit                    no A bit, no such pool, no answer
//!   Asking ---------> Subscribed    Asking -----------------------------> Again
//!      ^                  |            ^                                    |
//!      +------------------+            +------------------------------------+
//!       another registrar                          watch_interval
//! ```

use super::pools::{Request, Watch};
use super::{PoolUser, PoolUserEvent, PoolUserFull};
use crate::identifier::PoolHandle;
use crate::time::Instant;

impl<const POOLS: usize, const ELEMENTS: usize, const WAITING: usize>
    PoolUser<POOLS, ELEMENTS, WAITING>
{
    /// Wants to hear of the changes of `pool`: [`PoolUserEvent::Updated`] tells of each, first of
    /// what there is now. What is known of a watched pool is current, and answers resolutions.
    ///
    /// A registrar that does not tell of changes is asked every
    /// [`watch_interval`](super::PoolUserConfig::watch_interval).
    ///
    /// # Errors
    ///
    /// If as many pools are resolved or watched as there is room for.
    pub fn watch(&mut self, now: Instant, pool: PoolHandle<'_>) -> Result<(), PoolUserFull> {
        let index = self.pool_index(now, pool).ok_or(PoolUserFull::Pools)?;
        if self.pools[index].watch == Watch::No {
            self.ask_to_watch(now, index);
        }
        Ok(())
    }

    /// Wants to hear no more of `pool`.
    pub fn unwatch(&mut self, now: Instant, pool: PoolHandle<'_>) {
        let t1 = now + self.config.timers.t1_request;
        let known = self.pools.iter_mut().find(|entry| entry.handle.as_handle() == pool);
        let Some(entry) = known else { return };
        let before = core::mem::take(&mut entry.watch);
        entry.is_news = false;
        if before == Watch::Subscribed {
            // Asking without the S bit ends it.
            entry.want(1, t1);
        }
    }

    fn ask_to_watch(&mut self, now: Instant, index: usize) {
        let t1 = now + self.config.timers.t1_request;
        let pool = &mut self.pools[index];
        pool.watch = Watch::Asking;
        pool.want(u32::try_from(ELEMENTS).unwrap_or(u32::MAX), t1);
        self.hunt_if_homeless(now);
    }

    /// What there is in a pool has been told: in answer to `request`, or as an update.
    pub(super) fn on_watched(
        &mut self,
        now: Instant,
        index: usize,
        request: Option<Request>,
        is_subscribed: bool,
    ) {
        if self.pools[index].watch == Watch::No {
            return;
        }
        self.pools[index].is_news = true;
        self.last_use = now;
        if is_subscribed {
            self.pools[index].watch = Watch::Subscribed;
        } else if request.is_some_and(|request| !request.subscribes) {
            // It was sent before anybody wanted to watch.
            self.ask_to_watch(now, index);
        } else {
            self.watch_again(now, index);
        }
    }

    pub(super) fn watch_again(&mut self, now: Instant, index: usize) {
        let pool = &mut self.pools[index];
        if pool.watch != Watch::No {
            pool.watch = Watch::Again { at: now + self.config.watch_interval };
        }
    }

    /// RFC 5352 §2.2.5: registrars do not share their subscriptions.
    pub(super) fn lose_subscriptions(&mut self, now: Instant) {
        let t1 = now + self.config.timers.t1_request;
        for pool in self.pools.iter_mut().filter(|pool| pool.watch == Watch::Subscribed) {
            pool.watch = Watch::Asking;
            pool.want(u32::try_from(ELEMENTS).unwrap_or(u32::MAX), t1);
        }
    }

    pub(super) fn watch_deadline(&self) -> Option<Instant> {
        let again = self.pools.iter().filter_map(|pool| match pool.watch {
            Watch::Again { at } => Some(at),
            _ => None,
        });
        again.min()
    }

    pub(super) fn on_watch_due(&mut self, now: Instant) {
        for index in 0..self.pools.len() {
            if let Watch::Again { at } = self.pools[index].watch
                && at <= now
            {
                self.ask_to_watch(now, index);
            }
        }
    }

    /// The next watched pool that the user has not heard of since it was told anew.
    pub(super) fn next_news(&mut self) -> Option<PoolUserEvent> {
        let pool = self.pools.iter_mut().find(|pool| pool.is_news)?;
        pool.is_news = false;
        Some(PoolUserEvent::Updated { pool: pool.handle })
    }
}
