//! Tables: rows as lines, cells apart by ` | `.

/// Whether a line is the border of a simple table: runs of `=`, two at least.
pub(super) fn is_simple_border(line: &str) -> bool {
    let line = line.trim();
    line.contains(' ') && line.starts_with("==") && line.bytes().all(|byte| matches!(byte, b'=' | b' '))
}

/// Whether a line is the border of a grid table.
pub(super) fn is_grid_border(line: &str) -> bool {
    let line = line.trim();
    line.len() > 2
        && line.starts_with('+')
        && line.ends_with('+')
        && line.bytes().all(|byte| matches!(byte, b'+' | b'-' | b'='))
}

/// The rows of a grid table. The lines of a cell are joined.
pub(super) fn grid(lines: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    let mut cells: Vec<String> = Vec::new();
    let finish = |cells: &mut Vec<String>, rows: &mut Vec<String>| {
        let row = cells.iter().map(|cell| cell.trim()).collect::<Vec<_>>().join(" | ");
        if cells.iter().any(|cell| !cell.trim().is_empty()) {
            rows.push(row);
        }
        cells.clear();
    };
    for line in lines {
        let line = line.trim();
        if line.starts_with('+') {
            finish(&mut cells, &mut rows);
            continue;
        }
        let inner = line.strip_prefix('|').unwrap_or(line);
        let inner = inner.strip_suffix('|').unwrap_or(inner);
        for (index, part) in inner.split('|').enumerate() {
            if cells.len() <= index {
                cells.push(String::new());
            }
            if let Some(cell) = cells.get_mut(index)
                && !part.trim().is_empty()
            {
                cell.push(' ');
                cell.push_str(part.trim());
            }
        }
    }
    finish(&mut cells, &mut rows);
    rows
}

/// The rows of a simple table; columns are where the border's runs are.
pub(super) fn simple(lines: &[&str]) -> Vec<String> {
    let border = lines.first().copied().unwrap_or_default();
    let mut starts = Vec::new();
    let mut before = ' ';
    for (column, c) in border.chars().enumerate() {
        if c == '=' && before != '=' {
            starts.push(column);
        }
        before = c;
    }
    let mut rows: Vec<String> = Vec::new();
    for line in lines {
        let bare = line.trim();
        if bare.is_empty() || bare.bytes().all(|byte| matches!(byte, b'=' | b' ' | b'-')) {
            continue;
        }
        let mut cells = vec![String::new()];
        let mut next = starts.iter().skip(1).peekable();
        for (column, c) in line.chars().enumerate() {
            if next.next_if(|start| **start <= column).is_some() {
                cells.push(String::new());
            }
            if let Some(cell) = cells.last_mut() {
                cell.push(c);
            }
        }
        let continues = cells.first().is_some_and(|cell| cell.trim().is_empty());
        let filled: Vec<&str> =
            cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect();
        match rows.last_mut() {
            Some(row) if continues => {
                row.push(' ');
                row.push_str(&filled.join(" | "));
            }
            _ => rows.push(filled.join(" | ")),
        }
    }
    rows
}

/// The rows of a `list-table`: a list of lists, `* - first`, `  - second`.
pub(super) fn list(lines: &[&str]) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for line in lines {
        let bare = line.trim();
        if bare.is_empty() {
            continue;
        }
        let marker = |text: &'_ str| text.starts_with("- ") || text == "-";
        if let Some(cell) = bare.strip_prefix('*').map(str::trim_start).filter(|cell| marker(cell)) {
            rows.push(cell.get(1..).unwrap_or_default().trim().to_owned());
        } else if let Some(row) = rows.last_mut() {
            if marker(bare) {
                row.push_str(" | ");
                row.push_str(bare.get(1..).unwrap_or_default().trim());
            } else {
                row.push(' ');
                row.push_str(bare);
            }
        } else {
            rows.push(bare.to_owned());
        }
    }
    rows
}
