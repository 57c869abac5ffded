/**
 * Every word that people read, in one place and typed: a translation is another
 * object of this type. What has a number or a name in it is a function.
 */
export const en = {
  name: 'Usher',
  loading: 'Loading…',
  failed: {
    title: 'Something went wrong',
    retry: 'Try again',
  },
  console: {
    title: 'Console',
  },
};

export type Strings = typeof en;
