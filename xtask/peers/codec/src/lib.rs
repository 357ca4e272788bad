//! The same packets through every codec, as often as the caller says.
//!
//! The measuring stands outside: a tool that counts instructions runs the program twice with
//! different counts, and the difference is what the packets between them cost. So everything that
//! is prepared here is prepared for [`MOST`] packets, however few are then used.

pub mod case;
pub mod library;

use case::Case;
use library::{Library, floor, mqttbytes, ours, rmqtt, rumqttc};

/// The most packets that one run takes.
pub const MOST: usize = 4000;

/// Runs one job on the library with this name.
///
/// # Errors
///
/// A text that says what was wrong with the arguments, or which packet the library refused.
pub fn run(library: &str, case: &str, job: Job, count: usize) -> Result<(), String> {
    let case = Case::named(case)?;
    match library {
        "floor" => job_on::<floor::Floor>(&case, job, count),
        "mqtt-codec" => job_on::<ours::Ours>(&case, job, count),
        "mqttbytes" => job_on::<mqttbytes::Mqttbytes>(&case, job, count),
        "rmqtt-codec" => job_on::<rmqtt::Rmqtt>(&case, job, count),
        "rumqttc" => job_on::<rumqttc::Rumqttc>(&case, job, count),
        _ => Err(format!("there is no library {library}")),
    }
}

/// What to do with the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Decode them out of one read buffer.
    Decode,
    /// Encode prepared packet values into one buffer that is used again.
    Encode,
    /// Decode and encode each once, and tell whether the bytes came back.
    Check,
}

impl Job {
    /// The job with this name.
    ///
    /// # Errors
    ///
    /// A text for a name that is none.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "decode" => Ok(Self::Decode),
            "encode" => Ok(Self::Encode),
            "check" => Ok(Self::Check),
            _ => Err(format!("there is no job {name}")),
        }
    }
}

fn job_on<L: Library>(case: &Case, job: Job, count: usize) -> Result<(), String> {
    if count > MOST || !count.is_multiple_of(case.packets) {
        return Err(format!("{count} packets: at most {MOST}, in steps of {}", case.packets));
    }
    let copies = MOST / case.packets;
    match job {
        Job::Decode => L::decode(&case.bytes.repeat(copies), count),
        Job::Encode => L::encode(&case.bytes, case.packets, copies, count).map(drop),
        Job::Check => {
            L::decode(&case.bytes, case.packets)?;
            let bytes = L::encode(&case.bytes, case.packets, 1, case.packets)?;
            if bytes == case.bytes {
                return Ok(());
            }
            let at = bytes.iter().zip(&case.bytes).take_while(|(a, b)| a == b).count();
            Err(format!(
                "other bytes from offset {at} on: {} of {} bytes",
                bytes.len(),
                case.bytes.len()
            ))
        }
    }
}
