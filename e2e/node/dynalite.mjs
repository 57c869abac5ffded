// Serves DynamoDB from memory for as long as its standard input is open, on the
// port that is its argument or, without one, on a port of its own, which is the one
// line that it prints.
import dynalite from 'dynalite'

const server = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log(server.address().port))
// It throws what befalls a request whose sender is killed, and would end with it.
process.on('uncaughtException', error => {
  if (error.code === 'ECONNRESET') return
  console.error(error)
  process.exit(1)
})
process.stdin.resume().on('end', () => process.exit())
