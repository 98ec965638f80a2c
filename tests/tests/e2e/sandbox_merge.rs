//! The sandbox's patches and field owners, held to the real API server: the same writes, the same answers.
//!
//! Every write starts from the object as the real server has it, so that one difference does not become many.

mod model;
mod random;
mod script;
mod wire;

use std::io::Write;

use k8s_openapi::jiff::Timestamp;
use platform_tests::Bed;
use serde_json::{Value, json};

use self::{
    model::{CONFIG_MAP, DEPLOYMENT, Kind, Outcome, POD_TEMPLATE, Step, Verb, differences, plain},
    wire::Wire,
};

const NAMESPACE: &str = "sandbox-merge";
/// How long the controllers may take with what a step left them.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What became of a write, on both sides.
#[derive(PartialEq)]
enum Verdict {
    Same,
    Different(String),
    /// The real server validated the object and refused it; that is not for the merge to say.
    Invalid(String),
}

#[test]
fn scripted_writes_have_the_answers_of_the_real_server() {
    let Some(world) = Bed::world("sandbox-merge") else { return };
    let wire = Wire::open(&world);
    let differences = in_namespace(&wire, || compare_all(&wire, script::steps(), 0));
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    world.assert_clean();
}

#[test]
fn random_writes_have_the_answers_of_the_real_server() {
    let Some(world) = Bed::world("sandbox-merge-random") else { return };
    let wire = Wire::open(&world);
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (seed, count) = (number("SANDBOX_MERGE_SEED", 1), number("SANDBOX_MERGE_STEPS", 300));
    let steps = random::steps(seed, usize::try_from(count).expect("a small number"));
    let spare = steps.len() / 3;
    // Random objects are often not valid; enough of them must be.
    let differences = in_namespace(&wire, || compare_all(&wire, steps, spare));
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    world.assert_clean();
}

fn in_namespace<T>(wire: &Wire, test: impl FnOnce() -> T) -> T {
    let path = format!("/api/v1/namespaces/{NAMESPACE}");
    let body = json!({"metadata": {"name": NAMESPACE}});
    let (code, answer) = wire.call("POST", "/api/v1/namespaces", "application/json", &body);
    assert_eq!(code, 201, "{answer}");
    let outcome = test();
    for (kind, name) in [(CONFIG_MAP, "random"), (POD_TEMPLATE, "random")] {
        let body = json!({"metadata": {"finalizers": null}});
        wire.call("PATCH", &self::path(kind, name), "application/merge-patch+json", &body);
    }
    wire.call("DELETE", &path, "application/json", &Value::Null);
    until(|| wire.get(&path).is_none(), "the namespace is gone");
    outcome
}

/// Runs all steps; what differs, one text per step. At most `spare` writes may be invalid.
fn compare_all(wire: &Wire, steps: Vec<Step>, spare: usize) -> Vec<String> {
    let (mut differences, mut invalid) = (Vec::new(), Vec::new());
    for step in &steps {
        match compare(wire, step) {
            Verdict::Same => (),
            Verdict::Invalid(message) => invalid.push(format!("{}: {message}", step.what)),
            Verdict::Different(text) => {
                differences.push(format!("== {} {} by {}: {text}", step.kind.kind, step.what, step.manager));
            }
        }
    }
    if invalid.len() > spare {
        differences.push(format!(
            "{} of {} writes are invalid:
{}",
            invalid.len(),
            steps.len(),
            invalid.join(
                "
"
            )
        ));
    }
    // past the capture of the test harness: how much was compared is half of what this test says
    let (compared, invalid) = (steps.len() - invalid.len(), invalid.len());
    let figures = format!("{compared} writes compared, {} differ, {invalid} invalid", differences.len());
    drop(writeln!(std::io::stderr(), "{figures}"));
    differences
}

fn compare(wire: &Wire, step: &Step) -> Verdict {
    let path = path(step.kind, step.name);
    let before = settled(wire, step.kind, &path);
    let start = Timestamp::now();
    let (code, answer) = send(wire, step, &path, before.as_ref());
    let real: Outcome = if code < 300 {
        Ok(answer)
    } else {
        let causes = answer["details"]["causes"].as_array().into_iter().flatten();
        let causes = causes.filter(|cause| cause["reason"] == "FieldManagerConflict");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let causes = causes.map(|cause| format!("{}: {}", text(&cause["message"]), text(&cause["field"])));
        Err((code, text(&answer["message"]), causes.collect()))
    };
    let now = real.as_ref().ok().and_then(|object| written_at(object, start)).unwrap_or(start);
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match (step.predicted(before.as_ref(), NAMESPACE, &now), real) {
        (Ok(_), Err((422, message, _))) if message.contains("is invalid") => Verdict::Invalid(message),
        (Ok(_), Err((400, message, _))) if message.contains("name must be provided") => {
            Verdict::Invalid(message)
        }
        (Ok(predicted), Ok(real)) => compare_objects(step, before.as_ref(), &predicted, &real),
        (Err((code, message, mut causes)), Err((real_code, real_message, mut real_causes))) => {
            causes.sort();
            real_causes.sort();
            // The real server looks at the fields of an object in no order.
            if (code, lines(&message), &causes) == (real_code, lines(&real_message), &real_causes) {
                return Verdict::Same;
            }
            Verdict::Different(format!(
                "refusals\n  ours: {code} {message} {causes:#?}\n  real: {real_code} {real_message} {real_causes:#?}"
            ))
        }
        (ours, real) => Verdict::Different(format!("one is refused\n  ours: {ours:?}\n  real: {real:?}")),
    }
}

