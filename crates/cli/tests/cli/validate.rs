//! `platform validate`: everything that is wrong, in one go, with its place.

use std::path::{Path, PathBuf};

use crate::bed::Bed;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(Path::new(FIXTURES).join(folder)).expect("fixtures");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "yaml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn words(files: &[PathBuf]) -> Vec<&str> {
    files.iter().map(|file| file.to_str().expect("a plain path")).collect()
}

#[test]
fn the_examples_are_valid() {
    let files = files("specs");
    let said = Bed::new().run(&[&["validate"], words(&files).as_slice()].concat());
    assert_eq!(said.code, 0, "{said:?}");
    // All but S4 are for blueprints of later versions, and that is all there is to say about them.
    let is_later =
        |file: &&PathBuf| file.file_name().is_some_and(|it| !it.to_string_lossy().starts_with("s4-"));
    let later = files.iter().filter(is_later).count();
    let said = Bed::new().run(&[&["validate", "--output", "json"], words(&files).as_slice()].concat()).json();
    let findings = said["findings"].as_array().expect("a list");
    assert!(findings.iter().all(|finding| finding["code"] == "P0601"), "{said}");
    assert_eq!(findings.len(), later, "{said}");
}

/// What only the blueprint knows is found as well, with its place; and a plan refuses it as a wrong spec.
#[test]
fn what_the_blueprint_cannot_make_is_found() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    let text = fs_err::read_to_string(bed.path().join("platform.yaml")).expect("init wrote it");
    for (right, wrong, code, hint) in [
        ("addons: [velero]", "addons: [valero]", "P0609", "did you mean `velero`?"),
        ("name: starter,", "name: stater,", "P0601", "did you mean `starter`?"),
        ("version: 1.0.0}", "version: 9.0.0}", "P0601", "version: 1.0.0"),
        ("version: 1.0.0}", "version: 1.0.0, params: {sample: 1}}", "P0603", "params.schema.json"),
        ("port: 8080", "port: 0", "P0005", ""),
    ] {
        assert!(text.contains(right), "{right}");
        bed.write("platform.yaml", &text.replacen(right, wrong, 1));
        let said = bed.run(&["validate", "--output", "json"]);
        let document = said.json();
        let finding = &document["findings"][0];
        assert_eq!((said.code, &document["valid"]), (2, &serde_json::json!(false)), "{wrong}: {document}");
        let line = text.lines().position(|line| line.contains(right)).expect("it is there") + 1;
        assert_eq!(finding["line"].as_u64(), Some(line as u64), "{wrong}: {document}");
        assert!(finding["column"].as_u64().is_some_and(|column| column > 1), "{document}");
        assert!(finding["hint"].as_str().is_some_and(|said| said.contains(hint)), "{document}");
        if wrong != "port: 0" {
            assert_eq!(finding["code"], code, "{document}");
        }
        for words in [&["plan"][..], &["render"], &["up"]] {
            let said = bed.run(&[words, &["--output", "json"]].concat());
            assert_eq!(
                (said.code, said.json()["findings"][0].clone()),
                (2, finding.clone()),
                "{words:?}: {said:?}"
            );
        }
    }
    // What exists can be removed also when its blueprint is of another version.
    bed.write("platform.yaml", &text.replacen("version: 1.0.0}", "version: 9.0.0}", 1));
    assert_eq!(bed.run(&["plan", "down", "--output", "json"]).json()["schema"], "platform.plan/v1");
}

