import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../dist/api.js';
import { UsherError } from '../dist/error.js';
import { Http } from '../dist/http.js';
import { all, each } from '../dist/paging.js';
import { devSignIn, redeem } from '../dist/signin.js';
import { world } from './fakes.js';

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** A server that answers what a test has it answer. */
class FakeApi {
  readonly asked: Asked[] = [];
  readonly answers: (() => Response | Promise<Response>)[] = [];
  readonly fetch = (async (url: string, init: RequestInit = {}) => {
    const { method = 'GET', headers = {}, body } = init;
    this.asked.push({ method, url, headers: headers as Record<string, string>, body: body === undefined ? undefined : JSON.parse(String(body)) });
    const next = this.answers.shift();
    if (next === undefined) throw new TypeError('fetch failed');
    return next();
  }) as typeof fetch;
  readonly fresh: boolean[] = [];
  readonly http: Http = new Http(world({ fetch: this.fetch }).env, 'http://host', ({ fresh }) => (this.fresh.push(fresh), fresh ? 'new' : 'old'));

  answer(status: number, body?: unknown, headers: Record<string, string> = {}): this {
    this.answers.push(() => new Response(body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body), { status, headers }));
    return this;
  }

  get last(): Asked {
    const last = this.asked.at(-1);
    assert.ok(last);
    return last;
  }
}

const problem = (code: string, more: object = {}): object => ({ type: 'about:blank', title: 'T', status: 400, code, detail: 'A sentence.', request_id: 'q', ...more });

const refused = async (asked: Promise<unknown>): Promise<UsherError> => {
  try {
    await asked;
  } catch (error) {
    assert.ok(error instanceof UsherError, String(error));
    return error;
  }
  throw new Error('it was not refused');
};

test('a request says who asks, and what a path may not have is escaped', async () => {
  const a = new FakeApi().answer(200, { id: 'r' }).answer(200, { id: 'r' }).answer(204);
  const api = new Api(a.http);
  await api.room('a/b #1?');
  assert.equal(a.last.url, 'http://host/api/v1/rooms/a%2Fb%20%231%3F');
  assert.equal(a.last.headers['Authorization'], 'Bearer old');
  await api.room('..');
  assert.equal(a.last.url, 'http://host/api/v1/rooms/%2E%2E');
  assert.equal(await api.removeContact('user:https://id.example#ann'), undefined);
  assert.equal(a.last.url, 'http://host/api/v1/contacts/user%3Ahttps%3A%2F%2Fid.example%23ann');
});

test('what goes with a request goes where it belongs', async () => {
  const a = new FakeApi().answer(201, {}).answer(200, {}).answer(200, { rooms: [], next_cursor: '' }).answer(201, {});
  const api = new Api(a.http);
  await api.createRoom({ name: 'lobby' }, { idempotencyKey: 'one' });
  assert.deepEqual([a.last.method, a.last.headers['Idempotency-Key'], a.last.headers['Content-Type'], a.last.body], ['POST', 'one', 'application/json', { name: 'lobby' }]);
  await api.changeRoom('lobby', { closes_at: null }, { version: 3 });
  assert.deepEqual([a.last.method, a.last.headers['If-Match'], a.last.body], ['PATCH', '"3"', { closes_at: null }]);
  await api.rooms({ limit: 5, status: 'running' });
  assert.equal(a.last.url, 'http://host/api/v1/rooms?limit=5&status=running');
  assert.ok(!('Content-Type' in a.last.headers));
  await api.createRoom();
  assert.ok(!('Idempotency-Key' in a.last.headers));
});

test('a token that is refused is asked for anew, once', async () => {
  const a = new FakeApi().answer(401, problem('token_expired')).answer(200, { key: 'k' });
  await new Api(a.http).me();
  assert.deepEqual(a.fresh, [false, true]);
  assert.equal(a.last.headers['Authorization'], 'Bearer new');
  a.answer(401, problem('token_expired')).answer(401, problem('token_expired'));
  const error = await refused(new Api(a.http).me());
  assert.deepEqual([error.code, error.status, error.final], ['token_expired', 401, true]);
});

test('a refusal has all that the server says of it', async () => {
  const a = new FakeApi();
  const api = new Api(a.http);
  a.answer(403, problem('banned', { decision: 'd1', fields: [{ field: 'seats', message: 'must be' }, 7, { field: 3 }] }));
  const banned = await refused(api.room('r'));
  assert.deepEqual([banned.code, banned.message, banned.final, banned.decision, banned.requestId], ['banned', 'A sentence.', true, 'd1', 'q']);
  assert.deepEqual(banned.fields, [{ field: 'seats', message: 'must be' }]);
  a.answer(429, problem('rate_limited'), { 'Retry-After': '7' });
  const limited = await refused(api.room('r'));
  assert.deepEqual([limited.final, limited.retryAfter], [false, 7]);
  a.answer(503, problem('unavailable'));
  assert.equal((await refused(api.room('r'))).final, false);
});

