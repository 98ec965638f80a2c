//! A bed from outside: started, entered, asked.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    BoxError, World,
    components::Components,
    facts::{Facts, Isolation, Plane},
    inventory::Inventory,
};

/// Names a running bed (its folder) for tests to use instead of one of their own: `platform-bed up` prints it.
pub const BED_VARIABLE: &str = "PLATFORM_BED";
/// With this set, a bed leaves its folder behind, logs and all.
const KEEP_VARIABLE: &str = "PLATFORM_BED_KEEP";
/// Beds begin with this, below the system's temporary folder.
const PREFIX: &str = "platform-bed-";
/// Tests that have a [`World`] take turns, on whichever bed: two platforms coming up at once would outlast each other's
/// patience on a small machine.
static TURN: Mutex<()> = Mutex::new(());

/// The running components, in a network namespace of their own.
///
/// # Guarantees
/// Everything a bed started ends with the process that started it, also when that is killed, and its folder goes
/// away. Beds never see one another. One that was found by [`BED_VARIABLE`] stays.
pub struct Bed {
    facts: Facts,
    components: Components,
    /// A process in the bed's network namespace; its number is how we enter.
    door: u32,
    /// What the bed held when it was new.
    baseline: Inventory,
    /// Closing this ends the bed.
    _lifeline: Option<ChildStdin>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; -1 when a signal ended it.
    pub status: i32,
    /// What it wrote for programs.
    pub stdout: String,
    /// What it wrote for people.
    pub stderr: String,
}

impl Output {
    /// Runs `command` to its end, without input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Self {
        let out = command.stdin(Stdio::null()).output();
        let out = out.unwrap_or_else(|cause| panic!("{:?} did not start: {cause}", command.get_program()));
        Self {
            status: out.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    }

    /// Itself, when the command succeeded.
    ///
    /// # Panics
    /// With everything the command wrote, when it did not.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Itself, when the command ended with exit code `code`.
    ///
    /// # Panics
    /// With everything the command wrote, when it did not.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let Self { status, stdout, stderr } = &self;
        assert_eq!(*status, code, "exit code\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }

    /// The one JSON document on standard output.
    ///
    /// # Panics
    /// With everything the command wrote, when that is no JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|cause| {
            panic!("no JSON ({cause})\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
        })
    }
}

