//! What the demo tells at its end.

use std::time::{Duration, Instant};

use rserpool::JobSnapshot;
use rserpool::job::Event;

use crate::view::JobView;

/// What was seen of the job.
#[derive(Debug)]
pub(super) struct Report {
    began: Instant,
    elapsed: Duration,
    killed_at: Option<Instant>,
    killed_count: u16,
    /// When the last death was noticed.
    noticed_at: Option<Instant>,
    /// When the last package of a dead element was in work again.
    recovered_at: Option<Instant>,
    end: Option<(JobSnapshot, JobView)>,
}

impl Report {
    pub(super) fn start() -> Self {
        Self {
            began: Instant::now(),
            elapsed: Duration::ZERO,
            killed_at: None,
            killed_count: 0,
            noticed_at: None,
            recovered_at: None,
            end: None,
        }
    }

    pub(super) fn on_kill(&mut self, count: u16) {
        self.killed_at = Some(Instant::now());
        self.killed_count = count;
    }

    pub(super) fn on_event(&mut self, event: &Event) {
        match event {
            Event::ElementLost { .. } if self.killed_at.is_some() => {
                self.noticed_at = Some(Instant::now());
            }
            Event::Resumed { .. } | Event::Restarted { .. } => {
                self.recovered_at = Some(Instant::now());
            }
            // The last event, if nobody was slow to take them.
            Event::Finished(_) => self.elapsed = self.began.elapsed(),
            _ => {}
        }
    }

    pub(super) fn finish(&mut self, snapshot: JobSnapshot, view: JobView) {
        if self.elapsed.is_zero() {
            self.elapsed = self.began.elapsed();
        }
        self.end = Some((snapshot, view));
    }

    pub(super) fn print(&self, local_time: Duration) {
        note!("");
        if let Some((snapshot, view)) = &self.end {
            view.print_summary(snapshot);
        }
        if let Some(killed_at) = self.killed_at {
            let after = |at: Option<Instant>, otherwise: &str| match at {
                Some(at) => {
                    format!("after {:.0} ms", millis(at.saturating_duration_since(killed_at)))
                }
                None => otherwise.to_owned(),
            };
            note!(
                "failover    {} killed; noticed {}; lost packages in work again {}",
                self.killed_count,
                after(self.noticed_at, "only at the end"),
                after(self.recovered_at, "at once, as others had begun with them already")
            );
        }
        let speed_up = local_time.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9);
        note!(
            "time        {:.2} s by the pool, {:.2} s on one thread: speed-up {speed_up:.2}",
            self.elapsed.as_secs_f64(),
            local_time.as_secs_f64()
        );
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
