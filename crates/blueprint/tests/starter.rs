//! The blueprint `starter`, rendered from the starter spec: labels, portability, and the real programs'
//! opinion of it.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use platform_blueprint::{Blueprint, BlueprintError, Tree, Trees, leaf_applications};
use serde::Deserialize;
use serde_json::{Value, json};

const REPOSITORY: &str = "platform";

fn model() -> Value {
    let text = platform_spec::starter::starter("existing", std::path::Path::new("/var/lib/platform"))
        .expect("there is a starter for `existing`");
    let parsed = platform_spec::parse("platform.yaml", &text).expect("it has no errors");
    serde_json::to_value(platform_spec::derive(&parsed.platform)).expect("a model becomes JSON")
}

/// Stand-ins: the real definitions are 160 KB that say nothing about our rendering.
fn artifacts(blueprint: &Blueprint) -> BTreeMap<String, Vec<u8>> {
    let definition = |name: &str| {
        let plural = name.trim_start_matches("velero-crd-");
        format!(
            "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
             metadata:\n  name: {plural}.velero.io\nspec:\n  group: velero.io\n"
        )
    };
    blueprint
        .needed_artifacts(&Value::Null)
        .into_iter()
        .map(|need| (need.name.clone(), definition(&need.name).into()))
        .collect()
}

fn try_render(model: &Value, params: &Value) -> Result<Trees, BlueprintError> {
    let blueprint = Blueprint::embedded("starter")?;
    blueprint.render(model, params, &artifacts(&blueprint))
}

fn render(model: &Value) -> Tree {
    let trees = try_render(model, &Value::Null).expect("the starter renders");
    trees.get(REPOSITORY).expect("it makes the repository `platform`").clone()
}

/// Kubernetes objects of the tree's plain YAML files, with the file they are in. What is for Kustomize and Helm is left out.
fn objects(tree: &Tree) -> Vec<(String, Value)> {
    let mut objects = Vec::new();
    for (path, file) in &tree.files {
        if !path.ends_with(".yaml") || path.starts_with("apps/") || path.starts_with("velero/crds/") {
            continue;
        }
        objects.extend(
            documents(file.text().expect("YAML is text")).into_iter().map(|object| (path.clone(), object)),
        );
    }
    objects
}

fn documents(text: &str) -> Vec<Value> {
    yaml_serde::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("valid YAML"))
        .filter(|document| !document.is_null())
        .collect()
}

/// Names that are fine for Kubernetes, and that a reader of YAML 1.1 takes for a number, a boolean or nothing.
const LOOKALIKES: [&str; 8] = ["123", "yes", "no", "1e3", "null", "0x1", "on", "true"];

/// The starter spec with other names for the platform, its cluster, its environments and its applications.
fn renamed(names: [&str; 6]) -> Value {
    let [platform, cluster, dev, prod, hello, web] = names;
    let text = platform_spec::starter::starter("existing", std::path::Path::new("/var/lib/platform"))
        .expect("there is a starter for `existing`");
    let text = text
        .replace("name: demo  ", &format!("name: \"{platform}\"  "))
        .replace("- name: demo\n", &format!("- name: \"{cluster}\"\n"))
        .replace("{name: dev,", &format!("{{name: \"{dev}\","))
        .replace("{name: prod,", &format!("{{name: \"{prod}\","))
        .replace("[dev, prod]", &format!("[\"{dev}\", \"{prod}\"]"))
        .replace("envValues: {prod:", &format!("envValues: {{\"{prod}\":"))
        .replace("- name: hello ", &format!("- name: \"{hello}\" "))
        .replace("- name: web ", &format!("- name: \"{web}\" "))
        .replace("name: daily", &format!("name: \"{web}\""));
    let parsed = platform_spec::parse("platform.yaml", &text).unwrap_or_else(|found| panic!("{found:#?}"));
    serde_json::to_value(platform_spec::derive(&parsed.platform)).expect("a model becomes JSON")
}