/// A provider's section is checked by the provider's own words, with places; and nothing begins with a wrong one.
#[test]
fn what_a_provider_does_not_have_is_found() {
    const LINE: u64 = 4;
    let write = |bed: &Bed, kind: &str, config: &str, cluster: &str| {
        assert_eq!(bed.run(&["init", "--provider", "existing", "--file", "base.yaml"]).code, 0);
        let text = fs_err::read_to_string(bed.path().join("base.yaml")).expect("init wrote it");
        fs_err::remove_file(bed.path().join("base.yaml")).expect("it is there");
        let (above, rest) = text.split_once("  providers:\n").expect("providers");
        let (_, rest) = rest.split_once("  clusters:\n").expect("clusters");
        let rest = rest.replacen("provider: here\n", &format!("provider: here\n{cluster}"), 1);
        let text = format!(
            "{above}  providers:\n    - name: here\n      kind: {kind}\n      config:\n        {config}\n\n  clusters:\n{rest}"
        );
        bed.write("platform.yaml", &text);
        above.lines().count() as u64
    };
    for (kind, config, code, path, hint) in [
        (
            "existing",
            "kubeconfigRef: file:~/.kube/config\n        contxt: a",
            "P0023",
            "contxt",
            "did you mean `context`?",
        ),
        ("existing", "kubeconfigRef: ~/.kube/config", "P0023", "kubeconfigRef", "file:~/.kube/config"),
        ("existing", "context: a", "P0023", "", "kubeconfigRef"),
        ("sandbox", "dnsZne: example.com", "P0003", "dnsZne", "did you mean `dnsZone`?"),
        ("sandbox", "caRef: cert.pem", "P0008", "caRef", "file:PATH"),
        ("sandbox", "ingressIp: a", "P0005", "ingressIp", "true"),
        ("kind", "netwrok: a", "P0003", "netwrok", "did you mean `network`?"),
        ("kind", "engine: dockr", "P0006", "engine", "did you mean `docker`?"),
        ("kind", "apiServerPort: 99999", "P0006", "apiServerPort", "from 1 to 65535"),
        (
            "kind",
            "extraMounts: [{hostPath: here, containerPath: /there}]",
            "P0006",
            "extraMounts[0].hostPath",
            "absolute",
        ),
        ("kind", "images: {archives: [{digest: abc}]}", "P0004", "images.archives[0]", "path"),
        ("kind", "mergeKubeconfig: config", "P0006", "mergeKubeconfig", "absolute path"),
        ("kind", "registryMirrors: {'a/b': ['https://a.example']}", "P1004", "", "P1004"),
    ] {
        let bed = Bed::new();
        let above = write(&bed, kind, config, "");
        let said = bed.run(&["validate", "--output", "json"]);
        let document = said.json();
        let found = document["findings"].as_array().expect("a list").iter().find(|it| it["code"] == code);
        let finding = found.unwrap_or_else(|| panic!("{config}: {document:#}"));
        assert_eq!((said.code, &finding["severity"]), (2, &"error".into()), "{config}: {document:#}");
        let full = format!("spec.providers[0].config.{path}");
        assert_eq!(finding["path"], full.trim_end_matches('.'), "{config}");
        assert_eq!(
            (&finding["file"], finding["line"].as_u64() > Some(above + LINE)),
            (&"platform.yaml".into(), true)
        );
        assert!(finding["column"].as_u64().is_some_and(|column| column > 1), "{document:#}");
        assert!(finding["hint"].as_str().is_some_and(|said| said.contains(hint)), "{config}: {finding:#}");
        let text = finding.to_string();
        for word in ["unknown field", "invalid type", "serde", "expected one of"] {
            assert!(!text.contains(word), "{config}: words of a library: {text}");
        }
        for words in [&["plan"][..], &["plan", "down"], &["up"], &["down", "--yes"]] {
            let said = bed.run(&[words, &["--output", "json"]].concat());
            let refused = said.json();
            assert_eq!((said.code, &refused["error"]["code"]), (2, &code.into()), "{words:?}: {said:?}");
            assert!(refused["findings"].as_array().is_some_and(|all| all.contains(finding)), "{refused:#}");
        }
        assert!(bed.run(&["runs", "--output", "json"]).json()["runs"].as_array().is_some_and(Vec::is_empty));
    }
    // What the provider cannot make of a cluster is said of the cluster.
    let bed = Bed::new();
    write(&bed, "kind", "image: kindest/node:v1.36.3", "      kubernetes: {cni: cilium}\n");
    let document = bed.run(&["validate", "--output", "json"]).json();
    let finding = &document["findings"][0];
    assert_eq!(
        (&finding["code"], &finding["path"]),
        (&"P1004".into(), &"spec.clusters[0]".into()),
        "{document:#}"
    );
    assert!(finding["message"].as_str().is_some_and(|it| it.contains("kindnet")), "{document:#}");
}

#[test]
fn a_spec_for_emulated_clouds_is_checked_as_one() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "sandbox"]).code, 0);
    let text = fs_err::read_to_string(bed.path().join("platform.yaml")).expect("init wrote it");
    let (above, rest) = text.split_once("kind: sandbox").expect("its provider");
    let (_, rest) = rest.split_once("\n\n").expect("an end");
    bed.write("platform.yaml", &format!("{above}kind: kind\n\n{rest}"));
    let codes = |words: &[&str]| -> Vec<String> {
        let document = bed.run(words).json();
        let findings = document["findings"].as_array().expect("a list").clone();
        findings.iter().filter_map(|it| it["code"].as_str().map(str::to_owned)).collect()
    };
    let emulated = codes(&["validate", "--sandbox", "--output", "json"]);
    assert!(!emulated.contains(&"P0020".to_owned()), "{emulated:?}");
    assert!(codes(&["validate", "--output", "json"]).len() >= emulated.len());
}

#[test]
fn standard_input_is_a_file_too() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    let text = fs_err::read_to_string(bed.path().join("platform.yaml")).expect("init wrote it");
    let said = bed.said(bed.command(&["validate", "-"]).write_stdin(text.clone()).output().expect("starts"));
    assert_eq!((said.code, said.stdout.as_str()), (0, "-: valid\n"));
    let said = bed.said(bed.command(&["validate", "-"]).write_stdin("kind: [").output().expect("starts"));
    assert_eq!(said.code, 2);
    let said = bed.command(&["validate", "/dev/stdin"]).write_stdin(text).output().expect("starts");
    assert_eq!(bed.said(said).code, 0, "a pipe by its name");
}

