//! Argo CD in virtual time, on repositories in memory. Workloads are ready at once: a double plays their controllers.

mod stage;

mod sets;
mod starter;
mod syncing;
