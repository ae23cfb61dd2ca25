//! One closed vocabulary for what became of a request: response header, access log and metrics all speak it.

use http::StatusCode;

/// The word in `X-Cache` and in the log's `result_type` (CloudFront: `x-edge-result-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultType {
    /// Served from the cache, or from a fetch that another viewer began.
    Hit,
    /// Served from the cache after the origin confirmed that it is unchanged.
    RefreshHit,
    /// Fetched from the origin for this request.
    Miss,
    /// Refused, or the origin failed.
    Error,
    /// Refused, since a limit of size was exceeded.
    LimitExceeded,
    /// Refused, since there is no room for one more.
    CapacityExceeded,
    /// Redirected to https.
    Redirect,
}

impl ResultType {
    /// Every result type, for metrics.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::RefreshHit,
        Self::Miss,
        Self::Error,
        Self::LimitExceeded,
        Self::CapacityExceeded,
        Self::Redirect,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "Hit",
            Self::RefreshHit => "RefreshHit",
            Self::Miss => "Miss",
            Self::Error => "Error",
            Self::LimitExceeded => "LimitExceeded",
            Self::CapacityExceeded => "CapacityExceeded",
            Self::Redirect => "Redirect",
        }
    }

    /// Value of `X-Cache`.
    pub fn x_cache(self) -> &'static str {
        match self {
            Self::Hit => "Hit from proxima",
            Self::RefreshHit => "RefreshHit from proxima",
            Self::Miss => "Miss from proxima",
            Self::Error => "Error from proxima",
            Self::LimitExceeded => "LimitExceeded from proxima",
            Self::CapacityExceeded => "CapacityExceeded from proxima",
            Self::Redirect => "Redirect from proxima",
        }
    }
}

/// Why a request went to the origin: `fwd` of `Cache-Status` (RFC 9211 § 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was configured not to handle it.
    Bypass,
    /// Its method requires it.
    Method,
    /// Nothing is stored under its key.
    UriMiss,
    /// What is stored under its key was chosen by other request fields.
    VaryMiss,
    /// Nothing that is stored could be used.
    Miss,
    /// What the viewer's request says forbids what is stored.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored has not all that is asked for.
    Partial,
}

impl Forward {
    /// The token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

macro_rules! forward {
    (-) => {
        None
    };
    ($forward:ident) => {
        Some(Forward::$forward)
    };
}

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])+ $name:ident => $result:ident, $detailed:ident, $forward:tt, $status:literal; )*) => {
        /// Why a request ended as it did: the `reason` of the log, of `X-Proxima-Reason` on errors, the `detail` of
        /// `Cache-Status` where the other parameters do not say it, and a label of the metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $( $(#[doc = $doc])+ $name, )* }

        impl Reason {
            /// Every reason, for metrics and documentation.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }

            /// What it means, for documentation.
            pub fn explanation(self) -> &'static str {
                match self { $( Self::$name => concat!($($doc),+), )* }
            }

            /// The result type that this reason is a detail of.
            pub fn result_type(self) -> ResultType {
                match self { $( Self::$name => ResultType::$result, )* }
            }

            /// CloudFront's word for it (`x-edge-detailed-result-type`): the nearest one, where it makes no such distinction.
            pub fn detailed_result_type(self) -> &'static str {
                match self { $( Self::$name => stringify!($detailed), )* }
            }

            /// Why the origin was asked; none where it was not.
            pub fn forward(self) -> Option<Forward> {
                match self { $( Self::$name => forward!($forward), )* }
            }

            /// Status of the response when the edge itself makes it; for reasons that carry an origin's response, 200.
            pub fn status(self) -> StatusCode {
                let code: u16 = match self { $( Self::$name => $status, )* };
                StatusCode::from_u16(code).expect("the table holds only valid status codes")
            }
        }
    };
}

