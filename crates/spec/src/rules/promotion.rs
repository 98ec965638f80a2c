//! The chain of environments, the waves of a rollout, the steps of a delivery.

use std::collections::BTreeMap;

use crate::{
    model,
    platform::{
        Duration, Spec,
        app::{Strategy, StrategyKind},
    },
    source::{Issue, code},
};

/// How long a change must be healthy before it reaches the end of the chain (S2-44).
const LAST_SOAK: Duration = Duration::from_hours(7 * 24);

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    chain(spec, &mut issues);
    for (index, strategy) in spec.delivery.iter().flat_map(|delivery| &delivery.strategies).enumerate() {
        delivery(index, strategy, &mut issues);
    }
    for (index, app) in spec.apps.iter().enumerate() {
        if app.autoscaling.as_ref().is_some_and(|scaling| scaling.min > scaling.max) {
            let path = format!("spec.apps[{index}].autoscaling");
            issues.push(
                Issue::error(code::DELIVERY, path, "fewest replicas are more than most").hint("min ≤ max"),
            );
        }
    }
    issues
}

fn chain(spec: &Spec, issues: &mut Vec<Issue>) {
    let mut by_order: BTreeMap<u32, usize> = BTreeMap::new();
    for (index, environment) in spec.environments.iter().enumerate() {
        if let Some(first) = by_order.get(&environment.order) {
            let message = format!("two environments have the order {}", environment.order);
            let other = &spec.environments[*first].name;
            issues.push(
                Issue::error(code::CHAIN, format!("spec.environments[{index}].order"), message).hint(
                    format!("the other is `{other}`; the order is the promotion chain, each place once"),
                ),
            );
        } else {
            by_order.insert(environment.order, index);
        }
    }
    let chain: Vec<usize> = by_order.into_values().collect();
    let [.., before, last] = chain.as_slice() else { return };
    let end = &spec.environments[*last];
    if end.approvals == 0 && end.waiver.is_none() {
        let message = format!("nobody approves what arrives in `{}`, the end of the chain", end.name);
        issues.push(
            Issue::error(code::CHAIN, format!("spec.environments[{last}]"), message)
                .hint("write `approvals: 1` or more, or a `waiver:` with the reason"),
        );
    }
    let previous = &spec.environments[*before];
    if previous.soak.unwrap_or_default() < LAST_SOAK && previous.waiver.is_none() && end.waiver.is_none() {
        let message = format!("a change may leave `{}` for `{}` before 168h", previous.name, end.name);
        issues.push(
            Issue::error(code::CHAIN, format!("spec.environments[{before}]"), message)
                .hint("write `soak: 168h` or more, or a `waiver:` with the reason"),
        );
    }
}

/// Whether the waves reach every cell (or tenant) exactly once.
pub(super) fn coverage(spec: &Spec) -> Vec<Issue> {
    let Some(rollout) = &spec.rollout else { return Vec::new() };
    let mut issues = Vec::new();
    for (index, wave) in rollout.waves.iter().enumerate() {
        let ways = [!wave.environments.is_empty(), !wave.cells.is_empty(), !wave.tenants.is_empty()];
        if ways.iter().filter(|used| **used).count() != 1 {
            let path = format!("spec.rollout.waves[{index}]");
            let message = format!("the wave `{}` does not say in one way whom it reaches", wave.name);
            issues.push(
                Issue::error(code::WAVES, path, message)
                    .hint("write one of `environments`, `cells`, `tenants`"),
            );
        }
    }
    if rollout.waves.iter().any(|wave| !wave.tenants.is_empty()) {
        let named =
            |wave: &crate::platform::operate::Wave| wave.tenants.iter().map(ToString::to_string).collect();
        let all =
            spec.tenancy.iter().flat_map(|tenancy| &tenancy.tenants).map(|tenant| tenant.name.to_string());
        once(spec, "tenant", named, all.collect(), &mut issues);
        return issues;
    }
    let cells = model::cells(spec);
    let reached = |wave: &crate::platform::operate::Wave| {
        let within = |cell: &&model::Cell| {
            wave.environments.iter().any(|name| **name == *cell.environment)
                || wave.cells.iter().any(|name| **name == *cell.name)
        };
        cells.iter().filter(within).map(|cell| cell.name.clone()).collect()
    };
    // A cluster of one tenant follows that tenant's own agreement and need not be in a wave.
    let all = cells.iter().filter(|cell| cell.dedicated_to.is_none()).map(|cell| cell.name.clone()).collect();
    once(spec, "cell", reached, all, &mut issues);
    issues
}

fn once(
    spec: &Spec,
    what: &str,
    reached: impl Fn(&crate::platform::operate::Wave) -> Vec<String>,
    all: Vec<String>,
    issues: &mut Vec<Issue>,
) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (index, wave) in spec.rollout.iter().flat_map(|rollout| &rollout.waves).enumerate() {
        for name in reached(wave) {
            if let Some(first) = seen.insert(name.clone(), wave.name.to_string()) {
                let message = format!("the {what} `{name}` is in two waves: `{first}` and `{}`", wave.name);
                issues.push(
                    Issue::error(code::WAVES, format!("spec.rollout.waves[{index}]"), message)
                        .hint(format!("each {what} receives a change exactly once")),
                );
            }
        }
    }
    let rest = seen.contains_key("*");
    for name in all.into_iter().filter(|name| !rest && !seen.contains_key(name)) {
        let message = format!("no wave reaches the {what} `{name}`");
        issues.push(
            Issue::error(code::WAVES, "spec.rollout.waves", message)
                .hint(format!("add the {what} to one wave")),
        );
    }
}

fn delivery(index: usize, strategy: &Strategy, issues: &mut Vec<Issue>) {
    let path = format!("spec.delivery.strategies[{index}]");
    let mut weight = 0;
    for (at, step) in strategy.steps.iter().enumerate() {
        let path = format!("{path}.steps[{at}]");
        let keys = [step.set_weight.is_some(), step.pause.is_some(), step.analysis.is_some()];
        if keys.iter().filter(|used| **used).count() != 1 {
            let hint = "write one of `setWeight`, `pause`, `analysis`";
            issues.push(Issue::error(code::DELIVERY, path.clone(), "a step does one thing").hint(hint));
        }
        if let Some(next) = step.set_weight {
            if next <= weight {
                let message = format!("the weight goes from {weight} to {next}");
                issues.push(
                    Issue::error(code::DELIVERY, format!("{path}.setWeight"), message)
                        .hint("weights must rise"),
                );
            }
            weight = next;
        }
    }
    let measured = strategy.steps.iter().any(|step| step.analysis.is_some());
    if strategy.kind == StrategyKind::Canary && !measured && strategy.waiver.is_none() {
        let message = format!("the canary `{}` is never measured", strategy.name);
        issues.push(
            Issue::error(code::DELIVERY, path, message)
                .hint("add a step `{analysis: NAME}`, or a `waiver:` with the reason"),
        );
    }
}
