//! mqtt-protocol-core: its client and its server connection. The server connection is not a
//! broker: nothing routes, nothing is looked up.

use mqtt_protocol_core::mqtt::{
    Connection, Version,
    common::Cursor,
    connection::{Event, role},
    packet::{GenericPacketTrait, Packet, Qos, v5_0},
    result_code::ConnectReasonCode,
};

use super::Library;
use crate::{PAYLOAD, TOPIC};

/// Both connections.
pub struct ProtocolCore {
    client: Connection<role::Client>,
    server: Connection<role::Server>,
    received: u64,
    acknowledged: u64,
}

/// What an end wants written, and what it tells.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
    publishes: u64,
    ended: u64,
    released: u64,
}

impl Library for ProtocolCore {
    fn connect() -> Result<Self, String> {
        let mut client = Connection::<role::Client>::new(Version::V5_0);
        let mut server = Connection::<role::Server>::new(Version::V5_0);
        client.set_auto_pub_response(true);
        server.set_auto_pub_response(true);
        let connect = v5_0::Connect::builder()
            .client_id("client")
            .and_then(|builder| builder.clean_start(true).build())
            .map_err(text)?;
        let sent = answers(client.send(connect.into()))?;
        answers(server.recv(&mut Cursor::new(&sent.bytes)))?;
        let connack = v5_0::Connack::builder()
            .session_present(false)
            .reason_code(ConnectReasonCode::Success)
            .build()
            .map_err(text)?;
        let sent = answers(server.send(connack.into()))?;
        answers(client.recv(&mut Cursor::new(&sent.bytes)))?;
        Ok(Self { client, server, received: 0, acknowledged: 0 })
    }

    fn exchange(&mut self, qos: u8) -> Result<(), String> {
        let level = Qos::try_from(qos).map_err(text)?;
        let mut builder = v5_0::Publish::builder()
            .topic_name(TOPIC)
            .map_err(text)?
            .qos(level)
            .payload(PAYLOAD.as_slice());
        if level == Qos::AtMostOnce {
            self.acknowledged += 1;
        } else {
            builder = builder.packet_id(self.client.acquire_packet_id().map_err(text)?);
        }
        let publish = builder.build().map_err(text)?;
        let mut sent = answers(self.client.checked_send(publish))?;
        while !sent.bytes.is_empty() {
            let heard = answers(self.server.recv(&mut Cursor::new(&sent.bytes)))?;
            self.received += heard.publishes;
            sent = Answers::default();
            if !heard.bytes.is_empty() {
                sent = answers(self.client.recv(&mut Cursor::new(&heard.bytes)))?;
                self.acknowledged += sent.released;
            }
        }
        Ok(())
    }

    fn completed(&self) -> u64 {
        self.received.min(self.acknowledged)
    }
}

fn answers(events: Vec<Event>) -> Result<Answers, String> {
    let mut answers = Answers::default();
    for event in events {
        match event {
            Event::RequestSendPacket { packet, .. } => {
                if answers.bytes.is_empty() {
                    answers.bytes = packet.to_continuous_buffer();
                } else {
                    answers.bytes.extend(packet.to_continuous_buffer());
                }
            }
            Event::NotifyPacketReceived(Packet::V5_0Publish(_)) => answers.publishes += 1,
            Event::NotifyPacketReceived(_) => answers.ended += 1,
            Event::NotifyPacketIdReleased(_) => answers.released += 1,
            Event::NotifyError(error) => return Err(text(error)),
            _ => {}
        }
    }
    Ok(answers)
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
