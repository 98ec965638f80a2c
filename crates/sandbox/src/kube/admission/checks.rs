//! The Pod Security Standards: what each level forbids, with the reason and the details that the real server gives.
//!
//! The checks stand in the order in which they are reported. Their versions are those of
//! `k8s.io/pod-security-admission`; the latest counts for every version after it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::security::Level;

/// The newest version that any check knows.
const NEWEST: u32 = 35;

/// A reason and its details.
type Found = Option<(&'static str, String)>;

/// What a pod does that a level forbids. `version` is the minor one; `None` the latest.
pub(super) fn violations(level: Level, version: Option<u32>, pod: &Value) -> Vec<(&'static str, String)> {
    if level == Level::Privileged {
        return Vec::new();
    }
    let minor = version.unwrap_or(NEWEST).min(NEWEST);
    let spec = &pod["spec"];
    let strict = level == Level::Restricted;
    let windows = minor >= 25 && spec["os"]["name"] == "windows";
    let own_users = minor >= 35 && spec["hostUsers"] == false;
    // A stricter check of the same thing takes the place of the weaker one.
    let baseline: [Found; 12] = [
        app_armor(pod),
        (!strict || minor < 22).then(|| capabilities(spec)).flatten(),
        host_namespaces(spec),
        (!strict).then(|| host_paths(spec)).flatten(),
        host_ports(spec),
        (minor >= 34).then(|| probe_hosts(spec)).flatten(),
        privileged(spec),
        (!own_users && (!strict || minor < 35)).then(|| proc_mount(spec)).flatten(),
        selinux(spec, minor),
        match (strict, minor >= 19) {
            (true, true) => None,
            (_, true) => seccomp(spec, false),
            (_, false) => old_seccomp(pod),
        },
        sysctls(spec, minor),
        host_process(spec),
    ];
    let mut found: Vec<_> = baseline.into_iter().flatten().collect();
    if strict {
        let restricted: [Found; 7] = [
            (!windows).then(|| escalation(spec)).flatten(),
            (!windows && minor >= 22).then(|| all_capabilities(spec)).flatten(),
            (minor >= 35).then(|| proc_mount(spec)).flatten(),
            volumes(spec),
            (!own_users).then(|| non_root(spec)).flatten(),
            (!own_users && minor >= 23).then(|| root(spec)).flatten(),
            (!windows && minor >= 19).then(|| seccomp(spec, true)).flatten(),
        ];
        found.extend(restricted.into_iter().flatten());
    }
    found
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|kind| spec[kind].as_array().into_iter().flatten())
}

fn name(it: &Value) -> &str {
    it["name"].as_str().unwrap_or_default()
}

/// Names of containers of which something is true.
fn those(spec: &Value, bad: impl Fn(&Value) -> bool) -> Vec<&str> {
    containers(spec).filter(|it| bad(it)).map(name).collect()
}

fn quote<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|it| format!("\"{}\"", it.as_ref())).collect::<Vec<_>>().join(", ")
}

fn of<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"`, `containers "a", "b"`.
fn container_words(names: &[&str]) -> String {
    format!("{} {}", of(names.len(), "container", "containers"), quote(names))
}

/// Who sets something wrong: the pod, containers, or both. `wrong` gives what is wrong in a security context.
fn setters(spec: &Value, mut wrong: impl FnMut(&Value) -> bool) -> Vec<String> {
    let mut who = Vec::new();
    if wrong(&spec["securityContext"]) {
        who.push("pod".to_owned());
    }
    let mut names = Vec::new();
    for it in containers(spec) {
        if wrong(&it["securityContext"]) {
            names.push(name(it));
        }
    }
    if !names.is_empty() {
        who.push(container_words(&names));
    }
    who
}

