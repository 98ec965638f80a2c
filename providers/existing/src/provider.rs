//! The contract's verbs for a cluster that exists already.

use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use platform_provider::{
    Access, ClusterRequest, Description, Ensured, InventoryRequest, Kubeconfig as GivenKubeconfig,
    Observation, Owned, Ownership, Provider, Removed, Resource, ResourceCall, Retry, Thing,
    describe::{Capabilities, Need},
    resource::CONTROL_PLANE,
    secret,
};
use platform_spec::{
    Class, Code, Failure,
    report::{Finding, Severity},
    secret::SecretRef,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::Api,
    credential::{CredentialError, Proof},
    kubeconfig::Kubeconfig,
};

/// The provider `existing`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Existing;

/// The provider's section of the spec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// Where the kubeconfig is; `credentialsRef` does as well.
    kubeconfig_ref: Option<SecretRef>,
    /// Which of its contexts; its current one when left out.
    context: Option<String>,
}

/// A cluster's kubeconfig, chosen and checked.
struct Opened {
    kubeconfig: Kubeconfig,
    /// What a person runs to see the same.
    command: String,
}

impl Opened {
    async fn new(cluster: &ClusterRequest) -> Result<Self, Failure> {
        let (handle, context) = configured(cluster)?;
        let yaml = secret::read(&handle).await?;
        let file = match &handle {
            SecretRef::File(path) => secret::expand_home(path),
            _ => None,
        };
        let base: Option<PathBuf> = file
            .as_ref()
            .and_then(|path| std::path::absolute(path).ok())
            .and_then(|path| path.parent().map(PathBuf::from));
        let named = file.map(|path| format!(" --kubeconfig {}", path.display())).unwrap_or_default();
        let kubeconfig =
            Kubeconfig::select(&yaml, base.as_deref(), context.as_deref()).await.map_err(|cause| {
                Failure::new(Code::new("P0211"), Class::Config, unusable(cluster, &handle))
                    .caused_by(&cause)
                    .hint(format!("see what it holds with `kubectl{named} config view`"))
            })?;
        let command = format!("kubectl{named} --context {} get --raw /version", kubeconfig.context);
        Ok(Self { kubeconfig, command })
    }

    async fn proof(&self, cluster: &ClusterRequest) -> Result<Proof, Failure> {
        self.kubeconfig.proof(Timestamp::now()).await.map_err(|cause| {
            let (code, class) = match &cause {
                CredentialError::Ended(_) => (Code::new("P0213"), Class::AuthExpired),
                CredentialError::Exec { .. } => (Code::new("P0215"), Class::AuthExpired),
                CredentialError::Start { .. } | CredentialError::Terminal { .. } => {
                    (Code::new("P0215"), Class::Config)
                }
                _ => (Code::new("P0211"), Class::Config),
            };
            Failure::new(
                code,
                class,
                format!("could not get the credentials of cluster `{}`", cluster.cluster),
            )
            .caused_by(&cause)
            .hint(format!("log in again or renew them, then check with `{}`", self.command))
        })
    }

    async fn api(&self, cluster: &ClusterRequest) -> Result<Api, Failure> {
        let proof = self.proof(cluster).await?;
        Api::new(&cluster.cluster, &self.kubeconfig, proof, self.command.clone()).await
    }
}

fn unusable(cluster: &ClusterRequest, handle: &SecretRef) -> String {
    format!("could not use the kubeconfig `{handle}` of cluster `{}`", cluster.cluster)
}

/// The kubeconfig's handle and the wanted context.
fn configured(cluster: &ClusterRequest) -> Result<(SecretRef, Option<String>), Failure> {
    let wrong = || {
        Failure::new(
            Code::new("P0218"),
            Class::Config,
            format!("could not use the configuration of provider `{}`", cluster.provider),
        )
    };
    let hint = format!(
        "write `config: {{kubeconfigRef: \"file:~/.kube/config\", context: NAME}}` at provider `{}`",
        cluster.provider
    );
    let config: Config = match &cluster.config {
        Value::Null => Config::default(),
        given => Config::deserialize(given).map_err(|cause| wrong().caused_by(&cause).hint(hint.clone()))?,
    };
    let handle = config.kubeconfig_ref.or_else(|| cluster.credentials.clone()).ok_or_else(|| {
        wrong().because("neither `config.kubeconfigRef` nor `credentialsRef` is there").hint(hint)
    })?;
    Ok((handle, config.context))
}

/// Looks at the cluster that the kubeconfig leads to.
async fn look(cluster: &ClusterRequest) -> Result<Thing, Failure> {
    let opened = Opened::new(cluster).await?;
    let api = opened.api(cluster).await?;
    let version = api.version().await?;
    let outputs = json!({
        "endpoint": opened.kubeconfig.server,
        "context": opened.kubeconfig.context,
        "version": version,
    });
    Ok(Thing { external_id: api.identity().await?, ownership: Ownership::Adopted, outputs })
}

