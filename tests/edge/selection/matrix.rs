//! Everything that the cache can hold of an object, times everything that can be asked of it.

use super::*;

/// Two slices, the second of which is a little shorter.
const LARGE: usize = 2 * MIB - 100;
const SMALL: usize = 1_000;
/// Such that one object, and not two, can be evicted in part.
const MEMORY: usize = 8 * MIB;

/// What the cache holds of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    StoredWhole,
    Sliced,
    /// The head and the last slice are there, the first slice is not.
    PartlyEvicted,
    Expired,
    Absent,
}

/// A proper answer. Offsets of first byte and end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Whole,
    Part(usize, usize),
    Parts(Vec<(usize, usize)>),
    NotModified,
    Unsatisfiable,
    Failed,
}

/// Name, fields, and the answer to them where all is at hand.
fn asks(length: usize) -> Vec<(&'static str, String, Expected)> {
    use Expected::{Failed, NotModified, Part, Parts, Unsatisfiable, Whole};
    let range = |first: usize, end: usize| format!("Range: bytes={first}-{}\r\n", end - 1);
    // In the last slice.
    let (first, end) = (length - 200, length - 100);
    let tail = range(first, end);
    // Over the border of slices, of an object that has them.
    let (middle, middle_end) = (length / 2 + 40, length / 2 + 60);
    let multi = format!("Range: bytes={}-{}, {first}-{}\r\n", length - 300, length - 251, end - 1);
    let modified = |date: &str| format!("If-Modified-Since: {date}\r\n");
    vec![
        ("plain", String::new(), Whole),
        ("single range", tail.clone(), Part(first, end)),
        ("range in the middle", range(middle, middle_end), Part(middle, middle_end)),
        ("all as a range", "Range: bytes=0-\r\n".into(), Part(0, length)),
        ("open range", format!("Range: bytes={first}-\r\n"), Part(first, length)),
        ("range over the end", format!("Range: bytes={first}-{}\r\n", length + 9), Part(first, length)),
        ("suffix", "Range: bytes=-77\r\n".into(), Part(length - 77, length)),
        ("multi-range", multi, Parts(vec![(length - 300, length - 250), (first, end)])),
        ("multi-range, descending", format!("Range: bytes={first}-{}, 0-1\r\n", end - 1), Whole),
        ("multi-range, overlapping", format!("Range: bytes={first}-{0}, {0}-{0}\r\n", end - 1), Whole),
        ("beyond the end", format!("Range: bytes={length}-\r\n"), Unsatisfiable),
        ("If-Range, matching", format!("{tail}If-Range: \"v1\"\r\n"), Part(first, end)),
        ("If-Range, matching date", format!("{tail}If-Range: {LAST_MODIFIED}\r\n"), Part(first, end)),
        ("If-Range, not matching", format!("{tail}If-Range: \"v0\"\r\n"), Whole),
        ("If-Range, weak", format!("{tail}If-Range: W/\"v2\"\r\n"), Whole),
        ("If-Range without Range", "If-Range: \"v0\"\r\n".into(), Whole),
        ("If-None-Match, matching", "If-None-Match: \"v1\"\r\n".into(), NotModified),
        ("If-None-Match, a list", "If-None-Match: \"v0\", W/\"v1\"\r\n".into(), NotModified),
        ("If-None-Match, not matching", "If-None-Match: \"v0\"\r\n".into(), Whole),
        ("If-None-Match over dates", format!("If-None-Match: \"v0\"\r\n{}", modified(LAST_MODIFIED)), Whole),
        ("If-None-Match before Range", format!("{tail}If-None-Match: \"v1\"\r\n"), NotModified),
        ("If-Modified-Since, unchanged", modified(LAST_MODIFIED), NotModified),
        ("If-Modified-Since, changed", modified("Tue, 31 Dec 2019 23:59:59 GMT"), Whole),
        ("If-Match, matching", "If-Match: \"v1\"\r\n".into(), Whole),
        ("If-Match, not matching", "If-Match: \"v0\"\r\n".into(), Failed),
    ]
}

