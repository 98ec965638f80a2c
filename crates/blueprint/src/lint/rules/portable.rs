//! G-19 (golden rule 10): an application that knows its cloud cannot leave it.

use super::base;
use crate::lint::{
    Found,
    sheet::{Part, Sheet},
};

/// Beginnings of annotation and label keys that one provider's controllers read, as their documentation names them.
const PROVIDERS: &[(&str, &str)] = &[
    ("service.beta.kubernetes.io/aws-", "AWS"),
    ("service.beta.kubernetes.io/azure-", "Azure"),
    ("service.beta.kubernetes.io/oci-", "Oracle Cloud"),
    ("service.beta.kubernetes.io/do-", "DigitalOcean"),
    ("service.beta.kubernetes.io/linode-", "Linode"),
    ("service.beta.kubernetes.io/", "one cloud"),
    ("oci.oraclecloud.com/", "Oracle Cloud"),
    ("oci-network-load-balancer.oraclecloud.com/", "Oracle Cloud"),
    ("eks.amazonaws.com/", "AWS"),
    ("alb.ingress.kubernetes.io/", "AWS"),
    ("service.k8s.aws/", "AWS"),
    ("azure.workload.identity/", "Azure"),
    ("appgw.ingress.kubernetes.io/", "Azure"),
    ("service.kubernetes.io/azure-", "Azure"),
    ("iam.gke.io/", "Google Cloud"),
    ("cloud.google.com/", "Google Cloud"),
    ("networking.gke.io/", "Google Cloud"),
    ("load-balancer.hetzner.cloud/", "Hetzner"),
];

/// Whose key it is, when it is one provider's.
pub(super) fn provider_of(key: &str) -> Option<&'static str> {
    PROVIDERS.iter().find(|(begin, _)| key.starts_with(begin)).map(|(_, provider)| *provider)
}

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    // What a cluster is made of may know where the cluster is; bases are G-11's.
    if sheet.lies_in(&["clusters", "infrastructure", "infra", "addons", "add-ons", "base", "bases"]) {
        return;
    }
    if sheet.in_chart() {
        if !matches!(sheet.part, Part::HelmTemplate | Part::HelmValues) {
            return;
        }
        for (line, text) in sheet.lines() {
            let keys = text.split(|c: char| c.is_whitespace() || "\"'{},".contains(c));
            for key in keys.filter(|key| key.contains('/')) {
                if let Some(provider) = provider_of(key) {
                    let key = key.trim_end_matches(':');
                    found.at(sheet.path, line, format!("the chart bears `{key}`, for {provider} only"));
                }
            }
        }
    } else if sheet.lies_in(&["apps", "applications"]) {
        sheet.documents.iter().for_each(|document| base::marks(sheet, document, found));
    }
}
