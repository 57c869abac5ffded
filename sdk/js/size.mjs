// Says how large the SDK is as an app loads it: bundled, minified and
// compressed. What is larger than it may be is an error, so that growth is
// decided and does not happen.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** most is how large it may be, in bytes. */
const most = 16_384;

/** size is that of what a module is bundled to. */
async function size(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

const whole = await size("export * from './dist/index.js'");
const client = await size("export { Client } from './dist/index.js'");
console.log(`the SDK is ${whole} bytes, compressed; Client alone is ${client}`);
if (whole > most) {
  console.error(`that is more than the ${most} that it may be: see sdk/js/size.mjs`);
  process.exitCode = 1;
}