/// Every value by its place, with the kind of value that it is.
fn kinds(value: &Value, place: &str, into: &mut Vec<(String, &'static str)>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| kinds(value, &format!("{place}/{at}"), into));
            "list"
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| kinds(value, &format!("{place}/{key}"), into));
            "map"
        }
    };
    into.push((place.to_owned(), kind));
}

/// What the texts of all YAML files are, without the names of the files: they differ with the names in the spec.
fn shape(tree: &Tree) -> Vec<(String, &'static str)> {
    let mut shape = Vec::new();
    for (path, file) in &tree.files {
        if !path.ends_with(".yaml") || path.contains("/templates/") {
            continue;
        }
        for (at, document) in documents(file.text().expect("YAML is text")).iter().enumerate() {
            let folder = path.split('/').next().unwrap_or_default();
            kinds(document, &format!("{folder}:{}:{at}", document["kind"]), &mut shape);
        }
    }
    shape.sort();
    shape
}

#[test]
fn names_that_look_like_numbers_or_booleans_stay_texts() {
    let usual = shape(&render(&renamed(["plain", "place", "early", "late", "first", "second"])));
    for at in 0..LOOKALIKES.len() {
        let names = std::array::from_fn(|place| LOOKALIKES[(at + place) % LOOKALIKES.len()]);
        let tree = render(&renamed(names));
        assert_eq!(shape(&tree), usual, "{names:?}");
        // The parser above reads YAML 1.2, where `no` is a text and no boolean: those words are looked for by themselves.
        for (path, file) in tree.files.iter().filter(|(path, _)| path.ends_with(".yaml")) {
            for line in file.text().expect("YAML is text").lines() {
                let value = line.trim().trim_start_matches("- ").rsplit(": ").next().unwrap_or_default();
                assert!(!["yes", "no", "on"].contains(&value), "{path}: `{line}` is not quoted");
            }
        }
    }
}

#[test]
fn x09_rendering_twice_gives_equal_bytes() {
    let model = model();
    let (one, two) = (try_render(&model, &Value::Null).unwrap(), try_render(&model, &Value::Null).unwrap());
    assert_eq!(one, two);
    assert_eq!(one.digest(), two.digest());
}

#[test]
fn every_object_says_whose_it_is() {
    for (path, object) in objects(&render(&model())) {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/managed-by"], "platform", "{path}: {}", object["kind"]);
        assert_eq!(labels["platform.dev/name"], "demo", "{path}: {}", object["kind"]);
    }
}

#[test]
fn every_application_cleans_up_and_comes_in_its_wave() {
    let tree = render(&model());
    let leaves = leaf_applications(REPOSITORY, &tree).unwrap();
    let seen: Vec<_> =
        leaves.iter().map(|leaf| (leaf.wave, leaf.name.as_str(), leaf.project.as_str())).collect();
    assert_eq!(
        seen,
        [
            (-10, "velero-crds-demo", "platform-system"),
            (0, "namespaces-demo", "platform-system"),
            (30, "velero-demo", "platform-system"),
            (50, "hello-dev", "demo"),
            (50, "hello-prod", "demo"),
            (50, "web-dev", "demo"),
            (50, "web-prod", "demo"),
        ]
    );
    assert!(leaves.iter().all(|leaf| leaf.automated && leaf.namespace == "argocd"));

    let applications: Vec<_> =
        objects(&tree).into_iter().filter(|(_, object)| object["kind"] == "Application").collect();
    assert_eq!(applications.len(), leaves.len() + 1, "the leaves and the root");
    for (path, application) in applications {
        assert_eq!(
            application["metadata"]["finalizers"],
            json!(["resources-finalizer.argocd.argoproj.io"]),
            "{path}"
        );
        let options = application["spec"]["syncPolicy"]["syncOptions"].as_array().unwrap();
        assert!(options.contains(&json!("ServerSideApply=true")), "{path}");
        // Every folder that an Application reads is there.
        let folder = format!("{}/", application["spec"]["source"]["path"].as_str().unwrap());
        assert!(tree.files.keys().any(|file| file.starts_with(&folder)), "{path}: nothing below {folder}");
        for values in application["spec"]["source"]["helm"]["valueFiles"].as_array().into_iter().flatten() {
            let file = values.as_str().unwrap().trim_start_matches('/');
            assert!(tree.get(file).is_some(), "{path}: {file} is missing");
        }
    }
}

