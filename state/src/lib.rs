//! Where runs are remembered: SQLite behind the engine's [`Store`](platform_engine::store::Store).
//!
//! One file, `platform.db`, in a directory that the caller names. The schema holds the invariants (`schema.sql`); the
//! code asks, in one transaction for each call, and says what SQLite answered in words and codes (`P01…`).
//!
//! | room | what it holds |
//! |---|---|
//! | [`Sqlite`] | opening: the directory, the file, its modes, its version |
//! | `lease` | who may write: taking, prolonging, giving back |
//! | `journal` | writing runs and events, and reading a run back in full |
//! | `fold` | what a batch of events says of steps, intents, the ledger and the run |
//! | `read`, `rows` | what screens ask: platforms, runs, steps, ledger, leases, artifacts |
//! | `trouble` | what SQLite refuses, as failures with codes and hints |

mod fold;
mod journal;
mod lease;
mod open;
mod read;
mod rows;
mod store;
mod text;
mod trouble;

pub use open::{FILE, Sqlite};
pub use rows::{Abandoned, Artifact, ArtifactRow, IntentRow, LedgerRow, PlatformRow, RunRow, StepRow};
pub use trouble::unfinished;
