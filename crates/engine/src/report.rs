//! A run in the form people and scripts get.

use jiff::Timestamp;
use platform_spec::{
    Failure, Outcome, RunId,
    report::{Counts, RUN_SCHEMA, RunReport, RunStatus, StepReport, StepState},
};

use crate::{board::Board, clock::elapsed_ms, graph::Graph, status::Status};

/// Reads a report off a board. `span` is from creation to the end, or to now.
///
/// The error is that of the first failed step in the plan's order; a held gate has none.
pub fn of(run: &RunId, graph: &Graph, board: &Board, span: (Timestamp, Timestamp)) -> RunReport {
    let mut counts = Counts::default();
    let mut error: Option<Failure> = None;
    let steps = graph
        .plan
        .steps
        .iter()
        .zip(board.slots())
        .map(|(step, slot)| {
            let outcome = match slot.status {
                Status::Succeeded { outcome, .. } => Some(outcome),
                Status::Skipped { .. } => Some(Outcome::Skipped),
                _ => None,
            };
            match (slot.status.state(), outcome) {
                (StepState::Failed | StepState::Stuck, _) => counts.failed += 1,
                (_, Some(Outcome::Changed)) => counts.changed += 1,
                (_, Some(Outcome::Unchanged)) => counts.unchanged += 1,
                (_, Some(Outcome::Skipped)) => counts.skipped += 1,
                (_, None) => counts.pending += 1,
            }
            if error.is_none() && matches!(slot.status, Status::Failed { .. } | Status::Stuck { .. }) {
                error = slot.failure.as_deref().cloned();
                if let Some(error) = &mut error {
                    error.step.get_or_insert_with(|| step.id.clone());
                }
            }
            StepReport {
                id: step.id.clone(),
                status: slot.status.state(),
                outcome,
                attempts: slot.status.attempts(),
                elapsed_ms: slot.started.map_or(0, |from| elapsed_ms(from, slot.ended.unwrap_or(span.1))),
                note: slot.note.clone(),
            }
        })
        .collect();
    RunReport {
        schema: RUN_SCHEMA.to_owned(),
        run: Some(run.clone()),
        flow: graph.plan.flow.clone(),
        platform: Some(graph.plan.platform.clone()),
        status: board.run.unwrap_or(RunStatus::Running),
        began_at: Some(span.0),
        actor: None,
        spec_digest: Some(graph.plan.spec_digest.clone()),
        counts,
        steps,
        orphans: Vec::new(),
        findings: Vec::new(),
        elapsed_ms: elapsed_ms(span.0, span.1),
        error,
    }
}
