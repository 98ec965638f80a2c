use proptest::prelude::*;

use super::*;

fn owner(cluster: &str) -> Owner {
    Owner { platform: "demo".into(), cluster: cluster.into() }
}

fn entry(cluster: &str) -> Entry {
    Entry {
        name: format!("kind-demo-{cluster}"),
        owner: owner(cluster),
        cluster: json!({ "certificate-authority-data": "QQ==", "server": "https://127.0.0.1:6443" }),
        user: json!({ "client-certificate-data": "Qg==", "client-key-data": "Qw==" }),
    }
}

fn put_in(text: &str, cluster: &str) -> String {
    put(Some(text), &entry(cluster)).expect("it can be put in")
}

#[track_caller]
fn taken(text: &str, cluster: &str) -> String {
    match take(text, &format!("kind-demo-{cluster}"), &owner(cluster)).expect("it can be taken") {
        Left::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

const THEIRS: &str = "# mine, and I like it so
apiVersion: v1
clusters:
  # the big one
  - cluster: {server: 'https://big.example.com'}   # do not touch
    name: big

contexts:
  - context:
      cluster: big
      user: ada
    name: big
current-context: \"big\"   # for work
kind: Config
preferences: {}
users:
  - name: ada
    user:
      exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never}
wonder: 1
";

#[test]
fn what_was_put_in_is_there_and_the_rest_is_as_it_was() {
    let merged = put_in(THEIRS, "eu");
    let document = read(&merged).expect("YAML");
    assert_eq!(document[CURRENT], "kind-demo-eu");
    assert_eq!(entries(&document, "clusters").len(), 2);
    assert!(is_as(&merged, &entry("eu")) && !is_as(THEIRS, &entry("eu")));
    assert_eq!(has(&merged, "kind-demo-eu", &owner("eu")), Ok(Has::Ours));
    // Every line of theirs but that of the current context is there, in its order.
    let mut rest = merged.lines();
    for line in THEIRS.lines().filter(|line| !line.starts_with(CURRENT)) {
        assert!(rest.any(|it| it == line), "{line} is gone: {merged}");
    }
    assert_eq!(taken(&merged, "eu"), THEIRS);
}

#[test]
fn it_is_put_right_in_its_place_and_does_not_become_current_again() {
    let merged = put_in(THEIRS, "eu");
    let switched = merged.replace("current-context: kind-demo-eu", "current-context: big");
    let mut moved = entry("eu");
    moved.cluster["server"] = json!("https://127.0.0.1:7777");
    assert!(!is_as(&switched, &moved));
    let right = put(Some(&switched), &moved).expect("put right");
    assert!(is_as(&right, &moved));
    assert_eq!(read(&right).expect("YAML")[CURRENT], "big");
    assert_eq!(
        taken(&right, "eu"),
        THEIRS.replace("current-context: \"big\"   # for work", "current-context: big")
    );
}

#[test]
fn a_file_that_was_made_for_it_goes_with_it() {
    let merged = put(None, &entry("eu")).expect("put in");
    assert!(merged.starts_with(EMPTY));
    assert_eq!(take(&merged, "kind-demo-eu", &owner("eu")), Ok(Left::Nothing));
    // Unless somebody else has come to like it.
    let used = merged.replace("kind: Config\n", "kind: Config\nwonder: 1\n");
    assert_eq!(taken(&used, "eu"), format!("{EMPTY}wonder: 1\n"));
    // Of two, the last one takes it along, in either order.
    let two = put_in(&merged, "us");
    for (first, last) in [("eu", "us"), ("us", "eu")] {
        let one = taken(&two, first);
        assert_eq!(
            take(&one, &format!("kind-demo-{last}"), &owner(last)),
            Ok(Left::Nothing),
            "{first} first"
        );
    }
}

#[test]
fn what_kubectl_has_written_anew_is_still_known() {
    let merged = put_in(THEIRS, "eu");
    let document = read(&merged).expect("YAML");
    let rewritten = yaml_serde::to_string(&document).expect("YAML");
    let after = read(&taken(&rewritten, "eu")).expect("YAML");
    assert_eq!(after, read(THEIRS).expect("YAML"));
}

#[test]
fn what_is_not_ours_and_what_cannot_be_changed_in_part_is_left_alone() {
    let named = THEIRS.replace("name: big", "name: kind-demo-eu");
    assert!(matches!(put(Some(&named), &entry("eu")), Err(Unfit::Foreign(_))));
    assert_eq!(take(&named, "kind-demo-eu", &owner("eu")), Ok(Left::Untouched));
    let other = put_in(THEIRS, "eu");
    let mut theirs = entry("eu");
    theirs.owner.platform = "other".into();
    assert!(matches!(put(Some(&other), &theirs), Err(Unfit::Foreign(_))));
    assert_eq!(take(THEIRS, "kind-demo-eu", &owner("eu")), Ok(Left::Untouched));
    for (text, want) in [
        ("clusters: [", "not YAML"),
        ("- 1\n", "no mapping"),
        ("clusters: x\n", "no list"),
        ("clusters: [{name: a, cluster: {}}]\n", "one line"),
        ("{\"clusters\": [], \"users\": []}", "anew"),
        ("clusters: []\n...\n", "anew"),
    ] {
        let why = match put(Some(text), &entry("eu")) {
            Err(Unfit::Unreadable(why) | Unfit::Layout(why)) => why,
            other => panic!("{text}: {other:?}"),
        };
        assert!(why.contains(want), "{text}: {why}");
    }
}

#[test]
fn no_value_of_the_file_is_in_what_is_said_of_it() {
    let text = "clusters:\n- name: a\n  cluster: {}\nusers: {token: hunter2}\n";
    let said = format!("{:?}", put(Some(text), &entry("eu")).expect_err("no list"));
    assert!(!said.contains("hunter2"), "{said}");
}

/// A list of a kubeconfig in one of the ways in which people and programs write it.
fn list(key: &'static str, inner: &'static str) -> impl Strategy<Value = String> {
    let items = (0usize..=2, 1usize..=3, any::<bool>(), any::<bool>()).prop_map(move |(column, count, comment, flow)| {
        let pad = " ".repeat(column);
        let mut text = format!("{key}:   # here\n");
        for n in 0..count {
            if comment {
                text += &format!("{pad}# number {n}\n\n");
            }
            text += &match flow {
                true => format!("{pad}- {{name: \"n{n}\", {inner}: {{}}, more: [1, 2]}}\n"),
                false => format!("{pad}-\n{pad}  {inner}:\n{pad}    a: |\n{pad}      - x\n{pad}      clusters:\n{pad}  name: n{n}\n"),
            };
        }
        text
    });
    prop_oneof![
        2 => items,
        1 => Just(String::new()),
        1 => prop_oneof![Just("[]"), Just("null"), Just(""), Just("~ # none"), Just("[ ]")].prop_map(move |value| format!("{key}: {value}\n")),
    ]
}

prop_compose! {
    fn kubeconfig()(
        parts in (
            list("clusters", "cluster"), list("contexts", "context"), list("users", "user"),
            prop_oneof![Just(""), Just("current-context: n0\n"), Just("current-context: ''  # none\n"), Just("\"current-context\": >-\n  n1\n")],
            prop_oneof![Just(""), Just("apiVersion: v1\nkind: Config\n"), Just("wonder:\n- 1\n-  2 # two\n\n")],
            prop_oneof![Just(""), Just("\n# the end\n\n"), Just("\n\n")],
        ),
        order in Just([0usize, 1, 2, 3, 4]).prop_shuffle(),
        begin in any::<bool>(), crlf in any::<bool>(), cut in any::<bool>(),
    ) -> String {
        let (clusters, contexts, users, current, other, end) = parts;
        let all = [clusters, contexts, users, current.to_owned(), other.to_owned()];
        let mut text = if begin { "---\n# mine\n".to_owned() } else { String::new() };
        order.iter().for_each(|at| text += &all[*at]);
        text += end;
        if cut {
            text.truncate(text.trim_end_matches('\n').len());
        }
        if crlf { text.replace('\n', "\r\n") } else { text }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_was_put_in_comes_out_again_to_the_byte(text in kubeconfig()) {
        let merged = put_in(&text, "eu");
        prop_assert!(is_as(&merged, &entry("eu")));
        prop_assert_eq!(taken(&put_in(&merged, "eu"), "eu"), text.clone(), "put in twice");
        prop_assert_eq!(taken(&merged, "eu"), text);
    }

    #[test]
    fn several_of_ours_go_in_any_order(text in kubeconfig(), order in Just(["a", "b", "c"]).prop_shuffle()) {
        let mut merged = ["a", "b", "c"].iter().fold(text.clone(), |merged, name| put_in(&merged, name));
        for name in order {
            merged = taken(&merged, name);
        }
        prop_assert_eq!(merged, text);
    }

    #[test]
    fn what_people_write_in_between_stays(text in kubeconfig(), at_end in any::<bool>()) {
        let text = text.strip_prefix("---").map_or(text.clone(), str::to_owned);
        let text = format!("{}\n", text.trim_end_matches(['\r', '\n']));
        let edited = |text: &str| if at_end { format!("{text}# later\n") } else { format!("new: {{a: 1}}\n{text}") };
        prop_assert_eq!(taken(&edited(&put_in(&text, "eu")), "eu"), edited(&text));
    }

    #[test]
    fn no_text_at_all_makes_it_panic(text in any::<String>()) {
        if let Ok(merged) = put(Some(&text), &entry("eu")) {
            prop_assert!(is_as(&merged, &entry("eu")));
            prop_assert_eq!(take(&merged, "kind-demo-eu", &owner("eu")), Ok(Left::Text(text)));
        }
    }
}
