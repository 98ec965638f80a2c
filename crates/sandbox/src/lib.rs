//! The sandbox: a Kubernetes API that needs nothing, held to the answers of the real one.
//!
//! | room | what it holds |
//! |---|---|
//! | [`kube`] | the Kubernetes API |
//! | [`play`] | controllers on it |
//! | [`world`] | all of it together, in virtual or in real time |
//! | [`process`] | a world as a background process |
//! | [`cloud`] | the sandbox's own emulated cloud |
//! | [`containers`] | a container engine and `kind`, played |
//! | [`s3`] | an object store |
//! | [`zone`] | DNS zones |
//! | [`keep`] | what outlives the process |
//! | [`parts`] | what every emulator is built from: faults, transitions, call log, ids, tags, pages |

pub mod cloud;
pub mod containers;
pub mod keep;
pub mod kube;
pub mod parts;
pub mod play;
pub mod process;
pub mod s3;
pub mod world;
pub mod zone;
