//! Text to tokens.
//!
//! `#ifdef NAME` and `#endif` stand alone on a line, one level deep: what is not defined becomes
//! blank lines, so that line numbers stay. Line breaks are white space.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{At, ScriptError};

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A name.
    Word(String),
    /// A whole number, decimal or hexadecimal.
    Number(u64),
    /// Seconds with a fraction, in microseconds.
    Seconds(u64),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// Text in double quotes.
    Text(String),
    /// A shell command in backticks.
    Shell,
    /// `--name`.
    Option(String),
    Ellipsis,
    Mark(char),
}

/// Cuts out what `is_defined` does not want; whether there was an `#ifdef` at all.
pub(crate) fn preprocess(
    text: &str,
    is_defined: impl Fn(&str) -> bool,
) -> Result<(String, bool), ScriptError> {
    let mut kept = String::with_capacity(text.len());
    let mut open: Option<(At, bool)> = None;
    let mut has_blocks = false;
    for (index, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let at = At { line: index as u32 + 1, column: indent as u32 + 1 };
        let mut words = line.split_whitespace();
        match (words.next(), open) {
            (Some("#ifdef"), None) => {
                let name = words.next().ok_or(ScriptError::new(at, "#ifdef of what?"))?;
                open = Some((at, is_defined(name)));
                has_blocks = true;
            }
            (Some("#ifdef"), Some(_)) => {
                return Err(ScriptError::new(at, "an #ifdef in an #ifdef"));
            }
            (Some("#endif"), Some(_)) => open = None,
            (Some("#endif"), None) => {
                return Err(ScriptError::new(at, "an #endif without an #ifdef"));
            }
            (Some(word), _) if word.starts_with('#') => {
                return Err(ScriptError::new(at, format!("unknown directive {word}")));
            }
            (_, None | Some((_, true))) => kept.push_str(line),
            (_, Some((_, false))) => {}
        }
        kept.push('\n');
    }
    match open {
        Some((at, _)) => Err(ScriptError::new(at, "an #ifdef without an #endif")),
        None => Ok((kept, has_blocks)),
    }
}

