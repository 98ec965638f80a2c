//! The host's side: a provider that is a child process.

use std::{
    collections::HashMap,
    ffi::OsString,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use platform_spec::{Class, Code, Failure, report::Finding};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    lines,
    wire::{AccessLine, FirstLine, FromPlugin, Hello, ToPlugin, Welcome},
};
use crate::{
    Access, CONTRACT_VERSION, ClusterRequest, Description, Ensured, InventoryRequest, Observation, Owned,
    Provider, Removed, Resource, ResourceCall, progress,
};

/// What is longer is no log line, and is left out of the log.
const LONGEST_LOG_LINE: usize = 64 * 1024;

/// How long to wait for a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For its welcome, after it was started.
    pub start: Duration,
    /// For the answer to one call. Calls do not block on long operations, so this is for a plugin that is stuck.
    pub call: Duration,
    /// For its end, once it has closed its output.
    pub end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { start: Duration::from_secs(10), call: Duration::from_secs(120), end: Duration::from_secs(5) }
    }
}

/// A provider that is a program, started at the first call and again after it died.
///
/// # Guarantees
/// A plugin that crashes, hangs or writes nonsense is a failure of the calls under way and never of this process.
pub struct ProcessProvider {
    name: String,
    program: OsString,
    arguments: Vec<OsString>,
    timeouts: Timeouts,
    live: tokio::sync::Mutex<Option<Arc<Live>>>,
}

/// A running plugin.
struct Live {
    calls_out: mpsc::UnboundedSender<Vec<u8>>,
    next_id: AtomicU64,
    under_way: Mutex<UnderWay>,
}

/// Calls that wait for a reply, until the plugin has ended.
enum UnderWay {
    Open(HashMap<u64, Waiting>),
    Ended(Failure),
}

struct Waiting {
    reply: oneshot::Sender<Result<Value, Failure>>,
    listener: Option<progress::Listener>,
}

