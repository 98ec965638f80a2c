//! The bed of real components, for people: `./dev bed up`, `./dev bed env`, `./dev bed exec -- kubectl get pods -A`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::{env, os::unix::process::CommandExt, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use platform_tests::{Bed, BoxError, Plane, World, supervisor};

/// Starts, enters and ends a bed of real components: Kubernetes, Argo CD, Velero, Git, S3, DNS
#[derive(Parser)]
struct Args {
    /// Folder of the bed
    #[arg(long, global = true, env = "PLATFORM_BED")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start the bed in the background
    Up {
        /// With the sandbox in place of a real control plane and a real object store
        #[arg(long)]
        sandbox: bool,
    },
    /// End it and remove everything
    Down,
    /// Print the environment of a shell that works with the bed: `eval "$(platform-bed env)"`
    Env,
    /// Run a command inside the bed's network, with that environment
    Exec {
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Bring the starter platform up on the bed with the built `platform`, and say how to look at it
    Starter,
    /// The bed itself; started by `up` and by tests
    #[command(hide = true)]
    Supervise {
        dir: PathBuf,
        /// End when standard input ends
        #[arg(long)]
        lifeline: bool,
        /// Leave the folder behind
        #[arg(long)]
        keep: bool,
    },
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(trouble) => {
            eprintln!("bed: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode, BoxError> {
    let dir =
        args.dir.unwrap_or_else(|| env::temp_dir().join(format!("platform-bed.{}", nix::unistd::getuid())));
    match args.command {
        Verb::Supervise { dir, lifeline, keep } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let outcome = runtime.block_on(supervisor::supervise(&dir, lifeline, keep));
            runtime.shutdown_background(); // a read of standard input may hang on
            outcome?;
        }
        Verb::Up { sandbox } => {
            if Bed::attach(&dir).is_ok() {
                println!("the bed in {} is up", dir.display());
                return Ok(ExitCode::SUCCESS);
            }
            Bed::end(&dir)?;
            let bed = Bed::start_detached(&dir, if sandbox { Plane::Sandbox } else { Plane::Real })?;
            World::of_people(&bed)?;
            println!("the bed is up in {}; look around with", dir.display());
            println!("  ./dev bed exec -- kubectl get nodes\n  ./dev bed down");
        }
        Verb::Down => Bed::end(&dir)?,
        Verb::Env => {
            let bed = Bed::attach(&dir)?;
            for (name, value) in World::of_people(&bed)?.shell_environment() {
                println!("export {name}='{}'", value.replace('\'', r"'\''"));
            }
        }
        Verb::Exec { command } => {
            let bed = Bed::attach(&dir)?;
            let world = World::of_people(&bed)?;
            let (program, rest) = command.split_first().ok_or("no command")?;
            let mut inside = bed.command_as_is(program);
            return Err(inside.args(rest).envs(world.shell_environment()).exec().into());
        }
        Verb::Starter => {
            let bed = Bed::attach(&dir)?;
            let world = World::of_people(&bed)?;
            let mut up = bed.command_as_is("platform");
            up.args(["up", "--yes", "--file"]).arg(world.spec()).envs(world.shell_environment());
            let status = up.status()?;
            if !status.success() {
                return Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)));
            }
            println!("the starter platform is up; look at it with");
            println!("  ./dev bed exec -- kubectl -n argocd get applications");
            println!("  ./dev bed exec -- velero backup get");
            println!("  ./dev bed exec -- dig @127.0.0.1 AXFR {}", world.zone());
            println!("and remove it and the bed with\n  ./dev down");
        }
    }
    Ok(ExitCode::SUCCESS)
}
