//! What timers, messages and associations do to a pool user.

use super::pools::{Pool, Watch};
use super::{End, InputError, PoolUser, PoolUserEvent, ResolutionFailure};
use crate::asap::answer;
use crate::association::{AssociationId, Input};
use crate::time::Instant;
use crate::wire::Cause;
use crate::wire::asap::{AsapMessage, Error, HandleResolutionResponse};

impl<const POOLS: usize, const ELEMENTS: usize, const WAITING: usize>
    PoolUser<POOLS, ELEMENTS, WAITING>
{
    pub(super) fn on_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        match input {
            Input::Up { association, connect: Some(connect), .. } => {
                let outcome = self.hunt.on_up(association, connect);
                self.on_hunt(now, outcome);
            }
            Input::Up { connect: None, .. } | Input::UserUp { .. } | Input::RoundTrip { .. } => {}
            Input::ConnectFailed { connect } => {
                let outcome = self.hunt.on_connect_failed(now, connect, &mut self.random);
                self.on_hunt(now, outcome);
            }
            Input::Message { association, ppid, data, .. } => {
                let message = answer::parse(association, ppid, data, &mut self.owed_error)?;
                return self.on_message(now, association, message);
            }
            Input::Restarted { association } => {
                if self.hunt.is_home(association) {
                    self.lose_subscriptions(now);
                    self.ask_again();
                }
            }
            Input::Down { association, .. } => self.on_down(now, association),
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Instant,
        association: AssociationId,
        message: AsapMessage<'_>,
    ) -> Result<(), InputError> {
        if !self.hunt.is_home(association) {
            return Err(InputError::Unexpected);
        }
        match message {
            AsapMessage::HandleResolutionResponse(response) => {
                self.on_handle_resolution_response(now, &response)
            }
            AsapMessage::Error(error) => self.on_error(now, &error),
            _ => Err(InputError::Unexpected),
        }
    }

    /// RFC 5352 §3.3. RSPLIB sets no flag in a negative answer, so the error decides.
    fn on_handle_resolution_response(
        &mut self,
        now: Instant,
        response: &HandleResolutionResponse<'_>,
    ) -> Result<(), InputError> {
        let is_asked = |pool: &Pool<ELEMENTS>| pool.request.is_some_and(|request| request.sent);
        let meant = self.pools.iter().position(|pool| {
            pool.handle.as_handle() == response.pool_handle
                && (is_asked(pool) || pool.watch == Watch::Subscribed)
        });
        let index = meant.ok_or(InputError::Unexpected)?;
        let request = self.pools[index].request.filter(|request| request.sent);
        let end = match response.error {
            Some(error) => negative(error.cause()),
            None => self.fill(now, index, response),
        };
        match request {
            Some(_) => self.on_answered(now, index, end),
            None if end != End::Resolved => self.pools[index].elements.clear(),
            None => {}
        }
        let is_subscribed = response.accept && response.error.is_none();
        self.on_watched(now, index, request, is_subscribed);
        Ok(())
    }

    fn fill(
        &mut self,
        now: Instant,
        index: usize,
        response: &HandleResolutionResponse<'_>,
    ) -> End {
        let (pool, random) = (&mut self.pools[index], &mut self.random);
        // An update brings as many as the request that it goes back to.
        let items = pool.request.map_or(pool.items, |request| request.items);
        let fresh_until = now + self.config.timers.stale_cache;
        if pool.fill(items, fresh_until, response.policy, response.elements, random) {
            End::Resolved
        } else {
            End::Failed(ResolutionFailure::NoUsableElement)
        }
    }

    /// An ASAP Error is taken as the answer to the oldest request, because RSPLIB answers what it
    /// cannot parse that way, without reference to the request.
    fn on_error(&mut self, now: Instant, error: &Error<'_>) -> Result<(), InputError> {
        let sent = self.pools.iter().enumerate().filter_map(|(index, pool)| {
            pool.request.filter(|request| request.sent).map(|request| (request.t1, index))
        });
        let (_, index) = sent.min().ok_or(InputError::Unexpected)?;
        let request = self.pools[index].request;
        self.on_answered(now, index, negative(error.error.cause()));
        self.on_watched(now, index, request, false);
        Ok(())
    }

    /// Ends what the answer answers. Who wants more elements than were asked for is asked for
    /// again.
    fn on_answered(&mut self, now: Instant, index: usize, end: End) {
        self.hunt.confirm_home();
        self.last_use = now;
        let pool = &mut self.pools[index];
        let asked = pool.request.take().map_or(0, |request| request.items);
        if end != End::Resolved {
            pool.elements.clear();
        }
        let handle = pool.handle;
        let mut more = None;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.pool == handle) {
            if waiting.end.is_some() {
                continue;
            }
            if waiting.items <= asked || end != End::Resolved {
                waiting.end = Some(end);
            } else {
                more = more.max(Some(waiting.items));
            }
        }
        if let Some(items) = more {
            let t1 = now + self.config.timers.t1_request;
            self.pools[index].want(items, t1);
        }
    }

    /// RFC 5352 §3.7.2: asks again, and hunts for another registrar beside; gives up after
    /// MAX-REQUEST-RETRANSMIT repetitions.
    pub(super) fn on_t1_request(&mut self, now: Instant, index: usize) {
        let t1 = now + self.config.timers.t1_request;
        let Some(request) = &mut self.pools[index].request else { return };
        request.timeout_count = request.timeout_count.saturating_add(1);
        request.t1 = t1;
        let was_asked = request.sent;
        request.sent = false;
        if request.timeout_count <= self.config.timers.max_request_retransmit {
            let outcome = self.hunt.start(now, &mut self.random);
            self.on_hunt(now, outcome);
            return;
        }
        let homeless = self.hunt.home().is_none();
        self.pools[index].request = None;
        self.watch_again(now, index);
        let handle = self.pools[index].handle;
        let end =
            if homeless { End::NoRegistrar } else { End::Failed(ResolutionFailure::Timeout) };
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.pool == handle) {
            waiting.end.get_or_insert(end);
        }
        if was_asked && self.hunt.give_up_home(now).is_some() {
            self.tell(PoolUserEvent::RegistrarLost);
            self.lose_subscriptions(now);
            self.ask_again();
        }
        self.hunt_if_wanted(now);
    }

    fn on_down(&mut self, now: Instant, association: AssociationId) {
        if self.owed_error.as_ref().is_some_and(|owed| owed.association == association) {
            self.owed_error = None;
        }
        if self.hunt.on_down(now, association) {
            self.tell(PoolUserEvent::RegistrarLost);
            self.lose_subscriptions(now);
            self.ask_again();
            self.hunt_if_wanted(now);
        }
    }

    fn hunt_if_wanted(&mut self, now: Instant) {
        if self.wants_registrar() {
            self.hunt_if_homeless(now);
        } else if self.hunt.home().is_none() {
            self.hunt.stop();
        }
    }

    /// The next resolution that has ended and that the user has not heard of.
    pub(super) fn next_end(&mut self) -> Option<PoolUserEvent> {
        let index = self.waiting.iter().position(|waiting| waiting.end.is_some())?;
        let waiting = self.waiting.remove(index);
        let (resolution, pool) = (waiting.resolution, waiting.pool);
        Some(match waiting.end? {
            End::Resolved => PoolUserEvent::Resolved { resolution, pool },
            End::UnknownPool => PoolUserEvent::UnknownPool { resolution, pool },
            End::NoRegistrar => PoolUserEvent::NoRegistrar { resolution, pool },
            End::Failed(reason) => PoolUserEvent::Failed { resolution, pool, reason },
        })
    }
}

const fn negative(cause: Cause) -> End {
    match cause {
        Cause::UNKNOWN_POOL_HANDLE => End::UnknownPool,
        cause => End::Failed(ResolutionFailure::Rejected { cause }),
    }
}
