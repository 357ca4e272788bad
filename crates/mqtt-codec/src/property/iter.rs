//! Walking over the properties that may stand more than once.

use core::fmt;

use super::PropertyId;
use super::wire::{self, split_prefixed};
use crate::ids::SubscriptionId;
use crate::{text, varint};

/// The User Properties of a packet, in their order. Made by
/// [`Properties::user_properties`](super::Properties::user_properties).
#[derive(Clone)]
pub struct UserProperties<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for UserProperties<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let field = wire::split(&mut self.0)?;
            if field.id == PropertyId::UserProperty {
                let (name, value) = split_prefixed(field.value)?;
                let (value, _) = split_prefixed(value)?;
                return Some((text::checked(name), text::checked(value)));
            }
        }
    }
}

impl core::iter::FusedIterator for UserProperties<'_> {}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

/// The Subscription Identifiers of a packet, in their order. Made by
/// [`Properties::subscription_ids`](super::Properties::subscription_ids).
#[derive(Clone)]
pub struct SubscriptionIds<'a>(pub(super) &'a [u8]);

impl Iterator for SubscriptionIds<'_> {
    type Item = SubscriptionId;

    fn next(&mut self) -> Option<SubscriptionId> {
        loop {
            let field = wire::split(&mut self.0)?;
            if field.id == PropertyId::SubscriptionIdentifier {
                let (id, _) = varint::read(field.value).ok()?;
                return SubscriptionId::new(id);
            }
        }
    }
}

impl core::iter::FusedIterator for SubscriptionIds<'_> {}

impl fmt::Debug for SubscriptionIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The identifiers of all properties of a packet, in the order and as often as they stand. Made by
/// [`Properties::ids`](super::Properties::ids).
#[derive(Clone)]
pub struct PropertyIds<'a>(pub(super) &'a [u8]);

impl Iterator for PropertyIds<'_> {
    type Item = PropertyId;

    fn next(&mut self) -> Option<PropertyId> {
        wire::split(&mut self.0).map(|field| field.id)
    }
}

impl core::iter::FusedIterator for PropertyIds<'_> {}

impl fmt::Debug for PropertyIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
