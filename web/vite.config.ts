import { promises as fs } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { convertCssVariables, mergeMantineTheme, DEFAULT_THEME, defaultCssVariablesResolver } from '@mantine/core';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { colours, theme } from './src/theme.ts';

/**
 * The theme's variables as a file: Mantine would otherwise write them into the
 * page as an inline style, which the content security policy forbids.
 */
function themeFile(): Plugin {
  const id = 'virtual:theme.css';
  return {
    name: 'theme-file',
    resolveId: (source) => (source === id ? id : null),
    load(source) {
      if (source !== id) return null;
      const merged = mergeMantineTheme(DEFAULT_THEME, theme);
      const base = defaultCssVariablesResolver(merged);
      const variables = {
        variables: base.variables,
        light: { ...base.light, ...colours.light },
        dark: { ...base.dark, ...colours.dark },
      };
      return convertCssVariables(variables, ':root');
    },
  };
}

/** Writes each text a second and third time, compressed, as the server sends it. */
function compressed(): Plugin {
  const texts = ['.html', '.js', '.css', '.svg'];
  let folder = '';
  return {
    name: 'compressed',
    configResolved(config) {
      folder = path.resolve(config.root, config.build.outDir);
    },
    async closeBundle() {
      const files = await fs.readdir(folder, { recursive: true });
      const work = files
        .filter((file) => texts.includes(path.extname(file)))
        .map(async (file) => {
          const whole = await fs.readFile(path.join(folder, file));
          const [brotli, gzip] = await Promise.all([promisify(zlib.brotliCompress)(whole), promisify<Buffer, Buffer>(zlib.gzip)(whole)]);
          await fs.writeFile(path.join(folder, `${file}.br`), brotli);
          await fs.writeFile(path.join(folder, `${file}.gz`), gzip);
        });
      await Promise.all(work);
    },
  };
}

export default defineConfig({
  plugins: [react(), themeFile(), compressed()],
  resolve: { alias: { '@usher/client': fileURLToPath(new URL('../sdk/js/src/index.ts', import.meta.url)) } },
  build: {
    target: 'es2022',
    emptyOutDir: false, // dist/.gitignore stays
    assetsInlineLimit: 0, // the policy has no data: URLs
    modulePreload: { polyfill: false },
  },
});
