use proxima_edge_core::edge_config::OriginProtocolPolicy;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::request::ViewerRequest;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::fixture::edge;

/// A route to `https://origin.test`, which is connected to at `address` and verified as `server_name`.
fn route(address: std::net::SocketAddr, server_name: Option<&str>) -> (Route, ViewerRequest) {
    crate::fixture::route(|distribution| {
        let origin = &mut distribution.origins[0];
        origin.protocol_policy = OriginProtocolPolicy::HttpsOnly;
        origin.connect_to = Some(address.to_string());
        origin.tls_server_name = server_name.map(str::to_owned);
    })
}

/// What comes of a request to an https origin whose certificate is for `origin.test`.
async fn fetch(trusted: bool, server_name: Option<&str>) -> Result<StatusCode, Reason> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["origin.test".to_owned()]).unwrap();
    let certificate = CertificateDer::from(cert.der().to_vec());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (route, request) = route(listener.local_addr().unwrap(), server_name);
    let mut roots = RootCertStore::empty();
    if trusted {
        roots.add(certificate).unwrap();
    }
    let edge = edge();
    let origins = Origins { connector: Connector::trusting(roots), ..Origins::new(&edge) };
    let local = LocalSet::new();
    local
        .run_until(async {
            tokio::task::spawn_local(async move {
                let (stream, _) = listener.accept().await.unwrap();
                // A handshake that the client refuses fails here as well.
                let Ok(mut stream) = TlsAcceptor::from(Arc::new(server)).accept(stream).await else { return };
                let mut head = vec![0; 4_096];
                let length = stream.read(&mut head).await.unwrap();
                assert!(head[..length].starts_with(b"GET /page HTTP/1.1\r\nhost: origin.test\r\n"));
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            });
            let outgoing = route.origin_request(&request, Purpose::Pass);
            let fetched = origins.fetch(&route, &outgoing, RequestBody::Empty, &Interim::none()).await;
            fetched.map(|fetched| fetched.head.status).map_err(|error| error.reason)
        })
        .await
}

#[tokio::test]
async fn an_https_origin_is_verified_by_the_host_that_is_sent() {
    assert_eq!(fetch(true, None).await, Ok(StatusCode::OK));
}

#[tokio::test]
async fn an_https_origin_is_verified_by_the_name_that_is_configured() {
    assert_eq!(fetch(true, Some("origin.test")).await, Ok(StatusCode::OK));
    assert_eq!(fetch(true, Some("other.test")).await, Err(Reason::OriginTlsError));
}

#[tokio::test]
async fn an_https_origin_with_an_unknown_issuer_is_refused() {
    assert_eq!(fetch(false, None).await, Err(Reason::OriginTlsError));
}
