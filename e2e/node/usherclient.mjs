// The SDK in Node.js, which a test drives: people by name, each with a client of
// their own, and their calls and rooms.
import WebSocket from 'ws';
import {all, Client, devSignIn, each, Operator, redeem} from '../../sdk/js/dist/index.js';
import {serve} from './driver.mjs';

const url = process.env.E2E_SERVER;
const people = new Map();

/** until waits for something to be true. */
const until = async (what, check, patience = 60_000) => {
    for (const start = Date.now(); ; ) {
        const value = await check();
        if (value) return value;
        if (Date.now() - start > patience) throw new Error(`waited in vain for ${what}`);
        await new Promise(resolve => setTimeout(resolve, 20));
    }
};

const person = name => people.get(name);
const code = async promise => {
    try {
        await promise;
        return '';
    } catch (error) {
        return error.code ?? String(error);
    }
};

serve(
    {
        /** enter signs somebody in and connects. */
        async enter({name}) {
            const sockets = [];
            class Tapped extends WebSocket {
                constructor(...args) {
                    super(...args);
                    sockets.push(this);
                }
            }
            const tokens = [];
            const signIn = devSignIn(url, {name, email: `${name}@example.org`});
            const client = new Client({
                url,
                signIn: async wanted => {
                    const token = await signIn(wanted);
                    tokens.push(token);
                    return token;
                },
                environment: {WebSocket: Tapped},
            });
            const p = {client, sockets, tokens, calls: [], missed: [], said: [], hellos: [], left: [], stopped: []};
            people.set(name, p);
            client.signal.on('hello', hello => p.hellos.push({connection: hello.connection, resumed: hello.resumed ?? false}));
            client.signal.on('stopped', error => p.stopped.push(error.code));
            client.calls.on('missed', missed => p.missed.push(missed));
            client.calls.on('incoming', call => {
                p.calls.push(call);
                call.ring().catch(() => {}); // it is over
            });
            const hello = await client.connect();
            const user = await client.api.user();
            return {user: hello.userId, id: user.id, key: user.key};
        },
        /** api calls a method of the API, or of that of operators, and returns the answer, or the error as a problem. */
        async api({name, method, args = [], operator = false}) {
            const {api} = person(name).client;
            const on = operator ? new Operator(api.http) : api;
            try {
                return {answer: (await on[method](...args)) ?? null};
            } catch ({code, status, decision, fields, requestId}) {
                return {code, status, decision, fields, requestId};
            }
        },
        /** roomNames goes through all rooms of a person, two at a time. */
        async roomNames({name, most}) {
            const {api} = person(name).client;
            const names = [];
            for await (const room of each('rooms', page => api.rooms(page), 2)) names.push(room.name);
            return {names, first: (await all('rooms', page => api.rooms(page), most)).map(room => room.name)};
        },
        /** guest enters as whoever has the code of an invite. */
        async guest({name, code}) {
            const {token, guest} = await redeem(url, code, name);
            const client = new Client({url, signIn: () => token, environment: {WebSocket}});
            const p = {client, said: [], left: [], hellos: []};
            people.set(name, p);
            await client.connect();
            p.link = await client.rooms.join({room: guest.room});
            p.link.on('left', left => p.left.push(left));
            p.link.on('mute', ({payload}) => p.said.push(payload.kind));
            return {participant: p.link.participant, role: p.link.role, kind: (await client.api.me()).kind};
        },
        mute: ({name, participant}) => person(name).link.askToMute(participant, 'audio'),
        async befriend({name, other}) {
            const contact = await person(name).client.api.addContact({email: `${other}@example.org`});
            return contact.id;
        },
        unfriend: ({name, key}) => person(name).client.api.removeContact(key),
        contacts: async ({name}) => (await person(name).client.api.contacts()).map(({email}) => email),
        status: ({name, of, is}) => until(`${of} to be ${is}`, () => person(name).client.presence.of(of) === is),
        away: ({name}) => person(name).client.presence.say('away'),
        async call({name, to}) {
            const p = person(name);
            p.calls.push(await p.client.calls.call(to, {media: {audio: true}}));
        },
        rang: ({name}) => until('the other phone to ring', () => person(name).calls.at(-1).rang),
        async rings({name}) {
            const p = person(name);
            const call = await until('the phone to ring', () => p.calls.find(({state}) => state === 'ringing'));
            return {from: call.peer, name: call.name, stranger: call.stranger, payload: call.payload ?? null};
        },
        accept: ({name}) => person(name).calls.at(-1).accept({yes: true}),
        reject: ({name}) => person(name).calls.at(-1).reject(),
        connected: ({name}) => person(name).calls.at(-1).connected(),
        hangup: ({name}) => person(name).calls.at(-1).hangup(),
        state: ({name, is}) => until(`the call to be ${is}`, () => person(name).calls.at(-1)?.state === is),
        reason: async ({name}) => {
            await until('the call to end', () => person(name).calls.at(-1)?.state === 'ended');
            return person(name).calls.at(-1).reason;
        },
        missed: ({name}) => until('a missed call', () => person(name).missed.at(-1)),
        /** relay sends something with the call, and waits until the other side has it. */
        async relay({name, to, value}) {
            const got = [];
            const end = person(to).calls.at(-1).inbox.open(message => got.push(message));
            person(name).calls.at(-1).send('note', value);
            const message = await until('the note', () => got.find(({action}) => action === 'note'));
            end();
            return message.payload;
        },
        /** relays says something with the call until it has reached the other side, which may not be back yet. */
        async relays({name, to}) {
            const got = [];
            const end = person(to).calls.at(-1).inbox.open(message => got.push(message));
            await until('the note', () => {
                person(name).calls.at(-1).send('note', name);
                return got.length > 0;
            });
            end();
        },
        saved: ({name}) => JSON.parse(JSON.stringify(person(name).calls.at(-1).saved)),
        goOn: ({name, saved}) => person(name).client.calls.goOn(saved).then(() => '', ({code, reason}) => `${code} ${reason}`),
        /** drop breaks the connection off, as a lost network does, and waits until it is back. */
        async drop({name}) {
            const p = person(name);
            const before = p.hellos.length;
            p.sockets.at(-1).terminate();
            await until('the connection to be back', () => p.hellos.length > before);
            return {before: p.hellos[before - 1], after: p.hellos.at(-1)};
        },
        cut: ({name}) => {
            person(name).sockets.at(-1).terminate();
        },
        back: ({name, times}) => until('the connection to be back', () => person(name).hellos.length >= times),
        hellos: ({name}) => person(name).hellos.length,
        async room({name}) {
            return (await person(name).client.api.createRoom({admission: 'open'})).id;
        },
        async join({name, room}) {
            const p = person(name);
            p.link = await p.client.rooms.join({room});
            p.said = [];
            p.link.on('message', ({payload}) => p.said.push(payload));
            p.link.on('left', left => p.left.push(left));
            return {participant: p.link.participant, role: p.link.role, permissions: p.link.permissions};
        },
        roster: ({name, size}) => until(`${size} in the room`, () => person(name).link.roster.length === size),
        say: ({name, value}) => person(name).link.say(value),
        said: ({name}) => until('a message', () => person(name).said.shift()),
        remove: ({name, participant}) => person(name).link.remove(participant, 'Enough.'),
        left: ({name}) => until('the end of the place', () => person(name).left.at(-1)),
        rejoin: ({name, room}) => code(person(name).client.rooms.join({room})),
        /** renewals returns as many tokens as were asked for, that a credential went through. */
        async renewals({name, room, request, count}) {
            const credential = person(name).client.credential(room, request);
            const seen = [];
            const told = [];
            credential.on('renewed', next => seen.push({token: next.token, at: Date.now(), expiresIn: next.expires_in}));
            credential.on('retrying', error => told.push(error.code));
            credential.on('stopped', error => told.push(error.code));
            await credential.current();
            await until('the renewals', () => seen.length >= count, 120_000);
            credential.stop();
            return {seen, told};
        },
        /** refused is why a credential stops when it may not be renewed any more. */
        async watch({name, room, request}) {
            const p = person(name);
            p.credential = p.client.credential(room, request);
            p.credential.on('stopped', error => (p.why = {code: error.code, message: error.message, final: error.final, decision: error.decision ?? ''}));
            await p.credential.current();
        },
        why: ({name}) => until('the credential to stop', () => person(name).why, 120_000),
        refusal: async ({name, room}) => code(person(name).client.api.room(room)),
        stopped: ({name}) => person(name).stopped,
        leave: ({name}) => person(name).client.close(),
    },
    () => people.forEach(({client}) => client.close()),
);
