//! What is seen of a running job: a bar and its news on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rserpool::JobSnapshot;
use rserpool::job::{ElementStatistics, Event, LossReason};
use rserpool_core::identifier::PeId;
use serde_json::json;

/// Shows a job on standard error.
#[derive(Debug)]
pub(crate) struct JobView {
    bar: ProgressBar,
    /// How the elements are called, for people.
    names: BTreeMap<PeId, String>,
    is_verbose: bool,
}

impl JobView {
    /// A view of a job; without a terminal only what is said, and that only if `is_verbose`.
    pub(crate) fn new(title: &str, is_verbose: bool) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(15),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(RESOLUTION), target);
        let style = ProgressStyle::with_template(BAR_TEMPLATE);
        bar.set_style(style.expect("the template is well-formed").progress_chars("█▉▊▋▌▍▎▏ "));
        bar.set_prefix(title.to_owned());
        Self { bar, names: BTreeMap::new(), is_verbose }
    }

    /// Gives an element a name.
    pub(crate) fn name(&mut self, element: PeId, name: String) {
        self.names.insert(element, name);
    }

    /// What an element is called.
    pub(crate) fn name_of(&self, element: PeId) -> String {
        self.names.get(&element).cloned().unwrap_or_else(|| element.to_string())
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, line: &str) {
        if !self.bar.is_hidden() {
            self.bar.println(line);
        } else if self.is_verbose {
            eprintln!("{line}");
        }
    }

    /// Shows how far the job is, and who has done how much.
    pub(crate) fn show(&self, snapshot: &JobSnapshot) {
        self.bar.set_position((snapshot.progress * RESOLUTION as f64) as u64);
        let shares: Vec<String> = snapshot.elements.iter().map(|it| self.share_of(it)).collect();
        self.bar.set_message(shares.join("   "));
    }

    /// Tells what is worth telling.
    pub(crate) fn tell(&self, event: &Event) {
        let name = |element: &PeId| self.name_of(*element);
        match event {
            Event::ElementUp { element } => self.say(&format!("  + {} takes part", name(element))),
            Event::ElementLost { element, reason, package_count } => self.say(&format!(
                "  - {} is gone ({}); its {package_count} packages go elsewhere",
                name(element),
                words_of(*reason)
            )),
            Event::Resumed { package, from, to, done, all } => self.say(&format!(
                "  > package {} of {} goes on at {} from {} %",
                package.0,
                name(from),
                name(to),
                done * 100 / all.max(&1)
            )),
            Event::Restarted { package, from, to } => self.say(&format!(
                "  > package {} of {} begins anew at {}",
                package.0,
                name(from),
                name(to)
            )),
            _ => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn close(&self) {
        self.bar.finish_and_clear();
    }

    fn share_of(&self, element: &ElementStatistics) -> String {
        let name = self.name_of(element.element);
        match element.up {
            true => format!("{name} {}", element.package_count),
            false => format!("{name} {} (gone)", element.package_count),
        }
    }

    /// The table of a finished job.
    pub(crate) fn print_summary(&self, snapshot: &JobSnapshot) {
        let statistics = snapshot.statistics;
        say!(
            "packages    {} done, {} resumed from their cookie, {} begun anew, {} doubled",
            statistics.done_count,
            statistics.resumed_count,
            statistics.restarted_count,
            statistics.duplicated_count
        );
        let all: u64 = snapshot.elements.iter().map(|element| element.package_count).sum();
        for element in &snapshot.elements {
            let gone = if element.lost_count > 0 { "   lost some" } else { "" };
            say!(
                "element     {:<12} {:<22} {:>6} packages {:>5.1} %{gone}",
                self.name_of(element.element),
                element.endpoint.to_string(),
                element.package_count,
                element.package_count as f64 * 100.0 / all.max(1) as f64
            );
        }
    }
}

/// The same as JSON.
pub(crate) fn json_of(snapshot: &JobSnapshot, elapsed: Duration) -> serde_json::Value {
    let statistics = snapshot.statistics;
    let elements: Vec<_> = snapshot
        .elements
        .iter()
        .map(|element| {
            json!({
                "identifier": element.element.to_string(),
                "address": element.endpoint.to_string(),
                "packages": element.package_count,
                "resumed": element.resumed_count,
                "lost": element.lost_count,
            })
        })
        .collect();
    json!({
        "seconds": elapsed.as_secs_f64(),
        "packages": statistics.done_count,
        "resumed": statistics.resumed_count,
        "restarted": statistics.restarted_count,
        "doubled": statistics.duplicated_count,
        "elements_lost": statistics.elements_lost,
        "failover_seconds": statistics.failover_time.as_secs_f64(),
        "elements": elements,
    })
}

fn words_of(reason: LossReason) -> &'static str {
    match reason {
        LossReason::ConnectFailed => "cannot be reached",
        LossReason::AssociationLost => "its association broke",
        LossReason::Shutdown => "said goodbye",
        LossReason::Restarted => "restarted",
        LossReason::Silent => "silent for too long",
        LossReason::Misbehaves => "breaks the protocol",
        _ => "lost",
    }
}

/// Steps of the bar.
const RESOLUTION: u64 = 1_000;

const BAR_TEMPLATE: &str = "{prefix} {wide_bar:.cyan/blue} {percent:>3} % {elapsed}\n{msg}";
