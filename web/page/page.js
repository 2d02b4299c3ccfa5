// The page: asks the program, shows what it answers.

import init, { Device, catalogue } from './ffwd.js';
import { draw } from './plot.js';

const at = (id) => document.getElementById(id);

/** An element with text and children. */
function make(name, content = [], attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat().map((part) => (part instanceof Node ? part : String(part))));
  return made;
}

const verdict = (good, text) => make('span', text, { class: good ? 'good' : 'bad' });

/** A table from rows of cells, the first of which is the heading. */
function table(caption, [heading, ...rows]) {
  const line = (cells, name) => make('tr', cells.map((cell, i) => make(name, cell, name === 'th' ? { scope: 'col' } : i ? {} : { class: 'name' })));
  const made = make('table', [make('caption', caption), make('thead', line(heading, 'th')), make('tbody', rows.map((row) => line(row, 'td')))]);
  return make('div', made, { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption });
}

const digits = (value, count = 3) => (value === null ? '–' : Number(value.toPrecision(count)).toLocaleString('en'));

function time(seconds) {
  if (seconds >= 1) return `${digits(seconds)} s`;
  return seconds >= 1e-3 ? `${digits(seconds * 1e3)} ms` : `${digits(seconds * 1e6)} µs`;
}

/** What the browser says of its adapter, where wgpu does not hear it. */
async function adapterName() {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return null;
  const { vendor, architecture, device, description } = adapter.info ?? {};
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'a GPU that does not tell its name';
}

function browserName() {
  const brands = navigator.userAgentData?.brands?.filter(({ brand }) => !/not.?a.?brand/i.test(brand));
  if (brands?.length) return brands.map(({ brand, version }) => `${brand} ${version}`).join(', ');
  return navigator.userAgent.match(/(Firefox|Version|Chrome)\/[\d.]+/)?.[0] ?? navigator.userAgent;
}

function missing(reason) {
  at('missing-reason').textContent = reason;
  at('missing').hidden = false;
}

/** Runs something long: the button rests, progress and errors are shown. */
async function busy(button, result, run) {
  const bar = make('progress', [], { 'aria-label': 'progress' });
  const next = make('p');
  // A screen reader hears of the end, not of every step.
  result.setAttribute('aria-busy', 'true');
  result.replaceChildren(bar, next);
  button.disabled = true;
  try {
    const parts = await run((done, of, what) => {
      [bar.max, bar.value] = [of, done];
      next.textContent = `${done} of ${of}: ${what}`;
    });
    result.replaceChildren(...parts);
  } catch (error) {
    result.replaceChildren(make('p', verdict(false, error.message ?? String(error))));
  } finally {
    button.disabled = false;
    result.removeAttribute('aria-busy');
  }
}

function save(link, text) {
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text, '\n'], { type: 'application/json' }));
  link.hidden = false;
}

function describe(device) {
  const facts = JSON.parse(device.describe());
  at('gpu-name').textContent = facts.software ? `${facts.name} (software: computes on the CPU)` : facts.name;
  at('version').textContent = facts.version;
  const entries = [['browser', facts.browser], ...Object.entries(facts.limits).map(([what, n]) => [what, n.toLocaleString('en')])];
  entries.push(['optional features', facts.features.join(', ') || 'none']);
  at('gpu-facts').replaceChildren(...entries.flatMap(([what, value]) => [make('dt', what), make('dd', value)]));
}

function curves(device) {
  const { activations } = JSON.parse(catalogue());
  at('curve-name').append(...activations.map(({ name }) => make('option', name, { value: name })));
  at('curve-name').value = 'gelu';
  const show = async () => {
    const [name, low, high] = [at('curve-name').value, Number(at('curve-low').value), Number(at('curve-high').value)];
    const { formula, source } = activations.find((activation) => activation.name === name);
    at('curve-formula').replaceChildren(make('code', formula), make('br'), make('small', source));
    if (!(low < high)) {
      at('curve-verdict').replaceChildren(verdict(false, 'The range is empty.'));
      return;
    }
    try {
      const { x, value, derivative } = JSON.parse(await device.curve(name, low, high));
      draw(at('curve-plot'), x, [{ name: 'value', y: value.y }, { name: 'derivative', y: derivative.y }]);
      const breaches = value.breaches + derivative.breaches;
      const errors = [['value', value], ['derivative', derivative]].map(
        ([what, curve]) => `${what} within ${digits(curve.ulp, 3)} ULP of the truth (allowed: ${curve.allowed})`,
      );
      at('curve-verdict').replaceChildren(
        verdict(breaches === 0, breaches === 0 ? 'Right' : `WRONG at ${breaches} points`), `: ${name}, ${errors.join('; ')}.`,
      );
    } catch (error) {
      at('curve-verdict').replaceChildren(verdict(false, error.message ?? String(error)));
    }
  };
  at('curve-form').addEventListener('submit', (event) => {
    event.preventDefault();
    show();
  });
  at('curve-name').addEventListener('change', show);
  return show();
}

