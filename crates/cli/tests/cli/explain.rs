//! `platform explain`.

use serde_json::json;

use crate::bed::Bed;

#[test]
fn prints_the_page_of_a_code_however_it_is_written() {
    let bed = Bed::new();
    let page = bed.run(&["explain", "P0901"]);
    assert!(page.stdout.starts_with("# P0901: The command line is wrong\n"), "{page:?}");
    for word in ["p0901", "901", "0901"] {
        assert_eq!(bed.run(&["explain", word]).stdout, page.stdout);
    }
}

#[test]
fn lists_every_page_without_a_code() {
    let said = Bed::new().run(&["explain", "--output", "json"]);
    let pages = fs_err::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors")).expect("pages");
    assert_eq!(said.json()["codes"].as_array().map(Vec::len), Some(pages.count()));
}

#[test]
fn does_not_know_every_number() {
    let said = Bed::new().run(&["explain", "P4242", "--output", "json"]);
    assert_eq!((said.code, &said.json()["error"]["code"]), (2, &json!("P0905")));
}
