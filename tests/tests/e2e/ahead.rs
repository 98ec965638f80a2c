//! What the provider `kind` finds before anything is changed: the real program beside programs `docker` and `kind` on its
//! PATH that the sandbox plays, on this machine as it is, or as mounts make it look.

use std::{net::TcpListener, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use platform_tests::{Alone, Output, mounted};
use serde_json::Value;

use crate::platform::refused;

/// A small platform on kind, with one port of this machine.
const SPEC: &str = r#"
apiVersion: platform.dev/v1alpha1
kind: Platform
metadata: {name: small, owner: platform-team, costCenter: DEMO-01}
spec:
  blueprint: {name: starter, version: 1.0.0}
  git:
    server: {kind: local, url: "file://DIR/git", inClusterUrl: "http://git.example"}
    repositories: [{name: platform, role: platform, defaultBranch: main}]
  environments:
    - {name: dev, order: 1, autoSync: true, selfHeal: true, soak: 168h}
    - {name: prod, order: 2, autoSync: true, selfHeal: true, approvals: 1}
  providers: [{name: here, kind: kind, config: {portMappings: [{hostPort: PORT, containerPort: 30080}]}}]
  clusters: [{name: one, provider: here, role: management, environments: [dev, prod]}]
  argocd: {version: 3.5.7}
  contracts: {ingressClass: nginx, storageClass: standard}
  apps:
    - name: hello
      source: {repo: platform, path: "apps/hello/overlays/{env}", type: kustomize}
      host: "hello{-env}.example.com"
      port: 8080
"#;

/// Something that is wrong, and what is to be said of it.
struct Trouble {
    /// Rules of the sandbox's fault script; `DIR` is the test's folder.
    rules: &'static str,
    /// What is mounted for the program; `$DIR` is the test's folder.
    mounts: &'static str,
    /// Programs that there are not.
    without: &'static [&'static str],
    /// A container that somebody else has made, by its name and its labels.
    stranger: &'static [&'static str],
    /// Whether somebody listens on the port.
    taken: bool,
    code: &'static str,
    class: &'static str,
    /// The command that helps.
    command: &'static str,
    /// What shows that it was really this.
    words: &'static str,
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        without: &["docker"],
        code: "P1001",
        class: "config",
        command: "platform up --provider kind --sandbox",
        words: "could not start `docker`",
        ..NONE
    },
    Trouble {
        rules: "{service: docker, do: {error: 503}}",
        code: "P1001",
        class: "retryable",
        command: "sudo systemctl start docker",
        words: "Cannot connect to the Docker daemon",
        ..NONE
    },
    Trouble {
        rules: "{service: docker, do: {error: 403}}",
        code: "P1002",
        class: "forbidden",
        command: "sudo usermod -aG docker",
        words: "permission denied",
        ..NONE
    },
    Trouble {
        without: &["kind"],
        code: "P1003",
        class: "config",
        command: "go install sigs.k8s.io/kind@latest",
        words: "could not start `kind`",
        ..NONE
    },
    Trouble {
        rules: "{service: kind, operation: version, do: {machine: {version: 0.23.0}}}",
        code: "P1003",
        class: "config",
        command: "go install sigs.k8s.io/kind@latest",
        words: "kind is 0.23.0, and 0.24 is the oldest that will do",
        ..NONE
    },
    Trouble {
        rules: "{service: docker, do: {machine: {version: 19.03.15}}}",
        code: "P1001",
        class: "config",
        command: "https://docs.docker.com/engine/install",
        words: "the Docker engine is 19.03.15",
        ..NONE
    },
    Trouble {
        rules: "{service: docker, do: {machine: {rootless: true, cgroup: 1}}}",
        code: "P1010",
        class: "config",
        command: "systemd.unified_cgroup_hierarchy=1",
        words: "needs cgroup v2",
        ..NONE
    },
    Trouble {
        stranger: &["small-one-control-plane", "io.x-k8s.kind.cluster=small-one"],
        code: "P1005",
        class: "config",
        command: "kind delete cluster --name small-one",
        words: "`small-one-control-plane` was not made by this program",
        ..NONE
    },
    Trouble {
        taken: true,
        code: "P1006",
        class: "config",
        command: "ss -ltnp",
        words: "somebody listens on port",
        ..NONE
    },
    Trouble {
        rules: "{service: docker, do: {machine: {memory_mib: 1024}}}",
        code: "P1007",
        class: "capacity",
        command: "ps aux --sort -rss",
        words: "need 1536 MiB of memory, and 1024 MiB are free",
        ..NONE
    },
    Trouble {
        mounts: "sed 's/^MemAvailable:.*/MemAvailable:     819200 kB/' /proc/meminfo >$DIR/meminfo; mount --bind $DIR/meminfo /proc/meminfo",
        code: "P1007",
        class: "capacity",
        command: "ps aux --sort -rss",
        words: "need 1536 MiB of memory, and 800 MiB are free",
        ..NONE
    },
    Trouble {
        rules: "{service: docker, do: {machine: {root: DIR/engine}}}",
        mounts: "mkdir -p $DIR/engine; mount -t tmpfs -o size=64m tmpfs $DIR/engine",
        code: "P1008",
        class: "capacity",
        command: "docker system prune",
        words: "has 64 MiB of room below",
        ..NONE
    },
    Trouble {
        mounts: "echo 16 >$DIR/few; mount --bind $DIR/few /proc/sys/fs/inotify/max_user_instances",
        code: "P1009",
        class: "config",
        command: "sudo sysctl fs.inotify.max_user_instances=512",
        words: "16 inotify instances",
        ..NONE
    },
    Trouble {
        mounts: "echo 4096 >$DIR/few; mount --bind $DIR/few /proc/sys/fs/inotify/max_user_watches",
        code: "P1009",
        class: "config",
        command: "fs.inotify.max_user_watches=524288",
        words: "4096 watches are too few",
        ..NONE
    },
];

