// The page in a real browser: node --test page.test.mjs, with SITE naming the built folder and OUT where files are kept.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, open, plant, serve } from './site.mjs';

const { SITE, OUT } = process.env;
let site;
let browser;

before(async () => {
  mkdirSync(OUT, { recursive: true });
  site = await serve(SITE);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  site?.stop();
});

const text = (page, id) => page.locator(`#${id}`).innerText();

/** Presses a button and waits for what it brings. */
async function run(page, what) {
  await page.click(`#${what}-run`);
  await page.waitForSelector(`#${what}-run:enabled`, { timeout: 600_000 });
  return text(page, `${what}-result`);
}

test('it names the GPU, draws a right curve, and asks for nothing but its own files', async () => {
  const { page, heard } = await open(browser, site.address);
  assert.match(await text(page, 'gpu-name'), /\w{3,}/);
  assert.ok(await page.isHidden('#missing'));
  assert.match(await text(page, 'curve-verdict'), /^Right: gelu, value within [\d.]+ ULP/);
  assert.equal(await page.locator('#curve-plot path').count(), 2);
  await page.screenshot({ path: join(OUT, 'page.png'), fullPage: true });
  assert.deepEqual(heard.faults, []);
  assert.deepEqual(heard.requests.filter((url) => !url.startsWith(site.address) && !url.startsWith('data:')), []);
  await page.close();
});

test('every activation is drawn within its contract', async () => {
  const { page } = await open(browser, site.address);
  const names = await page.locator('#curve-name option').allInnerTexts();
  assert.ok(names.length > 30, `${names.length} activations`);
  for (const name of names) {
    await page.selectOption('#curve-name', name);
    await page.waitForFunction((name) => document.getElementById('curve-verdict').innerText.includes(`: ${name},`), name);
    assert.match(await text(page, 'curve-verdict'), /^Right/, name);
  }
  await page.close();
});

test('the layer agrees with the oracle and with PyTorch', async () => {
  const { page, heard } = await open(browser, site.address);
  const result = await run(page, 'layer');
  assert.match(result, /32 tokens, 576 → 1536 → 576/);
  assert.equal(result.match(/right/g)?.length, 2, result);
  assert.doesNotMatch(result, /WRONG/);
  assert.deepEqual(heard.faults, []);
  await page.close();
});

test('a wrong value is caught, wherever it is planted', async () => {
  const { page } = await open(browser, site.address, { before: plant });
  assert.match(await text(page, 'curve-verdict'), /^Right/, 'nothing is planted yet');
  await page.evaluate(() => (globalThis.planted = true));
  await page.selectOption('#curve-name', 'tanh');
  await page.waitForFunction(() => document.getElementById('curve-verdict').innerText.includes(': tanh,'));
  assert.match(await text(page, 'curve-verdict'), /^WRONG at \d+ points/);
  assert.match(await run(page, 'layer'), /WRONG/);
  await page.fill('#verify-filter', 'relu6');
  assert.match(await run(page, 'verify'), /WRONG/);
  const suite = await page.evaluate(async () => JSON.parse(await globalThis.ffwd.conformance('gelu forward f32', () => {})));
  assert.ok(suite.cases > 3);
  // The middle of an empty output lies in its guard band.
  assert.equal(suite.failed.length, suite.cases, JSON.stringify(suite));
  await page.close();
});

test('it can be used with a keyboard, on a phone', async () => {
  const { page } = await open(browser, site.address, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok((await wide()) <= 360, `${await wide()} pixels wide`);
  const order = [];
  for (let i = 0; i < 16; i++) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className || document.activeElement.localName));
  }
  for (const id of ['skip', 'curve-name', 'curve-low', 'curve-high', 'layer-run', 'bench-run', 'verify-filter', 'verify-run']) {
    assert.ok(order.includes(id), `${id} is not reached: ${order}`);
  }
  await page.focus('#curve-low');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('7');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('curve-verdict').innerText.includes('empty'));
  await page.focus('#curve-low');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('-2');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('curve-verdict').innerText.startsWith('Right'));
  await page.focus('#layer-run');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('layer-result').innerText.includes('right'), null, { timeout: 60_000 });
  assert.ok((await wide()) <= 360, `${await wide()} pixels wide with a table`);
  for (const name of ['label', 'button', 'input', 'select']) {
    const unnamed = await page.$$eval(name, (found) => found.filter((e) => e.offsetParent && !(e.innerText || e.labels?.length)).length);
    assert.equal(unnamed, 0, `a ${name} has no name`);
  }
  await page.screenshot({ path: join(OUT, 'phone.png'), fullPage: true });
  await page.close();
});

test('verify writes what the command line writes', async () => {
  const { page } = await open(browser, site.address);
  await page.fill('#verify-filter', 'softplus');
  assert.match(await run(page, 'verify'), /(\d+) of \1 rows hold/);
  const report = await saved(page, 'verify');
  assert.equal(report.schema, 'ffwd-verify/1');
  assert.equal(report.backend, 'browserwebgpu');
  assert.ok(report.rows.length > 0 && report.passed);
  await page.close();
});

test('the benchmark runs, and its file is kept for `ffwd report`', { timeout: 900_000 }, async () => {
  const { page, heard } = await open(browser, site.address);
  const result = await run(page, 'bench');
  assert.match(result, /GFLOP\/s/);
  const report = await saved(page, 'bench');
  assert.equal(report.schema, 'ffwd-bench/1');
  assert.ok(report.workloads.length >= 5, `${report.workloads.length} workloads`);
  assert.ok(report.workloads.every((w) => w.worst_error <= 1 && w.seconds.median > 0));
  assert.ok(report.skipped.every(({ reason }) => !reason.startsWith('wrong')), JSON.stringify(report.skipped));
  assert.deepEqual(heard.faults, []);
  await page.screenshot({ path: join(OUT, 'bench.png'), fullPage: true });
  writeFileSync(join(OUT, 'bench.json'), JSON.stringify(report));
  await page.close();
});

/** What the link beside a button saves. */
async function saved(page, what) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(`#${what}-save`)]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

test('without WebGPU it says so, and what to do', async () => {
  const plain = await launch({ webgpu: false });
  try {
    const { page } = await open(plain, site.address);
    assert.ok(await page.isVisible('#missing'));
    assert.ok(await page.isHidden('#present'));
    assert.match(await text(page, 'missing'), /no adapter[\s\S]*Safari/);
    await page.close();
    const { page: older } = await open(plain, site.address, { before: () => Object.defineProperty(navigator, 'gpu', { value: undefined }) });
    assert.match(await text(older, 'missing'), /does not offer WebGPU/);
    await older.close();
  } finally {
    await plain.close();
  }
});
