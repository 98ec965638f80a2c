//! Publishing over ssh: a real `sshd`, a real agent, pinned host keys.

mod support;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use platform_gitops::{Git, History, Published, Remote};
use platform_spec::Failure;
use support::{git, info, tree};

/// Tells the child process where the parent's servers keep their things; see [`over_ssh`].
const FOLDER: &str = "PLATFORM_TEST_SSH_FOLDER";
const PORT: &str = "PLATFORM_TEST_SSH_PORT";

struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn sshd() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("sshd")).find(|program| program.exists())
}

/// Starts both servers, then this same test in a child process that has the agent in its environment: where the agent is
/// can be told to `ssh` in no other way, and a process should not change its own environment.
#[tokio::test]
async fn over_ssh() {
    if let (Ok(folder), Ok(port)) = (std::env::var(FOLDER), std::env::var(PORT)) {
        return publish(Path::new(&folder), &port).await;
    }
    let Some(program) = sshd() else {
        assert!(std::env::var_os("CI").is_none(), "sshd is missing: apt-get install openssh-server");
        #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
        {
            eprintln!("skipped: sshd is missing (apt-get install openssh-server)");
        }
        return;
    };
    let home = tempfile::tempdir().expect("temp folder");
    let at = home.path();
    for name in ["host", "other", "user"] {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at.join(name)));
    }
    let repository = at.join("demo.git");
    git("/", &["init", "--quiet", "--bare", "--initial-branch=main", repository.to_str().expect("text")]);
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/user.pub\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\n",
        at.display()
    );
    std::fs::write(at.join("sshd_config"), config).expect("written");
    // Root's sshd wants this folder, which a package makes at boot; anybody else's does not.
    let _ = std::fs::create_dir_all("/run/sshd");
    let mut server = Command::new(program);
    let server = server.args(["-D", "-e", "-f"]).arg(at.join("sshd_config")).stderr(Stdio::piped());
    let mut servers = Servers(vec![server.spawn().expect("sshd starts")]);
    let mut said = BufReader::new(servers.0[0].stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("Server listening")), "sshd listens");
    std::thread::spawn(move || said.for_each(drop));

    let agent = at.join("agent");
    let mut command = Command::new("ssh-agent");
    let command = command.args(["-D", "-a"]).arg(&agent).stdout(Stdio::piped());
    servers.0.push(command.spawn().expect("ssh-agent starts"));
    // It says where it listens once it does.
    let mut said = BufReader::new(servers.0[1].stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("SSH_AUTH_SOCK")), "ssh-agent listens");
    run(Command::new("ssh-add").arg("-q").arg(at.join("user")).env("SSH_AUTH_SOCK", &agent));

    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "over_ssh", "--nocapture"])
        .env("SSH_AUTH_SOCK", &agent)
        .env(FOLDER, at)
        .env(PORT, port.to_string())
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    assert_eq!(git(repository.to_str().expect("text"), &["log", "--format=%s"]), "render platform demo\n");
}

fn run(command: &mut Command) {
    let output = command.output().expect("starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn publish(at: &Path, port: &str) {
    let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
    let user = String::from_utf8(user).expect("text").trim().to_owned();
    // A space, so that the path in ssh's option needs its quotes.
    let git = Git::find(at.join("wo rk")).await.expect("git is there");
    let attempt = async |repository: &str, key: &str| -> Result<Published, Failure> {
        let line = std::fs::read_to_string(at.join(key)).expect("a public key");
        let remote = Remote {
            known_hosts: Some(format!("[127.0.0.1]:{port} {line}")),
            ..Remote::new(format!("ssh://{user}@127.0.0.1:{port}{}/{repository}", at.display()))
        };
        git.publish(&remote, "main", &tree(&[("a", "1")]), &History::default(), &info()).await
    };
    let code = |result: Result<Published, Failure>| result.expect_err("refused").code.as_str().to_owned();
    assert_eq!(code(attempt("demo.git", "other.pub").await), "P0307", "another host key than the pinned one");
    assert_eq!(code(attempt("nothing.git", "host.pub").await), "P0305");
    assert!(attempt("demo.git", "host.pub").await.expect("published").changed);
    assert!(!attempt("demo.git", "host.pub").await.expect("published").changed);
}
