use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::super::interject::Interject;
use super::*;

type Writer = Interject<DuplexStream, fn(&[u8]) -> Vec<u8>>;

fn connection(room: usize) -> (DuplexStream, Writer, Rc<Phase>) {
    let (viewer, socket) = duplex(room);
    let phase = Rc::new(Phase::default());
    (viewer, Interject::new(socket, Rc::clone(&phase), |_| Vec::new()), phase)
}

fn link(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::LINK, HeaderValue::from_str(text).unwrap())])
}

async fn received(mut viewer: DuplexStream, writer: Writer) -> String {
    drop(writer);
    let mut text = String::new();
    viewer.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn early_hints_are_written_when_hyper_flushes_without_fields_of_the_origins_connection() {
    let (viewer, mut writer, phase) = connection(1_024);
    let _in_flight = phase.request_begins(false);
    let interim = Interim::of_current(&phase, Version::HTTP_11);
    let mut fields = link("</a.css>; rel=preload");
    for (name, value) in [("connection", "x-gone"), ("x-gone", "1"), ("content-length", "9"), ("set-cookie", "a=b")] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    interim.send(StatusCode::EARLY_HINTS, fields);
    interim.send(StatusCode::CONTINUE, HeaderMap::new());
    writer.flush().await.unwrap();
    writer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(received(viewer, writer).await, expected);
}

#[tokio::test]
async fn nothing_is_written_once_the_response_is_there_or_for_another_request() {
    let (viewer, mut writer, phase) = connection(1_024);
    let _in_flight = phase.request_begins(false);
    let first = Interim::of_current(&phase, Version::HTTP_11);
    assert!(first.is_wanted());
    first.send(StatusCode::PROCESSING, HeaderMap::new());
    first.close();
    assert!(!first.is_wanted());
    first.send(StatusCode::PROCESSING, HeaderMap::new());
    writer.flush().await.unwrap();
    let _next = phase.request_begins(false);
    let second = Interim::of_current(&phase, Version::HTTP_11);
    first.send(StatusCode::EARLY_HINTS, HeaderMap::new());
    first.close();
    assert!(second.is_wanted(), "the end of one request is not the end of another");
    second.send(StatusCode::EARLY_HINTS, link("<b>"));
    writer.flush().await.unwrap();
    assert_eq!(received(viewer, writer).await, "HTTP/1.1 103 Early Hints\r\nlink: <b>\r\n\r\n");
}

#[tokio::test]
async fn older_and_newer_versions_get_none() {
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let (viewer, mut writer, phase) = connection(1_024);
        let _in_flight = phase.request_begins(false);
        let interim = Interim::of_current(&phase, version);
        assert!(!interim.is_wanted());
        interim.send(StatusCode::EARLY_HINTS, HeaderMap::new());
        writer.flush().await.unwrap();
        assert_eq!(received(viewer, writer).await, "");
    }
}

#[tokio::test]
async fn what_has_begun_is_ended_before_the_response_and_what_is_too_much_is_dropped() {
    let (mut viewer, mut writer, phase) = connection(16);
    let _in_flight = phase.request_begins(false);
    let interim = Interim::of_current(&phase, Version::HTTP_11);
    interim.send(StatusCode::EARLY_HINTS, link(&"x".repeat(limits::INTERIM_BYTES)));
    interim.send(StatusCode::EARLY_HINTS, link("<a>"));
    let flushed = futures::poll!(std::pin::pin!(writer.flush()));
    assert!(flushed.is_pending(), "the viewer reads slowly");
    interim.close();
    let reading = async {
        let mut text = String::new();
        viewer.read_to_string(&mut text).await.unwrap();
        text
    };
    let writing = async {
        writer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        drop(writer);
    };
    let (text, ()) = tokio::join!(reading, writing);
    assert_eq!(text, "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
}
