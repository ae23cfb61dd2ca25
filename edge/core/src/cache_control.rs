//! Cache-Control of a response (RFC 9111 § 5.2), parsed once when it is received.

use http::HeaderMap;

/// The directives that matter to a shared cache. Lifetimes in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// `max-age`.
    pub max_age: Option<u64>,
    /// `s-maxage`.
    pub s_maxage: Option<u64>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` without field names.
    pub no_cache: bool,
    /// `private` without field names.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `only-if-cached`, a request directive.
    pub only_if_cached: bool,
}

impl CacheControl {
    /// Reads all Cache-Control fields. Unknown directives are ignored; an unreadable lifetime counts as 0 (stale), and
    /// of repeated ones the first counts, as RFC 9111 § 4.2.1 permits.
    pub fn parse(headers: &HeaderMap) -> Self {
        let _ = headers;
        todo!()
    }
}
