//! What programs refuse, classified once, where it arrives.

use platform_spec::{Class, Code, Failure};

use crate::programs::{Door, Ended, NoAnswer, Who};

/// A refusal of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub why: Why,
    /// In the program's own words.
    pub words: String,
    program: String,
    /// The engine behind it.
    engine: String,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The program is not there.
    NoProgram(Who),
    /// There is no engine behind it.
    NoEngine,
    /// This user may not use the engine.
    Forbidden,
    /// Somebody listens on a port.
    PortTaken,
    /// The disk is full.
    NoSpace,
    /// An image cannot be had now.
    NoImage,
    /// There is no such image, or it is not for everybody.
    BadImage,
    /// It did not answer.
    TooLong,
    /// What was asked for is not there.
    NotThere,
    /// Anything else.
    Other,
}

impl Refusal {
    /// Of a program that gave no answer.
    pub fn silent(door: &Door, who: Who, no_answer: NoAnswer) -> Self {
        let (program, engine) = (door.name(who).to_owned(), door.name(Who::Engine).to_owned());
        match no_answer {
            NoAnswer::NotStarted(error) => Self {
                why: Why::NoProgram(who),
                words: format!("could not start `{program}`: {error}"),
                program,
                engine,
            },
            NoAnswer::TooLong(limit) => Self {
                why: Why::TooLong,
                words: format!("`{program}` gave no answer within {} s", limit.as_secs()),
                program,
                engine,
            },
        }
    }

    /// Of a program that ended with an exit code that is no success.
    pub fn of(door: &Door, who: Who, ended: &Ended) -> Self {
        Self::of_words(door, who, &ended.stderr)
    }

    /// From what a program complained of earlier.
    pub fn of_words(door: &Door, who: Who, words: &str) -> Self {
        Self { engine: door.name(Who::Engine).to_owned(), ..Self::read(door.name(who), words) }
    }

    /// An answer that has another shape than it should.
    pub fn unreadable(door: &Door, error: impl std::fmt::Display) -> Self {
        let program = door.name(Who::Engine).to_owned();
        let words = format!("`{program}` answered what cannot be read: {error}");
        Self { why: Why::Other, words, engine: program.clone(), program }
    }

    /// From what a program complained.
    pub fn read(program: &str, complaint: &str) -> Self {
        let words = complaint.trim();
        let words = if words.is_empty() { "it does not say why" } else { words };
        let program = program.to_owned();
        Self { why: why(words), words: words.to_owned(), engine: program.clone(), program }
    }

    /// Whether the thing that was asked for is not there.
    pub fn is_not_there(&self) -> bool {
        self.why == Why::NotThere
    }

    /// As a failure of a deed.
    pub fn failed(self, deed: impl Into<String>) -> Failure {
        let Self { why, words, program, engine } = self;
        let class = match why {
            Why::Forbidden => Class::Forbidden,
            Why::PortTaken | Why::NoProgram(_) | Why::BadImage => Class::Config,
            Why::NoSpace => Class::Capacity,
            Why::NotThere => Class::NotFound,
            Why::NoEngine | Why::TooLong | Why::NoImage | Why::Other => Class::Retryable,
        };
        let failure = |code| Failure::new(code, class, deed).because(words);
        match why {
            Why::NoProgram(Who::Kind) => failure(Code::new("P1003"))
                .hint("install it: `go install sigs.k8s.io/kind@latest`, or see https://kind.sigs.k8s.io"),
            Why::NoProgram(Who::Engine) => failure(Code::new("P1001"))
                .hint("install Docker, Podman or nerdctl; or try without: `platform up --provider kind --sandbox`"),
            Why::NoEngine => failure(Code::new("P1001")).hint(start(&program)),
            Why::Forbidden => failure(Code::new("P1002")).hint(
                "join the group of its socket and log in again: `sudo usermod -aG docker \"$USER\"`",
            ),
            Why::PortTaken => failure(Code::new("P1006")).hint("see who listens: `ss -ltnp`"),
            Why::NoSpace => failure(Code::new("P1008")).hint(format!("make room: `{engine} system df`, `{engine} system prune`")),
            Why::BadImage => failure(Code::new("P1013"))
                .hint(format!("see whether there is such an image: `{engine} pull IMAGE`; the provider's `config` names it: `image`, `images.names`")),
            Why::NoImage => failure(Code::new("P1013"))
                .hint(format!("see whether it can be pulled: `{engine} pull IMAGE`; `image` in the provider's `config` names another")),
            Why::TooLong | Why::NotThere | Why::Other => {
                failure(Code::new("P1012")).hint(format!("see how the engine does: `{engine} info`"))
            }
        }
    }
}

