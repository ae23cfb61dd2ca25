//! Placeholder.
use std::rc::Rc;

use bytes::Bytes;
use proxima_edge_core::request::ConnectionFacts;

use crate::body::ReplyBody;
use crate::edge::Worker;

/// Placeholder.
pub async fn handle(
    worker: Rc<Worker>,
    connection: Rc<ConnectionFacts>,
    request: hyper::Request<hyper::body::Incoming>,
) -> http::Response<ReplyBody> {
    let (parts, _body) = request.into_parts();
    let mut record = crate::log::Record::begin(&worker, &connection, &parts);
    record.fields.status = Some(http::StatusCode::OK);
    http::Response::new(ReplyBody::new(Bytes::from_static(b"placeholder\n"), record))
}
