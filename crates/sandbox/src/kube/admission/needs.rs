//! What a pod needs in all.

use serde_json::Value;

use super::limits::{Amounts, amounts};

fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = to.get(name).map_or(*amount, |is| *is + *amount);
        to.insert(name.clone(), sum);
    }
}

fn most(of: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if of.get(name).is_none_or(|is| is < amount) {
            of.insert(name.clone(), *amount);
        }
    }
}

/// The sum of `requests` or `limits` over what runs at the same time: containers together, init containers one after the
/// other, those that go on beside the rest. What the pod says of itself counts before that.
pub(super) fn of(spec: &Value, key: &str) -> Amounts {
    let (mut all, mut begun, mut first) = (Amounts::new(), Amounts::new(), Amounts::new());
    for it in spec["containers"].as_array().into_iter().flatten() {
        add(&mut all, &amounts(&it["resources"][key]));
    }
    for it in spec["initContainers"].as_array().into_iter().flatten() {
        let mut needs = amounts(&it["resources"][key]);
        if it["restartPolicy"] == "Always" {
            add(&mut all, &needs);
            add(&mut begun, &needs);
            needs = begun.clone();
        } else {
            add(&mut needs, &begun);
        }
        most(&mut first, &needs);
    }
    most(&mut all, &first);
    for (name, amount) in amounts(&spec["resources"][key]) {
        if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
            all.insert(name, amount);
        }
    }
    if !all.is_empty() {
        add(&mut all, &amounts(&spec["overhead"]));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_largest_init_container_counts_when_it_is_larger_than_the_rest() {
        let cpu = |amount: &str| json!({"resources": {"requests": {"cpu": amount}}});
        let needs = |spec: Value| of(&spec, "requests")["cpu"].to_string();
        assert_eq!(needs(json!({"containers": [cpu("1"), cpu("500m")]})), "1500m");
        assert_eq!(needs(json!({"containers": [cpu("1")], "initContainers": [cpu("2"), cpu("3")]})), "3");
        let mut beside = cpu("2");
        beside["restartPolicy"] = json!("Always");
        assert_eq!(needs(json!({"containers": [cpu("1")], "initContainers": [beside, cpu("3")]})), "5");
    }
}