fn check_resource(resource: &str) -> Result<(), Failure> {
    if resource == CONTROL_PLANE {
        return Ok(());
    }
    Err(Failure::new(
        Code::new("P0216"),
        Class::Bug,
        format!("the provider `existing` has no resource `{resource}`"),
    ))
}

fn finding(code: Code, severity: Severity, message: String, hint: Option<String>) -> Finding {
    Finding { code, severity, class: None, message, hint, file: None, line: None, column: None, path: None }
}

/// What a person has to mend is a finding; what may pass by itself stays a failure.
fn found(failure: Failure) -> Result<Finding, Failure> {
    if matches!(failure.class, Class::Retryable | Class::Throttled) {
        return Err(failure);
    }
    Ok(failure.into())
}

/// Whether a server of version `v1.36.3` is what `1.36` or `1.36.3` asks for.
fn is_version(server: &str, wanted: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let text = text.trim_start_matches('v');
        let text = text.split(['-', '+']).next().unwrap_or_default();
        text.split('.').map(str::to_owned).collect()
    };
    parts(server).starts_with(&parts(wanted))
}

#[async_trait]
impl Provider for Existing {
    async fn describe(&self) -> Result<Description, Failure> {
        Ok(Description {
            kind: "existing".to_owned(),
            summary: "a cluster that is there already: used, and never made, changed or deleted".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Capabilities::default(),
            tools: Vec::new(),
            credentials: vec![Need {
                name: "kubeconfig".to_owned(),
                why: "leads to the cluster; give it as `config.kubeconfigRef` or `credentialsRef`".to_owned(),
                required: true,
            }],
            config_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "kubeconfigRef": {"type": "string", "format": "secret-ref", "description": "handle of the kubeconfig: file:PATH, env:NAME, …"},
                    "context": {"type": "string", "description": "which context; the current one when left out"},
                },
            }),
        })
    }

    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        let opened = match Opened::new(cluster).await {
            Ok(opened) => opened,
            Err(failure) => return Ok(vec![found(failure)?]),
        };
        if opened.kubeconfig.insecure || opened.kubeconfig.server.starts_with("http://") {
            findings.push(finding(
                Code::new("P0210"),
                Severity::Warning,
                format!(
                    "the way to cluster `{}` is not verified: anybody on it can read and change",
                    cluster.cluster
                ),
                Some("give the kubeconfig `certificate-authority-data` and an https:// server".to_owned()),
            ));
        }
        let asked = async {
            let api = opened.api(cluster).await?;
            api.identity().await?;
            api.version().await
        };
        match asked.await {
            Err(failure) => findings.push(found(failure)?),
            Ok(version) => {
                let wanted = cluster.kubernetes_version.as_deref();
                if let Some(wanted) = wanted.filter(|wanted| !is_version(&version, wanted)) {
                    findings.push(finding(
                        Code::new("P0219"),
                        Severity::Warning,
                        format!(
                            "cluster `{}` runs Kubernetes {version}, the spec says {wanted}",
                            cluster.cluster
                        ),
                        Some(
                            "this provider changes no cluster: upgrade it yourself, or mend the spec"
                                .to_owned(),
                        ),
                    ));
                }
            }
        }
        Ok(findings)
    }

    async fn resources(&self, cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        configured(cluster)?;
        let title = format!("use the existing cluster {}", cluster.cluster);
        // Two requests; a network that is away longer than five minutes wants a person.
        Ok(vec![Resource::new(CONTROL_PLANE, &title, Retry::R1).takes(1_000, 300_000)])
    }

    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure> {
        check_resource(&call.resource)?;
        Ok(Observation::Present { thing: look(&call.cluster).await?, differs: None })
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        check_resource(&call.resource)?;
        Ok(Ensured::Done { thing: look(&call.cluster).await?, changed: false })
    }

    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure> {
        check_resource(&call.resource)?;
        Ok(Removed::Kept {
            why: "it was there before, and provider `existing` deletes no cluster".to_owned(),
        })
    }

    async fn list_owned(&self, _owner: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        Ok(Vec::new())
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        let opened = Opened::new(cluster).await?;
        let expires = match &opened.kubeconfig.user.exec {
            // Whoever uses the kubeconfig runs the program anew each time.
            Some(_) => None,
            None => opened.proof(cluster).await?.expires,
        };
        let yaml = opened.kubeconfig.flattened().map_err(|cause| {
            Failure::new(Code::new("P0211"), Class::Bug, "could not write a kubeconfig".to_owned())
                .because(format!("YAML: {}", cause.location().map_or(0, |at| at.line())))
        })?;
        Ok(Access {
            kubeconfig: GivenKubeconfig::Value(yaml),
            context: Some(opened.kubeconfig.context),
            expires,
            inside: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn versions_are_compared_by_the_parts_that_are_wanted() {
        assert!(is_version("v1.36.3", "1.36"));
        assert!(is_version("v1.36.3+k3s1", "1.36.3"));
        assert!(is_version("v1.36.3-eks-abc", "v1.36"));
        assert!(!is_version("v1.36.3", "1.3"));
        assert!(!is_version("v1.35.9", "1.36"));
    }
}
