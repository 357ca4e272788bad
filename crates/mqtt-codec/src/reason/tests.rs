//! The lists of reason codes against the tables of the standard.

use super::*;

fn codes<R: Copy + Into<u8>>(all: &[R]) -> Vec<u8> {
    all.iter().map(|reason| (*reason).into()).collect()
}

#[test]
fn the_standard_has_forty_three_reason_codes() {
    assert_eq!(ReasonCode::ALL.len(), 43);
}

/// Proves: [MQTT-3.2.2-8], [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1],
/// [MQTT-3.9.3-2], [MQTT-3.11.3-2], [MQTT-3.14.2-1], [MQTT-3.15.2-1]
#[test]
fn each_packet_has_the_codes_of_its_table_and_no_other() {
    assert_eq!(
        codes(ConnectReason::ALL),
        [
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
            0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F
        ]
    );
    assert_eq!(codes(PubAckReason::ALL), [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
    assert_eq!(codes(PubRelReason::ALL), [0x00, 0x92]);
    assert_eq!(
        codes(SubAckReason::ALL),
        [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
    );
    assert_eq!(codes(UnsubAckReason::ALL), [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]);
    assert_eq!(
        codes(DisconnectReason::ALL),
        [
            0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90,
            0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0,
            0xA1, 0xA2
        ]
    );
    assert_eq!(codes(AuthReason::ALL), [0x00, 0x18, 0x19]);
}

#[test]
fn every_byte_converts_to_the_reason_of_that_code_or_is_refused() {
    fn check<R>(all: &[R])
    where
        R: Copy + PartialEq + fmt::Debug + Into<u8> + Into<ReasonCode>,
        R: TryFrom<u8, Error = InvalidReasonCode>,
    {
        for code in 0..=u8::MAX {
            let listed = all.iter().copied().find(|reason| -> bool {
                let of: u8 = (*reason).into();
                of == code
            });
            match R::try_from(code) {
                Ok(reason) => {
                    assert_eq!(Some(reason), listed);
                    let general: ReasonCode = reason.into();
                    assert_eq!(u8::from(general), code);
                }
                Err(error) => {
                    assert_eq!(error, InvalidReasonCode { code });
                    assert_eq!(listed, None);
                }
            }
        }
    }
    check(ReasonCode::ALL);
    check(ConnectReason::ALL);
    check(PubAckReason::ALL);
    check(PubRelReason::ALL);
    check(SubAckReason::ALL);
    check(UnsubAckReason::ALL);
    check(DisconnectReason::ALL);
    check(AuthReason::ALL);
}

#[test]
fn code_zero_has_the_name_of_its_packet() {
    assert_eq!(ReasonCode::Success.to_string(), "Success");
    assert_eq!(DisconnectReason::NormalDisconnection.to_string(), "Normal disconnection");
    assert_eq!(SubAckReason::GrantedQos0.to_string(), "Granted QoS 0");
    assert_eq!(ReasonCode::from(SubAckReason::GrantedQos0), ReasonCode::Success);
}

#[test]
fn a_reason_is_an_error_from_0x80_on() {
    for reason in ReasonCode::ALL {
        assert_eq!(reason.is_error(), u8::from(*reason) >= 0x80);
    }
}
