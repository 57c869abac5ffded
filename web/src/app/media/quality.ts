/** How good a connection is, and what that is taken from. */
export interface Quality {
  readonly level: 'unknown' | 'good' | 'fair' | 'poor' | 'lost';
  /** The way there and back, in milliseconds. */
  readonly roundTrip: number;
  /** How much of what was sent here was lost, in per cent. */
  readonly loss: number;
}

export const unknownQuality: Quality = { level: 'unknown', roundTrip: 0, loss: 0 };

/** How often it is measured, in milliseconds. */
const every = 2000;

/** watch measures a connection until it is ended. */
export function watch(connection: RTCPeerConnection, tell: (quality: Quality) => void): () => void {
  let before = { received: 0, lost: 0 };
  const measure = async (): Promise<void> => {
    if (connection.connectionState !== 'connected') {
      tell({ ...unknownQuality, level: connection.connectionState === 'new' || connection.connectionState === 'connecting' ? 'unknown' : 'lost' });
      return;
    }
    let [received, lost, roundTrip] = [0, 0, 0];
    for (const report of (await connection.getStats()).values()) {
      if (report.type === 'inbound-rtp') {
        received += report.packetsReceived ?? 0;
        lost += Math.max(0, report.packetsLost ?? 0);
      } else if (report.type === 'candidate-pair' && report.nominated) roundTrip = (report.currentRoundTripTime ?? 0) * 1000;
    }
    const came = received - before.received;
    const went = lost - before.lost;
    before = { received, lost };
    const loss = came + went > 0 ? Math.max(0, (100 * went) / (came + went)) : 0;
    const level = loss > 8 || roundTrip > 500 ? 'poor' : loss > 2 || roundTrip > 250 ? 'fair' : 'good';
    tell({ level, roundTrip: Math.round(roundTrip), loss: Math.round(loss) });
  };
  const timer = setInterval(() => void measure().catch(() => {}), every);
  void measure().catch(() => {});
  return () => clearInterval(timer);
}
