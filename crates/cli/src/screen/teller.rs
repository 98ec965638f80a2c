//! What is said about each notice; pure.

use std::{collections::BTreeMap, fmt};

use owo_colors::{OwoColorize, Style};
use platform_app::reading::Reading;
use platform_spec::{
    Event, Outcome, StepEvent, StepId,
    event::Recorded,
    report::{Notice, StepState},
};

use crate::words;

/// Turns notices into lines.
#[derive(Debug, Default)]
pub struct Teller {
    reading: Option<Reading>,
    /// What each waiting step was last said to wait for: the same is not said twice.
    waits: BTreeMap<StepId, String>,
}

/// One line about a step, or (without a step) about the run.
#[derive(Debug)]
pub struct Line {
    word: &'static str,
    style: Style,
    step: Option<String>,
    rest: String,
    /// Said only where no line at the foot of the screen says the same.
    pub passing: bool,
}

impl Line {
    fn about(step: &StepId, word: &'static str, style: Style, rest: impl Into<String>) -> Self {
        Self { word, style, step: Some(step.to_string()), rest: rest.into(), passing: false }
    }

    fn run(rest: String) -> Self {
        Self { word: "", style: Style::new(), step: None, rest, passing: false }
    }

    fn passing(self) -> Self {
        Self { passing: true, ..self }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            // Padded before it is styled: a colour has no width.
            Some(step) => {
                write!(
                    f,
                    "{} {step}  {}",
                    format!("{:>9}", self.word).style(self.style),
                    words::harmless(&self.rest)
                )
            }
            None => f.write_str(&self.rest),
        }
    }
}

impl Teller {
    /// What is to be said.
    pub fn tell(&mut self, notice: &Notice) -> Vec<Line> {
        match notice {
            Notice::Plan { run, flow, steps, already } => {
                let mut reading = Reading::new(run.clone(), flow.clone(), None, steps.iter().cloned());
                for (step, state) in already {
                    reading.already(step, *state);
                }
                self.reading = Some(reading);
                let done = already
                    .iter()
                    .filter(|(_, state)| matches!(state, StepState::Succeeded | StepState::Skipped))
                    .count();
                let rest = if done == 0 { String::new() } else { format!(", {done} of them done before") };
                vec![Line::run(format!("{flow}: {} steps{rest}, run {run}", steps.len()))]
            }
            Notice::Stored(recorded) => {
                if let Some(reading) = &mut self.reading {
                    reading.apply(recorded);
                }
                match &recorded.event {
                    Event::Step { step, event } => self.step(step, event, recorded).into_iter().collect(),
                    _ => Vec::new(),
                }
            }
            Notice::StillWaiting { step, waiting_for, .. } => {
                self.waiting(step, waiting_for).into_iter().collect()
            }
        }
    }

    /// Where a step stands.
    pub fn state(&self, step: &StepId) -> StepState {
        self.reading
            .as_ref()
            .and_then(|reading| reading.step(step, jiff::Timestamp::UNIX_EPOCH))
            .map_or(StepState::Pending, |step| step.status)
    }

    /// What is being done on a step: what it waits for or asks, why it tries again, else its title.
    pub fn at_work_on(&self, step: &StepId) -> String {
        match (self.state(step), self.waits.get(step)) {
            (StepState::Waiting, Some(wait)) => format!("waits for {wait}"),
            (StepState::Retrying, _) => format!("will try again: {}", self.note(step)),
            (StepState::Gated, _) => self.note(step),
            _ => self.title(step),
        }
    }

    fn title(&self, step: &StepId) -> String {
        self.reading.as_ref().map_or_else(String::new, |reading| reading.title(step).to_owned())
    }

    fn waiting(&mut self, step: &StepId, waiting_for: &str) -> Option<Line> {
        let waiting_for = words::brief(waiting_for);
        let before = self.waits.insert(step.clone(), waiting_for.clone());
        (before.as_deref() != Some(waiting_for.as_str()))
            .then(|| Line::about(step, "waits", Style::new().blue(), format!("for {waiting_for}")).passing())
    }

