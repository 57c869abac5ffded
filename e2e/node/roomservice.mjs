// The published client in Node: its hosts are fixed in it, so that fetch and
// WebSocket take them for another, and Node has no WebSocket that the client
// could do with.
import WebSocket from 'ws';
import {RoomService} from '@roomservice/browser';

const {protocol, host} = new URL(process.env.E2E_SERVER);
const elsewhere = url => {
    const u = new URL(url);
    if (u.host !== 'super.roomservice.dev') return u;
    u.protocol = u.protocol.startsWith('ws') ? protocol.replace('http', 'ws') : protocol;
    u.host = host;
    return u;
};

const realFetch = globalThis.fetch;
globalThis.fetch = (url, options) => realFetch(elsewhere(url), options);

/** sockets are those that are open or opening, by the token that they carry. */
const sockets = new Map();

// In a browser, what fails in a handler harms nobody else.
globalThis.WebSocket = class extends WebSocket {
    constructor(url) {
        super(elsewhere(url));
        this.on('error', () => {});
    }

    set onmessage(handler) {
        super.onmessage =
            handler &&
            (event => {
                try {
                    handler(event);
                } catch {
                    // as a browser does
                }
            });
    }

    send(data) {
        const {type, body} = JSON.parse(data);
        if (type === 'guest:authenticate') {
            if (!sockets.has(body)) sockets.set(body, new Set());
            sockets.get(body).add(this);
            this.on('close', () => sockets.get(body).delete(this));
        }
        super.send(data);
    }
};

// The client prints what goes wrong, which tests do on purpose.
console.error = () => {};
console.warn = () => {};

/** provision asks for a session as the back end of an app does. */
export const provision = async (key, user, room) => {
    const response = await fetch(`${process.env.E2E_SERVER}/provision`, {
        method: 'POST',
        headers: {Authorization: `Bearer: ${key}`, 'Content-Type': 'application/json'},
        body: JSON.stringify({user, resources: [{object: 'room', reference: room, permission: 'join'}]}),
    });
    if (response.status !== 200) throw new Error(`provision: ${response.status} ${await response.text()}`);
    return response.json();
};

/** enter opens a room with a session. */
export const enter = (session, room) => new RoomService({auth: async () => session}).room(room);

/** drop breaks the connections of a session, without a goodbye. */
export const drop = session => sockets.get(session.token)?.forEach(socket => socket.terminate());

/** connected reports whether a session has a connection. */
export const connected = session => (sockets.get(session.token)?.size ?? 0) > 0;

/** until waits for something to be true. */
export const until = async (what, check, patience = 60_000) => {
    for (const start = Date.now(); ; ) {
        const value = await check();
        if (value) return value;
        if (Date.now() - start > patience) throw new Error(`waited in vain for ${what}`);
        await new Promise(resolve => setTimeout(resolve, 20));
    }
};
