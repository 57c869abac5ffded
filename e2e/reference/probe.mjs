// Asks serverless-offline how it answers, and prints a table.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import net from 'node:net';
import WebSocket from 'ws';

const freePort = async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const {port} = server.address();
    server.close();
    await once(server, 'close');
    return port;
};
const [HTTP_PORT, WEBSOCKET_PORT, LAMBDA_PORT] = [await freePort(), await freePort(), await freePort()].map(String);
const gateway = spawn('node', ['node_modules/serverless/bin/serverless.js', 'offline'], {
    env: {...process.env, HTTP_PORT, WEBSOCKET_PORT, LAMBDA_PORT, SLS_TELEMETRY_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test'},
    stdio: ['ignore', 'pipe', 'pipe'],
});
let output = '';
for (const stream of [gateway.stdout, gateway.stderr]) stream.on('data', data => (output += data));

const base = `127.0.0.1:${WEBSOCKET_PORT}`;
/** connect returns a socket, or the status of a refusal. */
const connect = query =>
    new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://${base}/${query}`);
        socket.on('open', () => resolve({status: 101, socket}));
        socket.on('unexpected-response', (_, response) => resolve({status: response.statusCode}));
        socket.on('error', reject);
    });

try {
    for (let tries = 0; ; tries++) {
        try {
            const {socket} = await connect('?Auth=ann');
            socket?.close();
            break;
        } catch (error) {
            if (tries > 300 || gateway.exitCode !== null) throw new Error(`serverless-offline does not start: ${error}\n${output}`);
            await new Promise(resolve => setTimeout(resolve, 200));
        }
    }
    const rows = [];
    for (const [what, query] of [
        ['a token that is good', '?Auth=ann'],
        ['no token', ''],
        ['the authorizer says Unauthorized', '?Auth=unauthorized'],
        ['the authorizer fails with the error Unauthorized', '?Auth=error'],
        ['the authorizer denies', '?Auth=deny'],
        ['the authorizer names nobody', '?Auth=nobody'],
        ['the authorizer fails', '?Auth=crash'],
        ['the function answers 401', '?Auth=401'],
        ['the function answers 403', '?Auth=403'],
        ['the function answers 429', '?Auth=429'],
        ['the function answers 500', '?Auth=500'],
        ['the function fails', '?Auth=throws'],
    ]) {
        const {status, socket} = await connect(query);
        socket?.close();
        rows.push([`$connect: ${what}`, status]);
    }
    const {socket} = await connect('?Auth=ann');
    const said = once(socket, 'message');
    socket.send('{"action":"unknown"}');
    const {connectionId, routeKey} = JSON.parse((await said)[0]);
    rows.push(['routeKey of an action without a route', String(routeKey)], ['a connectionId ends with', connectionId.slice(-1)]);
    const manage = async (method, id, body) => {
        const response = await fetch(`http://${base}/@connections/${encodeURIComponent(id)}`, {method, body});
        return `${response.status} ${response.headers.get('x-amzn-errortype') ?? ''}`.trim();
    };
    rows.push(['@connections: POST', await manage('POST', connectionId, 'x')]);
    rows.push(['@connections: POST of 128 KiB and a byte', await manage('POST', connectionId, 'x'.repeat((128 << 10) + 1))]);
    rows.push(['@connections: GET', await manage('GET', connectionId)]);
    const closed = once(socket, 'close');
    rows.push(['@connections: DELETE', await manage('DELETE', connectionId)]);
    rows.push(['close code after DELETE', (await closed)[0]]);
    for (const method of ['POST', 'GET', 'DELETE']) {
        rows.push([`@connections: ${method} of an unknown id`, await manage(method, 'L0SM9cOFvHcCIhw=', method === 'POST' ? 'x' : undefined)]);
    }
    for (const row of rows) console.log(`| ${row.join(' | ')} |`);
} finally {
    gateway.kill();
}