async function bytes(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function layer(device) {
  const files = await Promise.all(['smollm2_layer0.gguf', 'smollm2_layer0.safetensors'].map(bytes));
  const { tokens, d_model, d_ff, seconds, clock, gflops, kernels, checks } = JSON.parse(await device.layer(...files));
  const rows = checks.map(({ beside, error, share, passed }) => [
    beside, error.toExponential(2), `${digits(100 * share, 2)} %`, verdict(passed, passed ? 'right' : 'WRONG'),
  ]);
  return [
    make('p', `${tokens} tokens, ${d_model} → ${d_ff} → ${d_model}: ${time(seconds)} (${clock}), ${digits(gflops)} GFLOP/s.`),
    table('The result beside', [['beside', 'largest error', 'of the bound', ''], ...rows]),
    make('p', make('small', `Kernels: ${kernels.join('; ')}.`)),
  ];
}

async function bench(device, progress) {
  const text = await device.bench(progress);
  const report = JSON.parse(text);
  save(at('bench-save'), text);
  const { ceilings } = report;
  const roofs = [
    ['what the adapter can do', ''],
    ['copy', `${digits(ceilings.copy_bytes_per_second / 1e9)} GB/s`],
    ['f32 multiply-adds', `${digits(ceilings.f32_flops_per_second / 1e9)} GFLOP/s`],
    ['one more dispatch', ceilings.dispatch_seconds === null ? 'lost in the noise' : time(ceilings.dispatch_seconds)],
    ['upload', `${digits(ceilings.upload_bytes_per_second / 1e9)} GB/s`],
    ['download', `${digits(ceilings.download_bytes_per_second / 1e9)} GB/s`],
  ];
  const rows = report.workloads.map((workload) => [
    workload.name, time(workload.seconds.median), digits(workload.gflops), digits(workload.gbytes), `${digits(100 * workload.share, 2)} %`,
  ]);
  const skipped = report.skipped.map(({ name, reason }) => make('li', `${name}: ${reason}`));
  return [
    table('Ceilings', roofs),
    table(`Workloads, by ${report.clock === 'wall' ? 'the wall clock' : report.clock}`, [['workload', 'median', 'GFLOP/s', 'GB/s', 'of the roof'], ...rows]),
    ...(skipped.length ? [make('p', 'Left out:'), make('ul', skipped)] : []),
  ];
}

async function verify(device, progress) {
  const text = await device.verify(at('verify-filter').value.trim().toLowerCase(), progress);
  const report = JSON.parse(text);
  save(at('verify-save'), text);
  const failed = report.rows.filter((row) => row.breaches > 0);
  const inputs = report.rows.reduce((sum, row) => sum + row.inputs, 0);
  const rows = report.rows.map((row) => [
    row.function, `${row.output}, ${row.element}`, digits(Number(row.max_ulp)), digits(row.allowed_ulp), verdict(!row.breaches, row.breaches ? `WRONG: ${row.breaches}` : 'right'),
  ]);
  const all = `${report.rows.length - failed.length} of ${report.rows.length} rows hold, over ${inputs.toLocaleString('en')} inputs.`;
  return [make('p', verdict(report.passed, all)), table('Errors in units in the last place', [['function', '', 'largest', 'allowed', ''], ...rows])];
}

async function main() {
  if (!navigator.gpu) return missing('This browser does not offer WebGPU to this page.');
  const name = await adapterName();
  if (name === null) return missing('This browser knows WebGPU, and found no adapter that it would use.');
  await init({ module_or_path: 'ffwd_bg.wasm' });
  const device = await Device.open(name, browserName(), new URLSearchParams(location.search).has('default-limits'));
  // For tests, and for those who like consoles.
  globalThis.ffwd = device;
  describe(device);
  at('present').hidden = false;
  at('layer-run').addEventListener('click', () => busy(at('layer-run'), at('layer-result'), () => layer(device)));
  at('bench-run').addEventListener('click', () => busy(at('bench-run'), at('bench-result'), (progress) => bench(device, progress)));
  at('verify-run').addEventListener('click', () => busy(at('verify-run'), at('verify-result'), (progress) => verify(device, progress)));
  await curves(device);
}

main().catch((error) => missing(`Something failed: ${error.message ?? error}`)).finally(() => {
  document.documentElement.dataset.ready = 'yes';
});
