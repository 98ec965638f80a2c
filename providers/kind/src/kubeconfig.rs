//! The user's own kubeconfig, into which a cluster's entry comes when the spec asks for it: looked at, put in, taken out again.

use std::{
    io,
    path::{Path, PathBuf},
};

use platform_provider::{Ensured, ExposeSecret, Observation, Owned, Ownership, Removed, SecretString, Thing};
use platform_spec::{
    Class, Code, Failure,
    report::{Finding, Severity},
};
use serde_json::{Value, json};

use crate::{
    config::{Config, Merge},
    job::{Into, Job},
    parts::deed,
    splice::{self, Entry, Has, Left, Owner, Unfit},
    userfile::{self, Locked},
    wish::{Wish, stem},
};

/// What it is called in the graph.
pub(crate) const KUBECONFIG: &str = "kubeconfig";
/// What an entry is called in an inventory.
const KIND: &str = "kubeconfig entry";

/// The entry of one cluster.
pub(crate) struct Merged<'a> {
    wish: &'a Wish<'a>,
    job: Job,
}

/// The file that is meant; `None` when the spec does not ask for it.
///
/// As `kubectl` and `kind` have it: of several files of `KUBECONFIG` the first that is there, or else the last.
fn target(config: &Config) -> Option<PathBuf> {
    match config.merge_kubeconfig.as_ref()? {
        Merge::Whether(false) => None,
        Merge::Whether(true) => usual(),
        Merge::Into(path) => Some(path.clone()),
    }
}

fn usual() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube/config"));
    let Some(named) = std::env::var_os("KUBECONFIG").filter(|named| !named.is_empty()) else { return home() };
    let files: Vec<PathBuf> =
        std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
    let chosen = files.iter().find(|path| path.exists()).or(files.last()).cloned().or_else(home)?;
    std::path::absolute(chosen).ok()
}

/// What kind calls a cluster in a kubeconfig.
pub(crate) fn context(stem: &str) -> String {
    format!("kind-{stem}")
}

impl<'a> Merged<'a> {
    pub fn new(wish: &'a Wish<'a>, job: Job) -> Self {
        Self { wish, job }
    }

    fn name(&self) -> String {
        context(&self.wish.stem())
    }

    fn owner(&self) -> Owner {
        let request = self.wish.request;
        Owner { platform: request.platform.as_str().to_owned(), cluster: request.cluster.clone() }
    }

    fn deed(&self, verb: &str) -> String {
        deed(verb, KUBECONFIG, self.wish)
    }

    /// The file into which it came, and that into which it is to come.
    fn files(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        (self.job.merged().map(|into| into.file), target(&self.wish.config))
    }

    fn thing(&self, path: &Path) -> Thing {
        let outputs = json!({ "file": path, "context": self.name() });
        let external_id = format!("{}#{}", path.display(), self.name());
        Thing { external_id, ownership: Ownership::Owned, outputs }
    }

    /// Whether the spec asks for it.
    pub fn is_asked_for(&self) -> bool {
        target(&self.wish.config).is_some()
    }

    /// That an entry which nobody asks for any more is still there: it leads to the cluster, and goes with it.
    pub fn forgotten(&self) -> Option<Finding> {
        let into = self.job.merged().filter(|_| !self.is_asked_for())?;
        let there = matches!(self.found(&into.file, None), Ok(Some(_)));
        let failure = Failure::new(
            Code::new("P1018"),
            Class::Config,
            format!("`{}` is still in `{}`, and the spec asks for it no more", self.name(), into.file.display()),
        )
        .hint("it goes with the cluster; to take it out now: `kubectl config delete-context`, `delete-cluster` and `delete-user`");
        there.then(|| Finding { severity: Severity::Warning, ..failure.into() })
    }

    /// What is wrong with the file before anything is changed.
    pub fn ahead(&self) -> Option<Failure> {
        let path = target(&self.wish.config)?;
        let deed = self.deed("merge");
        let entry = Entry { name: self.name(), owner: self.owner(), cluster: json!({}), user: json!({}) };
        match userfile::read(&path) {
            Err(error) => Some(unusable(deed, &path, &error)),
            Ok(text) => splice::put(text.as_deref(), &entry).err().map(|unfit| refused(deed, &path, unfit)),
        }
    }

