//! A pod gets its node: what the scheduler writes below `pods/NAME/binding`.

use serde_json::{Value, json};

use super::{api::Api, object::time, store::Key};

/// Gives a pod a node, unless it has one or is going; whether it got it. As in the real server neither its generation
/// nor the owners of its fields change.
pub fn bind(api: &Api, pod: &Key, node: &str) -> bool {
    let now = time((api.now)());
    let change = api.store.change(pod, |old| {
        let Some(old) = old else { return Err(()) };
        let taken = old["spec"]["nodeName"].as_str().is_some_and(|it| !it.is_empty());
        if taken || super::object::is_going(old) {
            return Err(());
        }
        let mut new = old.clone();
        new["spec"]["nodeName"] = node.into();
        scheduled(&mut new, &now);
        super::object::tidy(&mut new);
        Ok(Some(new))
    });
    matches!(change, Ok(Some(_)))
}

/// The condition `PodScheduled` becomes true; what was said of why it was not goes.
fn scheduled(pod: &mut Value, now: &str) {
    let condition = json!({
        "type": "PodScheduled", "observedGeneration": pod["metadata"]["generation"], "status": "True",
        "lastTransitionTime": now,
    });
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(all) = conditions.as_array_mut() {
        all.retain(|it| it["type"] != "PodScheduled");
        all.push(condition);
    }
}
