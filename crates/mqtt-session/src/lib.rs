//! The protocol of MQTT 5 without I/O: client and broker state machines.
