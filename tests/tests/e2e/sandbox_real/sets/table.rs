//! The sets that both controllers are given.

use serde_json::{Value, json};

/// What lies in the repository.
pub(super) const FILES: &[(&str, &str)] = &[
    ("apps/one/map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}"),
    ("apps/two/map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: two}}"),
    ("apps/Big_Three/map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: three}}"),
    ("apps/one/deep/map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: deep}}"),
    ("apps/.hidden/map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: hidden}}"),
    ("envs/dev/config.json", r#"{"env": "dev", "size": 1, "nested": {"region": "eu", "zones": ["a", "b"]}}"#),
    ("envs/prod/config.json", r#"{"env": "prod", "size": 2.5, "nested": {"region": "us", "zones": ["c"]}}"#),
    ("envs/prod/extra.yaml", "env: extra\nsize: 0\nnested: {region: eu, zones: []}\n"),
    ("envs/list.json", r#"[{"env": "first"}, {"env": "second", "on": true}]"#),
    ("envs/broken.txt", "- just\n- words\n"),
    ("teams/dev/red.json", r#"{"team": "red"}"#),
    ("teams/dev/blue.json", r#"{"team": "blue"}"#),
    ("teams/prod/red.json", r#"{"team": "red"}"#),
];

/// One set.
pub(super) struct Case {
    pub name: &'static str,
    /// Whether what goes wrong is said in the words of somebody's parser.
    pub in_other_words: bool,
    spec: Value,
}

impl Case {
    pub(super) fn set(&self) -> Value {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
            "metadata": {"name": self.name, "namespace": "argocd", "labels": {"sandbox-real": "sets"}},
            "spec": self.spec,
        })
    }

    /// Parameters are written as `{{.name}}`, in Go's way.
    fn go(mut self) -> Self {
        self.spec["goTemplate"] = true.into();
        self
    }

    /// As [`Self::go`], and what is not there is an error.
    fn strict(self) -> Self {
        let mut strict = self.go();
        strict.spec["goTemplateOptions"] = json!(["missingkey=error"]);
        strict
    }

    /// Other parsers have other words for what is wrong with it.
    fn in_other_words(self) -> Self {
        Self { in_other_words: true, ..self }
    }

    /// With something more in its spec.
    fn with(mut self, key: &str, value: Value) -> Self {
        self.spec[key] = value;
        self
    }

    /// With labels on its Applications.
    fn labels(mut self, labels: &[(&str, &str)]) -> Self {
        for (key, value) in labels {
            self.spec["template"]["metadata"]["labels"][*key] = (*value).into();
        }
        self
    }

    /// Its Applications go to another cluster and leave nothing to be done there.
    fn to(mut self, server: &str) -> Self {
        self.spec["template"]["spec"]["destination"]["server"] = server.into();
        self.with("syncPolicy", json!({"preserveResourcesOnDeletion": true}))
    }
}

/// A repository, and two clusters: nobody answers there, which is no matter to a set.
pub(super) fn secrets(url: &str, password: &str) -> Vec<Value> {
    let secret = |name: &str, kind: &str, labels: Value, data: Value| {
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name, "namespace": "argocd", "labels": labels,
                "annotations": {"example.com/zone": format!("zone-of-{name}")},
            },
            "stringData": data,
        });
        secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] = kind.into();
        secret["metadata"]["labels"]["sandbox-real"] = "sets".into();
        secret
    };
    let cluster = |name: &str, called: &str, tier: &str| {
        let data = json!({"name": called, "server": format!("https://{name}.example.test"), "config": "{}"});
        secret(name, "cluster", json!({"tier": tier}), data)
    };
    let repository = json!({"type": "git", "url": url, "username": "platform", "password": password});
    vec![
        secret("sets", "repository", json!({}), repository),
        cluster("far", "far", "gold"),
        cluster("near", "Near_By", "silver"),
    ]
}

fn case(url: &str, name: &'static str, application: &str, path: &str, generators: Value) -> Case {
    let spec = json!({
        "generators": generators,
        "template": {
            "metadata": {"name": application, "labels": {"of-a-set": name}},
            "spec": {
                "project": "default",
                "source": {"repoURL": url, "targetRevision": "main", "path": path},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
            },
        },
    });
    Case { name, in_other_words: false, spec }
}