/// Where an Application writes, its project allows it to.
#[test]
fn projects_cover_their_applications() {
    let objects = objects(&render(&model()));
    let projects: BTreeMap<&str, &Value> = objects
        .iter()
        .filter(|(_, object)| object["kind"] == "AppProject")
        .map(|(_, project)| (project["metadata"]["name"].as_str().unwrap(), &project["spec"]))
        .collect();
    for (path, application) in objects.iter().filter(|(_, object)| object["kind"] == "Application") {
        let spec = &application["spec"];
        let project = projects[spec["project"].as_str().unwrap()];
        let destinations = project["destinations"].as_array().unwrap();
        assert!(destinations.contains(&spec["destination"]), "{path}: {} not allowed", spec["destination"]);
        assert!(project["sourceRepos"].as_array().unwrap().contains(&spec["source"]["repoURL"]), "{path}");
        assert!(
            destinations.iter().all(|d| d["namespace"] != "*"),
            "{path}: a project that may write anywhere"
        );
    }
}

#[test]
fn s2_29_velero_saves_daily_for_a_week_below_the_clusters_own_prefix() {
    let objects = objects(&render(&model()));
    let find = |kind: &str| &objects.iter().find(|(_, object)| object["kind"] == kind).expect(kind).1;
    let schedule = find("Schedule");
    assert_eq!(schedule["spec"]["schedule"], "0 2 * * *");
    assert_eq!(schedule["spec"]["template"]["ttl"], "168h");
    let store = find("BackupStorageLocation");
    assert_eq!(store["spec"]["objectStorage"], json!({"bucket": "demo-backups", "prefix": "demo/demo"}));
    assert_eq!(store["spec"]["config"], json!({"region": "us-east-1"}));
    for object in [schedule, store] {
        assert_eq!(
            object["metadata"]["annotations"]["argocd.argoproj.io/sync-options"],
            "SkipDryRunOnMissingResource=true"
        );
    }
    assert!(
        objects.iter().all(|(_, object)| object["kind"] != "Secret"),
        "credentials are no matter for Git"
    );
}

#[test]
fn a_store_that_is_not_amazons_is_addressed_by_url_and_path() {
    let mut model = model();
    model["backup"]["store"]["endpoint"] = json!("http://127.0.0.1:9000");
    model["backup"]["store"]["force_path_style"] = json!(true);
    let objects = objects(&render(&model));
    let (_, store) = objects.iter().find(|(_, object)| object["kind"] == "BackupStorageLocation").unwrap();
    assert_eq!(
        store["spec"]["config"],
        json!({"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": "http://127.0.0.1:9000"})
    );
}

