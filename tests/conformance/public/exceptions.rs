//! Tests of the suite that the edge does not pass on purpose, each with the sentence of a standard that decides against
//! it, and tests that no cache can pass.
//!
//! The release predates RFC 9111, which reverses some rules of its predecessor.

/// A test that stays failing.
pub(crate) struct Exception {
    pub(crate) id: &'static str,
    pub(crate) reason: &'static str,
}

const AGE: &str = "RFC 9111 § 5.1: of a list in Age the first member is used, and an invalid field is ignored; the test \
                   wants the response treated as stale, as drafts of the predecessor suggested";
const LYING_RANGE: &str = "RFC 9110 § 14.4: the Content-Range of the test's origin contradicts the body or the range that \
                           was asked for, and a response whose parts contradict one another is not kept (RFC 9111 § 3.3 \
                           leaves storing partial responses to the cache)";
const NO_CONNECTION: &str = "RFC 9111 § 4.2.4: nothing stale is served here, and the answer is an error of the edge; the \
                             test counts requests by a field that only its origin sends, and its origin closes the \
                             connection without an answer, so that no cache can pass; by the suite's own rule it means \
                             nothing where stale responses are not served on errors";

macro_rules! exceptions {
    ($( $id:literal: $reason:expr; )*) => {
        /// All of them.
        pub(crate) const ALL: &[Exception] = &[ $( Exception { id: $id, reason: $reason }, )* ];
    };
}

exceptions! {
    "age-parse-nonnumeric": AGE;
    "age-parse-negative": AGE;
    "age-parse-float": AGE;
    "age-parse-prefix-twoline": AGE;
    "age-parse-dup-0": AGE;
    "age-parse-dup-0-twoline": AGE;
    "age-parse-dup-old": AGE;
    "age-parse-parameter": AGE;
    "age-parse-numeric-parameter": AGE;
    "conditional-lm-fresh-no-lm":
        "RFC 9111 § 4.3.2: where a stored response has no Last-Modified its Date is compared; the test's Date is later than \
         its If-Modified-Since, so that the condition is true and the answer 200";
    "vary-normalise-lang-select":
        "RFC 9111 § 4.1: fields match when they can be transformed into one another by normalisation; to choose a \
         language for the viewer is selection, and only the origin knows what it has";
    "partial-store-partial-reuse-partial": LYING_RANGE;
    "partial-store-partial-reuse-partial-byterange": LYING_RANGE;
    "partial-store-partial-reuse-partial-absent": LYING_RANGE;
    "partial-store-partial-reuse-partial-suffix": LYING_RANGE;
    "partial-store-partial-complete":
        "RFC 9111 § 3.4: parts are combined only when all share a strong validator; the responses of the test have none";
    "stale-close-must-revalidate": NO_CONNECTION;
    "stale-close-proxy-revalidate": NO_CONNECTION;
    "stale-close-no-cache": NO_CONNECTION;
    "stale-close-s-maxage=2": NO_CONNECTION;
    "headers-store-Transfer-Encoding":
        "RFC 9112 § 6.1 and § 7: the test's origin names a transfer coding that does not exist, so that nobody can tell \
         where the body ends; the answer is 502, and the suite calls that a failed setup";
}
