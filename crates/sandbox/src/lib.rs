//! The sandbox: a Kubernetes API that needs nothing, held to the answers of the real one.
//!
//! | room | what it holds |
//! |---|---|
//! | [`kube`] | the Kubernetes API |

pub mod kube;
