//! Every bound of the edge, with its unit and its reason.

use std::time::Duration;

/// Longest request target, bytes. CloudFront's own limit; beyond it 414.
pub const URI_BYTES: usize = 8_192;
/// Longest request line and headers together, bytes. CloudFront's own limit; beyond it 494.
pub const HEAD_BYTES: usize = 32_768;
/// Most header fields of a request. Bounds memory that HPACK's references can pin.
pub const HEADERS: usize = 100;
/// hyper's read buffer for a head, bytes: above [`HEAD_BYTES`] so that our own 494 answers first.
pub const HEAD_BUFFER_BYTES: usize = 65_536;
/// Empty lines that are passed over before a request line: RFC 9112 § 2.2 asks for at least one.
pub const LEADING_EMPTY_LINES: u8 = 1;
/// Longest body that a viewer may announce, and largest chunk, bytes: beyond it other readers may compute with a sign.
pub const BODY_BYTES: u64 = i64::MAX.cast_unsigned();
/// Extensions of all chunks of one body together, bytes. Nobody sends them, and nobody looks at them.
pub const CHUNK_EXTENSION_BYTES: u16 = 256;
/// Longest response head of an origin, bytes; beyond it 502.
pub const ORIGIN_HEAD_BYTES: usize = 65_536;
/// Most header fields of an origin's response.
pub const ORIGIN_HEADERS: usize = 200;

/// Viewer connections open at once, per worker. Bounds file descriptors and buffers.
pub const CONNECTIONS_PER_WORKER: usize = 16_384;
/// HTTP/2 streams open at once on one connection: the value RFC 9113 § 6.5.2 recommends as a minimum.
pub const HTTP2_STREAMS: u32 = 100;
/// HTTP/2 streams of one connection that have begun and that nobody has seen to yet: more than the library lets a viewer
/// begin before it ends the connection.
pub const HTTP2_UNSERVED: usize = 4_096;

/// Interim responses that wait to be written to a viewer, bytes: as much as one head of Early Hints can sensibly have.
pub const INTERIM_BYTES: usize = 8 << 10;

/// A connection without a request in progress is closed after this.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A request head must be complete this long after its first byte (slowloris).
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause between two reads of a request body.
pub const BODY_GAP: Duration = Duration::from_secs(30);
/// Longest time a viewer may accept next to nothing of a response.
pub const WRITE_STALL: Duration = Duration::from_secs(60);
/// Less than this is next to nothing, bytes: 68 a second. Whoever is slower holds a place for nobody's benefit.
pub const WRITE_STALL_BYTES: u64 = 4 << 10;
/// Most bytes of a body that the HTTP library gets at once: some 4 system calls for a slice.
pub const PIECE_BYTES: usize = 256 << 10;
/// The same for a stream of HTTP/2, which is asked for more when its viewer has made room for what it gave: a frame. So
/// who takes less than this in [`WRITE_STALL`] is as good as gone.
pub const HTTP2_PIECE_BYTES: usize = 16 << 10;
/// Bodies of HTTP/2 that wait in the library's buffers of one connection, bytes, until the next ones are followed to
/// their last byte, like large ones.
pub const HTTP2_WAITING_BYTES: u64 = 64 << 10;
/// Bodies above this are known by name to whoever has to find the slowest viewer, bytes. Smaller ones fit into a socket's
/// buffer.
pub const LARGE_BODY_BYTES: u64 = 16 << 10;
/// A response that began less than this ago is not yet judged by its speed.
pub const SPEED_GRACE: Duration = Duration::from_secs(2);

/// Bytes of bodies that viewers may hold in memory beside the cache: what is being sent and no longer stored, or not yet.
/// Beyond it the slowest viewers are cut off. A quarter of the cache, which is the largest body that it stores, but
/// not so little that a handful of fills in progress would reach it.
pub const fn held_bytes(cache_bytes: u64) -> u64 {
    let quarter = cache_bytes / 4;
    if quarter > HELD_BYTES_MIN { quarter } else { HELD_BYTES_MIN }
}

