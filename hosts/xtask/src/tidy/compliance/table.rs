//! Rows out of Markdown.

/// A compliance file.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    /// The sentence with the numbers.
    pub(super) head: Option<&'a str>,
    pub(super) rows: Vec<Row<'a>>,
    /// Lines that are no rows, with the reason.
    pub(super) faults: Vec<(usize, String)>,
}

/// `| §2.1 #1-2, #4 | MUST, MAY | what is asked | obeyed | code | test or reason |`
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) line: usize,
    pub(super) section: &'a str,
    /// Which of the section's requirement words it covers, from 1; none if it stands for a
    /// requirement without such a word.
    pub(super) ordinals: Vec<usize>,
    pub(super) word: &'a str,
    pub(super) asks: &'a str,
    pub(super) status: Status,
    pub(super) code: &'a str,
    pub(super) proof: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Obeyed,
    Deviates,
    DoesNotApply,
    Missing,
}

/// The header of each table.
const COLUMNS: [&str; 6] =
    ["Where", "Word", "What is asked", "Status", "Code", "Proof, or why not"];

impl<'a> Table<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut table = Self::default();
        for (index, line) in text.lines().enumerate() {
            if line.contains(" requirement words, ") && table.head.is_none() {
                table.head = Some(line);
            }
            let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'))
            else {
                continue;
            };
            let cells: Vec<_> = cells.split('|').map(str::trim).collect();
            let is_rule = cells.iter().all(|cell| cell.starts_with("---"));
            if cells == COLUMNS || is_rule {
                continue;
            }
            match row(index + 1, &cells) {
                Ok(row) => table.rows.push(row),
                Err(what) => table.faults.push((index + 1, what)),
            }
        }
        table
    }
}

fn row<'a>(line: usize, cells: &[&'a str]) -> Result<Row<'a>, String> {
    let &[place, word, asks, status, code, proof] = cells else {
        return Err(format!("{} columns, not {}", cells.len(), COLUMNS.len()));
    };
    let (section, ordinals) = parse_place(place).ok_or_else(|| format!("where is `{place}`?"))?;
    let status = match status {
        "obeyed" => Status::Obeyed,
        "deviates" => Status::Deviates,
        "does not apply" => Status::DoesNotApply,
        "missing" => Status::Missing,
        _ => return Err(format!("`{status}` is no status")),
    };
    Ok(Row { line, section, ordinals, word, asks, status, code, proof })
}

/// `§2.1 #1-2, #4` is 2.1 and 1, 2, 4.
fn parse_place(place: &str) -> Option<(&str, Vec<usize>)> {
    let place = place.strip_prefix('§')?;
    let Some((section, list)) = place.split_once(' ') else {
        return Some((place, Vec::new()));
    };
    let mut ordinals = Vec::new();
    for item in list.split(", ") {
        let item = item.strip_prefix('#')?;
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last {
            return None;
        }
        ordinals.extend(first..=last);
    }
    Some((section, ordinals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_a_section_and_ordinals() {
        assert_eq!(parse_place("§2.1 #1-2, #4"), Some(("2.1", vec![1, 2, 4])));
        assert_eq!(parse_place("§2.1"), Some(("2.1", vec![])));
        for bad in ["2.1 #1", "§2.1 1", "§2.1 #x", "§2.1 #2-1", "§2.1 #1,#2"] {
            assert_eq!(parse_place(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_row_is_told() {
        let text = "| a | b |\n| §1 #1 | MAY | x | perhaps | | |\n| 1 | MAY | x | missing | | |";
        let expected = ["2 columns, not 6", "`perhaps` is no status", "where is `1`?"];
        let faults = Table::parse(text).faults;
        let faults: Vec<_> = faults.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(faults, expected);
    }
}
