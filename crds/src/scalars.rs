//! Texts and numbers with a meaning of their own, each with the rule that its schema carries.
//!
//! Reading one from JSON never fails on a rule: the API server may hold objects from before a rule existed, and one of
//! them must not end a watch. The schema refuses what breaks a rule; what computes with a scalar
//! ([`Duration::to_std`], [`ByteQuantity::bytes`]) checks it again.

use std::{borrow::Cow, fmt};

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Durations as GEP-2257 writes them, as a CEL regular expression.
pub const DURATION_PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// Longest text of a duration: four numbers of five digits with their units.
const DURATION_CHARACTERS: u32 = 28;

/// A text that cannot be computed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalarError {
    /// See [`Duration`].
    #[error("{0:?} is no duration; write it as 30s, 5m, 1h30m or 250ms, a day as 24h")]
    Duration(String),
    /// See [`ByteQuantity`].
    #[error("{0:?} is no number of bytes between 1Mi and 16Ti; write it as 512Mi or 2Gi")]
    ByteQuantity(String),
    /// See [`CpuQuantity`].
    #[error("{0:?} is no amount of cpu; write it as 2, 0.5 or 500m")]
    CpuQuantity(String),
}

/// Declares a text with a length and rules.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $min:literal..=$max:expr, $rules:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text_schema($min, $max, &$rules)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $max:expr, $rules:expr) => {
        text!($(#[$doc])* $name, 1..=$max, $rules);
    };
}

/// Schema of a text of so many characters. Every rule is (CEL, message).
fn text_schema(min: u32, max: u32, rules: &[(&str, &str)]) -> Schema {
    let mut schema = json_schema!({"type": "string", "maxLength": max});
    if min > 0 {
        schema.insert("minLength".into(), min.into());
    }
    if !rules.is_empty() {
        let rules: Vec<Rule> = rules.iter().map(|(rule, message)| Rule::new(*rule).message(*message)).collect();
        schema.insert("x-kubernetes-validations".into(), json!(rules));
    }
    schema
}

// They use the macro above, whose scope begins where it stands.
mod names;
mod quantity;

pub use names::{
    AnnotationValue, ConfigMapKey, ConfigMapName, LabelKey, LabelValue, PriorityClassName, QUALIFIED_NAME_PATTERN,
};
pub use quantity::{ByteQuantity, CpuQuantity};

text!(
    /// A span of time as GEP-2257 writes it: `30s`, `5m`, `1h30m`, `250ms`. There is no day: `24h`.
    Duration,
    DURATION_CHARACTERS,
    [(
        "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')",
        "write a duration as 30s, 5m, 1h30m or 250ms: up to four whole numbers of at most five digits with unit; \
         there is no unit for days, a day is 24h"
    )]
);

impl Duration {
    /// The span itself.
    pub fn to_std(&self) -> Result<std::time::Duration, ScalarError> {
        let fault = || ScalarError::Duration(self.0.clone());
        let mut rest = self.0.as_str();
        let mut total = std::time::Duration::ZERO;
        for _ in 0..4 {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || digits > 5 {
                return Err(fault());
            }
            let number: u64 = rest[..digits].parse().map_err(|_| fault())?;
            rest = &rest[digits..];
            let unit = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            total += match &rest[..unit] {
                "h" => std::time::Duration::from_secs(number * 3600),
                "m" => std::time::Duration::from_secs(number * 60),
                "s" => std::time::Duration::from_secs(number),
                "ms" => std::time::Duration::from_millis(number),
                _ => return Err(fault()),
            };
            rest = &rest[unit..];
            if rest.is_empty() {
                return Ok(total);
            }
        }
        Err(fault())
    }
}

text!(
    /// Name of an origin within a Distribution.
    OriginName,
    128,
    [("self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')",
      "use letters, digits, '-', '_' and '.' for an origin's name; begin and end with a letter or digit")]
);

text!(
    /// Name of a Kubernetes Service: a DNS-1035 label.
    ServiceName,
    63,
    [("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
      "service.name: give a Service's name: lower case letters, digits and '-', beginning with a letter; the namespace \
       is always the Distribution's own")]
);

text!(
    /// Name of a zone: a label value.
    ZoneName,
    63,
    [("self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
      "zones.name: use the value of the nodes' label topology.kubernetes.io/zone: letters, digits, '-', '_' and '.'")]
);

