// Runs the quick start of docs/sdk.md with a room as it is printed.
import {readFile} from 'node:fs/promises';
import WebSocket from 'ws';
import * as usher from '../../sdk/js/dist/index.js';

globalThis.WebSocket = WebSocket;
const url = process.env.E2E_SERVER;
const [, [, code]] = [...(await readFile('../../docs/sdk.md', 'utf8')).matchAll(/```js\n([\s\S]*?)```/g)];
const run = new Function('usher', 'url', 'client', `const {Client, redeem} = usher; return (async () => { ${code}; return {visitor, seat}; })()`);
const client = new usher.Client({url, signIn: usher.devSignIn(url, {name: 'Ann'})});
await client.connect();
const {visitor, seat} = await run(usher, url, client);
console.log(seat.role);
visitor.close();
client.close();
