//! A blocking MQTT 5 client for threads.