impl Bed {
    /// The bed of this test binary, started by the first test that asks; nothing (and a line on stderr that says
    /// why) where the machine lacks a component.
    ///
    /// # Panics
    /// When components are missing and `CI=true`, or when the bed does not start.
    pub fn shared() -> Option<&'static Self> {
        static BED: OnceLock<Option<Bed>> = OnceLock::new();
        Self::once(&BED, Plane::Real)
    }

    /// As [`Bed::shared`], of the bed on which the sandbox is the control plane and the object store.
    ///
    /// # Panics
    /// As [`Bed::shared`].
    pub fn on_sandbox() -> Option<&'static Self> {
        static BED: OnceLock<Option<Bed>> = OnceLock::new();
        Self::once(&BED, Plane::Sandbox)
    }

    fn once(bed: &'static OnceLock<Option<Self>>, plane: Plane) -> Option<&'static Self> {
        bed.get_or_init(|| match possible() {
            Ok(()) => {
                Some(Self::start_or_attach(plane).unwrap_or_else(|trouble| panic!("the bed: {trouble}")))
            }
            Err(missing) if env::var("CI").is_ok_and(|ci| ci == "true") => panic!("the bed: {missing}"),
            Err(missing) => {
                // past the capture of the test harness: a skipped test should be seen
                drop(writeln!(std::io::stderr(), "skipped: no bed of real components: {missing}"));
                None
            }
        })
        .as_ref()
    }

    /// One test's corner of the shared bed; see [`World`]. Waits for the test whose turn it is.
    ///
    /// # Panics
    /// As [`Bed::shared`], and when the bed cannot be cleaned of what an earlier test left.
    pub fn world(name: &str) -> Option<World<'static>> {
        Self::shared()
            .map(|bed| World::new(bed, name).unwrap_or_else(|trouble| panic!("world {name}: {trouble}")))
    }

    /// As [`Bed::world`], on [`Bed::on_sandbox`].
    ///
    /// # Panics
    /// As [`Bed::world`].
    pub fn world_on_sandbox(name: &str) -> Option<World<'static>> {
        Self::on_sandbox()
            .map(|bed| World::new(bed, name).unwrap_or_else(|trouble| panic!("world {name}: {trouble}")))
    }

    /// As [`Bed::world`] for a test that has nothing to do with the cluster, at the same time as others.
    ///
    /// # Panics
    /// As [`Bed::shared`].
    pub fn world_aside(name: &str) -> Option<World<'static>> {
        Self::shared()
            .map(|bed| World::aside(bed, name).unwrap_or_else(|trouble| panic!("world {name}: {trouble}")))
    }

    fn start_or_attach(plane: Plane) -> Result<Self, BoxError> {
        if let Some(dir) = env::var_os(BED_VARIABLE) {
            let bed = Self::attach(Path::new(&dir))?;
            if bed.facts.plane == plane {
                return Ok(bed);
            }
        }
        Self::start(plane)
    }

    /// Starts a bed that ends with this process.
    pub fn start(plane: Plane) -> Result<Self, BoxError> {
        remove_forsaken();
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir()?.keep();
        let (mut child, facts) = spawn(&dir, plane, true)?;
        let lifeline = child.stdin.take();
        let door = child.id();
        wait_ready(&mut child, &dir)?;
        Self::open(facts, door, lifeline)
    }

    /// Starts a bed in `dir` that outlives this process, until [`Bed::end`].
    pub fn start_detached(dir: &Path, plane: Plane) -> Result<Self, BoxError> {
        fs_err::create_dir_all(dir)?;
        fs_err::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let (mut child, facts) = spawn(dir, plane, false)?;
        let door = child.id();
        wait_ready(&mut child, dir)?;
        fs_err::write(dir.join("door"), door.to_string())?;
        Self::open(facts, door, None)
    }

    /// The bed that runs in `dir`.
    ///
    /// # Errors
    /// When none does.
    pub fn attach(dir: &Path) -> Result<Self, BoxError> {
        let none = || format!("no bed runs in {}", dir.display());
        let door: u32 = fs_err::read_to_string(dir.join("door")).map_err(|_| none())?.trim().parse()?;
        if !is_held(dir) {
            return Err(none().into());
        }
        Self::open(Facts::read(dir)?, door, None)
    }

    /// Ends the bed that runs in `dir`, if one does, and removes the folder.
    pub fn end(dir: &Path) -> Result<(), BoxError> {
        if is_held(dir) {
            let door: i32 = fs_err::read_to_string(dir.join("door"))?.trim().parse()?;
            // `unshare --kill-child` takes its child along, and that is process 1 of a namespace: all of it goes
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(door), nix::sys::signal::Signal::SIGKILL)?;
            File::open(dir.join("lock"))?.lock()?;
        }
        match fs_err::remove_dir_all(dir) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(cause.into()),
            _ => Ok(()),
        }
    }

    fn open(facts: Facts, door: u32, lifeline: Option<ChildStdin>) -> Result<Self, BoxError> {
        let components = Components::find()?;
        let mut bed = Self { facts, components, door, baseline: Inventory::default(), _lifeline: lifeline };
        let file = bed.facts.dir.join("baseline.json");
        bed.baseline = match fs_err::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(_) => {
                let baseline = Inventory::take(&bed)?;
                fs_err::write(&file, serde_json::to_vec(&baseline)?)?;
                baseline
            }
        };
        Ok(bed)
    }

    /// Its folder, addresses and secrets.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The real components' binaries and files.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// What the bed held when it was new.
    pub(crate) fn baseline(&self) -> &Inventory {
        &self.baseline
    }

    /// Waits for the turn of a test that wants the cluster for itself.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        // a test that failed while it had its turn has poisoned the lock; the next one cleans up after it
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command inside the bed's network, with an empty environment but for `PATH` and `LANG`.
    ///
    /// The process that is started is the program itself, so killing it kills the program.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command_as_is(program);
        command.env_clear().env("PATH", self.components.path()).env("LANG", "C.UTF-8");
        command
    }

    /// A command inside the bed's network with the environment of this process: for people.
    pub fn command_as_is(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = enter(self.facts.isolation, self.door, &["--net"]);
        command.arg(program);
        command
    }

    /// Runs kubectl as the harness (not as the program: the audit log tells them apart).
    pub fn kubectl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        let mut command = self.command("kubectl");
        Output::of(
            command
                .args(args)
                .env("KUBECONFIG", self.facts.own_kubeconfig())
                .env("HOME", self.facts.dir.join("home")),
        )
    }

    /// What kubectl says in JSON, for instance `["get", "nodes"]`.
    ///
    /// # Panics
    /// When kubectl fails.
    #[track_caller]
    pub fn kubectl_json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> serde_json::Value {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).chain(["-o".into(), "json".into()]);
        self.kubectl(args).ok().json()
    }
}

