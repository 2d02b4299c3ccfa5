// The conformance cases and the accuracy contract, through wasm, on another implementation of WebGPU than wgpu's own:
// node suite.mjs chromium|dawn [--default-limits] [--verify FILE]. SITE names the built folder.

import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const { SITE } = process.env;
const [where, ...options] = process.argv.slice(2);
const least = options.includes('--default-limits');
const file = options.includes('--verify') ? options[options.indexOf('--verify') + 1] : null;

/** What a runner does: `call(method, filter)` of the opened device, as JSON. */
const RUNNERS = {
  async chromium() {
    const { launch, open, serve } = await import('./site.mjs');
    const [site, browser] = [await serve(SITE), await launch()];
    const { page } = await open(browser, `${site.address}${least ? '?default-limits' : ''}`);
    return {
      describe: () => page.evaluate(() => globalThis.ffwd.describe()),
      call: (method, filter) => page.evaluate(([method, filter]) => globalThis.ffwd[method](filter, () => {}), [method, filter]),
      stop: async () => {
        await browser.close();
        site.stop();
      },
    };
  },
  async dawn() {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    // Kept alive for good: when it is collected, Dawn goes with it.
    const gpu = (globalThis.dawn = create([]));
    Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
    // wgpu looks for the global object's class, which Node has not.
    globalThis.Window = globalThis.constructor;
    const program = await import(pathToFileURL(join(resolve(SITE), 'ffwd.js')));
    await program.default({ module_or_path: readFileSync(join(SITE, 'ffwd_bg.wasm')) });
    const { version } = JSON.parse(readFileSync(new URL('node_modules/webgpu/package.json', import.meta.url)));
    const device = await program.Device.open('', `Dawn (webgpu ${version})`, least);
    return { describe: () => device.describe(), call: (method, filter) => device[method](filter, () => {}), stop: () => {} };
  },
};

const runner = await RUNNERS[where]();
const facts = JSON.parse(await runner.describe());
const name = `${where}${least ? ', default limits' : ''}: ${facts.name}, ${facts.browser}`;
console.log(name);
const { cases, failed, seconds } = JSON.parse(await runner.call('conformance', ''));
for (const { case: what, fault } of failed) console.log(`  FAILED ${what}: ${fault}`);
console.log(`  conformance: ${cases - failed.length} of ${cases} cases hold, ${seconds.toFixed(0)} s`);
let passed = cases > 0 && failed.length === 0;
if (file) {
  const report = JSON.parse(await runner.call('verify', ''));
  const rows = report.rows.filter((row) => row.breaches === 0).length;
  console.log(`  verify: ${rows} of ${report.rows.length} rows hold`);
  passed &&= report.passed;
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}
await runner.stop();
// Dawn keeps the event loop alive.
process.exit(passed ? 0 : 1);
