use std::fs;
use std::time::Duration;

use http_body_util::Empty;
use tempfile::TempDir;

use super::*;

struct Served {
    origin: StaticOrigin,
    folder: TempDir,
}

impl Served {
    /// A folder with `index.html`, `docs/index.html`, `docs/a b.txt`, a hidden file, and a secret outside it.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        fs::create_dir_all(site.join("docs")).unwrap();
        fs::write(site.join("index.html"), "home").unwrap();
        fs::write(site.join("docs/index.html"), "docs").unwrap();
        fs::write(site.join("docs/a b.txt"), "text").unwrap();
        fs::write(site.join(".env"), "hidden").unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let origin = StaticOrigin::start(&site, "site").await.unwrap();
        Self { origin, folder }
    }

    fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let stream = TcpStream::connect(self.origin.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "site");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask(Method::GET, path, &[]).await;
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn files_are_served_by_their_names_and_folders_by_their_index() {
    let served = Served::start().await;
    for (path, content) in
        [("/", "home"), ("/index.html", "home"), ("/docs/", "docs"), ("/docs/a%20b.txt", "text"), ("/?q=1", "home")]
    {
        assert_eq!(served.get(path).await, (200, content.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn nothing_outside_the_folder_and_nothing_hidden_is_served() {
    let served = Served::start().await;
    std::os::unix::fs::symlink("../secret", served.site().join("link")).unwrap();
    std::os::unix::fs::symlink("..", served.site().join("up")).unwrap();
    std::os::unix::fs::symlink(".env", served.site().join("unhidden")).unwrap();
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/docs/../../secret",
        "/docs/..%2f..%2fsecret",
        "/..%5csecret",
        "//secret",
        "/.env",
        "/%2eenv",
        "/link",
        "/up/secret",
        "/unhidden",
        "/docs",
        "/docs/./index.html",
        "/index.html%00.txt",
        "/index.html/",
        "/%zz",
        "/%ff",
        "/missing",
    ] {
        assert_eq!(served.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_link_that_stays_inside_the_folder_is_followed() {
    let served = Served::start().await;
    std::os::unix::fs::symlink("docs/index.html", served.site().join("inside")).unwrap();
    assert_eq!(served.get("/inside").await, (200, "docs".to_owned()));
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let served = Served::start().await;
    let (status, head, body) = served.ask(Method::HEAD, "/index.html", &[]).await;
    let (_, get, _) = served.ask(Method::GET, "/index.html", &[]).await;
    assert_eq!((status, body.len()), (StatusCode::OK, 0));
    for field in ["content-length", "content-type", "etag", "last-modified"] {
        assert_eq!(head[field], get[field], "{field}");
    }
    assert_eq!(get["content-length"], "4");
    assert_eq!(get["content-type"], "text/html; charset=utf-8");
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let served = Served::start().await;
    let (_, headers, _) = served.ask(Method::GET, "/index.html", &[]).await;
    let (tag, date) = (headers["etag"].to_str().unwrap(), headers["last-modified"].to_str().unwrap());
    let listed = format!("\"other\", W/{tag}");
    for (field, value, expected) in [
        ("if-none-match", tag, 304),
        ("if-none-match", listed.as_str(), 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", date, 304),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("if-modified-since", "yesterday", 200),
    ] {
        let (status, _, body) = served.ask(Method::GET, "/index.html", &[(field, value)]).await;
        assert_eq!(status.as_u16(), expected, "{field}: {value}");
        assert_eq!(body.is_empty(), expected == 304);
    }
    let both = [("if-none-match", "\"other\""), ("if-modified-since", date)];
    assert_eq!(served.ask(Method::GET, "/index.html", &both).await.0, StatusCode::OK, "the tag decides");
}

#[tokio::test]
async fn another_content_has_another_tag() {
    let served = Served::start().await;
    let tag = async || served.ask(Method::HEAD, "/index.html", &[]).await.1["etag"].clone();
    let before = tag().await;
    let file = fs::File::options().write(true).open(served.site().join("index.html")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    assert_ne!(before, tag().await);
}

#[tokio::test]
async fn a_large_file_arrives_whole() {
    let served = Served::start().await;
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(served.site().join("film.mp4"), &content).unwrap();
    let (_, headers, body) = served.ask(Method::GET, "/film.mp4", &[]).await;
    assert_eq!(headers["content-type"], "video/mp4");
    assert!(body == content, "{} of {} bytes", body.len(), content.len());
}

#[tokio::test]
async fn other_methods_are_refused_and_every_request_is_counted() {
    let served = Served::start().await;
    let (status, headers, _) = served.ask(Method::POST, "/", &[]).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    served.get("/").await;
    served.get("/missing").await;
    assert_eq!(served.origin.requests(), 3);
}

#[tokio::test]
async fn what_is_not_a_folder_cannot_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file, folder.path().join("missing")] {
        let Err(error) = StaticOrigin::start(&path, "site").await else { panic!("served {}", path.display()) };
        assert!(error.to_string().starts_with("cannot serve /"), "{error}");
    }
}
