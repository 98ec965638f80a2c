//! People at work in the platform's repository while it is up.

use std::path::PathBuf;

use platform_tests::{Output, World};

use super::{assert_up, commits, refused, up};

/// A person with a clone.
struct Person<'w> {
    world: &'w World<'w>,
    clone: PathBuf,
}

impl<'w> Person<'w> {
    fn new(world: &'w World<'w>, name: &str) -> Self {
        let person = Self { world, clone: world.dir().join(name) };
        let from = world.repository("platform").display().to_string();
        let to = person.clone.display().to_string();
        let git = &mut world.bed().command("git");
        Output::of(git.args(["clone", "--quiet", &from, &to]).env("HOME", world.dir())).ok();
        person
    }

    fn git(&self, args: &[&str]) -> String {
        let clone = self.clone.display().to_string();
        let git = &mut self.world.bed().command("git");
        let git = git.args(["-C", &clone, "-c", "user.name=Jo", "-c", "user.email=jo@example.com"]);
        Output::of(git.args(args).env("HOME", self.world.dir())).ok().stdout.trim().to_owned()
    }

    fn write(&self, path: &str, edit: impl FnOnce(String) -> String) {
        let path = self.clone.join(path);
        let text = fs_err::read_to_string(&path).unwrap_or_default();
        fs_err::write(path, edit(text)).expect("a file");
    }

    fn push(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["push", "--quiet", "origin", "main"]);
    }
}

fn tip(world: &World) -> String {
    world.git("platform", ["rev-parse", "main"]).ok().stdout.trim().to_owned()
}

/// Files of people stay; an edit of a rendered file is named and stays too, until its author takes it back.
pub fn edits_of_people_are_kept_and_never_overwritten(world: &World) {
    let jo = Person::new(world, "jo");
    let rendered = jo.git(&["ls-files", "argocd/*.yaml"]).lines().next().expect("a rendered file").to_owned();
    jo.write("NOTES.md", |_| "remember the milk\n".into());
    jo.push("notes");
    jo.write(&rendered, |text| text + "# edited by hand\n");
    jo.push("an edit");
    let edited = tip(world);

    let report = refused(world.platform(up(world)), 1, "P0310", "config");
    assert_eq!(report["error"]["blockers"][0], rendered, "{report:#}");
    assert_eq!((report["status"].as_str(), tip(world)), (Some("held"), edited), "nothing was overwritten");

    jo.git(&["revert", "--no-edit", "HEAD"]);
    jo.git(&["push", "--quiet", "origin", "main"]);
    let reverted = tip(world);
    world.platform(["resume"]).ok();
    assert_eq!((tip(world), commits(world)), (reverted, 4), "no commit of ours was needed");
    let notes = world.git("platform", ["show", "main:NOTES.md"]).ok().stdout;
    assert_eq!(notes, "remember the milk\n");
    assert_up(world);
}

/// A history in which our commit is no more is nobody's to mend but theirs.
pub fn a_rewritten_history_is_left_alone(world: &World) {
    let before = tip(world);
    let eve = Person::new(world, "eve");
    eve.git(&["checkout", "--quiet", "--orphan", "other"]);
    eve.git(&["commit", "--quiet", "--message", "a new beginning"]);
    eve.git(&["push", "--quiet", "--force", "origin", "other:main"]);
    let rewritten = tip(world);
    assert_ne!(rewritten, before);

    let report = refused(world.platform(up(world)), 1, "P0309", "config");
    let causes = report["error"]["causes"].to_string();
    assert!(causes.contains(&before) && causes.contains(&rewritten), "{causes}");
    assert_eq!(tip(world), rewritten, "nothing was forced");

    // what the hint says: bring the known commit back into the branch
    eve.git(&["merge", "--quiet", "--allow-unrelated-histories", "--no-edit", &before]);
    eve.git(&["push", "--quiet", "origin", "other:main"]);
    world.platform(["resume"]).ok();
    assert_up(world);
}