test('a sign-in that fails is told as that', async () => {
  const { env } = world();
  const plain = new Http(env, 'http://host', () => Promise.reject(new Error('The window was closed.')));
  const error = await refused(new Api(plain).me());
  assert.deepEqual([error.code, error.message, error.final], ['sign_in_failed', 'The window was closed.', false]);
  const final = new Http(env, 'http://host', () => {
    throw new UsherError('nobody', 'Sign in.', { final: true });
  });
  assert.equal((await refused(new Api(final).me())).code, 'nobody');
});

test('what is no answer of an Usher is told as that', async () => {
  const a = new FakeApi();
  const api = new Api(a.http);
  for (const body of ['<html>', 'null', '[]', '{"code": 7, "detail": "x"}']) {
    a.answer(502, body);
    assert.deepEqual([(await refused(api.room('r'))).code], ['http_502'], body);
  }
  a.answer(200, '<html>');
  assert.equal((await refused(api.room('r'))).code, 'answer_invalid');
  const error = await refused(api.room('r')); // nobody answers
  assert.deepEqual([error.code, error.final, error.cause instanceof TypeError], ['unreachable', false, true]);
});

test('a list is read page by page, and no further than somebody reads', async () => {
  const a = new FakeApi();
  const api = new Api(a.http);
  const page = (ids: readonly string[], next: string): FakeApi => a.answer(200, { rooms: ids.map((id) => ({ id })), next_cursor: next });
  page(['a', 'b'], 'b');
  page(['c'], '');
  assert.deepEqual((await all('rooms', (query) => api.rooms(query))).map(({ id }) => id), ['a', 'b', 'c']);
  assert.deepEqual(a.asked.map(({ url }) => url.split('?')[1]), ['limit=200', 'limit=200&cursor=b']);
  page(['a', 'b'], 'b');
  for await (const room of each('rooms', (query) => api.rooms(query), 2)) if (room.id === 'b') break;
  assert.equal(a.asked.length, 3);
  page(['a', 'b'], 'b');
  assert.deepEqual((await all('rooms', (query) => api.rooms(query), 1)).map(({ id }) => id), ['a']);
  assert.equal(a.last.url.split('?')[1], 'limit=1');
  page(['a'], 'x');
  page(['a'], 'x'); // a cursor that leads nowhere
  assert.equal((await all('rooms', (query) => api.rooms(query))).length, 2);
  assert.equal(a.answers.length, 0);
});

test('a name signs in at a server in development mode, and asks for another token only if it has to', async () => {
  const a = new FakeApi();
  const signIn = devSignIn('http://host/', { name: 'Ann' }, { fetch: a.fetch });
  await assert.rejects(async () => signIn({ fresh: false }), { code: 'unreachable', final: false });
  a.answer(200, { token: 'one' }).answer(200, { token: 'two' });
  assert.equal(await signIn({ fresh: false }), 'one');
  assert.equal(await signIn({ fresh: false }), 'one');
  assert.equal(await signIn({ fresh: true }), 'two');
  assert.equal(await signIn({ fresh: false }), 'two');
  assert.deepEqual([a.last.url, a.last.body], ['http://host/dev/login', { name: 'Ann' }]);
  a.answer(404, 'no');
  const error = await refused(Promise.resolve(signIn({ fresh: true })));
  assert.deepEqual([error.code, error.final], ['sign_in_refused', true]);
  a.answer(503, 'later');
  assert.equal((await refused(Promise.resolve(signIn({ fresh: true })))).final, false);
});

test('an invite makes a guest of whoever has its code, without a token', async () => {
  const a = new FakeApi().answer(200, { token: 't', guest: { id: 'g' } });
  assert.equal((await redeem('http://host', 'code', 'Gus', { fetch: a.fetch })).token, 't');
  assert.deepEqual([a.last.url, a.last.body, a.last.headers['Authorization']], ['http://host/api/v1/invites/redeem', { code: 'code', name: 'Gus' }, undefined]);
  a.answer(401, problem('unauthenticated'));
  await refused(redeem('http://host', 'code', 'Gus', { fetch: a.fetch }));
  assert.equal(a.asked.length, 2, 'there is nobody to sign in again');
});
