// Bundles a page's script as an app does: the packages as they are published,
// and what they expect of the bundler.
import * as esbuild from 'esbuild';

const [entry, outfile] = process.argv.slice(2);
await esbuild.build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'iife',
    external: ['crypto'],
    nodePaths: ['node_modules'], // also for what is not in this folder
    define: {'process.env.NODE_ENV': '"production"', process: '{"env":{}}'},
    logLevel: 'error',
});