#[test]
fn a_store_that_comes_with_the_cluster_is_addressed_where_its_provider_says() {
    let mut model = model();
    let store = json!({"kind": "s3-compatible", "bucket": "demo-backups", "prefix": "", "region": "eu"});
    for (key, value) in store.as_object().unwrap() {
        model["backup"]["store"][key] = value.clone();
    }
    model["backup"]["store"]["credentials_ref"] = Value::Null;
    let server = |objects: &[(String, Value)]| {
        let found =
            objects.iter().find(|(_, it)| it["kind"] == "Deployment" && it["metadata"]["name"] == "velero");
        found.unwrap().1["spec"]["template"]["spec"]["volumes"].to_string()
    };
    assert!(!server(&objects(&render(&model))).contains("cloud-credentials"), "nobody has any");
    model["clusters"][0]["store"] = json!({"endpoint": "http://beside:7070", "force_path_style": true});
    let objects = objects(&render(&model));
    let (_, location) = objects.iter().find(|(_, it)| it["kind"] == "BackupStorageLocation").unwrap();
    assert_eq!(
        location["spec"]["config"],
        json!({"region": "eu", "s3ForcePathStyle": "true", "s3Url": "http://beside:7070"})
    );
    assert_eq!(location["spec"]["credential"]["name"], "cloud-credentials");
    assert!(server(&objects).contains("cloud-credentials"), "its provider has them");
}

#[test]
fn without_backup_there_is_no_velero() {
    let mut model = model();
    model["backup"] = Value::Null;
    model["addons"] = json!([]);
    let tree = render(&model);
    let left: Vec<_> = tree.files.iter().filter(|(path, _)| path.contains("velero")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(leaf_applications(REPOSITORY, &tree).unwrap().iter().all(|leaf| !leaf.name.contains("velero")));
}

/// X-11: what an application is does not depend on whose cluster it runs on.
#[test]
fn x11_apps_are_equal_on_every_provider() {
    let here = render(&model());
    let mut elsewhere = model();
    elsewhere["clusters"][0]["provider"] = json!({"name": "aws", "kind": "eks"});
    elsewhere["clusters"][0]["overlay"] = json!("eks");
    for cell in elsewhere["cells"].as_array_mut().unwrap() {
        cell["overlay"] = json!("eks");
    }
    let there = render(&elsewhere);
    let apps = |tree: &Tree| {
        tree.files.clone().into_iter().filter(|(path, _)| path.starts_with("apps/")).collect::<Vec<_>>()
    };
    assert!(!apps(&here).is_empty());
    assert_eq!(apps(&here), apps(&there));
}

#[test]
fn what_the_starter_cannot_make_is_refused_by_name() {
    let change = |path: &str, value: Value| {
        let mut model = model();
        *model.pointer_mut(path).unwrap_or_else(|| panic!("{path} is in the model")) = value;
        try_render(&model, &Value::Null).expect_err(path)
    };
    for (path, value, words) in [
        ("/backup/store/kind", json!("gcs"), "gcs"),
        ("/backup/schedules/0/volumes", json!("snapshot"), "daily"),
        ("/argocd/instances", json!([{"cluster": "a"}, {"cluster": "b"}]), "topology"),
        ("/applications/0/source/version", json!("1.2.3"), "hello"),
    ] {
        match change(path, value) {
            BlueprintError::Template { line: Some(_), why, .. } => {
                assert!(why.contains(words), "{path}: {why}")
            }
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(
        matches!(change("/blueprint/version", json!("9.9.9")), BlueprintError::Version { here, .. } if here == "1.0.0")
    );
    assert!(matches!(
        change("/addons/0/name", json!("istio")),
        BlueprintError::Addon { addon, known, .. } if addon == "istio" && known == ["velero"]
    ));
    assert!(matches!(change("/repositories/0/role", json!("apps")), BlueprintError::Path { .. }));
}

#[test]
fn parameters_reach_the_files() {
    let params = json!({"helloImage": "registry.example/echo:1", "webImage": "registry.example/web:2", "veleroImage": "registry.example/velero:3"});
    let trees = try_render(&model(), &params).unwrap();
    let text: String = trees.get(REPOSITORY).unwrap().files.values().filter_map(|file| file.text()).collect();
    for image in ["registry.example/echo:1", "registry.example/web:2", "registry.example/velero:3"] {
        assert!(text.contains(image), "{image}");
    }
    let without = try_render(&model(), &json!({"samples": false})).unwrap();
    assert!(without.get(REPOSITORY).unwrap().get("apps/web/Chart.yaml").is_none());
}

#[test]
fn what_the_spec_says_about_web_reaches_its_values() {
    let mut model = model();
    let web = &mut model["applications"][2];
    assert_eq!(web["name"], "web-dev");
    web["port"] = json!(8081);
    web["health"] = json!("/live");
    web["values"] = json!({"replicaCount": 3, "greeting": "no"});
    let text = render(&model).get("apps/web/values/web-dev.yaml").unwrap().text().unwrap().to_owned();
    let values = &documents(&text)[0];
    assert_eq!(values["port"], 8081);
    assert_eq!(values["probes"], json!({"liveness": "/live"}));
    assert_eq!((&values["replicaCount"], &values["greeting"]), (&json!(3), &json!("no")));
    assert!(text.contains(r#"greeting: "no""#), "{text}");
}

/// A program from PATH or from the cache of the end-to-end bed.
fn program(name: &str) -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).map(|dir| dir.join(name)).collect::<Vec<_>>());
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let in_bed = cache.map(|cache| cache.join(format!("platform-dev/bed/{name}/bin/{name}")));
    on_path.unwrap_or_default().into_iter().chain(in_bed).find(|candidate| candidate.is_file())
}

/// Writes the tree to a folder, or says why the test is skipped. With `CI=true` a missing program is a failure.
#[expect(clippy::print_stderr, reason = "a person must see what was not tried")]
fn laid_out(name: &str) -> Option<(PathBuf, tempfile::TempDir, Tree)> {
    let Some(program) = program(name) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "`{name}` is missing; `./dev tools` builds it");
        eprintln!("skipped: `{name}` is neither in PATH nor in the bed's cache; `./dev tools` builds it");
        return None;
    };
    let (folder, tree) = (tempfile::tempdir().unwrap(), render(&model()));
    for (path, file) in &tree.files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.bytes).unwrap();
    }
    Some((program, folder, tree))
}

