//! The PROXY protocol: which client a balancer speaks for.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its line end.
const LONGEST_V1: usize = 107;
/// The longest header of version 2 that is taken: addresses of any kind, and some more about them.
const LONGEST_V2: usize = 536;

/// Reads the header that a connection begins with, and not a byte more. `None` if the balancer
/// speaks for itself, as it does to see whether we are alive.
///
/// # Errors
///
/// When there is no header, or one that is malformed or too long.
pub(super) async fn read_header<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        header.extend_from_slice(&rest);
        if header.len() + length > LONGEST_V2 {
            return Err(wrong("the header is too long"));
        }
        let from = header.len();
        header.resize(from + length, 0);
        stream.read_exact(header.get_mut(from..).unwrap_or_default()).await?;
    } else if header.starts_with(b"PROXY ") {
        // Its end is a line end, and what follows belongs to the client.
        while header.last() != Some(&b'\n') {
            if header.len() >= LONGEST_V1 {
                return Err(wrong("the header is too long"));
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(wrong("there is no header"));
    }
    let (parsed, length) = ProxyHeader::parse(&header, ParseConfig::default())
        .map_err(|error| wrong(&error.to_string()))?;
    if length != header.len() {
        return Err(wrong("the header has something else in it"));
    }
    if parsed.tlvs().any(|field| field.is_err()) {
        return Err(wrong("the header has a field that ends beyond it"));
    }
    Ok(parsed.proxied_address().map(|address| address.source))
}

fn wrong(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let result = runtime.block_on(read_header(&mut rest));
        (result, rest.len())
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[0x20 | command, family]);
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    const ADDRESSES: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x07, 0x5b];

    #[test]
    fn both_versions_tell_the_client_and_leave_what_follows() {
        let v1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 1883\r\n".to_vec();
        for header in [v1, v2(1, 0x11, ADDRESSES)] {
            let mut bytes = header;
            bytes.extend_from_slice(b"MQTT");
            let (client, rest) = parse(&bytes);
            assert_eq!(client.unwrap(), Some("192.0.2.7:12345".parse().unwrap()));
            assert_eq!(rest, 4);
        }
    }

    #[test]
    fn a_balancer_may_speak_for_itself() {
        for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0, 0, &[])] {
            assert_eq!(parse(&header).0.unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let mut overrun = ADDRESSES.to_vec();
        overrun.extend_from_slice(&[0x03, 0xff, 0xff, 0x00]);
        let mut short_field = ADDRESSES.to_vec();
        short_field.extend_from_slice(&[0x03]);
        let long_v1 = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bytes in [
            b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a".to_vec(),
            b"PROXY".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n".to_vec(),
            b"PROXY TCP9 192.0.2.7 10.0.0.1 12345 1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\nxx".to_vec(),
            long_v1,
            v2(1, 0x11, &ADDRESSES[..5]),
            v2(1, 0x11, &overrun),
            v2(1, 0x11, &short_field),
            v2(1, 0x11, &[0; 600]),
            v2(1, 0x11, ADDRESSES)[..20].to_vec(),
            [SIGNATURE.as_slice(), &[0x11, 0x11, 0, 0]].concat(),
        ] {
            assert!(parse(&bytes).0.is_err(), "{bytes:?}");
        }
    }
}
