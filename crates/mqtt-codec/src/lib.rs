//! The packets of MQTT 5 as bytes: a strict, borrowing, allocation-free codec.
