//! End-to-end tests on the bed of real components. One binary, so that one bed serves them all.

mod aside;
mod bed;
mod kube;
mod kubelet;
mod platform;
mod sandbox_behaviours;
mod sandbox_dns;
mod sandbox_kubectl;
mod sandbox_merge;
mod sandbox_s3;
