//! Splits Postgres's protocol into messages and exchanges.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// One end of a connection. Its futures lose no byte when dropped, except for `send`.
pub(super) struct Frames<S> {
    stream: S,
    read: Vec<u8>,
    /// Whether the next message is the first of a client, which has no kind byte.
    is_first: bool,
}

/// The bytes that a client sends before it waits for an answer.
pub(super) struct Exchange {
    pub(super) bytes: Vec<u8>,
    /// Whether it asks for an answer: all but the first, which opens the connection, and the last,
    /// which closes it.
    pub(super) is_asking: bool,
}

impl Exchange {
    /// Returns whether it commits a transaction, by a simple query or a prepared statement.
    pub(super) fn is_commit(&self) -> bool {
        let mut rest = self.bytes.as_slice();
        while let (Some(kind), Some(end)) = (rest.first(), end_of(rest, 1)) {
            let body = rest.get(5..end).unwrap_or_default();
            let text = match kind {
                b'Q' => body,
                // The text follows the name of the statement.
                b'P' => body.splitn(2, |byte| *byte == 0).nth(1).unwrap_or_default(),
                _ => &[],
            };
            if text
                .get(..6)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"commit"))
            {
                return true;
            }
            rest = rest.get(end..).unwrap_or_default();
        }
        false
    }
}

/// One message of a server.
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    /// Whether it ends the answer to an exchange.
    pub(super) is_last: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(super) fn of_client(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
            is_first: true,
        }
    }

    pub(super) fn of_server(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
            is_first: false,
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Returns the next complete exchange; `None` if the client went away.
    pub(super) async fn exchange(&mut self) -> io::Result<Option<Exchange>> {
        loop {
            if self.is_first {
                if let Some(end) = end_of(&self.read, 0) {
                    self.is_first = false;
                    return Ok(Some(Exchange {
                        bytes: self.read.drain(..end).collect(),
                        is_asking: false,
                    }));
                }
            } else {
                let mut begin = 0;
                while let Some(end) = end_of(&self.read, begin + 1) {
                    // A sync, a simple query, or the end of the connection.
                    let kind = self.read[begin];
                    if matches!(kind, b'S' | b'Q' | b'X') {
                        return Ok(Some(Exchange {
                            bytes: self.read.drain(..end).collect(),
                            is_asking: kind != b'X',
                        }));
                    }
                    begin = end;
                }
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Returns the next message of a server; `None` if it went away.
    pub(super) async fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(end) = end_of(&self.read, 1) {
                let bytes: Vec<u8> = self.read.drain(..end).collect();
                return Ok(Some(Frame {
                    is_last: bytes.first() == Some(&b'Z'),
                    bytes,
                }));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Returns the end of the message whose length stands at `length_at`, if all of it has arrived.
fn end_of(read: &[u8], length_at: usize) -> Option<usize> {
    let length: [u8; 4] = read.get(length_at..length_at + 4)?.try_into().ok()?;
    let end = length_at + usize::try_from(u32::from_be_bytes(length)).ok()?;
    (read.len() >= end).then_some(end)
}