    fn step(&mut self, step: &StepId, event: &StepEvent, recorded: &Recorded) -> Option<Line> {
        let say = |word, style, rest: String| Some(Line::about(step, word, style, rest));
        let (good, pale, bad, look) =
            (Style::new().green(), Style::new().dimmed(), Style::new().red().bold(), Style::new().yellow());
        match event {
            StepEvent::Started { attempt: 1, .. } => say("starts", pale, self.title(step)).map(Line::passing),
            StepEvent::Started { attempt, .. } => {
                say("again", pale, format!("{} (attempt {attempt})", self.title(step))).map(Line::passing)
            }
            StepEvent::Waiting { waiting_for, .. } => self.waiting(step, waiting_for),
            StepEvent::GateOpened { question, .. } => say("asks", look, question.clone()),
            StepEvent::GateDecided { approved: true, by } => say("approved", good, format!("by {by}")),
            StepEvent::GateDecided { approved: false, by } => say("rejected", bad, format!("by {by}")),
            StepEvent::Succeeded { outcome, .. } => {
                let (word, style) = match outcome {
                    Outcome::Changed => ("changed", good),
                    Outcome::Unchanged => ("unchanged", pale),
                    Outcome::Skipped => ("skipped", pale),
                };
                // A step found done that another process began: how long that took, nobody saw.
                let took = match self.reading.as_ref()?.step(step, recorded.at)?.elapsed_ms {
                    0 => String::new(),
                    elapsed => format!(" ({})", words::duration(elapsed)),
                };
                say(word, style, format!("{}{took}", self.title(step)))
            }
            StepEvent::Retrying { not_before, .. } => {
                say("retries", look, format!("{}; next try {}", self.note(step), words::moment(*not_before)))
            }
            StepEvent::Failed { .. } => say("failed", bad, self.note(step)),
            StepEvent::Skipped { because } => say("skipped", pale, because.clone()),
            StepEvent::InDoubt => say("in doubt", look, "whether it was done is looked up first".into()),
            StepEvent::UndoStarted { .. } => say("undoes", pale, self.title(step)).map(Line::passing),
            StepEvent::Undone { .. } => say("undone", pale, self.title(step)),
            StepEvent::Stuck { .. } => say("stuck", bad, self.note(step)),
            StepEvent::Intended { .. } | StepEvent::Reopened => None,
        }
    }

    fn note(&self, step: &StepId) -> String {
        self.reading
            .as_ref()
            .and_then(|reading| reading.step(step, jiff::Timestamp::UNIX_EPOCH)?.note)
            .map_or_else(String::new, |note| words::brief(&note))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use platform_spec::{Class, Code, Failure, RunId};
    use serde_json::Value;

    use super::*;

    fn stored(second: i64, step: &str, event: StepEvent) -> Notice {
        let at = Timestamp::from_second(second).expect("in range");
        let event = Event::Step { step: StepId::new(step), event };
        Notice::Stored(Recorded { seq: 1, at, event, hash: String::new() })
    }

    #[test]
    fn a_run_told_as_plain_lines() {
        let failure = Failure::new(Code::new("P0402"), Class::Retryable, "could not reach the API of `demo`")
            .because("connection refused");
        let waiting = |second, what: &str| {
            let operation = Value::Null;
            stored(
                second,
                "demo/argocd",
                StepEvent::Waiting { attempt: 1, waiting_for: what.into(), operation },
            )
        };
        let steps = [
            ("demo/api", "reach the API"),
            ("demo/argocd", "install Argo CD"),
            ("demo/dns", "publish names"),
        ];
        let notices = [
            Notice::Plan {
                run: RunId::new("01JRUN"),
                flow: "up".into(),
                steps: steps.map(|(id, title)| (StepId::new(id), title.to_owned())).to_vec(),
                already: Vec::new(),
            },
            stored(0, "demo/api", StepEvent::Started { attempt: 1, input: None }),
            stored(
                1,
                "demo/api",
                StepEvent::Retrying {
                    attempt: 1,
                    failure: failure.clone(),
                    not_before: Timestamp::UNIX_EPOCH,
                },
            ),
            stored(2, "demo/api", StepEvent::Started { attempt: 2, input: None }),
            stored(
                3,
                "demo/api",
                StepEvent::Succeeded {
                    attempt: 2,
                    outcome: Outcome::Unchanged,
                    output: Value::Null,
                    ledger: Vec::new(),
                },
            ),
            stored(3, "demo/argocd", StepEvent::Started { attempt: 1, input: None }),
            waiting(4, "Pods"),
            waiting(5, "Pods\n"),
            waiting(6, &format!("web: git failed:\n  {}", "x".repeat(300))),
            waiting(7, &format!("web: git failed:\n  {}", "x".repeat(301))),
            stored(200, "demo/argocd", StepEvent::Failed { attempt: 1, failure }),
            stored(200, "demo/dns", StepEvent::Skipped { because: "`demo/argocd` failed".into() }),
        ];
        let mut teller = Teller::default();
        let lines: Vec<String> = notices.iter().flat_map(|n| teller.tell(n)).map(|l| l.to_string()).collect();
        insta::assert_snapshot!(anstream::adapter::strip_str(&lines.join("\n")).to_string(), @r"
        up: 3 steps, run 01JRUN
           starts demo/api  reach the API
          retries demo/api  could not reach the API of `demo`: connection refused; next try 1970-01-01 00:00:00Z
            again demo/api  reach the API (attempt 2)
        unchanged demo/api  reach the API (3.0 s)
           starts demo/argocd  install Argo CD
            waits demo/argocd  for Pods
            waits demo/argocd  for web: git failed: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
           failed demo/argocd  could not reach the API of `demo`: connection refused
          skipped demo/dns  `demo/argocd` failed
        ");
    }
}
