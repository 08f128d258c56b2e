//! The machines' time and randomness, from the operating system.

use rserpool_core::entropy::Entropy;
use rserpool_core::time::Instant;

/// Time as the machines count it: microseconds since the clock was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that starts at one second, so that "a moment ago" has a name, too.
    pub(crate) fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// Now.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_millis(1_000) + self.start.elapsed()
    }

    /// Waits until `deadline`; for ever if there is none.
    pub(crate) async fn sleep_until(&self, deadline: Option<Instant>) {
        match deadline {
            None | Some(Instant::NEVER) => std::future::pending().await,
            Some(deadline) => {
                let span = deadline.saturating_duration_since(self.now());
                if !span.is_zero() {
                    tokio::time::sleep(span).await;
                }
            }
        }
    }
}

/// Randomness of the operating system, fit for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has a source of randomness");
    }
}
