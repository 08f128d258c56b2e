//! Tokens to a tree of names, fields and values, without regard to what they mean.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{At, ScriptError};
use crate::lexer::{Kind, Token};

/// `NAME[item, item]`: a chunk, parameter or error cause.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Field(At, String, Value),
    Node(Node),
    /// `...`.
    Any,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `...`.
    Any,
    Number(u64),
    /// `-` and a number.
    Negative(u64),
    Word(String),
    Text(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// `2:3`.
    Pair(u64, u64),
    List(Vec<Value>),
    /// `{name=value, ...}`.
    Struct(Vec<(String, Value)>),
    Node(Node),
}

/// A place in the tokens of a script.
pub(crate) struct Cursor<'t> {
    tokens: &'t [Token],
    /// Of the token before.
    at: At,
    /// Lists in lists.
    depth: u32,
}

/// How deep lists can be in each other; chunks in causes in chunks are far from it.
const DEPTH_MAX: u32 = 32;

impl<'t> Cursor<'t> {
    pub(crate) fn new(tokens: &'t [Token]) -> Self {
        Self { tokens, at: At { line: 1, column: 1 }, depth: 0 }
    }

    pub(crate) fn peek(&self) -> Option<&'t Kind> {
        self.tokens.first().map(|token| &token.kind)
    }

    /// Where the next token is, or the last one was.
    pub(crate) fn at(&self) -> At {
        self.tokens.first().map_or(self.at, |token| token.at)
    }

    pub(crate) fn next(&mut self) -> Option<&'t Kind> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        self.at = first.at;
        Some(&first.kind)
    }

    pub(crate) fn is_at(&self, mark: char) -> bool {
        self.peek() == Some(&Kind::Mark(mark))
    }

    /// Steps over `mark` if it comes next.
    pub(crate) fn eat(&mut self, mark: char) -> bool {
        let is_next = self.is_at(mark);
        if is_next {
            self.next();
        }
        is_next
    }

    pub(crate) fn expect(&mut self, mark: char) -> Result<(), ScriptError> {
        if self.eat(mark) { Ok(()) } else { Err(self.wrong(&format!("'{mark}'"))) }
    }

    pub(crate) fn word(&mut self) -> Result<&'t str, ScriptError> {
        match self.peek() {
            Some(Kind::Word(word)) => {
                self.next();
                Ok(word)
            }
            _ => Err(self.wrong("a name")),
        }
    }

    /// A whole number that a `T` can be.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self) -> Result<T, ScriptError> {
        let Some(&Kind::Number(number)) = self.peek() else {
            return Err(self.wrong("a whole number"));
        };
        let at = self.at();
        self.next();
        T::try_from(number).map_err(|_| ScriptError::new(at, format!("{number} is too large")))
    }

    /// The error that `wanted` does not come next.
    pub(crate) fn wrong(&self, wanted: &str) -> ScriptError {
        let found = match self.peek() {
            None => "the end of the script".to_owned(),
            Some(Kind::Mark(mark)) => format!("'{mark}'"),
            Some(Kind::Word(word)) => format!("'{word}'"),
            Some(other) => format!("{other:?}"),
        };
        ScriptError::new(self.at(), format!("expected {wanted}, found {found}"))
    }

    /// What stands between `open` and `close`, separated by commas.
    pub(crate) fn list<T>(
        &mut self,
        (open, close): (char, char),
        mut item: impl FnMut(&mut Self) -> Result<T, ScriptError>,
    ) -> Result<Vec<T>, ScriptError> {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong("lists that are not so deep in each other"));
        }
        let mut items = Vec::new();
        while !self.eat(close) {
            if !items.is_empty() {
                self.expect(',')?;
            }
            items.push(item(self)?);
        }
        self.depth -= 1;
        Ok(items)
    }

    /// `NAME[...]`.
    pub(crate) fn node(&mut self) -> Result<Node, ScriptError> {
        let at = self.at();
        let name = self.word()?.to_owned();
        let items = self.list(('[', ']'), Self::item)?;
        Ok(Node { name, at, items })
    }

    fn item(&mut self) -> Result<Item, ScriptError> {
        if self.peek() == Some(&Kind::Ellipsis) {
            self.next();
            return Ok(Item::Any);
        }
        if self.word_is_followed_by('[') {
            return self.node().map(Item::Node);
        }
        let at = self.at();
        let (name, value) = self.field()?;
        Ok(Item::Field(at, name, value))
    }

    fn field(&mut self) -> Result<(String, Value), ScriptError> {
        let name = self.word()?.to_owned();
        self.expect('=')?;
        Ok((name, self.value()?))
    }

    /// A value; `a | b` is a list of its terms.
    pub(crate) fn value(&mut self) -> Result<Value, ScriptError> {
        let first = self.term()?;
        if !self.is_at('|') {
            return Ok(first);
        }
        let mut terms = vec![first];
        while self.eat('|') {
            terms.push(self.term()?);
        }
        Ok(Value::List(terms))
    }

    fn term(&mut self) -> Result<Value, ScriptError> {
        if self.word_is_followed_by('[') {
            return self.node().map(Value::Node);
        }
        if self.is_at('[') {
            return self.list(('[', ']'), Self::value).map(Value::List);
        }
        if self.is_at('{') {
            return self.list(('{', '}'), Self::field).map(Value::Struct);
        }
        if self.eat('-') {
            return self.number().map(Value::Negative);
        }
        let value = match self.peek() {
            Some(Kind::Ellipsis) => Value::Any,
            Some(&Kind::Number(number)) => Value::Number(number),
            Some(Kind::Word(word)) => Value::Word(word.clone()),
            Some(Kind::Text(text)) => Value::Text(text.clone()),
            Some(&Kind::V4(address)) => Value::V4(address),
            Some(&Kind::V6(address)) => Value::V6(address),
            _ => return Err(self.wrong("a value")),
        };
        self.next();
        match value {
            Value::Number(first) if self.eat(':') => Ok(Value::Pair(first, self.number()?)),
            value => Ok(value),
        }
    }

    fn word_is_followed_by(&self, mark: char) -> bool {
        matches!(
            self.tokens,
            [Token { kind: Kind::Word(_), .. }, Token { kind: Kind::Mark(next), .. }, ..]
                if *next == mark
        )
    }
}

