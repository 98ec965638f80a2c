//! How signals stop a running engine.

pub use platform_engine::local::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A [`Stop`] that follows the signals of this process: the first SIGINT or SIGTERM stops gently, the second at once.
/// Both leave a resumable run.
///
/// `told` is called with the count of each signal, so that a person hears what it does. From this call on the process
/// no longer dies of these signals. Must be called within a tokio runtime.
///
/// # Errors
/// The operating system refused to install a handler.
pub fn on_signals(told: impl Fn(u32) + Send + 'static) -> std::io::Result<Stop> {
    let stop = Stop::default();
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    tokio::spawn(follow(stop.clone(), interrupt, terminate, told));
    Ok(stop)
}

async fn follow(stop: Stop, mut interrupt: Signal, mut terminate: Signal, told: impl Fn(u32)) {
    let mut count: u32 = 0;
    loop {
        let more = tokio::select! {
            more = interrupt.recv() => more,
            more = terminate.recv() => more,
        };
        if more.is_none() {
            return;
        }
        count = count.saturating_add(1);
        told(count);
        stop.gently.cancel();
        if count > 1 {
            stop.now.cancel();
        }
    }
}
