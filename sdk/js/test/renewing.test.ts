import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environment } from '../dist/environment.js';
import { UsherError } from '../dist/error.js';
import { Renewing } from '../dist/renewing.js';
import { settled, world, type World } from './fakes.js';

interface Granted {
  readonly expires_in: number;
  readonly refresh_in: number;
}

/** A credential that a test grants or refuses. */
class Credential {
  readonly world: World = world();
  readonly told: string[] = [];
  asked = 0;
  answer: () => Granted | Promise<Granted> = () => ({ expires_in: 100, refresh_in: 60 });
  readonly renewing: Renewing<Granted> = new Renewing(this.world.env, async () => {
    this.asked++;
    return this.answer();
  });

  constructor() {
    this.renewing.on('renewed', () => this.told.push('renewed'));
    this.renewing.on('retrying', (error) => this.told.push(`retrying ${error.code}`));
    this.renewing.on('stopped', (error) => this.told.push(`stopped ${error.code}`));
  }

  refuse(code: string, details: ConstructorParameters<typeof UsherError>[2] = {}): void {
    this.answer = () => {
      throw new UsherError(code, `${code}.`, details);
    };
  }

  grant(granted: Granted = { expires_in: 100, refresh_in: 60 }): void {
    this.answer = () => granted;
  }
}

test('a credential is renewed when it is said to be, and kept until then', async () => {
  const c = new Credential();
  await c.renewing.current();
  await c.renewing.current();
  await c.world.clock.pass(59_999);
  assert.equal(c.asked, 1);
  await c.world.clock.pass(1);
  assert.equal(c.asked, 2);
  await c.world.clock.pass(600_000);
  assert.equal(c.asked, 12);
  assert.equal(c.told.length, 12);
});

test('times count from the answer, whatever the clock says', async () => {
  const c = new Credential();
  c.world.clock.sleeps(1e12); // a clock that is decades off
  c.answer = async () => {
    c.world.clock.sleeps(5000); // the answer was long under way
    return { expires_in: 100, refresh_in: 60 };
  };
  await c.renewing.current();
  await c.world.clock.pass(59_000);
  assert.equal(c.asked, 1);
  await c.world.clock.pass(1000);
  assert.equal(c.asked, 2);
});

test('what fails is tried again with growing waits until it expires, and not beyond', async () => {
  const c = new Credential();
  const first = await c.renewing.current();
  c.refuse('unavailable');
  await c.world.clock.pass(60_000);
  assert.equal(c.asked, 2);
  assert.equal(await c.renewing.current(), first, 'the one that is good still is given');
  const early = c.asked;
  await c.world.clock.pass(39_999);
  assert.ok(c.asked - early >= 4 && c.asked - early <= 8, `${c.asked - early} attempts in 40 s`);
  assert.ok(!c.told.includes('stopped expired'));
  await c.world.clock.pass(1);
  assert.equal(c.told.at(-1), 'stopped expired');
  const asked = c.asked;
  await c.world.clock.pass(1_000_000);
  assert.equal(c.asked, asked);
  await assert.rejects(c.renewing.current(), { code: 'unavailable' }, 'but whoever asks has it tried');

  c.grant();
  c.world.wake();
  await settled();
  assert.equal(c.told.at(-1), 'renewed');
  await c.world.clock.pass(60_000);
  assert.equal(c.told.at(-1), 'renewed');
});

test('the waits have jitter, and are as long at least as the server says', async () => {
  const waits = async (random: number, retryAfter?: number): Promise<number> => {
    const { env, clock } = world({ random: () => random });
    let asked = 0;
    const renewing = new Renewing(env, async () => {
      if (++asked > 1) throw new UsherError('rate_limited', 'Later.', { retryAfter });
      return { expires_in: 1000, refresh_in: 10 };
    });
    await renewing.current();
    await clock.pass(10_000);
    const start = clock.now;
    while (asked < 3) await clock.pass(50);
    renewing.stop();
    return clock.now - start;
  };
  assert.equal(await waits(0), 500);
  assert.ok((await waits(0.999)) > 900);
  assert.equal(await waits(0, 7), 7000);
});

test('a machine that slept renews when it wakes, and when somebody joins', async () => {
  const c = new Credential();
  await c.renewing.current();
  c.world.wake();
  await settled();
  assert.equal(c.asked, 1, 'what is fresh is not asked for again');
  c.world.clock.sleeps(70_000);
  c.world.wake();
  await settled();
  assert.equal(c.asked, 2);
  c.world.clock.sleeps(200_000);
  await c.renewing.current();
  assert.equal(c.asked, 3);
});

