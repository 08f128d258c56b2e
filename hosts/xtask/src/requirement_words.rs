//! `cargo xtask requirement-words`: the requirement words of an RFC, in order, section by section.
//!
//! The RFCs' texts are no part of the project; `docs/compliance/words.txt` keeps what this prints
//! about them, and `cargo xtask tidy` compares the compliance tables with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What RFC 2119 gives a meaning to; some may have a `NOT` beside them.
const WORDS: [&str; 7] = ["MUST", "SHALL", "SHOULD", "REQUIRED", "RECOMMENDED", "MAY", "OPTIONAL"];

/// Prints a line for each section that has requirement words: `RFC SECTION WORD WORD ...`.
///
/// # Errors
///
/// If a file cannot be read or its name is not that of an RFC.
pub(crate) fn print(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let number = rfc_number(path)?;
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        print!("{}", lines(&number, &text));
    }
    Ok(())
}

/// `rfc5353.txt` is 5353.
fn rfc_number(path: &Path) -> Result<String> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    match name.strip_prefix("rfc") {
        Some(number) if !number.is_empty() => Ok(number.into()),
        _ => bail!("{}: its name should be that of an RFC, as rfc5353.txt", path.display()),
    }
}

fn lines(number: &str, text: &str) -> String {
    let mut lines = String::new();
    // What stands before the first section.
    let mut section = "0";
    let mut body = String::new();
    for line in text.lines().chain(["0. End"]) {
        if let Some(next) = heading(line) {
            let words = requirement_words(&body);
            if !words.is_empty() {
                let words = words.join(" ");
                writeln!(lines, "{number} {section} {words}").expect("strings can be written");
            }
            section = next;
            body.clear();
        } else if !is_page_edge(number, line) {
            body.push_str(line);
            body.push('\n');
        }
    }
    lines
}

/// The number of the section that begins here. Tables of contents are indented.
fn heading(line: &str) -> Option<&str> {
    let (number, title) = line.split_once(' ')?;
    let number = number.strip_suffix('.').unwrap_or(number);
    let is_number = number
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    (is_number && !title.trim().is_empty()).then_some(number)
}

/// The footer of a page, or the header of the next one.
fn is_page_edge(number: &str, line: &str) -> bool {
    let is_footer = line.trim_end().ends_with(']') && line.contains("[Page ");
    is_footer || line.trim_start_matches('\u{c}').starts_with(&format!("RFC {number} "))
}

fn requirement_words(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let tokens = text.split(|c| !is_part(c)).filter(|token| !token.is_empty());
    let mut found: Vec<String> = Vec::new();
    let mut before = "";
    for token in tokens {
        before = match (before, token) {
            ("MUST" | "SHALL" | "SHOULD", "NOT") => {
                found.pop();
                found.push(format!("{before}-NOT"));
                ""
            }
            ("NOT", "RECOMMENDED") => {
                found.push("NOT-RECOMMENDED".into());
                ""
            }
            _ => {
                found.extend(WORDS.contains(&token).then(|| token.into()));
                token
            }
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_section_by_section() {
        let text = "\
   It MUST be abstract.\n\
1.  First\n\
   It MUST\n   NOT do this, and \"MAY\" do that (OPTIONAL).\n\
Author            Experimental           [Page 3]\n\
\u{c}RFC 9999      MUST stand in no title      June 2026\n\
   MUSTARD and MUST_BE are none.  It\n\
   SHOULD.\n\
1.1.  Nothing\n   May must.\n\
10.2  Last\n   NOT RECOMMENDED. SHALL NOT, RECOMMENDED.\n";
        let expected = "9999 0 MUST\n\
                        9999 1 MUST-NOT MAY OPTIONAL SHOULD\n\
                        9999 10.2 NOT-RECOMMENDED SHALL-NOT RECOMMENDED\n";
        assert_eq!(lines("9999", text), expected);
    }

    #[test]
    fn headings_are_numbers_at_the_edge() {
        assert_eq!(heading("3.2.2.1.  Finding"), Some("3.2.2.1"));
        assert_eq!(heading("3  Finding"), Some("3"));
        assert_eq!(heading("   3.  indented"), None);
        assert_eq!(heading("2008 "), None);
        assert_eq!(heading("a. thing"), None);
    }

    #[test]
    fn the_name_of_the_file_is_the_number_of_the_rfc() {
        assert_eq!(rfc_number(Path::new("x/rfc5353.txt")).unwrap(), "5353");
        assert!(rfc_number(Path::new("rfc.txt")).is_err());
        assert!(rfc_number(Path::new("notes.txt")).is_err());
    }
}
