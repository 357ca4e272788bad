//! Faults of a server that the client does not notice.

use mqtt_codec::{DecodeRule as Rule, PacketType as Type, PropertyId as Id, TopicError};
use mqtt_conformance::proxy::Sabotage::{HoldsServerOpen, OverlooksServer};

use crate::{Row, rows};

/// A property twice in this packet.
macro_rules! twice {
    ($id:ident in $packet:ident) => {
        OverlooksServer(|e| {
            e.rule() == Rule::DuplicateProperty { id: Id::$id }
                && e.packet_type() == Some(Type::$packet)
        })
    };
}

/// A value out of range.
macro_rules! value {
    ($id:ident) => {
        OverlooksServer(|e| e.rule() == Rule::PropertyValue { id: Id::$id })
    };
}

/// One rule in one packet.
macro_rules! rule {
    ($rule:pat) => {
        OverlooksServer(|e| matches!(e.rule(), $rule))
    };
    ($rule:pat, $packet:ident) => {
        OverlooksServer(|e| matches!(e.rule(), $rule) && e.packet_type() == Some(Type::$packet))
    };
}

pub(crate) const TABLE: &[Row] = rows! {
    "flags of PINGRESP are overlooked",
        ["[MQTT-2.1.3-1]", "[MQTT5-U-2.1.3-1]", "[MQTT5-U-4.13.1-1]"],
        rule!(Rule::FixedHeaderFlags, PingResp);
    "flags of DISCONNECT are overlooked", ["[MQTT-3.14.1-1]"],
        rule!(Rule::FixedHeaderFlags, Disconnect);
    "flags of AUTH are overlooked", ["[MQTT-3.15.1-1]"], rule!(Rule::FixedHeaderFlags, Auth);
    "a length in too many bytes is overlooked", ["[MQTT-1.5.5-1]"],
        rule!(Rule::VariableByteIntegerNotMinimal);
    "QoS 3 is overlooked", ["[MQTT-3.3.1-4]", "[MQTT5-U-3.3.1.2-1]"], rule!(Rule::PublishQos);
    "text that is not UTF-8 is overlooked",
        ["[MQTT-1.5.4-1]", "[MQTT5-U-1.5.4-1]", "[MQTT-1.5.7-1]", "[MQTT5-U-1.5.7-1]",
         "[MQTT-3.3.2-1]", "[MQTT-3.3.2-13]", "[MQTT-3.3.2-19]"],
        rule!(Rule::IllFormedUtf8);
    "U+0000 is overlooked", ["[MQTT-1.5.4-2]", "[MQTT-4.7.3-2]"], rule!(Rule::NulCharacter);
    "wildcards in a topic are overlooked", ["[MQTT-3.3.2-2]", "[MQTT-4.7.0-1]"],
        rule!(Rule::TopicName(TopicError::Wildcard));
    "an unknown property is overlooked", ["[MQTT5-U-2.2.2.2-1]"],
        rule!(Rule::UnknownProperty { .. });
    "a PUBLISH without a topic is overlooked", ["[MQTT5-U-3.3.2.1-1]", "[MQTT-4.7.3-1]"],
        rule!(Rule::NoTopic);
    "two Topic Aliases are overlooked", ["[MQTT5-U-3.3.2.3.4-1]"], twice!(TopicAlias in Publish);
    "two Response Topics are overlooked", ["[MQTT5-U-3.3.2.3.5-1]"],
        twice!(ResponseTopic in Publish);
    "two Correlation Data are overlooked", ["[MQTT5-U-3.3.2.3.6-1]"],
        twice!(CorrelationData in Publish);
    "two Content Types are overlooked", ["[MQTT5-U-3.3.2.3.9-1]"], twice!(ContentType in Publish);
    "a wildcard in a Response Topic is overlooked", ["[MQTT-3.3.2-14]"],
        rule!(Rule::ResponseTopic(_));
    "Subscription Identifier 0 is overlooked", ["[MQTT5-U-3.3.2.3.8-1]"],
        value!(SubscriptionIdentifier);
    "Topic Alias 0 is overlooked", ["[MQTT-3.3.2-8]", "[MQTT5-U-3.3.4-1]"],
        rule!(Rule::TopicAliasZero);
    "Packet Identifier 0 is overlooked", ["[MQTT-2.2.1-4]"], rule!(Rule::PacketIdZero);
    "an AUTH without a method is overlooked", ["[MQTT5-U-3.15.2.2.2-1]"],
        rule!(Rule::NoAuthenticationMethod);
    "two Authentication Data in an AUTH are overlooked", ["[MQTT5-U-3.15.2.2.3-1]"],
        twice!(AuthenticationData in Auth);
    "two Session Expiry Intervals in DISCONNECT are overlooked", ["[MQTT5-U-3.14.2.2.2-1]"],
        twice!(SessionExpiryInterval in Disconnect);
    "two Session Expiry Intervals are overlooked", ["[MQTT5-U-3.2.2.3.2-1]"],
        twice!(SessionExpiryInterval in ConnAck);
    "two Receive Maximums are overlooked", ["[MQTT5-U-3.2.2.3.3-1]"],
        twice!(ReceiveMaximum in ConnAck);
    "a Receive Maximum of 0 is overlooked", ["[MQTT5-U-3.2.2.3.3-1]"], value!(ReceiveMaximum);
    "two Maximum QoS are overlooked", ["[MQTT5-U-3.2.2.3.4-1]"], twice!(MaximumQos in ConnAck);
    "a Maximum QoS of 2 is overlooked", ["[MQTT5-U-3.2.2.3.4-1]"], value!(MaximumQos);
    "two Retain Available are overlooked", ["[MQTT5-U-3.2.2.3.5-1]"],
        twice!(RetainAvailable in ConnAck);
    "a Retain Available of 2 is overlooked", ["[MQTT5-U-3.2.2.3.5-1]"], value!(RetainAvailable);
    "two Maximum Packet Sizes are overlooked", ["[MQTT5-U-3.2.2.3.6-1]"],
        twice!(MaximumPacketSize in ConnAck);
    "a Maximum Packet Size of 0 is overlooked", ["[MQTT5-U-3.2.2.3.6-1]"],
        value!(MaximumPacketSize);
    "two Assigned Client Identifiers are overlooked", ["[MQTT5-U-3.2.2.3.7-1]"],
        twice!(AssignedClientIdentifier in ConnAck);
    "two Topic Alias Maximums are overlooked", ["[MQTT5-U-3.2.2.3.8-1]"],
        twice!(TopicAliasMaximum in ConnAck);
    "two Reason Strings are overlooked", ["[MQTT5-U-3.2.2.3.9-1]"],
        twice!(ReasonString in ConnAck);
    "two Wildcard Subscriptions Available are overlooked", ["[MQTT5-U-3.2.2.3.11-1]"],
        twice!(WildcardSubscriptionAvailable in ConnAck);
    "a Wildcard Subscription Available of 2 is overlooked", ["[MQTT5-U-3.2.2.3.11-1]"],
        value!(WildcardSubscriptionAvailable);
    "two Subscription Identifiers Available are overlooked", ["[MQTT5-U-3.2.2.3.12-1]"],
        twice!(SubscriptionIdentifierAvailable in ConnAck);
    "a Subscription Identifier Available of 2 is overlooked", ["[MQTT5-U-3.2.2.3.12-1]"],
        value!(SubscriptionIdentifierAvailable);
    "two Shared Subscriptions Available are overlooked", ["[MQTT5-U-3.2.2.3.13-1]"],
        twice!(SharedSubscriptionAvailable in ConnAck);
    "a Shared Subscription Available of 2 is overlooked", ["[MQTT5-U-3.2.2.3.13-1]"],
        value!(SharedSubscriptionAvailable);
    "two Server Keep Alives are overlooked", ["[MQTT5-U-3.2.2.3.14-1]"],
        twice!(ServerKeepAlive in ConnAck);
    "two Response Informations are overlooked", ["[MQTT5-U-3.2.2.3.15-1]"],
        twice!(ResponseInformation in ConnAck);
    "two Server References are overlooked", ["[MQTT5-U-3.2.2.3.16-1]"],
        twice!(ServerReference in ConnAck);
    "two Authentication Methods are overlooked", ["[MQTT5-U-3.2.2.3.17-1]"],
        twice!(AuthenticationMethod in ConnAck);
    "two Authentication Data are overlooked", ["[MQTT5-U-3.2.2.3.18-1]"],
        twice!(AuthenticationData in ConnAck);
    "the client never closes", ["[MQTT-3.14.4-2]", "[MQTT-4.13.2-1]", "[MQTT5-U-4.13.1-1]"],
        HoldsServerOpen;
};
