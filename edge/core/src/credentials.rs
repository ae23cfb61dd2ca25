//! Authorization and Cookie that reach the origin without being in the key: what they may be answered with, and what
//! may be kept of the answer.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};

use crate::entry::StoredResponse;
use crate::route::Route;
use crate::selection;

/// Which credentials a request shows to the origin that the key does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unkeyed {
    pub(crate) authorization: bool,
    pub(crate) cookie: bool,
}

impl Unkeyed {
    pub(crate) fn any(self) -> bool {
        self.authorization || self.cookie
    }
}

impl Route {
    /// Judges the fields of a viewer's request, or of the request to the origin made from it. Only a policy that
    /// forwards all fields sends more than is in the key.
    pub(crate) fn unkeyed_credentials(&self, headers: &HeaderMap) -> Unkeyed {
        let policy = &self.behavior.cache_policy;
        if !policy.forward_all_viewer_headers {
            return Unkeyed::default();
        }
        let replaced = |name: &HeaderName| self.behavior.origin.custom_headers.iter().any(|(custom, _)| custom == name);
        let authorization = headers.contains_key(AUTHORIZATION)
            && !policy.key_headers.contains(&AUTHORIZATION)
            && !replaced(&AUTHORIZATION);
        let cookie = headers
            .get(COOKIE)
            .is_some_and(|field| !selection::selects_every_cookie(&policy.key_cookies, field) && !replaced(&COOKIE));
        Unkeyed { authorization, cookie }
    }

    /// Whether what one such request brought may be shown to others. RFC 9111 § 3.5 asks it for Authorization; a
    /// session Cookie is a credential as much. Where the origin alone controls the cache, a Cookie still allows a
    /// lifetime that the origin names: it knows that cookies exist.
    pub(crate) fn may_share(&self, response: &StoredResponse, unkeyed: Unkeyed) -> bool {
        let directives = &response.cache_control;
        // A lifetime addressed to CDNs is meant for all of their viewers.
        let addressed = directives.targeted && directives.names_lifetime();
        let shared = directives.public || directives.s_maxage.is_some() || directives.must_revalidate || addressed;
        if !unkeyed.any() || shared {
            return true;
        }
        !unkeyed.authorization && self.behavior.cache_policy.origin_controlled && response.has_explicit_freshness()
    }
}
