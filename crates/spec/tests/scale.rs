//! S0-47: a hundred teams are no special case.

use std::{fmt::Write, time::Instant};

use platform_spec::{derive, parse};

/// 50 clusters and 200 tenants, each on all of them: 10,000 applications with a host each.
fn large() -> String {
    let mut text = String::from(
        "apiVersion: platform.dev/v1alpha1
kind: Platform
metadata: {name: large, owner: team, costCenter: C-1}
spec:
  blueprint: {name: starter, version: 1.0.0}
  git:
    server: {kind: github, url: https://github.com/example, authRef: env:TOKEN}
    repositories: [{name: platform, role: platform}]
  environments: [{name: prod, order: 1}]
  providers: [{name: here, kind: existing, config: {kubeconfigRef: file:~/.kube/config}}]
  argocd: {version: 3.5.7, topology: cockpit-fleet}
  apps: [{name: shop, source: {repo: platform, path: apps/shop, type: helm}, host: \"{tenant}.{cell}.example.com\"}]
  dns: {zones: [{name: example.com, provider: cloudflare, authRef: env:CF}]}
  clusters:
",
    );
    let cells: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    for cell in &cells {
        writeln!(text, "    - {{name: {cell}, provider: here, environments: [prod], cell: {cell}}}")
            .expect("text");
    }
    text.push_str("  rollout: {waves: [{name: all, environments: [prod]}]}\n  tenancy:\n    pattern: namespace-per-tenant\n    tenants:\n");
    for n in 0..200 {
        let cells = cells.join(", ");
        writeln!(text, "      - {{name: t{n}, cells: [{cells}], subscriptions: [{{app: shop}}]}}")
            .expect("text");
    }
    text
}

#[test]
fn ten_thousand_applications_are_checked_and_derived_in_time() {
    let text = large();
    let begin = Instant::now();
    let model = derive(&parse("large.yaml", &text).expect("valid").platform);
    assert_eq!(model.applications.len(), 10_000);
    assert_eq!(model.hosts.len(), 10_000);
    // The requirement's own bound, for rendering as a whole; about two seconds were seen without optimisation.
    assert!(begin.elapsed().as_secs() < 60, "took {:?}", begin.elapsed());
}