/// The tokens of `text`.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, ScriptError> {
    let mut lexer = Lexer { rest: text, at: At { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next_token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'t> {
    rest: &'t str,
    /// Where `rest` begins.
    at: At,
}

impl<'t> Lexer<'t> {
    fn next_token(&mut self) -> Result<Option<Token>, ScriptError> {
        self.skip_blanks();
        let at = self.at;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let kind = match first {
            '"' => Kind::Text(self.quoted('"')?.to_owned()),
            '`' => {
                self.quoted('`')?;
                Kind::Shell
            }
            '.' if self.rest.starts_with("...") => {
                self.take(3);
                Kind::Ellipsis
            }
            '-' if self.rest.starts_with("--") => {
                self.take(2);
                Kind::Option(self.take_while(is_of_word).to_owned())
            }
            '.' if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number()?,
            ':' | '0'..='9' | 'a'..='z' | 'A'..='Z' | '_' => self.word_or_number(first)?,
            _ => {
                self.take(first.len_utf8());
                Kind::Mark(first)
            }
        };
        Ok(Some(Token { kind, at }))
    }

    fn word_or_number(&mut self, first: char) -> Result<Kind, ScriptError> {
        // Addresses first: what looks like one is one.
        let run = self.peek_while(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
        if let Some(address) = run.parse().ok().filter(|_| !run.contains("...")) {
            self.take(run.len());
            return Ok(Kind::V4(address));
        }
        if let Some(address) = run.parse().ok().filter(|_| run.matches(':').count() > 1) {
            self.take(run.len());
            return Ok(Kind::V6(address));
        }
        if first == ':' {
            self.take(1);
            return Ok(Kind::Mark(':'));
        }
        if !first.is_ascii_digit() {
            let word = self.take_while(is_of_word);
            return Ok(Kind::Word(word.to_owned()));
        }
        self.number()
    }

    fn number(&mut self) -> Result<Kind, ScriptError> {
        let at = self.at;
        let bad = |digits: &str| ScriptError::new(at, format!("{digits} is no number"));
        let hexadecimal =
            self.rest.strip_prefix("0x").or_else(|| self.rest.strip_prefix("0X")).is_some();
        if hexadecimal {
            self.take(2);
            let digits = self.take_while(|c| c.is_ascii_alphanumeric());
            let number = u64::from_str_radix(digits, 16).map_err(|_| bad(digits))?;
            return Ok(Kind::Number(number));
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        let whole = if digits.is_empty() { Ok(0) } else { digits.parse::<u64>() };
        let whole = whole.map_err(|_| bad(digits))?;
        let has_fraction = self
            .rest
            .strip_prefix('.')
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        if !has_fraction {
            return Ok(Kind::Number(whole));
        }
        self.take(1);
        let fraction = self.take_while(|c| c.is_ascii_digit());
        let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let micros: u64 = micros.parse().map_err(|_| bad(fraction))?;
        let seconds = whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros));
        seconds.map(Kind::Seconds).ok_or(bad(digits))
    }

    fn quoted(&mut self, quote: char) -> Result<&'t str, ScriptError> {
        let text = &self.rest[1..];
        let end = text.find(quote).ok_or(ScriptError::new(self.at, "a quotation without end"))?;
        self.take(end + 2);
        Ok(&text[..end])
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.rest.starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn peek_while(&self, is_wanted: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !is_wanted(c)).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    fn take_while(&mut self, is_wanted: impl Fn(char) -> bool) -> &'t str {
        let taken = self.peek_while(is_wanted);
        self.take(taken.len());
        taken
    }

    fn take(&mut self, len: usize) {
        let (taken, rest) = self.rest.split_at(len);
        match taken.rfind('\n') {
            Some(end) => {
                self.at.line += taken.matches('\n').count() as u32;
                self.at.column = taken[end..].chars().count() as u32;
            }
            None => self.at.column += taken.chars().count() as u32,
        }
        self.rest = rest;
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn numbers_times_addresses_and_gaps_are_told_apart() {
        assert_eq!(kinds("1.1.1.1"), [Kind::V4(Ipv4Addr::new(1, 1, 1, 1))]);
        assert_eq!(kinds("2001:db8::1"), [Kind::V6("2001:db8::1".parse().unwrap())]);
        assert_eq!(kinds("0.25"), [Kind::Seconds(250_000)]);
        assert_eq!(kinds("+.5"), [Kind::Mark('+'), Kind::Seconds(500_000)]);
        assert_eq!(kinds("0xAf"), [Kind::Number(0xaf)]);
        assert_eq!(kinds("2:3"), [Kind::Number(2), Kind::Mark(':'), Kind::Number(3)]);
        assert_eq!(
            kinds("flgs=BE"),
            [Kind::Word("flgs".into()), Kind::Mark('='), Kind::Word("BE".into())]
        );
        assert_eq!(
            kinds("3,...,"),
            [Kind::Number(3), Kind::Mark(','), Kind::Ellipsis, Kind::Mark(',')]
        );
    }

    #[test]
    fn comments_and_undefined_blocks_leave_the_lines_where_they_are() {
        let text = "a // b\n#ifdef X\nc\n#endif\nd \"x\ny\" e\n";
        let (kept, has_blocks) = preprocess(text, |_| false).unwrap();
        assert!(has_blocks);
        let lines: Vec<u32> = tokens(&kept).unwrap().iter().map(|token| token.at.line).collect();
        assert_eq!(lines, [1, 5, 5, 6]);
        let columns: Vec<u32> = tokens("a\n  b c").unwrap().iter().map(|t| t.at.column).collect();
        assert_eq!(columns, [1, 3, 5]);
        for bad in ["#else\n", "#ifdef A\n#ifdef B\n", "#endif\n", "#ifdef A\n"] {
            assert!(preprocess(bad, |_| true).is_err(), "{bad}");
        }
    }
}
