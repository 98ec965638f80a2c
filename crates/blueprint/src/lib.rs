//! Renders a blueprint into the trees of GitOps repositories.