#[test]
fn what_has_no_end_is_not_read() {
    let bed = Bed::new();
    bed.write("big.yaml", &"#".repeat((8 << 20) + 1));
    for file in ["/dev/zero", "big.yaml", "."] {
        let said = bed.run(&["validate", file, "--output", "json"]);
        assert_eq!((said.code, &said.json()["error"]["code"]), (2, &serde_json::json!("P0916")), "{said:?}");
    }
}

#[test]
fn every_bad_spec_exits_2_and_every_finding_has_a_place_a_code_with_a_page_and_a_hint() {
    let bed = Bed::new();
    for file in files("bad-specs") {
        let said = bed.run(&["validate", "--output", "json", file.to_str().expect("a plain path")]);
        assert_eq!(said.code, 2, "{said:?}");
        let document = said.json();
        assert_eq!(document["valid"], false);
        let findings = document["findings"].as_array().expect("a list");
        assert!(!findings.is_empty(), "{document}");
        for finding in findings {
            let code = finding["code"].as_str().expect("a code");
            let page = Path::new(FIXTURES).join(format!("../../docs/errors/{code}.md"));
            assert!(page.exists(), "{code} has no page");
            assert!(finding["line"].is_u64() && finding["file"].is_string(), "{finding} has no place");
            assert!(finding["hint"].is_string(), "{finding} has no hint");
        }
    }
}

#[test]
fn several_files_are_all_checked_though_the_first_is_bad() {
    let bed = Bed::new();
    bed.write("bad.yaml", "kind: Platform\nkind: Platform\n");
    assert_eq!(bed.run(&["init", "--provider", "existing", "--file", "good.yaml"]).code, 0);
    let said = bed.run(&["validate", "bad.yaml", "good.yaml"]);
    assert_eq!(said.code, 2);
    assert!(said.stdout.contains("good.yaml: valid"), "{said:?}");
}

#[test]
fn a_finding_shows_the_line_and_points_at_the_column() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    let text = fs_err::read_to_string(bed.path().join("platform.yaml")).expect("init wrote it");
    bed.write("platform.yaml", &text.replacen("kind: Platform", "kind: Platfrom", 1));
    insta::assert_snapshot!(bed.run(&["validate"]).story());
}

/// neither the finding nor the line that is shown with it repeats a secret.
#[test]
fn a_secret_in_the_clear_is_reported_and_not_repeated() {
    const CANARY: &str = "hunter2-canary";
    let bed = Bed::new();
    let text = fs_err::read_to_string(&files("specs")[0]).expect("a fixture");
    bed.write("unknown-key.yaml", &format!("password: {CANARY}\n{text}"));
    bed.write("no-yaml.yaml", &format!("{text}\n  password: [{CANARY}\n"));
    let fixture = files("bad-specs").into_iter().find(|file| file.ends_with("08-secrets-in-the-clear.yaml"));
    fs_err::copy(fixture.expect("the fixture"), bed.path().join("handles.yaml"))
        .expect("the bed is writable");
    for file in ["unknown-key.yaml", "no-yaml.yaml", "handles.yaml"] {
        for form in ["text", "json"] {
            let said = bed.run(&["-vvv", "validate", file, "--output", form]);
            assert_eq!(said.code, 2, "{said:?}");
            let all = (said.stdout + &said.stderr).to_lowercase();
            assert!(!all.contains(CANARY) && !all.contains("akiahunter2"), "{file}: {all}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    insta::assert_snapshot!(Bed::new().run(&["validate", "nowhere.yaml"]).story());
}

#[test]
fn what_init_writes_is_valid_and_is_never_overwritten() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    let written = fs_err::read_to_string(bed.path().join("platform.yaml")).expect("init wrote it");
    assert_eq!(bed.run(&["validate"]).code, 0);
    assert_eq!(bed.run(&["init", "--output", "json"]).json()["error"]["code"], "P0904");
    let kept = fs_err::read_to_string(bed.path().join("platform.yaml")).expect("still there");
    assert_eq!(kept, written);
    assert_eq!(bed.run(&["init", "--provider", "moon", "--file", "b.yaml"]).code, 2);
    assert_eq!(bed.run(&["init", "--blueprint", "moon", "--file", "b.yaml"]).code, 2);
    assert!(!bed.path().join("b.yaml").exists());
}

#[test]
fn the_schema_is_a_json_schema_of_a_platform() {
    let schema = Bed::new().run(&["schema"]).json();
    assert!(schema["$schema"].as_str().is_some_and(|dialect| dialect.contains("json-schema.org")));
    assert!(schema["properties"]["spec"].is_object());
}
