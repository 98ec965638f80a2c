//! The rules of rendered trees: each has a tree that breaks it and one that keeps it, a realistic repository breaks none, and
//! neither does what our blueprints render.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use jiff::civil::{Date, date};
use platform_blueprint::{
    File, Tree,
    lint::{self, RULES, Report},
};
use proptest::prelude::*;

/// The day on which trees are judged here.
const TODAY: Date = date(2026, 11, 22);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn collect(folder: &Path, below: &str, tree: &mut Tree) {
    for entry in fs_err::read_dir(folder).expect("a folder") {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("a name");
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.path().is_dir() {
            collect(&entry.path(), &path, tree);
        } else {
            tree.files.insert(path, File::new(fs_err::read(entry.path()).expect("a file")));
        }
    }
}

fn read(folder: &Path) -> Tree {
    let mut tree = Tree::default();
    collect(folder, "", &mut tree);
    tree
}

fn fixture(name: &str) -> Tree {
    read(&root().join("tests/fixtures/trees").join(name))
}

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), File::new(*text))).collect() }
}

/// Rule, file and line of everything that was found.
fn places(report: &Report) -> BTreeSet<(String, String, u64)> {
    let place = |found: &lint::Finding| {
        let (file, line) = (found.finding.file.clone(), found.finding.line);
        (found.rule.to_owned(), file.expect("a file"), line.expect("a line"))
    };
    report.findings.iter().map(place).collect()
}

/// Lines that bear the mark `<- RULE`; where a mark says so, the line below it.
fn marked(tree: &Tree, rule: &str) -> BTreeSet<(String, String, u64)> {
    let mark = format!("<- {rule}");
    let mut marked = BTreeSet::new();
    for (path, file) in &tree.files {
        for (number, line) in (1..).zip(file.text().expect("text").lines()) {
            if line.contains(&mark) {
                let below = u64::from(line.contains("is in the next line"));
                marked.insert((rule.to_owned(), path.clone(), number + below));
            }
        }
    }
    marked
}

/// G-10 … G-19, G-22, G-23, X-08: what is marked is found, in its line, and nothing else.
#[test]
fn every_rule_has_a_tree_that_breaks_it_and_one_that_keeps_it() {
    for rule in RULES {
        let broken = fixture(&format!("{}/broken", rule.id));
        let report = lint::check(&broken, Some(TODAY));
        assert!(!report.passed(), "{}", rule.id);
        assert_eq!(places(&report), marked(&broken, rule.id), "{}", rule.id);
        for found in &report.findings {
            assert_eq!(found.finding.code, rule.code);
            assert!(found.finding.message.starts_with(&format!("{}: ", rule.id)), "{found}");
        }
        let kept = lint::check(&fixture(&format!("{}/kept", rule.id)), Some(TODAY));
        assert_eq!(kept.findings, [], "{}", rule.id);
        assert_eq!(kept.accepted, [], "{}", rule.id);
    }
}

/// Taken together, the trees that keep one rule each are a repository as people have it: no rule finds anything there.
#[test]
fn a_realistic_repository_breaks_no_rule() {
    let mut whole = Tree::default();
    for rule in RULES {
        let below = rule.id.to_lowercase();
        for (path, file) in fixture(&format!("{}/kept", rule.id)).files {
            whole.files.insert(format!("{below}/{path}"), file);
        }
    }
    let report = lint::check(&whole, None);
    assert_eq!(report.findings, []);
    assert!(whole.files.len() > 30);
}

