//! The provider for clusters on this machine: `kind` on Docker, Podman or nerdctl.
//!
//! | room | what it holds |
//! |---|---|
//! | [`programs`] | the one door through which programs are started |
//! | `engine` | what is asked of the container engine, and how its answers are read |
//! | `job` | `kind create cluster`, begun and left to itself |
//! | `config`, `wish`, `recipe`, `graph` | what is asked for: names, labels, kind's own configuration, resources |
//! | `standing` | how a control plane stands: a pure function of what was seen |
//! | `archive`, `images` | what nodes have without pulling it |
//! | `cluster`, `parts` | a control plane, and what stands around it: looked at, made, removed |
//! | `store` | the object store beside it, and its keys |
//! | `git` | the Git server beside it |
//! | `kubeconfig`, `splice`, `userfile` | the user's own kubeconfig, if asked for: the entry, the text, the file |
//! | `ailing`, `neighbours` | what helps after a reboot; clusters that reach one another |
//! | `ahead`, `facts` | what preflight finds: pure, and what it is found from |
//! | `provider`, `find`, `life` | the contract's verbs; the inventory; how long a cluster is to live |
//! | `refusal` | what programs refuse, classified |
//!
//! # The programs that are called
//!
//! `ENGINE` is `docker`, `podman` or `nerdctl`. Arguments are as listed, in this order; all answers are read as JSON
//! except where a name stands alone on its line. Nothing else is called, and nothing through a shell. Whoever puts other programs in
//! their place ([`Programs`]) has these to imitate:
//!
//! | arguments | what is read of the answer |
//! |---|---|
//! | `ENGINE info --format {{json .}}` | `ServerVersion`, `NCPU`, `MemTotal`, `CgroupVersion`, `SecurityOptions`, `DockerRootDir`, `ServerErrors` |
//! | `docker context inspect --format {{json .Endpoints.docker.Host}}` | one JSON text: `"unix:///var/run/docker.sock"` |
//! | `ENGINE ps --all --quiet --no-trunc --filter label=K=V …` | one id a line |
//! | `ENGINE inspect --type container ID …` | `Id, Name, Created, State.{Running,Restarting,Status}, Config.{Image,Labels}`, the keys of `NetworkSettings.Networks` |
//! | `ENGINE network ls --quiet --no-trunc --filter label=K=V …` | one id a line |
//! | `ENGINE network inspect NAME-OR-ID …` | `Id`, `Name`, `Created`, `Labels`, `Containers.*.Name` (Podman: in lower case) |
//! | `ENGINE network create --driver bridge --label K=V … NAME` | |
//! | `ENGINE network rm NAME-OR-ID` | |
//! | `ENGINE network connect NAME NODE` | |
//! | `ENGINE network disconnect --force NAME NODE` | |
//! | `ENGINE volume ls --quiet --filter label=K=V …` | one name a line |
//! | `ENGINE volume inspect NAME …` | `Name, CreatedAt, Labels` |
//! | `ENGINE volume create --label K=V … NAME` | one that exists is left as it is |
//! | `ENGINE volume rm NAME …` | |
//! | `ENGINE run --detach --name N --network N --restart unless-stopped --label K=V … [--publish 127.0.0.1:H:C] IMAGE` | |
//! | `ENGINE create --name N --network N --restart unless-stopped --label K=V … --user 0:0 --volume N:/data --entrypoint /bin/sh IMAGE -c SCRIPT sh …` | the id |
//! | `ENGINE create --name N --network N --restart unless-stopped --label K=V … --user U:G --read-only --cap-drop ALL --security-opt no-new-privileges [--security-opt label=disable] --env K=V … --mount type=bind,"source=FOLDER",target=/srv/git,readonly --entrypoint git IMAGE daemon …` | the id |
//! | `ENGINE cp - ID:/` | an archive comes in; nothing goes out |
//! | `ENGINE start ID …` | |
//! | `ENGINE rm --force --volumes ID …` | |
//! | `ENGINE exec NODE kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes,storageclasses -o json` | a `List` of both |
//! | `ENGINE exec STORE wget -q -O /dev/null URL` | only whether it ends well |
//! | `ENGINE exec STORE cat /platform-keys` | two lines |
//! | `ENGINE exec GIT git ls-remote git://127.0.0.1/platform-asks` | whether a server refuses it: `remote error` |
//! | `ENGINE exec NODE kubectl --kubeconfig /etc/kubernetes/admin.conf wait --for=condition=Ready node --all --timeout=5s -o json` | the nodes, one document after another |
//! | `ENGINE exec NODE crictl images --output json` | `images[].{id,repoTags,repoDigests}` |
//! | `kind version --quiet` | `0.33.0` |
//! | `kind create cluster --name N --config FILE --kubeconfig FILE` | see below |
//! | `kind get kubeconfig --name N` | YAML |
//! | `kind load docker-image --name N IMAGE …` | |
//! | `kind load image-archive --name N FILE …` | |
//!
//! What is not there is said by the engine with exit code 1 and `No such …` on stderr (any case, also `not found`); of several that are
//! inspected, those that are there are answered all the same. `kind` gets `KIND_EXPERIMENTAL_PROVIDER` (the engine's name)
//! and `KIND_EXPERIMENTAL_DOCKER_NETWORK` or `…_PODMAN_NETWORK` (the cluster's network) in its environment; the
//! configuration file holds everything else, also the nodes' image. It labels the containers of nodes with `io.x-k8s.kind.cluster=N` and
//! `io.x-k8s.kind.role=control-plane|worker|external-load-balancer` and calls them `N-control-plane`, `N-worker`, `N-worker2`, …;
//! only when all is done it writes the file of `--kubeconfig`. It writes what it does to stdout and stderr, which are one file, and ends with
//! a line `ERROR: …` when it fails.
//!
//! # Exactly one cluster
//!
//! `kind create cluster` takes half a minute and cannot label its nodes. So `ensure` does this, and every part of it may be
//! the last thing that this process does:
//!
//! 1. It takes a lock: `flock` on the log of the cluster's job, in the provider's folder.
//! 2. It looks again. What a dead attempt has left is removed.
//! 3. It makes the *mark*: a volume with the cluster's labels, the digest of kind's configuration, and who makes it.
//! 4. It starts `kind create cluster` in a process group of its own, with the locked file as its stdout and stderr: the
//!    kernel keeps the lock as long as `kind` lives, whoever else dies, and drops it with `kind`.
//!
//! Whoever looks later knows from the lock whether `kind` is still at work, from the mark whose the nodes are, and from the
//! kubeconfig that `kind` writes last whether it ended well. Nodes without our mark are never touched. What could have been finished once
//! is never removed by itself: only an attempt of which this folder knows that it ended too early.

mod ahead;
mod ailing;
mod archive;
mod cluster;
mod config;
mod engine;
mod facts;
mod find;
mod git;
mod graph;
mod images;
mod job;
mod kubeconfig;
mod life;
mod neighbours;
mod parts;
pub mod programs;
mod provider;
mod recipe;
mod refusal;
mod splice;
mod standing;
mod store;
mod userfile;
mod wish;

pub use programs::{ENGINES, Programs};
pub use provider::Kind;
