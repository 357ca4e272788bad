"""Eclipse paho's client for Python against a broker: `paho_client.py URL [ROOT_CERTIFICATE]`.

Ends with exit code 0 when everything that it asks of the broker came true.
"""

import queue
import sys
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 20  # seconds


def properties(packet_type, **values):
    result = Properties(packet_type)
    for name, value in values.items():
        setattr(result, name, value)
    return result


class Client:
    """One client, whose callbacks put what they hear into queues."""

    def __init__(self, url, root, name):
        self.url = urlsplit(url)
        secure = self.url.scheme in ("mqtts", "wss")
        self.transport = "websockets" if self.url.scheme in ("ws", "wss") else "tcp"
        self.heard = queue.Queue()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"paho-{self.url.scheme}-{name}",
            protocol=mqtt.MQTTv5,
            transport=self.transport,
        )
        if self.transport == "websockets":
            self.client.ws_set_options(path=self.url.path or "/")
        if secure:
            self.client.tls_set(ca_certs=root)
        self.client.on_connect = lambda c, u, flags, reason, p: self.heard.put(
            ("connected", flags.session_present, reason.value)
        )
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self.heard.put(
            ("subscribed", [reason.value for reason in reasons])
        )
        self.client.on_publish = lambda c, u, mid, reason, p: self.heard.put(
            ("published", reason.value)
        )
        self.client.on_message = lambda c, u, message: self.heard.put(("message", message))
        self.client.on_disconnect = lambda c, u, flags, reason, p: self.heard.put(
            ("disconnected", reason.value)
        )

    def next(self, kind):
        """The next thing of this kind; others that come before it are a fault."""
        heard = self.heard.get(timeout=PATIENCE)
        assert heard[0] == kind, f"{heard} came instead of {kind}"
        return heard[1] if len(heard) == 2 else heard[1:]

    def connect(self, clean_start, expiry):
        self.client.connect(
            self.url.hostname,
            self.url.port,
            clean_start=clean_start,
            properties=properties(PacketTypes.CONNECT, SessionExpiryInterval=expiry),
        )
        self.client.loop_start()
        session_present, reason = self.next("connected")
        assert reason == 0, reason
        return session_present

    def disconnect(self):
        self.client.disconnect()
        self.next("disconnected")
        self.client.loop_stop()


def main(url, root):
    scheme = urlsplit(url).scheme
    topic = f"paho/{scheme}"
    reader, writer = Client(url, root, "reader"), Client(url, root, "writer")
    assert not reader.connect(clean_start=True, expiry=600), "a clean start finds no session"
    writer.connect(clean_start=True, expiry=0)

    options = SubscribeOptions(qos=2, retainAsPublished=True)
    reader.client.subscribe(
        f"{topic}/#",
        options=options,
        properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=7),
    )
    assert reader.next("subscribed") == [2]

    # Messages of every QoS, empty, small and of many frames, with all that can stand beside them.
    for qos in (0, 1, 2):
        for payload in (b"", b"hello", bytes(range(256)) * 1200):
            beside = properties(
                PacketTypes.PUBLISH,
                PayloadFormatIndicator=0,
                MessageExpiryInterval=60,
                ResponseTopic="answer/here",
                CorrelationData=b"\x00\x01\xff",
                ContentType="application/test",
                UserProperty=[("a", "1"), ("b", "2"), ("a", "3")],
            )
            writer.client.publish(f"{topic}/{qos}", payload, qos=qos, properties=beside)
            # QoS 0 is published once it is written; the others once they are acknowledged.
            assert writer.next("published") == 0
            message = reader.next("message")
            assert message.topic == f"{topic}/{qos}", message.topic
            assert message.qos == qos and not message.retain
            assert message.payload == payload, len(message.payload)
            told = message.properties
            assert told.ResponseTopic == "answer/here"
            assert told.CorrelationData == b"\x00\x01\xff"
            assert told.ContentType == "application/test"
            assert told.UserProperty == [("a", "1"), ("b", "2"), ("a", "3")]
            assert told.SubscriptionIdentifier == [7]
            assert 0 < told.MessageExpiryInterval <= 60

    # A session that waits gets what came meanwhile, in order.
    reader.disconnect()
    for number in range(20):
        writer.client.publish(f"{topic}/later", str(number), qos=1 + number % 2)
        assert writer.next("published") == 0
    assert reader.connect(clean_start=False, expiry=0), "the session is still there"
    later = [reader.next("message").payload for _ in range(20)]
    # The order holds for each QoS: this client hands a message of QoS 2 out when it is released.
    numbers = [int(payload) for payload in later]
    for remainder in (0, 1):
        ordered = [number for number in numbers if number % 2 == remainder]
        assert ordered == list(range(remainder, 20, 2)), numbers

    # A retained message comes to a new subscription, and goes with an empty one.
    writer.client.publish(f"{topic}/kept", "kept", qos=1, retain=True)
    assert writer.next("published") == 0
    assert reader.next("message").payload == b"kept"
    reader.client.subscribe(f"{topic}/kept", qos=1)
    assert reader.next("subscribed") == [1]
    kept = reader.next("message")
    assert kept.payload == b"kept" and kept.retain
    writer.client.publish(f"{topic}/kept", b"", qos=1, retain=True)
    assert writer.next("published") == 0
    # Both of the reader's filters match it, and it comes once.
    assert reader.next("message").payload == b""

    reader.disconnect()
    writer.disconnect()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    print(f"paho: {sys.argv[1]}: all as it should be")
