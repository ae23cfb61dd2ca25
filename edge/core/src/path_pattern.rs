//! CloudFront's path patterns.

/// A parsed path pattern: `*` is any run of characters, `/` included; `?` is exactly one; case matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
}

impl PathPattern {
    /// Parses a pattern. A leading `/` is optional. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned() })
    }

    /// As written in the configuration.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a raw request path matches. The path is compared with unreserved characters decoded and `//` collapsed;
    /// `%2f` stays what it is. Linear in the product of both lengths at worst.
    pub fn matches(&self, path: &str) -> bool {
        let _ = path;
        todo!()
    }
}
