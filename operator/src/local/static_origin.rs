//! A small origin: serves one folder over HTTP/1.1 on loopback, and counts what it is asked.
//!
//! Only regular files inside the folder, by names that do not begin with a dot; a symbolic link that leads out of the
//! folder leads nowhere. Must not cache, list folders or interpret files: it stands in for somebody's real server.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::limits;

/// A running file server. Dropping it ends it.
pub struct StaticOrigin {
    /// Where it listens.
    pub address: SocketAddr,
    site: Arc<Site>,
    _task: AbortOnDropHandle<()>,
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It is not there, or not a folder.
    #[error("cannot serve {folder}: {error}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// No port.
    #[error("cannot listen on loopback to serve {folder}: {error}")]
    Listen {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
}

struct Site {
    name: String,
    root: PathBuf,
    requests: AtomicU64,
}

type Body = BoxBody<Bytes, io::Error>;

impl StaticOrigin {
    /// Serves `folder` as `name` on a port of the system's choice.
    pub async fn start(folder: &Path, name: &str) -> Result<Self, ServeError> {
        let root = serveable(folder).map_err(|error| ServeError::Folder { folder: folder.to_path_buf(), error })?;
        let listen_error = |error| ServeError::Listen { folder: folder.to_path_buf(), error };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let site = Arc::new(Site { name: name.to_owned(), root, requests: AtomicU64::new(0) });
        let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, Arc::clone(&site))));
        Ok(Self { address, site, _task: task })
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.site.name
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.site.requests.load(Ordering::Relaxed)
    }
}

fn serveable(folder: &Path) -> io::Result<PathBuf> {
    let root = folder.canonicalize()?;
    if root.is_dir() { Ok(root) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let permits = Arc::new(Semaphore::new(limits::SERVE_CONNECTIONS));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes this semaphore");
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    serve(stream, site).await;
                    drop(permit);
                });
            }
            // Out of descriptors, say: other connections have to end first.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the file server");
                tokio::time::sleep(limits::WATCH_SETTLE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>) {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(&request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::SERVE_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the file server ended early");
    }
}

impl Site {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let response = match *request.method() {
            Method::GET | Method::HEAD => self.file(request.method(), request.uri().path(), request.headers()).await,
            _ => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
        };
        tracing::info!(
            "origin {}: {} {} {} (request {count} to this origin)",
            self.name,
            request.method(),
            request.uri().path(),
            response.status().as_u16()
        );
        response
    }

    async fn file(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
        let Some((path, found)) = self.open(path).await else {
            return text(StatusCode::NOT_FOUND, "there is no such file\n");
        };
        let version = Version::of(found.length, found.modified);
        let mut response = if version.is_known_to(headers) {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            let body = if method == Method::HEAD { empty_body() } else { stream_file(found.file, found.length) };
            let mut response = Response::new(body);
            response.headers_mut().insert(header::CONTENT_LENGTH, found.length.into());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(&path)));
            response
        };
        version.write(response.headers_mut());
        response
    }

    async fn open(&self, path: &str) -> Option<(PathBuf, Found)> {
        let wanted = self.root.join(relative_path(path)?);
        let real = tokio::fs::canonicalize(&wanted).await.ok()?;
        // The link's target counts, not its name: neither out of the folder nor to a hidden file.
        let inside = real.strip_prefix(&self.root).ok()?;
        if inside.components().any(|component| is_hidden(component)) {
            return None;
        }
        // What is not a file is not opened: opening a named pipe would wait for its writer.
        if !tokio::fs::metadata(&real).await.ok()?.is_file() {
            return None;
        }
        let file = File::open(&real).await.ok()?;
        let metadata = file.metadata().await.ok()?;
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        metadata.is_file().then_some((real, Found { file, length: metadata.len(), modified }))
    }
}

struct Found {
    file: File,
    length: u64,
    modified: SystemTime,
}

fn is_hidden(component: Component<'_>) -> bool {
    component.as_os_str().as_encoded_bytes().starts_with(b".")
}

/// The path of a request as a path below the folder; `/` at the end means `index.html` there. `None` for whatever is
/// not a plain sequence of names: dots, empty and hidden names, back slashes, control characters, broken encoding.
fn relative_path(path: &str) -> Option<PathBuf> {
    let decoded = percent_decode(path.strip_prefix('/')?)?;
    let mut relative = PathBuf::new();
    let mut names = decoded.split('/').peekable();
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        let name = if last && name.is_empty() { "index.html" } else { name };
        if name.is_empty() || name.starts_with('.') || name.contains(|c: char| c == '\\' || c.is_control()) {
            return None;
        }
        relative.push(name);
    }
    Some(relative)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let value = digit()? << 4 | digit()?;
            decoded.push(u8::try_from(value).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

/// What tells two contents of a file apart.
struct Version {
    tag: String,
    modified: SystemTime,
}

impl Version {
    fn of(length: u64, modified: SystemTime) -> Self {
        let nanos = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { tag: format!("\"{length:x}-{nanos:x}\""), modified }
    }

    /// RFC 9110 § 13.2.2: If-Modified-Since counts only where there is no If-None-Match.
    fn is_known_to(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(header::IF_NONE_MATCH) {
            let mut fields = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
            return fields.any(|field| {
                let mut tags = field.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
                tags.any(|tag| tag == "*" || tag == self.tag)
            });
        }
        let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|field| field.to_str().ok());
        since.and_then(|date| httpdate::parse_http_date(date).ok()).is_some_and(|since| {
            let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            seconds(self.modified) <= seconds(since)
        })
    }

    fn write(&self, headers: &mut HeaderMap) {
        let tag = HeaderValue::from_str(&self.tag).expect("quotes, hexadecimal digits and a dash");
        let date = HeaderValue::from_str(&httpdate::fmt_http_date(self.modified)).expect("dates are plain text");
        headers.insert(header::ETAG, tag);
        headers.insert(header::LAST_MODIFIED, date);
    }
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "mp4" | "m4s" => "video/mp4",
        "ts" => "video/mp2t",
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

/// Exactly the announced bytes. A file that shrinks meanwhile ends the connection rather than the body.
fn stream_file(file: File, length: u64) -> Body {
    let chunks = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(limits::SERVE_CHUNK_BYTES);
        let mut chunk = vec![0; size];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        chunk.truncate(read);
        Ok(Some((Frame::data(Bytes::from(chunk)), (file, left - read as u64))))
    });
    StreamBody::new(chunks).boxed()
}

fn empty_body() -> Body {
    Full::default().map_err(|never| match never {}).boxed()
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = status;
    response
}

fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    let body = Full::from(message).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests;