/// How an engine is started.
fn start(program: &str) -> String {
    match program {
        "podman" => "start it: `systemctl --user start podman.socket`, or `podman machine start`".to_owned(),
        "nerdctl" => "start it: `sudo systemctl start containerd`".to_owned(),
        _ => "start it: `sudo systemctl start docker`, or Docker Desktop".to_owned(),
    }
}

fn why(words: &str) -> Why {
    let lower = words.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|text| lower.contains(text));
    if says(&["permission denied while trying to connect"])
        || (says(&["dial unix"]) && says(&["permission denied"]))
    {
        Why::Forbidden
    } else if says(&[
        "cannot connect to the docker daemon",
        "is the docker daemon running",
        "cannot connect to podman",
    ]) || (says(&["dial unix", "dial tcp", "cannot access containerd socket"])
        && says(&["connection refused", "no such file"]))
    {
        Why::NoEngine
    } else if says(&["port is already allocated", "address already in use", "ports are not available"]) {
        Why::PortTaken
    } else if says(&["no space left on device"]) {
        Why::NoSpace
    } else if says(&[
        "invalid reference format",
        "manifest unknown",
        "pull access denied",
        "repository does not exist",
        "no matching manifest for",
        "not present locally",
    ]) {
        Why::BadImage
    } else if says(&["failed to pull image", "unable to find image"]) {
        Why::NoImage
    } else if says(&["no such", "not found", "no container with name"]) {
        Why::NotThere
    } else {
        Why::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_engines_are_understood() {
        let cases = [
            (
                "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied",
                Why::Forbidden,
                "P1002",
            ),
            (
                "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
                Why::Forbidden,
                "P1002",
            ),
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                Why::NoEngine,
                "P1001",
            ),
            (
                "failed to connect to the docker API at unix:///nope; check if the path is correct: dial unix /nope: connect: no such file or directory",
                Why::NoEngine,
                "P1001",
            ),
            (
                "ERROR: failed to create cluster: docker: Error response from daemon: driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated.",
                Why::PortTaken,
                "P1006",
            ),
            ("listen tcp4 0.0.0.0:80: bind: address already in use", Why::PortTaken, "P1006"),
            ("write /var/lib/docker/x: no space left on device", Why::NoSpace, "P1008"),
            (
                "ERROR: failed to create cluster: failed to pull image \"kindest/node:v9\": command failed",
                Why::NoImage,
                "P1013",
            ),
            (
                "ERROR: failed to create cluster: failed to pull image \"kindset/node:v1\": command \"docker pull kindset/node:v1\" failed with error: exit status 1\nCommand Output: Error response from daemon: pull access denied for kindset/node, repository does not exist or may require 'docker login'",
                Why::BadImage,
                "P1013",
            ),
            ("ERROR: image: \"frob:1\" not present locally", Why::BadImage, "P1013"),
            ("docker: invalid reference format: repository name must be lowercase", Why::BadImage, "P1013"),
            ("Error response from daemon: No such container: x", Why::NotThere, "P1012"),
            ("Error response from daemon: network x not found", Why::NotThere, "P1012"),
            ("something else", Why::Other, "P1012"),
        ];
        for (words, want, code) in cases {
            let refusal = Refusal::read("docker", words);
            assert_eq!(refusal.why, want, "{words}");
            let failure = refusal.failed("could not look");
            assert_eq!(failure.code.as_str(), code, "{words}");
            assert!(failure.causes[0].contains(words) && !failure.hints.is_empty(), "{failure:?}");
        }
    }

    #[test]
    fn an_image_that_there_is_not_is_not_asked_for_again() {
        let class = |words| Refusal::read("kind", words).failed("could not make it").class;
        assert_eq!(class("pull access denied for a, repository does not exist"), Class::Config);
        assert_eq!(class("failed to pull image: i/o timeout"), Class::Retryable);
    }

    #[test]
    fn the_engine_is_asked_how_it_does_and_not_kind() {
        let refusal = Refusal { engine: "podman".to_owned(), ..Refusal::read("kind", "something else") };
        assert!(refusal.failed("could not make it").hints[0].contains("`podman info`"));
    }

    #[test]
    fn no_words_are_words_too() {
        assert_eq!(Refusal::read("docker", " \n").words, "it does not say why");
    }
}
