//! Step 8, the pure half: what we ask the origin.

use http::{HeaderMap, HeaderValue, Method};

use crate::request::{Scheme, ViewerRequest};
use crate::route::Route;

/// Head of a request to an origin. Hop-by-hop fields and framing are added by whoever sends it.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    /// Method, as the viewer sent it.
    pub method: Method,
    /// How to speak to the origin.
    pub scheme: Scheme,
    /// Request target: origin path, raw path, forwarded query.
    pub target: String,
    /// Host to send.
    pub host: HeaderValue,
    /// All other fields, without Host, Content-Length and Transfer-Encoding.
    pub headers: HeaderMap,
    /// The request carries Authorization or Cookie to the origin without having them in the key.
    pub unkeyed_credentials: bool,
}

/// For which purpose an origin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To fill the cache: conditions and ranges of the viewer are left out.
    Fill,
    /// For this viewer alone: its conditions and range are passed on.
    Pass,
}

impl Route {
    /// Composes the request: what is in the key, what the policy forwards, custom headers, Via, X-Forwarded-For
    /// (CloudFront: "How CloudFront processes and forwards requests to your custom origin").
    pub fn origin_request(&self, request: &ViewerRequest, purpose: Purpose) -> OriginRequest {
        let _ = (request, purpose);
        todo!()
    }
}
