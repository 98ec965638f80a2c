//! A Git server for tests: smart HTTP with a password, by `git http-backend` (its manual describes the variables).

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
};

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As a Git server does.
    Serving,
    /// With this status and nothing else.
    Status(u16),
    /// Sends everybody on to another address.
    Redirect(SocketAddr),
}

/// A running server; it stops when dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    login: String,
    mood: Mutex<Mood>,
    seen: Mutex<Vec<(String, Option<String>)>>,
}

impl Server {
    /// Serves the bare repositories below `root` to one user.
    pub async fn start(root: &Path, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            login: format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))),
            mood: Mutex::new(Mood::Serving),
            seen: Mutex::default(),
        });
        let served = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, served.clone()));
            }
        });
        Self { address, shared, task }
    }

    /// The URL of a repository.
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }

    /// Changes how it answers from now on.
    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().expect("not poisoned") = mood;
    }

    /// Request lines so far, each with its Authorization header.
    pub fn seen(&self) -> Vec<(String, Option<String>)> {
        self.shared.seen.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(stream: TcpStream, shared: Arc<Shared>) {
    // A client that goes away in the middle is not the server's trouble.
    let _ = serve(stream, &shared).await;
}

async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let login = header("authorization");
    shared.seen.lock().expect("not poisoned").push((request.trim().to_owned(), login.clone()));
    let mood = *shared.mood.lock().expect("not poisoned");
    let mut body = Vec::new();
    if header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).await?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        body = vec![0; length];
        stream.read_exact(&mut body).await?;
    }
    let target = request.split(' ').nth(1).unwrap_or("/").to_owned();
    let reply = match mood {
        Mood::Status(status) => format!("HTTP/1.1 {status} No\r\n").into_bytes(),
        Mood::Redirect(to) => format!("HTTP/1.1 301 Moved\r\nLocation: http://{to}{target}\r\n").into_bytes(),
        Mood::Serving if login.as_ref() != Some(&shared.login) => {
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n".to_vec()
        }
        Mood::Serving => backend(&request, &target, &header, body, &shared.root).await?,
    };
    let has_body = reply.windows(4).any(|window| window == b"\r\n\r\n");
    stream.write_all(&reply).await?;
    if !has_body {
        stream.write_all(b"Content-Length: 0\r\nConnection: close\r\n\r\n").await?;
    }
    stream.shutdown().await
}

async fn backend(
    request: &str,
    target: &str,
    header: &(dyn Fn(&str) -> Option<String> + Sync),
    body: Vec<u8>,
    root: &Path,
) -> std::io::Result<Vec<u8>> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("REMOTE_USER", "tester"), ("GIT_CONFIG_GLOBAL", "/dev/null")])
        .env("GIT_PROJECT_ROOT", root)
        .env("REQUEST_METHOD", request.split(' ').next().unwrap_or_default())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding").unwrap_or_default())
        .env("GIT_PROTOCOL", header("git-protocol").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take();
    let feed = async move {
        if let Some(pipe) = stdin.as_mut() {
            // A backend that refuses early stops reading; its answer says why.
            let _ = pipe.write_all(&body).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output?.stdout;
    let text = String::from_utf8_lossy(&output[..output.len().min(200)]).into_owned();
    let status = text
        .strip_prefix("Status: ")
        .and_then(|rest| rest.split("\r\n").next())
        .unwrap_or("200 OK")
        .to_owned();
    let mut reply = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
    reply.extend(output);
    Ok(reply)
}
