// Serves aedes on the loopback port that the first argument names.
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker()
const server = createServer((socket) => {
  socket.setNoDelay(true)
  broker.handle(socket)
})
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 1024 })
