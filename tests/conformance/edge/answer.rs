//! What an origin of a case writes.

use proxima_edge_core::timestamp::Timestamp;

use super::Turn;
use crate::cases::message::{Framing, Interim, OriginAnswer, OriginReply};
use crate::compare::with_dates;

/// The bytes of an answer given at `now`.
pub(super) fn bytes(answer: &OriginAnswer, now: Timestamp) -> Turn {
    let reply = match answer {
        OriginAnswer::Disconnect => return Turn::Close(Vec::new()),
        OriginAnswer::Reset => return Turn::Reset,
        OriginAnswer::Reply(reply) => reply,
    };
    let head = head(reply, now);
    let mut with_body = head.clone();
    with_body.extend(body(reply));
    match reply.framing {
        Framing::Length | Framing::Chunked => Turn::Keep { with_body, head_only: head },
        Framing::Close | Framing::Truncated => Turn::Close(with_body),
    }
}

/// The bytes of interim responses sent at `now`, if there are any.
pub(super) fn interim_bytes(interim: &[Interim], now: Timestamp) -> Option<Vec<u8>> {
    let mut text = String::new();
    for Interim { status, fields } in interim {
        text += &format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in fields {
            text += &format!("{name}: {}\r\n", with_dates(value, now));
        }
        text += "\r\n";
    }
    (!text.is_empty()).then(|| text.into_bytes())
}

fn has_body(reply: &OriginReply) -> bool {
    !matches!(reply.status, 204 | 304)
}

fn head(reply: &OriginReply, now: Timestamp) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} Status\r\n", reply.status);
    for (name, value) in &reply.fields {
        text += &format!("{name}: {}\r\n", with_dates(value, now));
    }
    let framed = reply.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match reply.framing {
        Framing::Length if framed || !has_body(reply) => {}
        Framing::Length => text += &format!("Content-Length: {}\r\n", reply.body.len()),
        Framing::Truncated => text += &format!("Content-Length: {}\r\n", reply.body.len() + 1),
        Framing::Chunked => text += "Transfer-Encoding: chunked\r\n",
        Framing::Close => text += "Connection: close\r\n",
    }
    (text + "\r\n").into_bytes()
}

fn body(reply: &OriginReply) -> Vec<u8> {
    match reply.framing {
        _ if !has_body(reply) => Vec::new(),
        Framing::Chunked => format!("{:x}\r\n{}\r\n0\r\n\r\n", reply.body.len(), reply.body).into_bytes(),
        Framing::Length | Framing::Close | Framing::Truncated => reply.body.clone().into_bytes(),
    }
}
