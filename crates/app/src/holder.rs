//! Who we are, and whether another holder of a lease is still alive.

use nix::{
    errno::Errno,
    sys::signal::kill,
    unistd::{Pid, Uid, User, gethostname},
};
use platform_engine::store::Holder;

/// This process as holder of leases.
pub fn this_process() -> Holder {
    let pid = std::process::id();
    let host = host();
    let start = Start::of(pid);
    let ticks =
        start.as_ref().map_or_else(|| ulid::Ulid::generate().to_string(), |start| start.ticks.clone());
    Holder {
        id: format!("{host}:{pid}:{ticks}"),
        user: user(),
        host,
        pid,
        process_start: start.map(|start| start.to_text()).unwrap_or_default(),
    }
}

/// Who asks, as the journal names people: `user@host`.
pub fn actor() -> String {
    format!("{}@{}", user(), host())
}

/// Whether a holder is certainly gone: it was on this host, and its process is no more.
///
/// A holder on another host, or in a process-id namespace that we cannot see, is never presumed dead: its lease has to
/// expire.
pub fn presumed_dead(holder: &Holder) -> bool {
    if holder.host != host() {
        return false;
    }
    if let (Some(then), Some(us)) = (Start::from_text(&holder.process_start), Start::of(std::process::id())) {
        if then.boot != us.boot {
            return true;
        }
        if then.namespace != us.namespace {
            return false;
        }
        return Start::of(holder.pid).is_none_or(|now| now != then);
    }
    i32::try_from(holder.pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

fn host() -> String {
    gethostname().map_or_else(|_| "unknown-host".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn user() -> String {
    let uid = Uid::current();
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}

/// When a process started, so that a reused process id is told from the process that had it before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    /// Differs after a restart of the machine, which counts the ticks anew.
    boot: String,
    /// The process-id namespace: in another one the same number is another process.
    namespace: String,
    /// Clock ticks since the boot.
    ticks: String,
}

impl Start {
    /// `None` when there is no such process, or no `/proc`. Format: proc_pid_stat(5), field 22.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets, and may itself hold blanks and brackets.
        let after_name = stat.rsplit_once(')')?.1;
        let mut fields = after_name.split_whitespace();
        let state = fields.next()?;
        if state == "Z" {
            // A zombie has ended; only its parent has not asked yet.
            return None;
        }
        let ticks = fields.nth(22 - 4)?.to_owned();
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        // Our own namespace: a process that we can see by this number is in ours, or in one below it.
        let namespace = fs_err::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned();
        Some(Self { boot, namespace, ticks })
    }

    fn to_text(&self) -> String {
        format!("{}/{}/{}", self.boot, self.namespace, self.ticks)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        Some(Self { boot: parts.next()?, namespace: parts.next()?, ticks: parts.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_always_the_same() {
        assert_eq!(this_process(), this_process());
        assert!(!presumed_dead(&this_process()));
    }

    #[test]
    fn an_ended_process_is_dead() {
        let mut child = std::process::Command::new("true").spawn().expect("`true` starts");
        let pid = child.id();
        let start = Start::of(pid);
        child.wait().expect("`true` ends");
        let process_start = start.map(|s| s.to_text()).unwrap_or_default();
        assert!(presumed_dead(&Holder { pid, process_start, ..this_process() }));
    }

    #[test]
    fn a_reused_process_id_is_another_process() {
        let us = Start::of(std::process::id()).expect("this test runs on Linux");
        let earlier = Start { ticks: "1".into(), ..us.clone() };
        assert!(presumed_dead(&Holder { process_start: earlier.to_text(), ..this_process() }));
        let before_the_boot = Start { boot: "another".into(), ..us };
        assert!(presumed_dead(&Holder { process_start: before_the_boot.to_text(), ..this_process() }));
    }

    #[test]
    fn who_cannot_be_seen_is_not_presumed_dead() {
        assert!(!presumed_dead(&Holder { host: "elsewhere".into(), ..this_process() }));
        let us = Start::of(std::process::id()).expect("this test runs on Linux");
        let elsewhere = Start { namespace: "pid:[1]".into(), ticks: "1".into(), ..us };
        assert!(!presumed_dead(&Holder { process_start: elsewhere.to_text(), ..this_process() }));
    }
}
