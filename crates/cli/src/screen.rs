//! A running engine, told to people on stderr.
//!
//! On a terminal every step that is being worked on has a line at the foot of the screen, which says what it waits for
//! and for how long; what has ended scrolls above it. Elsewhere everything is a plain line. Both come from the same
//! [`Notice`]s.

mod teller;

use std::{collections::BTreeMap, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use platform_spec::{
    StepId,
    report::{Notice, StepState},
};
use tokio::sync::mpsc::UnboundedReceiver;

use self::teller::Teller;
use crate::{printer::Printer, words};

/// How often the line of a running step is drawn anew, so that its clock runs.
const TICK: Duration = Duration::from_millis(200);

/// Tells what the engine says until it has no more to say.
pub async fn follow(printer: Printer, mut notices: UnboundedReceiver<Notice>) {
    let mut teller = Teller::default();
    let mut foot = Foot { printer: printer.clone(), bars: BTreeMap::new() };
    while let Some(notice) = notices.recv().await {
        for line in teller.tell(&notice) {
            if printer.bars().is_none() || !line.passing {
                printer.say(line);
            }
        }
        let step = match &notice {
            Notice::Plan { .. } => None,
            Notice::Stored(recorded) => match &recorded.event {
                platform_spec::Event::Step { step, .. } => Some(step),
                _ => None,
            },
            Notice::StillWaiting { step, .. } => Some(step),
        };
        if let Some(step) = step {
            foot.show(step, &teller);
        }
    }
}

/// The lines at the foot of the screen; taken away when dropped.
struct Foot {
    printer: Printer,
    bars: BTreeMap<StepId, ProgressBar>,
}

impl Foot {
    fn show(&mut self, step: &StepId, teller: &Teller) {
        let Some(screen) = self.printer.bars() else { return };
        let state = teller.state(step);
        if !matches!(
            state,
            StepState::Running
                | StepState::Waiting
                | StepState::Gated
                | StepState::Retrying
                | StepState::Undoing
        ) {
            if let Some(bar) = self.bars.remove(step) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = self.bars.entry(step.clone()).or_insert_with(|| {
            let bar = screen.add(ProgressBar::new_spinner().with_prefix(step.to_string()));
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed:.dim} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(words::harmless(&teller.at_work_on(step)));
    }
}

impl Drop for Foot {
    fn drop(&mut self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}