const NONE: Trouble = Trouble {
    rules: "",
    mounts: "",
    without: &[],
    stranger: &[],
    taken: false,
    code: "",
    class: "",
    command: "",
    words: "",
};

/// A machine with programs of its own.
struct Machine {
    home: Alone,
    port: u16,
}

impl Machine {
    fn new() -> Self {
        let home = Alone::new();
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).expect("a port");
        let text = SPEC.replace("DIR", &home.dir().display().to_string());
        let text = text.replace("PORT", &free.port().to_string());
        fs_err::write(home.dir().join("platform.yaml"), text).expect("written");
        home.platform(["sandbox", "start"]).ok();
        Self { home, port: free.port() }
    }

    fn programs(&self) -> PathBuf {
        self.home.dir().join("programs")
    }

    /// Puts `git`, `docker` and `kind` onto the PATH, but for some.
    fn equip(&self, without: &[&str]) {
        let folder = self.programs();
        // The first time there is none.
        drop(fs_err::remove_dir_all(&folder));
        fs_err::create_dir(&folder).expect("a folder");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let git = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|file| file.exists());
        fs_err::os::unix::fs::symlink(git.expect("git is there"), folder.join("git")).expect("a link");
        let platform = Alone::program("platform");
        for name in ["docker", "kind"].iter().filter(|name| !without.contains(name)) {
            let text = format!("#!/bin/sh\nexec '{}' sandbox play {name} -- \"$@\"\n", platform.display());
            let file = folder.join(name);
            fs_err::write(&file, text).expect("written");
            fs_err::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("a program");
        }
    }

    fn faults(&self, rules: &str) {
        let file = self.home.dir().join("faults.yaml");
        let rules = rules.replace("DIR", &self.home.dir().display().to_string());
        fs_err::write(&file, format!("faults: [{rules}]\n")).expect("written");
        self.home.platform(["sandbox", "faults", &file.display().to_string()]).ok();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command.env("PATH", self.programs());
        command
    }

    fn docker(&self, words: &[&str]) -> Output {
        let words = ["sandbox", "play", "docker", "--"].iter().chain(words);
        let mut command = self.home.command::<&str>([]);
        Output::of(command.args(words)).ok()
    }

    /// Everything that there is at the engine, with when it was made.
    fn there(&self) -> Vec<String> {
        let lists: [&[&str]; 3] = [
            &["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"],
            &["network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}"],
            &["volume", "ls", "--quiet"],
        ];
        lists
            .iter()
            .flat_map(|words| self.docker(words).stdout.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    fn runs(&self) -> Value {
        self.home.platform(["runs"]).ok().json()["runs"].clone()
    }
}

#[test]
fn each_trouble_is_found_before_anything_is_changed_with_the_command_that_helps() {
    let machine = Machine::new();
    for trouble in TROUBLES {
        let Trouble { code, class, command, words, .. } = *trouble;
        machine.equip(trouble.without);
        machine.faults(trouble.rules);
        if let [name, label] = trouble.stranger {
            machine.docker(&["create", "--name", name, "--label", label, "kindest/node:v1", "/sleep"]);
        }
        let listener =
            trouble.taken.then(|| TcpListener::bind(("127.0.0.1", machine.port)).expect("it is free"));
        let mut up = machine.command(&["up", "--yes"]);
        up.env("DIR", machine.home.dir());
        if !trouble.mounts.is_empty() {
            up = mounted(&up, trouble.mounts).expect("namespaces can be made here");
        }
        let before = machine.home.changes();
        let said = Output::of(&mut up);
        machine.faults("");
        let error = refused(said, 1, code, class)["error"].clone();
        let (hints, causes) = (error["hints"].to_string(), error["causes"].to_string());
        assert!(hints.contains(command), "`{command}` is none of the hints: {error:#}");
        assert!(causes.contains(words), "`{words}` is none of the causes: {error:#}");
        assert!(
            error["causes"].as_array().is_some_and(|causes| causes.len() == 1),
            "only one is wrong: {error:#}"
        );
        assert_eq!(machine.home.changes(), before, "{code}: something was changed at the engine");
        assert_eq!(machine.runs(), serde_json::json!([]), "{code}: a run was begun");
        drop(listener);
        if let [name, ..] = trouble.stranger {
            machine.docker(&["rm", name]);
        }
    }
    machine.equip(&[]);
    assert_eq!(machine.there().len(), 3, "the engine's own networks: {:?}", machine.there());
    // Nothing else is wrong, so each of them was the reason.
    let plan = Output::of(&mut machine.command(&["plan"])).json();
    let left = plan["findings"].as_array().into_iter().flatten().filter(|it| it["severity"] == "error");
    assert_eq!(left.count(), 0, "{plan:#}");
    assert!(plan["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{plan:#}");
}
