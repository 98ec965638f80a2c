//! A life: up, again, traffic, down.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use platform_tests::Nodes;

use super::{DOWN, UP, assert_gone, assert_up, counts};

/// An application that is reached by a port of this machine, and somebody who asks it from inside.
const SAMPLE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: sample}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sample, namespace: sample}
spec:
  replicas: 1
  selector: {matchLabels: {app: sample}}
  template:
    metadata: {labels: {app: sample}}
    spec:
      containers:
        - name: sample
          image: docker.io/hashicorp/http-echo:1.0.0
          args: ["-listen=:8080", "-text=hello"]
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: sample, namespace: sample}
spec: {type: NodePort, selector: {app: sample}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: asker, namespace: sample}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: asker, image: "ghcr.io/stefanprodan/podinfo:6.9.2", command: [sleep, "3600"]}
"#;

/// Nobody may talk to the sample application.
const DENY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: sample}
spec: {podSelector: {matchLabels: {app: sample}}, policyTypes: [Ingress]}
"#;

#[track_caller]
fn apply(nodes: &Nodes, name: &str, manifest: &str) {
    let file = nodes.dir().join(name);
    fs_err::write(&file, manifest).expect("a manifest");
    nodes.kubectl(["apply", "--filename", &file.display().to_string()]).ok();
}

/// What answers at the mapped port of this machine.
fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: sample\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Whether a pod reaches a service.
fn reaches(nodes: &Nodes, url: &str) -> bool {
    let asked = ["exec", "--namespace", "sample", "asker", "--", "timeout", "3", "wget", "-qO-", url];
    nodes.kubectl(asked).status == 0
}

/// Waits until something holds; controllers and kube-proxy take their time.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come true");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_platform_lives_on_real_nodes_and_leaves_nothing() {
    let Some(nodes) = Nodes::new("whole") else { return };
    let before = nodes.everything();
    nodes.platform(UP).ok();
    assert_up(&nodes);

    let pods = nodes.kubectl(["get", "pods", "--namespace", "argocd", "--no-headers"]).ok().stdout;
    assert!(
        pods.lines().count() >= 7 && pods.lines().all(|pod| pod.contains("Running")),
        "Argo CD's pods: {pods}"
    );

    let again = nodes.platform(UP).ok();
    assert_eq!(counts(&again, "changed"), 0, "a second `up` changes nothing: {}", again.stdout);

    apply(&nodes, "sample.yaml", SAMPLE);
    nodes
        .kubectl([
            "wait",
            "--namespace",
            "sample",
            "--for=condition=Available",
            "deployment/sample",
            "--timeout=90s",
        ])
        .ok();
    nodes
        .kubectl(["wait", "--namespace", "sample", "--for=condition=Ready", "pod/asker", "--timeout=90s"])
        .ok();
    until("the sample application behind the mapped port", || {
        get(nodes.port())
            .is_some_and(|answer| answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"))
    });
    until("traffic between pods", || reaches(&nodes, "http://sample.sample.svc.cluster.local/"));
    // The platform's own policies: its applications' namespaces let in whom they name, and this is nobody.
    nodes.kubectl(["get", "--raw", "/api/v1/namespaces/hello-dev/services/hello:http/proxy/health"]).ok();
    let stranger = reaches(&nodes, "http://hello.hello-dev.svc.cluster.local/");
    assert!(!stranger, "a stranger reaches an application of the platform");
    apply(&nodes, "deny.yaml", DENY);
    until("the policy", || !reaches(&nodes, "http://sample.sample.svc.cluster.local/"));

    let down = nodes.platform(DOWN).ok();
    assert!(down.json()["orphans"].as_array().is_some_and(Vec::is_empty), "{}", down.stdout);
    assert_gone(&nodes, &before);
}
