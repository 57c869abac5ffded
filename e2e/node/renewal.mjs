// The library keeps its token until a minute before it expires, by Date.now,
// and then fetches another.
import {createApi, withToken} from '@pexip/vpaas-api';
import {apiAddress, createJwt, outcome, report} from './vpaas.mjs';

const raw = createApi();
const tokens = [];
const watched = {
    ...raw,
    token: async args => {
        const answer = await raw.token(args);
        tokens.push(answer.data);
        return answer;
    },
};
const api = withToken(createJwt, apiAddress)(watched);
const calls = [];
const call = async (what, promise) => {
    const result = await outcome(promise);
    calls.push({what, tokens: tokens.length, ...result});
};

await call('first', api.create());
await call('second', api.create());

const real = Date.now;
const lifetime = tokens[0].expires_in * 1000;
Date.now = () => real() + lifetime - 61_000;
await call('a second before the margin', api.create());
Date.now = () => real() + lifetime - 59_000;
await call('within the margin', api.create());
await call('after the renewal', api.create());
Date.now = real;

// The token that was replaced is not dead: another call may still bear it.
await call(
    'with the first token',
    raw.create({apiAddress, accessToken: `${tokens[0].token_type} ${tokens[0].access_token}`}),
);
report({calls, tokens});