    /// Looks. `wanted` is what the cluster says of how it is reached, if it does.
    pub fn look(&self, wanted: Option<&SecretString>) -> Result<Observation, Failure> {
        let (was, is) = self.files();
        for path in was.iter().chain(&is) {
            let Some(differs) = self.found(path, wanted)? else { continue };
            let differs = match &is {
                Some(is) if is != path => {
                    Some(format!("it is in `{}`, and asked for in `{}`", path.display(), is.display()))
                }
                _ => differs,
            };
            return Ok(Observation::Present { thing: self.thing(path), differs });
        }
        Ok(Observation::Absent)
    }

    /// Whether it is in a file, and how it differs there.
    fn found(&self, path: &Path, wanted: Option<&SecretString>) -> Result<Option<Option<String>>, Failure> {
        let text = match userfile::read(path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(None),
            Err(error) => return Err(unusable(self.deed("look at"), path, &error)),
        };
        match splice::has(&text, &self.name(), &self.owner()) {
            Ok(Has::Nothing) | Err(Unfit::Foreign(_)) => Ok(None),
            Ok(Has::Ours) => {
                let differs = match wanted.map(|wanted| self.entry(wanted)) {
                    Some(Ok(entry)) if splice::is_as(&text, &entry) => None,
                    Some(Ok(_)) => Some("it leads elsewhere".to_owned()),
                    Some(Err(_)) | None => Some("the cluster does not say how it is reached".to_owned()),
                };
                Ok(Some(differs))
            }
            // Ours may be in it, if it ever came there.
            Err(_) if self.job.merged().is_some_and(|into| into.file == path) => {
                Ok(Some(Some(format!("`{}` cannot be read", path.display()))))
            }
            Err(_) => Ok(None),
        }
    }

    fn entry(&self, wanted: &SecretString) -> Result<Entry, Failure> {
        let unreadable = || {
            Failure::new(Code::new("P1012"), Class::Retryable, self.deed("read"))
                .because("kind answered what is no kubeconfig")
                .hint("see for yourself: `kind get kubeconfig`")
        };
        let mut document: Value = yaml_serde::from_str(wanted.expose_secret()).map_err(|_| unreadable())?;
        let (cluster, user) =
            (document["clusters"][0]["cluster"].take(), document["users"][0]["user"].take());
        if !cluster.is_object() || !user.is_object() {
            return Err(unreadable());
        }
        Ok(Entry { name: self.name(), owner: self.owner(), cluster, user })
    }

    /// Puts it in, or puts it right.
    pub async fn put(&self, wanted: &SecretString) -> Result<Ensured, Failure> {
        let (was, is) = self.files();
        let deed = self.deed("merge");
        let Some(path) = is else {
            return Err(Failure::new(Code::new("P0216"), Class::Bug, deed).because("nobody asked for it"));
        };
        if let Some(was) = was.filter(|was| *was != path)
            && let Some(why) = self.take_out(&was, &deed).await?
        {
            return Err(refused(deed, &was, Unfit::Layout(why)));
        }
        let entry = self.entry(wanted)?;
        let io = |error: io::Error| unusable(deed.clone(), &path, &error);
        let locked = lock(&path, &deed).await?;
        let text = locked.read().map_err(io)?;
        let changed = !text.as_ref().is_some_and(|text| splice::is_as(text, &entry));
        if changed {
            let new =
                splice::put(text.as_deref(), &entry).map_err(|unfit| refused(deed.clone(), &path, unfit))?;
            // First: where it came is to be known by whoever has to take it out.
            let before = self.job.merged().filter(|into| into.file == path);
            let made_folder = locked.made_folder() || before.is_some_and(|into| into.made_folder);
            let Owner { platform, cluster } = self.owner();
            let into = Into { file: path.clone(), made_folder, platform, cluster };
            self.job.remember_merged(&into).map_err(io)?;
            locked.write(&new).map_err(io)?;
        }
        Ok(Ensured::Done { thing: self.thing(&path), changed })
    }

