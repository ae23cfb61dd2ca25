//! Listening sockets: binding them, and accepting within the limits.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use proxima_edge_core::limits;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Connections that wait in the kernel to be accepted, for each listener. The kernel's own bound (`somaxconn`) is
/// often lower and wins.
const BACKLOG: i32 = 4_096;
/// After an error of accepting (mostly: no file descriptor left) nothing is accepted for this long.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Binds one listener for each worker, all to the same address. A port of 0 is chosen by the system for the first and
/// shared by the rest.
pub fn bind_all(address: SocketAddr, workers: NonZeroUsize) -> io::Result<Vec<std::net::TcpListener>> {
    let first = bind(address)?;
    let chosen = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers.get() {
        listeners.push(bind(chosen)?);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` also takes IPv4, as everywhere else in Kubernetes.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listener of one worker, and permits for its connections.
pub struct Listener {
    socket: TcpListener,
    permits: Arc<Semaphore>,
}

/// A connection, not yet read from.
pub struct Accepted {
    /// The socket, without Nagle's delay.
    pub stream: TcpStream,
    /// The viewer; an IPv4 address in IPv6 form is turned back.
    pub peer: SocketAddr,
    /// Counts the connection until it is dropped.
    pub permit: OwnedSemaphorePermit,
}

impl Listener {
    /// Takes over a bound socket. Must be called in the runtime that will accept.
    pub fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            permits: Arc::new(Semaphore::new(limits::CONNECTIONS_PER_WORKER)),
        })
    }

    /// The next connection. At the limit nothing is accepted: viewers wait in the kernel's queue, not in our memory.
    /// Safe to drop at any time.
    pub async fn accept(&mut self, metrics: &Metrics) -> Accepted {
        loop {
            let permits = Arc::clone(&self.permits);
            let permit = permits.acquire_owned().await.expect("nobody closes the semaphore");
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    // Fails only on a socket that is already broken, which the first read will tell.
                    let _ = stream.set_nodelay(true);
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    return Accepted { stream, peer, permit };
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    metrics.accept_errors.inc();
                    tracing::warn!(%error, "could not accept a viewer's connection");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// The connection was gone before it was accepted; the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
