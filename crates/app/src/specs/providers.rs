//! What the providers of a spec say of it before anything is asked of the outside: whether the words of their sections are theirs,
//! and whether they can make clusters as they are described.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use platform_flows::wish;
use platform_provider::Provider;
use platform_spec::{
    Class, Failure, Model, Platform, derive,
    report::{Finding, Severity},
    section,
};
use serde_json::{Value, json};

use crate::doors;

/// Providers by kind, and what they say of their sections.
pub(super) struct Known(BTreeMap<String, (Arc<dyn Provider>, Value)>);

impl Known {
    /// Those that this program has.
    ///
    /// # Errors
    /// When one cannot be asked.
    pub(super) async fn own() -> Result<Self, Failure> {
        // Nothing outside is asked of them, so where the sandbox is does not matter.
        let mut known = Self(BTreeMap::new());
        for provider in doors::providers(Path::new("")) {
            known = known.with(provider).await?;
        }
        Ok(known)
    }

    /// One more, instead of that of its kind.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) async fn with(mut self, provider: Arc<dyn Provider>) -> Result<Self, Failure> {
        let description = provider.describe().await?;
        self.0.insert(description.kind, (provider, description.config_schema));
        Ok(self)
    }

    /// Reads the sections of a spec's providers by their schemas, and asks the providers for what their clusters are made of.
    /// Gives the model of what was read, and what was found. Who is not known here says nothing.
    pub(super) async fn read(
        &self,
        name: &str,
        text: &str,
        platform: &mut Platform,
    ) -> (Model, Vec<Finding>) {
        let mut findings = Vec::new();
        for (at, provider) in platform.spec.providers.iter_mut().enumerate() {
            let Some((_, schema)) = self.0.get(provider.kind.as_str()) else { continue };
            let read = section(name, text, &section_of(at), schema);
            if let (true, Value::Object(config)) = (read.findings.is_empty(), read.value) {
                provider.config = config;
            }
            findings.extend(read.findings);
        }
        let model = derive(platform);
        if findings.is_empty() {
            findings = self.refusals(name, text, platform, &model).await;
        }
        (model, findings)
    }

    async fn refusals(&self, name: &str, text: &str, platform: &Platform, model: &Model) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for cluster in &model.clusters {
            let Some((provider, _)) = self.0.get(&cluster.provider.kind) else { continue };
            let request = wish::reach(model, cluster).request;
            // What may pass by itself, or is the provider's own mistake, is not the file's.
            let refused = provider.resources(&request).await.err().filter(|why| why.class == Class::Config);
            let Some(failure) = refused else { continue };
            let mut bare = request.clone();
            bare.spec = json!(null);
            let path = match provider.resources(&bare).await {
                Err(again) if again == failure => {
                    let mut providers = platform.spec.providers.iter();
                    providers.position(|it| it.name.as_str() == cluster.provider.name).map(section_of)
                }
                _ => {
                    let mut clusters = platform.spec.clusters.iter();
                    clusters
                        .position(|it| it.name.as_str() == cluster.name)
                        .map(|at| format!("spec.clusters[{at}]"))
                }
            };
            let finding = of_refusal(name, text, path, failure);
            // Two clusters of one provider refuse its section twice.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings
    }
}

fn section_of(at: usize) -> String {
    format!("spec.providers[{at}].config")
}

fn of_refusal(name: &str, text: &str, path: Option<String>, failure: Failure) -> Finding {
    let at = path.as_deref().and_then(|path| platform_spec::place(text, path));
    let found = Finding::from(failure);
    Finding {
        class: None,
        severity: Severity::Error,
        file: Some(name.to_owned()),
        line: at.map(|(line, _)| line),
        column: at.map(|(_, column)| column),
        path,
        ..found
    }
}
