//! `probe`: asks a URL once, for Pods whose image has no other client. It decides nothing but whether the answer is good.

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits;

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nothing listens there, or the name means nothing.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    /// What listens there does not speak HTTP.
    #[error("cannot ask {0}: {1}")]
    Ask(String, hyper::Error),
    /// There was no complete answer in time.
    #[error("no answer from {0} within {time:?}", time = limits::PROBE_TIMEOUT)]
    Silent(String),
    /// The answer is another than 2xx.
    #[error("{url} answered {status}: {body}")]
    Answer {
        /// What was asked.
        url: Uri,
        /// What it answered.
        status: StatusCode,
        /// The beginning of what it said.
        body: String,
    },
}

/// A URL that can be probed: plain HTTP, since it is for probes inside a cluster.
pub fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if url.scheme_str() != Some("http") || url.host().is_none_or(str::is_empty) {
        return Err(format!("{text:?} must begin with http:// and name a host"));
    }
    Ok(url)
}

/// Asks once; anything but 2xx is an error.
pub async fn run(url: Uri) -> Result<StatusCode, ProbeError> {
    let authority = format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(80));
    let (status, body) = match timeout(limits::PROBE_TIMEOUT, ask(&url, &authority)).await {
        Ok(answer) => answer?,
        Err(_) => return Err(ProbeError::Silent(authority)),
    };
    if status.is_success() {
        return Ok(status);
    }
    let body = String::from_utf8_lossy(&body).trim_end().to_owned();
    Err(ProbeError::Answer { url, status, body })
}

async fn ask(url: &Uri, authority: &str) -> Result<(StatusCode, BytesMut), ProbeError> {
    let failed = |error| ProbeError::Ask(authority.to_owned(), error);
    let stream =
        TcpStream::connect(authority).await.map_err(|error| ProbeError::Connect(authority.to_owned(), error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("path and authority were part of a URL");
    let answer = async {
        let response = sender.send_request(request).await?;
        drop(sender);
        Ok((response.status(), beginning(response.into_body()).await?))
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer.map_err(failed)
}

/// Enough of a body to say why; the rest of an endless one is not waited for.
async fn beginning(mut body: Incoming) -> Result<BytesMut, hyper::Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data[..data.len().min(limits::PROBE_BODY_BYTES - read.len())]);
        }
        if read.len() == limits::PROBE_BODY_BYTES {
            break;
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Probes a server that answers `answer` to one request; returns the request and the verdict.
    async fn check(answer: &'static str) -> (String, Result<StatusCode, String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = url(&format!("http://{}/readyz?full", listener.local_addr().unwrap())).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        };
        let (request, verdict) = tokio::join!(server, run(target));
        (request, verdict.map_err(|error| error.to_string()))
    }

    #[tokio::test]
    async fn success_is_a_2xx_answer_to_a_get() {
        let (request, verdict) = check("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(request.starts_with("GET /readyz?full HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
        assert_eq!(verdict, Ok(StatusCode::NO_CONTENT));
    }

    #[tokio::test]
    async fn another_answer_is_a_failure_that_says_what_was_answered() {
        let (_, verdict) = check("HTTP/1.1 503 No\r\nContent-Length: 23\r\n\r\nnodes: not listed yet.\n").await;
        let error = verdict.unwrap_err();
        assert!(error.ends_with("/readyz?full answered 503 Service Unavailable: nodes: not listed yet."), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_http_is_a_failure() {
        let (_, verdict) = check("SSH-2.0-server\r\n").await;
        assert!(verdict.unwrap_err().starts_with("cannot ask 127.0.0.1:"));
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = run(url(&format!("http://{address}/")).unwrap()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot connect to {address}: ")), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_after_a_bound() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = url(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        assert!(run(target).await.unwrap_err().to_string().starts_with("no answer from 127.0.0.1:"));
    }

    #[test]
    fn only_plain_http_to_a_host_can_be_probed() {
        for text in ["readyz", "https://a/", "http:///a", "/readyz"] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
