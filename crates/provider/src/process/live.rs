//! A pair of streams with a plugin at the other end: calls go out, replies find their calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use platform_spec::{Class, Code, Failure};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{mpsc, oneshot},
};

use super::{
    lines,
    wire::{FromPlugin, ToPlugin},
};
use crate::progress;

/// A running plugin, or whoever talks like one.
pub(super) struct Live {
    calls_out: mpsc::UnboundedSender<Vec<u8>>,
    pub next_id: AtomicU64,
    under_way: Mutex<UnderWay>,
}

/// Calls that wait for a reply, until the plugin has ended.
enum UnderWay {
    Open(HashMap<u64, Waiting>),
    Ended(Failure),
}

pub(super) struct Waiting {
    pub reply: oneshot::Sender<Result<Value, Failure>>,
    pub listener: Option<progress::Listener>,
}

impl Live {
    /// Talks over a pair of streams from here on. `end` says how the other side ended once it has closed its output;
    /// it is dropped when the other side writes nonsense.
    pub fn between<R, W>(
        name: &str,
        input: BufReader<R>,
        output: W,
        end: impl Future<Output = String> + Send + 'static,
    ) -> Arc<Self>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (calls_out, queue) = mpsc::unbounded_channel();
        let live = Arc::new(Self {
            calls_out,
            next_id: AtomicU64::new(1),
            under_way: Mutex::new(UnderWay::Open(HashMap::new())),
        });
        tokio::spawn(write_lines(queue, output));
        // Weak, so that the plugin is told to end (its input is closed) as soon as nobody can call it any more.
        tokio::spawn(read_replies(Arc::downgrade(&live), name.to_owned(), input, end));
        live
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        // No code that can panic runs under the lock, so a poisoned one is as good as any.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has_ended(&self) -> bool {
        matches!(*self.locked(), UnderWay::Ended(_))
    }

    pub fn register(&self, id: u64, waiting: Waiting) -> Result<(), Failure> {
        match &mut *self.locked() {
            UnderWay::Open(calls) => {
                calls.insert(id, waiting);
                Ok(())
            }
            UnderWay::Ended(why) => Err(why.clone()),
        }
    }

    fn forget(&self, id: u64) {
        if let UnderWay::Open(calls) = &mut *self.locked() {
            calls.remove(&id);
        }
    }

    /// Hands a line to its call; fails when the line is none of the protocol.
    fn deliver(&self, name: &str, line: FromPlugin) -> Result<(), Failure> {
        let mut under_way = self.locked();
        let UnderWay::Open(calls) = &mut *under_way else { return Ok(()) };
        if let Some(words) = line.progress {
            let listener = calls.get(&line.id).and_then(|waiting| waiting.listener.clone());
            drop(under_way);
            match listener {
                Some(listener) => listener(&words),
                None => tracing::debug!(target: "platform::provider", plugin = name, "{words}"),
            }
            return Ok(());
        }
        let answered = match (line.ok, line.failure) {
            (Some(value), None) => Ok(value),
            (None, Some(failure)) => Err(failure),
            _ => {
                return Err(junk(
                    name,
                    "a reply has to hold one of `ok`, `failure` and `progress`".to_owned(),
                ));
            }
        };
        // A reply to nobody is one that came after its call was given up.
        if let Some(waiting) = calls.remove(&line.id) {
            let _ = waiting.reply.send(answered);
        }
        Ok(())
    }

    pub fn send(&self, line: &ToPlugin) {
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            // A closed queue means that the plugin has ended, which the reader tells every waiting call.
            let _ = self.calls_out.send(text);
        }
    }

    fn end(&self, why: Failure) {
        let was = std::mem::replace(&mut *self.locked(), UnderWay::Ended(why.clone()));
        if let UnderWay::Open(calls) = was {
            for waiting in calls.into_values() {
                let _ = waiting.reply.send(Err(why.clone()));
            }
        }
    }

    pub fn ending(&self, name: &str) -> Failure {
        match &*self.locked() {
            UnderWay::Ended(why) => why.clone(),
            UnderWay::Open(_) => died(name, "went away"),
        }
    }
}

/// Tells the plugin that nobody waits for an answer any more.
pub(super) struct CancelOnDrop<'a> {
    pub live: &'a Live,
    pub id: u64,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.live.forget(self.id);
        self.live.send(&ToPlugin::Cancel { cancel: self.id });
    }
}

async fn read_replies(
    live: std::sync::Weak<Live>,
    name: String,
    mut input: BufReader<impl AsyncRead + Unpin>,
    end: impl Future<Output = String>,
) {
    let why = loop {
        let line = match lines::next(&mut input, lines::LONGEST).await {
            Ok(Some(line)) => line,
            Ok(None) => break died(&name, &end.await),
            Err(cause) => break junk(&name, cause.to_string()),
        };
        let delivered = match (serde_json::from_slice(&line), live.upgrade()) {
            (Ok(line), Some(live)) => live.deliver(&name, line),
            // What it wrote is not repeated: it may be half of a kubeconfig.
            (Err(_), _) => Err(junk(&name, format!("a line of {} bytes is no reply", line.len()))),
            (Ok(_), None) => Ok(()),
        };
        if let Err(why) = delivered {
            break why;
        }
    };
    if let Some(live) = live.upgrade() {
        live.end(why);
    }
    // `end` is dropped here, and with it the process of a plugin that wrote nonsense is killed.
}

async fn write_lines(mut queue: mpsc::UnboundedReceiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin) {
    while let Some(line) = queue.recv().await {
        if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

fn died(name: &str, how: &str) -> Failure {
    Failure::new(Code::new("P0205"), Class::Retryable, format!("provider plugin `{name}` died during a call"))
        .because(format!("it {how}"))
        .hint("nothing is lost: `platform resume` looks at what it did and continues")
}

pub(super) fn junk(name: &str, why: String) -> Failure {
    Failure::new(Code::new("P0207"), Class::Bug, format!("provider plugin `{name}` broke the protocol"))
        .because(why)
        .hint(format!(
            "report this to the makers of `{name}`; only protocol lines may go to its standard output"
        ))
}
