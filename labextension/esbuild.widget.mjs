// Bundles src/widget/index.ts into one ES module and one style sheet: what anywidget sends to the page.
import { build, context } from 'esbuild';

const watch = process.argv.includes('--watch');
const options = {
  entryPoints: { widget: 'src/widget/index.ts' },
  outdir: '../qworkbench/static',
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: !watch,
  sourcemap: watch ? 'inline' : false,
  legalComments: 'none',
  logLevel: 'info'
};
if (watch) {
  await (await context(options)).watch();
} else {
  await build(options);
}
