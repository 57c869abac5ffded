const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const rate = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });

/** when is a time as people read it; a dash is none. */
export function when(time: string | undefined): string {
  return time === undefined ? '–' : moment.format(new Date(time));
}

/** hour is the time of the day only. */
export function hour(time: string): string {
  return clock.format(new Date(time));
}

export function number(value: number): string {
  return rate.format(value);
}

/** duration is seconds as people read them. */
export function duration(seconds: number): string {
  if (seconds === 0) return '–';
  return seconds < 1 ? `${rate.format(seconds * 1000)} ms` : `${rate.format(seconds)} s`;
}
