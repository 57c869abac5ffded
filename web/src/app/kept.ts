/** What this tab remembers over a reload: another window is another person. */
export const tab = kept(() => sessionStorage);

/** What this browser remembers. */
export const browser = kept(() => localStorage);

function kept(storage: () => Storage) {
  return {
    read<T>(key: string): T | undefined {
      try {
        const text = storage().getItem(`usher.${key}`);
        return text === null ? undefined : (JSON.parse(text) as T);
      } catch {
        return undefined; // storage is off, or holds something else
      }
    },
    write(key: string, value: unknown): void {
      try {
        if (value === undefined) storage().removeItem(`usher.${key}`);
        else storage().setItem(`usher.${key}`, JSON.stringify(value));
      } catch {
        // storage is off or full: it is asked again after a reload
      }
    },
    /** forget removes everything, the issuer's tokens too. */
    forget(): void {
      try {
        const ours = Object.keys(storage()).filter((key) => key.startsWith('usher.'));
        for (const key of ours) storage().removeItem(key);
      } catch {
        // storage is off, and has nothing
      }
    },
  };
}
