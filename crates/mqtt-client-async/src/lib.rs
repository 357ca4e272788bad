//! An asynchronous MQTT 5 client on tokio.
