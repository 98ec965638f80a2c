//! Words that a provider says while a call is running: "3 of 5 nodes have joined".
//!
//! For people who watch, never for deciding, and never stored. They reach whoever called, through a child process too.

use std::{future::Future, sync::Arc};

/// Takes the words.
pub type Listener = Arc<dyn Fn(&str) + Send + Sync>;

tokio::task_local! {
    static LISTENER: Listener;
}

/// Says something about the call that is running. No secrets. Without a listener it is a trace line.
pub fn say(words: &str) {
    if LISTENER.try_with(|listener| listener(words)).is_err() {
        tracing::debug!(target: "platform::provider", "{words}");
    }
}

/// Runs a call and hands what it says to `listener`.
pub async fn listen<F: Future>(listener: Listener, call: F) -> F::Output {
    LISTENER.scope(listener, call).await
}

/// The listener of the running call, for handing it to another task.
pub(crate) fn current() -> Option<Listener> {
    LISTENER.try_with(Arc::clone).ok()
}