/// Least of [`held_bytes`], bytes.
const HELD_BYTES_MIN: u64 = 32 << 20;
/// An answer before the end of a request body drains at most this much of the rest.
pub const DRAIN_BYTES: u64 = 256 << 10;
/// And for at most this long.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);
/// After SIGTERM, requests in progress get this long.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// Bodies up to this size live in the head entry; larger ones in slices of this size. Bytes.
pub const SLICE_BYTES: u64 = 1 << 20;
/// Bytes inserted into the store between two runs of its maintenance, which evicts.
pub const MAINTENANCE_BYTES: u64 = 8 << 20;
/// Most ranges of one request; beyond it the whole is sent. Each part has a head of its own, some 150 bytes that the
/// representation does not have.
pub const RANGES: usize = 64;
/// How far before a range a fill in progress may be for its viewer to wait, bytes; beyond it the origin is asked for the
/// range.
pub const RANGE_WAIT_BYTES: u64 = 8 << 20;
/// A fill that nobody reads any more is finished when at most this much is left. Bytes.
pub const FINISH_BYTES: u64 = 8 << 20;
/// And for at most this long: a body that drips must not hold its place for ever.
pub const FINISH_TIME: Duration = Duration::from_secs(30);
/// Longest that a body is taken in which nobody reads, and which nobody but the cache has asked for.
pub const REFRESH_TIME: Duration = Duration::from_secs(300);
/// Most members of a field that is a dictionary (RFC 9651 § 3.2 asks for at least 1,024 of general parsers; no cache
/// directive list is as long as this one).
pub const DICTIONARY_MEMBERS: usize = 64;
/// How far a viewer may lag behind a fill that is not stored, bytes.
pub const UNSTORED_WINDOW_BYTES: u64 = 4 << 20;
/// A viewer that lags by the whole window and reads less than a window in this time is cut off.
pub const SLOW_VIEWER: Duration = Duration::from_secs(30);
/// Most viewers that wait for one fill. Beyond it requests go to the origin on their own.
pub const FOLLOWERS_PER_FILL: usize = 65_536;
/// Fills in progress at once, over all workers.
pub const FILLS: usize = 65_536;
/// After an uncacheable response, requests for its key do not wait for one another for this long.
pub const HIT_FOR_MISS: Duration = Duration::from_secs(10);
/// Bytes of the keys with a hit-for-miss marker at once, and of those whose origin failed a moment ago. A key holds what
/// viewers choose, so keys are weighed, not counted.
pub const RECENT_KEYS_BYTES: u64 = 16 << 20;
/// Most names in the Vary of one resource before its responses are no longer stored.
pub const VARY_NAMES: usize = 16;
/// Most variants kept of one resource; a new one beyond it takes the place of the oldest that nobody asks for. A header
/// that takes any value must not fill the cache with copies of one page.
pub const VARIANTS: usize = 128;
/// Bytes of the keys by which variants are counted. Of a resource beyond it the count begins anew.
pub const VARIANT_KEYS_BYTES: u64 = 64 << 20;
/// Stale responses that are being refreshed in the background at once, over all workers.
pub const REFRESHES: usize = 4_096;
/// Errors that CloudFront caches by default are kept at least this long, and after an error an expired response is
/// served this long before the origin is asked again (CloudFront: default of `ErrorCachingMinTTL`). Not under
/// OriginControlled.
pub const ERROR_TTL: Duration = Duration::from_secs(10);
/// Places for the generations of invalidated resources; resources that share one are invalidated together. 4 MiB, taken
/// with the first invalidation.
pub const INVALIDATION_SLOTS: usize = 1 << 19;
/// Times that a request may have passed through Proxima before it is a loop (RFC 8586). CloudFront allows 2
/// distributions in a row.
pub const CDN_LOOP_HOPS: usize = 8;

/// Header fields that every answer adds to those stored: Age, Content-Length, X-Cache, Cache-Status, Via, request id,
/// zone. Room for them is kept in the stored map, so that an answer need not grow its index.
pub const ADDED_HEADERS: usize = 7;

/// Connections open to one origin at once, per worker.
pub const ORIGIN_CONNECTIONS: usize = 512;
/// Idle connections kept to one origin, per worker.
pub const ORIGIN_IDLE_CONNECTIONS: usize = 64;
/// Requests that wait for a connection to one origin, per worker; beyond it 503.
pub const ORIGIN_QUEUE: usize = 4_096;
/// An idle connection that is not ready for a request this soon is not idle: another one is made.
pub const ORIGIN_READY_WAIT: Duration = Duration::from_secs(1);
/// Sets of private certificate authorities kept ready, per worker: as many as one distribution can have origins. Beyond
/// it all are read anew.
pub const CA_BUNDLES: usize = ORIGINS;
/// Longest wait for a connection to one origin.
pub const ORIGIN_QUEUE_WAIT: Duration = Duration::from_secs(30);

/// Longest frame on the link, bytes: a configuration is at most 900 KiB.
pub const LINK_FRAME_BYTES: usize = 1 << 20;
/// A frame on the link must be complete after this.
pub const LINK_FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// The TLS handshake of the link must be complete after this.
pub const LINK_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A link connection on which nothing arrives this long is closed by the edge. The operator pings more often.
pub const LINK_IDLE: Duration = Duration::from_secs(60);
/// Link connections at once. One operator leads; another may be taking over.
pub const LINK_CONNECTIONS: usize = 8;
/// Without an operator, a valid boot copy makes the edge ready after this.
pub const BOOT_GRACE: Duration = Duration::from_secs(10);

/// Access-log lines that wait to be written. Beyond it lines are dropped and counted.
pub const LOG_QUEUE: usize = 65_536;
/// Longest value in an access-log line, bytes; longer ones are cut.
pub const LOG_VALUE_BYTES: usize = 2_048;

/// Most behaviours of one distribution, as in the CRD.
pub const BEHAVIORS: usize = 256;
/// Most origins of one distribution, as in the CRD.
pub const ORIGINS: usize = 128;
/// Most aliases of one distribution, as in the CRD.
pub const ALIASES: usize = 256;
/// Longest path pattern, bytes. CloudFront's own limit.
pub const PATH_PATTERN_BYTES: usize = 255;
/// Longest default root object, origin path or custom header value, bytes. As in CloudFront's API, rounded up.
pub const CONFIG_VALUE_BYTES: usize = 2_048;
/// Longest lifetime in a cache policy, milliseconds: 100 years, as in CloudFront.
pub const TTL_MILLIS: u64 = 100 * 365 * 24 * 60 * 60 * 1_000;
/// Longest of an origin's timeouts, milliseconds: an hour. Longer ones are typing errors.
pub const ORIGIN_TIMEOUT_MILLIS: u64 = 60 * 60 * 1_000;
/// Most attempts to connect to an origin. As in CloudFront.
pub const CONNECTION_ATTEMPTS: u8 = 3;
/// Most custom headers of one origin, as in the CRD.
pub const CUSTOM_HEADERS: usize = 64;
/// Least memory for the cache, bytes: below it nothing useful fits.
pub const CACHE_MEMORY_MIN: u64 = 1 << 20;
