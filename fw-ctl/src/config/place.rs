//! Where in a TOML text a key stands: figment knows the key of an error, but not
//! its line.

use toml_edit::{ImDocument, Item, TableLike, Value};

use crate::diagnostic::Span;

/// A TOML text that was parsed with places.
pub struct Places {
    text: String,
    document: ImDocument<String>,
}

impl Places {
    /// Parses.
    ///
    /// # Errors
    /// The message and the place of the first syntax error.
    pub fn parse(text: &str) -> Result<Self, (String, Option<Span>)> {
        match ImDocument::parse(text.to_owned()) {
            Ok(document) => Ok(Self {
                text: text.to_owned(),
                document,
            }),
            Err(error) => {
                let message = error.message().lines().collect::<Vec<_>>().join("; ");
                Err((message, error.span().map(|range| span(text, range))))
            }
        }
    }

    /// The place of the key at `path` (`["failsafe", "inbound", "0"]`), or of the
    /// nearest ancestor that is there.
    pub fn find<S: AsRef<str>>(&self, path: &[S]) -> Option<Span> {
        let mut node = Node::Table(self.document.as_table());
        let mut found = None;
        for part in path {
            let Some((range, next)) = node.child(part.as_ref()) else {
                break;
            };
            found = range.or(found);
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        found.map(|range| span(&self.text, range))
    }

    /// Calls `visit` with the path of every key that is no table, and of every
    /// empty table.
    pub fn leaves(&self, visit: &mut dyn FnMut(&[String])) {
        walk(self.document.as_table(), &mut Vec::new(), visit);
    }
}

enum Node<'a> {
    Table(&'a dyn TableLike),
    Array(&'a toml_edit::Array),
    Tables(&'a toml_edit::ArrayOfTables),
}

type Range = std::ops::Range<usize>;

impl<'a> Node<'a> {
    fn child(&self, part: &str) -> Option<(Option<Range>, Option<Node<'a>>)> {
        match self {
            Node::Table(table) => {
                let (key, item) = table.get_key_value(part)?;
                Some((key.span().or(item.span()), Node::of_item(item)))
            }
            Node::Array(array) => {
                let value = array.get(part.parse().ok()?)?;
                Some((value.span(), Node::of_value(value)))
            }
            Node::Tables(tables) => {
                let table = tables.get(part.parse().ok()?)?;
                Some((table.span(), Some(Node::Table(table))))
            }
        }
    }

    fn of_item(item: &'a Item) -> Option<Self> {
        match item {
            Item::Value(value) => Self::of_value(value),
            Item::Table(table) => Some(Node::Table(table)),
            Item::ArrayOfTables(tables) => Some(Node::Tables(tables)),
            Item::None => None,
        }
    }

    fn of_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(array) => Some(Node::Array(array)),
            Value::InlineTable(table) => Some(Node::Table(table)),
            _ => None,
        }
    }
}

fn walk(table: &dyn TableLike, path: &mut Vec<String>, visit: &mut dyn FnMut(&[String])) {
    for (key, item) in table.iter() {
        path.push(key.to_owned());
        match item.as_table_like() {
            Some(inner) if !inner.is_empty() => walk(inner, path, visit),
            _ => visit(path),
        }
        path.pop();
    }
}

fn span(text: &str, range: Range) -> Span {
    let start = range.start.min(text.len());
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    Span {
        start,
        end: range.end.min(text.len()),
        line: text[..start].matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "[policy]\nmode = \"audit\"\n\n[failsafe]\ninbound = [\n  { port = 1 },\n]\n";

    #[test]
    fn keys_and_array_entries_have_places() {
        let places = Places::parse(TEXT).unwrap();
        let line_column = |path: &[&str]| {
            let span = places.find(path).unwrap();
            (span.line, span.column)
        };
        assert_eq!(line_column(&["policy", "mode"]), (2, 1));
        assert_eq!(line_column(&["failsafe", "inbound", "0", "port"]), (6, 5));
        assert_eq!(line_column(&["failsafe", "inbound", "0", "absent"]), (6, 3));
        assert_eq!(places.find(&["absent"]), None);
    }

    #[test]
    fn syntax_errors_have_places() {
        let (message, span) = Places::parse("[policy]\nmode = \n").err().unwrap();
        assert_eq!(span.unwrap().line, 2, "{message}");
    }
}
