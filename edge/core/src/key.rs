//! Step 5, key: the identity of what a request asks for.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::request::ViewerRequest;
use crate::route::Route;

/// Identity of a stored response: length-delimited bytes, so that no two different requests share one by accident.
/// Compared in full; a hash is never trusted alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Bytes);

impl CacheKey {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key of one variant: this key, and the values that the named headers have in the request **as it goes to the
    /// origin** (RFC 9111 § 4.1). An absent header differs from an empty one.
    pub fn variant(&self, names: &[HeaderName], sent: &HeaderMap) -> Self {
        let _ = (names, sent);
        todo!()
    }
}

impl Route {
    /// The primary key: distribution, path, and what the cache policy names.
    pub fn cache_key(&self, request: &ViewerRequest) -> CacheKey {
        let _ = request;
        todo!()
    }
}
