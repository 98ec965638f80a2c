//! Kubernetes: server-side apply, waits, Argo CD and Velero.
