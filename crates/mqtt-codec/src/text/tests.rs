//! The rules for text, over every length that the word-wise check treats in its own way.

use super::*;

fn fault(kind: FaultKind, at: usize) -> Result<(), Fault> {
    Err(Fault { kind, at })
}

/// Puts `wrong` at every place of texts of 0 to 40 bytes of filling.
fn everywhere(wrong: &[u8], mut check: impl FnMut(&[u8], usize)) {
    for len in 0..40 {
        for at in 0..=len {
            let mut bytes = vec![b'a'; len];
            bytes.splice(at..at, wrong.iter().copied());
            check(&bytes, at);
        }
    }
}

/// Proves: [MQTT-1.5.4-2]
#[test]
fn nul_is_found_at_every_place() {
    everywhere(b"\0", |bytes, at| {
        assert_eq!(check_string(bytes), fault(FaultKind::Nul, at));
        assert_eq!(check_identifier(bytes), fault(FaultKind::Nul, at));
    });
}

/// Proves: [MQTT-1.5.4-1]
#[test]
fn surrogates_overlong_forms_and_cut_characters_are_ill_formed() {
    for wrong in [
        &b"\xED\xA0\x80"[..],
        b"\xED\xBF\xBF",
        b"\xC0\xAF",
        b"\xE0\x80\xAF",
        b"\xF4\x90\x80\x80",
        b"\xFF",
        b"\x80",
        b"\xC3",
        b"\xE2\x82",
    ] {
        everywhere(wrong, |bytes, at| {
            assert_eq!(check_string(bytes), fault(FaultKind::IllFormedUtf8, at));
            assert_eq!(check_identifier(bytes), fault(FaultKind::IllFormedUtf8, at));
        });
    }
}

/// Proves: [MQTT-1.5.4-3]
#[test]
fn the_byte_order_mark_is_an_ordinary_character() {
    everywhere("\u{FEFF}".as_bytes(), |bytes, _| {
        assert_eq!(check_string(bytes), Ok(()));
        assert_eq!(check_identifier(bytes), Ok(()));
    });
}

#[test]
fn control_and_non_characters_are_refused_in_identifiers_alone() {
    let controls = ('\u{1}'..='\u{1F}').chain('\u{7F}'..='\u{9F}');
    let others = ('\u{FDD0}'..='\u{FDEF}').chain(
        (0..=0x10)
            .flat_map(|plane| [plane << 16 | 0xFFFE, plane << 16 | 0xFFFF])
            .map(|code| char::from_u32(code).unwrap()),
    );
    for (kind, character) in controls
        .map(|character| (FaultKind::Control, character))
        .chain(others.map(|character| (FaultKind::NonCharacter, character)))
    {
        everywhere(character.to_string().as_bytes(), |bytes, at| {
            assert_eq!(check_string(bytes), Ok(()));
            assert_eq!(check_identifier(bytes), fault(kind, at));
        });
    }
}

#[test]
fn every_other_character_passes() {
    for character in '\u{20}'..=char::MAX {
        let refused = matches!(character, '\u{7F}'..='\u{9F}' | '\u{FDD0}'..='\u{FDEF}')
            || u32::from(character) & 0xFFFE == 0xFFFE;
        let text = format!("{character}");
        assert_eq!(check_string(text.as_bytes()), Ok(()));
        assert_eq!(check_identifier(text.as_bytes()).is_err(), refused, "{character:?}");
    }
}

#[test]
fn the_first_of_several_faults_is_reported() {
    assert_eq!(check_string(b"a\0\xFF"), fault(FaultKind::Nul, 1));
    assert_eq!(check_string(b"a\xFF\0"), fault(FaultKind::IllFormedUtf8, 1));
    assert_eq!(check_identifier(b"\x01\0"), fault(FaultKind::Control, 0));
}

#[test]
fn outgoing_text_and_data_fit_their_length_field() {
    let longest = "a".repeat(65_535);
    assert_eq!(check_outgoing(&longest), Ok(()));
    assert_eq!(check_outgoing_identifier(&longest), Ok(()));
    assert_eq!(check_outgoing_binary(longest.as_bytes()), Ok(()));
    let longer = "a".repeat(65_536);
    assert_eq!(check_outgoing(&longer), Err(EncodeError::StringTooLong { len: 65_536 }));
    assert_eq!(check_outgoing_identifier(&longer), Err(EncodeError::StringTooLong { len: 65_536 }));
    assert_eq!(
        check_outgoing_binary(longer.as_bytes()),
        Err(EncodeError::BinaryTooLong { len: 65_536 })
    );
}
