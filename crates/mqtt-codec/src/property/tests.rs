//! The table of properties against that of the standard.

use super::*;

#[test]
fn the_standard_has_twenty_seven_properties() {
    assert_eq!(PropertyId::ALL.len(), 27);
    for byte in 0..=u8::MAX {
        let id = PropertyId::ALL.iter().copied().find(|id| *id as u8 == byte);
        assert_eq!(PropertyId::try_from(byte).ok(), id);
    }
}