    /// Takes it out of wherever it may be.
    pub async fn remove(&self) -> Result<Removed, Failure> {
        let (was, is) = self.files();
        let mut kept = None;
        for path in was.iter().chain(&is) {
            let why = self.take_out(path, &self.deed("remove")).await?;
            // Of one into which nothing ever came it need not be known what is in it.
            kept = kept.or(why.filter(|_| was.as_ref() == Some(path)));
        }
        match kept {
            Some(why) => Ok(Removed::Kept { why }),
            None => {
                self.job
                    .forget_merged()
                    .map_err(|error| unusable(self.deed("remove"), &self.job.log(), &error))?;
                Ok(Removed::Done)
            }
        }
    }

    async fn take_out(&self, path: &Path, deed: &str) -> Result<Option<String>, Failure> {
        let with_folder = self.job.merged().is_some_and(|into| into.file == path && into.made_folder);
        take_out(path, &self.name(), &self.owner(), deed, with_folder).await
    }
}

/// Takes an entry along with the last thing of a cluster, wherever it is known to be.
pub(crate) async fn take_along(job: &Job, stem: &str, platform: &str, cluster: &str) -> Result<(), Failure> {
    let Some(into) = job.merged() else { return Ok(()) };
    let owner = Owner { platform: platform.to_owned(), cluster: cluster.to_owned() };
    let deed = format!("could not take `{}` out of a kubeconfig", context(stem));
    match take_out(&into.file, &context(stem), &owner, &deed, into.made_folder).await? {
        // It stays known, and is found by the next look at what is left.
        Some(_) => Ok(()),
        None => job.forget_merged().map_err(|error| unusable(deed, &job.log(), &error)),
    }
}

/// The entries of a platform in the files in which they can be: the usual one, that which the configuration names, and those of which
/// this machine knows that it has put some in.
pub(crate) fn owned(
    root: &Path,
    config: &Config,
    platform: &str,
    cluster: Option<&str>,
) -> Result<Vec<Owned>, Failure> {
    let known: Vec<Into> = Job::all(root).iter().filter_map(Job::merged).collect();
    let known_files = known.iter().map(|into| into.file.clone());
    let mut files: Vec<PathBuf> = known_files.chain(usual()).chain(target(config)).collect();
    files.sort();
    files.dedup();
    let mut found = Vec::new();
    for path in files {
        let text = match userfile::read(&path) {
            Ok(text) => text.unwrap_or_default(),
            // Nothing of ours ever came into it.
            Err(_) if known.iter().all(|into| into.file != path) => continue,
            Err(error) => {
                let deed = format!("could not list what belongs to platform `{platform}`");
                return Err(unusable(deed, &path, &error));
            }
        };
        let entries = splice::of_platform(&text, platform).unwrap_or_else(|_| {
            // What was put in is still there, as far as anybody knows.
            let here = known.iter().filter(|into| into.file == path && into.platform == platform);
            here.map(|into| (context(&stem(platform, &into.cluster)), into.cluster.clone())).collect()
        });
        let of = |it: &(String, String)| cluster.is_none_or(|cluster| it.1 == cluster);
        found.extend(entries.into_iter().filter(of).map(|(name, cluster)| Owned {
            kind: KIND.to_owned(),
            id: format!("{}#{name}", path.display()),
            name,
            cluster: Some(cluster),
            age_ms: None,
            blocked_by: Vec::new(),
        }));
    }
    Ok(found)
}

