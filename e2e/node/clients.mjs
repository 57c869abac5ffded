// Clients of Room Service that a test drives one by one, by their names.
import {serve} from './driver.mjs';
import {connected, drop, enter, provision, until} from './roomservice.mjs';

const clients = new Map();
const presences = new Map(); // what was seen of others, by client and key

serve({
    async enter({name, key, user, room, session}) {
        session ??= await provision(key, user, room);
        clients.set(name, {session, room: await enter(session, room)});
        return session;
    },
    /** run evaluates the body of an async function with a client's room. */
    async run({name, body, arg}) {
        const {room, session} = clients.get(name);
        const call = new Function('room', 'session', 'arg', 'until', 'presences', `return (async () => { ${body} })()`);
        return call(room, session, arg, until, presences);
    },
    drop: ({name}) => drop(clients.get(name).session),
    connected: ({name}) => connected(clients.get(name).session),
});
