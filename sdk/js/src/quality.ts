// How good a connection is, from what the browser counts.

/** good: nothing to see; fair: pictures suffer; poor: speech does, too. */
export type Level = 'good' | 'fair' | 'poor';

/** A connection since it was measured last. */
export interface Quality {
  readonly level: Level;
  /** To the other side and back, in milliseconds; undefined while that is not known. */
  readonly rtt: number | undefined;
  /** The share of packets that were lost, of the worse direction: 0 to 1. */
  readonly loss: number;
  /** In bits per second. */
  readonly sending: number;
  readonly receiving: number;
}

/** Where fair and poor begin. */
const limits = { rtt: { fair: 250, poor: 500 }, loss: { fair: 0.03, poor: 0.1 } } as const;

interface Counts {
  readonly at: number;
  readonly sent: number;
  readonly received: number;
  readonly packets: number;
  readonly lost: number;
}

/** Makes figures of a connection's counters, which only grow. */
export class Meter {
  #last: Counts | undefined;

  /** read takes the counters as getStats gives them. */
  read(report: Iterable<readonly [string, unknown]>): Quality {
    let at = 0;
    let [sent, received, packets, lost, lostThere] = [0, 0, 0, 0, 0];
    let rtt: number | undefined;
    for (const [, value] of report) {
      const stats = value as Readonly<Record<string, unknown>>;
      const count = (name: string): number => (typeof stats[name] === 'number' ? (stats[name] as number) : 0);
      at = Math.max(at, count('timestamp'));
      if (stats['type'] === 'outbound-rtp') sent += count('bytesSent');
      else if (stats['type'] === 'inbound-rtp') {
        received += count('bytesReceived');
        packets += count('packetsReceived');
        lost += count('packetsLost');
      } else if (stats['type'] === 'remote-inbound-rtp') {
        lostThere = Math.max(lostThere, count('fractionLost'));
        if (typeof stats['roundTripTime'] === 'number') rtt ??= 1000 * stats['roundTripTime'];
      } else if (stats['type'] === 'candidate-pair' && stats['nominated'] === true && typeof stats['currentRoundTripTime'] === 'number') {
        rtt = 1000 * stats['currentRoundTripTime'];
      }
    }
    const now: Counts = { at, sent, received, packets, lost };
    const last = this.#last ?? { at, sent: 0, received: 0, packets: 0, lost: 0 };
    this.#last = now;
    const seconds = (now.at - last.at) / 1000;
    const rate = (more: number): number => (seconds > 0 ? Math.max(0, (8 * more) / seconds) : 0);
    const [came, missed] = [now.packets - last.packets, Math.max(0, now.lost - last.lost)];
    const loss = Math.max(lostThere, came + missed > 0 ? Math.min(1, missed / (came + missed)) : 0);
    return { level: levelOf(rtt ?? 0, loss), rtt, loss, sending: rate(now.sent - last.sent), receiving: rate(now.received - last.received) };
  }
}

function levelOf(rtt: number, loss: number): Level {
  if (rtt >= limits.rtt.poor || loss >= limits.loss.poor) return 'poor';
  return rtt >= limits.rtt.fair || loss >= limits.loss.fair ? 'fair' : 'good';
}

/** usesRelay reports whether what a browser sends goes by a relay of its own. */
export function usesRelay(report: Iterable<readonly [string, unknown]>): boolean {
  const all = new Map(report) as ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  return [...all.values()].some(
    (pair) => pair['type'] === 'candidate-pair' && pair['nominated'] === true && all.get(String(pair['localCandidateId']))?.['candidateType'] === 'relay',
  );
}
