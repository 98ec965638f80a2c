//! Git over smart HTTP with a password: `git http-backend` behind a small web server.

use std::{path::PathBuf, process::Stdio, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};

use super::Site;
use crate::{
    BoxError,
    facts::{GIT, GIT_USER},
};

/// More than any test pushes; a guard, since a pack is held in memory.
const LARGEST_PACK: usize = 256 << 20;

struct Backend {
    root: PathBuf,
    home: PathBuf,
    path: String,
    authorization: String,
}

pub(super) async fn start(site: &Site) -> Result<(), BoxError> {
    let (root, home) = (site.dir().join("git"), site.dir().join("home"));
    let router = router(root, home, site.path.clone(), &site.facts.git_password);
    let listener = TcpListener::bind(GIT).await?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// Serves the bare repositories below `root` to whoever knows the password.
pub(crate) fn router(root: PathBuf, home: PathBuf, path: String, password: &str) -> Router {
    let login = STANDARD.encode(format!("{GIT_USER}:{password}"));
    let backend = Backend { root, home, path, authorization: format!("Basic {login}") };
    Router::new().fallback(serve).with_state(Arc::new(backend))
}

async fn serve(State(backend): State<Arc<Backend>>, request: Request) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given != Some(backend.authorization.as_str()) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"bed\"")])
            .into_response();
    }
    match call(&backend, request).await {
        Ok(response) => response,
        Err(trouble) => (StatusCode::INTERNAL_SERVER_ERROR, trouble.to_string()).into_response(),
    }
}

/// One CGI call (RFC 3875), with the variables that git-http-backend(1) names.
async fn call(backend: &Backend, request: Request) -> Result<Response, BoxError> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_PACK).await?;
    let header = |name: &str| text(&parts.headers, name);
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .envs([("PATH", backend.path.as_str()), ("GIT_HTTP_EXPORT_ALL", "1"), ("REMOTE_USER", GIT_USER)])
        .envs([("HOME", &backend.home), ("GIT_PROJECT_ROOT", &backend.root)])
        // inside a user namespace the repositories can look like someone else's
        .envs([
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("GIT_CONFIG_VALUE_0", "*"),
        ])
        .envs([("REQUEST_METHOD", parts.method.as_str()), ("PATH_INFO", parts.uri.path())])
        .envs([
            ("QUERY_STRING", parts.uri.query().unwrap_or_default()),
            ("CONTENT_TYPE", header("content-type")),
        ])
        .envs([
            ("HTTP_CONTENT_ENCODING", header("content-encoding")),
            ("GIT_PROTOCOL", header("git-protocol")),
        ])
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("git http-backend has no standard input")?;
    let feed = tokio::spawn(async move { stdin.write_all(&body).await });
    let out = child.wait_with_output().await?;
    drop(feed.await); // a backend that refuses early closes its input: its answer counts
    answer(&out.stdout)
}

fn answer(output: &[u8]) -> Result<Response, BoxError> {
    let end =
        output.windows(4).position(|window| window == b"\r\n\r\n").ok_or("git http-backend said nothing")?;
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end])?.lines() {
        let (name, value) = line.split_once(": ").ok_or("git http-backend wrote no header")?;
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap_or_default()),
            _ => response.header(name, value),
        };
    }
    Ok(response.body(Body::from(output[end + 4..].to_vec()))?)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
