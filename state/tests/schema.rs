//! `schema.sql` is what the migrations amount to, to be read in one piece.

mod common;

use std::path::Path;

#[tokio::test]
async fn the_migrated_schema_is_the_one_in_schema_sql() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::open(dir.path()).await;
    let mut db = common::sql(&store).await;
    let found: Vec<(String,)> = sqlx::query_as(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name <> '_sqlx_migrations' ORDER BY rowid",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let mut schema = String::from(
        "-- Written by `UPDATE_GOLDEN=1 cargo test -p platform-state --test schema`; change the migrations instead.\n",
    );
    for (sql,) in found {
        schema.push_str(&format!("\n{sql};\n"));
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.sql");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &schema).unwrap();
    }
    let written = std::fs::read_to_string(&golden).expect("state/schema.sql");
    assert_eq!(written, schema, "run it with UPDATE_GOLDEN=1 and read the difference");
}