/// Takes an entry out of a file; why it could not be, if so.
async fn take_out(
    path: &Path,
    name: &str,
    owner: &Owner,
    deed: &str,
    with_folder: bool,
) -> Result<Option<String>, Failure> {
    let io = |error: io::Error| unusable(deed.to_owned(), path, &error);
    let untouched = |text: &str| matches!(splice::take(text, name, owner), Ok(Left::Untouched));
    // Who has nothing to take out has no business with a lock, in a folder that may not even be there.
    match userfile::read(path).map_err(io)? {
        None => return Ok(None),
        Some(text) if untouched(&text) => return Ok(None),
        Some(_) => {}
    }
    let locked = lock(path, deed).await?;
    let Some(text) = locked.read().map_err(io)? else { return Ok(None) };
    match splice::take(&text, name, owner) {
        Ok(Left::Untouched) => {}
        Ok(Left::Text(text)) => locked.write(&text).map_err(io)?,
        Ok(Left::Nothing) => locked.remove(with_folder).map_err(io)?,
        Err(Unfit::Unreadable(why) | Unfit::Foreign(why) | Unfit::Layout(why)) => {
            return Ok(Some(format!("`{name}` stays in `{}`: {why}", path.display())));
        }
    }
    Ok(None)
}

async fn lock(path: &Path, deed: &str) -> Result<Locked, Failure> {
    let lock = userfile::lock_of(path).display().to_string();
    match Locked::new(path).await {
        Ok(Some(locked)) => Ok(locked),
        Ok(None) => Err(Failure::new(Code::new("P1042"), Class::ConflictInProgress, deed)
            .because(format!("somebody else holds `{lock}`"))
            .hint(format!("if no `kubectl` is at work, one that was killed has left it: `rm {lock}`"))),
        Err(error) => Err(unusable(deed.to_owned(), path, &error)),
    }
}

fn refused(deed: String, path: &Path, unfit: Unfit) -> Failure {
    let path = path.display();
    match unfit {
        Unfit::Foreign(why) => Failure::new(Code::new("P1040"), Class::Config, deed)
            .because(format!("`{path}`: {why}"))
            .hint(format!("see whose it is: `kubectl config get-contexts --kubeconfig {path}`; give the platform or the cluster another name, or rename that entry")),
        Unfit::Unreadable(why) | Unfit::Layout(why) => Failure::new(Code::new("P1041"), Class::Config, deed)
            .because(format!("`{path}`: {why}"))
            .hint("leave `mergeKubeconfig` out, and take the cluster's own: `platform kubeconfig --out FILE`")
            .hint(format!("or see what is wrong with it: `kubectl config view --kubeconfig {path}`")),
    }
}

fn unusable(deed: String, path: &Path, error: &io::Error) -> Failure {
    let class = match error.kind() {
        io::ErrorKind::StorageFull => Class::Capacity,
        io::ErrorKind::PermissionDenied => Class::Forbidden,
        _ => Class::Config,
    };
    Failure::new(Code::new("P1043"), class, deed)
        .because(format!("`{}` cannot be used", path.display()))
        .caused_by(error)
        .hint("see whether there is room, and whose it is: `df -h`, `ls -la`")
}

#[cfg(test)]
mod tests {
    use platform_provider::ClusterRequest;

    use super::*;

    const SAID: &str = "clusters:\n- cluster: {server: 'https://127.0.0.1:1'}\n  name: kind-demo-eu\ncontexts: []\nusers:\n- name: kind-demo-eu\n  user: {client-key-data: Qw==}\n";

    fn request(file: &Path) -> ClusterRequest {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        request.config = json!({ "mergeKubeconfig": file });
        request
    }

    fn merged<'a>(wish: &'a Wish<'a>, root: &Path) -> Merged<'a> {
        Merged::new(wish, Job::of(&root.join("jobs"), &wish.stem()))
    }