reasons! {
    /// Served from the cache.
    Hit => Hit, Hit, -, 200;
    /// Served from a fetch that another request had begun.
    CollapsedHit => Hit, Hit, Miss, 200;
    /// Served from the cache although expired, while it is refreshed in the background.
    StaleWhileRevalidate => Hit, Hit, -, 200;
    /// Served from the cache although expired, since the origin failed.
    StaleIfError => Hit, Hit, Stale, 200;
    /// Served from the cache although expired, since the viewer accepts it.
    StaleAsRequested => Hit, Hit, -, 200;
    /// Expired, and confirmed by the origin as unchanged.
    RefreshHit => RefreshHit, RefreshHit, Stale, 200;
    /// Not in the cache; fetched.
    Miss => Miss, Miss, UriMiss, 200;
    /// In the cache for other values of the headers that `Vary` names; fetched.
    VariantMiss => Miss, Miss, VaryMiss, 200;
    /// In the cache but no longer fresh; fetched anew.
    Expired => Miss, Miss, Stale, 200;
    /// The response to this key was not storable a moment ago, so requests for it do not wait for one another.
    HitForMiss => Miss, Miss, Miss, 200;
    /// The method is not among the cached methods.
    MethodNotCached => Miss, Miss, Method, 200;
    /// The viewer's own cache directives ask for the origin's answer.
    RequestDirective => Miss, Miss, Request, 200;
    /// All lifetimes of the cache policy are zero.
    CachingDisabled => Miss, Miss, Bypass, 200;
    /// The request has a condition that only the origin may find to have failed (If-Match, If-Unmodified-Since): what is
    /// stored does not meet it, or nothing is.
    ConditionalRequest => Miss, Miss, Request, 200;
    /// The request asks for a range of what is not in the cache, nor on its way near enough; the origin was asked for it.
    RangeRequest => Miss, Miss, Miss, 200;
    /// The request carries credentials that reach the origin without being in the key.
    UnkeyedCredentials => Miss, Miss, Request, 200;
    /// Too many requests wait already; this one went to the origin on its own.
    TooManyFollowers => Miss, Miss, Miss, 200;
    /// A HEAD request for what is not in the cache.
    HeadMiss => Miss, Miss, Miss, 200;

    /// http was redirected to https.
    RedirectToHttps => Redirect, Redirect, -, 301;

    /// No distribution answers to this Host.
    HostUnknown => Error, Error, -, 403;
    /// The distribution is disabled.
    DistributionDisabled => Error, Error, -, 403;
    /// The behaviour does not allow the method.
    MethodNotAllowed => Error, InvalidRequestMethod, -, 403;
    /// The behaviour demands https.
    HttpsRequired => Error, Error, -, 403;
    /// GET or HEAD with a body.
    BodyNotAllowed => Error, InvalidRequest, -, 403;
    /// Host is missing, repeated, malformed, or contradicts the request target.
    InvalidHost => Error, InvalidRequestHeader, -, 400;
    /// The path has dot segments, backslashes, NUL or other controls.
    InvalidPath => Error, InvalidRequest, -, 400;
    /// Two statements about the body, a transfer coding other than chunked, malformed chunks, or lines that readers end in
    /// different places.
    InvalidFraming => Error, InvalidRequestHeader, -, 400;
    /// Anything else that is not HTTP.
    InvalidRequest => Error, InvalidRequest, -, 400;
    /// The request target is too long.
    UriTooLong => LimitExceeded, LimitExceeded, -, 414;
    /// Request line and headers are too long, or too many.
    HeadTooLarge => LimitExceeded, LimitExceeded, -, 494;
    /// More HTTP/2 streams at once than the edge announced; the stream was refused.
    TooManyStreams => LimitExceeded, LimitExceeded, -, 503;
    /// None of the bytes asked for are part of the resource.
    RangeNotSatisfiable => Error, InvalidRequestHeader, -, 416;
    /// The request has passed through here before, or through too many edges.
    LoopDetected => Error, InvalidRequestHeader, -, 508;
    /// The request head was not complete in time.
    HeadTimeout => Error, ClientHungUpRequest, -, 408;
    /// `only-if-cached`, and it is not.
    OnlyIfCached => Error, Error, -, 504;

    /// The origin's name does not resolve.
    OriginDnsError => Error, OriginDnsError, Miss, 502;
    /// The origin's address may not be connected to.
    OriginAddressForbidden => Error, OriginConnectError, Miss, 502;
    /// The origin refused the connection or is unreachable.
    OriginConnectError => Error, OriginConnectError, Miss, 502;
    /// The origin's certificate or handshake is not acceptable.
    OriginTlsError => Error, OriginConnectError, Miss, 502;
    /// The origin did not accept a connection in time.
    OriginConnectTimeout => Error, OriginConnectError, Miss, 504;
    /// The origin closed or reset the connection before its response head.
    OriginCommError => Error, OriginCommError, Miss, 502;
    /// The origin did not answer in time.
    OriginReadTimeout => Error, OriginCommError, Miss, 504;
    /// The origin's answer is not HTTP, or none to what it was asked: 304 without a condition, 206 without a range.
    OriginInvalidResponse => Error, OriginInvalidResponseError, Miss, 502;
    /// The origin's response head is too long.
    OriginHeaderTooBig => Error, OriginHeaderTooBigError, Miss, 502;
    /// The origin's body broke off: the viewer's is truncated, and nothing is stored.
    OriginBodyIncomplete => Error, AbortedOrigin, Miss, 502;
    /// Too many requests wait for this origin.
    OriginBusy => CapacityExceeded, CapacityExceeded, Miss, 503;

    /// The viewer left before the response was complete.
    ViewerAborted => Error, ClientCommError, -, 499;
    /// The viewer's request body broke off or stalled.
    ViewerBodyIncomplete => Error, ClientHungUpRequest, Miss, 400;
    /// The viewer read too slowly.
    ViewerTooSlow => Error, ClientCommError, -, 499;
    /// The edge has no valid configuration yet.
    NotConfigured => Error, Error, -, 503;
    /// A fault of the edge.
    InternalError => Error, Error, -, 500;
}

