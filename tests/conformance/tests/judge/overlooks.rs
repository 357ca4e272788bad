//! Faults of a client that the broker does not notice.

use mqtt_codec::{DecodeRule as Rule, PacketType as Type, PropertyId as Id, TopicError};
use mqtt_conformance::proxy::Sabotage::{HoldsOpen, Overlooks};

use crate::{Row, rows};

/// A property twice in this packet.
macro_rules! twice {
    ($id:ident in $packet:ident) => {
        Overlooks(|e| {
            e.rule() == Rule::DuplicateProperty { id: Id::$id }
                && e.packet_type() == Some(Type::$packet)
        })
    };
}

/// A value out of range.
macro_rules! value {
    ($id:ident) => {
        Overlooks(|e| e.rule() == Rule::PropertyValue { id: Id::$id })
    };
}

/// One rule in one packet.
macro_rules! rule {
    ($rule:pat) => {
        Overlooks(|e| matches!(e.rule(), $rule))
    };
    ($rule:pat, $packet:ident) => {
        Overlooks(|e| matches!(e.rule(), $rule) && e.packet_type() == Some(Type::$packet))
    };
}

pub(crate) const TABLE: &[Row] = rows! {
    "flags of PINGREQ are overlooked",
        ["[MQTT-2.1.3-1]", "[MQTT5-U-2.1.3-1]", "[MQTT-4.13.1-1]"],
        rule!(Rule::FixedHeaderFlags, PingReq);
    "flags of PUBREL are overlooked", ["[MQTT-3.6.1-1]"], rule!(Rule::FixedHeaderFlags, PubRel);
    "flags of SUBSCRIBE are overlooked", ["[MQTT-3.8.1-1]"],
        rule!(Rule::FixedHeaderFlags, Subscribe);
    "flags of UNSUBSCRIBE are overlooked", ["[MQTT-3.10.1-1]"],
        rule!(Rule::FixedHeaderFlags, Unsubscribe);
    "flags of DISCONNECT are overlooked", ["[MQTT-3.14.1-1]"],
        rule!(Rule::FixedHeaderFlags, Disconnect);
    "flags of AUTH are overlooked", ["[MQTT-3.15.1-1]"], rule!(Rule::FixedHeaderFlags, Auth);
    "a length in too many bytes is overlooked", ["[MQTT-1.5.5-1]"],
        rule!(Rule::VariableByteIntegerNotMinimal);
    "text that is not UTF-8 is overlooked",
        ["[MQTT-1.5.4-1]", "[MQTT-1.5.7-1]", "[MQTT5-U-1.5.4-1]", "[MQTT5-U-1.5.7-1]",
         "[MQTT-3.1.3-4]", "[MQTT-3.1.3-11]", "[MQTT-3.1.3-12]", "[MQTT-3.3.2-1]",
         "[MQTT-3.3.2-13]", "[MQTT-3.3.2-19]", "[MQTT-3.8.3-1]", "[MQTT-3.10.3-1]"],
        rule!(Rule::IllFormedUtf8);
    "U+0000 is overlooked", ["[MQTT-1.5.4-2]", "[MQTT-4.7.3-2]"], rule!(Rule::NulCharacter);
    "another protocol is overlooked", ["[MQTT-3.1.2-1]"], rule!(Rule::ProtocolName);
    "another version is overlooked", ["[MQTT-3.1.2-2]"], rule!(Rule::ProtocolVersion { .. });
    "the reserved connect flag is overlooked",
        ["[MQTT-3.1.2-3]", "[MQTT5-U-3.1.2.3-1]", "[MQTT-3.1.4-1]", "[MQTT-3.14.0-1]"],
        rule!(Rule::ConnectFlagsReserved);
    "Will QoS 3 is overlooked", ["[MQTT-3.1.2-12]", "[MQTT5-U-3.1.2.6-1]"], rule!(Rule::WillQos);
    "flags of a Will that is not there are overlooked", ["[MQTT-3.1.2-11]", "[MQTT-3.1.2-13]"],
        rule!(Rule::WillFlagsWithoutWill);
    "what stands behind a CONNECT is overlooked", ["[MQTT-3.1.2-16]", "[MQTT-3.1.2-18]"],
        rule!(Rule::TrailingBytes, Connect);
    "what is missing in a CONNECT is overlooked",
        ["[MQTT-3.1.2-9]", "[MQTT-3.1.2-17]", "[MQTT-3.1.2-19]", "[MQTT-3.1.3-1]",
         "[MQTT-3.1.3-3]"],
        rule!(_, Connect);
    "an unknown property is overlooked", ["[MQTT5-U-2.2.2.2-1]"],
        rule!(Rule::UnknownProperty { .. });
    "two Session Expiry Intervals are overlooked", ["[MQTT5-U-3.1.2.11.2-1]"],
        twice!(SessionExpiryInterval in Connect);
    "two Receive Maximums are overlooked", ["[MQTT5-U-3.1.2.11.3-1]"],
        twice!(ReceiveMaximum in Connect);
    "a Receive Maximum of 0 is overlooked", ["[MQTT5-U-3.1.2.11.3-1]"], value!(ReceiveMaximum);
    "two Maximum Packet Sizes are overlooked", ["[MQTT5-U-3.1.2.11.4-1]"],
        twice!(MaximumPacketSize in Connect);
    "a Maximum Packet Size of 0 is overlooked", ["[MQTT5-U-3.1.2.11.4-1]"],
        value!(MaximumPacketSize);
    "two Topic Alias Maximums are overlooked", ["[MQTT5-U-3.1.2.11.5-1]"],
        twice!(TopicAliasMaximum in Connect);
    "two Request Response Informations are overlooked", ["[MQTT5-U-3.1.2.11.6-1]"],
        twice!(RequestResponseInformation in Connect);
    "a Request Response Information of 2 is overlooked", ["[MQTT5-U-3.1.2.11.6-1]"],
        value!(RequestResponseInformation);
    "two Request Problem Informations are overlooked", ["[MQTT5-U-3.1.2.11.7-1]"],
        twice!(RequestProblemInformation in Connect);
    "a Request Problem Information of 2 is overlooked", ["[MQTT5-U-3.1.2.11.7-1]"],
        value!(RequestProblemInformation);
    "two Authentication Methods are overlooked", ["[MQTT5-U-3.1.2.11.9-1]"],
        twice!(AuthenticationMethod in Connect);
    "two Authentication Data are overlooked", ["[MQTT5-U-3.1.2.11.10-1]"],
        twice!(AuthenticationData in Connect);
    "Authentication Data without a method are overlooked", ["[MQTT5-U-3.1.2.11.10-1]"],
        rule!(Rule::AuthenticationDataWithoutMethod);
    "two Will Delay Intervals are overlooked", ["[MQTT5-U-3.1.3.2.2-1]"],
        twice!(WillDelayInterval in Connect);
    "two Payload Format Indicators of a Will are overlooked", ["[MQTT5-U-3.1.3.2.3-1]"],
        twice!(PayloadFormatIndicator in Connect);
    "two Message Expiry Intervals of a Will are overlooked", ["[MQTT5-U-3.1.3.2.4-1]"],
        twice!(MessageExpiryInterval in Connect);
    "two Content Types of a Will are overlooked", ["[MQTT5-U-3.1.3.2.5-1]"],
        twice!(ContentType in Connect);
    "two Response Topics of a Will are overlooked", ["[MQTT5-U-3.1.3.2.6-1]"],
        twice!(ResponseTopic in Connect);
    "two Correlation Data of a Will are overlooked", ["[MQTT5-U-3.1.3.2.7-1]"],
        twice!(CorrelationData in Connect);
    "QoS 3 is overlooked", ["[MQTT-3.3.1-4]", "[MQTT5-U-3.3.1.2-1]"], rule!(Rule::PublishQos);
    "Packet Identifier 0 is overlooked", ["[MQTT-2.2.1-3]"], rule!(Rule::PacketIdZero);
    "wildcards in a Topic Name are overlooked", ["[MQTT-3.3.2-2]", "[MQTT-4.7.0-1]"],
        rule!(Rule::TopicName(TopicError::Wildcard));
    "a PUBLISH without a topic is overlooked", ["[MQTT5-U-3.3.2.1-1]", "[MQTT-4.7.3-1]"],
        rule!(Rule::NoTopic);
    "an empty Topic Filter is overlooked", ["[MQTT-4.7.3-1]"],
        rule!(Rule::TopicFilter(TopicError::Empty));
    "a Topic Alias of 0 is overlooked", ["[MQTT-3.3.2-8]", "[MQTT5-U-3.3.4-1]"],
        rule!(Rule::TopicAliasZero);
    "two Topic Aliases are overlooked", ["[MQTT5-U-3.3.2.3.4-1]"], twice!(TopicAlias in Publish);
    "two Response Topics are overlooked", ["[MQTT5-U-3.3.2.3.5-1]"],
        twice!(ResponseTopic in Publish);
    "two Correlation Data are overlooked", ["[MQTT5-U-3.3.2.3.6-1]"],
        twice!(CorrelationData in Publish);
    "two Content Types are overlooked", ["[MQTT5-U-3.3.2.3.9-1]"], twice!(ContentType in Publish);
    "a wildcard in a Response Topic is overlooked", ["[MQTT-3.3.2-14]"],
        rule!(Rule::ResponseTopic(_));
    "a SUBSCRIBE without a filter is overlooked",
        ["[MQTT-3.8.3-2]", "[MQTT5-U-3.8.3-1]"], rule!(Rule::NoTopicFilter, Subscribe);
    "an UNSUBSCRIBE without a filter is overlooked",
        ["[MQTT-3.10.3-2]", "[MQTT5-U-3.10.3-1]"], rule!(Rule::NoTopicFilter, Unsubscribe);
    "reserved options of a SUBSCRIBE are overlooked", ["[MQTT-3.8.3-5]"],
        rule!(Rule::SubscriptionOptionsReserved);
    "a SUBSCRIBE for QoS 3 is overlooked", ["[MQTT5-U-3.8.3.1-1]"], rule!(Rule::SubscriptionQos);
    "Retain Handling 3 is overlooked", ["[MQTT5-U-3.8.3.1-1]"], rule!(Rule::RetainHandling);
    "Subscription Identifier 0 is overlooked", ["[MQTT5-U-3.8.2.1.2-1]"],
        value!(SubscriptionIdentifier);
    "No Local on a Shared Subscription is overlooked", ["[MQTT-3.8.3-4]"],
        rule!(Rule::NoLocalOnSharedSubscription);
    "a # in the wrong place is overlooked", ["[MQTT-4.7.1-1]"],
        rule!(Rule::TopicFilter(TopicError::MultiLevelWildcard));
    "a + in the wrong place is overlooked", ["[MQTT-4.7.1-2]"],
        rule!(Rule::TopicFilter(TopicError::SingleLevelWildcard));
    "a missing share name is overlooked", ["[MQTT-4.8.2-1]"],
        rule!(Rule::TopicFilter(TopicError::ShareNameMissing));
    "a wildcard in a share name is overlooked", ["[MQTT-4.8.2-2]"],
        rule!(Rule::TopicFilter(TopicError::ShareNameWildcard));
    "two Session Expiry Intervals in DISCONNECT are overlooked", ["[MQTT5-U-3.14.2.2.2-1]"],
        twice!(SessionExpiryInterval in Disconnect);
    "an AUTH without a method is overlooked", ["[MQTT5-U-3.15.2.2.2-1]"],
        rule!(Rule::NoAuthenticationMethod);
    "two methods in an AUTH are overlooked", ["[MQTT5-U-3.15.2.2.2-1]"],
        twice!(AuthenticationMethod in Auth);
    "two Authentication Data in an AUTH are overlooked", ["[MQTT5-U-3.15.2.2.3-1]"],
        twice!(AuthenticationData in Auth);
    "the broker never closes",
        ["[MQTT-3.1.0-1]", "[MQTT-3.1.0-2]", "[MQTT-3.1.2-22]", "[MQTT-3.1.3-8]", "[MQTT-3.1.4-2]",
         "[MQTT-3.1.4-3]", "[MQTT-3.2.2-7]", "[MQTT-3.2.2-22]", "[MQTT-3.14.4-2]",
         "[MQTT-4.12.0-1]", "[MQTT-4.12.0-4]", "[MQTT-4.13.2-1]", "[MQTT5-U-3.2.2.3.6-2]"],
        HoldsOpen;
};
