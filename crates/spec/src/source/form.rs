//! The forms that texts of the spec have: what each format means, and what to write instead.

use super::code;
use super::did_you_mean;
use crate::{
    Code, cron,
    platform::{Duration, value},
};

/// Placeholders that naming templates know.
pub(crate) const PLACEHOLDERS: [&str; 8] =
    ["tenant", "tenant.id", "app", "key", "env", "-env", "cell", "domain"];

/// What names must look like.
pub(super) const NAME_HINT: &str =
    "lower-case letters, digits and `-`, beginning and ending with a letter or digit, at most 63";

/// Whether a text has the form its schema asks for by `format`, or by a `pattern` that it `fits` or not; else the code,
/// what is wrong, and what to write.
pub(super) fn form(
    text: &str,
    format: &str,
    pattern: Option<&str>,
    fits: bool,
) -> Result<(), (Code, String, String)> {
    let wrong = |message: &str, hint: &str| Err((code::NOT_ALLOWED, message.to_owned(), hint.to_owned()));
    match format {
        "rfc1123-label" if !fits => {
            Err((code::BAD_NAME, format!("`{}` is not a name", shown(text)), NAME_HINT.to_owned()))
        }
        "duration-hms" if text.parse::<Duration>().is_err() => {
            wrong("not a duration", "write numbers with d, h, m or s, such as 168h or 1h30m")
        }
        "retention" if !fits => wrong("not a duration", "write numbers with y, mo, w, d or h, such as 36mo"),
        "quantity" if !fits => wrong("not a quantity", "write it as Kubernetes does: 500m, 8Gi, 20"),
        "cidr" if text.parse::<ipnet::IpNet>().is_err() => {
            wrong("not a network", "write an address and a prefix, such as 10.0.0.0/16")
        }
        "cron" if cron::Schedule::parse(text).is_none() => wrong(
            "not a cron expression",
            "write five fields: minute, hour, day, month, weekday: `0 2 * * *`",
        ),
        "ip" if text.parse::<std::net::IpAddr>().is_err() => {
            wrong("not an IP address", "write an address such as 192.0.2.10")
        }
        "git-url" if !is_git_url(text) => wrong(
            "not a URL of a Git server",
            "write https://, http://, ssh:// or file:///PATH, without a user's password",
        ),
        "relative-path"
            if text.starts_with('/') || text.split('/').any(|part| part == ".." || part.is_empty()) =>
        {
            wrong(
                "not a path within the repository",
                "write a relative path without `..`, such as apps/hello",
            )
        }
        "dns-name" if !is_dns_name(text) => {
            wrong("not a DNS name", "write it without a final dot, such as example.com")
        }
        "host-port" if !is_host_port(text) => {
            wrong("not HOST:PORT", "write a host and a port, such as 192.0.2.53:53")
        }
        "template" => unknown_placeholder(text).map_or(Ok(()), |name| {
            let hint = did_you_mean(&name, PLACEHOLDERS).map_or_else(
                || format!("known: {{{}}}", PLACEHOLDERS.join("}, {")),
                |near| format!("did you mean `{{{near}}}`?"),
            );
            Err((code::PLACEHOLDER, format!("the placeholder `{{{}}}` is not known", shown(&name)), hint))
        }),
        _ if !fits => wrong("the text does not have the form that is needed here", &hint_for(pattern)),
        _ => Ok(()),
    }
}

/// A text as it may be repeated in a message: not endless.
pub(super) fn shown(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(80).chain(['…']).collect() }
}

fn hint_for(pattern: Option<&str>) -> String {
    match pattern.unwrap_or_default() {
        value::SEMVER => {
            "write MAJOR.MINOR.PATCH, such as 1.0.0; ranges, `stable` and `latest` are refused".into()
        }
        value::KUBERNETES_VERSION => "write MAJOR.MINOR of Kubernetes, such as \"1.36\"".into(),
        value::LABEL_VALUE => {
            "letters, digits, `-`, `_` and `.`, at most 63, as in a Kubernetes label".into()
        }
        value::DATE => "write YEAR-MONTH-DAY, such as 2027-03-31".into(),
        pattern => format!("it must match `{pattern}`"),
    }
}

fn unknown_placeholder(template: &str) -> Option<String> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { return Some(after.to_owned()) };
        if !PLACEHOLDERS.contains(&name) {
            return Some(name.to_owned());
        }
        rest = after;
    }
    None
}

fn is_git_url(text: &str) -> bool {
    let rest =
        ["https://", "http://", "ssh://", "file:///"].iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        let authority = rest.split('/').next().unwrap_or_default();
        let password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
        !rest.is_empty() && !password && !rest.contains(char::is_whitespace) && !rest.contains(['?', '#'])
    })
}

pub(crate) fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_host_port(text: &str) -> bool {
    text.parse::<std::net::SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(host, port)| is_dns_name(host) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_no_place_in_a_git_url() {
        assert!(is_git_url("https://git.example.com/team"));
        assert!(is_git_url("ssh://git@git.example.com:2222/team"));
        assert!(is_git_url("file:///srv/git"));
        for bad in [
            "git.example.com",
            "https://",
            "https://me:pw@git.example.com",
            "https://x/?token=a",
            "file://srv",
        ] {
            assert!(!is_git_url(bad), "{bad}");
        }
    }
}
