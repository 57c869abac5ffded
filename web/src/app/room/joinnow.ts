let room: string | undefined;

/** joinNow has the page of a room join at once: the look at oneself was before. */
export function joinNow(next: string): void {
  room = next;
}

export function takeJoinNow(next: string): boolean {
  const now = room === next;
  room = undefined;
  return now;
}