fn output(command: &mut Command) -> Vec<Value> {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    documents(std::str::from_utf8(&output.stdout).unwrap())
}

/// The restricted Pod Security Standard, and what our own rules ask for beyond.
fn assert_hardened(objects: &[Value], app: &str) {
    let find = |kind: &str| {
        objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("{app}: no {kind}"))
    };
    for object in objects {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/managed-by"], "platform", "{app}: {}", object["kind"]);
        assert_eq!(labels["platform.dev/name"], "demo", "{app}: {}", object["kind"]);
        assert_eq!(labels["platform.dev/environment"], if app.ends_with("prod") { "prod" } else { "dev" });
    }
    find("Service");
    find("ServiceAccount");
    assert_eq!(find("PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
    let deployment = find("Deployment");
    assert_eq!(deployment["spec"]["replicas"], if app.ends_with("prod") { 2 } else { 1 }, "{app}");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    for container in pod["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            assert!(container[probe]["httpGet"].is_object(), "{app}: no {probe}");
        }
        assert!(container["resources"]["requests"]["memory"].is_string());
        let (_, tag) = container["image"].as_str().unwrap().rsplit_once(':').expect("a tag");
        assert!(tag != "latest" && !tag.contains('/'), "{app}: {}", container["image"]);
    }
}

#[test]
fn x10_kustomize_builds_every_kustomization() {
    let Some((kustomize, folder, tree)) = laid_out("kustomize") else { return };
    let mut built = BTreeMap::new();
    for path in tree.files.keys().filter_map(|path| path.strip_suffix("/kustomization.yaml")) {
        let objects = output(Command::new(&kustomize).arg("build").arg(folder.path().join(path)));
        assert!(!objects.is_empty(), "{path}");
        built.insert(path.to_owned(), objects);
    }
    for environment in ["dev", "prod"] {
        assert_hardened(
            &built[&format!("apps/hello/overlays/{environment}")],
            &format!("hello-{environment}"),
        );
    }
    let definitions = &built["velero/crds"];
    assert_eq!(definitions.len(), 13);
    assert!(definitions.iter().all(|object| object["metadata"]["labels"]["platform.dev/name"] == "demo"));
}

