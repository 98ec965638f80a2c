//! A cloud in memory, and a provider for it.
//!
//! [`MemoryCloud`] is the outside: clone it, or keep it in a file, and it outlives every "process" that uses it.
//! [`MemoryProvider`] is the provider and remembers nothing, like any other. [`Fault`] is what goes wrong.
//!
//! The cloud is strict where real ones are: names are not unique, so that only the client token or a look by tags keeps
//! a repeated call from making a second thing; what is being made cannot be removed; what is used cannot be removed.

mod acts;
mod cloud;
mod lives;
mod provider;

pub use platform_provider::conformance::fault::{At, Fault, Verb, What};

pub use cloud::{CallRecord, MemoryCloud, Object, Pace, Phase};
pub use provider::MemoryProvider;