/// What else would be right in that state: an origin that does not know several ranges answers with all.
fn also_right(state: State, expected: &Expected) -> Option<Expected> {
    let asks_origin = matches!(state, State::Expired | State::Absent);
    (asks_origin && matches!(expected, Expected::Parts(_))).then_some(Expected::Whole)
}

struct Bed {
    origin: Origin,
    edge: Edge,
    body: Arc<[u8]>,
    objects: usize,
}

impl Bed {
    async fn start(cache_control: &'static str) -> Self {
        let origin = proper(cache_control).await;
        let edge = Edge::serve(&with_memory(&origin, MEMORY)).await;
        Self { origin, edge, body: bytes(LARGE), objects: 0 }
    }

    /// A path whose object is in that state.
    async fn object(&mut self, state: State, length: usize) -> String {
        self.objects += 1;
        let path = format!("/{length}/{}", self.objects);
        match state {
            State::Absent => {}
            State::StoredWhole | State::Sliced | State::Expired => self.store(&path).await,
            State::PartlyEvicted => {
                self.store(&path).await;
                self.evict_first_slice(&path).await;
            }
        }
        path
    }

    /// Paths whose objects are in that state. As many as can be are brought there together: they expire in time, but of
    /// large ones only one at a time has a place.
    async fn objects(&mut self, state: State, length: usize, count: usize) -> Vec<String> {
        let mut paths = Vec::new();
        if state == State::Expired {
            for _ in 0..count {
                paths.push(self.object(state, length).await);
            }
            wait_until("the last of them is no longer fresh", async || {
                let answer = get_with(self.edge.http, &paths[count - 1], "Cache-Control: only-if-cached\r\n").await;
                if answer.status() == 504 { Ok(()) } else { Err(answer.head.raw) }
            })
            .await;
        }
        paths
    }

    async fn store(&self, path: &str) {
        assert_eq!(self.edge.get(path).await.x_cache(), "Miss from proxima");
        self.edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    }

    /// Stores more than the cache holds, and meanwhile asks for the end of the object again and again, so that of all its
    /// slices only the last is worth keeping. Reading the metrics makes the cache evict what is too much.
    async fn evict_first_slice(&mut self, path: &str) {
        for _ in 0..MEMORY / MIB + 2 {
            self.objects += 1;
            self.edge.get(&format!("/{MIB}/{}", self.objects)).await;
            self.edge.metrics().await;
            let end = get_with(self.edge.http, path, "Range: bytes=-1\r\n").await;
            expect(&end, 206, "Hit", &self.body[LARGE - 1..]);
        }
    }
}

async fn check_state(state: State, length: usize) {
    let cache_control = if state == State::Expired { "max-age=1" } else { "max-age=3600" };
    let mut bed = Bed::start(cache_control).await;
    let asks = asks(length);
    let mut paths = bed.objects(state, length, asks.len()).await;
    for (name, fields, expected) in asks {
        let path = match paths.pop() {
            Some(path) => path,
            None => bed.object(state, length).await,
        };
        let before = bed.origin.requests();
        let answer = get_with(bed.edge.http, &path, &fields).await;
        let context = format!("{state:?}, {name}:\n{}", answer.head.raw);
        let body = &bed.body[..length];
        let right = fits(&answer, &expected, body)
            || also_right(state, &expected).is_some_and(|also| fits(&answer, &also, body));
        assert!(right, "expected {expected:?}; {context}");
        let asked = bed.origin.requests() - before;
        // What is at hand is enough for it, or else one request to the origin.
        let at_hand = match (state, &expected) {
            (_, Expected::Failed) => false,
            (State::StoredWhole | State::Sliced, _) => true,
            (State::PartlyEvicted, Expected::NotModified | Expected::Unsatisfiable | Expected::Parts(_)) => true,
            (State::PartlyEvicted, Expected::Part(first, _)) => *first >= MIB,
            _ => false,
        };
        match state {
            State::Expired => assert!(asked > 0, "{context}"),
            _ => assert_eq!(asked, usize::from(!at_hand), "{context}"),
        }
        if at_hand {
            let word = if expected == Expected::Unsatisfiable { "Error" } else { "Hit" };
            assert_eq!(answer.x_cache(), format!("{word} from proxima"), "{context}");
        }
    }
}

