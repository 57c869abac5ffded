// The client of back ends.
import createClient from '@roomservice/node';
import {serve} from './driver.mjs';

const connect = createClient.default ?? createClient;

serve({
    async write({domain, key, room, values, items}) {
        const checkpoint = await connect({domain, secret: key}).checkpoint(room);
        const map = checkpoint.map('settings');
        for (const [name, value] of Object.entries(values)) map.set(name, value);
        const list = checkpoint.list('todos');
        list.push(...items);
        await checkpoint.save(map, list);
    },
    async read({domain, key, room, names}) {
        const map = (await connect({domain, secret: key}).checkpoint(room)).map('settings');
        return Object.fromEntries(names.map(name => [name, map.get(name)]));
    },
});