test('the return of the network cuts a long wait short', async () => {
  const c = new Credential();
  c.grant({ expires_in: 10_000, refresh_in: 60 });
  await c.renewing.current();
  c.refuse('unreachable');
  await c.world.clock.pass(500_000); // the waits are half a minute by now
  c.grant();
  const asked = c.asked;
  c.world.wake();
  await settled();
  assert.equal(c.asked, asked + 1);
  assert.equal(c.told.at(-1), 'renewed');
});

test('a refusal that is final stops it at once, and says why', async () => {
  const c = new Credential();
  await c.renewing.current();
  c.refuse('banned', { final: true, decision: 'd' });
  await c.world.clock.pass(60_000);
  assert.equal(c.told.at(-1), 'stopped banned');
  assert.equal(c.renewing.reason?.decision, 'd');
  c.grant();
  c.world.wake();
  await c.world.clock.pass(10_000);
  assert.equal(c.asked, 2);
  assert.equal((await c.renewing.current()).expires_in, 100, 'what was granted is good to its end');
  await c.world.clock.pass(1_000_000);
  await assert.rejects(c.renewing.current(), { code: 'banned' });
  assert.equal(c.asked, 2);
  assert.equal(c.world.clock.waiting, 0);
});

test('the first one is asked for once by all who want it, and whoever asked is told', async () => {
  const c = new Credential();
  c.refuse('unavailable');
  const both = await Promise.allSettled([c.renewing.current(), c.renewing.current()]);
  assert.deepEqual(both.map(({ status }) => status), ['rejected', 'rejected']);
  assert.equal(c.asked, 1);
  await c.world.clock.pass(1_000_000);
  assert.equal(c.asked, 1);
  assert.deepEqual(c.told, []);
});

test('an answer without times, or with none that are any, is refused', async () => {
  for (const answer of [null, {}, { expires_in: 100 }, { expires_in: Number.NaN, refresh_in: 1 }, { expires_in: '100', refresh_in: '60' }]) {
    const c = new Credential();
    c.answer = () => answer as Granted;
    await assert.rejects(c.renewing.current(), { code: 'answer_invalid' });
    await c.world.clock.pass(1_000_000);
    assert.equal(c.asked, 1);
  }
});

test('one that is refreshed at once is not asked for without a pause', async () => {
  const c = new Credential();
  c.grant({ expires_in: 100, refresh_in: -5 });
  await c.renewing.current();
  await c.world.clock.pass(10_000);
  assert.ok(c.asked <= 11, `${c.asked} in 10 s`);
  c.renewing.stop();
});

test('one that lasts longer than a timer can wait is not renewed early', async () => {
  const c = new Credential();
  c.grant({ expires_in: 6_000_000, refresh_in: 5_000_000 });
  await c.renewing.current();
  await c.world.clock.pass(4_999_999_000);
  assert.equal(c.asked, 1);
  await c.world.clock.pass(1000);
  assert.equal(c.asked, 2);
});

test('what is stopped answers no more, also if it was asked before', async () => {
  const c = new Credential();
  let granted = (_: Granted): void => {};
  c.answer = () => new Promise<Granted>((resolve) => (granted = resolve));
  const current = c.renewing.current();
  c.renewing.stop();
  granted({ expires_in: 100, refresh_in: 60 });
  await assert.rejects(current, { code: 'stopped' });
  assert.equal(c.world.clock.waiting, 0);
  assert.deepEqual(c.told, []);
});

test('the page wakes when it is shown again, comes back, or has a network again', () => {
  const page = new EventTarget() as EventTarget & { visibilityState: string };
  page.visibilityState = 'hidden';
  const { add, remove } = { add: globalThis.addEventListener, remove: globalThis.removeEventListener };
  const target = new EventTarget();
  const global = globalThis as { document?: unknown; addEventListener: unknown; removeEventListener: unknown };
  global.document = page;
  global.addEventListener = target.addEventListener.bind(target);
  global.removeEventListener = target.removeEventListener.bind(target);
  try {
    let woken = 0;
    const end = environment().onWake(() => woken++);
    page.dispatchEvent(new Event('visibilitychange'));
    assert.equal(woken, 0, 'a page that is hidden sleeps on');
    page.visibilityState = 'visible';
    page.dispatchEvent(new Event('visibilitychange'));
    target.dispatchEvent(new Event('online'));
    target.dispatchEvent(new Event('pageshow'));
    assert.equal(woken, 3);
    end();
    page.dispatchEvent(new Event('visibilitychange'));
    target.dispatchEvent(new Event('online'));
    assert.equal(woken, 3);
  } finally {
    delete global.document;
    global.addEventListener = add;
    global.removeEventListener = remove;
  }
});
