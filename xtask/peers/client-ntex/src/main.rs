//! The client of ntex-mqtt, for `cargo xtask bench client`:
//! `client-bench-ntex ntex-mqtt publish|receive QOS SIZE COUNT PORT`.
//!
//! It does its work against the server on that port of this machine, prints `done`, and waits until
//! its standard input ends, so that its processor time can be read meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::rc::Rc;

use ntex::util::Bytes;
use ntex::{Pipeline, SharedCfg};
use ntex_mqtt::v5;
use ntex_mqtt::v5::codec::{PublishAckReason, QoS, RetainHandling, SubscriptionOptions};

/// The topic of every message; 20 bytes.
const TOPIC: &str = "sensor/bldg-07/temp1";

/// How many messages are under way at QoS 1 and 2. The server says the same in CONNACK.
const WINDOW: usize = 100;

type Failure = Box<dyn std::error::Error>;

/// What the client is to do.
#[derive(Clone)]
struct Task {
    direction: String,
    qos: u8,
    payload: Bytes,
    count: usize,
    port: u16,
}

fn task(args: &[String]) -> Result<Task, Failure> {
    let [_, direction, qos, size, count, port] = args else {
        return Err("usage: client-bench-ntex ntex-mqtt publish|receive QOS SIZE COUNT PORT".into());
    };
    let payload = Bytes::from(vec![b'x'; size.parse()?]);
    let (qos, count, port) = (qos.parse()?, count.parse()?, port.parse()?);
    Ok(Task { direction: direction.clone(), qos, payload, count, port })
}

/// Lets the connection have its turn.
async fn turn() {
    let mut has_waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

async fn run(task: Task) -> Result<(), Failure> {
    let connect = v5::client::Connect::new(format!("127.0.0.1:{}", task.port));
    let connect = connect.client_id("bench").max_packet_size(0).max_receive(WINDOW as u16);
    let connector = Pipeline::new(SharedCfg::default(), v5::client::MqttConnector::new());
    let client = connector.call(connect).await.map_err(|error| format!("{error:?}"))?;
    let sink = client.sink();
    let received = Rc::new(Cell::new(0));
    let counter = Rc::clone(&received);
    let size = task.payload.len();
    ntex::rt::spawn(client.start(async move |message: v5::client::ProtocolMessage| {
        Ok::<_, ()>(match message {
            v5::client::ProtocolMessage::Publish(publish) => {
                let payload = publish.read_all().await.map_err(|_| ())?;
                if payload.len() == size {
                    counter.set(counter.get() + 1);
                }
                publish.ack(PublishAckReason::Success)
            }
            v5::client::ProtocolMessage::PublishRelease(message) => message.ack(),
            message => message.ack(),
        })
    }));
    if task.direction == "publish" {
        publish(&sink, &task).await?;
    } else {
        let qos = match task.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let options = SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::AtSubscribe,
        };
        let subscribe = sink.subscribe(None).topic_filter(TOPIC.into(), options);
        subscribe.send().await.map_err(|error| format!("{error:?}"))?;
        while received.get() < task.count {
            ntex::time::sleep(ntex::time::Millis(1)).await;
        }
    }
    sink.close();
    ntex::time::sleep(ntex::time::Millis(50)).await;
    Ok(())
}

/// Publishes; QoS 1 and 2 until everything is acknowledged.
async fn publish(sink: &v5::MqttSink, task: &Task) -> Result<(), Failure> {
    if task.qos == 0 {
        for number in 0..task.count {
            // It buffers without a bound as long as it has no turn.
            if number % WINDOW == 0 {
                turn().await;
            }
            let message = sink.publish(TOPIC);
            message
                .send_at_most_once(task.payload.clone())
                .map_err(|error| format!("{error:?}"))?;
        }
        return Ok(());
    }
    let left = Rc::new(Cell::new(task.count));
    let failure = Rc::new(RefCell::new(None));
    let mut workers = VecDeque::new();
    for _ in 0..WINDOW {
        let (sink, task) = (sink.clone(), task.clone());
        let (left, failure) = (Rc::clone(&left), Rc::clone(&failure));
        workers.push_back(ntex::rt::spawn(async move {
            while left.get() > 0 && failure.borrow().is_none() {
                left.set(left.get() - 1);
                let message = sink.publish(TOPIC);
                let sent = if task.qos == 1 {
                    message.send_at_least_once(task.payload.clone()).await.map(drop)
                } else {
                    match message.send_exactly_once(task.payload.clone()).await {
                        Ok(received) => received.release().await,
                        Err(error) => Err(error),
                    }
                };
                if let Err(error) = sent {
                    failure.replace(Some(format!("{error:?}")));
                }
            }
        }));
    }
    for worker in workers {
        worker.await.map_err(|error| format!("{error:?}"))?;
    }
    failure.take().map_or(Ok(()), |failure| Err(failure.into()))
}

#[ntex::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match task(&args) {
        Ok(task) => run(task).await,
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        eprintln!("{}: {error}", args.join(" "));
        return ExitCode::FAILURE;
    }
    println!("done");
    // Nobody may be there to tell, or to end this.
    let _told = io::stdout().flush();
    let _ended = io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
