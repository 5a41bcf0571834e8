//! As much of HTTP/1.1 as JSON-RPC over loopback needs: one message with a known length at a time, everything bounded.

use std::io::{self, BufRead, Read, Write};

/// Headers beyond this are no client's of ours.
const HEAD_MAX: u64 = 16 * 1024;
/// A block in hex has at most eight million characters; a batch may hold several.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// The request line or the status line.
    pub(super) first_line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// A header's value; names are compared without regard to case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads a message, or `None` if the other side has closed before it began one.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut message = Self::default();
        let mut head = reader.by_ref().take(HEAD_MAX);
        if head.read_line(&mut message.first_line)? == 0 {
            return Ok(None);
        }
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the head of the message is incomplete or too long",
                ));
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                message.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        let length: usize = message
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if length > BODY_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the body of the message is too long",
            ));
        }
        reader.by_ref().take(length as u64).read_to_end(&mut message.body)?;
        if message.body.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(message))
    }

    /// Writes the message with its length.
    pub(super) fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let headers: String = self
            .headers
            .iter()
            .flat_map(|(name, value)| [name, ": ", value, "\r\n"])
            .collect();
        let length = self.body.len();
        let head = format!(
            "{}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            self.first_line.trim_end()
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        writer.write_all(&bytes)?;
        writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let headers = vec![("Authorization".to_owned(), "Basic x".to_owned())];
        let message = Message {
            first_line: "POST / HTTP/1.1".to_owned(),
            headers,
            body: b"{}".to_vec(),
        };
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        let mut reader = bytes.as_slice();
        let read = Message::read(&mut reader).unwrap().unwrap();
        assert_eq!(read.first_line.trim_end(), message.first_line);
        assert_eq!(read.header("AUTHORIZATION"), Some("Basic x"));
        assert_eq!(read.body, message.body);
        assert_eq!(Message::read(&mut reader).unwrap(), None);
    }

    #[test]
    fn endless_heads_and_bodies_are_refused() {
        let endless_head = b"X: y\r\n".repeat(10_000);
        assert_eq!(
            Message::read(&mut endless_head.as_slice()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let endless_body = b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
        assert_eq!(
            Message::read(&mut endless_body.as_slice()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let cut = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc";
        assert_eq!(
            Message::read(&mut cut.as_slice()).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
