// The tones of a telephone, made here: there is no file to load.

interface Tone {
  readonly pitches: readonly number[];
  /** When it sounds, within the period: pairs of start and end, in seconds. */
  readonly bursts: readonly (readonly [number, number])[];
  readonly period: number;
  readonly volume: number;
}

/** ring is for who is called, ringback for who calls, and the others say how it ended. */
const tones = {
  ring: { pitches: [587, 740], bursts: [[0, 0.35], [0.45, 0.8]], period: 2.6, volume: 0.2 },
  ringback: { pitches: [425], bursts: [[0, 1]], period: 5, volume: 0.08 },
  ended: { pitches: [425], bursts: [[0, 0.2], [0.4, 0.6]], period: 0, volume: 0.08 },
  busy: { pitches: [425], bursts: [[0, 0.5], [1, 1.5], [2, 2.5]], period: 0, volume: 0.08 },
  test: { pitches: [523, 659, 784], bursts: [[0, 0.7]], period: 0, volume: 0.15 },
} as const satisfies Record<string, Tone>;

export type ToneName = keyof typeof tones;

let context: AudioContext | undefined;

/** play sounds a tone, again and again if it has a period, until it is stopped. */
export function play(name: ToneName): () => void {
  const tone: Tone = tones[name];
  context ??= new AudioContext();
  const audio = context;
  void audio.resume().catch(() => {}); // browsers keep a page silent until it was touched
  const out = audio.createGain();
  out.connect(audio.destination);
  const once = (): void => {
    for (const [from, to] of tone.bursts) burst(audio, out, tone, audio.currentTime + from, to - from);
  };
  once();
  const timer = tone.period > 0 ? setInterval(once, tone.period * 1000) : undefined;
  document.documentElement.dataset.tone = name;
  return () => {
    clearInterval(timer);
    out.disconnect();
    if (document.documentElement.dataset.tone === name) delete document.documentElement.dataset.tone;
  };
}

function burst(audio: AudioContext, out: AudioNode, tone: Tone, at: number, length: number): void {
  const gain = audio.createGain();
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(tone.volume, at + 0.02);
  gain.gain.setValueAtTime(tone.volume, at + length - 0.04);
  gain.gain.linearRampToValueAtTime(0, at + length);
  gain.connect(out);
  for (const pitch of tone.pitches) {
    const source = audio.createOscillator();
    source.frequency.value = pitch;
    source.connect(gain);
    source.start(at);
    source.stop(at + length);
  }
}
