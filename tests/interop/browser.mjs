// The page of the examples in headless Chromium: `browser.mjs WEBSOCKET_URL PAGE CHROMIUM`. Ends
// with exit code 0 when a message that was published on the page came back to it.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const [broker, page, executablePath] = process.argv.slice(2)
const script = fileURLToPath(new URL('node_modules/mqtt/dist/mqtt.min.js', import.meta.url))

const server = createServer(async (request, response) => {
  const path = request.url.split('?')[0]
  const file = { '/': page, '/mqtt.min.js': script }[path]
  if (!file) return response.writeHead(404).end()
  const type = path === '/' ? 'text/html; charset=utf-8' : 'text/javascript'
  response.writeHead(200, { 'content-type': type }).end(await readFile(file))
})
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync']
})
try {
  const tab = await browser.newPage()
  tab.setDefaultTimeout(20_000)
  tab.on('pageerror', error => { throw error })
  await tab.goto(`http://127.0.0.1:${server.address().port}/?broker=${encodeURIComponent(broker)}`)
  await tab.waitForSelector('#state:text("connected")')
  await tab.fill('#topic', 'page/greeting')
  await tab.fill('#text', 'hello from a page')
  await tab.click('#publish')
  const line = await tab.waitForSelector('#messages li')
  assert.equal(await line.textContent(), 'page/greeting: hello from a page')
} finally {
  await browser.close()
  server.close()
}
console.log(`Chromium: ${broker}: all as it should be`)
