use std::time::Duration as Span;

use super::*;

#[test]
fn durations_are_read_as_gep_2257_says() {
    for (text, expected) in [
        ("0s", Span::ZERO),
        ("250ms", Span::from_millis(250)),
        ("30s", Span::from_secs(30)),
        ("5m", Span::from_secs(300)),
        ("1h30m", Span::from_secs(5_400)),
        ("1h1m1s1ms", Span::from_millis(3_661_001)),
        ("8760h", Span::from_secs(31_536_000)),
        ("99999h99999h99999h99999h", Span::from_secs(4 * 99_999 * 3_600)),
    ] {
        assert_eq!(Duration::from(text).to_std(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_refused_with_the_text_and_a_hint() {
    for text in ["", "1d", "1", "s", "-1s", "1.5s", "1 s", "123456s", "1s1s1s1s1s", "1S", "1us", "²s", "1s ", "1€"] {
        let error = Duration::from(text).to_std().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")) && error.contains("24h"), "{error}");
    }
}

#[test]
fn quantities_are_read_as_bytes() {
    for (text, expected) in [
        ("1Mi", 1 << 20),
        ("1048576", 1 << 20),
        ("1024Ki", 1 << 20),
        ("256Mi", 256 << 20),
        ("2Gi", 2 << 30),
        ("16Ti", 16 << 40),
        ("2M", 2_000_000),
        ("3G", 3_000_000_000),
        ("1T", 1_000_000_000_000),
        ("5000k", 5_000_000),
    ] {
        assert_eq!(ByteQuantity::from(text).bytes(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_quantity_of_bytes_or_out_of_bounds_is_refused() {
    for text in
        ["", "Mi", "1.5Gi", "-1Gi", "512m", "512MB", "1023Ki", "17Ti", "99999999999999999999", "9999999999999999Ti"]
    {
        assert!(ByteQuantity::from(text).bytes().is_err(), "{text}");
    }
}

#[test]
fn amounts_of_cpu_are_read_as_thousandths() {
    for (text, expected) in
        [("2", 2_000), ("0.5", 500), ("500m", 500), ("0.001", 1), ("1.25", 1_250), ("9999", 9_999_000)]
    {
        assert_eq!(CpuQuantity::from(text).millis(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_amount_of_cpu_is_refused() {
    for text in ["", "0", "0m", "0.000", "m", ".5", "1.", "1.0000", "-1", "1e3", "2k", "10000", "1.5m", "½"] {
        assert!(CpuQuantity::from(text).millis().is_err(), "{text}");
    }
}

#[test]
fn an_amount_of_cpu_may_be_written_as_a_number() {
    assert_eq!(serde_json::from_str::<CpuQuantity>("2").unwrap().as_str(), "2");
    assert_eq!(serde_json::from_str::<CpuQuantity>("\"500m\"").unwrap().as_str(), "500m");
}
