//! A view of the file system that only one test has: a small disk, a folder that cannot be written.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{
    BoxError, Output, World,
    bed::{enter, isolation},
    facts::Isolation,
};

/// A mount namespace of its own, in a world's network.
///
/// # Guarantees
/// Nobody outside sees what is mounted in it, and it is gone when dropped.
pub struct Mounts<'w, 'b> {
    world: &'w World<'b>,
    keeper: Child,
}

/// A command that sees a file system of its own, in which a shell script has mounted something.
///
/// # Errors
/// Where this user can make no such view.
pub fn mounted(command: &Command, mounts: &str) -> Result<Command, BoxError> {
    let mut outer = Command::new("unshare");
    if isolation()? == Isolation::User {
        outer.args(["--user", "--map-root-user"]);
    }
    let script =
        format!("set -e; PATH=/usr/sbin:/usr/bin:/sbin:/bin; {mounts}; PATH=$OWN; unset OWN; exec \"$@\"");
    outer.args(["--mount", "--propagation=private", "sh", "-c", &script, "sh"]);
    outer.arg(command.get_program()).args(command.get_args()).env_clear();
    for (key, value) in command.get_envs() {
        outer.env(key, value.unwrap_or_default());
        if key == "PATH" {
            outer.env("OWN", value.unwrap_or_default());
        }
    }
    // What starts it is found as this process finds it.
    outer.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    Ok(outer)
}

impl<'w, 'b> Mounts<'w, 'b> {
    /// Makes one, and mounts in it what the shell script `mounts` says; `$STATE` is the world's state folder.
    ///
    /// # Panics
    /// When the script fails.
    pub fn new(world: &'w World<'b>, mounts: &str) -> Self {
        let script = format!("set -e; {mounts}; echo ready; exec cat");
        let mut command = world.bed().command("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c", &script]);
        command.env("STATE", world.dir().join("state"));
        let mut keeper =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare is there");
        let mut line = String::new();
        let said = keeper.stdout.as_mut().map(|out| BufReader::new(out).read_line(&mut line));
        assert!(matches!(said, Some(Ok(_))) && line == "ready\n", "{mounts}: {line}");
        Self { world, keeper }
    }

    /// A command that sees what is mounted here, with the environment of [`World::platform_command`]. Paths in its
    /// arguments must be absolute.
    pub fn command<A: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = A>) -> Command {
        let bed = self.world.bed();
        let door = self.keeper.id();
        let mut command = enter(bed.facts().isolation, door, &["--net", "--mount"]);
        command.arg(program).args(args).env_clear();
        command.env("PATH", bed.components().path()).env("LANG", "C.UTF-8");
        command.env("STATE", self.world.dir().join("state")).envs(self.world.environment());
        command
    }

    /// The built `platform`, started here.
    ///
    /// # Panics
    /// When it is not built.
    pub fn platform_command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let program = crate::bed::binary("platform").unwrap_or_else(|trouble| panic!("{trouble}"));
        self.command(&program.display().to_string(), args)
    }

    /// Runs the built `platform` to its end, with its result as JSON.
    pub fn platform<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        Output::of(self.platform_command(args).args(["--output", "json"]))
    }

    /// Runs a shell script to its end.
    pub fn shell(&self, script: &str) -> Output {
        Output::of(&mut self.command("sh", ["-c", script]))
    }
}

impl Drop for Mounts<'_, '_> {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}
