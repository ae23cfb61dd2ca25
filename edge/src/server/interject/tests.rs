use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

type Writer = Interject<DuplexStream, fn(&[u8]) -> Vec<u8>>;

fn connection(room: usize) -> (DuplexStream, Writer, Rc<Phase>) {
    let (viewer, socket) = duplex(room);
    let phase = Rc::new(Phase::default());
    (viewer, Interject::new(socket, Rc::clone(&phase), |hypers| [b"ours, not ", hypers].concat()), phase)
}

async fn received(mut viewer: DuplexStream) -> String {
    let mut text = String::new();
    viewer.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn what_no_service_answered_is_replaced() {
    let (viewer, mut writer, phase) = connection(1_024);
    writer.write_all(b"hyper's").await.unwrap();
    writer.shutdown().await.unwrap();
    assert!(phase.is_refused());
    assert_eq!(received(viewer).await, "ours, not hyper's");
}

#[tokio::test]
async fn what_the_service_answered_is_left_alone_until_all_of_it_is_written() {
    for vectored in [false, true] {
        let (viewer, mut writer, phase) = connection(1_024);
        let in_flight = phase.request_begins(false);
        writer.flush().await.unwrap();
        writer.write_all(b"head ").await.unwrap();
        writer.flush().await.unwrap();
        // The body has given all that it has, and hyper still holds the end of it.
        drop(in_flight);
        writer.write_all(b"end ").await.unwrap();
        assert!(!phase.is_refused());
        writer.flush().await.unwrap();
        if vectored {
            let pieces = [IoSlice::new(b"hyp"), IoSlice::new(b"er's")];
            assert_eq!(writer.write_vectored(&pieces).await.unwrap(), 7);
        } else {
            writer.write_all(b"hyper's").await.unwrap();
        }
        assert!(phase.is_refused());
        writer.shutdown().await.unwrap();
        assert_eq!(received(viewer).await, "head end ours, not hyper's");
    }
}

#[tokio::test]
async fn refusal_arrives_whole_at_a_viewer_who_reads_slowly() {
    let (viewer, mut writer, _) = connection(3);
    let writing = async {
        writer.write_all(b"hyper's").await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let (text, ()) = tokio::join!(received(viewer), writing);
    assert_eq!(text, "ours, not hyper's");
}
