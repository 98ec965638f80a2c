//! Columns of text.

use unicode_width::UnicodeWidthStr;

use crate::words;

/// Rows under a heading, each column as wide as its widest cell, two spaces between; no trailing blanks.
///
/// Cells may hold no line breaks; they are shown as spaces.
pub fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = heading.iter().map(|&cell| cell.to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(&heading)
        .chain(rows)
        .map(|row| row.iter().map(|cell| words::harmless(cell).replace('\n', " ")).collect())
        .collect();
    let mut widths = vec![0; heading.len()];
    for row in &lines {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut text = String::new();
    for row in &lines {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["é".into(), "first\nsecond".into()], vec!["long one".into(), String::new()]];
        assert_eq!(render(&["A", "B"], &rows), "A         B\né         first second\nlong one\n");
    }
}