fn app_armor(pod: &Value) -> Found {
    let mut values = BTreeSet::new();
    let mut who = setters(&pod["spec"], |context| {
        let kind = context["appArmorProfile"]["type"].as_str();
        let bad = kind.filter(|it| !matches!(*it, "RuntimeDefault" | "Localhost"));
        values.extend(bad.map(str::to_owned));
        bad.is_some()
    });
    let mut values: Vec<String> = values.into_iter().collect();
    let mut marks: Vec<String> = Vec::new();
    for (key, value) in pod["metadata"]["annotations"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let fine = value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !fine {
            marks.push(format!("{key}={value:?}"));
        }
    }
    if !marks.is_empty() {
        marks.sort();
        who.push(of(marks.len(), "annotation", "annotations").to_owned());
        values.extend(marks);
    }
    (!who.is_empty()).then(|| {
        let reason = of(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
        (reason, format!("{} must not set AppArmor profile type to {}", who.join(" and "), quote(&values)))
    })
}

fn added(it: &Value) -> impl Iterator<Item = &str> {
    it["securityContext"]["capabilities"]["add"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn capabilities(spec: &Value) -> Found {
    const FINE: &[&str] = &[
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let bad = those(spec, |it| added(it).any(|it| !FINE.contains(&it)));
    let which: BTreeSet<&str> = containers(spec).flat_map(added).filter(|it| !FINE.contains(it)).collect();
    (!bad.is_empty()).then(|| {
        let words = container_words(&bad);
        let detail = format!("{words} must not include {} in securityContext.capabilities.add", quote(which));
        ("non-default capabilities", detail)
    })
}

fn host_namespaces(spec: &Value) -> Found {
    let set = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|key| spec[*key] == true);
    let words: Vec<String> = set.map(|key| format!("{key}=true")).collect();
    (!words.is_empty()).then(|| ("host namespaces", words.join(", ")))
}

fn volumes_with(spec: &Value, bad: impl Fn(&Value) -> bool) -> Vec<&Value> {
    spec["volumes"].as_array().into_iter().flatten().filter(|it| bad(it)).collect()
}

fn host_paths(spec: &Value) -> Found {
    let bad = volumes_with(spec, |it| it["hostPath"].is_object());
    (!bad.is_empty()).then(|| {
        let names = quote(bad.iter().map(|it| name(it)));
        ("hostPath volumes", format!("{} {names}", of(bad.len(), "volume", "volumes")))
    })
}

fn host_ports(spec: &Value) -> Found {
    fn ports(it: &Value) -> impl Iterator<Item = String> + '_ {
        let ports = it["ports"].as_array().into_iter().flatten().filter_map(|it| it["hostPort"].as_u64());
        ports.filter(|port| *port != 0).map(|port| port.to_string())
    }
    let bad = those(spec, |it| ports(it).next().is_some());
    let which: BTreeSet<String> = containers(spec).flat_map(ports).collect();
    (!bad.is_empty()).then(|| {
        let (uses, noun) = (of(bad.len(), "uses", "use"), of(which.len(), "hostPort", "hostPorts"));
        let list: Vec<String> = which.into_iter().collect();
        ("hostPort", format!("{} {uses} {noun} {}", container_words(&bad), list.join(", ")))
    })
}

fn probe_hosts(spec: &Value) -> Found {
    fn hosts(it: &Value) -> impl Iterator<Item = &str> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|key| &it[key]);
        let hooks = ["postStart", "preStop"].map(|key| &it["lifecycle"][key]);
        probes
            .into_iter()
            .chain(hooks)
            .flat_map(|it| ["httpGet", "tcpSocket"].map(|kind| it[kind]["host"].as_str()))
            .flatten()
            .filter(|host| !host.is_empty())
    }
    let bad: BTreeSet<&str> = containers(spec).filter(|it| hosts(it).next().is_some()).map(name).collect();
    let which: BTreeSet<&str> = containers(spec).flat_map(hosts).collect();
    (!bad.is_empty()).then(|| {
        let bad: Vec<&str> = bad.into_iter().collect();
        let noun = of(which.len(), "probe or lifecycle host", "probe or lifecycle hosts");
        let uses = of(bad.len(), "uses", "use");
        ("probe or lifecycle host", format!("{} {uses} {noun} {}", container_words(&bad), quote(which)))
    })
}

fn privileged(spec: &Value) -> Found {
    let bad = those(spec, |it| it["securityContext"]["privileged"] == true);
    let detail = || format!("{} must not set securityContext.privileged=true", container_words(&bad));
    (!bad.is_empty()).then(|| ("privileged", detail()))
}

fn proc_mount(spec: &Value) -> Found {
    fn kind(it: &Value) -> Option<&str> {
        it["securityContext"]["procMount"].as_str().filter(|it| *it != "Default")
    }
    let bad = those(spec, |it| kind(it).is_some());
    let which: BTreeSet<&str> = containers(spec).filter_map(kind).collect();
    (!bad.is_empty()).then(|| {
        let words = container_words(&bad);
        ("procMount", format!("{words} must not set securityContext.procMount to {}", quote(which)))
    })
}