impl ProcessProvider {
    /// A provider that runs `program` with `arguments`; `name` is what failures and logs call it. Nothing is started yet.
    pub fn new(
        name: &str,
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            timeouts: Timeouts::default(),
            live: tokio::sync::Mutex::new(None),
        }
    }

    /// Sets other timeouts.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    async fn call<T: DeserializeOwned>(&self, method: &str, params: impl Serialize) -> Result<T, Failure> {
        let params = serde_json::to_value(params)
            .map_err(|cause| junk(&self.name, format!("the request of `{method}` is no JSON: {cause}")))?;
        let value = self.ask(method, params).await?;
        serde_json::from_value(value).map_err(|cause| {
            let failure = junk(&self.name, format!("its reply to `{method}` has another shape"));
            // The text of a shape error quotes the value it met, and here that may be a kubeconfig.
            if method == "access" { failure } else { failure.caused_by(&cause) }
        })
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let live = self.live().await?;
        let (reply, answer) = oneshot::channel();
        let id = live.next_id.fetch_add(1, Ordering::Relaxed);
        live.register(id, Waiting { reply, listener: progress::current() })?;
        // From here on a caller that goes away (a timeout of its own, a cancelled run) is told to the plugin.
        let cancel = CancelOnDrop { live: &live, id };
        live.send(&ToPlugin::Call { id, method: method.to_owned(), params });
        match timeout(self.timeouts.call, answer).await {
            Ok(Ok(answered)) => {
                std::mem::forget(cancel);
                answered
            }
            Ok(Err(_)) => Err(live.ending(&self.name)),
            Err(_) => Err(Failure::new(
                Code::new("P0206"),
                Class::Retryable,
                format!("provider plugin `{}` did not answer `{method}`", self.name),
            )
            .because(format!("no answer within {} ms", self.timeouts.call.as_millis()))
            .hint("its log may say what it waits for: run the command again with -vv")),
        }
    }

    /// The running plugin, started if there is none or the last one has ended.
    async fn live(&self) -> Result<Arc<Live>, Failure> {
        let mut slot = self.live.lock().await;
        if let Some(live) = slot.as_ref().filter(|live| !live.has_ended()) {
            return Ok(Arc::clone(live));
        }
        let live = self.start().await?;
        *slot = Some(Arc::clone(&live));
        Ok(live)
    }

    async fn start(&self) -> Result<Arc<Live>, Failure> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of the terminal's foreground group: Ctrl-C asks us to stop, and we let the call under way end.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| {
                self.not_started(Class::Config)
                    .caused_by(&cause)
                    .hint(format!("check that `{}` exists and may be run", self.program.display()))
            })?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(self.not_started(Class::Bug).because("its pipes are missing"));
        };
        tokio::spawn(log_lines(self.name.clone(), stderr));
        let mut stdout = BufReader::new(stdout);
        match timeout(self.timeouts.start, self.greet(&mut stdin, &mut stdout)).await {
            Ok(Ok(welcome)) => {
                tracing::debug!(
                    plugin = self.name,
                    kind = welcome.kind,
                    version = welcome.version,
                    "plugin started"
                );
            }
            Ok(Err(Greeting::Ended)) => {
                let status = ended(&mut child, self.timeouts.end).await;
                return Err(self
                    .not_started(Class::Retryable)
                    .because(format!("it {status} before it said anything")));
            }
            Ok(Err(Greeting::Refused(failure))) => return Err(*failure),
            Err(_) => {
                let waited = self.timeouts.start.as_millis();
                return Err(self
                    .not_started(Class::Retryable)
                    .because(format!("no welcome within {waited} ms")));
            }
        }
        let (calls_out, queue) = mpsc::unbounded_channel();
        let live = Arc::new(Live {
            calls_out,
            next_id: AtomicU64::new(1),
            under_way: Mutex::new(UnderWay::Open(HashMap::new())),
        });
        tokio::spawn(write_lines(queue, stdin));
        // Weak, so that the plugin is told to end (its input is closed) as soon as nobody can call it any more.
        tokio::spawn(read_replies(
            Arc::downgrade(&live),
            self.name.clone(),
            child,
            stdout,
            self.timeouts.end,
        ));
        Ok(live)
    }

    async fn greet(
        &self,
        stdin: &mut ChildStdin,
        stdout: &mut BufReader<ChildStdout>,
    ) -> Result<Welcome, Greeting> {
        let cookie = cookie();
        let mut hello = serde_json::to_vec(&ToPlugin::Hello {
            hello: Hello { contract: CONTRACT_VERSION, cookie: cookie.clone() },
        })
        .map_err(|_| Greeting::Ended)?;
        hello.push(b'\n');
        stdin.write_all(&hello).await.map_err(|_| Greeting::Ended)?;
        stdin.flush().await.map_err(|_| Greeting::Ended)?;
        let refused = |failure: Failure| Greeting::Refused(Box::new(failure));
        let line = lines::next(stdout, lines::LONGEST)
            .await
            .map_err(|cause| refused(junk(&self.name, cause.to_string())))?
            .ok_or(Greeting::Ended)?;
        let welcome = match serde_json::from_slice(&line) {
            Ok(FirstLine { welcome }) if welcome.cookie == cookie => welcome,
            _ => {
                return Err(refused(
                    self.not_started(Class::Config)
                        .because("its first line is no welcome: this program is no provider plugin")
                        .hint(format!("name a provider plugin instead of `{}`", self.program.display())),
                ));
            }
        };
        if welcome.contract != CONTRACT_VERSION {
            return Err(refused(
                Failure::new(
                    Code::new("P0208"),
                    Class::Config,
                    format!("could not talk to provider plugin `{}`", self.name),
                )
                .because(format!(
                    "it speaks version {} of the contract, this program speaks version {CONTRACT_VERSION}",
                    welcome.contract
                ))
                .hint(format!("install a release of `{}` made for this `platform`", self.name)),
            ));
        }
        Ok(welcome)
    }

    fn not_started(&self, class: Class) -> Failure {
        Failure::new(Code::new("P0204"), class, format!("could not start provider plugin `{}`", self.name))
    }
}