/// Every blueprint of this program, whichever come: what its golden trees hold breaks no rule, now and when it runs. What it
/// accepts is said here.
#[test]
fn what_our_blueprints_render_breaks_no_rule() {
    let mut judged = 0;
    for blueprint in fs_err::read_dir(root().join("blueprints")).expect("blueprints") {
        let golden = blueprint.expect("readable").path().join("golden");
        let Ok(repositories) = std::fs::read_dir(&golden) else { continue };
        for repository in repositories {
            let folder = repository.expect("readable").path();
            if !folder.is_dir() {
                continue;
            }
            let report = lint::check(&read(&folder), Some(TODAY));
            assert_eq!(report.findings, [], "{}", folder.display());
            for accepted in &report.accepted {
                assert_eq!(accepted.finding.rule, "G-17", "{}: {accepted:?}", folder.display());
            }
            judged += 1;
        }
    }
    assert!(judged > 0, "no blueprint has a golden tree");
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n";

#[test]
fn an_acceptance_holds_for_its_place_until_its_day_and_is_listed() {
    let at_the_end = format!("{POD}  - image: a:latest # platform:accept G-14 until 2026-11-22: no other\n");
    let above =
        format!("{POD}  # platform:accept G-14 until 2026-12-31: no other\n  # tag\n  - image: a:latest\n");
    let whole = format!(
        "# platform:accept G-14 until 2027-01-01: no other\n\n{POD}  - image: b:1\n  - image: a:latest\n"
    );
    for (text, line) in [(&at_the_end, 6), (&above, 8), (&whole, 9)] {
        let report = lint::check(&tree(&[("pod.yaml", text)]), Some(TODAY));
        assert_eq!((report.findings.as_slice(), report.accepted.len()), (&[][..], 1), "{text}");
        let accepted = &report.accepted[0];
        assert_eq!(accepted.finding.finding.line, Some(line));
        assert!(accepted.reason.starts_with("no other"));
    }
    let next_day = TODAY.tomorrow().expect("a day");
    let report = lint::check(&tree(&[("pod.yaml", &at_the_end)]), Some(next_day));
    assert_eq!(report.findings.len(), 1);
    assert!(report.findings[0].finding.message.contains("until 2026-11-22, which is over"), "{report:?}");
    assert!(!report.passed());
}

#[test]
fn an_acceptance_of_something_else_accepts_nothing_and_is_said() {
    for (note, code, passed) in [
        ("# platform:accept G-14 until 2027-01-01:", "P0317", false),
        ("# platform:accept G-14: forever", "P0317", false),
        ("# platform:accept G-99 until 2027-01-01: no such rule", "P0317", false),
        ("# platform:accept G-14 until 2027-02-30: no such day", "P0317", false),
        ("# platform:accept G-15 until 2027-01-01: nothing here breaks it", "P0317", true),
    ] {
        let report = lint::check(&tree(&[("a.yaml", &format!("{note}\nkind: X\n"))]), Some(TODAY));
        let codes: Vec<_> = report.findings.iter().map(|found| found.finding.code.as_str()).collect();
        assert_eq!((codes.as_slice(), report.passed()), (&[code][..], passed), "{note}");
    }
    let elsewhere = format!(
        "{POD}  # platform:accept G-14 until 2027-01-01: the one below\n  - image: b:1\n  - image: a:latest\n"
    );
    assert!(!lint::check(&tree(&[("a.yaml", &elsewhere)]), Some(TODAY)).passed());
    let secrets = "# platform:accept X-08 until 2027-01-01: all of them\n\na: 1\npassword: hunter2\n";
    assert!(!lint::check(&tree(&[("a.yaml", secrets)]), Some(TODAY)).passed(), "credentials one by one");
    let one = "a: 1\npassword: hunter2 # platform:accept X-08 until 2027-01-01: of a test\n";
    assert!(lint::check(&tree(&[("a.yaml", one)]), Some(TODAY)).passed());
}

#[test]
fn what_cannot_be_judged_is_said() {
    let mut whole = tree(&[
        ("c/Chart.yaml", "name: c\n"),
        ("c/templates/a.yaml", "{{ x }}\n"),
        ("broken.yaml", "a: [\n"),
        ("fine.yaml", "a: 1\n"),
    ]);
    whole.files.insert("picture.png".to_owned(), File::new([0xff, 0xfe]));
    let report = lint::check(&whole, Some(TODAY));
    let files: Vec<_> = report.unjudged.iter().map(|it| it.file.as_str()).collect();
    assert_eq!(files, ["broken.yaml", "c/templates/a.yaml", "picture.png"]);
    assert_eq!((report.files, report.findings.len()), (5, 0));
}

/// `docs/reference/rules.md` is the list of the rules. `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_reference_lists_every_rule() {
    let mut text = "# Rules of a GitOps tree\n\nWhat blueprints render keeps them, and `platform verify repo DIR` asks them of any \
                    repository ([guide](../guides/verify-repo.md)).\n\n| rule | code | what it asks |\n|---|---|---|\n"
        .to_owned();
    for rule in RULES {
        let later = if rule.asks_operation { " Not asked before something is published." } else { "" };
        text.push_str(&format!(
            "| {} | [{1}](../errors/{1}.md) | {2}{later} |\n",
            rule.id, rule.code, rule.asks
        ));
    }
    let file = root().join("docs/reference/rules.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs_err::write(&file, &text).expect("written");
    }
    assert_eq!(fs_err::read_to_string(&file).expect("it is there"), text);
}