/// The fields of a node, taken in their order.
pub(crate) struct Fields {
    name: String,
    /// Where the field is that was taken last, or the name.
    at: At,
    items: std::vec::IntoIter<Item>,
}

impl Fields {
    pub(crate) fn of(node: Node) -> Self {
        Self { name: node.name, at: node.at, items: node.items.into_iter() }
    }

    pub(crate) fn wrong(&self, reason: &str) -> ScriptError {
        ScriptError::new(self.at, format!("{}: {reason}", self.name))
    }

    /// The value of the field `name`, which must be the next one.
    pub(crate) fn value(&mut self, name: &str) -> Result<Value, ScriptError> {
        match self.items.next() {
            Some(Item::Field(at, found, value)) => {
                self.at = at;
                match found == name {
                    true => Ok(value),
                    false => Err(self.wrong(&format!("expected {name}=, found {found}="))),
                }
            }
            _ => Err(self.wrong(&format!("{name}= is missing"))),
        }
    }

    /// A number of at most `max`; `None` if it is not given.
    pub(crate) fn number<T: TryFrom<u64>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, ScriptError> {
        match self.value(name)? {
            Value::Any => Ok(None),
            Value::Number(number) => match T::try_from(number) {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.wrong(&format!("{name}={number} is too large"))),
            },
            _ => Err(self.wrong(&format!("{name}= takes a number"))),
        }
    }

    /// A list; `None` if it is not given.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, ScriptError> {
        match self.value(name)? {
            Value::Any => Ok(None),
            Value::List(values) if values == [Value::Any] => Ok(None),
            Value::List(values) => Ok(Some(values)),
            _ => Err(self.wrong(&format!("{name}= takes a list"))),
        }
    }

    /// A list of numbers.
    pub(crate) fn numbers<T: TryFrom<u64>>(
        &mut self,
        name: &str,
    ) -> Result<Option<Vec<T>>, ScriptError> {
        let Some(values) = self.list(name)? else { return Ok(None) };
        let numbers = values.into_iter().map(|value| match value {
            Value::Number(number) => T::try_from(number).ok(),
            _ => None,
        });
        let numbers: Option<Vec<T>> = numbers.collect();
        numbers.map(Some).ok_or_else(|| self.wrong(&format!("{name}= takes a list of numbers")))
    }

    /// The nodes that follow; `None` for `...`.
    pub(crate) fn nodes(&mut self) -> Result<Option<Vec<Node>>, ScriptError> {
        let mut nodes = Vec::new();
        while let Some(item) = self.items.next() {
            match item {
                Item::Any if nodes.is_empty() && self.items.len() == 0 => return Ok(None),
                Item::Node(node) => nodes.push(node),
                Item::Field(at, name, _) => {
                    self.at = at;
                    return Err(self.wrong(&format!("{name}= is out of place")));
                }
                Item::Any => return Err(self.wrong("'...' is out of place")),
            }
        }
        Ok(Some(nodes))
    }

    /// Whether `...` is all that is said.
    pub(crate) fn is_any(&self) -> bool {
        self.items.as_slice() == [Item::Any]
    }

    pub(crate) fn end(&mut self) -> Result<(), ScriptError> {
        match self.items.next() {
            None => Ok(()),
            Some(item) => {
                if let Item::Field(at, ..) | Item::Node(Node { at, .. }) = item {
                    self.at = at;
                }
                Err(self.wrong("there are more fields than it has"))
            }
        }
    }
}
