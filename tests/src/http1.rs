//! HTTP/1.1 messages as bytes, read leniently: the harness must be able to see what is wrong.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::within;

/// A request or response head, verbatim and in parts.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Request line or status line.
    pub start: String,
    /// Fields in order, names as sent.
    pub fields: Vec<(String, String)>,
    /// The bytes, up to and including the empty line.
    pub raw: String,
}

impl Head {
    fn parse(raw: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(raw).into_owned();
        let mut lines = raw.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self { start, fields, raw }
    }

    /// First value of a field, name in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// How often a field occurs.
    pub fn count(&self, name: &str) -> usize {
        self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count()
    }

    /// Method of a request.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// Target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Status of a response, 0 when there is none.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    fn content_length(&self) -> Option<usize> {
        self.field("content-length").and_then(|value| value.parse().ok())
    }

    fn chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// Framing of a request's body.
    pub fn request_framing(&self) -> Framing {
        match (self.chunked(), self.content_length()) {
            (true, _) => Framing::Chunked,
            (false, length) => Framing::Length(length.unwrap_or(0)),
        }
    }

    /// Framing of the body of a response to `method`.
    pub fn response_framing(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status(), 100..=199 | 204 | 304) {
            return Framing::Length(0);
        }
        match (self.chunked(), self.content_length()) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        }
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After that many bytes.
    Length(usize),
    /// After the chunk of length zero.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// A body, and whether its framing says that it is all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// What arrived.
    pub bytes: Vec<u8>,
    /// It ended as announced.
    pub complete: bool,
}

/// A connection that reads and writes messages.
pub struct Wire {
    tcp: TcpStream,
    buffer: BytesMut,
}

impl Wire {
    /// Takes over a connection.
    pub fn new(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).expect("TCP_NODELAY can be set");
        Self { tcp, buffer: BytesMut::new() }
    }

    /// Connects.
    pub async fn connect(to: SocketAddr) -> io::Result<Self> {
        within("a connection", TcpStream::connect(to)).await.map(Self::new)
    }

    /// The local address.
    pub fn local(&self) -> SocketAddr {
        self.tcp.local_addr().expect("a connected socket has an address")
    }

    /// Reads more; false at the end of the connection, however it came about.
    async fn more(&mut self) -> bool {
        matches!(within("bytes", self.tcp.read_buf(&mut self.buffer)).await, Ok(count) if count > 0)
    }

    /// Reads a head; `None` when the connection ends first.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                return Some(Head::parse(&self.buffer.split_to(end + 4)));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads `count` bytes, fewer only when the connection ends.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            if !self.more().await {
                break;
            }
        }
        let count = count.min(self.buffer.len());
        self.buffer.split_to(count).to_vec()
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.advance(end + 2);
                return Some(line);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads the data of one chunk; empty for the last one, `None` when the connection ends first.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line().await?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).ok()?;
        let data = self.take(size + 2).await;
        data.ends_with(b"\r\n").then(|| data[..size].to_vec()).filter(|data| data.len() == size)
    }

    /// Reads a body to its end.
    pub async fn body(&mut self, framing: Framing) -> Body {
        match framing {
            Framing::Length(length) => {
                let bytes = self.take(length).await;
                Body { complete: bytes.len() == length, bytes }
            }
            Framing::Chunked => {
                let mut bytes = Vec::new();
                loop {
                    match self.chunk().await {
                        Some(data) if data.is_empty() => return Body { bytes, complete: true },
                        Some(data) => bytes.extend(data),
                        None => return Body { bytes, complete: false },
                    }
                }
            }
            Framing::UntilClose => {
                while self.more().await {}
                Body { bytes: self.buffer.split().to_vec(), complete: true }
            }
        }
    }

    /// Writes; false when the peer is gone.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within("the peer to read", self.tcp.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Says that nothing more will be written, and goes on reading.
    pub async fn finish_writing(&mut self) {
        let _ = self.tcp.shutdown().await;
    }

    /// Waits for the end of the connection; true when nothing more arrived before it.
    pub async fn ended(&mut self) -> bool {
        let nothing = self.buffer.is_empty();
        nothing && !self.more().await
    }

    /// Waits, for however long, until there is something to read; false when the connection ended instead.
    pub async fn readable(&mut self) -> bool {
        !self.buffer.is_empty() || matches!(self.tcp.read_buf(&mut self.buffer).await, Ok(count) if count > 0)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.tcp.set_zero_linger().expect("SO_LINGER can be set");
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
