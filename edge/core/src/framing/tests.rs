use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// What following a whole stream comes to, and how many heads began in it.
fn verdict<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Result<Position, (Violation, Position, usize)>, u64) {
    let mut framing = Framing::new();
    let mut before = 0;
    for piece in pieces {
        let followed = framing.follow(piece);
        if let Err(Breach { violation, at, within }) = followed {
            assert_eq!(framing.follow(b"GET"), Err(Breach { violation, at: 0, within }), "a breach is final");
            return (Err((violation, within, before + at)), framing.heads());
        }
        before += piece.len();
    }
    (Ok(framing.position()), framing.heads())
}

fn broken(stream: impl AsRef<[u8]>) -> Option<Violation> {
    verdict([stream.as_ref()]).0.err().map(|(violation, ..)| violation)
}

fn head(fields: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn chunked(body: &str) -> String {
    format!("{}{body}", head("Transfer-Encoding: chunked\r\n"))
}

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn bodies_end_where_their_framing_says() {
    let streams = [
        head(""),
        head("Content-Length: 0\r\n"),
        head("Content-Length:\t 5 \r\n") + "GET \n",
        head("content-LENGTH: 005\r\n") + "GET \n",
        head("Content-Lengths: x\r\nContent-Type: y\r\nTransfer-Encodings: z\r\n"),
        chunked("0\r\n\r\n"),
        chunked("5\r\nGET \n\r\nA\r\n0123456789\r\n000\r\n\r\n"),
        chunked("1;name=\"a b\";x\r\n\r\r\n0;last\r\nTrailer: x\r\nContent-Length: 9\r\n\r\n"),
        head("TRANSFER-ENCODING:  CHUNKED\t\r\n") + "0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("{}\r\n", head("")),
    ];
    for stream in streams {
        let (position, heads) = verdict([(stream.clone() + NEXT).as_bytes()]);
        assert_eq!(position, Ok(Position::Between), "{stream:?}");
        assert_eq!(heads, 2, "{stream:?}");
        for cut in 1..stream.len() {
            assert!(broken(&stream[..cut]).is_none(), "{:?}", &stream[..cut]);
        }
    }
}

#[test]
fn position_tells_heads_from_bodies() {
    let at = |stream: &str| verdict([stream.as_bytes()]).0;
    assert_eq!(at(""), Ok(Position::Between));
    assert_eq!(at("\r\n"), Ok(Position::Between));
    assert_eq!(at("G"), Ok(Position::Head));
    assert_eq!(at(&head("")[..20]), Ok(Position::Head));
    assert_eq!(at(&head("Content-Length: 1\r\n")), Ok(Position::Body));
    assert_eq!(at(&chunked("")), Ok(Position::Body));
    assert_eq!(at(&chunked("0\r\nTrailer: ")), Ok(Position::Body));
    assert_eq!(at(&chunked("1\nx")), Err((Violation::BareLineFeed, Position::Body, 58)));
}

#[test]
fn request_lines_are_strict() {
    use Violation::{BareCarriageReturn, BareLineFeed, ControlCharacter, EmptyLines, Fragment, RequestLine, Version};
    let lines: [(&[u8], Violation); 26] = [
        (b"G(T / HTTP/1.1\r\n", RequestLine),
        (b"(ET / HTTP/1.1\r\n", RequestLine),
        (b"GET / HTTP/1.1\n", BareLineFeed),
        (b"GET / HTTP/1.1\rX", BareCarriageReturn),
        (b"GET /\n", BareLineFeed),
        (b"GET\n", BareLineFeed),
        (b"\n", BareLineFeed),
        (b"\r\r", BareCarriageReturn),
        (b"\r\n\r\n", EmptyLines),
        (b"GET /\r\n", Version),
        (b"GET / \r\n", RequestLine),
        (b"GET / HTTP/2.0\r\n", Version),
        (b"GET / HTTP/1.2\r\n", Version),
        (b"GET / HTTP/1.1 \r\n", Version),
        (b"GET / HTTP/1.10\r\n", Version),
        (b"GET / http/1.1\r\n", RequestLine),
        (b"GET / a HTTP/1.1\r\n", RequestLine),
        (b"GET  / HTTP/1.1\r\n", RequestLine),
        (b"GET /  HTTP/1.1\r\n", RequestLine),
        (b" GET / HTTP/1.1\r\n", RequestLine),
        (b"GET\t/ HTTP/1.1\r\n", RequestLine),
        (b"GET /#a HTTP/1.1\r\n", Fragment),
        (b"GET /\0 HTTP/1.1\r\n", ControlCharacter),
        (b"GET /\x7f HTTP/1.1\r\n", ControlCharacter),
        (b"\0", ControlCharacter),
        (b"\x16\x03\x01\x02\x00", ControlCharacter),
    ];
    for (line, violation) in lines {
        assert_eq!(broken(line), Some(violation), "{}", line.escape_ascii());
    }
}

#[test]
fn fields_are_strict() {
    use Violation::{BareCarriageReturn, BareLineFeed, ControlCharacter, FieldName, FoldedField, SpaceInFieldName};
    let fields = [
        ("X: a\n", BareLineFeed),
        ("X\n", BareLineFeed),
        ("X: a\rb\r\n", BareCarriageReturn),
        ("X: a\r\r\n", BareCarriageReturn),
        ("X\r\n", FieldName),
        (": a\r\n", FieldName),
        ("X : a\r\n", SpaceInFieldName),
        ("X Y: a\r\n", SpaceInFieldName),
        ("X\t: a\r\n", SpaceInFieldName),
        ("Content-Length : 5\r\n", SpaceInFieldName),
        ("Transfer-Encoding : chunked\r\n", SpaceInFieldName),
        (" X: a\r\n", FoldedField),
        ("X: a\r\n b\r\n", FoldedField),
        ("X: a\r\n\tb\r\n", FoldedField),
        ("X: a\0b\r\n", ControlCharacter),
        ("X: a\x01b\r\n", ControlCharacter),
        ("X: a\x7fb\r\n", ControlCharacter),
        ("X\0: a\r\n", ControlCharacter),
        ("\u{e9}: a\r\n", FieldName),
        ("X(: a\r\n", FieldName),
        ("(X: a\r\n", FieldName),
        ("X;Y: a\r\n", FieldName),
        ("\r", BareCarriageReturn),
    ];
    for (text, violation) in fields {
        assert_eq!(broken(head(text)), Some(violation), "{text:?}");
        assert_eq!(broken(chunked(&format!("0\r\n{text}\r\n"))), Some(violation), "trailer {text:?}");
    }
    assert_eq!(broken(head("X: \t\u{e9}\u{80}~\r\nEmpty:\r\n")), None);
}

#[test]
fn a_body_is_announced_once_and_in_one_way() {
    use Violation::{ContentLengthInvalid, ContentLengthRepeated, LengthAndCoding, TransferEncodingInvalid};
    let fields = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", LengthAndCoding),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", LengthAndCoding),
        ("Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n", ContentLengthRepeated),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", ContentLengthRepeated),
        ("Content-Length: 5, 5\r\n", ContentLengthRepeated),
        ("Content-Length:\r\n", ContentLengthInvalid),
        ("Content-Length: \r\n", ContentLengthInvalid),
        ("Content-Length: +5\r\n", ContentLengthInvalid),
        ("Content-Length: -5\r\n", ContentLengthInvalid),
        ("Content-Length: 0x5\r\n", ContentLengthInvalid),
        ("Content-Length: 5 5\r\n", ContentLengthInvalid),
        ("Content-Length: 5.0\r\n", ContentLengthInvalid),
        ("Content-Length: \"5\"\r\n", ContentLengthInvalid),
        ("Content-Length: 9223372036854775808\r\n", ContentLengthInvalid),
        ("Content-Length: 00000000000000000005\r\n", ContentLengthInvalid),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunked, chunked\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: gzip, chunked\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunked, identity\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: identity\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: xchunked\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunkedx\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunke\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunked;q=1\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: \"chunked\"\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunk ed\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunked,\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding:\r\n", TransferEncodingInvalid),
    ];
    for (text, violation) in fields {
        assert_eq!(broken(head(text)), Some(violation), "{text:?}");
    }
    assert_eq!(broken("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(TransferEncodingInvalid));
    assert_eq!(broken(head("Content-Length: 9223372036854775807\r\n")), None);
    assert_eq!(
        broken(NEXT.to_owned() + &head("Content-Length: 5\r\n") + "12345" + &head("Content-Length: 1\r\n")),
        None
    );
}

#[test]
fn chunks_are_strict() {
    use Violation::{BareLineFeed, ChunkEnd, ChunkExtensionTooLong, ChunkSizeInvalid, ChunkSizeTooLarge};
    let long = format!("1;{}\r\n", "x".repeat(usize::from(limits::CHUNK_EXTENSION_BYTES)));
    let bodies = [
        ("\r\n", ChunkSizeInvalid),
        (";x\r\n", ChunkSizeInvalid),
        (" 1\r\n", ChunkSizeInvalid),
        ("1 \r\n", ChunkSizeInvalid),
        ("1 ;x\r\n", ChunkSizeInvalid),
        ("0x1\r\n", ChunkSizeInvalid),
        ("+1\r\n", ChunkSizeInvalid),
        ("-1\r\n", ChunkSizeInvalid),
        ("1_0\r\n", ChunkSizeInvalid),
        ("g\r\n", ChunkSizeInvalid),
        ("1,\r\n", ChunkSizeInvalid),
        ("1\n", BareLineFeed),
        ("1;x\n", BareLineFeed),
        ("1;\0\r\n", ChunkSizeInvalid),
        ("1\r\rx", Violation::BareCarriageReturn),
        ("1\r\nx0\r\n\r\n", ChunkEnd),
        ("1\r\nxx\r\n", ChunkEnd),
        ("1\r\nx\n0\r\n\r\n", ChunkEnd),
        ("1\r\nx\r0\r\n\r\n", ChunkEnd),
        ("8000000000000000\r\n", ChunkSizeTooLarge),
        ("ffffffffffffffff1\r\n", ChunkSizeTooLarge),
        ("00000000000000001\r\n", ChunkSizeTooLarge),
        (&format!("{long}x\r\n{long}"), ChunkExtensionTooLong),
    ];
    for (body, violation) in bodies {
        assert_eq!(broken(chunked(body)), Some(violation), "{body:?}");
        assert_eq!(verdict([chunked(body).as_bytes()]).0.map_err(|broken| broken.1), Err(Position::Body), "{body:?}");
    }
    assert_eq!(broken(chunked("7fffffffffffffff\r\n")), None);
    assert_eq!(broken(chunked(&long)), None);
}

#[test]
fn every_violation_is_told_apart() {
    let names: HashSet<_> = Violation::ALL.iter().map(|violation| violation.as_str()).collect();
    assert_eq!(names.len(), Violation::ALL.len());
}

/// Streams that are nearly right: good ones with a few bytes exchanged, put in or taken out.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let messages = [
        NEXT.to_owned(),
        head("Content-Length: 5\r\nX-Long: some text here\r\n") + "hello",
        chunked("5\r\nhello\r\n1f;ext=1\r\n0123456789012345678901234567890\r\n0\r\nX: y\r\nZ: w\r\n\r\n"),
        head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        "\r\nGET /a?b=c HTTP/1.0\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ];
    let byte = prop::sample::select(b"\r\n\0 \t:;#,(015aFcT\x7f\x80".to_vec());
    let edit = (any::<prop::sample::Index>(), 0..3_u8, byte);
    let message = prop::sample::select(messages.to_vec());
    (prop::collection::vec(message, 1..4), prop::collection::vec(edit, 0..4)).prop_map(|(messages, edits)| {
        let mut stream = messages.concat().into_bytes();
        for (place, how, byte) in edits {
            let place = place.index(stream.len());
            match how {
                0 => stream[place] = byte,
                1 => stream.insert(place, byte),
                _ => drop(stream.remove(place)),
            }
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn how_the_stream_is_cut_never_changes_the_verdict(
        stream in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = verdict([&*stream]);
        prop_assert_eq!(verdict(stream.chunks(1)), whole, "byte by byte");
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        prop_assert_eq!(verdict(cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]])), whole, "cut at {:?}", cuts);
    }
}
