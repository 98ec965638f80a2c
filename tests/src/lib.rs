//! Drives the built binary; the bed of real components.
//!
//! A test that needs a real Kubernetes API server, Argo CD, Velero, Git, S3 or DNS server is five lines:
//!
//! ```no_run
//! use platform_tests::Bed;
//!
//! let Some(world) = Bed::world("up-twice") else { return };
//! world.platform(["up", "--yes"]).ok();
//! let again = world.platform(["up", "--yes"]).ok().json();
//! assert_eq!(again["counts"]["changed"], 0);
//! ```
//!
//! - [`Bed`]: the running components, one network namespace, shared by all tests of a test binary; there is a second one,
//!   on which the sandbox is the control plane ([`Plane`]).
//! - [`World`]: one test's corner of it: its own repository, zone, bucket, home and spec file; tests that have a world
//!   take turns, and each must leave the bed as it found it.
//! - [`Alone`]: the program on the sandbox, without a bed.
//! - [`Started`]: the program while it runs, to be listened to, signalled and killed; [`Mounts`]: a world with a small or
//!   read-only disk.
//! - [`audit`]: what the API server saw.
//! - [`supervisor`]: the process that starts the components and plays the kubelet for Argo CD and Velero.

mod alone;
pub mod audit;
mod bed;
pub mod canary;
pub mod components;
pub mod facts;
mod inventory;
mod mounts;
mod nodes;
mod process;
mod started;
pub mod supervisor;
mod world;

pub use alone::Alone;
pub use bed::{Bed, Output};
pub use facts::{Facts, Plane};
pub use mounts::{Mounts, mounted};
pub use nodes::Nodes;
pub use started::{Started, an_hour_ahead};
pub use world::World;

/// An error of the harness: always a sentence that says what was being done, to which thing.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