fn selinux(spec: &Value, minor: u32) -> Found {
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let who = setters(spec, |context| {
        let options = &context["seLinuxOptions"];
        let text = |key: &str| options[key].as_str().unwrap_or_default();
        let fine = matches!(text("type"), "" | "container_t" | "container_init_t" | "container_kvm_t")
            || (minor >= 31 && text("type") == "container_engine_t");
        if !fine {
            types.insert(text("type").to_owned());
        }
        let (has_user, has_role) = (!text("user").is_empty(), !text("role").is_empty());
        user |= has_user;
        role |= has_role;
        !fine || has_user || has_role
    });
    (!who.is_empty()).then(|| {
        let mut what = Vec::new();
        if !types.is_empty() {
            what.push(format!("{} {}", of(types.len(), "type", "types"), quote(&types)));
        }
        what.extend(user.then(|| "user may not be set".to_owned()));
        what.extend(role.then(|| "role may not be set".to_owned()));
        let (who, what) = (who.join(" and "), what.join("; "));
        ("seLinuxOptions", format!("{who} set forbidden securityContext.seLinuxOptions: {what}"))
    })
}

fn seccomp(spec: &Value, must_be_set: bool) -> Found {
    fn kind(context: &Value) -> Option<&str> {
        context["seccompProfile"]["type"].as_str()
    }
    let fine = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let mut values = BTreeSet::new();
    let who = setters(spec, |context| {
        let bad = kind(context).filter(|it| !fine(it));
        values.extend(bad.map(str::to_owned));
        bad.is_some()
    });
    if !who.is_empty() {
        let (who, values) = (who.join(" and "), quote(&values));
        let detail = format!("{who} must not set securityContext.seccompProfile.type to {values}");
        return Some(("seccompProfile", detail));
    }
    if !must_be_set || kind(&spec["securityContext"]).is_some() {
        return None;
    }
    let silent = those(spec, |it| kind(&it["securityContext"]).is_none());
    (!silent.is_empty()).then(|| {
        let words = container_words(&silent);
        let detail = format!(
            "pod or {words} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
        );
        ("seccompProfile", detail)
    })
}

/// Before there were fields for it.
fn old_seccomp(pod: &Value) -> Found {
    let marks = &pod["metadata"]["annotations"];
    let keys = containers(&pod["spec"])
        .map(|it| format!("container.seccomp.security.alpha.kubernetes.io/{}", name(it)))
        .chain(["seccomp.security.alpha.kubernetes.io/pod".to_owned()]);
    let bad = keys.filter_map(|key| {
        let value = marks[key.as_str()].as_str()?;
        let fine = matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
        (!fine).then(|| format!("{key}={value:?}"))
    });
    let bad: BTreeSet<String> = bad.collect();
    (!bad.is_empty()).then(|| {
        let list: Vec<String> = bad.into_iter().collect();
        let noun = of(list.len(), "annotation", "annotations");
        ("seccompProfile", format!("forbidden {noun} {}", list.join(", ")))
    })
}

fn sysctls(spec: &Value, minor: u32) -> Found {
    const FINE: &[(u32, &str)] = &[
        (0, "kernel.shm_rmid_forced"),
        (0, "net.ipv4.ip_local_port_range"),
        (0, "net.ipv4.tcp_syncookies"),
        (0, "net.ipv4.ping_group_range"),
        (0, "net.ipv4.ip_unprivileged_port_start"),
        (27, "net.ipv4.ip_local_reserved_ports"),
        (29, "net.ipv4.tcp_keepalive_time"),
        (29, "net.ipv4.tcp_fin_timeout"),
        (29, "net.ipv4.tcp_keepalive_intvl"),
        (29, "net.ipv4.tcp_keepalive_probes"),
        (32, "net.ipv4.tcp_rmem"),
        (32, "net.ipv4.tcp_wmem"),
    ];
    let set = spec["securityContext"]["sysctls"].as_array().into_iter().flatten().map(name);
    let fine = |wanted: &str| FINE.iter().any(|(since, it)| minor >= *since && *it == wanted);
    let bad: Vec<&str> = set.filter(|it| !fine(it)).collect();
    (!bad.is_empty()).then(|| ("forbidden sysctls", bad.join(", ")))
}

fn host_process(spec: &Value) -> Found {
    let who = setters(spec, |context| context["windowsOptions"]["hostProcess"] == true);
    let who = who.join(" and ");
    let detail = || format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    (!who.is_empty()).then(|| ("hostProcess", detail()))
}

