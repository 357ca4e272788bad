//! A light, embeddable MQTT 5 broker: a library first, and a binary on it.