/// A DNS name in CEL. What ends in a number is no name but an address, or read as one by some (WHATWG URL, "ends in a
/// number").
macro_rules! host_rule {
    ($before:literal, $wildcard:literal) => {
        concat!(
            $before,
            "self.matches('(^|[.])([0-9]+|0[xX][^.]*)$') ? isIP(self) : self.matches('^",
            $wildcard,
            "([A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?[.])*[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?$')"
        )
    };
}

text!(
    /// A host name or an address, without scheme, port and brackets.
    HostName,
    253,
    [(
        host_rule!("self.contains(':') || ", ""),
        "give a host name or address alone, such as site.example.com: no scheme, port, path or brackets"
    )]
);

text!(
    /// A host name of viewers: lower case, `*.` in front for all names below.
    Alias,
    253,
    [
        ("self == self.lowerAscii()", "aliases: write host names in lower case"),
        (
            host_rule!("", "([*][.])?"),
            "aliases: give a host name such as shop.example.com or *.example.com: no scheme, port or path, and '*' \
             only as the first label"
        ),
    ]
);

/// One character of a path in CEL, `$more` characters among them: as it stands (RFC 3986 § 3.3), or encoded. Edges
/// refuse encoded controls and backslashes; encoded dots and slashes would say one thing here and another to origins.
macro_rules! path_character {
    ($more:literal) => {
        concat!(
            "([",
            $more,
            "A-Za-z0-9._~!$&'()*+,;=:@-]",
            "|%(2[0-9A-Da-d]|[346][0-9A-Fa-f]|5[0-9ABD-Fabd-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f]))"
        )
    };
}

text!(
    /// A path in front of all paths of an origin: begins with `/`, does not end with it.
    OriginPath,
    255,
    [(
        concat!(
            "self.matches(\"^(/",
            path_character!(""),
            "+)+$\") && self.split('/').all(s, s != '.' && s != '..')"
        ),
        "path: begin with '/', do not end with it, use neither empty segments, '.', '..', '?' nor '#', and percent \
         signs only to encode a character, as in /public/v%202"
    )]
);

text!(
    /// The path of an object without the leading slash.
    ObjectPath,
    255,
    [
        ("!self.startsWith('/')", "defaultRootObject: remove the leading slash, as in index.html"),
        (
            concat!(
                "self.matches(\"^",
                path_character!("/"),
                "+$\") && self.split('/').all(s, s != '.' && s != '..')"
            ),
            "defaultRootObject: give a path such as index.html, without '?', '#', spaces and segments '.' and '..', \
             and with percent signs only to encode a character"
        ),
    ]
);

text!(
    /// Paths that a behaviour is for (CloudFront's "Path pattern" names the alphabet).
    PathPattern,
    255,
    [("self.matches(\"^[A-Za-z0-9_.*$/~\\\"'@:+&?-]+$\")",
      "pathPattern: use letters, digits and _ - . * $ / ~ \" ' @ : + & ? only, as in /images/*.jpg")]
);

text!(
    /// Name of a header (RFC 9110 § 5.6.2, token). Its pattern is short since the API server counts its length.
    HeaderName,
    256,
    [("self.matches(\"^[!#-'*+.0-9A-Z^-z|~-]+$\")",
      "give the name of a header alone, such as X-From: no colon, no spaces")]
);

text!(
    /// Value of a header: printable ASCII that neither begins nor ends with a space.
    HeaderValue,
    1783,
    [("self.matches('^[ -~]+$') && !self.startsWith(' ') && !self.endsWith(' ')",
      "customHeaders: use printable ASCII for a value, without spaces at its ends")]
);

text!(
    /// Name of a cookie or of a query string parameter.
    ParameterName,
    256,
    [("self.matches(\"^[!-%'-:<>-~]+$\")",
      "names: give the name of a cookie or query string parameter: printable ASCII without '=', '&', ';' and spaces")]
);

/// Port of an http origin: 80, 443 or 1024 to 65535, as CloudFront has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OriginPort(u16);

impl OriginPort {
    /// The port itself.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl From<u16> for OriginPort {
    fn from(port: u16) -> Self {
        Self(port)
    }
}

impl JsonSchema for OriginPort {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OriginPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "format": "int32",
            "minimum": 1,
            "maximum": 65535,
            "x-kubernetes-validations": [
                Rule::new("self == 80 || self == 443 || self >= 1024").message("use port 80, 443 or 1024 to 65535")
            ],
        })
    }
}

#[cfg(test)]
mod tests;
