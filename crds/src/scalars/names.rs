//! Names, keys and values as Kubernetes has them.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::text_schema;

/// What Kubernetes calls a qualified name, but for the length of its prefix: `[DOMAIN/]NAME`.
pub const QUALIFIED_NAME_PATTERN: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
                                          [A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

/// A name that Kubernetes calls a DNS-1123 subdomain.
macro_rules! subdomain_rule {
    () => {
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')"
    };
}

text!(
    /// Name of a ConfigMap.
    ConfigMapName,
    253,
    [(
        subdomain_rule!(),
        "caBundleRef.name: give a ConfigMap's name: lower case letters, digits, '-' and '.', beginning and ending with \
         a letter or digit; the namespace is always the Distribution's own"
    )]
);

text!(
    /// Key of a ConfigMap.
    ConfigMapKey,
    253,
    [(
        "self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",
        "caBundleRef.key: give a ConfigMap's key: letters, digits, '-', '_' and '.'"
    )]
);

text!(
    /// Name of a PriorityClass.
    PriorityClassName,
    253,
    [(
        subdomain_rule!(),
        "priorityClassName: give a PriorityClass's name: lower case letters, digits, '-' and '.', beginning and ending \
         with a letter or digit"
    )]
);

text!(
    /// Key of a label or taint.
    LabelKey,
    317,
    [(
        concat!(
            "self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
            "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && self.split('/')[0].size() <= 253"
        ),
        "key: write it as NAME or DOMAIN/NAME: a name of at most 63 letters, digits, '-', '_' and '.' that begins and \
         ends with a letter or digit, a domain in lower case of at most 253"
    )]
);

text!(
    /// Value of a label or taint; may be empty.
    LabelValue,
    0..=63,
    [(
        "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
        "use letters, digits, '-', '_' and '.' for a value, and begin and end with a letter or digit"
    )]
);

text!(
    /// Value of an annotation: any text, may be empty.
    AnnotationValue,
    0..=4096,
    []
);
