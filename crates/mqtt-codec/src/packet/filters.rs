//! The Topic Filters of SUBSCRIBE and UNSUBSCRIBE: where they are kept and how they are read.

use core::fmt;

use super::Reader;
use crate::error::{DecodeError, DecodeRule};
use crate::property::split_prefixed;
use crate::text;
use crate::topic::TopicFilter;

/// The payload of a packet that came in: filters with their lengths, each followed by as many
/// bytes of options as the packet has for one.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// All of it is UTF-8, lengths and options included, which is so when every filter has less
    /// than 128 bytes. A filter is then taken out of it without being checked again.
    Text(&'a str),
    /// Some length or option is not UTF-8.
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        core::str::from_utf8(bytes).map_or(Payload::Bytes(bytes), Payload::Text)
    }

    #[inline(always)]
    pub(super) fn as_bytes(&self) -> &'a [u8] {
        match self {
            Payload::Text(text) => text.as_bytes(),
            Payload::Bytes(bytes) => bytes,
        }
    }

    /// The text of a field that ends `after` bytes before the payload does; `None` if it is not
    /// UTF-8.
    #[inline(always)]
    fn text(&self, field: &'a [u8], after: usize) -> Option<&'a str> {
        match self {
            Payload::Text(text) => {
                let end = text.len() - after;
                text.get(end - field.len()..end)
            }
            Payload::Bytes(_) => core::str::from_utf8(field).ok(),
        }
    }

    /// Reads and checks the next filter.
    #[inline(always)]
    pub(super) fn read(&self, reader: &mut Reader<'a>) -> Result<TopicFilter<'a>, DecodeError> {
        // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
        let field = reader.prefixed()?;
        let Some(text) = self.text(field, reader.rest().len()) else {
            return Err(ill_formed(reader, field));
        };
        match TopicFilter::parse(text) {
            Ok(filter) => Ok(filter),
            Err((fault, at)) => Err(reader.fault_in(field, at, fault.into())),
        }
    }

    /// Takes the next filter off a payload that was checked, with the byte behind it if there is
    /// one for each.
    #[inline(always)]
    pub(super) fn next(&mut self, options: usize) -> Option<(TopicFilter<'a>, &'a [u8])> {
        match self {
            Payload::Text(text) => {
                let (field, behind) = split_prefixed(text.as_bytes())?;
                let options = behind.get(..options)?;
                let end = 2 + field.len();
                let filter = text.get(2..end)?;
                *text = text.get(end + options.len()..)?;
                Some((TopicFilter::from_checked(filter), options))
            }
            Payload::Bytes(bytes) => {
                let (field, behind) = split_prefixed(bytes)?;
                let (options, rest) = behind.split_at_checked(options)?;
                *bytes = rest;
                Some((TopicFilter::from_checked(text::checked(field)), options))
            }
        }
    }
}

/// Where a filter is not UTF-8. A control character before that place comes first.
#[cold]
#[inline(never)]
fn ill_formed(reader: &Reader<'_>, field: &[u8]) -> DecodeError {
    match text::check_characters(field, true) {
        Err(fault) => reader.text_fault(field, fault),
        Ok(()) => reader.fault_in(field, 0, DecodeRule::IllFormedUtf8),
    }
}

/// The Topic Filters of an UNSUBSCRIBE, in their order. Made by
/// [`Unsubscribe::filters`](super::Unsubscribe::filters).
#[derive(Clone, Copy)]
pub struct Filters<'a>(pub(super) FiltersSource<'a>);

/// Where the filters come from.
#[derive(Clone, Copy)]
pub(super) enum FiltersSource<'a> {
    /// A packet that came in.
    Payload(Payload<'a>),
    /// A packet that is being built.
    List(&'a [TopicFilter<'a>]),
}

impl<'a> Iterator for Filters<'a> {
    type Item = TopicFilter<'a>;

    #[inline]
    fn next(&mut self) -> Option<TopicFilter<'a>> {
        match &mut self.0 {
            FiltersSource::Payload(payload) => payload.next(0).map(|(filter, _)| filter),
            FiltersSource::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}

impl core::iter::FusedIterator for Filters<'_> {}

impl fmt::Debug for Filters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}
