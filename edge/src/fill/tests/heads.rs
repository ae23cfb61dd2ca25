//! A HEAD brings news of what is stored for GET, unless that is no longer what it was.

use bytes::Bytes;
use proxima_edge_core::storable::OriginResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::fixture;
use crate::store::{Lookup, Wanted};

/// Whether what is kept is renewed by a HEAD, where it is invalidated between its lookup and the HEAD, or not.
async fn renewed(invalidated: bool) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (route, mut request) = fixture::route(|distribution| {
        let origin = &mut distribution.origins[0];
        (origin.host, origin.http_port) = (address.ip().to_string(), address.port());
    });
    let worker = worker();
    let (edge, now) = (&worker.edge, worker.edge.clock.now());
    let mut headers = http::HeaderMap::new();
    headers.insert("cache-control", "max-age=60".parse().unwrap());
    let (status, body_length) = (http::StatusCode::OK, Some(4));
    let response = OriginResponse { status, headers, body_length, requested_at: now, received_at: now };
    let stored = route.storable(&route.origin_request(&request, Purpose::Fill), &response, 0).unwrap();
    let key = route.cache_key(&request);
    edge.store.insert_whole(key.clone(), stored, Bytes::from_static(b"body")).await;
    let Lookup::Found(kept) = edge.store.lookup(&key, |_| Wanted::All).await else { unreachable!("it was stored") };

    let place = edge.invalidations.place(&route.resource(&request));
    if invalidated {
        edge.invalidations.invalidate(place);
    }
    request.method = Method::HEAD;
    let (before, interim) = (Arc::clone(&kept.head), Interim::none());
    let (kept, place, reason) = (Some(kept), Some(place), Reason::HeadMiss);
    let wish = Wish { route: &route, request: &request, key: key.clone(), varies: None, kept, place, reason, interim };
    LocalSet::new()
        .run_until(async {
            tokio::task::spawn_local(async move {
                let mut viewer = listener.accept().await.unwrap().0;
                assert_ne!(viewer.read(&mut [0; 4_096]).await.unwrap(), 0);
                let answer = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\n";
                viewer.write_all(answer).await.unwrap();
            });
            assert!(matches!(head(&worker, &wish).await, Source::Origin(..)));
        })
        .await;
    let Lookup::Found(after) = edge.store.lookup(&key, |_| Wanted::All).await else {
        unreachable!("it is still there")
    };
    !Arc::ptr_eq(&before, &after.head)
}

#[tokio::test]
async fn what_was_invalidated_since_it_was_found_is_not_renewed() {
    assert!(renewed(false).await);
    assert!(!renewed(true).await);
}
