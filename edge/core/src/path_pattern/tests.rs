use proptest::prelude::*;

use super::*;

fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    let parsed = PathPattern::parse(pattern).unwrap();
    for path in matching {
        assert!(parsed.matches(path), "{pattern} should match {path}");
    }
    for path in others {
        assert!(!parsed.matches(path), "{pattern} should not match {path}");
    }
}

#[test]
fn wildcards_match_as_in_cloudfront() {
    check("*", &["/", "/a", "/a/b.jpg"], &["*"]);
    check("*.jpg", &["/a.jpg", "/a/b.jpg", "/.jpg"], &["/a.jpeg", "/a.JPG", "/a.jpg/"]);
    check("images/*", &["/images/", "/images/a", "/images/a/b"], &["/images", "/image/a", "/x/images/a"]);
    check("/images/*.jpg", &["/images/a.jpg", "/images/a/b.jpg", "/images/.jpg"], &["/images/jpg", "/a.jpg"]);
    check("a??.jpg", &["/ant.jpg", "/abe.jpg", "/a/b.jpg"], &["/a.jpg", "/at.jpg", "/ants.jpg"]);
    check("/*/x?/*.m3u8", &["/a/x1/b.m3u8", "/a/b/x1/c/d.m3u8"], &["/a/x/b.m3u8", "/x1/b.m3u8"]);
    check("*a*b*", &["/ab", "/xaxbx", "/aab"], &["/ba", "/b", "/a"]);
    check("/ab*ba", &["/abba", "/ab/ba"], &["/aba", "/ab"]);
}

#[test]
fn leading_slash_is_optional() {
    check("a/b", &["/a/b"], &["/a/b/", "a/b", "/x/a/b"]);
    check("/a/b", &["/a/b"], &["/a/b/", "a/b", "/x/a/b"]);
    check("?.js", &["/a.js"], &["/.js", "/ab.js"]);
}

#[test]
fn every_character_of_the_alphabet_stands_for_itself() {
    check("/_-.$~\"'@:+&Zz09", &["/_-.$~\"'@:+&Zz09"], &["/_-.$~\"'@:+&zz09", "/_-X$~\"'@:+&Zz09"]);
}

#[test]
fn only_unreserved_characters_are_decoded() {
    check("/AB~", &["/%41B~", "/A%42%7E", "/A%42%7e", "/AB~"], &["/%61B~", "/A%2542~"]);
    check("/a/b", &["/a/b"], &["/a%2fb", "/a%2Fb"]);
    check("/a:b", &["/a:b"], &["/a%3Ab", "/a%3ab"]);
    check("/a*b", &["/a%2fb", "/a%4b%62", "/a%2ab"], &["/a%62c", "/a%4b"]);
}

#[test]
fn slashes_in_a_row_count_as_one() {
    check("/a/b", &["//a/b", "/a//b", "/a///b"], &["/a/b//", "/a/%2fb"]);
    check("//a//b", &["/a/b", "//a/b"], &["/a"]);
}

#[test]
fn what_is_not_a_pattern_is_refused() {
    let longest = "a".repeat(255);
    PathPattern::parse(&longest).unwrap();
    let too_long = "a".repeat(256);
    for (pattern, part) in [
        ("", "at least one"),
        (too_long.as_str(), "at most 255"),
        ("/a b", "' '"),
        ("/%41", "'%'"),
        ("/[ab]", "'['"),
        ("/a|b", "'|'"),
        ("/ä", "'ä'"),
        ("/a#", "'#'"),
        ("/a\\b", "'\\\\'"),
    ] {
        let message = PathPattern::parse(pattern).unwrap_err();
        assert!(message.contains(part), "{pattern}: {message}");
    }
}

#[test]
fn patterns_that_differ_in_writing_only_are_the_same() {
    for (one, other, same) in [("a", "/a", true), ("/a//b", "a/b", true), ("**", "*", true), ("/a", "/A", false)] {
        let parse = |text| PathPattern::parse(text).unwrap();
        assert_eq!(parse(one).is_same(&parse(other)), same, "{one} {other}");
    }
}

#[test]
fn many_wildcards_do_not_explode() {
    let pattern = PathPattern::parse(&"*a".repeat(127)).unwrap();
    assert!(!pattern.matches(&format!("/{}b", "a".repeat(8_000))));
    assert!(pattern.matches(&format!("/{}", "a".repeat(8_000))));
}

/// The plainest matcher there is, on normal forms.
fn naive(pattern: &[u8], path: &[u8]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((b'*', rest)) => (0..=path.len()).any(|skip| naive(rest, &path[skip..])),
        Some((&wanted, rest)) => {
            path.split_first().is_some_and(|(&byte, tail)| (wanted == b'?' || wanted == byte) && naive(rest, tail))
        }
    }
}

/// Decoding and collapsing, written independently: character by character on a stack.
fn naive_normal(path: &str) -> Vec<u8> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut text = path.to_owned();
    for byte in (0..=127_u8).filter(|&byte| unreserved(byte)) {
        let found =
            |text: &str| text.to_ascii_lowercase().match_indices(&format!("%{byte:02x}")).next().map(|hit| hit.0);
        while let Some(at) = found(&text) {
            text.replace_range(at..at + 3, &char::from(byte).to_string());
        }
    }
    while text.contains("//") {
        text = text.replace("//", "/");
    }
    text.into_bytes()
}

proptest! {
    #[test]
    fn agrees_with_the_naive_matcher(pattern in "/?[ab*?/.]{1,10}", path in "/[ab/.]{0,12}") {
        let normal = |text: &str| naive_normal(&format!("/{text}"));
        let expected = naive(&normal(&pattern), &naive_normal(&path));
        prop_assert_eq!(PathPattern::parse(&pattern).unwrap().matches(&path), expected);
    }

    // Escapes are of two digits that cannot combine into new ones.
    #[test]
    fn normalises_as_the_naive_model(path in "/(a|/|%2f|%2F|%61|%7e|%3a|\\.){0,10}") {
        prop_assert_eq!(normalise(&path).into_owned(), naive_normal(&path));
    }

    #[test]
    fn never_panics(pattern in "\\PC{0,20}", path in "\\PC{0,40}") {
        if let Ok(pattern) = PathPattern::parse(&pattern) {
            pattern.matches(&path);
        }
    }
}
