//! The text of manifests: documents, values, and the lines that fields stand on.
//!
//! Owns reading YAML safely: what it returns is plain data without aliases, bounded, with every key once. Knows nothing
//! of kinds.

use std::collections::BTreeMap;

use proxima_crds::conditions::Reason;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_yaml::Spanned;

use super::validate::{Problem, Source};

/// Values, keys and containers of one document. The largest Distribution that its schema allows has fewer than this;
/// an alias counts as often as it is used, so that no small text can become a large value.
const NODES: usize = 1_000_000;
/// Aliases of one document.
const ALIASES: usize = 1_000;
/// Nesting of one document. The definition itself nests nine deep.
const DEPTH: usize = 64;
/// Documents of one file.
const DOCUMENTS: usize = 1_024;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Where it stands.
    pub source: Source,
    /// Its text.
    pub text: String,
    /// What the text says. Never null: empty documents are left out.
    pub value: Value,
}

/// Splits a file into documents and reads each. Documents without content are left out, yet counted.
pub fn parse_documents(file: &str, text: &str) -> Result<Vec<Document>, Problem> {
    let mut documents = Vec::new();
    for (index, (line, text)) in split(text).into_iter().enumerate() {
        let source = Source { file: file.to_owned(), document: index + 1, line };
        if index >= DOCUMENTS {
            let message = format!("cannot read {file}: more than {DOCUMENTS} documents; split the file");
            return Err(Problem { reason: Reason::SyntaxError, field: String::new(), message, line: Some(line) });
        }
        let value: Value = read(text).map_err(|error| syntax_problem(&source, &error))?;
        if !value.is_null() {
            documents.push(Document { source, text: text.to_owned(), value });
        }
    }
    Ok(documents)
}

/// Parts of a text between document markers, each with the number of its first line. A marker at the start of a line
/// is one wherever it stands, in a block of text too (YAML 1.2.2 § 9.1.2), so that splitting needs no parser.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
            && has_content(&text[start..offset])
        {
            parts.push((first_line, &text[start..offset]));
            (start, first_line) = (offset, index + 1);
        }
        offset += line.len();
    }
    parts.push((first_line, &text[start..]));
    parts
}

/// Whether anything but comments and directives stands in a part. What stands before the first marker is no document
/// of its own without.
fn has_content(part: &str) -> bool {
    part.lines().any(|line| !line.trim_start().is_empty() && !line.starts_with(['#', '%']))
}

fn syntax_problem(source: &Source, error: &serde_yaml::Error) -> Problem {
    let error = error.without_snippet();
    let place = error.location().filter(|location| location.line() > 0);
    let line = place.and_then(|location| usize::try_from(location.line()).ok()).map(|line| source.line + line - 1);
    // The error's own text repeats a position that counts from the document's first line.
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text).trim_start_matches("error: ");
    let text = match text.split_once(": ") {
        Some((head, rest)) if head.starts_with("line ") => rest,
        _ => text,
    };
    // The reader's own words end in advice for programmers.
    let repeated = text.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split(',').next());
    let text = repeated.map_or_else(|| text.to_owned(), |key| format!("the key {key} is there twice; remove one"));
    let message = match (line, place) {
        (Some(line), Some(location)) => format!("cannot read {}:{line}:{}: {text}", source.file, location.column()),
        _ => format!("cannot read {}: {text}", source.file),
    };
    Problem { reason: Reason::SyntaxError, field: String::new(), message, line }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    let options = serde_yaml::options! {
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_nodes: NODES,
            max_aliases: ALIASES,
            max_anchors: ALIASES,
            max_depth: DEPTH,
        },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: NODES },
    };
    serde_yaml::from_str_with_options(text, options)
}

/// The lines of a document on which its fields stand.
#[derive(Debug, Default)]
pub struct Lines {
    root: Node,
}

/// What a place holds, with the line of each part, counted from the document's first.
#[derive(Debug, Default)]
enum Node {
    #[default]
    Scalar,
    List(Vec<(usize, Node)>),
    Mapping(BTreeMap<String, (usize, Node)>),
}

impl Lines {
    /// Reads the text of a document once more, for its lines. Without any when it cannot be read.
    pub fn of(text: &str) -> Self {
        Self { root: read(text).unwrap_or_default() }
    }

    /// Line, counted from the document's first, of a field such as `spec.origins[0].http.host`; of the nearest field
    /// around it that is there when it is not.
    pub fn find(&self, field: &str) -> Option<usize> {
        let mut node = &self.root;
        let mut found = None;
        for step in steps(field) {
            let next = match (node, step) {
                (Node::Mapping(members), Step::Member(name)) => members.get(name),
                (Node::List(items), Step::Item(index)) => items.get(index),
                (Node::Scalar | Node::Mapping(_) | Node::List(_), Step::Member(_) | Step::Item(_)) => None,
            };
            let Some((line, child)) = next else { break };
            found = Some(*line).filter(|line| *line > 0).or(found);
            node = child;
        }
        found
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

fn steps(field: &str) -> impl Iterator<Item = Step<'_>> {
    field.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| match part.strip_suffix(']') {
        Some(index) => index.parse().map_or(Step::Member(part), Step::Item),
        None => Step::Member(part),
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a text, number, list or mapping")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push((line_of(&item), item.value));
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = members.next_key::<Spanned<String>>()? {
            let value = members.next_value()?;
            map.insert(key.value.clone(), (line_of(&key), value));
        }
        Ok(Node::Mapping(map))
    }
}

/// The line of a value, or 0 where the reader does not know it.
fn line_of<T>(value: &Spanned<T>) -> usize {
    usize::try_from(value.referenced.line()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
