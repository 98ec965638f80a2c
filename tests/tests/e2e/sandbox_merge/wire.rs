//! Raw calls to the bed's API server, through `kubectl proxy` on a Unix socket: that is seen from outside the bed's network.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Stdio},
};

use platform_tests::World;
use serde_json::Value;

/// A way to the API server.
pub(super) struct Wire {
    proxy: Child,
    socket: PathBuf,
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

impl Wire {
    pub(super) fn open(world: &World<'_>) -> Self {
        let socket = world.dir().join("api.sock");
        let mut proxy = world
            .bed()
            .command("kubectl")
            .args(["proxy", "--reject-paths=^$", "--unix-socket"])
            .arg(&socket)
            .env("KUBECONFIG", world.bed().facts().own_kubeconfig())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl proxy starts");
        let mut said = String::new();
        let out = proxy.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut said).expect("it says where it serves");
        assert!(said.contains("api.sock"), "{said}");
        Self { proxy, socket }
    }

    /// One call: the status code and the answer.
    pub(super) fn call(&self, method: &str, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = UnixStream::connect(&self.socket).expect("the proxy serves");
        // The old version of the protocol has no chunks.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code");
        (code, serde_json::from_str(body).unwrap_or_else(|cause| panic!("{method} {path}: {cause}: {body}")))
    }

    /// The object at a path, if there is one.
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        let (code, object) = self.call("GET", path, "application/json", &Value::Null);
        (code == 200).then_some(object)
    }
}
