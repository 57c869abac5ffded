// Three clients of a room change its maps and lists at random, and lose their
// connections meanwhile; a fourth comes when all is done. All must see the same.
import {isDeepStrictEqual} from 'node:util';
import {serve} from './driver.mjs';
import {drop, enter, provision, until} from './roomservice.mjs';

const maps = ['colours', 'sizes'];
const lists = ['todos', 'done'];

/** random returns numbers below n, the same for the same seed (mulberry32). */
const random = seed => n => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
};

const sees = client => ({
    maps: Object.fromEntries(maps.map(name => [name, client.map(name).toObject()])),
    lists: Object.fromEntries(lists.map(name => [name, client.list(name).toArray()])),
});

/** change does one thing at random. The client's own index of a list may be wrong by then, of which it complains. */
const change = (client, pick, label) => {
    const list = client.list(lists[pick(lists.length)]);
    const map = client.map(maps[pick(maps.length)]);
    const length = list.toArray().length;
    const key = `k${pick(6)}`;
    try {
        switch (pick(8)) {
            case 0:
            case 1:
                return map.set(key, label);
            case 2:
                return map.delete(key);
            case 3:
            case 4:
                return list.push(label);
            case 5:
                return list.insertAt(pick(length + 1), label);
            case 6:
                return length && list.set(pick(length), label);
            default:
                return length && list.delete(pick(length));
        }
    } catch {
        return undefined;
    }
};

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/** run is one seed. */
const run = async ({key, seed, changes, drops}) => {
    const pick = random(seed);
    const room = `converge-${seed}`;
    const join = async user => {
        const session = await provision(key, user, room);
        const client = await enter(session, room);
        maps.forEach(name => client.map(name));
        lists.forEach(name => client.list(name));
        return {session, client, user};
    };
    // A client keeps what it put into a list that the server does not have yet, also
    // when that is lost: so the lists are there before anything is.
    const ann = await join('ann');
    await until('the lists to be there', () => ann.client.ws.currentConn && ann.client.ws.docCmdSendQueue.length === 0);
    const everyone = [ann, ...(await Promise.all(['bob', 'cleo'].map(join)))];
    const cuts = new Set(Array.from({length: drops}, () => pick(changes)));
    for (let i = 0; i < changes; i++) {
        const {client, user} = everyone[pick(3)];
        change(client, pick, `${user}-${i}`);
        if (cuts.has(i)) drop(everyone[pick(3)].session);
        if (pick(4) === 0) await pause(pick(30));
    }
    // What was done while there was no connection is sent when there is one.
    await until('everything to be sent', () => {
        everyone.forEach(({client}) => revive(client));
        return everyone.every(({client}) => client.ws.currentConn && client.ws.docCmdSendQueue.length === 0);
    });
    let late;
    let seen;
    try {
        await until('three to see the same', () => {
            seen = everyone.map(({client}) => sees(client));
            return seen.every(view => isDeepStrictEqual(view, seen[0]));
        });
        late = await join('dan');
        everyone.push(late);
        await until('all to see the same', () => {
            seen = everyone.map(({client}) => sees(client));
            return seen.every(view => isDeepStrictEqual(view, seen[0]));
        });
        const items = Object.values(seen[0].lists).flat().length + Object.values(seen[0].maps).flatMap(Object.keys).length;
        return {seed, same: true, items};
    } catch (error) {
        return {seed, same: false, why: error.message, seen};
    } finally {
        for (const {client, session} of everyone) leave(client, session);
    }
};

/**
 * revive does what somebody does by reloading the page: a client whose connection
 * broke just when it had loaded the room takes the closed one for open, for ever.
 */
const revive = client => {
    if (client.ws.currentConn?.readyState > 1) client.ws.close();
};

/** leave ends a client for good, of which it has no way itself. */
const leave = (client, session) => {
    client.ws.conn = () => new Promise(() => {});
    client.ws.processSendQueue = () => {};
    drop(session);
};

serve({run});
