//! The floor: prepared frames in large writes, and just as much reading as the exchange needs.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::{Failure, TOPIC, Task, WINDOW};

/// What is written or read at once.
const CHUNK: usize = 64 * 1024;

fn connect(task: &Task) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(("127.0.0.1", task.port))?;
    stream.set_nodelay(true)?;
    let mut connect = vec![0x10, 18, 0, 4];
    connect.extend(b"MQTT");
    connect.extend([5, 2, 0, 60, 0, 0, 5]);
    connect.extend(b"bench");
    stream.write_all(&connect)?;
    packet(&mut stream)?;
    Ok(stream)
}

/// Reads one packet with a body of less than 128 bytes.
fn packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// A PUBLISH, and where its packet identifier stands.
fn frame(task: &Task) -> (Vec<u8>, usize) {
    let id = if task.qos > 0 { 2 } else { 0 };
    let len = 2 + TOPIC.len() + id + 1 + task.payload.len();
    let mut frame = vec![0x30 | task.qos << 1];
    if len >= 128 {
        frame.extend([(len % 128) as u8 | 128, (len / 128) as u8]);
    } else {
        frame.push(len as u8);
    }
    frame.extend([0, TOPIC.len() as u8]);
    frame.extend(TOPIC.as_bytes());
    let place = frame.len();
    frame.extend(&[0, 1][..id]);
    frame.push(0);
    frame.extend(&task.payload);
    (frame, place)
}

/// Publishes; QoS 1 and 2 until everything is acknowledged.
pub fn publish(task: &Task) -> Result<(), Failure> {
    let mut stream = connect(task)?;
    let (frame, place) = frame(task);
    if task.qos == 0 {
        let batch = frame.repeat((CHUNK / frame.len()).max(1));
        let mut left = frame.len() * task.count;
        while left > 0 {
            let piece = &batch[..batch.len().min(left)];
            stream.write_all(piece)?;
            left -= piece.len();
        }
        return Ok(());
    }
    let mut out = Vec::with_capacity(CHUNK);
    let add = |out: &mut Vec<u8>, id: [u8; 2]| {
        let start = out.len();
        out.extend(&frame);
        out[start + place..start + place + 2].copy_from_slice(&id);
    };
    let mut begun = WINDOW.min(task.count);
    for id in 1..=begun as u16 {
        add(&mut out, id.to_be_bytes());
    }
    stream.write_all(&out)?;
    let mut ended = 0;
    let mut acks = Acks::default();
    while ended < task.count {
        out.clear();
        acks.read(&mut stream, |first, id| {
            if first == 0x50 {
                out.extend([0x62, 2, id[0], id[1]]);
                return;
            }
            ended += 1;
            if begun < task.count {
                begun += 1;
                add(&mut out, id);
            }
        })?;
        stream.write_all(&out)?;
    }
    Ok(())
}

/// Acknowledgements of four bytes, in any pieces.
struct Acks {
    buffer: Vec<u8>,
    len: usize,
}

impl Default for Acks {
    fn default() -> Self {
        Self { buffer: vec![0; CHUNK], len: 0 }
    }
}

impl Acks {
    fn read(
        &mut self,
        stream: &mut TcpStream,
        mut each: impl FnMut(u8, [u8; 2]),
    ) -> Result<(), Failure> {
        let read = stream.read(&mut self.buffer[self.len..])?;
        if read == 0 {
            return Err("the server is gone".into());
        }
        self.len += read;
        let whole = self.len / 4 * 4;
        for ack in self.buffer[..whole].chunks_exact(4) {
            each(ack[0], [ack[2], ack[3]]);
        }
        self.buffer.copy_within(whole..self.len, 0);
        self.len -= whole;
        Ok(())
    }
}

/// Receives.
pub fn receive(task: &Task) -> Result<(), Failure> {
    let mut stream = connect(task)?;
    let mut subscribe = vec![0x82, 6 + TOPIC.len() as u8, 0, 1, 0, 0, TOPIC.len() as u8];
    subscribe.extend(TOPIC.as_bytes());
    subscribe.push(task.qos);
    stream.write_all(&subscribe)?;
    packet(&mut stream)?;
    // Every PUBLISH has the same length, and a PUBREL has four bytes.
    let (frame, place) = frame(task);
    let mut buffer = vec![0; CHUNK];
    let (mut len, mut begun, mut ended) = (0, 0, 0);
    let mut out = Vec::new();
    while ended < task.count {
        let read = stream.read(&mut buffer[len..])?;
        if read == 0 {
            return Err("the server is gone".into());
        }
        len += read;
        let mut at = 0;
        loop {
            let Some(first) = buffer[at..len].first() else { break };
            let size = if *first == 0x62 { 4 } else { frame.len() };
            let Some(packet) = buffer[at..len].get(..size) else { break };
            match (task.qos, *first) {
                (_, 0x62) => {
                    out.extend([0x70, 2, packet[2], packet[3]]);
                    ended += 1;
                }
                (0, _) => ended += 1,
                (1, _) => {
                    out.extend([0x40, 2, packet[place], packet[place + 1]]);
                    ended += 1;
                }
                (_, _) => {
                    out.extend([0x50, 2, packet[place], packet[place + 1]]);
                    begun += 1;
                }
            }
            at += size;
        }
        buffer.copy_within(at..len, 0);
        len -= at;
        stream.write_all(&out)?;
        out.clear();
    }
    if task.qos == 2 && begun < task.count {
        return Err("a PUBREL without a PUBLISH".into());
    }
    Ok(())
}