pub(super) fn cases(url: &str) -> Vec<Case> {
    let case =
        |name, application: &str, path: &str, generators| case(url, name, application, path, generators);
    let git = |more: Value| {
        let mut git = json!({"repoURL": url, "revision": "main"});
        for (key, value) in more.as_object().into_iter().flatten() {
            git[key] = value.clone();
        }
        json!({ "git": git })
    };
    let names = |names: &[&str]| {
        let elements: Vec<Value> = names.iter().map(|it| json!({"name": it})).collect();
        json!({"list": {"elements": elements}})
    };
    let directories =
        git(json!({"directories": [{"path": "apps/*"}, {"path": "apps/two", "exclude": true}]}));
    let configs = git(json!({"files": [{"path": "envs/**/config.json"}]}));
    let mut all = vec![
        // list
        case("list", "list-{{name}}-{{ values.size }}", "apps/{{name}}", json!([{"list": {"elements": [
            {"name": "one", "values": {"size": "1"}}, {"name": "two", "values": {"size": "big"}},
        ]}}])),
        case("list-go", "list-go-{{.name}}-{{ .nested.size }}", "apps/{{.name}}", json!([{"list": {"elements": [
            {"name": "one", "nested": {"size": 1}}, {"name": "two", "nested": {"size": "big"}},
        ]}}])).go(),
        case("list-yaml", "list-yaml-{{.name}}", "apps/one", json!([{"list": {"elements": [],
            "elementsYaml": "- {name: a}\n- {name: b}\n"}}])).go(),
        case("list-unknown", "list-unknown-{{name}}", "apps/one", json!([names(&["a"])]))
            .labels(&[("where", "x-{{nowhere}}")]),
        case("nothing", "nothing-{{name}}", "apps/one", json!([names(&[])])),
        // git
        case("folders", "folders-{{path.basenameNormalized}}", "{{path}}", json!([directories]))
            .labels(&[("first", "{{path[0]}}"), ("second", "{{path[1]}}"), ("base", "{{path.basename}}")]),
        case("folders-go", "folders-go-{{.p.path.basenameNormalized}}", "{{.p.path.path}}", json!([git(json!({
            "directories": [{"path": "apps/*"}], "pathParamPrefix": "p",
            "values": {"where": "{{.p.path.basename}}-{{len .p.path.segments}}"},
        }))])).go().labels(&[("where", "{{.values.where}}"), ("first", "{{index .p.path.segments 0}}")]),
        case("folders-below", "folders-below-{{path.basename}}", "{{path}}",
            json!([git(json!({"directories": [{"path": "apps/*/*"}]}))])),
        case("files", "files-{{env}}-{{path.basename}}", "apps/one", json!([configs])).labels(&[
            ("file", "{{path.filename}}"), ("normal", "{{path.filenameNormalized}}"), ("region", "{{nested.region}}"),
            ("size", "{{size}}"), ("zone", "{{nested.zones.0}}"),
        ]),
        case("files-go", "files-go-{{.env}}", "apps/one", json!([git(json!({
            "files": [{"path": "envs/**/*.json"}, {"path": "envs/prod/*.yaml"}, {"path": "envs/dev/*", "exclude": true}],
        }))])).go().labels(&[("base", "{{.path.basename}}"), ("on", "{{if .on}}yes{{else}}no{{end}}")]),
        // clusters
        case("clusters", "clusters-{{nameNormalized}}", "apps/one", json!([{"clusters": {}}])).to("{{server}}")
            .labels(&[("called", "{{name}}"), ("project", "p{{project}}")]),
        case("clusters-chosen", "clusters-chosen-{{.nameNormalized}}", "apps/one", json!([{"clusters": {
            "selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "bronze"]}]},
            "values": {"both": "{{.name}}-{{.metadata.labels.tier}}"},
        }}])).go().to("{{.server}}")
            .labels(&[("both", "{{.values.both}}"), ("zone", "{{index .metadata.annotations \"example.com/zone\"}}")]),
        case("clusters-labelled", "clusters-labelled-{{name}}", "apps/one", json!([{"clusters": {
            "selector": {"matchLabels": {"tier": "gold"}},
        }}])).to("{{server}}").labels(&[("tier", "{{metadata.labels.tier}}")]),
        case("clusters-flat", "clusters-flat-{{len .clusters}}", "apps/one", json!([{"clusters": {"flatList": true}}]))
            .go(),
        // matrix
        case("matrix", "matrix-{{path.basename}}-{{name}}", "{{path}}",
            json!([{"matrix": {"generators": [git(json!({"directories": [{"path": "apps/t*"}]})), names(&["x", "y"])]}}])),
        case("matrix-clusters", "matrix-clusters-{{.nameNormalized}}-{{.path.basenameNormalized}}", "{{.path.path}}",
            json!([{"matrix": {"generators": [directories, {"clusters": {}}]}}])).go().to("{{.server}}"),
        case("matrix-outer", "matrix-outer-{{.env}}-{{.team}}", "apps/one", json!([{"matrix": {"generators": [
            git(json!({"files": [{"path": "envs/*/config.json"}], "pathParamPrefix": "outer"})),
            git(json!({"files": [{"path": "teams/{{.env}}/*.json"}]})),
        ]}}])).go(),
        case("matrix-in-matrix", "matrix-in-matrix-{{name}}-{{size}}-{{color}}", "apps/one",
            json!([{"matrix": {"generators": [
                {"matrix": {"generators": [names(&["a", "b"]), {"list": {"elements": [{"size": "1"}, {"size": "2"}]}}]}},
                {"list": {"elements": [{"color": "red"}]}},
            ]}}])),
        case("matrix-of-merge", "matrix-of-merge-{{.name}}-{{.size}}-{{.color}}", "apps/one",
            json!([{"matrix": {"generators": [
                {"merge": {"mergeKeys": ["name"], "generators": [
                    {"list": {"elements": [{"name": "a", "size": "1"}, {"name": "b", "size": "1"}]}},
                    {"list": {"elements": [{"name": "b", "size": "2"}]}},
                ]}},
                {"list": {"elements": [{"color": "red"}, {"color": "blue"}]}},
            ]}}])).go(),
        // merge
        case("merge", "merge-{{nameNormalized}}", "apps/one", json!([{"merge": {"mergeKeys": ["name"], "generators": [
            {"clusters": {"values": {"size": "small"}}},
            {"list": {"elements": [{"name": "far", "values.size": "large"}, {"name": "nobody", "values.size": "huge"}]}},
        ]}}])).to("{{server}}").labels(&[("size", "{{values.size}}")]),
        case("merge-go", "merge-go-{{.name}}", "apps/one", json!([{"merge": {"mergeKeys": ["name"], "generators": [
            {"list": {"elements": [{"name": "a", "deep": {"x": "1", "y": "1"}}, {"name": "b", "deep": {"x": "1"}}]}},
            {"list": {"elements": [{"name": "a", "deep": {"y": "2"}}]}},
            {"list": {"elements": [{"name": "b", "deep": {"z": "3"}}]}},
        ]}}])).go().labels(&[("deep", "{{range $k, $v := .deep}}{{$k}}{{$v}}{{end}}")]),
        case("merge-two-keys", "merge-two-keys-{{a}}-{{b}}-{{c}}", "apps/one",
            json!([{"merge": {"mergeKeys": ["a", "b"], "generators": [
                {"list": {"elements": [{"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "c": "1"}]}},
                {"list": {"elements": [{"a": "1", "b": "2", "c": "2"}, {"a": "2", "b": "1", "c": "3"}]}},
            ]}}])),
        // all of them
        case("selected", "selected-{{name}}", "apps/one", json!([{
            "list": {"elements": [{"name": "a", "tier": "x"}, {"name": "b", "tier": "y"}, {"name": "c"}]},
            "selector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["y"]}]},
        }])),
        case("selected-deep", "selected-deep-{{.env}}", "apps/one", json!([{
            "git": configs["git"], "selector": {"matchLabels": {"nested.region": "eu"}},
        }])).go(),
        case("several", "several-{{name}}", "apps/one", json!([names(&["a"]), names(&["b"])])),
        case("own-template", "own-template-{{name}}", "apps/one", json!([
            names(&["a"]),
            {"list": {"elements": [{"name": "b"}], "template": {
                "metadata": {"labels": {"own": "{{name}}"}},
                "spec": {"project": "", "source": {"repoURL": url, "path": "apps/two"}, "destination": {}},
            }}},
        ])),
        case("patched", "patched-{{.name}}", "apps/one", json!([names(&["a", "b"])])).go().with("templatePatch",
            "{{- if eq .name \"b\" }}\nmetadata:\n  labels: {patched: '{{.name}}'}\nspec:\n  source: {path: apps/two}\n{{- end }}\n".into()),
        case("functions", "functions-{{normalize .name}}-{{slugify .name}}", "apps/one", json!([names(&["My_Name.One"])]))
            .go().labels(&[
                ("upper", "{{ .name | lower | replace \"_\" \"-\" }}"), ("default", "{{ .none | default \"d\" }}"),
                ("short", "{{ trunc 2 .name }}"), ("slug", "{{ slugify 5 false .name }}"),
            ]),
        case("kept", "kept-{{name}}", "apps/one", json!([names(&["a"])]))
            .with("syncPolicy", json!({"preserveResourcesOnDeletion": true})),
    ];
    all.extend(wrong(url, &case, &git, &names));
    all
}

/// Those that an error comes of.
fn wrong(
    url: &str,
    case: &impl Fn(&'static str, &str, &str, Value) -> Case,
    git: &impl Fn(Value) -> Value,
    names: &impl Fn(&[&str]) -> Value,
) -> Vec<Case> {
    let other = |element: Value| json!({"list": {"elements": [element]}});
    vec![
        case("same-names", "same-name", "apps/one", json!([names(&["a", "b"])])),
        case("no-name", "", "apps/one", json!([names(&["a"])])),
        case("some-wrong", "some-wrong-{{name}}", "apps/one", json!([names(&["a", "b"])])).with(
            "template",
            json!({
                "metadata": {"name": "some-wrong-{{name}}", "labels": {"of-a-set": "some-wrong"}},
                "spec": {
                    "project": "nobody-{{name}}", "source": {"repoURL": url, "path": "apps/one"},
                    "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
                },
            }),
        ),
        case("no-such-cluster", "no-such-cluster-{{name}}", "apps/one", json!([names(&["a"])]))
            .to("https://nobody.example.test"),
        case("missing", "missing-{{.nope}}", "apps/one", json!([names(&["a"])])).strict().in_other_words(),
        case("unclosed", "unclosed-{{.name", "apps/one", json!([names(&["a"])])).go().in_other_words(),
        case(
            "list-of-more",
            "list-of-more-{{name}}",
            "apps/one",
            json!([other(json!({"name": "a", "deep": {"x": "1"}}))]),
        ),
        case(
            "matrix-of-one",
            "matrix-of-one-{{name}}",
            "apps/one",
            json!([{"matrix": {"generators": [names(&["a"])]}}]),
        ),
        case(
            "matrix-of-three",
            "matrix-of-three-{{name}}",
            "apps/one",
            json!([{"matrix": {"generators": [names(&["a"]), names(&["b"]), names(&["c"])]}}]),
        ),
        case(
            "matrix-at-odds",
            "matrix-at-odds-{{name}}",
            "apps/one",
            json!([{"matrix": {"generators": [names(&["a"]), names(&["b"])]}}]),
        ),
        case(
            "merge-of-one",
            "merge-of-one-{{name}}",
            "apps/one",
            json!([{"merge": {"mergeKeys": ["name"], "generators": [names(&["a"])]}}]),
        ),
        case(
            "merge-without-keys",
            "merge-without-keys-{{name}}",
            "apps/one",
            json!([{"merge": {"mergeKeys": [], "generators": [names(&["a"]), names(&["a"])]}}]),
        ),
        case(
            "merge-twice-the-same",
            "merge-twice-the-same-{{name}}",
            "apps/one",
            json!([{"merge": {"mergeKeys": ["name"], "generators": [names(&["a", "a"]), names(&["b"])]}}]),
        ),
        case(
            "merge-twice-over",
            "merge-twice-over-{{name}}",
            "apps/one",
            json!([{"merge": {"mergeKeys": ["name"], "generators": [names(&["a"]), names(&["a", "a"])]}}]),
        ),
        case(
            "merge-deep-key",
            "merge-deep-key-{{.deep.x}}",
            "apps/one",
            json!([{"merge": {"mergeKeys": ["deep.x"], "generators": [
                other(json!({"deep": {"x": "1"}, "y": "1"})), other(json!({"deep": {"x": "1"}, "y": "2"})),
            ]}}]),
        )
        .go()
        .labels(&[("y", "{{.y}}")]),
        case(
            "no-such-branch",
            "no-such-branch-{{path.basename}}",
            "apps/one",
            json!([git(json!({"revision": "nowhere", "directories": [{"path": "*"}]}))]),
        ),
        case(
            "broken-file",
            "broken-file-{{path.basename}}",
            "apps/one",
            json!([git(json!({"files": [{"path": "envs/broken.txt"}]}))]),
        ),
    ]
}
