//! Amounts as Kubernetes writes quantities.

use std::{borrow::Cow, fmt};

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::{ScalarError, text_schema};

text!(
    /// A number of bytes as Kubernetes writes quantities: `512Mi`, `2Gi`; whole numbers from 1Mi to 16Ti.
    ByteQuantity,
    24,
    [(
        "self.matches('^[1-9][0-9]{0,15}(Ki|Mi|Gi|Ti|k|M|G|T)?$') && !quantity(self).isLessThan(quantity('1Mi')) && \
         !quantity(self).isGreaterThan(quantity('16Ti'))",
        "write a whole number of bytes from 1Mi to 16Ti, such as 512Mi or 2Gi"
    )]
);

impl ByteQuantity {
    /// The number itself.
    pub fn bytes(&self) -> Result<u64, ScalarError> {
        let fault = || ScalarError::ByteQuantity(self.0.clone());
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = self.0.split_at(digits);
        let factor: u64 = match unit {
            "" => 1,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            _ => return Err(fault()),
        };
        let number: u64 = number.parse().map_err(|_| fault())?;
        match number.checked_mul(factor) {
            Some(bytes) if (1 << 20..=16 << 40).contains(&bytes) => Ok(bytes),
            Some(_) | None => Err(fault()),
        }
    }
}

/// An amount of processors as Kubernetes writes quantities: `2`, `0.5`, `500m`; a plain number in a manifest too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CpuQuantity(String);

impl CpuQuantity {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The amount in thousandths of a processor.
    pub fn millis(&self) -> Result<u64, ScalarError> {
        let fault = || ScalarError::CpuQuantity(self.0.clone());
        let digits = |text: &str, most: usize| {
            let plain = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            if plain { text.parse::<u64>().map_err(|_| fault()) } else { Err(fault()) }
        };
        let millis = match (self.0.strip_suffix('m'), self.0.split_once('.')) {
            (Some(millis), _) => digits(millis, 7)?,
            (None, Some((whole, part))) => {
                digits(part, 3)?;
                digits(whole, 4)? * 1_000 + digits(&format!("{part:0<3}"), 3)?
            }
            (None, None) => digits(&self.0, 4)? * 1_000,
        };
        if millis == 0 { Err(fault()) } else { Ok(millis) }
    }
}

impl From<&str> for CpuQuantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for CpuQuantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(number) => Self(number.to_string()),
            Written::Text(text) => Self(text),
        })
    }
}

impl JsonSchema for CpuQuantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CpuQuantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 8,
            "x-kubernetes-validations": [
                Rule::new(
                    "string(self).matches('^([0-9]{1,4}([.][0-9]{1,3})?|[0-9]{1,7}m)$') && \
                     quantity(string(self)).isGreaterThan(quantity('0'))",
                )
                .message("write an amount of cpu above zero as 2, 0.5 or 500m, up to 9999")
            ],
        })
    }
}
