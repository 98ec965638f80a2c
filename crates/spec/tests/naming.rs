//! for any tenants, apps, environments and templates: a spec either is refused, or every name in its model is
//! valid and its owner's alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use platform_spec::{Model, derive, parse};
use proptest::prelude::*;

/// Few letters, so that pairs such as `a` + `b-c` and `a-b` + `c` happen; sometimes long, so that names overflow.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab](-[ab]){0,2}",
        1 => "[ab]{50,63}",
    ]
}

fn names(most: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set(name(), 1..=most).prop_map(|names| names.into_iter().collect())
}

fn template() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("{tenant}"),
        Just("{app}"),
        Just("{env}"),
        Just("{cell}"),
        Just("{key}"),
        Just("x"),
    ];
    proptest::collection::vec(word, 1..5).prop_map(|words| words.join("-"))
}

#[derive(Clone, Debug)]
struct Wish {
    tenants: Vec<String>,
    apps: Vec<String>,
    environments: Vec<String>,
    templates: [String; 3],
    host: String,
}

prop_compose! {
    fn wish()(
        tenants in names(4),
        apps in names(3),
        environments in names(3),
        templates in [template(), template(), template()],
        host in template(),
    ) -> Wish {
        Wish { tenants, apps, environments, templates, host }
    }
}

fn spec(wish: &Wish) -> String {
    let mut text = String::from(
        "apiVersion: platform.dev/v1alpha1
kind: Platform
metadata: {name: demo, owner: team, costCenter: C-1}
spec:
  blueprint: {name: starter, version: 1.0.0}
  git:
    server: {kind: github, url: https://github.com/example, authRef: env:TOKEN}
    repositories: [{name: platform, role: platform}]
  providers: [{name: own, kind: machines}]
  argocd: {version: 3.5.7}
",
    );
    let mut put = |line: String| writeln!(text, "{line}").expect("a string takes everything");
    put("  environments:".into());
    for (order, name) in wish.environments.iter().enumerate() {
        put(format!("    - {{name: {name}, order: {order}, approvals: 1, soak: 168h}}"));
    }
    put(format!(
        "  clusters: [{{name: one, provider: own, environments: [{}]}}]",
        wish.environments.join(", ")
    ));
    put("  apps:".into());
    for name in &wish.apps {
        let host = &wish.host;
        put(format!(
            "    - {{name: {name}, source: {{repo: platform, path: apps, type: helm}}, host: \"{host}.example.com\"}}"
        ));
    }
    let [namespace, application, project] = &wish.templates;
    put(format!(
        "  tenancy:\n    pattern: namespace-per-tenant\n    naming: {{namespace: \"{namespace}\", application: \
         \"{application}\", project: \"{project}\"}}\n    labels: {{who: \"{{tenant}}/{{app}}\"}}\n    tenants:"
    ));
    let subscriptions: Vec<String> = wish.apps.iter().map(|app| format!("{{app: {app}}}")).collect();
    for name in &wish.tenants {
        put(format!(
            "      - {{name: {name}, cells: [{}], subscriptions: [{}]}}",
            wish.environments.join(", "),
            subscriptions.join(", ")
        ));
    }
    text
}

fn is_label(name: &str, limit: usize) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= limit
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// What the rules promise of a model, said once more and without their help.
fn sound(model: &Model) -> Result<(), TestCaseError> {
    let mut applications = BTreeSet::new();
    let mut namespaces: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut hosts: BTreeMap<_, usize> = BTreeMap::new();
    for application in &model.applications {
        prop_assert!(is_label(&application.name, 253), "{}", application.name);
        prop_assert!(is_label(&application.namespace, 63), "{}", application.namespace);
        prop_assert!(is_label(&application.project, 63), "{}", application.project);
        let label = &application.labels["who"];
        prop_assert!(is_label(label, 63), "{label}");
        prop_assert!(applications.insert((&application.argocd, &application.name)), "{}", application.name);
        let owner = (&application.tenant, &application.environment);
        namespaces.entry((&application.cluster, &application.namespace)).or_default().insert(owner);
        if let Some(host) = &application.host {
            *hosts.entry(host).or_default() += 1;
            prop_assert!(host.split('.').all(|part| is_label(part, 63)), "{host}");
        }
    }
    for (place, owners) in namespaces {
        prop_assert_eq!(owners.len(), 1, "{:?}", place);
    }
    for (host, wanted) in hosts {
        prop_assert_eq!(wanted, 1, "{}", host);
    }
    prop_assert_eq!(model.namespaces.len(), {
        let places: BTreeSet<_> = model.namespaces.iter().map(|it| (&it.cluster, &it.name)).collect();
        places.len()
    });
    Ok(())
}

/// The only reasons for which such a spec may be refused.
fn refused_for_names(codes: &BTreeSet<String>) -> bool {
    codes.iter().all(|code| ["P0014", "P0015"].contains(&code.as_str()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn names_are_valid_and_unique_or_the_spec_is_refused(wish in wish()) {
        match parse("platform.yaml", &spec(&wish)) {
            Ok(parsed) => sound(&derive(&parsed.platform))?,
            Err(findings) => {
                let codes: BTreeSet<String> = findings.iter().map(|finding| finding.code.to_string()).collect();
                prop_assert!(refused_for_names(&codes), "{findings:#?}");
            }
        }
    }

    /// The templates that come by themselves: refused only where two pairs run together.
    #[test]
    fn the_usual_templates_keep_short_simple_names_apart(
        tenants in proptest::collection::btree_set("[a-z]{1,8}", 1..5),
        apps in proptest::collection::btree_set("[a-z]{1,8}", 1..4),
    ) {
        let wish = Wish {
            tenants: tenants.into_iter().collect(),
            apps: apps.into_iter().collect(),
            environments: vec!["dev".into(), "prod".into()],
            templates: ["{tenant}-{env}", "{tenant}-{app}-{cell}", "{tenant}"].map(str::to_owned),
            host: "{app}-{tenant}-{env}".into(),
        };
        let parsed = parse("platform.yaml", &spec(&wish));
        prop_assert!(parsed.is_ok(), "{parsed:#?}");
        sound(&derive(&parsed.expect("seen to be right").platform))?;
    }
}
