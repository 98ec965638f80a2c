//! One Application while it is looked at, and the words of its status.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    home::{Home, Target},
    memory::Memory,
    model::{items, sources, text},
    project::Project,
    render::Renderer,
};
use crate::kube::object::meta;

/// Conditions: type and message.
pub type Conditions = Vec<(&'static str, String)>;

/// An Application, as it will be written when all is done.
pub struct Work<'a> {
    /// Its Argo CD.
    pub home: &'a Home<'a>,
    /// The Application.
    pub app: Value,
    /// The cluster that it goes to, or in Argo CD's words why there is none.
    pub target: Result<Arc<Target>, String>,
    /// Its project, if that is there.
    pub project: Option<Arc<Project>>,
    /// What renders its sources.
    pub renderer: &'a Renderer,
    /// What is known of earlier looks.
    pub memory: &'a Memory,
}

impl Work<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        meta(&self.app, "name")
    }

    /// The time, as objects hold it.
    pub fn now(&self) -> String {
        self.home.cluster.time()
    }

    /// The name of its project.
    pub fn project_name(&self) -> &str {
        match text(&self.app["spec"], "project") {
            "" => "default",
            name => name,
        }
    }

    /// Whether an operation is asked for or runs.
    pub fn operates(&self) -> bool {
        self.app["operation"].is_object()
    }

    /// Writes conditions of the types that were looked at; one that stays the same keeps its time.
    pub fn set_conditions(&mut self, found: Conditions, looked_at: &[&str]) {
        let old: Vec<Value> = items(&self.app["status"]["conditions"]).cloned().collect();
        let mut all: Vec<Value> =
            old.iter().filter(|it| !looked_at.contains(&text(it, "type"))).cloned().collect();
        for (kind, message) in found {
            let same = old.iter().find(|it| it["type"] == kind && it["message"] == message.as_str());
            let new = || json!({"type": kind, "message": message, "lastTransitionTime": self.now()});
            all.push(same.cloned().unwrap_or_else(new));
        }
        all.sort_by(|a, b| (text(a, "type"), text(a, "message")).cmp(&(text(b, "type"), text(b, "message"))));
        let Some(status) = self.app["status"].as_object_mut() else { return };
        if all.is_empty() {
            status.shift_remove("conditions");
        } else {
            status.insert("conditions".to_owned(), all.into());
        }
    }

    /// Conditions of some types, as an operation repeats them.
    pub fn told(&self, kinds: &[&str]) -> String {
        let all = items(&self.app["status"]["conditions"]).filter(|it| kinds.contains(&text(it, "type")));
        all.map(|it| format!("{}: {}", text(it, "type"), text(it, "message"))).collect::<Vec<_>>().join(";")
    }

    /// The options of its sync policy, or those that an operation names.
    pub fn options(&self, operation: &Value) -> Vec<String> {
        let said = &operation["sync"]["syncOptions"];
        let said = if said.is_array() { said } else { &self.app["spec"]["syncPolicy"]["syncOptions"] };
        items(said).filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// What an Application was compared with, as its status holds it.
    pub fn compared_to(&self) -> Value {
        let spec = &self.app["spec"];
        let mut compared = json!({ "destination": spec["destination"] });
        match sources(spec) {
            (all, true) => compared["sources"] = all.into_iter().cloned().collect(),
            (all, false) => {
                compared["source"] = all.first().map_or(json!({"repoURL": ""}), |it| (*it).clone())
            }
        }
        if spec["ignoreDifferences"].is_array() {
            compared["ignoreDifferences"] = spec["ignoreDifferences"].clone();
        }
        compared
    }
}
