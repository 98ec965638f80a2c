//! The bed itself: everything answers who has the right to ask, and refuses everyone else (S0-01's surroundings).

use std::path::PathBuf;

use platform_tests::{Bed, Output, World, facts::TSIG_STRANGER};

#[test]
fn three_nodes_are_ready_and_the_server_says_its_version() {
    let Some(bed) = Bed::shared() else { return };
    let ready = bed.kubectl(["wait", "node", "--all", "--for=condition=Ready", "--timeout=30s"]).ok();
    assert_eq!(ready.stdout.lines().count(), 3, "{}", ready.stdout);
    let version = bed.kubectl_json(["version"]);
    assert_eq!(version["serverVersion"]["gitVersion"], "v1.36.3");
}

#[test]
fn the_program_is_an_administrator_and_told_apart_in_the_audit_log() {
    let Some(world) = Bed::world("audit") else { return };
    let bed = world.bed();
    let mark = bed.audit_mark();
    let as_program = |args: &[&str]| {
        Output::of(
            bed.command("kubectl")
                .args(args)
                .env("KUBECONFIG", bed.facts().kubeconfig())
                .env("HOME", world.dir()),
        )
    };
    as_program(&["create", "configmap", "seen", "--field-manager=me"]).ok();
    as_program(&["get", "configmaps"]).ok();
    as_program(&["delete", "configmap", "seen"]).ok();
    let ours: Vec<_> = bed.writes_since(mark).into_iter().filter(|write| write.is_ours()).collect();
    let told: Vec<_> =
        ours.iter().map(|write| (write.verb.as_str(), write.object(), write.status())).collect();
    let object = || "default/configmaps/seen".to_owned();
    assert_eq!(told, [("create", object(), 201), ("delete", object(), 200)], "reads are left out");
    assert_eq!(ours[0].field_manager(), Some("me"));
    world.assert_clean();
}

#[test]
fn an_expired_certificate_is_refused() {
    let Some(world) = Bed::world("expired") else { return };
    let get = |kubeconfig: PathBuf| {
        let mut command = world.bed().command("kubectl");
        let command = command.args(["get", "nodes"]).env("KUBECONFIG", kubeconfig).env("HOME", world.dir());
        Output::of(command)
    };
    get(world.kubeconfig_with("same.conf", |text| text)).ok();
    let refused = get(world.expired_kubeconfig());
    assert_ne!(refused.status, 0);
    let log = fs_err::read_to_string(world.bed().facts().dir.join("log/kube-apiserver.log")).expect("a log");
    assert!(log.contains("certificate has expired"), "{}", refused.stderr);
}

/// `git ls-remote` as `user` with `password`.
fn ls_remote(world: &World, password: &str) -> Output {
    let url = format!("{}/platform.git", world.git_url())
        .replace("http://", &format!("http://platform:{password}@"));
    Output::of(
        world
            .bed()
            .command("git")
            .args(["ls-remote", &url])
            .env("HOME", world.dir())
            .env("GIT_TERMINAL_PROMPT", "0"),
    )
}

#[test]
fn git_takes_the_right_password_only() {
    let Some(world) = Bed::world("git") else { return };
    ls_remote(&world, &world.bed().facts().git_password).ok();
    let refused = ls_remote(&world, "wrong");
    assert_ne!(refused.status, 0);
    assert!(refused.stderr.contains("Authentication failed"), "{}", refused.stderr);

    let clone = world.dir().join("clone");
    let git = |args: &[&str]| {
        let clone = clone.display().to_string();
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-C", &clone];
        Output::of(world.bed().command("git").args(identity).args(args).env("HOME", world.dir())).ok()
    };
    fs_err::create_dir(&clone).expect("a folder");
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["commit", "--quiet", "--allow-empty", "--message=first"]);
    let password = &world.bed().facts().git_password;
    let url = format!("{}/platform.git", world.git_url())
        .replace("http://", &format!("http://platform:{password}@"));
    git(&["push", "--quiet", &url, "main"]);
    let log = world.git("platform", ["log", "--format=%s", "main"]).ok();
    assert_eq!(log.stdout, "first\n");
}

#[test]
fn s3_takes_the_right_secret_only() {
    let Some(world) = Bed::world("s3") else { return };
    let facts = world.bed().facts();
    let status = |secret: &str| world.s3("HEAD", &world.bucket(), &facts.s3_access_key, secret).stdout;
    assert_eq!(status(&facts.s3_secret_key), "200");
    assert_eq!(status("wrong"), "403");
}

/// Signs an update of `zone` with a key and returns what nsupdate says.
fn nsupdate(world: &World, key: &str, secret: &str) -> Output {
    let zone = world.zone();
    let script = world.dir().join("update");
    let text = format!(
        "server 127.0.0.1\nzone {zone}\nkey hmac-sha256:{key} {secret}\nupdate add www.{zone} 60 A 192.0.2.1\nsend\n"
    );
    fs_err::write(&script, text).expect("a script");
    Output::of(world.bed().command("nsupdate").arg(script).env("HOME", world.dir()))
}

#[test]
fn dns_is_updated_by_the_right_key_only() {
    let Some(world) = Bed::world("dns") else { return };
    let facts = world.bed().facts();
    let before = world.zone_serial(&world.zone());
    for (key, secret, says) in [
        (TSIG_STRANGER, &facts.tsig_stranger_secret, "REFUSED"),
        ("platform", &facts.tsig_stranger_secret, "BADSIG"),
        ("nobody", &facts.tsig_secret, "BADKEY"),
    ] {
        let refused = nsupdate(&world, key, secret);
        assert_ne!(refused.status, 0, "{key}");
        assert!(refused.stderr.contains(says), "{key}: {}", refused.stderr);
    }
    assert_eq!(world.zone_serial(&world.zone()), before);

    nsupdate(&world, "platform", &facts.tsig_secret).ok();
    assert_eq!(world.records(&world.zone()), [format!("www.{}. 60 IN A 192.0.2.1", world.zone())]);
    assert!(world.zone_serial(&world.zone()) > before);
}

#[test]
fn what_a_test_leaves_is_named_and_the_next_one_begins_clean() {
    let Some(world) = Bed::world("leaves") else { return };
    let bed = world.bed();
    bed.kubectl(["create", "namespace", "left"]).ok();
    bed.kubectl(["create", "configmap", "stuck", "--namespace=left"]).ok();
    let patch = "--patch={\"metadata\":{\"finalizers\":[\"example.com/never\"]}}";
    bed.kubectl(["patch", "configmap", "stuck", "--namespace=left", "--type=merge", patch]).ok();
    let left = world.left_over();
    assert!(left.iter().any(|object| object == "ConfigMap/stuck in left"), "{left:?}");
    assert!(left.iter().any(|object| object == "Namespace/left"), "{left:?}");
    drop(world);

    let Some(next) = Bed::world("next") else { return };
    next.assert_clean();
}
