//! What a plan would do to what exists, found by looking only.

use std::{collections::BTreeMap, time::Duration};

use platform_spec::{Class, Failure, RunId, StepId};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    graph::Graph,
    resolve::resolve,
    step::{Call, Memory, Observed, Registry},
};

/// What a step would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// It is not there and would be made.
    Create,
    /// It is there and would be changed.
    Change {
        /// What differs.
        how: String,
    },
    /// It is as it should be.
    Keep,
    /// It is on its way already.
    Wait {
        /// What for.
        waiting_for: String,
    },
    /// A person would be asked.
    Ask {
        /// What.
        question: String,
    },
    /// It does not apply.
    Skip {
        /// Why.
        because: String,
    },
    /// It depends on what an earlier step brings.
    After {
        /// Which step; a line's own stands beside it.
        #[serde(rename = "until")]
        step: StepId,
    },
    /// Looking failed.
    Unknown {
        /// Why.
        failure: Failure,
    },
}

/// One line of a preview.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Which step.
    pub step: StepId,
    /// Its title.
    pub title: String,
    /// What it would do.
    #[serde(flatten)]
    pub effect: Effect,
    /// How long it usually takes, in milliseconds.
    pub typical_ms: u64,
}

/// Looks at everything a plan is about, in the plan's order. Changes nothing.
///
/// A step whose input comes from one that is not done, or that could not be looked at because something it needs is
/// not there yet, is said to come after that one.
pub async fn preview(graph: &Graph, registry: &Registry) -> Vec<Line> {
    let mut outputs: BTreeMap<StepId, Value> = BTreeMap::new();
    let mut effects: BTreeMap<usize, Effect> = BTreeMap::new();
    for at in graph.order() {
        let effect = look(graph, registry, at, &mut outputs, &effects).await;
        effects.insert(at, effect);
    }
    graph
        .plan
        .steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| {
            Some(Line {
                step: step.id.clone(),
                title: step.title.clone(),
                effect: effects.remove(&at)?,
                typical_ms: step.typical_ms,
            })
        })
        .collect()
}

async fn look(
    graph: &Graph,
    registry: &Registry,
    at: usize,
    outputs: &mut BTreeMap<StepId, Value>,
    effects: &BTreeMap<usize, Effect>,
) -> Effect {
    let step = graph.step(at);
    let unmet = graph
        .needs(at)
        .iter()
        .find(|need| !matches!(effects.get(need), Some(Effect::Keep | Effect::Skip { .. })))
        .map(|&need| graph.step(need).id.clone());
    let input = match resolve(&step.input, &|id| outputs.get(id)) {
        Ok(input) => input.into_owned(),
        Err(dangling) => return Effect::After { step: dangling.step },
    };
    let Some(does) = registry.get(&step.uses, step.version) else {
        return Effect::After { step: step.id.clone() };
    };
    let call = Call {
        run: RunId::new("preview"),
        step: step.id.clone(),
        attempt: 1,
        epoch: 0,
        input,
        token: String::new(),
        memory: Memory::default(),
        cancel: CancellationToken::new(),
    };
    let limit = Duration::from_millis(step.attempt_timeout_ms);
    match tokio::time::timeout(limit, does.observe(&call)).await {
        Ok(Ok(Observed::Absent)) => Effect::Create,
        Ok(Ok(Observed::Differs { how })) => Effect::Change { how },
        Ok(Ok(Observed::Matches { output, .. })) => {
            outputs.insert(step.id.clone(), output);
            Effect::Keep
        }
        Ok(Ok(Observed::InProgress(wait))) => match unmet {
            Some(step) => Effect::After { step },
            None => Effect::Wait { waiting_for: wait.waiting_for },
        },
        Ok(Ok(Observed::Gate { question })) => Effect::Ask { question },
        Ok(Ok(Observed::NotApplicable { because })) => {
            outputs.insert(step.id.clone(), Value::Null);
            Effect::Skip { because }
        }
        Ok(Err(failure)) => match unmet {
            Some(step) if !matches!(failure.class, Class::AuthExpired | Class::Forbidden) => {
                Effect::After { step }
            }
            _ => Effect::Unknown { failure },
        },
        Err(_) => Effect::Unknown {
            failure: Failure::new(
                platform_spec::Code::new("P0704"),
                Class::Retryable,
                format!("step `{}` gave no answer within {limit:?} while looking", step.id),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_which_step_it_is_and_which_it_waits_for() {
        let step = |name: &str| StepId::new(name);
        let effect = Effect::After { step: step("one") };
        let line = Line { step: step("two"), title: "the second".into(), effect, typical_ms: 5 };
        let written =
            json!({"step": "two", "title": "the second", "effect": "after", "until": "one", "typical_ms": 5});
        assert_eq!(serde_json::to_value(&line).expect("JSON"), written);
    }
}