proptest! {
    /// wherever a secret stands, it is found, and nothing that is said repeats it.
    #[test]
    fn a_secret_is_found_and_never_repeated(secret in "[A-C][a-zA-Z0-9]{7}Q[a-z0-9]{12}") {
        let indented = format!("{{{{- if .x }}}}\nurl: https://shop:{secret}@db.example.com\n{{{{ end }}}}\n");
        let files = [
            ("key.yaml", format!("db:\n  password: {secret}\n")),
            ("quoted.yaml", format!("a: {{clientSecret: \"{secret}\"}}\n")),
            ("secret.yaml", format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nstringData:\n  x: {secret}\n")),
            ("env.yaml", format!("kind: X\nenv:\n- name: API_TOKEN\n  value: {secret}\n")),
            ("notes.md", format!("see https://shop:{secret}@git.example.com\n")),
            ("broken.yaml", format!("url: postgres://shop:{secret}@db\npassword: [{secret}\n")),
            ("chart/templates/a.yaml", indented),
            ("chart/Chart.yaml", "name: chart\n".to_owned()),
            (".env", format!("AWS_SECRET_ACCESS_KEY={secret}\n")),
        ];
        let whole = Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), File::new(text.as_str()))).collect() };
        let report = lint::check(&whole, Some(TODAY));
        let found: BTreeSet<_> = report.findings.iter().filter_map(|found| found.finding.file.as_deref()).collect();
        let all: BTreeSet<_> = files.iter().map(|(path, _)| *path).filter(|path| *path != "chart/Chart.yaml").collect();
        prop_assert_eq!(found, all);
        let said = serde_json::to_string(&report).expect("JSON");
        prop_assert!(!said.contains(&secret), "{}", said);
        prop_assert!(!report.findings.iter().any(|found| found.to_string().contains(&secret)));
    }

    /// Any file at any place is judged without a panic, and twice in the same way.
    #[test]
    fn any_tree_can_be_judged(
        path in "(base|overlays|charts|apps|\\.github/workflows)/(kustomization\\.yaml|Chart\\.yaml|templates/a\\.yaml|main\\.tf|a\\.yml)",
        text in proptest::collection::vec("(kind|spec|rules|egress|images|metadata|- |  |: |\\[|\\]|\\{|\\}|&a |\\*a|\n|---\n|# platform:accept |X-08|latest|resource \"helm_release\" \"x\"|kubectl apply)", 0..40),
    ) {
        let whole = tree(&[(&path, &text.concat()), ("charts/Chart.yaml", "name: c\n")]);
        prop_assert_eq!(lint::check(&whole, Some(TODAY)), lint::check(&whole, Some(TODAY)));
    }
}