#[test]
fn x10_helm_renders_every_cell() {
    let Some((helm, folder, _)) = laid_out("helm") else { return };
    for app in ["web-dev", "web-prod"] {
        let chart = folder.path().join("apps/web");
        let values = chart.join(format!("values/{app}.yaml"));
        let home = folder.path().join(".helm");
        let mut command = Command::new(&helm);
        command
            .args(["template", "web"])
            .arg(&chart)
            .arg("--values")
            .arg(values)
            .arg("--namespace")
            .arg(app)
            .env("HOME", home);
        assert_hardened(&output(&mut command), app);
    }
}

/// Our files and what `velero install` writes must not drift apart when the version changes.
#[test]
fn velero_is_installed_as_its_own_installer_does() {
    let Some((velero, folder, tree)) = laid_out("velero") else { return };
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    // The installer wants both even for a dry run; neither is used.
    let kubeconfig = write(
        "kubeconfig",
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
         users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n",
    );
    let credentials = write("credentials", "[default]\n");
    let mut command = Command::new(&velero);
    command.arg("--kubeconfig").arg(kubeconfig).args([
        "install",
        "--dry-run",
        "-o",
        "yaml",
        "--provider",
        "aws",
    ]);
    command.args(["--plugins", "velero/velero-plugin-for-aws:v1.14.3", "--use-volume-snapshots=false"]);
    command.args([
        "--bucket",
        "demo-backups",
        "--prefix",
        "demo/demo",
        "--backup-location-config",
        "region=us-east-1",
    ]);
    command.arg("--secret-file").arg(credentials).env("HOME", folder.path());
    let theirs = output(&mut command);
    let theirs = theirs[0]["items"].as_array().unwrap();
    let ours = objects(&tree);
    let pair = |kind: &str| {
        let is = |object: &&Value| object["kind"] == kind && object["metadata"]["namespace"] != "argocd";
        let own = ours
            .iter()
            .map(|(_, object)| object)
            .filter(|object| object["metadata"]["labels"]["component"] == "velero");
        (own.into_iter().find(is).expect(kind), theirs.iter().find(is).expect(kind))
    };
    let (store, their_store) = pair("BackupStorageLocation");
    let mut their_spec = their_store["spec"].clone();
    // Theirs reads the keys from the volume alone, and hears of new ones when the kubelet gets to it.
    their_spec["credential"] = json!({"name": "cloud-credentials", "key": "cloud"});
    assert_eq!(store["spec"], their_spec);
    let (binding, their_binding) = pair("ClusterRoleBinding");
    assert_eq!(
        (&binding["roleRef"], &binding["subjects"]),
        (&their_binding["roleRef"], &their_binding["subjects"])
    );
    let (server, their_server) = pair("Deployment");
    let (pod, their_pod) = (&server["spec"]["template"]["spec"], &their_server["spec"]["template"]["spec"]);
    assert_eq!(server["spec"]["selector"], their_server["spec"]["selector"]);
    assert_eq!(pod["volumes"], their_pod["volumes"]);
    for (list, fields) in [
        ("containers", ["image", "command", "volumeMounts", "ports"]),
        ("initContainers", ["image", "command", "volumeMounts", "ports"]),
    ] {
        for field in fields {
            assert_eq!(pod[list][0][field], their_pod[list][0][field], "{list}: {field}");
        }
    }
    let definitions = |objects: &[Value]| {
        objects.iter().filter(|object| object["kind"] == "CustomResourceDefinition").count()
    };
    assert_eq!(
        definitions(theirs),
        Blueprint::embedded("starter").unwrap().needed_artifacts(&Value::Null).len()
    );
}
