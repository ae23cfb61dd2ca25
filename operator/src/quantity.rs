//! Kubernetes' quantities as numbers, so that `1000m` and `1` are the same.

/// Billionths in one: the smallest unit that the API knows.
const NANO: i128 = 1_000_000_000;

/// The value of a quantity such as `250m`, `512Mi` or `1e3`, in billionths. None for what is no quantity.
pub fn parse(text: &str) -> Option<i128> {
    let number = text.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-')).count();
    let (number, suffix) = text.split_at(number);
    let (multiplier, divisor) = scale(suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits.checked_mul(NANO)?.checked_mul(multiplier)?;
    // Rounded up, as the API server does with what is finer than it keeps.
    let divisor = places.checked_mul(divisor)?;
    Some(scaled / divisor + i128::from(scaled % divisor > 0))
}

/// Multiplier and divisor of a suffix.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let scale = match suffix {
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "" => (1, 1),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    };
    Some(scale)
}

/// Whole mebibytes as the API server would write them.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let fits = UNITS.iter().find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    fits.map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_spellings_of_one_quantity_are_equal() {
        for spellings in [
            &["1", "1000m", "1.0", "1e0", "1000000u", "+1"][..],
            &["512Mi", "0.5Gi", "524288Ki", "536870912"],
            &["1k", "1000", "1e3", "1E3", "10e2"],
            &["0", "0m", "0Mi"],
            &["-1", "-1000m"],
        ] {
            let first = parse(spellings[0]).expect("it is a quantity");
            assert!(spellings.iter().all(|spelling| parse(spelling) == Some(first)), "{spellings:?}");
        }
        assert_ne!(parse("1k"), parse("1Ki"));
        assert_ne!(parse("1M"), parse("1m"));
    }

    #[test]
    fn what_is_no_quantity_has_no_value() {
        for text in ["", "m", "1x", "1.2.3", "1ki", "--1", "1e", "1e999", "1 ", "12345678901234567890123456789012345Ei"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn bytes_are_written_in_the_largest_unit_without_fraction() {
        let cases =
            [(359 << 20, "359Mi"), (1 << 30, "1Gi"), (1536 << 20, "1536Mi"), (3 << 40, "3Ti"), (1, "1"), (0, "0")];
        for (number, text) in cases {
            assert_eq!(bytes(number), text);
        }
    }
}