    fn differs(observation: &Observation) -> Option<&str> {
        match observation {
            Observation::Present { differs, .. } => differs.as_deref(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn it_comes_stays_moves_and_goes() {
        let root = tempfile::tempdir().expect("a directory");
        let (one, other) = (root.path().join("one"), root.path().join("sub/other"));
        let theirs = "# mine\napiVersion: v1\nclusters: null\nkind: Config\n";
        std::fs::write(&one, theirs).expect("written");
        let wanted = SecretString::from(SAID);
        let request_one = request(&one);
        let wish = Wish::read(&request_one).expect("a good request");
        let entry = merged(&wish, root.path());
        assert!(entry.ahead().is_none());
        assert!(matches!(entry.look(Some(&wanted)), Ok(Observation::Absent)));
        assert!(matches!(entry.put(&wanted).await, Ok(Ensured::Done { changed: true, .. })));
        assert!(matches!(entry.put(&wanted).await, Ok(Ensured::Done { changed: false, .. })));
        assert_eq!(differs(&entry.look(Some(&wanted)).expect("looked")), None);
        assert!(differs(&entry.look(None).expect("looked")).is_some());
        let found = owned(&root.path().join("jobs"), &wish.config, "demo", Some("eu")).expect("listed");
        assert_eq!((found.len(), found[0].name.as_str()), (1, "kind-demo-eu"));

        // Asked for elsewhere.
        let request_other = request(&other);
        let moved = Wish::read(&request_other).expect("a good request");
        let entry = merged(&moved, root.path());
        assert!(
            differs(&entry.look(Some(&wanted)).expect("looked")).is_some_and(|how| how.contains("other"))
        );
        entry.put(&wanted).await.expect("moved");
        assert_eq!(std::fs::read_to_string(&one).expect("read"), theirs);
        // Not asked for at all any more, and found all the same.
        let plain = ClusterRequest::new("demo", "eu", "here");
        let wish = Wish::read(&plain).expect("a good request");
        let entry = merged(&wish, root.path());
        assert!(matches!(entry.look(None), Ok(Observation::Present { .. })));
        assert_eq!(entry.remove().await.expect("removed"), Removed::Done);
        assert_eq!(entry.remove().await.expect("removed"), Removed::Done);
        assert!(!root.path().join("sub").exists(), "a folder that was made for it");
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_found_ahead_and_not_touched() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("config");
        let request = request(&file);
        let wish = Wish::read(&request).expect("a good request");
        let entry = merged(&wish, root.path());
        let foreign = "contexts:\n- context: {cluster: a}\n  name: kind-demo-eu\n";
        for (text, code) in [(foreign, "P1040"), ("clusters: [", "P1041"), ("{\"clusters\": []}", "P1041")] {
            std::fs::write(&file, text).expect("written");
            let ahead = entry.ahead().expect("it is found");
            let refused = entry.put(&SecretString::from(SAID)).await.expect_err("it is refused");
            assert_eq!((ahead.code.as_str(), refused.code.as_str()), (code, code));
            assert_eq!(entry.remove().await.expect("nothing to remove").clone(), Removed::Done);
            assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
        }
        std::fs::write(userfile::lock_of(&file), "").expect("written");
        std::fs::write(&file, "").expect("written");
        let held = entry.put(&SecretString::from(SAID)).await.expect_err("it is locked");
        assert_eq!((held.code.as_str(), held.class), ("P1042", Class::ConflictInProgress));
    }

    #[tokio::test]
    async fn what_can_be_read_no_more_stays_and_is_said() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("config");
        let request = request(&file);
        let wish = Wish::read(&request).expect("a good request");
        let entry = merged(&wish, root.path());
        entry.put(&SecretString::from(SAID)).await.expect("put in");
        let broken = format!("{}clusters: again\n", std::fs::read_to_string(&file).expect("read"));
        std::fs::write(&file, &broken).expect("written");
        assert!(matches!(entry.look(None), Ok(Observation::Present { differs: Some(_), .. })));
        match entry.remove().await.expect("looked") {
            Removed::Kept { why } => assert!(why.contains("stays in"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(&file).expect("read"), broken);
        // It is known when the cluster is gone, too.
        let job = Job::of(&root.path().join("jobs"), &wish.stem());
        job.forget(job.lock().expect("a lock").expect("free")).expect("forgotten");
        let left = owned(&root.path().join("jobs"), &wish.config, "demo", None).expect("listed");
        assert_eq!((left.len(), left[0].name.as_str()), (1, "kind-demo-eu"));
    }
}
