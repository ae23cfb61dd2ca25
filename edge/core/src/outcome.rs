//! One closed vocabulary for what became of a request: response header, access log and metrics all speak it.

use http::StatusCode;

/// The word in `X-Cache` and in the log's `result` (CloudFront: `x-edge-result-type`).
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
    /// Redirected to https.
    Redirect,
}

impl ResultType {
    /// Every result type, for metrics.
    pub const ALL: [Self; 5] = [Self::Hit, Self::RefreshHit, Self::Miss, Self::Error, Self::Redirect];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "Hit",
            Self::RefreshHit => "RefreshHit",
            Self::Miss => "Miss",
            Self::Error => "Error",
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
            Self::Redirect => "Redirect from proxima",
        }
    }
}

macro_rules! reasons {
    ($( $(#[$doc:meta])* $name:ident => $result:ident, $status:expr; )*) => {
        /// Why a request ended as it did (CloudFront: `x-edge-detailed-result-type`). The detailed word of the log, of
        /// `X-Proxima-Reason` on errors, and of the metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $( $(#[$doc])* $name, )* }

        impl Reason {
            /// Every reason, for metrics and documentation.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }

            /// The result type that this reason is a detail of.
            pub fn result_type(self) -> ResultType {
                match self { $( Self::$name => ResultType::$result, )* }
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
    Hit => Hit, 200;
    /// Served from a fetch that another request had begun.
    CollapsedHit => Hit, 200;
    /// Served from the cache although expired, while it is refreshed in the background.
    StaleWhileRevalidate => Hit, 200;
    /// Served from the cache although expired, since the origin failed.
    StaleIfError => Hit, 200;
    /// Served from the cache although expired, since the viewer accepts it.
    StaleAsRequested => Hit, 200;
    /// Expired, and confirmed by the origin as unchanged.
    RefreshHit => RefreshHit, 200;
    /// Not in the cache; fetched.
    Miss => Miss, 200;
    /// In the cache but no longer fresh; fetched anew.
    Expired => Miss, 200;
    /// The response to this key was not storable a moment ago, so requests for it do not wait for one another.
    HitForMiss => Miss, 200;
    /// The method is not among the cached methods.
    MethodNotCached => Miss, 200;
    /// All lifetimes of the cache policy are zero.
    CachingDisabled => Miss, 200;
    /// The request has a condition (If-None-Match and the like) and was passed through.
    ConditionalRequest => Miss, 200;
    /// The request asks for a range and was passed through.
    RangeRequest => Miss, 200;
    /// The request carries credentials that reach the origin without being in the key.
    UnkeyedCredentials => Miss, 200;
    /// Too many requests wait already; this one went to the origin on its own.
    TooManyFollowers => Miss, 200;
    /// A HEAD request for what is not in the cache.
    HeadMiss => Miss, 200;
    /// The viewer's own cache directives ask for the origin's answer.
    RequestDirective => Miss, 200;

    /// http was redirected to https.
    RedirectToHttps => Redirect, 301;

    /// No distribution answers to this Host.
    HostUnknown => Error, 403;
    /// The distribution is disabled.
    DistributionDisabled => Error, 403;
    /// The behaviour does not allow the method.
    MethodNotAllowed => Error, 403;
    /// The behaviour demands https.
    HttpsRequired => Error, 403;
    /// GET or HEAD with a body.
    BodyNotAllowed => Error, 403;
    /// Host is missing, repeated, malformed, or contradicts the request target.
    InvalidHost => Error, 400;
    /// The path has dot segments, backslashes, NUL or other controls.
    InvalidPath => Error, 400;
    /// Two statements about the body, or a transfer coding other than chunked.
    InvalidFraming => Error, 400;
    /// Anything else that is not HTTP.
    InvalidRequest => Error, 400;
    /// The request target is too long.
    UriTooLong => Error, 414;
    /// Request line and headers are too long, or too many.
    HeadTooLarge => Error, 494;
    /// The request has passed through here before, or through too many edges.
    LoopDetected => Error, 508;
    /// `only-if-cached`, and it is not.
    OnlyIfCached => Error, 504;

    /// The origin's name does not resolve.
    OriginDnsError => Error, 502;
    /// The origin's address may not be connected to.
    OriginAddressForbidden => Error, 502;
    /// The origin refused the connection or is unreachable.
    OriginConnectError => Error, 502;
    /// The origin's certificate or handshake is not acceptable.
    OriginTlsError => Error, 502;
    /// The origin did not accept a connection in time.
    OriginConnectTimeout => Error, 504;
    /// The origin closed or reset the connection before its response head.
    OriginCommError => Error, 502;
    /// The origin did not answer in time.
    OriginReadTimeout => Error, 504;
    /// The origin's answer is not HTTP.
    OriginInvalidResponse => Error, 502;
    /// The origin's response head is too long.
    OriginHeaderTooBig => Error, 502;
    /// The origin's body broke off: the viewer's is truncated, and nothing is stored.
    OriginBodyIncomplete => Error, 502;
    /// Too many requests wait for this origin.
    OriginBusy => Error, 503;

    /// The viewer left before the response was complete.
    ViewerAborted => Error, 499;
    /// The viewer's request body broke off or stalled.
    ViewerBodyIncomplete => Error, 400;
    /// The viewer read too slowly.
    ViewerTooSlow => Error, 499;
    /// The edge has no valid configuration yet.
    NotConfigured => Error, 503;
    /// A fault of the edge.
    InternalError => Error, 500;
}

/// Why a response was not stored. Metric label, and the `stored` field of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStored {
    /// Its method, or the request's method.
    Method,
    /// Its status needs explicit freshness, or is never stored.
    Status,
    /// `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// `no-cache`, and nothing to revalidate it by.
    NoCache,
    /// Freshness is zero, and there is nothing to revalidate it by.
    NoFreshness,
    /// `must-understand`, and its status is not understood.
    MustUnderstand,
    /// It sets a cookie.
    SetCookie,
    /// `Vary: *`.
    VaryAny,
    /// `Vary` names too many headers.
    VaryTooLong,
    /// The request carried credentials that are not in the key.
    UnkeyedCredentials,
    /// Too large for this cache.
    TooLarge,
    /// It is a partial response.
    Partial,
    /// The body broke off.
    Incomplete,
    /// The request was passed through.
    Bypassed,
}

impl NotStored {
    /// Every reason, for metrics.
    pub const ALL: [Self; 15] = [
        Self::Method,
        Self::Status,
        Self::NoStore,
        Self::Private,
        Self::NoCache,
        Self::NoFreshness,
        Self::MustUnderstand,
        Self::SetCookie,
        Self::VaryAny,
        Self::VaryTooLong,
        Self::UnkeyedCredentials,
        Self::TooLarge,
        Self::Partial,
        Self::Incomplete,
        Self::Bypassed,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "Method",
            Self::Status => "Status",
            Self::NoStore => "NoStore",
            Self::Private => "Private",
            Self::NoCache => "NoCache",
            Self::NoFreshness => "NoFreshness",
            Self::MustUnderstand => "MustUnderstand",
            Self::SetCookie => "SetCookie",
            Self::VaryAny => "VaryAny",
            Self::VaryTooLong => "VaryTooLong",
            Self::UnkeyedCredentials => "UnkeyedCredentials",
            Self::TooLarge => "TooLarge",
            Self::Partial => "Partial",
            Self::Incomplete => "Incomplete",
            Self::Bypassed => "Bypassed",
        }
    }
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
                ResultType::Error => assert!(status >= 400, "{reason:?}"),
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
