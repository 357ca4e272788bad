//! WebSocket: what the client asks for, and what of the frames it takes.

use futures_util::{SinkExt, StreamExt};
use mqtt_client_async::{Client, ConnectError, DialFault, Subscription};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::PATIENCE;
use crate::server::{delivery, speak_mqtt};

const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    tokio_tungstenite::accept_hdr_async(stream, speak_mqtt).await.unwrap()
}

/// The next binary frame.
async fn frame(socket: &mut WebSocketStream<TcpStream>) -> Vec<u8> {
    let next = timeout(PATIENCE, socket.next()).await.expect("a frame in time");
    let Some(Ok(Message::Binary(bytes))) = next else { panic!("a binary frame, not {next:?}") };
    bytes.to_vec()
}

/// A client with a subscription at a server whose every frame the test sends.
async fn subscribed() -> (Client, Subscription, WebSocketStream<TcpStream>) {
    let (listener, url) = listen().await;
    let serve = async {
        let mut socket = accept(&listener).await;
        assert_eq!(frame(&mut socket).await[0], 0x10);
        socket.send(Message::binary(CONNACK.to_vec())).await.unwrap();
        let subscribe = frame(&mut socket).await;
        assert_eq!(subscribe[0], 0x82);
        let suback = vec![0x90, 4, subscribe[2], subscribe[3], 0, 0];
        socket.send(Message::binary(suback)).await.unwrap();
        socket
    };
    let connect = async {
        let client = Client::builder(&url).connect().await.unwrap();
        let messages = client.subscribe("in/#").await.unwrap();
        (client, messages)
    };
    let ((client, messages), socket) = tokio::join!(connect, serve);
    (client, messages, socket)
}

async fn next(messages: &mut Subscription) -> Vec<u8> {
    let next = timeout(PATIENCE, messages.next()).await.expect("a message in time");
    next.expect("the client lives").payload().to_vec()
}

/// Proves: [MQTT-6.0.0-2]
#[tokio::test]
async fn packets_need_not_line_up_with_frames() {
    let (_client, mut messages, mut socket) = subscribed().await;
    // A packet in frames of one byte, an empty one and a ping in between.
    for byte in delivery(0, b"split") {
        socket.send(Message::binary(vec![byte])).await.unwrap();
        socket.send(Message::binary(Vec::new())).await.unwrap();
        socket.send(Message::Ping("are you there".into())).await.unwrap();
    }
    assert_eq!(next(&mut messages).await, b"split");
    // Two in one, with the head of a third, whose tail is in a frame of its own.
    let third = delivery(0, b"third");
    let (head, tail) = third.split_at(5);
    let frame = [&delivery(0, b"first"), &delivery(0, b"second"), head].concat();
    socket.send(Message::binary(frame)).await.unwrap();
    assert_eq!(next(&mut messages).await, b"first");
    assert_eq!(next(&mut messages).await, b"second");
    socket.send(Message::binary(tail.to_vec())).await.unwrap();
    assert_eq!(next(&mut messages).await, b"third");
    // Every ping was answered.
    for _ in delivery(0, b"split") {
        let answer = timeout(PATIENCE, socket.next()).await.unwrap();
        assert!(matches!(answer, Some(Ok(Message::Pong(_)))), "{answer:?}");
    }
}

/// Proves: [MQTT-6.0.0-1]
#[tokio::test]
async fn a_frame_of_text_ends_the_connection() {
    let (client, mut messages, mut socket) = subscribed().await;
    let mut states = client.state();
    states.next().await;
    socket.send(Message::binary(delivery(0, b"before"))).await.unwrap();
    socket.send(Message::text("0\u{5}")).await.unwrap();
    assert_eq!(next(&mut messages).await, b"before");
    let close = timeout(PATIENCE, socket.next()).await.unwrap();
    let Some(Ok(Message::Close(Some(close)))) = close else { panic!("a close, not {close:?}") };
    assert_eq!(close.code, CloseCode::Unsupported);
    assert!(socket.next().await.is_none_or(|end| end.is_err()), "the connection is closed");
    let state = format!("{:?}", states.next().await.unwrap());
    assert!(state.contains("frame of text"), "{state}");
}

/// Proves: [MQTT-6.0.0-3]
#[expect(clippy::result_large_err, reason = "the library's callback is of this type")]
#[tokio::test]
async fn the_client_asks_for_mqtt_on_the_path_with_the_headers_that_it_was_told() {
    let (listener, url) = listen().await;
    let builder = Client::builder(&format!("{url}/iot?token=1")).websocket_header("X-Key", "7");
    let host = url.trim_start_matches("ws://");
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let look = |request: &Request, answer: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri().path_and_query().unwrap(), "/iot?token=1");
            assert_eq!(request.headers()["x-key"], "7");
            assert_eq!(request.headers()["host"], host);
            speak_mqtt(request, answer)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, look).await.unwrap();
        frame(&mut socket).await;
        socket.send(Message::binary(CONNACK.to_vec())).await.unwrap();
        socket
    };
    let (client, _socket) = tokio::join!(builder.connect(), serve);
    client.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_agree_to_the_subprotocol_is_refused() {
    let (listener, url) = listen().await;
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        // The handshake ends on the client's side.
        drop(tokio_tungstenite::accept_async(stream).await);
    };
    let (client, ()) = tokio::join!(Client::builder(&url).connect(), serve);
    let error = client.unwrap_err();
    assert!(
        error.to_string().contains("does not speak the WebSocket subprotocol `mqtt`"),
        "{error}"
    );
    assert!(!error.is_retryable());
}

#[expect(clippy::result_large_err, reason = "the library's callback is of this type")]
#[tokio::test]
async fn an_answer_of_http_is_told_and_a_gateway_without_its_server_is_asked_again() {
    for (status, expected) in [
        (404, DialFault::ProtocolRefused),
        (302, DialFault::ProtocolRefused),
        (429, DialFault::Unreachable),
        (503, DialFault::Unreachable),
    ] {
        let (listener, url) = listen().await;
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let refuse = |_: &Request, _: Response| -> Result<Response, ErrorResponse> {
                let mut answer = ErrorResponse::new(None);
                *answer.status_mut() = status.try_into().unwrap();
                Err(answer)
            };
            drop(tokio_tungstenite::accept_hdr_async(stream, refuse).await);
        };
        let (client, ()) = tokio::join!(Client::builder(&url).connect(), serve);
        let error = client.unwrap_err();
        let ConnectError::Unreachable { fault, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*fault, expected, "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_header_that_http_does_not_allow_is_told() {
    let (_listener, url) = listen().await;
    let error = Client::builder(&url).websocket_header("a b", "c").connect().await.unwrap_err();
    let ConnectError::Unreachable { fault, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*fault, DialFault::BadAddress, "{error}");
}

#[tokio::test]
async fn a_frame_larger_than_any_packet_may_be_ends_the_connection() {
    let (listener, url) = listen().await;
    let small = std::num::NonZeroU32::new(1000).unwrap();
    let serve = async {
        let mut socket = accept(&listener).await;
        frame(&mut socket).await;
        // The client does not wait until it has come as a whole.
        let _ended = socket.send(Message::binary(vec![0; 3 << 20])).await;
        socket
    };
    let builder = Client::builder(&url).maximum_packet_size(small);
    let (client, _socket) = tokio::join!(timeout(PATIENCE, builder.connect()), serve);
    let error = client.expect("an answer in time").unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}
