//! What earlier nights have shown.

use std::{collections::BTreeMap, path::Path};

use super::report::{Report, Status};

/// One earlier night.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Earlier {
    /// How each entry ended, by name.
    pub entries: BTreeMap<String, Status>,
}

/// So many nights are looked back.
const NIGHTS: usize = 30;

/// Reads the reports of earlier nights, the latest last. A night that has none was killed, and says nothing.
pub(super) fn read(dir: &Path) -> Vec<Earlier> {
    let Ok(nights) = fs_err::read_dir(dir.join("runs")) else { return Vec::new() };
    // Their names are ULIDs: by name is by time.
    let mut reports: Vec<_> = nights.flatten().map(|night| night.path().join("report.json")).collect();
    reports.sort();
    let nights = reports.iter().rev().filter_map(|path| {
        let report: Report = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
        Some(Earlier { entries: report.entries.into_iter().map(|it| (it.name, it.status)).collect() })
    });
    let mut nights: Vec<Earlier> = nights.take(NIGHTS).collect();
    nights.reverse();
    nights
}
