//! Step 4, admit: may this viewer ask this at all?

use http::{HeaderValue, Method, StatusCode, Version};

use crate::edge_config::{AllowedMethods, ViewerProtocolPolicy};
use crate::origin_request::{CDN_LOOP, forwards_left};
use crate::outcome::Reason;
use crate::request::{Refusal, Scheme, ViewerRequest};
use crate::route::Route;

impl Route {
    /// Loops, viewer protocol policy, allowed methods and Max-Forwards (RFC 8586; CloudFront: "Viewer protocol policy", "Allowed HTTP
    /// methods").
    pub fn admit(&self, request: &ViewerRequest) -> Result<(), Refusal> {
        if request.headers.contains_key(CDN_LOOP) && self.is_loop(request) {
            return Err(Refusal::new(Reason::LoopDetected, "this request comes back to where it has been"));
        }
        if request.scheme == Scheme::Http {
            match self.behavior.viewer_protocol_policy {
                ViewerProtocolPolicy::AllowAll => {}
                ViewerProtocolPolicy::RedirectToHttps => return Err(redirect(request)),
                ViewerProtocolPolicy::HttpsOnly => return Err(https_required()),
            }
        }
        if !is_allowed(self.behavior.allowed_methods, &request.method) {
            return Err(Refusal::new(Reason::MethodNotAllowed, "this method is not allowed here"));
        }
        // It asks about the edge, which has nothing to say of itself (RFC 9110 § 7.6.2).
        if request.method == Method::OPTIONS && forwards_left(&request.headers) == Some(0) {
            return Err(Refusal::new(
                Reason::MethodNotAllowed,
                "OPTIONS with Max-Forwards: 0 goes no further than here",
            ));
        }
        Ok(())
    }
}

fn is_allowed(allowed: AllowedMethods, method: &Method) -> bool {
    let read = matches!(*method, Method::GET | Method::HEAD);
    match allowed {
        AllowedMethods::GetHead => read,
        AllowedMethods::GetHeadOptions => read || *method == Method::OPTIONS,
        AllowedMethods::All => {
            read || matches!(*method, Method::OPTIONS | Method::PUT | Method::PATCH | Method::POST | Method::DELETE)
        }
        // They were refused when the head was read; said again, since here is where it would be looked for.
        AllowedMethods::Any => !matches!(*method, Method::CONNECT | Method::TRACE),
    }
}

fn https_required() -> Refusal {
    Refusal::new(Reason::HttpsRequired, "this is served over https only")
}

/// 301 for GET and HEAD, 307 for the rest, which keeps method and body. HTTP/1.0 does not know 307, so CloudFront
/// answers 403 there.
fn redirect(request: &ViewerRequest) -> Refusal {
    let read = matches!(request.method, Method::GET | Method::HEAD);
    if !read && request.version <= Version::HTTP_10 {
        return https_required();
    }
    let host = if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.clone() };
    // Without a Host (HTTP/1.0) there is no name to redirect to; `*` is not a place.
    if host.is_empty() || request.path() == "*" {
        return https_required();
    }
    let (mark, query) = request.query().map_or(("", ""), |query| ("?", query));
    let location = HeaderValue::try_from(format!("https://{host}{}{mark}{query}", request.path()));
    let Ok(location) = location else { return https_required() };
    Refusal {
        location: Some(location),
        status: if read { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT },
        ..Refusal::new(Reason::RedirectToHttps, "this is served over https")
    }
}

#[cfg(test)]
mod tests;
