//! From an origin's name to a connection that speaks HTTP/1.1.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hyper_util::rt::TokioIo;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::OriginRequest;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::plan::Origin;
use proxima_edge_core::request::Scheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::guard::Verdict;
use super::pool::Sender;
use super::{OriginError, RequestBody, chain};
use crate::edge::Edge;

/// Makes connections. Holds the resolver, whose cache honours record lifetimes, and the TLS trust.
pub(super) struct Connector {
    resolver: std::cell::OnceCell<Result<TokioResolver, String>>,
    /// Who may vouch for any origin.
    roots: RootCertStore,
    tls: TlsConnector,
    /// By digest of an origin's own authorities. Each has a memory of sessions of its own, so that none is resumed under
    /// another trust than it began with.
    private: RefCell<HashMap<[u8; 32], TlsConnector>>,
}

impl Connector {
    /// Trusts the bundled roots.
    pub(super) fn new() -> Self {
        Self::trusting(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    pub(super) fn trusting(roots: RootCertStore) -> Self {
        let tls = tls_connector(roots.clone());
        Self { resolver: std::cell::OnceCell::new(), roots, tls, private: RefCell::default() }
    }

    /// Trust for an origin: the roots, and what the origin itself brings.
    fn tls(&self, origin: &Origin) -> Result<TlsConnector, OriginError> {
        let Some(bundle) = &origin.ca_bundle else { return Ok(self.tls.clone()) };
        let mut private = self.private.borrow_mut();
        if let Some(known) = private.get(&bundle.digest) {
            return Ok(known.clone());
        }
        let mut roots = self.roots.clone();
        let unreadable = |error: String| {
            let detail = format!("read the certificate authorities of origin {}: {error}", origin.name);
            OriginError::new(Reason::OriginTlsError, detail)
        };
        for certificate in CertificateDer::pem_slice_iter(bundle.pem.as_bytes()) {
            let certificate = certificate.map_err(|error| unreadable(chain(&error)))?;
            roots.add(certificate).map_err(|error| unreadable(chain(&error)))?;
        }
        // Bundles that no configuration names any more would stay for ever.
        if private.len() >= limits::CA_BUNDLES {
            private.clear();
        }
        let connector = tls_connector(roots);
        private.insert(bundle.digest, connector.clone());
        Ok(connector)
    }

    /// Resolves, checks, connects, and shakes hands, all within the origin's connection timeout. `attempt` counts from
    /// 1 and chooses which of several addresses comes first.
    pub(super) async fn connect(
        &self,
        edge: &Edge,
        origin: &Origin,
        request: &OriginRequest,
        attempt: u8,
    ) -> Result<Sender, OriginError> {
        let port = match (origin.connect_port, request.scheme) {
            (Some(port), _) => port,
            (None, Scheme::Http) => origin.http_port,
            (None, Scheme::Https) => origin.https_port,
        };
        let name = &origin.connect_host;
        let connecting = async {
            let addresses = self.resolve(name, port).await?;
            let tcp = connect_any(edge, &addresses, attempt).await?;
            match request.scheme {
                Scheme::Http => handshake(tcp).await,
                Scheme::Https => {
                    let server = server_name(origin, request)?;
                    let tls = self.tls(origin)?.connect(server, tcp).await;
                    handshake(tls.map_err(|error| OriginError::new(Reason::OriginTlsError, chain(&error)))?).await
                }
            }
        };
        tokio::time::timeout(origin.connection_timeout, connecting).await.unwrap_or_else(|_| {
            Err(OriginError::new(
                Reason::OriginConnectTimeout,
                format!("no connection to {name}:{port} within {:?}", origin.connection_timeout),
            ))
        })
    }

    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, OriginError> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let dns_error = |detail: String| OriginError::new(Reason::OriginDnsError, format!("resolve {name}: {detail}"));
        let resolver = self.resolver.get_or_init(|| {
            TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| chain(&error))
        });
        let resolver = resolver.as_ref().map_err(|detail| dns_error(detail.clone()))?;
        let answer = resolver.lookup_ip(name).await.map_err(|error| dns_error(chain(&error)))?;
        let addresses: Vec<_> = answer.iter().map(|ip| SocketAddr::new(ip, port)).collect();
        if addresses.is_empty() { Err(dns_error("no address".to_owned())) } else { Ok(addresses) }
    }
}

fn tls_connector(roots: RootCertStore) -> TlsConnector {
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Connects to the first address that accepts, beginning with another one at each attempt.
async fn connect_any(edge: &Edge, addresses: &[SocketAddr], attempt: u8) -> Result<TcpStream, OriginError> {
    let first = usize::from(attempt - 1) % addresses.len();
    let mut last_error = None;
    for address in addresses[first..].iter().chain(&addresses[..first]) {
        match connect_one(edge, *address).await {
            Ok(stream) => return Ok(stream),
            // The most telling failure is one of an address that may be used.
            Err(error) if error.reason == Reason::OriginAddressForbidden => {
                last_error.get_or_insert(error);
            }
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.expect("there was at least one address"))
}

async fn connect_one(edge: &Edge, address: SocketAddr) -> Result<TcpStream, OriginError> {
    permitted(edge.origin_guard.judge(address), address)?;
    let unreachable =
        |error: std::io::Error| OriginError::new(Reason::OriginConnectError, format!("connect to {address}: {error}"));
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    let (local, peer) = (stream.local_addr().map_err(unreachable)?, stream.peer_addr().map_err(unreachable)?);
    permitted(edge.origin_guard.judge_connected(local, peer), address)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

fn permitted(verdict: Verdict, address: SocketAddr) -> Result<(), OriginError> {
    let why = match verdict {
        Verdict::Allowed => return Ok(()),
        Verdict::Loopback => "a loopback address; --allow-loopback-origins would allow it",
        Verdict::LinkLocal => "a link-local address",
        Verdict::NotUnicast => "not a unicast address",
        Verdict::Own => "this edge itself",
    };
    Err(OriginError::new(Reason::OriginAddressForbidden, format!("{address} is {why}")))
}

/// The name to verify: what the origin says, else the Host that is sent (CloudFront's rule).
fn server_name(origin: &Origin, request: &OriginRequest) -> Result<ServerName<'static>, OriginError> {
    let name = match &origin.tls_server_name {
        Some(name) => name.as_str(),
        None => host_only(request.host.to_str().unwrap_or(&origin.host)),
    };
    ServerName::try_from(name.to_owned())
        .map_err(|_| OriginError::new(Reason::OriginTlsError, format!("{name} cannot be the name of a certificate")))
}

/// A Host without its port and brackets.
fn host_only(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.split(':').next().unwrap_or(host)
}

/// Hands a transport to hyper. The connection lives in a task of this worker until either side closes it.
async fn handshake<T>(transport: T) -> Result<Sender, OriginError>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(limits::ORIGIN_HEADERS)
        .max_buf_size(limits::ORIGIN_HEAD_BYTES)
        .handshake::<_, RequestBody>(TokioIo::new(transport))
        .await
        .map_err(|error| OriginError::new(Reason::OriginConnectError, chain(&error)))?;
    tokio::task::spawn_local(async move {
        // Whoever waits for a response sees the error; an idle connection has nobody to tell.
        if let Err(error) = connection.await {
            tracing::debug!(error = %chain(&error), "origin connection ended");
        }
    });
    Ok(sender)
}
