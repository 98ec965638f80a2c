//! The host's side: a provider that is a child process.

use std::{
    ffi::OsString,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_spec::{Class, Code, Failure, report::Finding};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    process::{Child, Command},
    sync::oneshot,
    time::timeout,
};

use super::{
    lines,
    live::{CancelOnDrop, Live, Waiting, junk},
    wire::{AccessLine, FirstLine, Hello, Join, Prolong, ToPlugin, Welcome},
};
use crate::{
    Access, Ailment, CONTRACT_VERSION, Claim, ClusterRequest, Description, Ensured, InventoryRequest,
    Observation, Owned, Provider, ReapCall, Removed, Resource, ResourceCall, SearchRequest, progress,
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
    /// Whether it can be started: not at the other end of streams that were open already.
    starts: bool,
    live: tokio::sync::Mutex<Option<Arc<Live>>>,
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
            starts: true,
            live: tokio::sync::Mutex::new(None),
        }
    }

    /// A provider at the other end of streams that are open already: it writes to `input`, and reads what we write to
    /// `output`. It is greeted here; once it has ended, every call is refused. See [`serve_on`](super::serve_on).
    ///
    /// # Errors
    /// When it does not greet, or speaks another version of the contract.
    pub async fn on<R, W>(name: &str, input: R, mut output: W) -> Result<Self, Failure>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let provider = Self { starts: false, ..Self::new(name, name, [""; 0]) };
        let mut input = BufReader::new(input);
        match timeout(provider.timeouts.start, provider.greet(&mut output, &mut input)).await {
            Ok(Ok(_)) => {}
            Ok(Err(Greeting::Refused(failure))) => return Err(*failure),
            Ok(Err(Greeting::Ended)) => {
                return Err(provider.not_started(Class::Retryable).because("it has ended"));
            }
            Err(_) => return Err(provider.not_started(Class::Retryable).because("it said nothing")),
        }
        let live = Live::between(&provider.name, input, output, async { "closed its output".to_owned() });
        *provider.live.lock().await = Some(live);
        Ok(provider)
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
        match slot.as_ref() {
            Some(live) if !live.has_ended() => return Ok(Arc::clone(live)),
            Some(live) if !self.starts => return Err(live.ending(&self.name)),
            _ => {}
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
        let patience = self.timeouts.end;
        let end = async move { ended(&mut child, patience).await };
        Ok(Live::between(&self.name, stdout, stdin, end))
    }

    async fn greet<R, W>(&self, stdin: &mut W, stdout: &mut BufReader<R>) -> Result<Welcome, Greeting>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
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

    async fn list_claims(&self, search: &SearchRequest) -> Result<Vec<Claim>, Failure> {
        self.call("list_claims", search).await
    }

    async fn prolong(&self, cluster: &ClusterRequest, until: Timestamp) -> Result<bool, Failure> {
        self.call("prolong", Prolong { cluster: cluster.clone(), until }).await
    }

    async fn reap(&self, call: &ReapCall) -> Result<Removed, Failure> {
        self.call("reap", call).await
    }

    async fn ailments(&self, cluster: &ClusterRequest) -> Result<Vec<Ailment>, Failure> {
        self.call("ailments", cluster).await
    }

    async fn mend(&self, cluster: &ClusterRequest) -> Result<(), Failure> {
        self.call("mend", cluster).await
    }

    async fn is_joined(&self, cluster: &ClusterRequest, to: &ClusterRequest) -> Result<bool, Failure> {
        self.call("is_joined", Join { cluster: cluster.clone(), to: to.clone() }).await
    }

    async fn join(&self, cluster: &ClusterRequest, to: &ClusterRequest) -> Result<(), Failure> {
        self.call("join", Join { cluster: cluster.clone(), to: to.clone() }).await
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        let line: AccessLine = self.call("access", cluster).await?;
        line.into_access().ok_or_else(|| junk(&self.name, "its access holds no kubeconfig".to_owned()))
    }
}