/// Why there is no welcome.
enum Greeting {
    Ended,
    Refused(Box<Failure>),
}

impl Live {
    fn locked(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        // No code that can panic runs under the lock, so a poisoned one is as good as any.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        matches!(*self.locked(), UnderWay::Ended(_))
    }

    fn register(&self, id: u64, waiting: Waiting) -> Result<(), Failure> {
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

    fn send(&self, line: &ToPlugin) {
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

    fn ending(&self, name: &str) -> Failure {
        match &*self.locked() {
            UnderWay::Ended(why) => why.clone(),
            UnderWay::Open(_) => died(name, "went away"),
        }
    }
}

/// Tells the plugin that nobody waits for an answer any more.
struct CancelOnDrop<'a> {
    live: &'a Live,
    id: u64,
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
    mut child: Child,
    mut stdout: BufReader<ChildStdout>,
    patience: Duration,
) {
    let why = loop {
        let line = match lines::next(&mut stdout, lines::LONGEST).await {
            Ok(Some(line)) => line,
            Ok(None) => break died(&name, &ended(&mut child, patience).await),
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
    // `child` is dropped here, and with it a plugin that wrote nonsense is killed.
}

async fn write_lines(mut queue: mpsc::UnboundedReceiver<Vec<u8>>, mut stdin: ChildStdin) {
    while let Some(line) = queue.recv().await {
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn log_lines(name: String, stderr: impl AsyncRead + Unpin) {
    let mut stderr = BufReader::new(stderr);
    loop {
        match lines::next(&mut stderr, LONGEST_LOG_LINE).await {
            Ok(Some(line)) => {
                tracing::info!(target: "platform::plugin", plugin = name, "{}", String::from_utf8_lossy(&line));
            }
            // Read on: a plugin whose standard error nobody empties would stand still.
            Err(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// How a child that has closed its output ended, in words; killed when it does not.
async fn ended(child: &mut Child, patience: Duration) -> String {
    match timeout(patience, child.wait()).await {
        Ok(Ok(status)) => format!("ended with {status}"),
        Ok(Err(cause)) => format!("ended: {cause}"),
        Err(_) => {
            let _ = child.start_kill();
            "closed its output and did not end".to_owned()
        }
    }
}

fn died(name: &str, how: &str) -> Failure {
    Failure::new(Code::new("P0205"), Class::Retryable, format!("provider plugin `{name}` died during a call"))
        .because(format!("it {how}"))
        .hint("nothing is lost: `platform resume` looks at what it did and continues")
}

fn junk(name: &str, why: String) -> Failure {
    Failure::new(Code::new("P0207"), Class::Bug, format!("provider plugin `{name}` broke the protocol"))
        .because(why)
        .hint(format!(
            "report this to the makers of `{name}`; only protocol lines may go to its standard output"
        ))
}

/// Different for every start; not a secret.
fn cookie() -> String {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), STARTS.fetch_add(1, Ordering::Relaxed))
}

#[async_trait]
impl Provider for ProcessProvider {
    async fn describe(&self) -> Result<Description, Failure> {
        self.call("describe", Value::Null).await
    }

    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        self.call("preflight", cluster).await
    }

    async fn resources(&self, cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        self.call("resources", cluster).await
    }

    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure> {
        self.call("observe", call).await
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        self.call("ensure", call).await
    }

    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure> {
        self.call("remove", call).await
    }

    async fn list_owned(&self, owner: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        self.call("list_owned", owner).await
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        let line: AccessLine = self.call("access", cluster).await?;
        line.into_access().ok_or_else(|| junk(&self.name, "its access holds no kubeconfig".to_owned()))
    }
}