fn compare_objects(step: &Step, before: Option<&Value>, predicted: &Value, real: &Value) -> Verdict {
    let mut found = Vec::new();
    let owners = |object: &Value| object["metadata"]["managedFields"].clone();
    differences("managedFields", &owners(predicted), &owners(real), &mut found);
    differences("object", &plain(step, predicted), &plain(step, real), &mut found);
    // As text, since the order of fields is a part of the format.
    if found.is_empty() && fields_text(predicted) != fields_text(real) {
        found.push(format!(
            "fieldsV1\n    ours: {:?}\n    real: {:?}",
            fields_text(predicted),
            fields_text(real)
        ));
    }
    if let Some(before) = before {
        let changes =
            |after: &Value| plain(step, before) != plain(step, after) || owners(before) != owners(after);
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        if changes(predicted) != (version(before) != version(real)) {
            found.push(format!("ours says changed: {}", changes(predicted)));
        }
    }
    if found.is_empty() {
        return Verdict::Same;
    }
    let body = step.body(Some(before.unwrap_or(&Value::Null)));
    let before = before.map(|it| plain(step, it)).unwrap_or_default();
    Verdict::Different(format!("\n  {}\n  before: {before}\n  body: {body}", found.join("\n  ")))
}

fn lines(message: &str) -> Vec<&str> {
    let mut lines: Vec<_> = message.lines().collect();
    lines.sort_unstable();
    lines
}

/// All `fieldsV1` of an object, in their order.
fn fields_text(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries.map(|entry| serde_json::to_string(&entry["fieldsV1"]).expect("text")).collect()
}

/// The latest time of managedFields, when it was set by a write that began at `start`.
fn written_at(object: &Value, start: Timestamp) -> Option<Timestamp> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let times = entries.iter().filter_map(|entry| entry["time"].as_str()?.parse::<Timestamp>().ok());
    times.max().filter(|time| time.as_second() >= start.as_second())
}

fn path(kind: Kind, name: &str) -> String {
    let root = if kind.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/v1", kind.group) };
    format!("{root}/namespaces/{NAMESPACE}/{}/{name}", kind.plural)
}

/// The object, once the controllers are done with it.
fn settled(wire: &Wire, kind: Kind, path: &str) -> Option<Value> {
    let mut object = wire.get(path);
    if kind == DEPLOYMENT {
        until(
            || {
                object = wire.get(path);
                // The controller gives conditions back that a step took away, one write each.
                let seen = |it: &Value| {
                    let conditions = it["status"]["conditions"].as_array();
                    let has =
                        |kind| conditions.into_iter().flatten().any(|condition| condition["type"] == kind);
                    let observed = it["status"]["observedGeneration"] == it["metadata"]["generation"];
                    observed && has("Progressing") && has("Available")
                };
                object.as_ref().is_none_or(seen)
            },
            "the controller has seen the deployment",
        );
    }
    object
}

fn send(wire: &Wire, step: &Step, path: &str, before: Option<&Value>) -> (u16, Value) {
    let slash = if step.subresource.is_empty() { "" } else { "/" };
    let (method, kind, more) = match step.verb {
        Verb::Create(_) => ("POST", "application/json", ""),
        Verb::Update(_) => ("PUT", "application/json", ""),
        Verb::Json(_) => ("PATCH", "application/json-patch+json", ""),
        Verb::Merge(_) => ("PATCH", "application/merge-patch+json", ""),
        Verb::Strategic(_) => ("PATCH", "application/strategic-merge-patch+json", ""),
        Verb::Apply(_, force) => {
            ("PATCH", "application/apply-patch+yaml", if force { "&force=true" } else { "" })
        }
    };
    let path = match step.verb {
        Verb::Create(_) => path.rsplit_once('/').expect("a name").0.to_owned(),
        _ => format!("{path}{slash}{}", step.subresource),
    };
    let path = format!("{path}?fieldManager={}{more}", step.manager);
    wire.call(method, &path, kind, &step.body(before))
}

fn until(mut condition: impl FnMut() -> bool, what: &str) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
    }
}
