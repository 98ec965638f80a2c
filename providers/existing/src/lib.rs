//! The provider for clusters that exist already: it looks at them, adopts them, and never makes, changes or deletes one.
//!
//! The spec names a kubeconfig by its handle:
//!
//! ```yaml
//! providers:
//!   - name: mine
//!     kind: existing
//!     config: {kubeconfigRef: "file:~/.kube/config", context: staging}   # or credentialsRef instead of kubeconfigRef
//! ```
//!
//! | room | what it holds |
//! |---|---|
//! | `provider` | the contract's verbs |
//! | `kubeconfig` | choosing a context, checking it, making it self-contained |
//! | `credential` | certificates and their end, tokens, `exec` programs |
//! | `api` | the two questions asked of the Kubernetes API, and its refusals classified |

mod api;
mod credential;
mod kubeconfig;
mod provider;

pub use provider::Existing;
