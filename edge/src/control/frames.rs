//! Frames of the link: a length of four bytes, big-endian, and that many bytes of JSON, in time.

use std::io;

use proxima_edge_core::limits;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole frame, without its length.
    Text(Vec<u8>),
    /// The announced length is more than is read.
    TooLarge(usize),
    /// The other side has closed, between two frames.
    End,
}

/// The next frame. Waits long for its first byte, and not so long for the rest.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Frame> {
    let mut length = [0_u8; 4];
    let begun = timeout(limits::LINK_IDLE, stream.read(&mut length[..1])).await;
    if begun.map_err(|_| timed_out("nothing came for too long"))?? == 0 {
        return Ok(Frame::End);
    }
    let rest = async {
        stream.read_exact(&mut length[1..]).await?;
        let length = u32::from_be_bytes(length) as usize;
        if length > limits::LINK_FRAME_BYTES {
            return Ok(Frame::TooLarge(length));
        }
        let mut text = vec![0; length];
        stream.read_exact(&mut text).await?;
        Ok(Frame::Text(text))
    };
    timeout(limits::LINK_FRAME_TIMEOUT, rest).await.map_err(|_| timed_out("a frame was not complete in time"))?
}

/// Sends one frame.
pub async fn write<S: AsyncWrite + Unpin>(stream: &mut S, message: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    let sent = async {
        stream.write_all(&frame).await?;
        stream.flush().await
    };
    timeout(limits::LINK_FRAME_TIMEOUT, sent).await.map_err(|_| timed_out("an answer was not taken in time"))?
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_in_order() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let sent = async {
            write(&mut near, &"one").await.unwrap();
            write(&mut near, &"two").await.unwrap();
            drop(near);
        };
        let received = async {
            assert_eq!(read(&mut far).await.unwrap(), Frame::Text(b"\"one\"".to_vec()));
            assert_eq!(read(&mut far).await.unwrap(), Frame::Text(b"\"two\"".to_vec()));
            assert_eq!(read(&mut far).await.unwrap(), Frame::End);
        };
        tokio::join!(sent, received);
    }

    #[tokio::test]
    async fn frame_above_the_limit_is_not_read() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let length = u32::try_from(limits::LINK_FRAME_BYTES + 1).unwrap();
        near.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(read(&mut far).await.unwrap(), Frame::TooLarge(limits::LINK_FRAME_BYTES + 1));
    }

    #[tokio::test]
    async fn frame_that_breaks_off_is_an_error() {
        let (mut near, mut far) = tokio::io::duplex(64);
        near.write_all(&[0, 0, 0, 9, b'{']).await.unwrap();
        drop(near);
        assert_eq!(read(&mut far).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_unfinished_frames_time_out() {
        let (mut near, mut far) = tokio::io::duplex(64);
        assert_eq!(read(&mut far).await.unwrap_err().to_string(), "nothing came for too long");
        near.write_all(&[0, 0]).await.unwrap();
        assert_eq!(read(&mut far).await.unwrap_err().to_string(), "a frame was not complete in time");
    }
}
