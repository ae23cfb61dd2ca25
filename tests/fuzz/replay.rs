//! Plays the corpus and mutations of it on every target: the same ones in every run.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says by what"
)]

use std::panic::catch_unwind;
use std::path::Path;

use proxima_fuzz::{TARGETS, Target};

/// Mutations of all inputs of one target together: a second or two in a debug build.
const MUTATIONS: usize = 20_000;

/// What mutations insert: what the readers under test look for.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b",",
    b"\"",
    b"%2e",
    b"%2f",
    b"//",
    b"/../",
    b"*",
    b"?",
    b"0",
    b"18446744073709551615",
    b"9223372036854775808",
    b"-1",
    b"bytes=0-0,-1",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Cookie: a=1; b=2\n",
    b"Cache-Control: max-age=60, s-maxage=0\n",
    b"Vary: accept, *\n",
    b"Connection: x-a\n",
];

#[test]
fn heads_are_read_alike_however_they_are_cut() {
    play("head");
}

#[test]
fn responses_are_kept_only_where_allowed_and_only_grow_older() {
    play("response");
}

#[test]
fn ranges_stay_within_the_representation() {
    play("range");
}

#[test]
fn requests_share_a_key_only_if_the_origin_is_asked_the_same() {
    play("key");
}

#[test]
fn paths_mean_the_same_however_they_are_written() {
    play("path");
}

#[test]
fn http_2_heads_mean_what_they_mean_in_http_1() {
    play("http2");
}

#[test]
fn frames_are_followed_alike_however_they_are_cut() {
    play("frames");
}

#[test]
fn every_folder_of_the_corpus_is_of_a_target() {
    let folders = std::fs::read_dir(corpus()).unwrap().map(|folder| folder.unwrap().file_name().into_string().unwrap());
    let mut folders: Vec<_> = folders.collect();
    let mut targets = TARGETS.map(|(name, _)| name);
    folders.sort();
    targets.sort_unstable();
    assert_eq!(folders, targets);
}

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

fn play(name: &str) {
    let (_, target) = *TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let inputs = inputs(name);
    for (file, input) in &inputs {
        run(target, input, file);
    }
    let mut random = Random(0x5eed);
    for round in 0..MUTATIONS {
        let (file, input) = &inputs[round % inputs.len()];
        let mut input = input.clone();
        for _ in 0..=random.below(4) {
            let (_, other) = &inputs[random.below(inputs.len())];
            mutate(&mut input, other, &mut random);
        }
        run(target, &input, file);
    }
}

/// The files of one target with their names, sorted: the order in which a folder lists them is not always the same.
fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<_> = std::fs::read_dir(corpus().join(name))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 5, "{name}: {} inputs", inputs.len());
    inputs
}

fn run(target: Target, input: &[u8], file: &str) {
    if catch_unwind(|| target(input)).is_err() {
        panic!("an input that is or comes from {file} breaks the target: \"{}\"", input.escape_ascii());
    }
}

/// Numbers that look random, always the same ones (an xorshift generator).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound.max(1)
    }
}

fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at).min(16) + 1);
    match random.below(7) {
        0 => input.insert(at, random.below(256).try_into().unwrap()),
        1 if at < input.len() => input[at] = random.below(256).try_into().unwrap(),
        2 if at < input.len() => input[at] ^= 1 << random.below(8),
        3 => drop(input.drain(at..end)),
        4 => drop(input.splice(at..at, input[at..end].to_vec())),
        5 => drop(input.splice(at..end, other[random.below(other.len() + 1)..].iter().copied())),
        _ => drop(input.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
    }
    input.truncate(1 << 14);
}
