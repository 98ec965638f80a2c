//! The provider of the sandbox's emulated cloud.
//!
//! It is the reference: whoever writes a provider for a real cloud finds here every duty of the contract, each once.
//!
//! | room | what it holds |
//! |---|---|
//! | `provider` | the contract's verbs |
//! | `graph` | what a cluster is made of: ids, kinds, needs, what each is asked to be |
//! | `wish` | a request read once: configuration, names, tags |
//! | `find` | what is out there: by tag, by name, by attachment |
//! | `life` | heartbeats, and removing what was found by itself |
//! | `ahead` | what preflight looks at |
//! | `client` | login, requests, pages |
//! | `refusal` | refusals, classified once |
//! | [`line`] | how requests travel: HTTPS, or within a process |
//!
//! ```yaml
//! providers:
//!   - name: here
//!     kind: sandbox          # needs no configuration: the sandbox of this state directory
//!     config: {ingressIp: true, bucket: backups, dnsZone: dev.example.test, zones: [local-b]}
//! ```

mod ahead;
mod client;
mod find;
mod graph;
mod life;
pub mod line;
mod provider;
mod refusal;
mod wish;

pub use line::{Connect, Connection, Line, NoAnswer, Place};
pub use provider::Sandbox;
