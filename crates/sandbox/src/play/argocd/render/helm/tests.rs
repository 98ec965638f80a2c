use std::collections::BTreeMap;

use super::*;
use crate::play::around::Files;

fn files(all: &[(&str, &str)]) -> Files {
    all.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn rendered(files: &Files, helm: Value) -> Result<Vec<Value>, String> {
    let source = json!({"path": "c", "helm": helm});
    let refs = BTreeMap::new();
    let ask = Ask { source: &source, commit: "1", files, name: "app", namespace: "ns", refs: &refs };
    render(&ask, "c")
}

const CHART: (&str, &str) = ("c/Chart.yaml", "{apiVersion: v2, name: web, version: 0.1.0, appVersion: 1.10}");

#[test]
fn a_chart_with_partials_conditions_and_ranges() {
    let files = files(&[
        CHART,
        ("c/values.yaml", "{image: {tag: a, pull: Always}, hosts: [x, y], on: true, none: {a: 1}}"),
        ("c/values/prod.yaml", "{image: {tag: b}, none: null}"),
        ("c/templates/NOTES.txt", "Thank you {{ .Release.Name }}"),
        (
            "c/templates/_helpers.tpl",
            "{{- define \"web.labels\" -}}\napp: {{ .Chart.Name }}\nversion: {{ .Chart.AppVersion | quote }}\n{{- end -}}",
        ),
        (
            "c/templates/a.yaml",
            "{{- if .Values.on }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Release.Namespace }}
  labels:
    {{- include \"web.labels\" . | nindent 4 }}
data:
  tag: {{ .Values.image.tag }}
  inline: {{ tpl \"{{ .Values.image.pull }}\" . }}
  missing: {{ .Values.nothing | default \"dflt\" | quote }}
  {{- range $i, $host := .Values.hosts }}
  host{{ $i }}: {{ $host }}
  {{- end }}
{{- end }}
---
{{- with .Values.none }}
kind: Never
{{- end }}
",
        ),
        (
            "c/crds/x.yaml",
            "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x}}",
        ),
    ]);
    let helm = json!({
        "releaseName": "rel", "valueFiles": ["values/prod.yaml"], "valuesObject": {"hosts": ["z"]},
        "parameters": [{"name": "image.pull", "value": "Never"}],
    });
    let objects = rendered(&files, helm).expect("it renders");
    assert_eq!(objects.len(), 2);
    assert_eq!(
        objects[1],
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "rel-ns", "labels": {"app": "web", "version": "1.1"}},
            "data": {"tag": "b", "inline": "Never", "missing": "dflt", "host0": "z"},
        })
    );
}

#[test]
fn what_it_does_not_know_is_refused_by_name() {
    let with = |template: &str| {
        rendered(&files(&[CHART, ("c/templates/a.yaml", template)]), json!({})).expect_err("refused")
    };
    let said = with("{{ genCA \"a\" 1 }}");
    assert!(said.contains("genCA") && said.contains("web/templates/a.yaml"), "{said}");
    assert!(with("{{ include \"nope\" . }}").contains("no template \"nope\""));
    assert!(with("{{ required \"a name is required\" .Values.name }}").contains("a name is required"));
    assert!(with("{{ if }}").contains("parse error at (web/templates/a.yaml)"));
    assert!(with("a: [").contains("YAML parse error on web/templates/a.yaml"));
    let needy = files(&[("c/Chart.yaml", "{name: a, version: 1.0.0, dependencies: [{name: b}]}")]);
    assert!(rendered(&needy, json!({})).expect_err("refused").contains("charts with dependencies"));
    let missing = rendered(&files(&[CHART]), json!({"valueFiles": ["x.yaml"]})).expect_err("not there");
    assert_eq!(missing, "open x.yaml: no such file or directory");
    let strict = files(&[
        CHART,
        ("c/values.yaml", "{n: 0}"),
        ("c/values.schema.json", r#"{"properties": {"n": {"minimum": 1}}}"#),
    ]);
    let said = rendered(&strict, json!({})).expect_err("too small");
    assert!(said.contains("values don't meet the specifications of the schema(s)"), "{said}");
    assert!(said.contains("- at '/n'"), "{said}");
}
