//! The bed as kubelet: the unmodified manifests of Argo CD and Velero, applied by hand, become programs that work.

use std::process::{Command, Stdio};

use platform_tests::{Bed, Output, World};

/// Long enough for the slowest controller on two busy cores; kubectl waits for the condition, not for the time.
const PATIENCE: &str = "--timeout=180s";

/// `kubectl apply -f -` with `text`.
fn apply(world: &World, namespace: &str, text: &str) {
    use std::io::Write;
    let mut command: Command = world.bed().command("kubectl");
    let args = ["apply", "--server-side", "--force-conflicts", "--namespace", namespace, "--filename=-"];
    command.args(args).env("KUBECONFIG", world.bed().facts().kubeconfig()).env("HOME", world.dir());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("kubectl starts");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("kubectl reads");
    assert!(child.wait().expect("kubectl ends").success(), "kubectl apply");
}

fn wait(world: &World, namespace: &str, object: &str, condition: &str) {
    let bed = world.bed();
    let waited =
        bed.kubectl(["wait", "--namespace", namespace, object, &format!("--for={condition}"), PATIENCE]);
    if waited.status != 0 {
        let state = bed.kubectl(["get", "--namespace", namespace, object, "--output=yaml"]).stdout;
        let log = fs_err::read_to_string(bed.facts().dir.join("log/supervisor.log")).unwrap_or_default();
        panic!("{object} is not {condition}\n{}\n{state}\n--- supervisor\n{log}", waited.stderr);
    }
}

/// Pushes one commit with `files` to the world's repository.
fn push(world: &World, files: &[(&str, &str)]) {
    let clone = world.dir().join("clone");
    fs_err::create_dir_all(&clone).expect("a folder");
    let place = clone.display().to_string();
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-C", &place];
        Output::of(world.bed().command("git").args(identity).args(args).env("HOME", world.dir())).ok()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    for (name, text) in files {
        fs_err::write(clone.join(name), text).expect("a file");
    }
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message=content"]);
    let password = &world.bed().facts().git_password;
    let url = world.git_url().replace("://", &format!("://platform:{password}@"));
    git(&["push", "--quiet", &format!("{url}/platform.git"), "main"]);
}

#[test]
fn argo_cd_syncs_from_git_and_velero_backs_up_to_s3() {
    let Some(world) = Bed::world("kubelet") else { return };
    let bed = world.bed();
    let facts = bed.facts();
    let mirror = bed
        .components()
        .mirror()
        .join("raw.githubusercontent.com/argoproj/argo-cd/v3.5.7/manifests/install.yaml");

    bed.kubectl(["create", "namespace", "argocd"]).ok();
    apply(&world, "argocd", &fs_err::read_to_string(mirror).expect("the mirror has install.yaml"));
    push(
        &world,
        &[("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-git}\ndata: {a: b}\n")],
    );
    let (url, password) = (format!("{}/platform.git", world.git_url()), &facts.git_password);
    apply(
        &world,
        "argocd",
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: repo, labels: {{argocd.argoproj.io/secret-type: repository}}}}\n\
             stringData: {{type: git, url: '{url}', username: platform, password: '{password}'}}\n---\n\
             apiVersion: argoproj.io/v1alpha1\nkind: Application\n\
             metadata: {{name: maps, finalizers: [resources-finalizer.argocd.argoproj.io]}}\n\
             spec:\n  project: default\n  source: {{repoURL: '{url}', path: ., targetRevision: main}}\n  \
               destination: {{server: 'https://kubernetes.default.svc', namespace: shop}}\n  \
               syncPolicy: {{automated: {{prune: true}}, syncOptions: [CreateNamespace=true]}}\n"
        ),
    );
    wait(&world, "argocd", "application/maps", "jsonpath={.status.sync.status}=Synced");
    wait(&world, "argocd", "application/maps", "jsonpath={.status.health.status}=Healthy");
    let map = bed.kubectl_json(["get", "configmap", "from-git", "--namespace=shop"]);
    assert_eq!(map["data"]["a"], "b");

    let credentials = world.dir().join("s3-credentials");
    fs_err::write(&credentials, facts.s3_credentials()).expect("a credentials file");
    let velero = |args: &[&str]| {
        let program = bed.components().built("velero", "velero");
        Output::of(
            bed.command(program).args(args).env("KUBECONFIG", facts.kubeconfig()).env("HOME", world.dir()),
        )
    };
    apply(&world, "velero", &velero(&["install", "--crds-only", "--dry-run", "--output=yaml"]).ok().stdout);
    let location = format!(
        "--backup-location-config=region=us-east-1,s3ForcePathStyle=true,s3Url={}",
        facts.s3_endpoint()
    );
    let manifests = velero(&[
        "install",
        "--provider=aws",
        "--plugins=velero/velero-plugin-for-aws:v1.14.3",
        &format!("--bucket={}", world.bucket()),
        &format!("--secret-file={}", credentials.display()),
        "--use-volume-snapshots=false",
        &location,
        "--dry-run",
        "--output=yaml",
    ]);
    apply(&world, "velero", &manifests.ok().stdout);
    wait(&world, "velero", "backupstoragelocation/default", "jsonpath={.status.phase}=Available");
    velero(&["backup", "create", "first", "--include-namespaces=shop", "--wait"]).ok();
    bed.kubectl(["delete", "configmap", "from-git", "--namespace=shop"]).ok();
    bed.kubectl([
        "patch",
        "application",
        "maps",
        "--namespace=argocd",
        "--type=merge",
        "--patch={\"spec\":{\"syncPolicy\":null}}",
    ])
    .ok();
    velero(&["restore", "create", "second", "--from-backup=first", "--wait"]).ok();
    wait(&world, "velero", "restore/second", "jsonpath={.status.phase}=Completed");

    // in order: what has a finalizer while its controller lives, then the rest
    bed.kubectl(["delete", "restore", "second", "--namespace=velero", "--wait", PATIENCE]).ok();
    bed.kubectl(["delete", "application", "maps", "--namespace=argocd", "--wait", PATIENCE]).ok();
    bed.kubectl(["delete", "namespace", "shop", "argocd", "velero", "--wait", PATIENCE]).ok();
    for label in ["app.kubernetes.io/part-of=argocd", "component=velero"] {
        bed.kubectl(["delete", "crd,clusterrole,clusterrolebinding", "--selector", label]).ok();
    }
    world.assert_clean();
}
