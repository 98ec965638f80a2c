//! `kubectl`, against the sandbox's API server and against the real one: the same commands, the same words.
//!
//! What differs by chance (ids, versions, times, addresses) is taken out. What the real cluster's controllers do to an
//! object is not compared: the commands look at what was asked for.

use std::{fmt::Write, process::Command, sync::Arc};

use k8s_openapi::jiff::Timestamp;
use platform_sandbox::kube::{Api, serve::Server};
use platform_tests::{Bed, Output, World};

const NAMESPACE: &str = "sandbox-kubectl";

/// A deployment that no controller gets to work on: it wants no pods.
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example.com/web:1
        ports: [{containerPort: 8080}, {containerPort: 8080, protocol: UDP}]
        readinessProbe: {httpGet: {port: 8080}}
        resources: {limits: {cpu: 100m, memory: 64Mi}}
      volumes: [{name: data}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"#;

const THING: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.sandbox.example.com}
spec:
  group: sandbox.example.com
  scope: Namespaced
  names: {plural: things, kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Color, type: string, jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What it shall be.
            required: [color]
            properties:
              color: {type: string, enum: [red, blue]}
              size: {type: integer, minimum: 1, default: 3}
"#;

const RED: &str =
    "{apiVersion: sandbox.example.com/v1, kind: Thing, metadata: {name: one}, spec: {color: red}}";
const GREEN: &str =
    "{apiVersion: sandbox.example.com/v1, kind: Thing, metadata: {name: two}, spec: {color: green}}";

/// Files that commands name, by name.
fn files() -> Vec<(&'static str, String)> {
    vec![
        ("web.yaml", WEB.to_owned()),
        ("web3.yaml", WEB.replace("image: example.com/web:1", "image: example.com/web:3")),
        ("typo.yaml", WEB.replace("replicas:", "replicaz:")),
        (
            "selector.yaml",
            WEB.replace("selector: {matchLabels: {app: web}}", "selector: {matchLabels: {app: other}}"),
        ),
        ("thing.yaml", THING.to_owned()),
        ("red.yaml", RED.to_owned()),
        ("green.yaml", GREEN.to_owned()),
    ]
}

/// The commands, in their order. `@file` is one of [`files`].
const COMMANDS: &[&str] = &[
    "create namespace sandbox-kubectl",
    "create namespace sandbox-kubectl",
    "get namespace sandbox-kubectl -o jsonpath={.metadata.labels}{.spec}{.status.phase}",
    "create configmap one --from-literal=a=b",
    "create configmap one --from-literal=a=b",
    "get configmap one -o jsonpath={.data}",
    "patch configmap one --type=merge -p {\"data\":{\"c\":\"d\"}}",
    "patch configmap one --type=json -p [{\"op\":\"remove\",\"path\":\"/data/a\"}]",
    "patch configmap one --type=json -p [{\"op\":\"remove\",\"path\":\"/data/nowhere\"}]",
    "get configmap one -o jsonpath={.data}",
    "label configmap one tier=gold",
    "label configmap one tier=silver",
    "get configmaps -l tier=gold -o name",
    "get configmaps --field-selector metadata.name=one -o name",
    "annotate configmap one note=yes",
    "get configmap nowhere",
    "create secret generic s --from-literal=k=v",
    "get secret s -o jsonpath={.data}{.type}",
    "create serviceaccount robot",
    "create role reader --verb=get,list --resource=pods",
    "create rolebinding readers --role=reader --serviceaccount=sandbox-kubectl:robot",
    "get rolebinding readers -o jsonpath={.roleRef}{.subjects}",
    "create quota q --hard=pods=3",
    "apply -f @typo.yaml",
    "apply -f @selector.yaml",
    "apply --dry-run=server -f @web.yaml",
    "get deployments -o name",
    "apply -f @web.yaml",
    "apply -f @web.yaml",
    "get deployment web -o jsonpath={.spec}",
    "get service web -o jsonpath={.spec.ports}{.spec.type}{.spec.sessionAffinity}{.spec.ipFamilyPolicy}",
    "get deployment web -o jsonpath={.metadata.generation}",
    "diff -f @web.yaml",
    "apply -f @web3.yaml",
    "get deployment web -o jsonpath={.metadata.generation}{.spec.template.spec.containers[0].image}",
    "apply --server-side --field-manager=other -f @web.yaml",
    "apply --server-side --field-manager=other --force-conflicts -f @web.yaml",
    "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}",
    "set image deployment/web web=example.com/web:4",
    "patch deployment web -p {\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"side\",\"image\":\"example.com/side:1\"}]}}}}",
    "get deployment web -o jsonpath={.spec.template.spec.containers[*].name}",
    "patch deployment web --type=merge -p {\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"new\"}}}}",
    "scale deployment web --replicas=0 --current-replicas=5",
    "get deployment web --subresource=scale -o jsonpath={.spec}{.kind}",
    "explain deployment.spec.paused",
    "explain service.spec.nowhere",
    "apply -f @thing.yaml",
    "wait --for=condition=Established crd/things.sandbox.example.com --timeout=30s",
    "apply -f @red.yaml",
    "apply -f @green.yaml",
    "get things -o jsonpath={.items[*].spec}",
    "get th one -o name",
    "explain thing.spec",
    "patch thing one --type=merge -p {\"spec\":{\"size\":0}}",
    "patch thing one -p {\"spec\":{\"size\":5}}",
    "patch thing one --type=merge --subresource=status -p {\"status\":{\"seen\":true}}",
    "delete thing one",
    "delete crd things.sandbox.example.com",
    "get things",
    "delete -f @web.yaml",
    "delete deployment web",
    "delete deployment web --ignore-not-found",
    "delete configmap,secret -l tier=gold",
    "get nonsense",
    "get --raw /apis/nowhere",
    "delete namespace sandbox-kubectl",
    "get namespace sandbox-kubectl",
];

#[test]
fn kubectl_has_the_answers_of_the_real_server() {
    let Some(world) = Bed::world("sandbox-kubectl") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let api = Api::new(Arc::new(Timestamp::now), 1);
    let server = runtime.block_on(Server::start(api, "a-token-for-a-test")).expect("it starts");
    let kubeconfig = world.dir().join("sandbox.conf");
    fs_err::write(&kubeconfig, &server.kubeconfig).expect("written");
    for (name, text) in files() {
        fs_err::write(world.dir().join(name), text).expect("written");
    }
    let mut differences = String::new();
    for command in COMMANDS {
        let args = words(&world, command);
        let real = said(world.bed().kubectl(&args));
        let mut ours = Command::new("kubectl");
        ours.args(&args).env("KUBECONFIG", &kubeconfig).env("HOME", world.dir());
        ours.env("PATH", world.bed().components().path());
        let ours = said(Output::of(&mut ours));
        if real != ours {
            let _ = writeln!(differences, "$ kubectl {command}\n  real: {real}\n  ours: {ours}");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    world.assert_clean();
}

/// A command's words, with the namespace and the paths of files. No word has a space in it.
fn words(world: &World, command: &str) -> Vec<String> {
    let mut words: Vec<String> = command
        .split(' ')
        .map(|word| match word.strip_prefix('@') {
            Some(file) => world.dir().join(file).display().to_string(),
            None => word.to_owned(),
        })
        .collect();
    words.push(format!("--namespace={NAMESPACE}"));
    words
}

/// Exit code, output and errors, without what differs by chance.
fn said(output: Output) -> String {
    format!("{} | {} | {}", output.status, plain(&output.stdout), plain(&output.stderr))
}

fn plain(text: &str) -> String {
    // `diff` names its temporary files and their times.
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("diff ") && !line.starts_with("---") && !line.starts_with("+++"));
    let words = lines.flat_map(|line| line.split(' ').map(str::to_owned).chain(["\n".to_owned()]));
    words
        .map(
            |word| {
                if word.contains("/sandbox-kubectl") && word.contains('/') { file_name(&word) } else { word }
            },
        )
        .collect::<Vec<_>>()
        .join(" ")
}

/// The last part of a path: both see the same file, under whatever name.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
