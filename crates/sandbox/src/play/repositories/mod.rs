//! Git repositories: in memory for simulations, and real ones through the `git` program.

mod git;
mod memory;

pub use git::Git;
pub use memory::Memory;

/// As Argo CD compares URLs: lower case, without the last slash and `.git`; `git@host:path` as `ssh://git@host/path`.
pub fn normalized(url: &str) -> String {
    let url = url.trim().to_lowercase();
    let url = match url.split_once(':') {
        Some((host, path)) if host.contains('@') && !path.starts_with("//") => format!("ssh://{host}/{path}"),
        _ => url,
    };
    let url = url.trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url).to_owned()
}

/// Whether a text is a whole commit id.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