macro_rules! not_stored {
    ($( $(#[doc = $doc:literal])+ $name:ident; )*) => {
        /// Why a response was not stored: `not_stored` of the log, the `detail` of `Cache-Status`, and a label of the metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum NotStored { $( $(#[doc = $doc])+ $name, )* }

        impl NotStored {
            /// Every reason, for metrics and documentation.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }

            /// What it means, for documentation.
            pub fn explanation(self) -> &'static str {
                match self { $( Self::$name => concat!($($doc),+), )* }
            }
        }
    };
}

not_stored! {
    /// Its method, or the request's method.
    Method;
    /// Its status needs explicit freshness, or is never stored.
    Status;
    /// `no-store`.
    NoStore;
    /// `private`.
    Private;
    /// `no-cache`, and nothing to revalidate it by.
    NoCache;
    /// `must-understand`, and its status is not understood.
    MustUnderstand;
    /// Freshness is zero, and there is nothing to revalidate it by.
    NoFreshness;
    /// It sets a cookie.
    SetCookie;
    /// `Vary: *`.
    VaryAny;
    /// `Vary` names too many headers.
    VaryTooLong;
    /// The request carried credentials that are not in the key.
    UnkeyedCredentials;
    /// Too large for this cache.
    TooLarge;
    /// It is a partial response.
    Partial;
    /// The body broke off.
    Incomplete;
    /// Too many responses were on their way for the memory that they may take.
    NoRoom;
    /// The request was passed through.
    Bypassed;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_status_of_its_kind() {
        let mut names = HashSet::new();
        for &reason in Reason::ALL {
            assert!(names.insert(reason.as_str()), "{reason:?}");
            let status = reason.status().as_u16();
            match reason.result_type() {
                ResultType::Hit | ResultType::RefreshHit | ResultType::Miss => assert_eq!(status, 200, "{reason:?}"),
                ResultType::Redirect => assert_eq!(status, 301, "{reason:?}"),
                ResultType::Error | ResultType::LimitExceeded | ResultType::CapacityExceeded => {
                    assert!(status >= 400, "{reason:?}");
                }
            }
        }
    }

    #[test]
    fn every_word_is_told_apart() {
        let words: HashSet<_> = ResultType::ALL.iter().map(|result| result.x_cache()).collect();
        assert_eq!(words.len(), ResultType::ALL.len());
        let names: HashSet<_> = NotStored::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), NotStored::ALL.len());
    }
}
