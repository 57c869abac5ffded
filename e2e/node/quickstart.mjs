// Runs the quick start of docs/sdk.md as it is printed.
import {readFile} from 'node:fs/promises';
import WebSocket from 'ws';
import * as usher from '../../sdk/js/dist/index.js';

globalThis.WebSocket = WebSocket;
const [, code] = (await readFile('../../docs/sdk.md', 'utf8')).match(/```js\n([\s\S]*?)```/);
const run = new Function('usher', 'url', `const {Client, devSignIn} = usher; return (async () => { ${code}; return {client, place}; })()`);
const {client, place} = await run(usher, process.env.E2E_SERVER);
console.log(place.role);
client.close();
