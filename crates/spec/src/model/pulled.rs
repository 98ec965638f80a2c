//! Where Argo CD pulls from, when that is a folder of this machine.

use super::{GitFolder, Model, gitops};
use crate::platform::{Spec, git::ServerKind};

/// The folder of bare repositories that has to be brought to the pods of the one Argo CD that pulls from it; `None` where the
/// spec says at which address pods reach Git. Several Argo CDs would need an address each.
pub(crate) fn folder(spec: &Spec) -> Option<GitFolder> {
    let server = &spec.git.server;
    if server.kind != ServerKind::Local || server.in_cluster_url.is_some() {
        return None;
    }
    let path = server.url.strip_prefix("file://")?.trim_end_matches('/');
    let instances = gitops::argocd(spec).instances;
    let [argocd] = instances.as_slice() else { return None };
    let cluster = argocd.cluster.clone();
    (!path.is_empty()).then(|| GitFolder { path: path.to_owned(), cluster })
}

impl Model {
    /// Has Argo CD pull every repository from below `base`.
    pub fn pull_from(&mut self, base: &str) {
        let before = std::mem::replace(&mut self.git.in_cluster_url, base.to_owned());
        let moved = |url: &mut String| {
            if let Some(rest) = url.strip_prefix(&before).filter(|rest| rest.starts_with('/')) {
                *url = format!("{base}{rest}");
            }
        };
        self.repositories.iter_mut().for_each(|repository| moved(&mut repository.in_cluster_url));
        self.applications.iter_mut().for_each(|application| moved(&mut application.source.repo_url));
        for project in &mut self.projects {
            project.source_repos.iter_mut().for_each(moved);
            project.source_repos.sort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{derive, parse, starter::starter};

    fn kind(change: impl Fn(String) -> String) -> crate::Model {
        let text = change(starter("kind", Path::new("/var/lib/platform")).expect("there is one"));
        derive(&parse("platform.yaml", &text).expect("a good spec").platform)
    }

    #[test]
    fn a_folder_without_another_address_is_to_be_brought_to_pods() {
        let folder = kind(|text| text).git.folder.expect("it is one");
        assert_eq!(folder.path, "/var/lib/platform/git");
        assert_eq!(folder.cluster, "demo");
        let elsewhere = kind(|text| {
            text.replace("    repositories:", "      inClusterUrl: http://git.example\n    repositories:")
        });
        assert_eq!(elsewhere.git.folder, None);
    }

    #[test]
    fn everything_is_pulled_from_where_it_is_served() {
        let mut model = kind(|text| text);
        model.pull_from("git://here");
        assert_eq!(model.repositories[0].in_cluster_url, "git://here/platform.git");
        assert_eq!(model.repositories[0].push_url, "file:///var/lib/platform/git/platform.git");
        let text = serde_json::to_string(&(&model.applications, &model.projects)).expect("JSON");
        assert!(text.contains("git://here/platform.git") && !text.contains("file://"), "{text}");
    }
}
