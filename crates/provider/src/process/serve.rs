//! The plugin's side: the main loop of a provider that is a program of its own.

use std::{collections::HashMap, io, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use platform_spec::{Class, Code, Failure};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    lines,
    wire::{AccessLine, FirstLine, FromPlugin, Join, Prolong, ToPlugin, Welcome},
};
use crate::{CONTRACT_VERSION, Provider, progress};

/// Answers calls on standard input until it ends: the whole `main` of a plugin.
///
/// Nothing else may be written to standard output meanwhile; logs belong on standard error.
///
/// # Errors
/// When the first line is no hello (the program was started by hand), or the pipe breaks.
pub async fn serve(provider: impl Provider) -> io::Result<()> {
    serve_on(Arc::new(provider), tokio::io::stdin(), tokio::io::stdout()).await
}

/// As [`serve`], on any pair of streams.
///
/// # Guarantees
/// Calls run at the same time. When the input ends, calls under way are dropped: whoever asked is gone, and a new
/// process will look before it acts. A provider that panics answers `bug` and goes on.
///
/// # Errors
/// As for [`serve`].
pub async fn serve_on<R, W>(provider: Arc<dyn Provider>, input: R, output: W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let mut input = BufReader::new(input);
    let (lines_out, queue) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write_lines(queue, output));
    let agreed = greet(&provider, &mut input, &lines_out).await?;
    let mut running = JoinSet::new();
    let mut handles = HashMap::new();
    while agreed && let Some(line) = lines::next(&mut input, lines::LONGEST).await? {
        while running.try_join_next().is_some() {}
        handles.retain(|_, handle: &mut tokio::task::AbortHandle| !handle.is_finished());
        match serde_json::from_slice(&line) {
            Ok(ToPlugin::Call { id, method, params }) => {
                let handle =
                    running.spawn(answer(Arc::clone(&provider), id, method, params, lines_out.clone()));
                handles.insert(id, handle);
            }
            Ok(ToPlugin::Cancel { cancel }) => {
                if let Some(handle) = handles.remove(&cancel) {
                    handle.abort();
                }
            }
            Ok(ToPlugin::Hello { .. }) => return Err(not_a_host("a second hello")),
            Err(_) => return Err(not_a_host("a line that is no call")),
        }
    }
    running.shutdown().await;
    drop(lines_out);
    writer.await.map_err(io::Error::other)?
}

/// Reads the hello and answers it. `false` when the host speaks another version: it will hang up.
async fn greet<R>(
    provider: &Arc<dyn Provider>,
    input: &mut BufReader<R>,
    out: &mpsc::UnboundedSender<Vec<u8>>,
) -> io::Result<bool>
where
    R: AsyncRead + Unpin,
{
    let first = lines::next(input, lines::LONGEST).await?.unwrap_or_default();
    let Ok(ToPlugin::Hello { hello }) = serde_json::from_slice(&first) else {
        return Err(not_a_host("no hello"));
    };
    let (kind, version) = match provider.describe().await {
        Ok(description) => (description.kind, description.version),
        Err(_) => Default::default(),
    };
    let welcome = Welcome { contract: CONTRACT_VERSION, cookie: hello.cookie, kind, version };
    send(out, &FirstLine { welcome });
    Ok(hello.contract == CONTRACT_VERSION)
}

async fn answer(
    provider: Arc<dyn Provider>,
    id: u64,
    method: String,
    params: Value,
    out: mpsc::UnboundedSender<Vec<u8>>,
) {
    let words = out.clone();
    let listener: progress::Listener = Arc::new(move |text: &str| {
        send(&words, &FromPlugin { id, progress: Some(text.to_owned()), ..FromPlugin::default() });
    });
    let call = AssertUnwindSafe(dispatch(&*provider, &method, params)).catch_unwind();
    let answered = progress::listen(listener, call).await.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(bug(format!("the provider panicked in `{method}`")).because(words))
    });
    let line = match answered {
        Ok(value) => FromPlugin { id, ok: Some(value), ..FromPlugin::default() },
        Err(failure) => FromPlugin { id, failure: Some(failure), ..FromPlugin::default() },
    };
    send(&out, &line);
}

async fn dispatch(provider: &dyn Provider, method: &str, params: Value) -> Result<Value, Failure> {
    match method {
        "describe" => to_value(provider.describe().await?),
        "preflight" => to_value(provider.preflight(&asked(method, params)?).await?),
        "resources" => to_value(provider.resources(&asked(method, params)?).await?),
        "observe" => to_value(provider.observe(&asked(method, params)?).await?),
        "ensure" => to_value(provider.ensure(&asked(method, params)?).await?),
        "remove" => to_value(provider.remove(&asked(method, params)?).await?),
        "list_owned" => to_value(provider.list_owned(&asked(method, params)?).await?),
        "list_claims" => to_value(provider.list_claims(&asked(method, params)?).await?),
        "prolong" => {
            let Prolong { cluster, until } = asked(method, params)?;
            to_value(provider.prolong(&cluster, until).await?)
        }
        "reap" => to_value(provider.reap(&asked(method, params)?).await?),
        "ailments" => to_value(provider.ailments(&asked(method, params)?).await?),
        "mend" => to_value(provider.mend(&asked(method, params)?).await?),
        "is_joined" => {
            let Join { cluster, to } = asked(method, params)?;
            to_value(provider.is_joined(&cluster, &to).await?)
        }
        "join" => {
            let Join { cluster, to } = asked(method, params)?;
            to_value(provider.join(&cluster, &to).await?)
        }
        "access" => to_value(AccessLine::from(provider.access(&asked(method, params)?).await?)),
        unknown => Err(bug(format!("the provider knows no method `{unknown}`"))),
    }
}

fn asked<T: DeserializeOwned>(method: &str, params: Value) -> Result<T, Failure> {
    serde_json::from_value(params).map_err(|cause| {
        bug(format!("the provider did not understand the request of `{method}`")).caused_by(&cause)
    })
}

fn to_value(reply: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(reply)
        .map_err(|cause| bug("the provider's reply is no JSON".to_owned()).caused_by(&cause))
}

fn bug(message: String) -> Failure {
    Failure::new(Code::new("P0207"), Class::Bug, message)
}

fn send(out: &mpsc::UnboundedSender<Vec<u8>>, line: &impl Serialize) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        // Nobody listens any more: the end of the input, seen next, says so too.
        let _ = out.send(text);
    }
}

async fn write_lines(
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    while let Some(line) = queue.recv().await {
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}

fn not_a_host(what: &str) -> io::Error {
    let why =
        format!("this is a provider for `platform`, which starts it by itself; got {what} on standard input");
    io::Error::new(io::ErrorKind::InvalidData, why)
}
