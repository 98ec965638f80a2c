//! End-to-end tests on the bed of real components. One binary, so that one bed serves them all.

mod ahead;
mod aside;
mod bed;
mod kind;
mod kube;
mod kubelet;
mod nightly;
mod platform;
mod sandbox_behaviours;
mod sandbox_conformance;
mod sandbox_dns;
mod sandbox_faults;
mod sandbox_kind;
mod sandbox_kubectl;
mod sandbox_locks;
mod sandbox_merge;
mod sandbox_real;
mod sandbox_s3;