/// The binary `name` beside the test binaries.
///
/// # Errors
/// When it is not built: `cargo test -p platform-tests` does not build binaries of other packages.
pub(crate) fn binary(name: &str) -> Result<PathBuf, BoxError> {
    let own = env::current_exe()?;
    let dir =
        own.ancestors().skip(1).find(|dir| !dir.ends_with("deps")).ok_or("a binary lies in a folder")?;
    let path = dir.join(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{name} is not built; run `just build` (cargo build -p platform-cli -p platform-tests)")
            .into())
    }
}

/// The rest of a command that runs in namespaces of process `door`: `["--net"]`.
pub(crate) fn enter(isolation: Isolation, door: u32, namespaces: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/nsenter");
    command.arg(format!("--target={door}"));
    if isolation == Isolation::User {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.args(namespaces).arg("--");
    command
}

/// Whether a bed can be made on this machine, or why not.
fn possible() -> Result<(), String> {
    Components::find()?;
    isolation().map(drop).map_err(|trouble| trouble.to_string())
}

/// How namespaces can be made here.
pub(crate) fn isolation() -> Result<Isolation, BoxError> {
    for isolation in [Isolation::Root, Isolation::User] {
        let tried = unshare(isolation).arg("true").output()?;
        if tried.status.success() {
            return Ok(isolation);
        }
    }
    Err("no network namespace can be made: run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)".into())
}

fn unshare(isolation: Isolation) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    if isolation == Isolation::User {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--pid", "--mount", "--propagation=private", "--fork", "--kill-child", "--"]);
    command
}

/// Gives the bed a `/tmp` of its own, in which its folder stands where it stands outside, and then becomes the program
/// that follows: Argo CD's repo-server has a socket there whose path cannot be chosen, and the beds of a machine would
/// take it from one another.
const OWN_TMP: &str = r#"
set -e
own="$1/own-tmp"
mkdir -p "$own"
case "$1" in
  /tmp/*)
    mkdir -p "$own${1#/tmp}"
    mount --bind "$1" "$own${1#/tmp}"
    ;;
esac
mount --rbind "$own" /tmp
shift
exec "$@"
"#;

/// Starts the supervisor in namespaces of its own.
fn spawn(dir: &Path, plane: Plane, lifeline: bool) -> Result<(Child, Facts), BoxError> {
    use std::os::unix::process::CommandExt;
    let isolation = isolation()?;
    let facts = Facts::create(dir, isolation, plane)?;
    fs_err::create_dir_all(dir.join("log"))?;
    let mut command = unshare(isolation);
    command.args(["sh", "-c", OWN_TMP, "sh"]).arg(dir);
    command.arg(binary("platform-bed")?).arg("supervise").arg(dir);
    if lifeline {
        command.arg("--lifeline");
    }
    if env::var_os(KEEP_VARIABLE).is_some() {
        command.arg("--keep");
    }
    command
        .process_group(0) // Ctrl-C is for the tests; the bed hears of it by its lifeline
        .stdin(if lifeline { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(File::create(dir.join("log/supervisor.log"))?);
    Ok((command.spawn()?, facts))
}

fn wait_ready(child: &mut Child, dir: &Path) -> Result<(), BoxError> {
    let stdout = child.stdout.take().ok_or("the supervisor has no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    match line.trim_end() {
        "ready" => Ok(()),
        "" => {
            let log = fs_err::read_to_string(dir.join("log/supervisor.log")).unwrap_or_default();
            Err(format!("the supervisor ended without a word: {log}").into())
        }
        trouble => Err(trouble.trim_start_matches("failed ").replace('\u{1f}', "\n").into()),
    }
}

/// Whether a supervisor lives in `dir`.
fn is_held(dir: &Path) -> bool {
    File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

/// Removes the folders of beds whose supervisor was killed before it could.
fn remove_forsaken() {
    let Ok(entries) = fs_err::read_dir(env::temp_dir()) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let age = entry
            .metadata()
            .and_then(|data| data.modified())
            .map(|time| SystemTime::now().duration_since(time));
        let new = !matches!(age, Ok(Ok(age)) if age > Duration::from_secs(120)); // may not have its lock yet
        if !new && !is_held(&entry.path()) && entry.path().join("lock").exists() {
            drop(fs_err::remove_dir_all(entry.path())); // another user's, or another test was faster
        }
    }
}
