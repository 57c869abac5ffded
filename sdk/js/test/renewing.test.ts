import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { afterClose } from '../dist/closing.js';
import { environment, type Socket } from '../dist/environment.js';
import { UsherError } from '../dist/error.js';
import { Renewing } from '../dist/renewing.js';
import { Signal } from '../dist/signal.js';

/** settled lets everything run that waits for no timer. */
const settled = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve();
};

const fakeTime = (): void => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 });

test('a credential is renewed, retried until it expires, and stopped by a final refusal', async () => {
  fakeTime();
  let answer: () => { expires_in: number; refresh_in: number } = () => ({ expires_in: 100, refresh_in: 60 });
  let asked = 0;
  let wake = (): void => {};
  const env = environment({ random: () => 0.5, onWake: (w) => ((wake = w), () => {}) });
  const renewing = new Renewing(env, async () => (asked++, answer()));
  const told: string[] = [];
  renewing.on('retrying', (error) => told.push(error.code));
  renewing.on('stopped', (error) => told.push(`stopped ${error.code}`));
  await renewing.current();
  await renewing.current();
  assert.equal(asked, 1);
  mock.timers.tick(60_000);
  await settled();
  assert.equal(asked, 2);

  answer = () => {
    throw new UsherError('unavailable', 'Later.');
  };
  for (let i = 0; i < 200; i++) {
    mock.timers.tick(1000);
    await settled();
  }
  assert.ok(asked > 4 && asked < 20, `${asked} attempts`);
  assert.equal(told.at(-1), 'stopped expired');
  await assert.rejects(renewing.current(), { code: 'unavailable' });
  answer = () => ({ expires_in: 100, refresh_in: 60 });
  wake();
  await settled();
  await renewing.current();

  answer = () => {
    throw new UsherError('banned', 'No.', { final: true });
  };
  mock.timers.tick(60_000);
  await settled();
  assert.equal(told.at(-1), 'stopped banned');
  const before = asked;
  mock.timers.tick(1_000_000);
  wake();
  await settled();
  assert.equal(asked, before);
  await assert.rejects(renewing.current(), { code: 'banned' });
  mock.timers.reset();
});

class FakeSocket implements Socket {
  static all: FakeSocket[] = [];
  readyState = 1;
  sent: { action: string; id?: string; seq?: number; payload?: { token?: string; seq?: number } }[] = [];
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }
  close(): void {
    this.readyState = 3;
  }
  says(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) } as never);
  }
  greet(resumed: boolean): void {
    this.onopen?.({} as never);
    const payload = { userId: 'u', connection: 'c', resume: { token: 'r', window: 30 }, resumed, limits: { message: 1 }, presence: [] };
    this.says({ action: 'hello', payload });
  }
}

test('a lost socket is resumed, call events come once, and a final close stops it', async () => {
  fakeTime();
  FakeSocket.all = [];
  const env = environment({ WebSocket: FakeSocket, random: () => 0.5, onWake: () => () => {} });
  const signal = new Signal(env, 'http://host', () => 'token');
  const events: (number | undefined)[] = [];
  const stopped: string[] = [];
  signal.on('call', (event) => events.push(event.seq));
  signal.on('stopped', (error) => stopped.push(error.code));
  const connected = signal.connect();
  await settled();
  FakeSocket.all[0]?.greet(false);
  await connected;
  const event = { action: 'call.cancel', ts: 1, callId: 'c', seq: 1, call: { state: 'ended' } };
  FakeSocket.all[0]?.says(event);
  assert.deepEqual(FakeSocket.all[0]?.sent.at(-1), { action: 'ack', seq: 1 });
  const repeated = signal.request({ action: 'call.hangup', callId: 'c' }, { repeatable: true });
  const once = signal.request({ action: 'note' });
  FakeSocket.all[0]?.onclose?.({ code: 1006, reason: '' } as never);
  await assert.rejects(once, { code: 'connection_lost' });
  mock.timers.tick(500);
  await settled();
  FakeSocket.all[1]?.greet(true);
  assert.deepEqual(FakeSocket.all[1]?.sent[0]?.payload, { token: 'r', seq: 1 });
  FakeSocket.all[1]?.says(event);
  assert.deepEqual(events, [1]);
  FakeSocket.all[1]?.says({ action: 'ack', ref: FakeSocket.all[1]?.sent[1]?.id });
  await repeated;
  FakeSocket.all[1]?.onclose?.({ code: 4403, reason: 'revoked' } as never);
  assert.deepEqual(stopped, ['forbidden']);
  mock.timers.tick(1_000_000);
  await settled();
  assert.equal(FakeSocket.all.length, 2);
  mock.timers.reset();
});

test('each close code says how to come back', () => {
  for (const code of [1000, 1002, 1003, 1007, 1009, 4403, 4409]) assert.equal(afterClose(code, '').how, 'never', String(code));
  for (const code of [1001, 1006, 1011, 1012, 1013, 4401, 4404, 4406, 4429]) assert.equal(afterClose(code, '').how, 'again', String(code));
});
