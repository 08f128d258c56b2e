//! The texts of a report: short, and fit for a terminal.

use std::fmt;

/// A text of at most [`Text::LEN_MAX`] bytes without anything that moves a terminal's cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The most bytes: the field has 128, and the last one is zero.
    pub const LEN_MAX: usize = 127;

    /// As much of `text` as fits; what cannot be shown is shown as `�`.
    ///
    /// ```
    /// use rserpool::csp::Text;
    ///
    /// assert_eq!(Text::new("3 Sessions").as_str(), "3 Sessions");
    /// assert_eq!(Text::new("\x1b[2J").as_str(), "�[2J");
    /// ```
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept = String::new();
        for letter in text.chars() {
            let letter = if is_shown(letter) { letter } else { char::REPLACEMENT_CHARACTER };
            if kept.len() + letter.len_utf8() > Self::LEN_MAX {
                break;
            }
            kept.push(letter);
        }
        Self(kept)
    }

    /// The text that stands in a field: all before the first zero.
    pub(super) fn of_field(field: &[u8]) -> Self {
        let text = field.split(|&byte| byte == 0).next().unwrap_or_default();
        Self::new(&String::from_utf8_lossy(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a letter stays where it is: no control character, no change of direction.
fn is_shown(letter: char) -> bool {
    let is_invisible = matches!(letter,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !letter.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_ends_with_a_whole_letter() {
        let text = Text::new(&"ä".repeat(100));
        assert_eq!(text.as_str(), "ä".repeat(63));
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(Text::of_field(b"a\xff\x07b\0c").as_str(), "a\u{fffd}\u{fffd}b");
        assert_eq!(Text::of_field(&[b'x'; 128]).as_str().len(), 127);
    }

    #[test]
    fn nothing_turns_the_direction_of_a_line() {
        assert_eq!(Text::new("a\u{202e}b").as_str(), "a\u{fffd}b");
    }
}
