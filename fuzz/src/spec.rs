//! Spec files.

use platform_spec::{
    derive, parse, place,
    report::{Finding, Severity},
};

/// The file's name in findings.
const FILE: &str = "platform.yaml";

/// A file is read the same way twice; what is wrong is said with a place that the file has; what is valid is still the
/// same platform when it is written and read again.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = parse(FILE, text);
    assert_eq!(read, parse(FILE, text), "read twice");
    match &read {
        Err(findings) => {
            assert!(findings.iter().any(|it| it.severity == Severity::Error), "refused for nothing");
            placed(text, findings);
        }
        Ok(parsed) => {
            assert!(parsed.findings.iter().all(|it| it.severity == Severity::Warning), "errors are let pass");
            placed(text, &parsed.findings);
            let written = serde_json::to_string(&parsed.platform).expect("a platform is plain data");
            let again = parse(FILE, &written).unwrap_or_else(|wrong| panic!("{written}\n{wrong:#?}"));
            assert_eq!(parsed.platform, again.platform, "written and read again");
            assert_eq!(derive(&parsed.platform), derive(&again.platform), "derived twice");
        }
    }
}

/// Every finding is in the file, and they are in its order.
fn placed(text: &str, findings: &[Finding]) {
    let lines = lines(text);
    let mut last = (0, 0);
    for finding in findings {
        assert_eq!(finding.file.as_deref(), Some(FILE), "{finding:?}");
        assert!(!finding.message.is_empty() && finding.code.as_str().starts_with('P'), "{finding:?}");
        let here = (finding.line.unwrap_or_default(), finding.column.unwrap_or_default());
        assert!(here.0 <= lines, "{finding:?} is behind the end: there are {lines} lines");
        assert!(last <= here, "{finding:?} stands behind {last:?}");
        last = here;
        if let Some(path) = &finding.path {
            place(text, path);
        }
    }
}

/// Lines as YAML 1.1 counts them, by which parsers name places: a carriage return ends one too, and so do three breaks
/// beyond ASCII.
fn lines(text: &str) -> u64 {
    let breaks = text.replace("\r\n", "\n");
    1 + breaks.chars().filter(|it| matches!(it, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')).count()
        as u64
}
