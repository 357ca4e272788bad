// MQTT.js against a broker: `mqttjs_client.mjs URL [ROOT_CERTIFICATE]`. Ends with exit code 0 when
// everything that it asks of the broker came true.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'

const [url, root] = process.argv.slice(2)
const scheme = new URL(url).protocol.slice(0, -1)
const topic = `mqttjs/${scheme}`
const PATIENCE = 20_000

setTimeout(() => {
  console.error(`no end after ${PATIENCE} ms`)
  process.exit(1)
}, PATIENCE).unref()

const connect = (name, clean, expiry) =>
  mqtt.connectAsync(url, {
    protocolVersion: 5,
    clientId: `mqttjs-${scheme}-${name}`,
    clean,
    reconnectPeriod: 0,
    ca: root && readFileSync(root),
    properties: { sessionExpiryInterval: expiry }
  })

/** The messages of a client, one at a time. */
function inbox (client) {
  const come = []
  const wanted = []
  client.on('message', (topic, payload, packet) => {
    const message = { topic, payload, packet }
    const waiting = wanted.shift()
    if (waiting) waiting(message)
    else come.push(message)
  })
  return () => come.length ? Promise.resolve(come.shift()) : new Promise(resolve => wanted.push(resolve))
}

const writer = await connect('writer', true, 0)
let reader = await connect('reader', true, 600)
let next = inbox(reader)
const granted = await reader.subscribeAsync(`${topic}/#`, {
  qos: 2, rap: true, properties: { subscriptionIdentifier: 7 }
})
assert.deepEqual(granted.map(each => each.qos), [2])

// Messages of every QoS, empty, small and of many frames, with all that can stand beside them.
for (const qos of [0, 1, 2]) {
  for (const payload of [Buffer.alloc(0), Buffer.from('hello'), Buffer.alloc(300_000, qos)]) {
    const properties = {
      messageExpiryInterval: 60,
      responseTopic: 'answer/here',
      correlationData: Buffer.from([0, 1, 255]),
      contentType: 'application/test',
      userProperties: { a: ['1', '3'], b: '2' }
    }
    await writer.publishAsync(`${topic}/${qos}`, payload, { qos, properties })
    const message = await next()
    assert.equal(message.topic, `${topic}/${qos}`)
    assert.equal(message.packet.qos, qos)
    assert.ok(message.payload.equals(payload))
    const told = message.packet.properties
    assert.equal(told.responseTopic, 'answer/here')
    assert.ok(told.correlationData.equals(properties.correlationData))
    assert.equal(told.contentType, 'application/test')
    assert.deepEqual({ ...told.userProperties }, properties.userProperties)
    assert.equal(told.subscriptionIdentifier, 7)
  }
}

// A session that waits gets what came meanwhile, in order.
await reader.endAsync()
for (let number = 0; number < 20; number++) {
  await writer.publishAsync(`${topic}/later`, `${number}`, { qos: 1 })
}
// What comes at once comes before a promise can go on, so listen before connecting.
reader = mqtt.connect(url, {
  protocolVersion: 5,
  clientId: `mqttjs-${scheme}-reader`,
  clean: false,
  reconnectPeriod: 0,
  ca: root && readFileSync(root),
  properties: { sessionExpiryInterval: 0 }
})
next = inbox(reader)
const connack = await new Promise((resolve, reject) => {
  reader.once('connect', resolve)
  reader.once('error', reject)
})
assert.ok(connack.sessionPresent, 'the session is still there')
for (let number = 0; number < 20; number++) {
  assert.equal(`${(await next()).payload}`, `${number}`)
}

// A retained message comes to a new subscription, and goes with an empty one.
await writer.publishAsync(`${topic}/kept`, 'kept', { qos: 1, retain: true })
assert.equal(`${(await next()).payload}`, 'kept')
await reader.subscribeAsync(`${topic}/kept`, { qos: 1 })
const kept = await next()
assert.ok(kept.packet.retain)
await writer.publishAsync(`${topic}/kept`, '', { qos: 1, retain: true })

await reader.endAsync()
await writer.endAsync()
console.log(`MQTT.js: ${url}: all as it should be`)