#[tokio::test]
async fn every_part_of_what_is_stored_whole() {
    check_state(State::StoredWhole, SMALL).await;
}

#[tokio::test]
async fn every_part_of_what_is_stored_in_slices() {
    check_state(State::Sliced, LARGE).await;
}

#[tokio::test]
async fn every_part_of_what_is_partly_evicted() {
    check_state(State::PartlyEvicted, LARGE).await;
}

#[tokio::test]
async fn every_part_of_what_is_expired() {
    check_state(State::Expired, SMALL).await;
}

#[tokio::test]
async fn every_part_of_what_is_absent() {
    check_state(State::Absent, SMALL).await;
    check_state(State::Absent, LARGE).await;
}

/// Whether status, fields and bytes are as they should be.
fn fits(answer: &Response, expected: &Expected, body: &[u8]) -> bool {
    let field = |name: &str| answer.head.field(name);
    let length = body.len();
    let identified = field("etag") == Some("\"v1\"")
        && field("content-location") == Some("/there")
        && field("vary") == Some("Accept-Language")
        && field("cache-control").is_some_and(|value| value.starts_with("max-age="))
        && field("date").is_some();
    let has =
        |status: u16, content: &[u8]| answer.status() == status && answer.body.complete && answer.body.bytes == content;
    let typed = field("content-type") == Some("video/mp4");
    let measured = |count: usize| field("content-length") == Some(&count.to_string());
    let range = |first: usize, end: usize| format!("bytes {first}-{}/{length}", end - 1);
    match expected {
        Expected::Whole => {
            has(200, body) && identified && typed && measured(length) && field("content-range").is_none()
        }
        Expected::Part(first, end) => {
            let described = field("content-range") == Some(&*range(*first, *end));
            has(206, &body[*first..*end]) && identified && typed && measured(end - first) && described
        }
        Expected::Parts(wanted) => {
            let described = answer.status() == 206 && identified && field("content-range").is_none();
            if !described || !answer.body.complete || !measured(answer.body.bytes.len()) {
                return false;
            }
            let seen = parts(&answer.head, &answer.body.bytes);
            let same = |(part, (first, end)): (&Part, &(usize, usize))| {
                part.bytes == body[*first..*end]
                    && part.head == format!("Content-Type: video/mp4\r\nContent-Range: {}", range(*first, *end))
            };
            seen.len() == wanted.len() && seen.iter().zip(wanted).all(same)
        }
        Expected::NotModified => {
            let bare = ["content-length", "content-type", "content-range"].iter().all(|name| field(name).is_none());
            has(304, b"") && identified && bare
        }
        Expected::Unsatisfiable => {
            answer.status() == 416 && field("content-range") == Some(&format!("bytes */{length}"))
        }
        Expected::Failed => answer.status() == 412,
    }
}

/// A part of a multipart body.
#[derive(Debug)]
pub(super) struct Part {
    /// Its fields.
    pub(super) head: String,
    /// Its content.
    pub(super) bytes: Vec<u8>,
}

/// Takes a multipart/byteranges body apart by its boundary (RFC 2046 § 5.1.1).
pub(super) fn parts(head: &Head, mut body: &[u8]) -> Vec<Part> {
    let content_type = head.field("content-type").unwrap_or_default();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a multipart type");
    assert!((1..=70).contains(&boundary.len()), "{boundary}");
    let line = format!("\r\n--{boundary}").into_bytes();
    let mut parts = Vec::new();
    loop {
        body = body.strip_prefix(&*line).expect("a boundary");
        if body == b"--\r\n" {
            return parts;
        }
        body = body.strip_prefix(b"\r\n").expect("the end of the boundary's line");
        let end = find(body, b"\r\n\r\n").expect("the end of a part's head");
        let head = String::from_utf8(body[..end].to_vec()).expect("fields are text");
        let content = &body[end + 4..];
        let end = find(content, &line).expect("a boundary behind each part");
        parts.push(Part { head, bytes: content[..end].to_vec() });
        body = &content[end..];
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