fn escalation(spec: &Value) -> Found {
    let bad = those(spec, |it| it["securityContext"]["allowPrivilegeEscalation"] != false);
    let detail =
        || format!("{} must set securityContext.allowPrivilegeEscalation=false", container_words(&bad));
    (!bad.is_empty()).then(|| ("allowPrivilegeEscalation != false", detail()))
}

fn all_capabilities(spec: &Value) -> Found {
    let drops_all = |it: &Value| {
        it["securityContext"]["capabilities"]["drop"]
            .as_array()
            .is_some_and(|it| it.iter().any(|it| it == "ALL"))
    };
    let (keep, add) =
        (those(spec, |it| !drops_all(it)), those(spec, |it| added(it).any(|it| it != "NET_BIND_SERVICE")));
    let mut details = Vec::new();
    if !keep.is_empty() {
        details
            .push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", container_words(&keep)));
    }
    if !add.is_empty() {
        let which: BTreeSet<&str> =
            containers(spec).flat_map(added).filter(|it| *it != "NET_BIND_SERVICE").collect();
        let words = container_words(&add);
        details
            .push(format!("{words} must not include {} in securityContext.capabilities.add", quote(which)));
    }
    (!details.is_empty()).then(|| ("unrestricted capabilities", details.join("; ")))
}

fn volumes(spec: &Value) -> Found {
    const FINE: &[&str] = &[
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let bad = volumes_with(spec, |it| !FINE.iter().any(|kind| it[*kind].is_object()));
    let kinds: BTreeSet<&str> = bad
        .iter()
        .map(|it| {
            let mut keys = it.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
            keys.find(|key| *key != "name").unwrap_or("unknown")
        })
        .collect();
    (!bad.is_empty()).then(|| {
        let (noun, uses) = (of(bad.len(), "volume", "volumes"), of(bad.len(), "uses", "use"));
        let types = of(kinds.len(), "restricted volume type", "restricted volume types");
        let names = quote(bad.iter().map(|it| name(it)));
        ("restricted volume types", format!("{noun} {names} {uses} {types} {}", quote(kinds)))
    })
}

fn non_root(spec: &Value) -> Found {
    const REASON: &str = "runAsNonRoot != true";
    let who = setters(spec, |context| context["runAsNonRoot"] == false);
    if !who.is_empty() {
        let detail = format!("{} must not set securityContext.runAsNonRoot=false", who.join(" and "));
        return Some((REASON, detail));
    }
    if spec["securityContext"]["runAsNonRoot"] == true {
        return None;
    }
    let silent = those(spec, |it| !it["securityContext"]["runAsNonRoot"].is_boolean());
    let detail = || format!("pod or {} must set securityContext.runAsNonRoot=true", container_words(&silent));
    (!silent.is_empty()).then(|| (REASON, detail()))
}

fn root(spec: &Value) -> Found {
    let who = setters(spec, |context| context["runAsUser"] == 0).join(" and ");
    (!who.is_empty()).then(|| ("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(level: Level, version: Option<u32>, spec: Value) -> String {
        let found = violations(level, version, &json!({ "metadata": {}, "spec": spec }));
        found.iter().map(|(reason, detail)| format!("{reason} ({detail})")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_pod_that_says_nothing_is_fine_for_baseline_and_not_for_restricted() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        assert_eq!(words(Level::Baseline, None, spec.clone()), "");
        assert_eq!(
            words(Level::Restricted, None, spec),
            r#"allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true), seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#
        );
        let good = json!({
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        });
        assert_eq!(words(Level::Restricted, None, good), "");
    }

    #[test]
    fn what_reaches_for_the_host_is_named() {
        let spec = json!({
            "hostNetwork": true, "hostPID": true,
            "securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]},
            "containers": [{"name": "a", "ports": [{"hostPort": 80}], "securityContext": {
                "privileged": true, "capabilities": {"add": ["NET_ADMIN", "CHOWN"]}, "seccompProfile": {"type": "Unconfined"},
            }}],
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        });
        assert_eq!(
            words(Level::Baseline, None, spec.clone()),
            r#"non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add), host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume "v"), hostPort (container "a" uses hostPort 80), privileged (container "a" must not set securityContext.privileged=true), seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined"), forbidden sysctls (kernel.msgmax)"#
        );
        assert!(
            words(Level::Baseline, Some(31), spec.clone()).ends_with("(kernel.msgmax, net.ipv4.tcp_rmem)")
        );
        assert!(
            words(Level::Restricted, None, spec)
                .contains(r#"restricted volume types (volume "v" uses restricted volume type "hostPath")"#)
        );
    }
}
