//! literal credentials. The search itself is [`crate::scan`].

use crate::{
    lint::{Found, sheet::Sheet},
    scan,
};

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    scan::in_lines(sheet.text, &mut |line, kind| found.at(sheet.path, line, kind));
    scan::in_documents(&sheet.documents, &mut |value, kind| found.value(sheet, value, kind));
}
